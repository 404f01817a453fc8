//! Whether a node knows where its own history begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edgefeed_storage::Store;
use edgefeed_storage::model::{Topic, TopicPartition};
use edgefeed_sync::Lag;

/// True from the first catch-up on, once the store has noted a beginning for every partition of `events`: then no record
/// that will be applied is older than those applied, and the center can be asked for the rest.
pub fn begun(store: &Arc<Store>, lag: &Arc<Lag>) -> impl Fn() -> bool + Send + Sync + 'static {
    let (store, lag, once) = (Arc::clone(store), Arc::clone(lag), AtomicBool::new(false));
    move || {
        if !once.load(Ordering::Acquire) && lag.caught_up() && knows_all(&store, &lag) {
            once.store(true, Ordering::Release);
        }
        once.load(Ordering::Acquire)
    }
}

fn knows_all(store: &Store, lag: &Lag) -> bool {
    let (begins, positions) = (store.begins(), store.positions().unwrap_or_default());
    let partitions = (0..).map(|partition| TopicPartition { topic: Topic::Events, partition });
    let mut heard_of = partitions.take_while(|at| lag.applied_to(*at).is_some());
    // A position without a beginning is of a store of an earlier version, which is for somebody else to judge.
    heard_of.all(|at| begins.contains_key(&at.partition) || positions.contains_key(&at))
}
