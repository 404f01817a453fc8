//! The measure that ingest is held against: bare RocksDB, told to write the keys an event writes, and nothing else.
//!
//! For benches. It checks nothing, counts nothing and remembers nothing.

use std::path::Path;

use rocksdb::{DB, Options, WriteBatch};

use crate::error::Result;
use crate::key::{self, Keys};
use crate::model::{Event, TimestampMs, day_of, hour_of};

/// Events a batch.
const BATCH: usize = 500;

/// Writes the keys of events into a new database at `dir`: one thread, write-ahead log on, batches of 500.
pub fn write(dir: &Path, keys: Keys, events: &[(u32, TimestampMs, Event)]) -> Result<()> {
    let mut options = Options::default();
    options.create_if_missing(true);
    let db = DB::open(&options, dir)?;
    for chunk in events.chunks(BATCH) {
        let mut batch = WriteBatch::default();
        for (partition, time, event) in chunk {
            batch.put(key::dedup(*partition, hour_of(*time), event.event_id), [0; 8]);
            batch.put(keys.post_hour(event.post, hour_of(event.event_time)), [0; 29]);
            if let Some(author) = event.author {
                let day = keys.user_author_day(event.user, author, day_of(*time), day_of(event.event_time));
                batch.put(day, [0; 37]);
            }
        }
        db.write(batch)?;
    }
    Ok(())
}
