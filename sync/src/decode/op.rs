//! What a change record says was done.

use edgefeed_storage::model::{DeadReason, Refusal};

use super::refuse::refuse;
use super::scalar::Scalar;

/// The operation of a change record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Create, update or snapshot read: the row is now this. State follows from states, so they need no telling apart.
    Upsert,
    Delete,
    Truncate,
    /// A logical message (`pg_logical_emit_message`): nothing about rows.
    Message,
}

/// Debezium's letters and the words other tools write for them, in any case.
const WORDS: [(&str, Op); 16] = [
    ("c", Op::Upsert),
    ("u", Op::Upsert),
    ("r", Op::Upsert),
    ("d", Op::Delete),
    ("t", Op::Truncate),
    ("m", Op::Message),
    ("create", Op::Upsert),
    ("insert", Op::Upsert),
    ("i", Op::Upsert),
    ("update", Op::Upsert),
    ("upsert", Op::Upsert),
    ("read", Op::Upsert),
    ("snapshot", Op::Upsert),
    ("delete", Op::Delete),
    ("truncate", Op::Truncate),
    ("message", Op::Message),
];

/// Reads an operation.
pub(super) fn op(value: &Scalar<'_>) -> Result<Op, Refusal> {
    let known =
        value.text().and_then(|text| WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, op)| *op));
    match known {
        Some(op) => Ok(op),
        None => refuse(DeadReason::UnknownOp, || format!("`op` is {value}")),
    }
}
