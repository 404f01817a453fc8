//! Replaying and dropping dead letters in Kafka.
//!
//! Each letter goes its way in two steps, each acknowledged by all replicas: the record into its source topic, then a
//! record without a value under the letter's key. A crash between the two replays the record again; it is the same
//! record with the same `event_id`, so that nodes count it once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message as _};

use super::order::{Account, Action, Found, Order};
use super::reader::{self, Part, Reader};
use super::topic::LETTER_MAX_BYTES;
use super::{DETAIL, KEY, REASON, REPLAY_OF, name};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::producer::{Delivered, Outgoing, Producer};
use crate::start::Extent;

/// How many records of a partition are remembered at once, at most about.
const PART_RECORDS: u64 = 1_000_000;
/// How many dead letters go together.
const BATCH_LETTERS: usize = 500;
/// How many bytes of them, before the batch is closed.
const BATCH_BYTES: usize = 8 << 20;
/// How long a batch's acknowledgements are waited for; the producer itself gives a record up before.
const BATCH_WAIT: Duration = Duration::from_secs(40);

/// Does what the order says with the dead letters that stand at the time of asking. What was done, also before an
/// error, is written to `account`. Blocks; every wait on the brokers ends by itself.
///
/// Errors: [`Error::Kafka`] when no broker answers, [`Error::DeadLetterTopic`] when there is no such source topic,
/// [`Error::NotDelivered`] and [`Error::Refused`] for a record that could not be written; what was done stays done.
pub fn carry_out(config: &Config, prefix: &str, order: &Order, account: &mut Account) -> Result<()> {
    account.topic = format!("{prefix}{}", order.source);
    let reader = Reader::connect(config, &account.topic)?;
    reader.partitions(&order.source)?.map_err(|detail| Error::DeadLetterTopic {
        topic: order.source.clone(),
        detail: format!("there is no such topic ({detail}); name one of [kafka.topics]"),
    })?;
    // A broker may take a moment to tell of the letters' topic; what it does not know is not there.
    let Ok(partitions) = reader.partitions(&account.topic)? else { return Ok(()) };
    account.exists = true;
    let client_id = format!("{}-dead-letters", config.client_id);
    let producer = Producer::connect_large(&config.brokers, &client_id, &config.security, LETTER_MAX_BYTES)?;
    let mut work = Work { producer, order, account, batch: Vec::new(), batch_bytes: 0 };
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        if work.has_enough() {
            break;
        }
        work.partition(&reader, partition)?;
    }
    Ok(())
}

/// A dead letter on its way.
struct Letter {
    found: Found,
    /// Its partition in the dead-letter topic.
    partition: i32,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
}

/// One order being carried out.
struct Work<'a> {
    producer: Producer,
    order: &'a Order,
    account: &'a mut Account,
    batch: Vec<Letter>,
    batch_bytes: usize,
}

