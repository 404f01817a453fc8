//! A world's log, written while nodes live and die: its history, then what goes on, with producers that say some
//! things twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, Message, World};
use edgefeed_storage::model::{HOUR_MS, IdKind, Topic};

use super::broker::Kafka;

/// Records a second.
const RATE: f64 = 1_500.0;
const TICK: Duration = Duration::from_millis(5);
/// One event in so many is said again.
const REPEATED: usize = 25;
/// How many events back it was said first, at most.
const MEMORY: usize = 400;

/// One record in so many is noise.
pub(crate) const NOISE_EVERY: usize = 20;

/// A large record that is good for nothing: kept as a dead letter, it fills memtables as fast as real traffic of hours,
/// so that they are written out, and the log is changed for a new one, while somebody watches.
pub(crate) fn noise(number: usize, time_ms: i64) -> Message {
    let topic = Topic::ALL[number / NOISE_EVERY % Topic::ALL.len()];
    Message { topic, key: format!("noise-{number}").into_bytes(), value: Some(vec![b'x'; 32 << 10]), time_ms }
}

/// Writes until told to stop, never beyond `limit` records: the broker keeps only so much of what is not yet read.
pub(crate) fn write(world: &World, kafka: &Mutex<Kafka>, limit: &AtomicUsize, stop: &Receiver<()>) {
    let encoding = Encoding::new(IdKind::U64);
    let mut live = world.live(1);
    let mut facts = world.history().map(Some).chain(std::iter::repeat(None));
    let mut said: VecDeque<Message> = VecDeque::new();
    let (started, mut written) = (Instant::now(), 0_usize);
    loop {
        match stop.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
        let due = (started.elapsed().as_secs_f64() * RATE) as usize;
        let mut kafka = kafka.lock().unwrap_or_else(PoisonError::into_inner);
        while written < due.min(limit.load(Ordering::Relaxed)) {
            let fact = facts.next().flatten().unwrap_or_else(|| live.next_at(now_ms()));
            for message in encoding.encode(&fact) {
                if message.topic == Topic::Events {
                    said.push_back(message.clone());
                    if said.len() > MEMORY {
                        said.pop_front();
                    }
                }
                let time_ms = message.time_ms;
                kafka.write(message);
                written += 1;
                if written.is_multiple_of(NOISE_EVERY) {
                    kafka.write(noise(written, time_ms));
                    written += 1;
                }
                if written.is_multiple_of(REPEATED)
                    && let Some(again) = repeat(&said, written, time_ms)
                {
                    kafka.write(again);
                    written += 1;
                }
            }
        }
    }
}

/// Something said within the last half hour of the log, said again now. Later repeats need not be known any more.
fn repeat(said: &VecDeque<Message>, number: usize, time_ms: i64) -> Option<Message> {
    let first = said.get(number.wrapping_mul(7_919) % said.len().max(1))?;
    (time_ms - first.time_ms < HOUR_MS / 2).then(|| Message { time_ms, ..first.clone() })
}
