//! The ladder over a real PostgreSQL: who answers when the store cannot, how it is said, and what an outage costs.
#![allow(clippy::print_stdout, reason = "what was measured is for whoever asks the harness to show it")]

mod application;
mod chain;
mod edge;
mod empty;
mod outage;
mod proxy;
