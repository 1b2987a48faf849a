//! The crate as a tree of modules, each with its file.

use std::fs;
use std::path::{Path, PathBuf};

use super::scan::{Facts, scan};

/// A module in a file.
pub struct Module {
    /// From the crate root; empty for the root itself.
    pub path: Vec<String>,
    pub file: PathBuf,
    pub facts: Facts,
}

/// Every module file that the crate of `root` holds.
pub fn modules(root: &Path) -> Result<Vec<Module>, String> {
    let mut found = Vec::new();
    visit(root.to_owned(), Vec::new(), false, &mut found)?;
    Ok(found)
}

fn visit(file: PathBuf, path: Vec<String>, test: bool, found: &mut Vec<Module>) -> Result<(), String> {
    let source = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let facts = scan(&source, &path, test).map_err(|error| format!("{}: {error}", file.display()))?;
    let folder = folder_of(&file, &path);
    for module in &facts.modules {
        let child: Vec<String> = path.iter().cloned().chain([module.name.clone()]).collect();
        let candidates = match &module.file {
            Some(named) => vec![file.with_file_name(named)],
            None => vec![folder.join(format!("{}.rs", module.name)), folder.join(&module.name).join("mod.rs")],
        };
        let next = candidates.into_iter().find(|candidate| candidate.is_file());
        let next = next.ok_or_else(|| format!("{}: mod {} has no file", file.display(), module.name))?;
        visit(next, child, module.test, found)?;
    }
    found.push(Module { path, file, facts });
    Ok(())
}

/// Where the files of a module's children stand.
fn folder_of(file: &Path, path: &[String]) -> PathBuf {
    let own = file.file_name().is_some_and(|name| name == "mod.rs") || path.is_empty();
    if own { file.with_file_name("") } else { file.with_extension("") }
}

/// Every `.rs` file below a folder, sorted.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
