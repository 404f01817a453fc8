//! What a row says, as one number: computed here from a record, and by the server from its table. Where the two differ,
//! the row was altered.
//!
//! The number is xxHash64 of the row's columns as text, `|` between them; of a version the 56 bits that the record tells,
//! since the operator may have raised the other eight. The range a row was inserted with is the sink's affair and left out.

use std::fmt::Write as _;

use edgefeed_storage::model::{Id, IdKind, TimestampMs, Version};
use xxhash_rust::xxh64::xxh64;

use crate::center::row::{CdcRow, EventRow, action, sent_time};
use crate::center::tables::Table;

/// The number as the server computes it.
pub(super) fn sql(table: Table) -> String {
    let ms = |column: &str| format!("toString(toUnixTimestamp64Milli({column}))");
    let id = |column: &str| format!("toString({column})");
    let text = |column: &str| format!("concat(toString(length({column})), ':', {column})");
    let parts = match table {
        Table::Events => vec![
            id("event_id"),
            ms("event_time"),
            id("user_id"),
            id("post_id"),
            "ifNull(toString(author_id), '-')".to_owned(),
            id("action"),
            id("dwell_ms"),
            text("device"),
            text("app_ver"),
        ],
        Table::Posts => vec![
            id("id"),
            id("user_id"),
            ms("created_at"),
            "ifNull(toString(toUnixTimestamp64Milli(deleted_at)), '-')".to_owned(),
        ],
        Table::Comments => vec![id("id"), id("post_id"), id("user_id"), ms("created_at")],
        Table::Follows => vec![id("follower_id"), id("following_id"), ms("created_at")],
        Table::Likes => vec![id("user_id"), id("post_id"), ms("created_at")],
        Table::Blocks => vec![id("blocker_id"), id("blocked_id"), ms("created_at")],
    };
    let version = match table {
        Table::Events => String::new(),
        _ => format!(", toString(bitAnd(_version, {})), toString(_deleted)", Version::MAX_VALUE),
    };
    format!("xxHash64(concatWithSeparator('|', {}{version}, {}))", parts.join(", "), ms("_ts"))
}

/// What a row of `events` says.
pub(crate) fn of_event(ids: IdKind, row: &EventRow<'_>, ts: TimestampMs) -> u64 {
    let event = row.event;
    let mut text = Text { ids, text: String::with_capacity(256) };
    text.put(uuid::Uuid::from_u128(event.event_id));
    text.time(event.event_time);
    text.id(event.user);
    text.id(event.post);
    match event.author {
        Some(author) => text.id(author),
        None => text.put('-'),
    }
    text.put(action(event.action));
    text.put(event.dwell_ms);
    text.put(format_args!("{}:{}", row.device.len(), row.device));
    text.put(format_args!("{}:{}", row.app_ver.len(), row.app_ver));
    text.end(ts)
}

/// What a row of a `…_cdc` table says; of a deleted one only the key does.
pub(crate) fn of_cdc(ids: IdKind, row: &CdcRow, version: u64, deleted: bool, ts: TimestampMs) -> u64 {
    let mut text = Text { ids, text: String::with_capacity(160) };
    let of_live = |id: Id| if deleted { Id(0) } else { id };
    let created = |text: &mut Text, created_at: TimestampMs| text.time(if deleted { 0 } else { created_at });
    match *row {
        CdcRow::Post { id, user_id, created_at, deleted_at } => {
            text.id(id);
            text.id(of_live(user_id));
            created(&mut text, created_at);
            match deleted_at.filter(|_| !deleted) {
                Some(time) => text.time(time),
                None => text.put('-'),
            }
        }
        CdcRow::Comment { id, post_id, user_id, created_at } => {
            text.id(id);
            text.id(of_live(post_id));
            text.id(of_live(user_id));
            created(&mut text, created_at);
        }
        CdcRow::Follow { follower_id: first, following_id: second, created_at }
        | CdcRow::Like { user_id: first, post_id: second, created_at }
        | CdcRow::Block { blocker_id: first, blocked_id: second, created_at } => {
            text.id(first);
            text.id(second);
            created(&mut text, created_at);
        }
    }
    text.put(version & Version::MAX_VALUE);
    text.put(u8::from(deleted));
    text.end(ts)
}

/// Columns as text, one after the other.
struct Text {
    ids: IdKind,
    text: String,
}

impl Text {
    fn put(&mut self, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{value}|");
    }

    fn id(&mut self, id: Id) {
        self.put(self.ids.format(id));
    }

    fn time(&mut self, time: TimestampMs) {
        self.put(sent_time(time));
    }

    fn end(mut self, ts: TimestampMs) -> u64 {
        let _ = write!(self.text, "{}", sent_time(ts));
        xxh64(self.text.as_bytes(), 0)
    }
}
