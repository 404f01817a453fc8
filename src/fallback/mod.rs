//! PostgreSQL's chronological feed, for when the store cannot answer: the posts, in order, and nothing else. What a page
//! says of them beside that is the store's to tell (`feed/listed`).

mod config;
mod pool;
mod postgres;
mod query;

pub use config::{Config, Policy, Postgres};
pub use postgres::{Fallback, FallbackError, probe};
pub use query::Listed;
