//! Rust source as the facts that the rules ask for, read from its tokens so that macro bodies count too.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A path with two segments or more, or any path of a `use`.
pub struct PathFact {
    pub line: usize,
    pub test: bool,
    /// As written; `*` for a glob, an empty first segment after a type in angle brackets.
    pub written: Vec<String>,
    /// From the crate root, if it begins with `crate`, `self` or `super`.
    pub inside: Option<Vec<String>>,
}

/// A single name.
pub struct NameFact {
    pub line: usize,
    pub test: bool,
    pub name: String,
    /// What follows is `!`.
    pub called_as_macro: bool,
    /// What stands before is `.`, or it is the last segment of a path, and what follows are parentheses.
    pub called: bool,
    /// What stands before is `fn`.
    pub defined: bool,
}

/// A function with a body.
pub struct FunctionFact {
    pub line: usize,
    pub name: String,
    /// From the line of `fn` to that of the closing brace.
    pub lines: usize,
}

/// A module in a file of its own.
pub struct ModuleFact {
    pub name: String,
    pub test: bool,
    /// What `#[path]` says.
    pub file: Option<String>,
}

/// What one file says.
#[derive(Default)]
pub struct Facts {
    pub paths: Vec<PathFact>,
    pub names: Vec<NameFact>,
    pub functions: Vec<FunctionFact>,
    pub modules: Vec<ModuleFact>,
}

/// Reads a file that stands at `module`, whose code is all test code if `test`.
pub fn scan(source: &str, module: &[String], test: bool) -> Result<Facts, String> {
    let stream: TokenStream = source.parse().map_err(|error| format!("is not Rust: {error}"))?;
    let mut facts = Facts::default();
    walk(stream, module, test, &mut facts);
    Ok(facts)
}

/// One level of braces.
struct Level<'a> {
    tokens: Vec<TokenTree>,
    module: &'a [String],
    /// What `#[path]` of the item that begins says.
    file: Option<String>,
}

fn walk(stream: TokenStream, module: &[String], test: bool, facts: &mut Facts) {
    let mut level = Level { tokens: stream.into_iter().collect(), module, file: None };
    let (mut at, mut item_test) = (0, false);
    while at < level.tokens.len() {
        let test = test || item_test;
        match &level.tokens[at] {
            TokenTree::Group(group) => {
                let before = at.checked_sub(1).map(|before| &level.tokens[before]);
                if before.is_some_and(|token| is_word(token, "use")) {
                    level.branches(group, &[], test, facts);
                } else {
                    if before.is_some_and(|token| is_punct(token, '#')) {
                        item_test |= is_test_attribute(group);
                        level.file = path_attribute(group).or(level.file.take());
                    } else if group.delimiter() == Delimiter::Brace {
                        item_test = false;
                    }
                    walk(group.stream(), module, test, facts);
                }
                at += 1;
            }
            TokenTree::Punct(punct) => {
                if punct.as_char() == ';' {
                    item_test = false;
                    level.file = None;
                }
                at += 1;
            }
            TokenTree::Ident(_) => at = level.ident(at, test, &mut item_test, facts),
            TokenTree::Literal(_) => at += 1,
        }
    }
}