impl Work<'_> {
    fn has_enough(&self) -> bool {
        self.order.limit.is_some_and(|limit| self.account.matched >= limit)
    }

    fn partition(&mut self, reader: &Reader, partition: i32) -> Result<()> {
        let log = reader.extent(partition)?;
        let records = u64::try_from(log.end.saturating_sub(log.start)).unwrap_or(0);
        let of = records / PART_RECORDS + 1;
        for number in 0..of {
            let part = Part { number, of };
            let foreign = &mut self.account.foreign;
            let standing = reader.standing((partition, log), &self.order.source, part, foreign)?;
            if !standing.is_empty() && !self.has_enough() {
                self.letters(reader, (partition, log), &standing)?;
            }
        }
        Ok(())
    }

    /// Reads a partition once more and sends the letters that stand and match on their way.
    fn letters(&mut self, reader: &Reader, (partition, log): (i32, Extent), standing: &HashSet<i64>) -> Result<()> {
        reader.read(partition, log, |message| {
            if let Some(letter) = self.letter(message).filter(|_| standing.contains(&message.offset())) {
                self.account.matched += 1;
                self.batch_bytes += letter.value.len();
                self.batch.push(letter);
                if self.batch.len() >= BATCH_LETTERS || self.batch_bytes >= BATCH_BYTES {
                    self.settle()?;
                }
            }
            Ok(!self.has_enough())
        })?;
        self.settle()
    }

    /// The dead letter in a record, if the order means it.
    fn letter(&self, message: &BorrowedMessage<'_>) -> Option<Letter> {
        let (partition, offset) = reader::place(message, &self.order.source)?;
        let value = message.payload()?;
        let (reason, time) = (reader::text(message, REASON), reader::time(message));
        self.order.takes((partition, offset), &reason, time).then(|| Letter {
            found: Found {
                key: name(&self.order.source, partition, offset),
                reason,
                detail: reader::text(message, DETAIL),
                time,
                bytes: u64::try_from(value.len()).unwrap_or(u64::MAX),
                replayed_to: None,
            },
            partition: message.partition(),
            key: reader::header(message, KEY).map(<[u8]>::to_vec),
            value: value.to_vec(),
        })
    }

    /// Sends the batch: the records, then the marks of those that were acknowledged.
    fn settle(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let mut failure = None;
        if !self.order.dry_run {
            if self.order.action == Action::Replay {
                (batch, failure) = self.replay(batch)?;
            }
            // What went out is marked whatever became of the rest.
            self.mark(&batch)?;
            self.account.done += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        }
        for letter in batch {
            self.account.name(letter.found);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends records to their source topic; gives back those acknowledged, and why the first other one was not.
    fn replay(&self, batch: Vec<Letter>) -> Result<(Vec<Letter>, Option<Error>)> {
        let records = batch.iter().map(|letter| Outgoing {
            topic: &self.order.source,
            key: letter.key.as_deref(),
            value: Some(&letter.value),
            ..Outgoing::default()
        });
        let names: Vec<_> = batch.iter().map(|letter| [(REPLAY_OF, letter.found.key.as_bytes())]).collect();
        let records = records.zip(&names).map(|(record, headers)| Outgoing { headers, ..record });
        let (mut sent, mut failure) = (Vec::new(), None);
        for (letter, fate) in batch.iter().zip(send_all(&self.producer, records)?) {
            match fate {
                Ok(at) => sent.push((letter.found.key.clone(), name(&self.order.source, at.partition, at.offset))),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let mut sent = sent.into_iter().peekable();
        let delivered = batch.into_iter().filter_map(|mut letter| {
            let (_, to) = sent.next_if(|(key, _)| *key == letter.found.key)?;
            letter.found.replayed_to = Some(to);
            Some(letter)
        });
        Ok((delivered.collect(), failure))
    }

    /// Marks dead letters as done, each where it stands.
    fn mark(&self, letters: &[Letter]) -> Result<()> {
        let records = letters.iter().map(|letter| Outgoing {
            topic: &self.account.topic,
            partition: Some(letter.partition),
            key: Some(letter.found.key.as_bytes()),
            ..Outgoing::default()
        });
        send_all(&self.producer, records)?.into_iter().try_for_each(|fate| fate.map(drop))
    }
}

/// Sends records and waits for the fate of each, in their order. A record whose fate is not told in time counts as not
/// delivered.
fn send_all<'r>(producer: &Producer, records: impl Iterator<Item = Outgoing<'r>>) -> Result<Vec<Result<Delivered>>> {
    let fates: Arc<Mutex<Vec<Option<Result<Delivered>>>>> = Arc::default();
    for (number, record) in records.enumerate() {
        let told = Arc::clone(&fates);
        fates.lock().unwrap_or_else(PoisonError::into_inner).push(None);
        let tell = move |fate| {
            // After the wait below nobody asks any more, and there is no place.
            if let Some(place) = told.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
                *place = Some(fate);
            }
        };
        if let Err(error) = producer.send_record(&record, tell) {
            fates.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(Err(error));
        }
    }
    match producer.flush(BATCH_WAIT) {
        Ok(()) | Err(Error::FlushTimedOut) => {}
        Err(error) => return Err(error),
    }
    let fates = std::mem::take(&mut *fates.lock().unwrap_or_else(PoisonError::into_inner));
    let silent = || Error::NotDelivered { lost: 1, detail: "no acknowledgement in time".to_owned() };
    Ok(fates.into_iter().map(|fate| fate.unwrap_or_else(|| Err(silent()))).collect())
}
