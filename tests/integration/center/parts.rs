//! The servers these promises need: a real Kafka and the real ClickHouse engine, as `tests/stack` starts them.

use std::fs::File;
use std::path::PathBuf;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::real::stack::{lock, unproved};

/// Held to read by whoever loads the machine, to write by whoever measures it.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Where they are; Kafka stays up as long as this lives.
pub(crate) struct Parts {
    pub(crate) kafka: String,
    pub(crate) clickhouse: String,
    _stays: Option<File>,
}

impl Parts {
    /// The servers; where there are none the promise goes unproved, which is said, and is a failure in CI.
    pub(crate) fn or_unproved(promise: &str) -> Option<Self> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(name.to_owned());
        let found = given("EDGEFEED_TEST_KAFKA")
            .and_then(|kafka| Ok((kafka, given("EDGEFEED_TEST_CLICKHOUSE")?)))
            .map(|(kafka, clickhouse)| Self { kafka, clickhouse, _stays: kafka_stays() });
        match found {
            Ok(parts) => Some(parts),
            Err(missing) => {
                unproved(promise, &format!("{missing} is not set; `make test` starts the real stack"));
                None
            }
        }
    }
}

/// The lock of the tests that take the stack's Kafka away.
fn kafka_stays() -> Option<File> {
    let dir = PathBuf::from(std::env::var_os("EDGEFEED_TEST_STACK")?);
    Some(lock(&dir.join("kafka-stays.lock"), File::try_lock_shared))
}

/// While nothing of the center is measured.
pub(crate) async fn busy() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// While nothing else of the center runs.
pub(crate) async fn quiet() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// A name nothing else has: of a database, of topics, of a group.
pub(crate) fn own_name(of: &str) -> String {
    format!("{of}_{}", &uuid::Uuid::new_v4().simple().to_string()[..10])
}
