//! Standard output. A reader that has gone away (`edgefeed check | head`) is no failure.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::args::Output;
use crate::failure::Failure;

/// Writes a value as the caller wants it: for people, in the words of `words`, or for programs.
pub(super) fn shown<T: Serialize + ?Sized>(
    output: Output,
    value: &T,
    words: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match output {
        Output::Text => text(&words(value)),
        Output::Json => json(value),
    }
}

/// Writes text as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value as JSON, indented.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let written =
        serde_json::to_string_pretty(value).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
    text(&format!("{written}\n"))
}