impl Level<'_> {
    /// Reads what begins with the identifier at `at`. Returns where to go on.
    fn ident(&mut self, at: usize, test: bool, item_test: &mut bool, facts: &mut Facts) -> usize {
        let name = self.tokens[at].to_string();
        let next = |n: usize| self.tokens.get(at + n);
        if name == "mod"
            && let Some(TokenTree::Ident(child)) = next(1)
        {
            let child = child.to_string();
            if let Some(TokenTree::Group(body)) = next(2) {
                let inner: Vec<String> = self.module.iter().cloned().chain([child]).collect();
                walk(body.stream(), &inner, test, facts);
                *item_test = false;
                return at + 3;
            }
            facts.modules.push(ModuleFact { name: child, test, file: self.file.take() });
            return at + 2;
        }
        if name == "fn"
            && let Some(TokenTree::Ident(_)) = next(1)
        {
            self.function(at, facts);
        }
        let used = at > 0 && is_word(&self.tokens[at - 1], "use");
        let after_colons = at > 1 && is_punct(&self.tokens[at - 1], ':') && is_joint(&self.tokens[at - 2], ':');
        let start = if after_colons { vec![String::new(), name] } else { vec![name] };
        self.note_name(at, test, facts);
        self.path(at, start, used, test, facts)
    }

    /// Follows a path from the segment at `at`. Returns the place behind it.
    fn path(&self, mut at: usize, mut written: Vec<String>, used: bool, test: bool, facts: &mut Facts) -> usize {
        let line = line_of(&self.tokens[at]);
        loop {
            let colons = self.tokens.get(at + 1).is_some_and(|token| is_joint(token, ':'))
                && self.tokens.get(at + 2).is_some_and(|token| is_punct(token, ':'));
            match self.tokens.get(at + 3).filter(|_| colons) {
                Some(TokenTree::Ident(segment)) => {
                    written.push(segment.to_string());
                    at += 3;
                    self.note_name(at, test, facts);
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                    written.push("*".to_owned());
                    at += 3;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branches(group, &written, test, facts);
                    return at + 4;
                }
                _ => break,
            }
        }
        if used || written.len() > 1 {
            let inside = self.resolve(&written);
            facts.paths.push(PathFact { line, test, written, inside });
        }
        at + 1
    }

    /// The branches of a `use` tree.
    fn branches(&self, group: &Group, stem: &[String], test: bool, facts: &mut Facts) {
        let inner = Level { tokens: group.stream().into_iter().collect(), module: self.module, file: None };
        let mut fresh = true;
        let mut at = 0;
        while at < inner.tokens.len() {
            match &inner.tokens[at] {
                TokenTree::Ident(name) if fresh => {
                    fresh = false;
                    let mut written = stem.to_vec();
                    // `a::{self}` names `a`.
                    if name != "self" {
                        written.push(name.to_string());
                    }
                    inner.note_name(at, test, facts);
                    at = inner.path(at, written, true, test, facts);
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ',' => fresh = true,
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    let written: Vec<String> = stem.iter().cloned().chain(["*".to_owned()]).collect();
                    let inside = self.resolve(&written);
                    facts.paths.push(PathFact { line: line_of(&inner.tokens[at]), test, written, inside });
                }
                TokenTree::Group(group) if fresh => inner.branches(group, stem, test, facts),
                _ => {}
            }
            at += 1;
        }
    }

    /// A path from the crate root; climbing above it stays there.
    fn resolve(&self, written: &[String]) -> Option<Vec<String>> {
        let mut inside = match written.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.to_vec(),
            _ => return None,
        };
        for segment in written {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(inside.pop()),
                name => inside.push(name.to_owned()),
            }
        }
        Some(inside)
    }

    fn note_name(&self, at: usize, test: bool, facts: &mut Facts) {
        let before = at.checked_sub(1).map(|before| &self.tokens[before]);
        let parentheses = matches!(self.tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        facts.names.push(NameFact {
            line: line_of(&self.tokens[at]),
            test,
            name: self.tokens[at].to_string(),
            called_as_macro: self.tokens.get(at + 1).is_some_and(|token| is_punct(token, '!')),
            called: parentheses,
            defined: before.is_some_and(|token| is_word(token, "fn")),
        });
    }

    fn function(&self, at: usize, facts: &mut Facts) {
        let body = self.tokens[at..].iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(Some(group)),
            TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
            _ => None,
        });
        if let Some(Some(body)) = body {
            let line = line_of(&self.tokens[at]);
            let lines = body.span_close().end().line + 1 - line;
            facts.functions.push(FunctionFact { line, name: self.tokens[at + 1].to_string(), lines });
        }
    }
}

fn line_of(token: &TokenTree) -> usize {
    token.span().start().line
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_joint(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted && punct.spacing() == Spacing::Joint)
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`.
fn is_test_attribute(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "test" || text == "cfg(test)" || text.starts_with("tokio::test")
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attribute: &Group) -> Option<String> {
    let text = attribute.stream().to_string();
    let value = text.strip_prefix("path")?.trim_start().strip_prefix('=')?;
    Some(value.trim().trim_matches('"').to_owned())
}
