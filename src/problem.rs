//! What is wrong with a configuration, in one line: what, where, and the mend.

use std::fmt;

use serde::Serialize;

/// One value that cannot stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The key, as `section.key`; empty when the source as a whole is at fault.
    pub key: String,
    /// What is wrong. Never the value of a secret.
    pub message: String,
    /// What to do about it.
    pub mend: String,
    /// Where the value came from: `default`, `file …`, `env …` or `flag …`.
    pub source: String,
}

impl Problem {
    /// A problem of a value; the loader adds where the value came from.
    pub fn new(key: &str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), mend: mend.into(), source: "default".to_owned() }
    }

    /// The same problem, found in this source.
    pub fn from(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} ({}); {}", self.message, self.source, self.mend)
    }
}

/// Notes a problem unless `value` lies between `min` and `max`, both included.
pub fn within<T>(problems: &mut Vec<Problem>, key: &str, value: T, min: T, max: T)
where
    T: PartialOrd + fmt::Display,
{
    if value < min || value > max {
        problems.push(Problem::new(
            key,
            format!("must lie between {min} and {max}, is {value}"),
            "set a value in that range",
        ));
    }
}
