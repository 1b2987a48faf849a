//! No file of the project names a place that only its author has: a home folder, a registry of packages.

use std::fs;
use std::path::{Path, PathBuf};

/// Beginnings of paths that belong to somebody. Joined here, so that this file does not name them.
const HOMES: [&str; 6] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tmp", "/w/"),
    concat!("/mn", "t/"),
];
/// Ways to say where packages come from; the public registries need none of them.
const REGISTRIES: [&str; 7] = [
    concat!("index-", "url"),
    concat!("replace-", "with"),
    concat!("GO", "PROXY"),
    concat!("PIP_", "INDEX"),
    concat!("NPM_CONFIG_", "REGISTRY"),
    concat!("trusted-", "host"),
    concat!("CARGO_", "REGISTRIES"),
];
/// Where lock files say that packages come from.
const SOURCES: [(&str, &str); 3] = [
    ("registry=", "registry=https://registry.npmjs.org/"),
    ("source = \"", "source = \"registry+https://github.com/rust-lang/crates.io-index\""),
    ("\"resolved\": \"", "\"resolved\": \"https://registry.npmjs.org/"),
];

/// What a file's text says against the rule.
pub fn faults(text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if HOMES.iter().any(|home| names(line, home)) {
            faults.push((at + 1, "names a folder of somebody's machine".to_owned()));
        }
        if REGISTRIES.iter().any(|setting| line.contains(setting)) {
            faults.push((at + 1, "says where packages come from".to_owned()));
        }
        let line = line.trim_start();
        if SOURCES.iter().any(|(start, public)| line.starts_with(start) && !line.starts_with(public)) {
            faults.push((at + 1, "locks a package that is not from the public registry".to_owned()));
        }
    }
    faults
}

/// Whether a path begins so here, rather than goes through a folder of that name.
fn names(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-*}".contains(before)))
}

/// Every file of the project, without what `.gitignore` leaves out.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(str::trim).filter(|line| !line.is_empty()).chain([".git"]).collect();
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let inside = path.strip_prefix(root).unwrap_or(&path);
            if ignored.iter().any(|pattern| is_ignored(inside, pattern)) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The part of gitignore(5) that the project's file uses: names, rooted paths, `*.ending`.
fn is_ignored(path: &Path, pattern: &str) -> bool {
    let bare = pattern.trim_matches('/');
    if let Some(ending) = bare.strip_prefix('*') {
        return path.to_string_lossy().ends_with(ending);
    }
    if pattern.trim_end_matches('/').contains('/') { path == Path::new(bare) } else { path.file_name().is_some_and(|name| name == bare) }
}
