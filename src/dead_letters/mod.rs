//! The node's own dead letters as operators see them: the same from a running node and from its store alone.

mod answers;

#[cfg(test)]
pub(crate) mod tests;

use edgefeed_storage::model::{DeadReason, Topic, TopicPartition};
use edgefeed_storage::{LetterFilter, LetterPlace};
use edgefeed_sync::config::Topics;
use edgefeed_sync::dead_letters::{name, split_name};

use crate::kept::Kept;
pub use crate::kept::{Result, Trouble};

pub use answers::{Accepted, Bytes, Count, Counts, DropOrder, Dropped, Line, ListQuery, Listing, Shown};

/// The most dead letters of one list.
pub const LIST_MAX: usize = 1_000;

/// The records that could not be used, with Kafka's names of their topics.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    store: Kept,
    topics: Topics,
}

impl DeadLetters {
    /// Those of a store.
    pub fn new(store: impl Into<Kept>, topics: Topics) -> Self {
        Self { store: store.into(), topics }
    }

    /// Some of them, newest first. Reads all that match: not for every request.
    ///
    /// # Errors
    /// A topic, reason, limit or cursor that cannot be; the store's.
    pub fn list(&self, query: &ListQuery) -> Result<Listing> {
        let filter = self.filter(query.topic.as_deref(), query.reason.as_deref())?;
        if !(1..=LIST_MAX).contains(&query.limit) {
            return Err(Trouble::Asked(format!("limit must lie between 1 and {LIST_MAX}")));
        }
        let below = query.cursor.as_deref().map(|cursor| self.place(cursor)).transpose()?;
        // One more than asked for tells whether there is more.
        let mut lines = self.store.now().dead_letters(&filter, below, query.limit + 1)?;
        let more = lines.len() > query.limit;
        lines.truncate(query.limit);
        let cursor = lines.last().filter(|_| more).map(|line| self.cursor(line.place));
        let letters = lines.into_iter().map(|line| Line::new(self.key(line.place.at, line.place.offset), line));
        Ok(Listing { letters: letters.collect(), cursor })
    }

    /// How many there are.
    ///
    /// # Errors
    /// The store's.
    pub fn counts(&self) -> Result<Counts> {
        let counts = self.store.now().dead_letter_counts()?;
        let total = counts.values().sum();
        let counts = counts.into_iter().map(|((topic, reason), count)| Count {
            topic: self.name_of(topic).to_owned(),
            reason,
            count,
        });
        Ok(Counts { counts: counts.collect(), total })
    }

    /// One of them, whole; `None` when it is not (or no longer) there.
    ///
    /// # Errors
    /// A key that names no record; the store's.
    pub fn show(&self, key: &str) -> Result<Option<Shown>> {
        let (at, offset) = self.record(key)?;
        let letter = self.store.now().dead_letter(at, offset)?;
        Ok(letter.map(|letter| Shown::new(self.key(at, offset), self.name_of(at.topic), at.partition, offset, letter)))
    }

