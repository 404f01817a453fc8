//! What the center is asked when it is held against the log, against itself and against a node, and how it is mended.
//! Reads are bounded in rows by their callers and in time by `limit`.

mod content;
mod counts;
mod lists;
mod mend;
mod positions;
mod state;
mod sums;

use std::time::Duration;

use clickhouse::query::Query;

use super::client::Center;

pub(crate) use content::{of_cdc, of_event};
pub(crate) use counts::{Count, Counted, Own};
pub(crate) use positions::HeldAt;
pub(crate) use positions::LogPlace;
pub(crate) use state::{BUCKETS, Bucket, StateRow};
pub(crate) use state::{bucket_of, mark_of};
pub use sums::View;
pub(crate) use sums::{Sum, SumKey};

impl Center {
    /// A query that the server gives up when nobody waits for it any more.
    fn audited(&self, sql: &str, limit: Duration) -> Query {
        self.query(sql)
            .with_setting("max_execution_time", limit.as_secs().max(1).to_string())
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
    }
}
