//! What is asked and answered, as it travels between a running node and the command line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use edgefeed_storage::model::DeadReason;
use edgefeed_storage::{DeadLetter, LetterLine};
use serde::{Deserialize, Serialize};

use crate::feed::time::rfc3339;

/// Which dead letters to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Of one topic, by Kafka's name or ours.
    pub topic: Option<String>,
    /// With one reason.
    pub reason: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// Where the list before ended.
    pub cursor: Option<String>,
}

/// Dead letters, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// One line each.
    pub letters: Vec<Line>,
    /// Where to go on; `None` at the end.
    pub cursor: Option<String>,
}

/// A dead letter without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `<topic>-<partition>-<offset>`.
    pub key: String,
    /// Kafka's record time.
    pub time: String,
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong.
    pub detail: String,
    /// The length of the record's value, in bytes.
    pub bytes: u64,
}

impl Line {
    pub(super) fn new(key: String, line: LetterLine) -> Self {
        let LetterLine { place, reason, detail, value_bytes } = line;
        Self { key, time: rfc3339(place.time), reason, detail, bytes: value_bytes }
    }
}

/// How many dead letters there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By topic and reason.
    pub counts: Vec<Count>,
    /// Together.
    pub total: u64,
}

/// How many of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The topic's Kafka name.
    pub topic: String,
    /// The class of the fault.
    pub reason: DeadReason,
    /// How many.
    pub count: u64,
}

/// A dead letter, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// `<topic>-<partition>-<offset>`.
    pub key: String,
    /// The topic's Kafka name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
    /// Kafka's record time.
    pub time: String,
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong.
    pub detail: String,
    /// The record's key; `None` when it had none.
    pub record_key: Option<Bytes>,
    /// The record's value; `None` when it had none.
    pub value: Option<Bytes>,
}

impl Shown {
    pub(super) fn new(key: String, topic: &str, partition: u32, offset: i64, letter: DeadLetter) -> Self {
        let DeadLetter { reason, detail, time, key: record_key, value } = letter;
        Self {
            key,
            topic: topic.to_owned(),
            partition,
            offset,
            time: rfc3339(time),
            reason,
            detail,
            record_key: record_key.map(Bytes::new),
            value: value.map(Bytes::new),
        }
    }
}

/// Bytes in JSON: as text where they are UTF-8, else in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// UTF-8.
    Text(String),
    /// Anything else, in base64 with padding.
    Base64(String),
}

impl Bytes {
    fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(BASE64.encode(error.as_bytes())),
        }
    }

    /// The bytes as they were; `None` when what claims to be base64 is not.
    pub fn to_vec(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.as_bytes().to_vec()),
            Self::Base64(text) => BASE64.decode(text).ok(),
        }
    }
}

/// Which dead letters to drop: one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropOrder {
    /// These.
    pub keys: Vec<String>,
    /// Those of one topic, and of one reason where that is given.
    pub topic: Option<String>,
    /// Those of one reason.
    pub reason: Option<String>,
    /// All.
    pub all: bool,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many there were.
    pub dropped: u64,
}

/// Up to where the bad records of a partition are accepted now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// `<topic>-<partition>`.
    pub partition: String,
    /// The last offset that is accepted.
    pub through: i64,
    /// What was accepted before.
    pub before: Option<i64>,
}
