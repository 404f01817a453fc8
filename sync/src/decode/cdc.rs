//! Row changes, in every shape Debezium and its kin write them.
//!
//! The shapes differ only in where they keep the same five things: the operation, the table, the row, its key and
//! its version. [`change`] finds the shell, each shape fills a [`Found`], and the rest is common.

use std::borrow::Cow;

use edgefeed_storage::model::{Cdc, Change, DeadReason, Refusal, RowChange, RowKey, TimestampMs, Topic, Version};
use serde_json::value::RawValue;

use super::aside::Tray;
use super::columns::Columns;
use super::envelope::{Body, Source, object_text};
use super::op::{Op, op};
use super::refuse::{missing, refuse};
use super::scalar::Scalar;
use super::schema::unit_of;
use super::{Decode, Stamp};

/// The common parts of a change record.
struct Found<'a> {
    op: Op,
    table: Option<&'a Scalar<'a>>,
    lsn: Option<&'a Scalar<'a>>,
    /// `source.sequence`, which knows the log position of rows of an incremental snapshot.
    sequence: Option<&'a Scalar<'a>>,
    /// Commit or processing times in milliseconds, the most trusted first.
    times: [Option<&'a Scalar<'a>>; 2],
    /// Where the row as it is now is to be found.
    row: Option<&'a str>,
    /// Where the key of a deleted row is to be found besides the message key, the most trusted first.
    deleted: [Option<&'a str>; 2],
    /// Whether a message key of named columns is to be believed before `deleted`.
    key_first: bool,
    schema: Option<&'a RawValue>,
}

/// What decoding one record needs to know beside its body.
#[derive(Clone, Copy)]
struct Context<'a> {
    topic: Topic,
    stamp: Stamp,
    key: Option<&'a [u8]>,
    settings: &'a Decode,
    tray: Tray<'a>,
}

/// Reads one change record; `text` is a JSON object.
pub(super) fn change(
    topic: Topic,
    stamp: Stamp,
    key: Option<&[u8]>,
    text: &str,
    settings: &Decode,
    tray: Tray<'_>,
) -> Result<Change, Refusal> {
    let context = Context { topic, stamp, key, settings, tray };
    let root = Body::parse(text)?;
    if !is_wrapped(&root, text, context)? {
        return body_change(&root, text, root.schema, context);
    }
    match object_text(root.payload, "payload")? {
        None => Ok(Change::Nothing),
        Some(payload) => body_change(&Body::parse(&payload)?, &payload, root.schema, context),
    }
}

/// Whether the record is the JSON converter's `{"schema": …, "payload": …}`. A table may have a column `payload`
/// of its own, so without `schema` the record must show neither an operation nor a key.
fn is_wrapped(root: &Body<'_>, text: &str, context: Context<'_>) -> Result<bool, Refusal> {
    if root.payload.is_none() || root.is_envelope() {
        return Ok(root.payload.is_some() && root.schema.is_some());
    }
    let bare = root.flat_op.is_none() && root.flat_deleted.is_none();
    Ok(root.schema.is_some() || bare && !Columns::parse(text)?.names_key(context.topic, context.settings.ids))
}

fn body_change(
    body: &Body<'_>,
    text: &str,
    schema: Option<&RawValue>,
    context: Context<'_>,
) -> Result<Change, Refusal> {
    if body.is_transaction() {
        return Ok(Change::Nothing);
    }
    if !body.is_envelope() {
        return flattened(body, text, schema, context);
    }
    let Some(word) = &body.op else {
        return missing("op");
    };
    let before = object_text(body.before, "before")?;
    let after = object_text(body.after, "after")?;
    let source = Source::parse(body.source)?;
    finish(
        &Found {
            op: op(word)?,
            table: source.table.as_ref().or(body.table.as_ref()),
            lsn: source.lsn.as_ref(),
            sequence: source.sequence.as_ref(),
            times: [source.ts_ms.as_ref(), body.ts_ms.as_ref()],
            row: after.as_deref(),
            deleted: [before.as_deref(), after.as_deref()],
            key_first: false,
            schema,
        },
        context,
    )
}

/// A record of ExtractNewRecordState: the columns of the row are the record. In a delete every column but the key
/// may be a made-up zero.
fn flattened(body: &Body<'_>, text: &str, schema: Option<&RawValue>, context: Context<'_>) -> Result<Change, Refusal> {
    let columns = Columns::parse(text)?;
    let marked = body.flat_op.is_some() || body.flat_deleted.is_some();
    if !marked && body.ts_ms.is_some() && !columns.names_key(context.topic, context.settings.ids) {
        // A heartbeat: {"ts_ms": …} and no row.
        return Ok(Change::Nothing);
    }
    finish(
        &Found {
            op: flattened_op(body)?,
            table: body.flat_source_table.as_ref().or(body.flat_table.as_ref()),
            lsn: body.flat_source_lsn.as_ref().or(body.flat_lsn.as_ref()),
            sequence: body.flat_sequence.as_ref(),
            times: [body.flat_source_ts_ms.as_ref(), body.flat_ts_ms.as_ref()],
            row: Some(text),
            deleted: [Some(text), None],
            key_first: true,
            schema,
        },
        context,
    )
}

