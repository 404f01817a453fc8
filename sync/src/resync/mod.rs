//! Batch jobs against the center.

pub mod audit;
mod error;

pub use error::{Error, Result};
