//! The figures of the README, measured together in one run: ratios hold where lone times do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench prints, and fails by panicking"
)]

mod center;
mod discover;
mod ingest;
mod pinned;
mod table;
mod world_m;

use tikv_jemallocator::Jemalloc;

/// The node's own allocator.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    // `cargo test` runs benches too, without `--bench`; a figure is not a test.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    if asked("ingest") {
        ingest::run();
    }
    if asked("world_m") {
        world_m::run();
    }
    if asked("pinned") {
        pinned::run();
    }
    if asked("center") {
        center::run();
    }
    if asked("discover") {
        discover::run();
    }
}
