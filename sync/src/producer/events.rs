//! The producer of events that came over HTTP: it never makes anybody wait, tells the fate of each record, and gives a
//! record up soon, because there is another place for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use tokio::sync::oneshot;

use super::{Delivered, Outgoing, Producer};
use crate::client;
use crate::config::Config;
use crate::error::{Error, Result};

/// What becomes of a record, once it is known.
pub type Fate = oneshot::Receiver<Result<Delivered>>;

/// Sends events: idempotent, acknowledged by all replicas, each user's to one partition, as Java's clients place them.
pub struct EventsProducer {
    topic: String,
    settings: ClientConfig,
    inner: Mutex<Arc<Producer>>,
}

impl std::fmt::Debug for EventsProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the settings: they hold the password.
        f.debug_struct("EventsProducer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl EventsProducer {
    /// A producer for the topic of events of a cluster, which gives a record up after `patience`. Speaks to no broker
    /// yet.
    ///
    /// Errors: [`Error::Config`].
    pub fn new(config: &Config, patience: Duration) -> Result<Self> {
        let mut settings = client::base(&config.brokers, &format!("{}-events", config.client_id), &config.security);
        settings
            .set("linger.ms", "1")
            .set("message.timeout.ms", patience.as_millis().max(10).to_string())
            // Somebody waits for the first event after an outage.
            .set("reconnect.backoff.max.ms", "1000");
        let inner = Mutex::new(Arc::new(Producer::create(settings.clone())?));
        Ok(Self { topic: config.topics.events.clone(), settings, inner })
    }

    /// Queues one event under its user's key. Its fate is known a second after the patience is over at the latest; a
    /// record that is given up may stand in Kafka all the same.
    pub fn send(&self, key: &[u8], value: &[u8]) -> Fate {
        let (tell, fate) = oneshot::channel();
        // Both `queue` and the library may be the one to tell: whoever comes first.
        let tell = Arc::new(Mutex::new(Some(tell)));
        let later = Arc::clone(&tell);
        let outgoing = Outgoing { topic: &self.topic, key: Some(key), value: Some(value), ..Outgoing::default() };
        let queued = self.producer().and_then(|producer| {
            producer.queue(&outgoing, Some(Box::new(move |fate| say(&later, fate))), Duration::ZERO)
        });
        if let Err(error) = queued {
            say(&tell, Err(error));
        }
        fate
    }

    /// The producer, made anew after an error that no broker's return mends.
    fn producer(&self) -> Result<Arc<Producer>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_fatal() {
            tracing::warn!("the producer of events had to be made anew");
            *inner = Arc::new(Producer::create(self.settings.clone())?);
        }
        Ok(Arc::clone(&inner))
    }
}

type Telling = Mutex<Option<oneshot::Sender<Result<Delivered>>>>;

fn say(tell: &Telling, fate: Result<Delivered, Error>) {
    if let Some(tell) = tell.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nobody waits any more when the request has gone.
        drop(tell.send(fate));
    }
}
