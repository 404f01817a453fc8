//! This node's part in the way out: the center, and its share of the sink where it has the role.

use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::Store;
use edgefeed_sync::Lag;
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::center::Center;
use edgefeed_sync::sink::{Needs, Sink};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::clock::now_ms;
use crate::config::{Config, Role};
use crate::failure::Failure;

/// How long the sink may take to stop: the insert under way, and its goodbye to a group whose broker may be away.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The center and the breaker around it, where one is configured.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    pub(super) center: Arc<Center>,
    pub(super) breaker: Arc<Breaker>,
}

impl Outside {
    pub(super) fn new(config: &Config) -> Result<Option<Self>, Failure> {
        if !config.clickhouse.is_set() {
            return Ok(None);
        }
        let center = Center::new(&config.clickhouse).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Some(Self { center, breaker: Breaker::new("clickhouse", &config.breaker) }))
    }
}

/// Starts this node's share of the sink, where it has the role.
pub(super) fn sink(
    config: &Config,
    outside: Option<&Outside>,
    store: &Arc<Store>,
    lag: &Arc<Lag>,
) -> Result<Option<Arc<Sink>>, Failure> {
    let Some(outside) = outside.filter(|_| config.node.has(Role::Sink)) else { return Ok(None) };
    let needs = Needs {
        kafka: config.kafka.clone(),
        sink: config.sink.clone(),
        cluster: config.node.cluster.clone(),
        node: config.node.display_name(),
        // Only a name that somebody gave is sure to be nobody else's.
        instance: (!config.node.name.is_empty()).then(|| format!("{}-{}", config.node.cluster, config.node.name)),
        store: Arc::clone(store),
        lag: Arc::clone(lag),
        center: Arc::clone(&outside.center),
        breaker: Arc::clone(&outside.breaker),
        clock: Arc::new(now_ms),
        runtime: Handle::current(),
    };
    Ok(Some(Arc::new(Sink::start(needs).map_err(|error| Failure::failed(error.to_string()))?)))
}

/// What `/status` tells of it.
pub(super) fn section(sink: &Sink) -> Value {
    serde_json::to_value(sink.status()).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Stops the sink. Blocks.
pub(super) fn stop(sink: &Sink) -> Result<(), String> {
    sink.stop(STOP_PATIENCE).map_err(|error| error.to_string())
}
