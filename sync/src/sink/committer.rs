//! Commits to the group, waited for one at a time, on a thread of their own.
//!
//! The library waits for a commit's answer without bound while no broker is there. Here the wait can be given up when the
//! node is to stop. Until the answer has come nobody polls the consumer, so no rebalance is answered meanwhile: that is
//! what keeps a commit from being on its way while partitions change hands.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use edgefeed_storage::model::TopicPartition;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::commit::Mark;
use super::group::Context;
use crate::error::{Error, Result};
use crate::names::Names;

/// Between two looks at whether the node is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a node that is to stop still waits for an answer, and for the group to hear its goodbye.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// An offset to be committed, with its mark.
pub(crate) type Entry = (TopicPartition, i64, Mark);

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// The group has it.
    Yes,
    /// The partition belongs to somebody else by now: drop what was done for it.
    Fenced,
    /// Nobody knows; the same commit again is harmless.
    Unknown,
}

type Fates = BTreeMap<TopicPartition, Committed>;

/// The thread, and what goes to it and comes from it.
pub(crate) struct Committer {
    /// `None` once it is to end.
    asks: Option<Sender<Vec<Entry>>>,
    answers: Receiver<Fates>,
    /// An answer was given up: nothing is committed any more.
    given_up: Cell<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(crate) fn start(consumer: Arc<BaseConsumer<Context>>, names: Names) -> Result<Self> {
        let (asks, asked) = bounded::<Vec<Entry>>(1);
        let (answer, answers) = bounded(1);
        let work = move || {
            for commits in asked {
                if answer.send(commit(&consumer, &names, &commits)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("sink-commit".to_owned()).spawn(work);
        let thread = thread.map_err(|source| Error::Thread { what: "the sink's commits", source })?;
        Ok(Self { asks: Some(asks), answers, given_up: Cell::new(false), thread: Some(thread) })
    }

    /// Commits and waits for the answer; once `stopped`, for a few seconds only.
    pub(crate) fn commit(&self, commits: &[Entry], stopped: impl Fn() -> bool) -> Fates {
        let sent = self.asks.as_ref().filter(|_| !self.given_up.get()).map(|asks| asks.send(commits.to_vec()));
        if !matches!(sent, Some(Ok(()))) {
            return all(commits, Committed::Unknown);
        }
        let mut stopped_at = None;
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(fates) => return fates,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if stopped() => {
                    if stopped_at.get_or_insert_with(Instant::now).elapsed() > STOP_PATIENCE {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.given_up.set(true);
        all(commits, Committed::Unknown)
    }
}

impl Drop for Committer {
    /// The thread holds the consumer last, so its end is the group's goodbye: worth a moment, not worth for ever.
    fn drop(&mut self) {
        self.asks = None;
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < STOP_PATIENCE {
            std::thread::sleep(LOOK);
        }
    }
}

fn commit(consumer: &BaseConsumer<Context>, names: &Names, commits: &[Entry]) -> Fates {
    if consumer.assignment_lost() {
        return all(commits, Committed::Fenced);
    }
    let Ok(list) = list(names, commits) else { return all(commits, Committed::Unknown) };
    if let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        tracing::debug!("committing to the sink's group: {error}");
        return all(commits, fate(&error));
    }
    // The library calls the whole well when any of it was: each partition has an answer of its own.
    let answers = list.elements().into_iter().filter_map(|element| {
        let at = names.partition(element.topic(), element.partition())?;
        Some((at, element.error().err().map_or(Committed::Yes, |error| fate(&error))))
    });
    answers.collect()
}

fn list(names: &Names, commits: &[Entry]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(commits.len());
    for (at, offset, mark) in commits {
        let (Some(name), Ok(number)) = (names.name(at.topic), i32::try_from(at.partition)) else { continue };
        let mut element = list.add_partition(name, number);
        element.set_offset(Offset::Offset(*offset)).map_err(Error::kafka("naming partitions"))?;
        element.set_metadata(mark.to_string());
    }
    Ok(list)
}

fn all(commits: &[Entry], fate: Committed) -> Fates {
    commits.iter().map(|(at, _, _)| (*at, fate)).collect()
}

/// What an error says of a commit.
fn fate(error: &KafkaError) -> Committed {
    use RDKafkaErrorCode::{
        AssignmentLost, FencedInstanceId, IllegalGeneration, NoOffset, RebalanceInProgress, UnknownMemberId,
    };
    match error.rdkafka_error_code() {
        Some(
            AssignmentLost | FencedInstanceId | IllegalGeneration | NoOffset | RebalanceInProgress | UnknownMemberId,
        ) => Committed::Fenced,
        _ => Committed::Unknown,
    }
}
