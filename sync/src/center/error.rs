//! What can go wrong between this node and the center, and what the caller can do about it.

use clickhouse::error::Error as Library;

use super::codes;

/// The error of every call to the center.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot stand: mend `[clickhouse]` and start again.
    #[error("{0}")]
    Config(String),
    /// The database was made otherwise than this program would make it. Nothing was changed: do what the words say.
    #[error("{0}")]
    Conflict(String),
    /// Nothing was heard within the time given. The query may still be carried out: send the same again.
    #[error("clickhouse: {what}: no answer within {after_ms} ms")]
    TimedOut {
        /// What was being done.
        what: &'static str,
        /// How long was waited, in milliseconds.
        after_ms: u128,
    },
    /// The connection failed or broke. The query may have been carried out: send the same again.
    #[error("clickhouse: {what}: {detail}")]
    Network {
        /// What was being done.
        what: &'static str,
        /// What the network said.
        detail: String,
    },
    /// ClickHouse, or something between it and this node, answered with an error.
    #[error("clickhouse: {what}: {message}")]
    Refused {
        /// What was being done.
        what: &'static str,
        /// ClickHouse's code; `None` when the answer is not ClickHouse's, or has none.
        code: Option<u32>,
        /// Its words, as long as they are readable.
        message: String,
    },
    /// The answer has another shape than what was asked for: the tables are other than ours, or the server is.
    #[error("clickhouse: {what}: the answer cannot be read: {detail}")]
    Unreadable {
        /// What was being done.
        what: &'static str,
        /// What did not fit.
        detail: String,
    },
}

/// The result of every call to the center.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error asks of whoever sent the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It passes by itself: send the same again after a while, for as long as it takes.
    Transient,
    /// It passes when somebody mends something; the word is the reason of a stall ([`super::SCHEMA`] and others).
    Systemic(&'static str),
    /// A row cannot be read, if the tables are as they should be.
    Poison,
    /// Not known: send the same again for a while, then call for help.
    Unknown,
}

/// The longest part of the server's words that is kept, in bytes.
const MESSAGE_MAX: usize = 600;

impl Error {
    /// ClickHouse's error code, where it gave one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Config(_) | Self::Conflict(_) => Class::Systemic(codes::PREFLIGHT),
            Self::TimedOut { .. } | Self::Network { .. } => Class::Transient,
            Self::Refused { code: Some(code), .. } => codes::class(*code),
            Self::Refused { code: None, message, .. } if is_busy(message) => Class::Transient,
            Self::Refused { code: None, .. } => Class::Unknown,
            Self::Unreadable { .. } => Class::Systemic(codes::SCHEMA),
        }
    }

    /// Whether the server asks for fewer and larger inserts.
    pub fn wants_larger_inserts(&self) -> bool {
        self.code() == Some(252)
    }

    /// Takes an error of the library.
    pub(super) fn of(what: &'static str) -> impl Fn(Library) -> Self {
        move |error| match error {
            Library::BadResponse(message) => {
                Self::Refused { what, code: codes::find(&message), message: shortened(&message) }
            }
            Library::Network(cause) => Self::Network { what, detail: chain(&*cause) },
            Library::TimedOut => Self::Network { what, detail: "no answer in time".to_owned() },
            // What the library wraps of the operating system, and a broken frame of the compression.
            error @ (Library::Other(_) | Library::Custom(_) | Library::Compression(_) | Library::Decompression(_)) => {
                Self::Network { what, detail: chain(&error) }
            }
            Library::InvalidParams(cause) => Self::Config(format!("clickhouse: {what}: {cause}")),
            Library::Unsupported(detail) => Self::Config(format!("clickhouse: {what}: {detail}")),
            other => Self::Unreadable { what, detail: other.to_string() },
        }
    }
}

/// Whether a proxy in front of ClickHouse says to come back later.
fn is_busy(message: &str) -> bool {
    ["429 Too Many", "502 Bad Gateway", "503 Service", "504 Gateway"].iter().any(|words| message.contains(words))
}

/// The beginning of the server's words, on one line.
fn shortened(message: &str) -> String {
    let end = message.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= MESSAGE_MAX);
    let kept = &message[..end.last().unwrap_or(0)];
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes: hyper's own words are only "client error".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    shortened(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Error {
        Error::of("a test")(Library::BadResponse(message.to_owned()))
    }

    #[test]
    fn each_kind_of_failure_asks_for_its_own_answer() {
        let cases = [
            (refused("Code: 252. DB::Exception: Too many parts."), Class::Transient),
            (refused("Code: 60. DB::Exception: Table edgefeed.events does not exist."), Class::Systemic("schema")),
            (refused("Code: 516. DB::Exception: default: Authentication failed"), Class::Systemic("auth")),
            (refused("Code: 33. DB::Exception: Cannot read all data."), Class::Poison),
            (refused("Code: 49. DB::Exception: Logical error"), Class::Unknown),
            (refused("<html><h1>502 Bad Gateway</h1>"), Class::Transient),
            (refused("<html>Who are you?</html>"), Class::Unknown),
            (Error::of("a test")(Library::TimedOut), Class::Transient),
            (Error::of("a test")(Library::Network("reset".into())), Class::Transient),
            (Error::of("a test")(Library::NotEnoughData), Class::Systemic("schema")),
        ];
        for (error, class) in cases {
            assert_eq!(error.class(), class, "{error}");
        }
        assert!(refused("Code: 252. DB::Exception: Too many parts.").wants_larger_inserts());
    }

    #[test]
    fn a_long_answer_is_shortened_to_one_line_between_letters() {
        let error = refused(&format!("Code: 60. DB::Exception:\n{}", "ä".repeat(10_000)));
        assert_eq!(error.code(), Some(60));
        assert!(error.to_string().len() < MESSAGE_MAX + 40 && !error.to_string().contains('\n'));
    }
}
