//! What an edgefeed node keeps.
//!
//! A synchronous library over RocksDB with one door in ([`Store::apply`]) and one door for readers ([`Store::view`]).
//! It returns facts (posts, follows, counts, what a reader has seen) and never an opinion: scoring lives elsewhere.
//!
//! It is not a general store: the key space is fixed (see [`key`]), there is one writer, and history outside the
//! windows that ranking reads is dropped.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod apply;
#[doc(hidden)]
pub mod bare;
mod checkpoint;
mod config;
mod contact;
mod counters;
mod dead_letters;
mod dedup;
mod engine;
mod epoch;
mod error;
mod forget;
mod format;
mod graph;
mod history;
mod hot;
mod ingest_sst;
mod inspect;
mod inspect_one;
pub mod key;
pub mod model;
mod options;
mod outward;
mod owner;
mod passes;
mod position;
pub mod retention;
#[doc(hidden)]
pub mod spoil;
mod spool;
mod stats;
mod store;
mod value;
mod view;
mod viewer;
mod wal;
mod warm;

pub use apply::{CountMend, Mend};
pub use checkpoint::{Checkpoint, CheckpointFile};
pub use config::Config;
pub use contact::Contact;
pub use counters::{Partial, RowCounts};
pub use dead_letters::{LetterFilter, LetterLine, LetterPlace};
pub use error::{Result, StoreError};
pub use forget::Removed;
pub use format::FORMAT;
pub use hot::{AuthorNo, PostFacts, PostNo};
pub use ingest_sst::{Build, Foundation, Sorted};
pub use inspect_one::{AuthorState, PostState, Sample, UserState, WithAuthor};
pub use passes::{Progress, Told};
pub use position::{Applied, Position, Stall, StallReason};
pub use spool::{SpoolBounds, SpoolItem, SpoolState, Spooled};
pub use stats::Stats;
pub use store::{OpenOptions, Store};
pub use value::{Base, Begin, CommentRow, DeadLetter, Forgotten, LinkRow, PostRow};
pub use view::{Seen, View};
pub use viewer::{AFFINITY_DAYS, Viewer};
