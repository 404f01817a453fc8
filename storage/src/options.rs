//! How RocksDB is set up: one memory budget, point-in-time recovery, a bloom filter where single keys are read.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Options,
    WriteBufferManager,
};

use crate::config::Config;
use crate::counters::{self, Latest, Partial, RowCounts};
use crate::error::Result;
use crate::key::Family;
use crate::model::Counters;
use crate::retention::{Clock, Retention};

/// How the memory budget is split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Block cache, write buffers included.
    pub(crate) cache_bytes: usize,
    /// Write buffers, charged to the block cache.
    pub(crate) write_buffer_bytes: usize,
    /// The hot projection.
    pub(crate) hot_bytes: usize,
    /// Readers' facts, kept between requests.
    pub(crate) viewer_bytes: usize,
}

impl Budget {
    pub(crate) fn of(config: &Config) -> Self {
        let total = config.memory_budget_bytes;
        Self { cache_bytes: total / 4, write_buffer_bytes: total / 8, hot_bytes: total / 2, viewer_bytes: total / 4 }
    }
}

/// Database-wide options.
pub(crate) fn database(budget: &Budget, cache: &Cache) -> Result<Options> {
    // What is recovered stays in memory, as it was before the crash: to write it out first would make every start wait,
    // and compaction after it. The binding has no setter of its own.
    let mut options = Options::default().get_options_from_string("avoid_flush_during_recovery=true")?;
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A crash loses a suffix of whole batches, each with its own offset: exactly what Kafka can replay.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_open_files(512);
    // Rarely written families must not keep old logs alive, and what is in the log is put into memory record by record
    // when a node starts: 80 to 160 MB a second, and nobody is answered meanwhile. Writing loses nothing by it.
    options.set_max_total_wal_size(16 << 20);
    options.set_keep_log_file_num(4);
    let manager =
        WriteBufferManager::new_write_buffer_manager_with_cache(budget.write_buffer_bytes, false, cache.clone());
    options.set_write_buffer_manager(&manager);
    Ok(options)
}

/// One descriptor a column family.
pub(crate) fn families(
    budget: &Budget,
    cache: &Cache,
    retention: Retention,
    clock: &Clock,
) -> Vec<ColumnFamilyDescriptor> {
    Family::ALL
        .into_iter()
        .map(|family| ColumnFamilyDescriptor::new(family.name(), options(family, budget, cache, retention, clock)))
        .collect()
}

/// What a sorted file of a family is written with: as the family's own files are.
pub(crate) fn sorted(family: Family, budget: &Budget, cache: &Cache) -> Options {
    options(family, budget, cache, Retention { tombstones_ms: i64::MAX }, &Clock::default())
}

fn options(family: Family, budget: &Budget, cache: &Cache, retention: Retention, clock: &Clock) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In pieces of a block's size: a whole filter of a large file would not fit a shard of the cache and would be read
    // from the file again for every key.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_write_buffer_size((budget.write_buffer_bytes / 3).clamp(1 << 20, 64 << 20));
    options.set_compression_type(DBCompressionType::Lz4);
    if !family.is_read_at_a_start() {
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
    }
    options.set_level_compaction_dynamic_level_bytes(true);
    if read_by_key(family) {
        table.set_bloom_filter(10.0, false);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options.set_block_based_table_factory(&table);
    additive(family, &mut options);
    if retention.applies(family) {
        let clock = clock.clone();
        let filter = move |_: u32, key: &[u8], value: &[u8]| retention.decide(family, key, value, clock.now_ms());
        options.set_compaction_filter(family.name(), filter);
        // Data that is never rewritten would never meet the filter.
        options.set_periodic_compaction_seconds(86_400);
    }
    options
}

/// Families asked for single keys, mostly absent ones.
fn read_by_key(family: Family) -> bool {
    use Family::*;
    matches!(family, Posts | Follows | Blocks | Likes | Comments | Users | Forgotten | PostCounts | HistoryOf | Dedup)
}

fn additive(family: Family, options: &mut Options) {
    match family {
        Family::PostHours => {
            options.set_merge_operator_associative("counters", counters::merge::<Counters>);
        }
        Family::UserAuthorDays => {
            options.set_merge_operator_associative("partial", counters::merge::<Partial>);
        }
        Family::PostCounts => {
            options.set_merge_operator_associative("row_counts", counters::merge::<RowCounts>);
        }
        Family::Viewed => options.set_merge_operator_associative("latest", counters::merge::<Latest>),
        _ => return,
    }
    // A busy key is folded as it is written, so that no reader walks a long chain of operands.
    options.set_max_successive_merges(64);
}
