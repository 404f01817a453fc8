//! The `edgefeed` binary: greets and hands over.

use std::process::ExitCode;

// One allocator for Rust, RocksDB and librdkafka: one heap to bound and to read the statistics of.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    edgefeed::cli::run()
}
