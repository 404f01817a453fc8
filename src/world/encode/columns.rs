//! The application's tables, column by column.

use edgefeed_storage::model::{Id, TimestampMs};
use serde_json::{Map, Value};

use super::super::fact::{Op, RowFact, TableRow};
use super::{Encoding, TimeStyle, id_value};

/// What Debezium writes for a large column an update left alone.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// The value of a column.
#[derive(Clone, Copy)]
enum Cell {
    Id(Id),
    Time(TimestampMs),
    Nullable(Option<TimestampMs>),
    /// A column the node does not know.
    Text(&'static str),
}

/// The columns of a row, those of the primary key first, and how many those are.
fn columns(row: &TableRow) -> (Vec<(&'static str, Cell)>, usize) {
    match *row {
        TableRow::Post { id, author, created_at, deleted_at, .. } => (
            vec![
                ("id", Cell::Id(id)),
                ("user_id", Cell::Id(author)),
                ("created_at", Cell::Time(created_at)),
                ("deleted_at", Cell::Nullable(deleted_at)),
                ("body", Cell::Text("a few words, \"quoted\" \u{2713}")),
            ],
            1,
        ),
        TableRow::Follow { follower, following, created_at } => {
            pair("follower_id", follower, "following_id", following, created_at)
        }
        TableRow::Like { user, post, created_at } => pair("user_id", user, "post_id", post, created_at),
        TableRow::Block { blocker, blocked, created_at } => {
            pair("blocker_id", blocker, "blocked_id", blocked, created_at)
        }
        TableRow::Comment { id, post, user, created_at } => (
            vec![
                ("id", Cell::Id(id)),
                ("post_id", Cell::Id(post)),
                ("user_id", Cell::Id(user)),
                ("created_at", Cell::Time(created_at)),
                ("body", Cell::Text("so true")),
            ],
            1,
        ),
        TableRow::User { id } => (vec![("id", Cell::Id(id)), ("name", Cell::Text("somebody"))], 1),
    }
}

/// A table whose key is two ids.
fn pair(
    first: &'static str,
    one: Id,
    second: &'static str,
    other: Id,
    created_at: TimestampMs,
) -> (Vec<(&'static str, Cell)>, usize) {
    (vec![(first, Cell::Id(one)), (second, Cell::Id(other)), ("created_at", Cell::Time(created_at))], 2)
}

/// The primary key as a JSON object.
pub(super) fn key(encoding: &Encoding, row: &TableRow) -> Map<String, Value> {
    let (columns, keys) = columns(row);
    columns.iter().take(keys).map(|(name, cell)| ((*name).to_owned(), cell_value(encoding, *cell))).collect()
}

/// The whole row. An update leaves large columns out, and the columns that do not change when the fact says so.
pub(super) fn row(encoding: &Encoding, fact: &RowFact) -> Map<String, Value> {
    let toasted = matches!(fact.row, TableRow::Post { toasted: true, .. });
    let (columns, keys) = columns(&fact.row);
    let value = |(place, (name, cell)): (usize, &(&'static str, Cell))| {
        let left_out = match cell {
            Cell::Text(_) => fact.op == Op::Update,
            Cell::Id(_) | Cell::Time(_) => toasted && place >= keys,
            Cell::Nullable(_) => false,
        };
        let value = if left_out { Value::from(UNAVAILABLE) } else { cell_value(encoding, *cell) };
        ((*name).to_owned(), value)
    };
    columns.iter().enumerate().map(value).collect()
}

/// A deleted row as the log knows it without full replica identity: the key is right, the rest is empty, or null
/// when `nulls` is set.
pub(super) fn remains(encoding: &Encoding, row: &TableRow, nulls: bool) -> Map<String, Value> {
    let (columns, keys) = columns(row);
    let value = |(place, (name, cell)): (usize, &(&'static str, Cell))| {
        let value = match cell {
            _ if place < keys => cell_value(encoding, *cell),
            Cell::Nullable(_) => Value::Null,
            _ if nulls => Value::Null,
            Cell::Time(_) => encoding.times.value(0),
            Cell::Id(_) => zero_id(encoding),
            Cell::Text(_) => Value::from(""),
        };
        ((*name).to_owned(), value)
    };
    columns.iter().enumerate().map(value).collect()
}

/// Name and Connect type of each column, with the name Debezium gives the type where it has one.
pub(super) fn types(encoding: &Encoding, row: &TableRow) -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let (columns, _) = columns(row);
    let id = match encoding.ids {
        edgefeed_storage::model::IdKind::Uuid => ("string", Some("io.debezium.data.Uuid")),
        edgefeed_storage::model::IdKind::U64 => ("int64", None),
    };
    let time = match encoding.times {
        TimeStyle::Iso => ("string", Some("io.debezium.time.ZonedTimestamp")),
        TimeStyle::Millis => ("int64", Some("io.debezium.time.Timestamp")),
        TimeStyle::Micros => ("int64", Some("io.debezium.time.MicroTimestamp")),
        TimeStyle::Nanos => ("int64", Some("io.debezium.time.NanoTimestamp")),
    };
    let kind = |cell: &Cell| match cell {
        Cell::Id(_) => id,
        Cell::Time(_) | Cell::Nullable(_) => time,
        Cell::Text(_) => ("string", None),
    };
    columns.iter().map(|(name, cell)| (*name, kind(cell).0, kind(cell).1)).collect()
}

fn cell_value(encoding: &Encoding, cell: Cell) -> Value {
    match cell {
        Cell::Id(id) => id_value(encoding.ids, id),
        Cell::Time(at) => encoding.times.value(at),
        Cell::Nullable(at) => at.map_or(Value::Null, |at| encoding.times.value(at)),
        Cell::Text(text) => Value::from(text),
    }
}

fn zero_id(encoding: &Encoding) -> Value {
    match encoding.ids {
        edgefeed_storage::model::IdKind::Uuid => Value::from(""),
        edgefeed_storage::model::IdKind::U64 => Value::from(0),
    }
}
