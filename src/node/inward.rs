//! A generation's part in the way in: events that are posted, and the positions readers wait for.

use std::sync::Arc;

use edgefeed_storage::Store;
use edgefeed_sync::Lag;
use edgefeed_sync::breaker::Breaker;

use crate::config::Config;
use crate::events::{Intake, Positions};
use crate::failure::Failure;

/// What a store stands with towards those who post.
#[derive(Debug)]
pub(super) struct Inward {
    /// Takes events.
    pub(super) intake: Arc<Intake>,
    /// Waits until they are applied.
    pub(super) positions: Arc<Positions>,
}

impl Inward {
    /// Begins to take events, and to send what is spooled.
    pub(super) fn open(
        config: &Config,
        store: &Arc<Store>,
        lag: &Arc<Lag>,
        breaker: &Arc<Breaker>,
    ) -> Result<Self, Failure> {
        let identity = store.identity().map_err(|error| Failure::failed(format!("storage.dir: {error}")))?;
        let positions = Arc::new(Positions::new(&config.node.cluster, identity, Arc::clone(lag)));
        let intake = Intake::open(&config.spool, &config.kafka, store, lag, breaker, &positions)?;
        Ok(Self { intake, positions })
    }
}
