//! The shells around a row: Debezium's envelope, the flattened record, the flat form, and the JSON converter's
//! `schema`/`payload` around any of them.

use std::borrow::Cow;

use edgefeed_storage::model::{DeadReason, Refusal};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::refuse::{malformed, refuse};
use super::scalar::Scalar;

/// The top level of a change record. A table's own columns may stand beside these (flattened records).
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) schema: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) op: Option<Scalar<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) before: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) after: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) ts_ms: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    pub(super) table: Option<Scalar<'a>>,
    /// Transaction metadata (`BEGIN`/`END`) has these two and no row.
    #[serde(borrow, default)]
    pub(super) status: Option<Scalar<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) data_collections: Option<&'a RawValue>,
    // What ExtractNewRecordState adds, by the names `add.fields` gives with and without the `source.` in front.
    #[serde(borrow, default, rename = "__op")]
    pub(super) flat_op: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__deleted")]
    pub(super) flat_deleted: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__lsn")]
    pub(super) flat_lsn: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__source_lsn")]
    pub(super) flat_source_lsn: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__source_sequence")]
    pub(super) flat_sequence: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__table")]
    pub(super) flat_table: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__source_table")]
    pub(super) flat_source_table: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__source_ts_ms")]
    pub(super) flat_source_ts_ms: Option<Scalar<'a>>,
    #[serde(borrow, default, rename = "__ts_ms")]
    pub(super) flat_ts_ms: Option<Scalar<'a>>,
}

/// What an envelope says of a record's origin.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Source<'a> {
    #[serde(borrow, default)]
    pub(super) lsn: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    pub(super) sequence: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    pub(super) ts_ms: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    pub(super) table: Option<Scalar<'a>>,
}

impl<'a> Body<'a> {
    /// Reads the top level of a JSON object.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|error| malformed(&error))
    }

    /// Whether the record carries an envelope rather than the columns of a row.
    pub(super) fn is_envelope(&self) -> bool {
        self.op.is_some() || self.before.is_some() || self.after.is_some()
    }

    /// Whether this is the metadata of a transaction: `BEGIN` or `END`, no row.
    pub(super) fn is_transaction(&self) -> bool {
        self.data_collections.is_some() && matches!(self.status.as_ref().and_then(Scalar::text), Some("BEGIN" | "END"))
    }
}

impl<'a> Source<'a> {
    /// Reads `source`; one that is null or no object says nothing.
    pub(super) fn parse(raw: Option<&'a RawValue>) -> Result<Self, Refusal> {
        match raw.map(RawValue::get) {
            Some(text) if text.starts_with('{') => serde_json::from_str(text).map_err(|error| malformed(&error)),
            _ => Ok(Self::default()),
        }
    }
}

/// The text of an object that stands in a record as an object, as a JSON string of one, or as null.
pub(super) fn object_text<'a>(raw: Option<&'a RawValue>, field: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(text) = raw.map(RawValue::get).filter(|text| *text != "null") else {
        return Ok(None);
    };
    if text.starts_with('{') {
        return Ok(Some(Cow::Borrowed(text)));
    }
    if text.starts_with('"') {
        let inner: String = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        match inner.trim_ascii() {
            "null" | "" => return Ok(None),
            object if object.starts_with('{') => return Ok(Some(Cow::Owned(object.to_owned()))),
            _ => {}
        }
    }
    refuse(DeadReason::BadValue, || format!("`{field}` is neither an object nor null"))
}

/// Keeps "there, and null" apart from "not there".
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
