//! Events posted over HTTP: read back at once, taken while Kafka is away, counted once whatever happens.
#![allow(clippy::print_stdout, reason = "what was measured is for whoever asks the harness to show it")]

mod ambiguous;
mod away;
mod bodies;
mod http;
mod own_writes;
mod town;
