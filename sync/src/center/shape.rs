//! What the center's tables look like, as `system.tables` and `system.columns` tell it.
//!
//! The same as `sql/clickhouse/schema` makes: a test on the real engine finds no difference between the two.

use super::tables::Table;

/// One table: what the sink or a view relies on. `{id}` stands for the type of ids.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The table's name.
    pub(super) name: &'static str,
    /// The engine, without `Replicated` in front.
    pub(super) engine: &'static str,
    /// The engine's arguments that decide which row stays.
    pub(super) arguments: &'static str,
    /// What rows are sorted by, and so which rows are one.
    pub(super) sorting_key: &'static str,
    /// Whether its rows may be kept apart by a partition key: not where the newest version of a row replaces the others.
    pub(super) partitioned: bool,
    /// Columns and their types. A table may have more, if they have defaults.
    pub(super) columns: Vec<(&'static str, &'static str)>,
}

/// A view and the table it writes to.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The view's name.
    pub(super) name: &'static str,
    /// What it writes to.
    pub(super) target: Shape,
}

const TIME: &str = "DateTime64(3, 'UTC')";
const WORD: &str = "LowCardinality(String)";
const SUM: &str = "SimpleAggregateFunction(sum, UInt64)";
const LAST: &str = "SimpleAggregateFunction(max, DateTime64(3, 'UTC'))";

const ORIGIN: [(&str, &str); 8] = [
    ("_cluster", WORD),
    ("_epoch", "UInt32"),
    ("_topic", WORD),
    ("_partition", "UInt32"),
    ("_offset", "UInt64"),
    ("_ts", TIME),
    ("_range_first", "UInt64"),
    ("_range_last", "UInt64"),
];
const VERSION: [(&str, &str); 2] = [("_version", "UInt64"), ("_deleted", "UInt8")];
const COUNTS: [(&str, &str); 6] =
    [("views", SUM), ("impressions", SUM), ("likes", SUM), ("comments", SUM), ("shares", SUM), ("dwell_ms", SUM)];

/// The table that rows of a topic go to.
pub(super) fn source(table: Table) -> Shape {
    match table {
        Table::Events => Shape {
            name: table.name(),
            engine: "ReplacingMergeTree",
            arguments: "",
            sorting_key: "user_id, event_id",
            partitioned: true,
            columns: [&EVENT[..], &ORIGIN].concat(),
        },
        Table::Posts => cdc(
            table,
            "id",
            &[
                ("id", "{id}"),
                ("user_id", "{id}"),
                ("created_at", TIME),
                ("deleted_at", "Nullable(DateTime64(3, 'UTC'))"),
            ],
        ),
        Table::Follows => cdc(
            table,
            "follower_id, following_id",
            &[("follower_id", "{id}"), ("following_id", "{id}"), ("created_at", TIME)],
        ),
        Table::Comments => {
            cdc(table, "id", &[("id", "{id}"), ("post_id", "{id}"), ("user_id", "{id}"), ("created_at", TIME)])
        }
        Table::Likes => {
            cdc(table, "user_id, post_id", &[("user_id", "{id}"), ("post_id", "{id}"), ("created_at", TIME)])
        }
        Table::Blocks => cdc(
            table,
            "blocker_id, blocked_id",
            &[("blocker_id", "{id}"), ("blocked_id", "{id}"), ("created_at", TIME)],
        ),
    }
}

const EVENT: [(&str, &str); 9] = [
    ("event_id", "UUID"),
    ("event_time", TIME),
    ("user_id", "{id}"),
    ("post_id", "{id}"),
    ("author_id", "Nullable({id})"),
    ("action", WORD),
    ("dwell_ms", "UInt32"),
    ("device", WORD),
    ("app_ver", WORD),
];

fn cdc(table: Table, key: &'static str, columns: &[(&'static str, &'static str)]) -> Shape {
    Shape {
        name: table.name(),
        engine: "ReplacingMergeTree",
        arguments: "_version, _deleted",
        sorting_key: key,
        partitioned: false,
        columns: [columns, &VERSION, &ORIGIN].concat(),
    }
}

/// The views that `events` feeds.
pub(super) fn views() -> [View; 3] {
    let target = |name, sorting_key, columns: &[&[(&'static str, &'static str)]]| Shape {
        name,
        engine: "AggregatingMergeTree",
        arguments: "",
        sorting_key,
        partitioned: true,
        columns: columns.concat(),
    };
    let about = |first, day, kind| [first, (day, kind), ("arrival_day", "Date")];
    [
        View {
            name: "mv_post_metrics_1h",
            target: target(
                "post_metrics_1h",
                "post_id, window_start, arrival_day",
                &[&about(("post_id", "{id}"), "window_start", "DateTime('UTC')"), &COUNTS],
            ),
        },
        View {
            name: "mv_post_metrics_daily",
            target: target(
                "post_metrics_daily",
                "post_id, day, arrival_day",
                &[&about(("post_id", "{id}"), "day", "Date"), &COUNTS],
            ),
        },
        View {
            name: "mv_user_author_90d",
            target: target(
                "user_author_90d",
                "user_id, author_id, day, arrival_day",
                &[&[("user_id", "{id}")], &about(("author_id", "{id}"), "day", "Date"), &COUNTS, &[("last_ts", LAST)]],
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_checked_for_exactly_the_columns_that_are_sent() {
        for table in Table::ALL {
            let checked: Vec<_> = source(table).columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(checked, table.columns(), "{}", table.name());
        }
    }
}
