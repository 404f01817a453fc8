//! Why a post is where it is, or is not there: told by the code that ranks, held against the oracle. And other numbers:
//! put in force while readers ask, and tried before.
#![allow(clippy::print_stdout, reason = "what was confirmed is for whoever asks the harness to show it")]

mod absent;
mod page;
mod place;
mod reload;
mod replay;
mod verbs;
