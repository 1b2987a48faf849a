//! The form of one file: its first line, its length, what it leaves unsaid.

use super::scan::Facts;

/// Most lines of a file.
const FILE_MAX: usize = 600;
/// Most lines of a function, from `fn` to the closing brace, comments counted.
const FUNCTION_MAX: usize = 70;
/// Words for what is not done. Joined here, so that this file does not say them.
const UNDONE: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
/// Macros for the same.
const UNDONE_MACROS: [&str; 2] = ["todo", "unimplemented"];
/// Ways to wait for time to pass instead of for what is awaited.
const SLEEPS: [&str; 5] = ["sleep", "sleep_ms", "sleep_until", "park_timeout", "usleep"];

/// What a file's text says against the rules.
pub fn faults(text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut lines = text.lines();
    match lines.next().and_then(|line| line.strip_prefix("//! ")) {
        None => faults.push((1, "does not begin with a //! line".to_owned())),
        Some(line) if line.contains(" and ") => faults.push((1, "its //! line needs \"and\": two ideas in one file".to_owned())),
        Some(_) => {}
    }
    if lines.next().is_some_and(|line| line.starts_with("//!")) {
        faults.push((2, "has more than one //! line".to_owned()));
    }
    let count = text.lines().count();
    if count > FILE_MAX {
        faults.push((count, format!("has {count} lines, over {FILE_MAX}")));
    }
    let undone = text.lines().enumerate().filter(|(_, line)| UNDONE.iter().any(|word| line.contains(word)));
    faults.extend(undone.map(|(at, _)| (at + 1, "says that something is not done".to_owned())));
    faults
}

/// What a file's code says against the rules. Code under test/ is `test` code throughout.
pub fn code_faults(facts: &Facts) -> Vec<(usize, String)> {
    let long = facts.functions.iter().filter(|function| function.lines > FUNCTION_MAX);
    let mut faults: Vec<_> =
        long.map(|function| (function.line, format!("fn {} has {} lines, over {FUNCTION_MAX}", function.name, function.lines))).collect();
    for name in &facts.names {
        let text = name.name.as_str();
        if name.called_as_macro && UNDONE_MACROS.contains(&text) {
            faults.push((name.line, format!("{text}!: something is not done")));
        }
        if text == "dead_code" {
            faults.push((name.line, "keeps dead code".to_owned()));
        }
        if name.test && name.called && !name.defined && SLEEPS.contains(&text) {
            faults.push((name.line, format!("{text}: a test waits for a condition or runs on virtual time")));
        }
    }
    faults
}
