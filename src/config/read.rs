//! Reading: file first, environment over it, every fault collected with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::settings::{Draft, SECRET, SETTINGS, Setting};
use super::value::Raw;
use super::{Config, TEXT_MAX};

/// Longest part of a wrong value that an error shows, in characters.
const SHOWN_MAX: usize = 60;
/// Most faults that are kept; more would hide the first ones.
const FAULTS_MAX: usize = 100;

/// What the configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The file's name for messages, with its text.
    pub file: Option<(&'a str, &'a str)>,
    /// All environment variables; only those that start with `KONSIL_` count.
    pub environment: &'a BTreeMap<String, String>,
    /// Processors of this machine.
    pub cores: usize,
}

/// One fault with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line of the file, from 1; 0 for a variable.
    line: usize,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All faults, in the order of the file, those of variables after them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Fault>);

/// Where a value came from, as messages name it.
pub(super) struct Origin {
    line: usize,
    /// `config/konsil.toml:12: media.workers = 99` or `KONSIL_MEDIA_WORKERS=99`
    place: String,
}

impl Origin {
    fn fault(&self, rule: &str) -> Fault {
        Fault { line: self.line, text: format!("{}: {rule}", self.place) }
    }
}

/// Reads and checks everything.
///
/// # Errors
/// Every fault found, each of which names file, line and key or the variable, what was wrong and what would be right.
pub fn read(sources: &Sources<'_>) -> Result<Config, ConfigErrors> {
    let mut reader = Reader { draft: Draft::new(sources.cores), given: BTreeMap::new(), faults: Vec::new() };
    if let Some((name, text)) = sources.file {
        reader.file(&File { name, text });
    }
    reader.environment(sources.environment);
    let (config, broken) = reader.draft.finish(&reader.given);
    let mut faults = reader.faults;
    faults.extend(broken.into_iter().map(|(key, rule)| match reader.given.get(key) {
        Some(origin) => origin.fault(rule),
        None => Fault { line: 0, text: format!("{key}: {rule}") },
    }));
    faults.sort_by_key(|fault| (fault.line == 0, fault.line));
    faults.truncate(FAULTS_MAX);
    if faults.is_empty() { Ok(config) } else { Err(ConfigErrors(faults)) }
}

struct File<'a> {
    name: &'a str,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&self, at: usize, what: &str) -> Fault {
        let line = self.line(at);
        Fault { line, text: format!("{}:{line}: {what}", self.name) }
    }

    fn origin(&self, key: &str, span: Range<usize>) -> Origin {
        let line = self.line(span.start);
        let value = shown(key, self.text.get(span).unwrap_or_default());
        Origin { line, place: format!("{}:{line}: {key} = {value}", self.name) }
    }
}

fn shown(key: &str, value: &str) -> String {
    if SECRET.contains(&key) {
        return "…".to_owned();
    }
    let line = value.split('\n').next().unwrap_or_default();
    let mut text: String = line.chars().filter(|letter| !letter.is_control()).take(SHOWN_MAX).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text
}

struct Reader {
    draft: Draft,
    given: BTreeMap<&'static str, Origin>,
    faults: Vec<Fault>,
}

impl Reader {
    fn file(&mut self, file: &File<'_>) {
        if file.text.len() > TEXT_MAX {
            self.faults.push(file.fault(0, &format!("the file must have at most {TEXT_MAX} bytes")));
            return;
        }
        let (table, errors) = DeTable::parse_recoverable(file.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.faults.push(file.fault(at, &format!("this is not TOML: {}", error.message())));
        }
        // What the parser guessed behind a fault would only bring faults that are none.
        if !errors.is_empty() {
            return;
        }
        for (section, value) in table.get_ref() {
            let at = section.span().start;
            let section = section.get_ref().as_ref();
            if let Ok(setting) = find(section) {
                let origin = file.origin(setting.name, value.span());
                self.set(setting, &Raw::Toml(value.get_ref()), origin);
                continue;
            }
            if !sections().any(|known| known == section) {
                let near = nearest(section, sections());
                self.faults.push(file.fault(at, &format!("[{section}]: unknown section; did you mean [{near}]?")));
                continue;
            }
            let DeValue::Table(keys) = value.get_ref() else {
                self.faults.push(file.fault(at, &format!("{section}: must be a section, [{section}], with keys below it")));
                continue;
            };
            for (key, value) in keys {
                let name = format!("{section}.{}", key.get_ref());
                match find(&name) {
                    Ok(setting) => {
                        let origin = file.origin(setting.name, value.span());
                        self.set(setting, &Raw::Toml(value.get_ref()), origin);
                    }
                    Err(rule) => self.faults.push(file.fault(key.span().start, &format!("{name}: {rule}"))),
                }
            }
        }
    }

    fn environment(&mut self, environment: &BTreeMap<String, String>) {
        for (variable, value) in environment {
            let Some((section, key)) = split(variable) else { continue };
            let alone = key.is_empty() && find(&section).is_ok();
            if !alone && !is_section(&section) {
                continue;
            }
            let name = if alone { section } else { format!("{section}.{}", key.to_ascii_lowercase()) };
            match find(&name) {
                Ok(setting) => {
                    let origin = Origin { line: 0, place: format!("{variable}={}", shown(setting.name, value)) };
                    self.set(setting, &Raw::Variable(value), origin);
                }
                Err(rule) => self.faults.push(Fault { line: 0, text: format!("{variable}: {rule}") }),
            }
        }
    }

    fn set(&mut self, setting: &Setting, raw: &Raw<'_>, origin: Origin) {
        if let Err(rule) = (setting.set)(&mut self.draft, raw) {
            self.faults.push(origin.fault(&rule));
        }
        self.given.insert(setting.name, origin);
    }
}

/// Whether an environment variable looks like a setting of Konsil's, but has a section that does not exist.
#[must_use]
pub fn is_strange(variable: &str) -> bool {
    split(variable).is_some_and(|(section, key)| !key.is_empty() && !is_section(&section))
}

/// The section and the key that a variable of ours names.
fn split(variable: &str) -> Option<(String, &str)> {
    let rest = variable.strip_prefix("KONSIL_")?;
    let (section, key) = rest.split_once('_').unwrap_or((rest, ""));
    Some((section.to_ascii_lowercase(), key))
}

fn is_section(name: &str) -> bool {
    sections().any(|known| known == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|setting| setting.name.split_once('.')).map(|(section, _)| section)
}

fn find(name: &str) -> Result<&'static Setting, String> {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| format!("unknown key; did you mean {}?", nearest(name, SETTINGS.iter().map(|setting| setting.name))))
}

/// The known name with the fewest letters to change.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    // A name as long as a whole file would make the comparison slow.
    let name: String = name.chars().take(SHOWN_MAX).collect();
    known.min_by_key(|known| strsim::damerau_levenshtein(&name, known)).unwrap_or_default()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
