//! Making refusals: short words for a person, built only when a record is refused.

use edgefeed_storage::model::{DeadReason, Refusal};

/// How much of a foreign value is quoted in a refusal, in characters.
const QUOTE_CHARS: usize = 80;

/// Refuses with a reason; the words are put together only now.
pub(super) fn refuse<T>(reason: DeadReason, detail: impl FnOnce() -> String) -> Result<T, Refusal> {
    Err(Refusal { reason, detail: detail() })
}

/// Refuses because a field that must be there is absent or null.
pub(super) fn missing<T>(field: &str) -> Result<T, Refusal> {
    refuse(DeadReason::MissingField, || format!("`{field}` is absent or null"))
}

/// Refuses bytes that are not the JSON they should be.
pub(super) fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal { reason: DeadReason::Malformed, detail: error.to_string() }
}

/// A foreign text, cut to a length that is fit for a log line.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS).flat_map(char::escape_default).collect();
    if text.chars().nth(QUOTE_CHARS).is_some() {
        quoted.push('…');
    }
    quoted
}
