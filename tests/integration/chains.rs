//! Feeds that people page through: stable while their pin lives, without a repeat when it does not, and as fresh as the
//! last change.
#![allow(clippy::print_stdout, reason = "what was proved is for whoever asks the harness to show it")]

mod changes;
mod crowd;
mod proof;
mod refresh;
mod stage;
mod walk;
mod worlds;
