//! This node's part in the way in: the door for events, and the positions readers wait for.

use std::sync::Arc;

use edgefeed_storage::Store;
use edgefeed_sync::Lag;
use edgefeed_sync::breaker::Breaker;

use crate::clock::now_ms;
use crate::config::Config;
use crate::events::{Door, Positions};
use crate::failure::Failure;
use crate::http::{EventsFn, PositionFn};
use crate::status::Status;

/// The open door.
#[derive(Debug)]
pub(super) struct Inward {
    door: Arc<Door>,
    positions: Arc<Positions>,
}

impl Inward {
    pub(super) fn open(
        config: &Config,
        store: &Arc<Store>,
        lag: &Arc<Lag>,
        breaker: &Arc<Breaker>,
        status: &Status,
    ) -> Result<Self, Failure> {
        let identity = store.identity().map_err(|error| Failure::failed(format!("storage.dir: {error}")))?;
        let positions = Arc::new(Positions::new(&config.node.cluster, identity, Arc::clone(lag)));
        let door = Door::open(&config.spool, &config.kafka, store, lag, breaker, &positions)?;
        let told = Arc::clone(&door);
        status.add_section("spool", move || told.snapshot(now_ms()));
        Ok(Self { door, positions })
    }

    pub(super) fn events(&self) -> EventsFn {
        let door = Arc::clone(&self.door);
        Arc::new(move |caller, body, now_ms| Box::pin(Arc::clone(&door).post(caller, body, now_ms)))
    }

    pub(super) fn position(&self) -> PositionFn {
        let positions = Arc::clone(&self.positions);
        Arc::new(move |text| {
            let positions = Arc::clone(&positions);
            Box::pin(async move { positions.reached(&text).await })
        })
    }

    /// Ends what runs behind the door, once no request is under way.
    pub(super) async fn close(&self) {
        self.door.close().await;
    }
}