fn flattened_op(body: &Body<'_>) -> Result<Op, Refusal> {
    let deleted = match &body.flat_deleted {
        Some(Scalar::Bool(deleted)) => *deleted,
        Some(Scalar::Text(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    match &body.flat_op {
        _ if deleted => Ok(Op::Delete),
        Some(word) => op(word),
        None => Ok(Op::Upsert),
    }
}

fn finish(found: &Found<'_>, context: Context<'_>) -> Result<Change, Refusal> {
    if found.op == Op::Message {
        return Ok(Change::Nothing);
    }
    check_table(found.table, context.topic)?;
    let change = match found.op {
        Op::Truncate => RowChange::Truncate,
        Op::Delete => RowChange::Delete(deleted_key(found, context)?),
        _ => upsert(found, context)?,
    };
    let (version, commit_time) = version(found, context)?;
    Ok(Change::Cdc(Cdc { version, commit_time, change }))
}

fn check_table(table: Option<&Scalar<'_>>, topic: Topic) -> Result<(), Refusal> {
    match table {
        Some(name) if name.text() != topic.table() => refuse(DeadReason::TableMismatch, || {
            format!("the record is of table {name}, the topic carries {}", topic.name())
        }),
        _ => Ok(()),
    }
}

fn upsert(found: &Found<'_>, context: Context<'_>) -> Result<RowChange, Refusal> {
    let Some(text) = found.row else {
        return missing("after");
    };
    let ids = context.settings.ids;
    let columns = Columns::parse(text)?;
    let key = match columns.key(context.topic, ids) {
        Err(Refusal { reason: DeadReason::MissingField, detail }) => {
            message_key(context, true).unwrap_or(Err(Refusal { reason: DeadReason::MissingField, detail }))
        }
        key => key,
    }?;
    let unit = |column: &str| found.schema.and_then(|schema| unit_of(schema.get(), column));
    if let Some(tray) = context.tray {
        columns.aside(ids, unit, &mut tray.borrow_mut());
    }
    columns.row(key, ids, || unit("created_at")).map(RowChange::Upsert)
}

/// The key of a deleted row, from the first place that has it whole. When none has, the first complaint counts.
fn deleted_key(found: &Found<'_>, context: Context<'_>) -> Result<RowKey, Refusal> {
    let ids = context.settings.ids;
    let named = || found.key_first.then(|| message_key(context, false)).flatten();
    let body = |text: Option<&str>| text.map(|text| Columns::parse(text)?.key(context.topic, ids));
    let mut complaint = None;
    let places: [&dyn Fn() -> Option<Result<RowKey, Refusal>>; 4] =
        [&named, &|| body(found.deleted[0]), &|| body(found.deleted[1]), &|| message_key(context, true)];
    for place in places {
        match place() {
            Some(Ok(key)) => return Ok(key),
            Some(Err(refusal)) => complaint = complaint.or(Some(refusal)),
            None => {}
        }
    }
    complaint.map_or_else(|| missing("key"), Err)
}

/// The row key in the message key: an object, the JSON converter's `{"schema", "payload"}`, or (when `scalars`) a
/// single value, which names no column and is believed last.
fn message_key(context: Context<'_>, scalars: bool) -> Option<Result<RowKey, Refusal>> {
    let text = std::str::from_utf8(context.key?).ok()?.trim_ascii();
    let raw: Option<&RawValue> = serde_json::from_str(text).ok();
    let wrapped = raw.filter(|raw| raw.get().starts_with('{')).and_then(|_| Body::parse(text).ok()?.payload);
    let inner = wrapped.or(raw).map_or(text, RawValue::get);
    let columns = if inner.starts_with('{') {
        Columns::parse(inner)
    } else if scalars {
        // A bare UUID is no JSON: then the text itself is the key.
        Ok(Columns::of_scalar_key(serde_json::from_str(inner).unwrap_or(Scalar::Text(Cow::Borrowed(inner)))))
    } else {
        return None;
    };
    Some(columns.and_then(|columns| columns.key(context.topic, context.settings.ids)))
}

/// The version of the row and its commit time. A commit time ahead of every clock is cut back where the log
/// position decides, and refused where it would itself be the version: it would freeze the row.
fn version(found: &Found<'_>, context: Context<'_>) -> Result<(Version, TimestampMs), Refusal> {
    let Context { stamp, settings, .. } = context;
    let mut time = stamp.time_ms;
    for value in found.times.into_iter().flatten() {
        let Some(millis) = value.integer() else {
            return refuse(DeadReason::BadValue, || format!("`ts_ms` is {value}"));
        };
        // Sources without a clock write 0.
        if millis > 0 {
            time = millis;
            break;
        }
    }
    if let Some(lsn) = log_position(found)? {
        return Ok((Version::from_lsn(settings.cdc_epoch, lsn), time.min(stamp.latest())));
    }
    if time > stamp.latest() {
        return refuse(DeadReason::TimeOutOfRange, || {
            format!("`ts_ms` {time} is more than 5 minutes after the record's time, {}", stamp.time_ms)
        });
    }
    Ok((Version::from_time(settings.cdc_epoch, time, stamp.offset), time))
}

/// The log position of a change: its lsn, or where the log stood when an incremental snapshot read the row, which
/// such rows only tell in the last number of `source.sequence`.
fn log_position(found: &Found<'_>) -> Result<Option<u64>, Refusal> {
    let Some(lsn) = found.lsn else {
        return Ok(found.sequence.and_then(Scalar::text).and_then(last_of_sequence));
    };
    match lsn.integer().and_then(|lsn| u64::try_from(lsn).ok()) {
        Some(lsn) => Ok(Some(lsn)),
        None => refuse(DeadReason::BadValue, || format!("`lsn` is {lsn}")),
    }
}

/// The last number of `["<last commit>","<position>"]`, where either may be null.
fn last_of_sequence(sequence: &str) -> Option<u64> {
    let numbers: Vec<Option<Cow<'_, str>>> = serde_json::from_str(sequence).ok()?;
    numbers.last()?.as_deref()?.parse().ok()
}
