//! One configuration, composed of each component's own, checked whole before a port opens.
//!
//! Sources, weakest first: built-in defaults, the TOML file, environment variables `EDGEFEED__SECTION__KEY`
//! (for secrets also `EDGEFEED__SECTION__KEY_FILE`), flags. Each value remembers where it came from.

mod check;
mod layers;
mod load;
mod log;
mod node;
mod tree;

#[cfg(test)]
mod tests;

use edgefeed_storage::OpenOptions;
use edgefeed_sync::config::Truncate;
use serde::{Deserialize, Serialize};

pub use layers::Inputs;
pub use load::{Loaded, Setting, load};
pub use log::{LogConfig, LogFormat};
pub use node::{NodeConfig, Role};

/// Everything an operator can set, a section a component.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this node is.
    pub node: NodeConfig,
    /// The public listener.
    pub http: crate::http::Config,
    /// The admin listener.
    pub admin: crate::admin::Config,
    /// Who may ask.
    pub auth: crate::auth::Config,
    /// Bounds of both listeners.
    pub limits: crate::http::limits::Config,
    /// Where data comes from.
    pub kafka: edgefeed_sync::Config,
    /// What is kept.
    pub storage: edgefeed_storage::Config,
    /// The center: where history comes from and where everything goes.
    pub clickhouse: edgefeed_sync::center::Config,
    /// This node's share of writing to the center.
    pub sink: edgefeed_sync::sink::Config,
    /// Rebuilding this node from the center.
    pub resync: edgefeed_sync::resync::Config,
    /// The application's database, for the fallback.
    pub postgres: crate::fallback::Postgres,
    /// When another party is no longer asked.
    pub breaker: edgefeed_sync::breaker::Config,
    /// Who answers when.
    pub fallback: crate::fallback::Config,
    /// Events that are posted while Kafka is away.
    pub spool: crate::events::Config,
    /// What is remembered of readers between requests.
    pub cache: crate::cache::Config,
    /// How feeds are ranked.
    pub ranking: crate::ranking::Config,
    /// Where copies of the store go.
    pub backup: crate::backup::Config,
    /// What is written to standard error.
    pub log: LogConfig,
}

impl Config {
    /// What the store must be told beyond its own section.
    pub fn store_options(&self) -> OpenOptions {
        OpenOptions { ids: self.node.ids, apply_truncates: self.kafka.cdc_truncate == Truncate::Apply }
    }
}
