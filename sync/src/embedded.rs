//! A broker inside this process, for the demo and for tests. Nothing to install, nothing kept.
//!
//! It is the Kafka library's own, speaks the real protocol on a local port and keeps about 5 MB of each partition:
//! a reader that falls further behind finds the start of the log ahead of it, as with a real broker's retention.

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::error::{Error, Result};

/// A broker inside this process; it ends with this value.
pub struct EmbeddedBroker {
    /// The client that owns the broker; it keeps polling its own log.
    host: ThreadedProducer<DefaultProducerContext>,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker").finish_non_exhaustive()
    }
}

/// The only broker of the cluster.
const BROKER: i32 = 1;

impl EmbeddedBroker {
    /// Starts a broker on a free local port, with these topics of so many partitions each.
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self> {
        let host = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .create()
            .map_err(Error::kafka("starting the embedded broker"))?;
        let broker = Self { host };
        for topic in topics {
            broker.create_topic(topic, partitions)?;
        }
        Ok(broker)
    }

    /// Where it listens: `host:port`, fit for `kafka.brokers`.
    pub fn address(&self) -> Result<String> {
        self.cluster().map(|cluster| cluster.bootstrap_servers())
    }

    /// Adds a topic. An existing one is an error.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.cluster()?.create_topic(topic, partitions, 1).map_err(Error::kafka("creating a topic"))
    }

    /// Takes the broker off the network; what it holds stays.
    pub fn down(&self) -> Result<()> {
        self.cluster()?.broker_down(BROKER).map_err(Error::kafka("stopping the embedded broker"))
    }

    /// Brings it back.
    pub fn up(&self) -> Result<()> {
        self.cluster()?.broker_up(BROKER).map_err(Error::kafka("resuming the embedded broker"))
    }

    fn cluster(&self) -> Result<MockCluster<'_, DefaultProducerContext>> {
        self.host.client().mock_cluster().ok_or_else(|| Error::Kafka {
            what: "reaching the embedded broker",
            detail: "this client has none".to_owned(),
        })
    }
}
