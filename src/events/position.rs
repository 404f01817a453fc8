//! Positions: what a poster is given, so that a reader can wait until the node has applied it.
//!
//! A position is URL-safe base64 of `format, spooling store, [partition, next offset]…, tag`. It tells nobody anything
//! and gives nobody anything but a wait, so the tag is no signature: it tells positions of this cluster from other text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgefeed_storage::model::{Topic, TopicPartition};
use edgefeed_sync::Lag;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// The first byte: how the rest is written.
const FORMAT: u8 = 1;
const TAG: usize = 8;
/// How long a reader waits at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many may wait at once; one more is answered without waiting.
const WAITERS_MAX: usize = 1_024;
/// The longest position looked at, in bytes: one of a request whose events all lie in partitions of their own.
const TEXT_MAX: usize = 2_048;

/// The text is not a position of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("min_position is not a position that this cluster gave out")]
pub struct BadPosition;

/// What has to be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The offset behind the events, by partition.
    pub(super) next: BTreeMap<u32, i64>,
    /// The store that spooled some of them, if any were spooled.
    pub(super) spooled_by: Option<u128>,
}

impl Position {
    /// Notes an event that Kafka has.
    pub(super) fn add(&mut self, partition: u32, offset: i64) {
        let next = self.next.entry(partition).or_default();
        *next = offset.saturating_add(1).max(*next);
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.push(u8::from(self.spooled_by.is_some()));
        bytes.extend(self.spooled_by.map(u128::to_be_bytes).into_iter().flatten());
        for (partition, next) in &self.next {
            bytes.extend(partition.to_be_bytes());
            bytes.extend(next.to_be_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (spooled_by, mut rest) = match bytes {
            [FORMAT, 0, rest @ ..] => (None, rest),
            [FORMAT, 1, rest @ ..] => {
                let (store, rest) = rest.split_first_chunk::<16>()?;
                (Some(u128::from_be_bytes(*store)), rest)
            }
            _ => return None,
        };
        let mut next = BTreeMap::new();
        while !rest.is_empty() {
            let (partition, after) = rest.split_first_chunk::<4>()?;
            let (offset, after) = after.split_first_chunk::<8>()?;
            next.insert(u32::from_be_bytes(*partition), i64::from_be_bytes(*offset));
            rest = after;
        }
        Some(Self { next, spooled_by })
    }
}

/// Gives positions out, and waits for them.
#[derive(Debug)]
pub struct Positions {
    cluster: String,
    store: u128,
    lag: Arc<Lag>,
    waiters: Semaphore,
    patience: Duration,
}

impl Positions {
    /// Those of a cluster; `store` is the identity of this node's store.
    pub fn new(cluster: &str, store: u128, lag: Arc<Lag>) -> Self {
        Self { cluster: cluster.to_owned(), store, lag, waiters: Semaphore::new(WAITERS_MAX), patience: PATIENCE }
    }

    /// The store that this node spools in.
    pub(super) fn store(&self) -> u128 {
        self.store
    }

    pub(super) fn seal(&self, position: &Position) -> String {
        let mut bytes = position.write();
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(&self, text: &str) -> Result<Position, BadPosition> {
        if text.len() > TEXT_MAX {
            return Err(BadPosition);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadPosition)?;
        let (body, tag) = bytes.split_last_chunk::<TAG>().ok_or(BadPosition)?;
        if self.tag(body) != *tag {
            return Err(BadPosition);
        }
        Position::read(body).ok_or(BadPosition)
    }

    fn tag(&self, body: &[u8]) -> [u8; TAG] {
        let mut hash = Sha256::new();
        hash.update(b"edgefeed position\0");
        hash.update(self.cluster.as_bytes());
        hash.update([0]);
        hash.update(body);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hash.finalize()[..TAG]);
        tag
    }

    /// Waits until this node has applied a position, two seconds at most; tells whether it has.
    ///
    /// # Errors
    /// [`BadPosition`] for text that is none of this cluster's.
    pub async fn reached(&self, text: &str) -> Result<bool, BadPosition> {
        let position = self.open(text)?;
        // What another node spooled is seen here once it is in Kafka, and nobody here knows when that is.
        if position.spooled_by.is_some_and(|store| store != self.store) {
            return Ok(false);
        }
        let goals: Vec<_> = position
            .next
            .into_iter()
            .map(|(partition, next)| (TopicPartition { topic: Topic::Events, partition }, next))
            .collect();
        if self.lag.has_reached(&goals) {
            return Ok(true);
        }
        let Ok(_waiting) = self.waiters.try_acquire() else { return Ok(false) };
        Ok(self.lag.reached(&goals, self.patience).await)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn positions(cluster: &str) -> Positions {
        Positions::new(cluster, 7, Arc::default())
    }

    proptest! {
        #[test]
        fn a_position_opens_on_every_node_of_its_cluster_and_nowhere_else(
            next in prop::collection::btree_map(any::<u32>(), any::<i64>(), 0..100), spooled_by: Option<u128>,
        ) {
            let position = Position { next, spooled_by };
            let text = positions("eu").seal(&position);
            prop_assert!(text.len() <= TEXT_MAX, "{}", text.len());
            prop_assert_eq!(positions("eu").open(&text), Ok(position));
            prop_assert_eq!(positions("us").open(&text), Err(BadPosition));
        }

        #[test]
        fn whatever_is_not_a_position_is_refused(text: String, bytes: Vec<u8>) {
            prop_assert_eq!(positions("eu").open(&text), Err(BadPosition));
            prop_assert_eq!(positions("eu").open(&URL_SAFE_NO_PAD.encode(bytes)), Err(BadPosition));
        }
    }

    #[test]
    fn a_cut_or_altered_position_is_refused() {
        let position = Position { next: BTreeMap::from([(3, 70)]), spooled_by: None };
        let text = positions("eu").seal(&position);
        for length in 0..text.len() {
            assert_eq!(positions("eu").open(&text[..length]), Err(BadPosition), "{length}");
        }
        assert_eq!(positions("eu").open(&text.replacen('A', "B", 1)), Err(BadPosition));
    }

    #[tokio::test]
    async fn a_spooled_position_is_reached_where_it_was_spooled_and_not_elsewhere() {
        let text = |store| positions("eu").seal(&Position { next: BTreeMap::new(), spooled_by: Some(store) });
        assert_eq!(positions("eu").reached(&text(7)).await, Ok(true));
        assert_eq!(positions("eu").reached(&text(8)).await, Ok(false));
        assert_eq!(positions("eu").reached("garbage").await, Err(BadPosition));
    }

    #[tokio::test]
    async fn a_position_not_applied_is_waited_for_so_long_and_no_longer_and_only_by_so_many() {
        let positions = Positions { patience: Duration::from_millis(50), ..positions("eu") };
        let text = positions.seal(&Position { next: BTreeMap::from([(0, 5)]), spooled_by: None });
        let begun = std::time::Instant::now();
        assert_eq!(positions.reached(&text).await, Ok(false));
        assert!(begun.elapsed() >= Duration::from_millis(50));
        let impatient = Positions { patience: Duration::from_secs(3_600), waiters: Semaphore::new(0), ..positions };
        assert_eq!(impatient.reached(&text).await, Ok(false));
    }
}
