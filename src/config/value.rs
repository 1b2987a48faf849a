//! One value from the file or the environment, read as the type that its setting wants.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::de::DeValue;

use super::LIST_MAX;

/// A value before it is checked.
pub(super) enum Raw<'a> {
    /// From the file.
    Toml(&'a DeValue<'a>),
    /// From an environment variable; lists are separated by commas.
    Variable(&'a str),
}

impl Raw<'_> {
    /// A text.
    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Toml(value) => value.as_str().map(str::to_owned).ok_or_else(|| "must be a text in quotes".to_owned()),
            Self::Variable(text) => Ok((*text).trim().to_owned()),
        }
    }

    /// A text that `T` reads; `rule` says what is right.
    pub(super) fn parsed<T: FromStr>(&self, rule: &str) -> Result<T, String> {
        self.text().ok().and_then(|text| text.parse().ok()).ok_or_else(|| rule.to_owned())
    }

    /// As `parsed`, where an empty text means "none".
    pub(super) fn optional<T: FromStr>(&self, rule: &str) -> Result<Option<T>, String> {
        if self.text()?.is_empty() { Ok(None) } else { self.parsed(rule).map(Some) }
    }

    /// A list of texts that `T` reads.
    pub(super) fn list<T: FromStr>(&self, rule: &str) -> Result<Vec<T>, String> {
        let texts: Option<Vec<String>> = match self {
            Self::Toml(value) => {
                value.as_array().and_then(|list| list.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect())
            }
            Self::Variable(text) if text.trim().is_empty() => Some(Vec::new()),
            Self::Variable(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
        };
        let texts = texts.ok_or_else(|| "must be a list of texts such as [\"…\", \"…\"]".to_owned())?;
        if texts.len() > LIST_MAX {
            return Err(format!("must have at most {LIST_MAX} entries"));
        }
        texts.iter().map(|text| text.parse().map_err(|_| format!("each entry {rule}"))).collect()
    }

    /// A whole number in a range.
    pub(super) fn number<T>(&self, range: RangeInclusive<T>) -> Result<T, String>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = match self {
            Self::Toml(value) => value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok()),
            Self::Variable(text) => text.trim().parse().ok(),
        };
        let number = number.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number between {} and {}", range.start(), range.end()))
    }

    /// True or false.
    pub(super) fn flag(&self) -> Result<bool, String> {
        let flag = match self {
            Self::Toml(value) => value.as_bool(),
            Self::Variable(text) => text.trim().parse().ok(),
        };
        flag.ok_or_else(|| "must be true or false".to_owned())
    }
}