    /// Drops some.
    ///
    /// # Errors
    /// An order that names none, or in two ways; keys, topics and reasons that cannot be; the store's.
    pub fn discard(&self, order: &DropOrder) -> Result<Dropped> {
        let filtered = order.topic.is_some() || order.reason.is_some();
        let ways = [!order.keys.is_empty(), filtered, order.all];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return Err(Trouble::Asked("name keys, or a topic or reason, or all; and only one of these".to_owned()));
        }
        let dropped = if order.keys.is_empty() {
            let filter = self.filter(order.topic.as_deref(), order.reason.as_deref())?;
            self.store.now().drop_matching_dead_letters(&filter)?
        } else {
            let letters: Result<Vec<_>> = order.keys.iter().map(|key| self.record(key)).collect();
            self.store.now().drop_dead_letters(&letters?)?
        };
        tracing::warn!(dropped, "dead letters were dropped by an operator");
        Ok(Dropped { dropped })
    }

    /// Accepts the bad records of a partition up to an offset.
    ///
    /// # Errors
    /// A partition or offset that cannot be; the store's.
    pub fn accept(&self, partition: &str, through: i64) -> Result<Accepted> {
        let at = self.partition(partition)?;
        if through < 0 {
            return Err(Trouble::Asked("the offset must be 0 or more".to_owned()));
        }
        let before = self.store.now().accepted_bad_through(at)?;
        self.store.now().accept_bad_through(at, through)?;
        let partition = format!("{}-{}", self.name_of(at.topic), at.partition);
        tracing::warn!(partition, through, "an operator accepted bad records");
        Ok(Accepted { partition, through, before })
    }

    fn filter(&self, topic: Option<&str>, reason: Option<&str>) -> Result<LetterFilter> {
        let topic = topic.map(|topic| topic_of(&self.topics, topic)).transpose()?;
        Ok(LetterFilter { topic, reason: reason.map(reason_of).transpose()? })
    }

    fn record(&self, key: &str) -> Result<(TopicPartition, i64)> {
        let read = split_name(key);
        let (topic, partition, offset) = read.ok_or_else(|| {
            Trouble::Asked(format!("{key:?} names no record; write TOPIC-PARTITION-OFFSET, as `dlq list` does"))
        })?;
        Ok((TopicPartition { topic: topic_of(&self.topics, topic)?, partition }, offset))
    }

    fn partition(&self, text: &str) -> Result<TopicPartition> {
        let (topic, partition) = partition_of(&self.topics, text)?;
        Ok(TopicPartition { topic, partition })
    }

    fn name_of(&self, topic: Topic) -> &str {
        // A topic that is no longer followed keeps its letters.
        self.topics.name_of(topic).unwrap_or(topic.name())
    }

    fn key(&self, at: TopicPartition, offset: i64) -> String {
        name(self.name_of(at.topic), at.partition, offset)
    }

    fn cursor(&self, place: LetterPlace) -> String {
        format!("{}@{}", place.time, self.key(place.at, place.offset))
    }

    fn place(&self, cursor: &str) -> Result<LetterPlace> {
        let read = cursor.split_once('@').and_then(|(time, key)| {
            let (at, offset) = self.record(key).ok()?;
            Some(LetterPlace { time: time.parse().ok()?, at, offset })
        });
        read.ok_or_else(|| Trouble::Asked("the cursor is not one of ours; start again without one".to_owned()))
    }
}

/// The topic of a Kafka name, or of our own.
///
/// # Errors
/// A name of neither kind.
pub fn topic_of(topics: &Topics, text: &str) -> Result<Topic> {
    let by_kafka = Topic::ALL.into_iter().find(|topic| topics.name_of(*topic) == Some(text));
    by_kafka.or_else(|| Topic::ALL.into_iter().find(|topic| topic.name() == text)).ok_or_else(|| {
        let names: Vec<_> = topics.followed().into_iter().map(|(_, name)| name).collect();
        Trouble::Asked(format!("{text:?} is no topic of this node; it has {}", names.join(", ")))
    })
}

/// A partition written `TOPIC-PARTITION`.
///
/// # Errors
/// Anything else, and topics that are not this node's.
pub fn partition_of(topics: &Topics, text: &str) -> Result<(Topic, u32)> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    let read = text.rsplit_once('-').and_then(|(topic, digits)| Some((topic, number(digits)?)));
    let (topic, partition) = read
        .ok_or_else(|| Trouble::Asked(format!("{text:?} names no partition; write TOPIC-PARTITION, like events-3")))?;
    Ok((topic_of(topics, topic)?, partition))
}

/// The reason of a name.
///
/// # Errors
/// Any other name.
pub fn reason_of(text: &str) -> Result<DeadReason> {
    DeadReason::from_name(text).ok_or_else(|| {
        let names: Vec<_> = DeadReason::ALL.iter().map(|reason| reason.name()).collect();
        Trouble::Asked(format!("{text:?} is no reason; there are {}", names.join(", ")))
    })
}
