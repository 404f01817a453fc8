//! A node from the center: the next epoch of its store, as if it had applied every record below the sink's offsets.
//!
//! The cut comes first, then the tables in parts, each taken in whole and noted, then what follows from them. Rows that the
//! center took in meanwhile stand above the cut: changes of rows are gated by their version when Kafka brings them, events
//! are left out by their offset. So a part may be read at any time, and twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edgefeed_storage::model::{HOUR_MS, IdKind, TimestampMs, Topic, hour_of};
use edgefeed_storage::retention::tombstones_ms;
use edgefeed_storage::{Base, Begin, Build, Foundation, OpenOptions, Position, Store};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::config::Config;
use super::error::{Error, Result};
use super::fill::{Piece, fill};
use super::note::{self, Note, WalkNote};
use super::pace::Pace;
use super::places::{Place, Surveyor, check_not_begun};
use super::report::{Progress, Report};
use crate::Clock;
use crate::breaker::{Breaker, Permit};
use crate::center::{Bounds, Center, Class, Cut, Shard, Walk};

/// Answers held between the connection and the one who writes.
const PIECES: usize = 8;
/// Between two looks at a breaker that is open.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries of a query that failed, at most.
const AGAIN_MOST: Duration = Duration::from_secs(5);
/// How far a record's clock may run ahead of this node's.
const CLOCK_SLACK_MS: i64 = 5 * 60_000;

/// Builds stores from the center.
#[derive(Clone)]
pub struct Bootstrap {
    /// The `[kafka]` section.
    pub kafka: crate::Config,
    /// The `[sink]` section: whose offsets say what the center holds.
    pub sink: crate::sink::Config,
    /// The center.
    pub center: Arc<Center>,
    /// The breaker around it.
    pub breaker: Arc<Breaker>,
    /// `node.cluster`.
    pub cluster: String,
    /// The `[resync]` section.
    pub settings: Config,
    /// The time.
    pub clock: Clock,
    /// Told of everything.
    pub report: Report,
    /// Set to have it end soon; what is done is kept.
    pub stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bootstrap").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Where to build.
#[derive(Clone, Debug)]
pub struct Order {
    /// The `[storage]` section.
    pub storage: edgefeed_storage::Config,
    /// As the store is opened.
    pub options: OpenOptions,
    /// The store that serves meanwhile, in a running node.
    pub serving: Option<Arc<Store>>,
}

/// What was done, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which epoch it is.
    pub epoch: u32,
    /// Whether it went on with a rebuild that was begun before.
    pub resumed: bool,
    /// By topic and partition, the first offset that Kafka is asked for.
    pub offsets: BTreeMap<String, i64>,
    /// Rows read in this run.
    pub rows: u64,
    /// How long this run took, in milliseconds.
    pub took_ms: u64,
    /// What was read in this run, table by table.
    pub tables: Vec<Progress>,
    /// Of a dry run: rows there are, roughly, by table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub expected: BTreeMap<&'static str, u64>,
}

/// What all parts of one rebuild have in common.
struct Work {
    boot: Bootstrap,
    build: Arc<Build>,
    note: Mutex<Note>,
    cut: Cut,
    ids: IdKind,
    storage: edgefeed_storage::Config,
    pace: Pace,
    /// When the center last did what it was asked.
    well_at: Mutex<Instant>,
}

impl Bootstrap {
    /// What [`Bootstrap::run`] would do. Reads no table whole and writes nothing.
    ///
    /// # Errors
    /// Those of [`Bootstrap::run`].
    pub async fn dry_run(&self, order: &Order) -> Result<Outcome> {
        let begun = Instant::now();
        let (places, cut, _) = self.survey().await?;
        let mut expected = BTreeMap::new();
        for walk in Walk::ALL.into_iter().filter(|walk| *walk != Walk::EventIds) {
            let shards = self.divide(walk, order.options.ids, &cut).await?;
            expected.insert(walk.name(), shards.rows);
        }
        Ok(Outcome { expected, ..self.outcome(0, false, &places, begun) })
    }

    /// Builds the next epoch, or goes on with one that was begun and whose place in the log Kafka still has. It is
    /// finished and on disk then, and not yet current.
    ///
    /// # Errors
    /// See [`Error`]; what was done is kept but for [`Error::Refused`].
    pub async fn run(&self, order: &Order) -> Result<(Build, Outcome)> {
        let begun = Instant::now();
        self.report.begin("finding where the log is cut");
        let (build, held) = self.open(order).await?;
        let resumed = held.is_some();
        let note = match held {
            Some(note) => note,
            None => self.begin(order).await?,
        };
        let outcome = self.outcome(build.epoch(), resumed, &note.places, begun);
        let finished = note.finished;
        let work = Arc::new(Work {
            boot: self.clone(),
            build: Arc::new(build),
            cut: cut_of(&note.places, note.now_ms)?,
            note: Mutex::new(note),
            ids: order.options.ids,
            storage: order.storage.clone(),
            pace: Pace::new(self.settings.max_rows_per_s),
            well_at: Mutex::new(Instant::now()),
        });
        if !finished {
            work.keep_note().await?;
            for walk in Walk::ALL {
                work.walk(walk).await?;
            }
            work.finish().await?;
        }
        let Some(Work { build, .. }) = Arc::into_inner(work) else { return Err(Error::Panicked("reading a part")) };
        let build = Arc::into_inner(build).ok_or(Error::Panicked("writing a part"))?;
        Ok((
            build,
            Outcome { rows: self.report.rows(), took_ms: millis(begun), tables: self.report.tables(), ..outcome },
        ))
    }

    fn outcome(&self, epoch: u32, resumed: bool, places: &[Place], begun: Instant) -> Outcome {
        let name = |place: &Place| {
            let topic = self.kafka.topics.name_of(place.at.topic).unwrap_or(place.at.topic.name());
            (format!("{topic}-{}", place.at.partition), place.offset)
        };
        let offsets = places.iter().map(name).collect();
        Outcome {
            epoch,
            resumed,
            offsets,
            rows: 0,
            took_ms: millis(begun),
            tables: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    /// The build, and what was noted of it if that can be gone on with.
    async fn open(&self, order: &Order) -> Result<(Build, Option<Note>)> {
        let (this, order) = (self.clone(), order.clone());
        blocking("opening the next epoch", move || {
            let serving = order.serving.as_deref();
            let build = Build::open(&order.storage, order.options, serving)?;
            let Some(text) = build.note()? else {
                // Of a build that was killed before its first note, nothing is known.
                return Ok((build.start_over(&order.storage, order.options, serving)?, None));
            };
            let database = this.center.database();
            let fits = |note: &Note| note.fits(order.options.ids, &this.cluster, &this.sink.group, database);
            match Note::read(&text).filter(fits) {
                Some(note) if this.surveyor().still_there(&note.places)? => Ok((build, Some(note))),
                _ => Ok((build.start_over(&order.storage, order.options, serving)?, None)),
            }
        })
        .await
    }

    fn surveyor(&self) -> Surveyor<'_> {
        Surveyor { kafka: &self.kafka, sink: &self.sink, clock: &self.clock }
    }

    /// Where the log is cut; and, once that stands, what the center says of record times.
    async fn survey(&self) -> Result<(Vec<Place>, Cut, BTreeMap<u32, TimestampMs>)> {
        let this = self.clone();
        let (places, not_begun) = blocking("asking for the sink's offsets", move || this.surveyor().survey()).await?;
        check_not_begun(&self.center, &self.cluster, &self.kafka, &not_begun).await?;
        let cut = cut_of(&places, (self.clock)())?;
        let topic = &self.kafka.topics.events;
        let times = self.center.record_times(&self.cluster, topic, &cut, self.limit()).await;
        Ok((places, cut, times.map_err(Error::Center)?.into_iter().collect()))
    }

    /// Decides everything that stays the same for the whole rebuild.
    async fn begin(&self, order: &Order) -> Result<Note> {
        let (places, _, record_times) = self.survey().await?;
        Ok(Note {
            version: note::VERSION,
            ids: order.options.ids,
            cluster: self.cluster.clone(),
            group: self.sink.group.clone(),
            database: self.center.database().to_owned(),
            now_ms: (self.clock)(),
            places,
            record_times,
            walks: BTreeMap::new(),
            finished: false,
        })
    }

    async fn divide(&self, walk: Walk, ids: IdKind, cut: &Cut) -> Result<crate::center::Shards> {
        let shards = self.center.shards(walk, ids, cut, self.settings.shard_rows, self.limit());
        shards.await.map_err(Error::Center)
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.settings.query_timeout_ms)
    }

    fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Acquire) { Err(Error::Stopped) } else { Ok(()) }
    }
}

impl Work {
    /// Reads what is left of one table.
    async fn walk(self: &Arc<Self>, walk: Walk) -> Result<()> {
        self.boot.report.begin(&format!("reading {}", walk.name()));
        if !self.noted(|note| note.walks.contains_key(&walk)) {
            let shards = self.patiently(|| self.boot.divide(walk, self.ids, &self.cut)).await?;
            self.noted(|note| note.walks.insert(walk, WalkNote::of(&shards)));
            self.keep_note().await?;
        }
        let begun = Instant::now();
        let Some(noted) = self.noted(|note| note.walks.get(&walk).cloned()) else { return Ok(()) };
        let mut left = noted.left().into_iter();
        self.boot.report.table(walk, noted.rows, noted.done.len(), noted.parts.len());
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < self.boot.settings.concurrency
                && let Some((number, shard)) = left.next()
            {
                let work = Arc::clone(self);
                under_way.spawn(async move { work.part(walk, shard).await.map(|()| number) });
            }
            let Some(done) = under_way.join_next().await else {
                self.boot.report.table_done(walk, millis(begun));
                return Ok(());
            };
            let number = done.map_err(|_| Error::Panicked("reading a part"))??;
            self.noted(|note| note.walks.get_mut(&walk).map(|noted| noted.done.insert(number)));
            self.keep_note().await?;
            self.boot.report.part_done(walk);
        }
    }

    /// Reads one part, again and again until it is in.
    async fn part(self: &Arc<Self>, walk: Walk, shard: Shard) -> Result<()> {
        self.patiently(|| self.attempt(walk, shard)).await
    }

    async fn attempt(&self, walk: Walk, shard: Shard) -> Result<()> {
        let bounds = Bounds {
            ids: self.ids,
            cluster: &self.boot.cluster,
            topic: &self.boot.kafka.topics.events,
            cut: &self.cut,
            now_ms: self.noted(|note| note.now_ms),
            deleted_since: self.noted(|note| note.now_ms) - tombstones_ms(self.storage.tombstone_days),
            remembered_since: self.remembered_since(shard),
        };
        let mut rows = self.boot.center.walk(walk, &bounds, shard, self.boot.limit()).map_err(Error::Center)?;
        let (give, take) = mpsc::channel(PIECES);
        let (build, shape, as_of_ms) = (Arc::clone(&self.build), (walk, self.ids, rows.width()), bounds.now_ms);
        let writing = spawn_blocking(move || fill(&build, shape, as_of_ms, take));
        let read = async {
            while let Some(chunk) = rows.next().await.map_err(Error::Center)? {
                self.boot.check_stop()?;
                let count = (chunk.len() / rows.width()) as u64;
                if give.send(Piece::Rows(chunk)).await.is_err() {
                    break;
                }
                self.boot.report.read(walk, count);
                self.pace.take(count).await;
            }
            // Should the writer be gone, it tells why itself.
            drop(give.send(Piece::End).await);
            Ok(())
        };
        let read: Result<()> = read.await;
        // Without the end of the rows nothing is taken in.
        drop(give);
        let written = writing.await.map_err(|_| Error::Panicked("writing a part"))?;
        read?;
        written.map(drop)
    }

    /// From when on a partition's event ids are remembered.
    fn remembered_since(&self, shard: Shard) -> TimestampMs {
        let horizon = i64::from(self.storage.dedup_hours.max(1)) * HOUR_MS;
        let watermark = self.noted(|note| {
            let mut places = note.places.iter().filter(|place| place.at.topic == Topic::Events);
            let place = places.find(|place| u128::from(place.at.partition) == shard.from.0);
            place.map_or(0, |place| watermark(place, note))
        });
        i64::from(hour_of(watermark - horizon)) * HOUR_MS
    }

    /// Asks again after a failure that passes by itself, behind the breaker, for as long as patience goes.
    async fn patiently<T, F: Future<Output = Result<T>>>(&self, ask: impl Fn() -> F) -> Result<T> {
        let mut wait = LOOK;
        loop {
            let permit = self.leave().await?;
            match ask().await {
                Ok(done) => {
                    permit.success();
                    *self.well_at() = Instant::now();
                    return Ok(done);
                }
                Err(Error::Center(error)) => {
                    permit.failure();
                    if error.class() != Class::Transient || self.well_at().elapsed() > self.patience() {
                        return Err(Error::Center(error));
                    }
                    self.boot.report.wait(Some(error.to_string()));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN_MOST);
                }
                // That says nothing about the center.
                Err(other) => return Err(other),
            }
        }
    }

    /// Waits until the breaker lets a query through.
    async fn leave(&self) -> Result<Permit> {
        loop {
            self.boot.check_stop()?;
            if let Some(permit) = self.boot.breaker.acquire() {
                self.boot.report.wait(None);
                return Ok(permit);
            }
            self.boot.report.wait(Some("clickhouse: the breaker is open".to_owned()));
            if self.well_at().elapsed() > self.patience() {
                return Err(Error::BreakerOpen(self.boot.settings.patience_s));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.boot.settings.patience_s)
    }

    fn well_at(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.well_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted<T>(&self, look: impl FnOnce(&mut Note) -> T) -> T {
        look(&mut self.note.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn keep_note(self: &Arc<Self>) -> Result<()> {
        let work = Arc::clone(self);
        blocking("noting how far it is", move || {
            let text = work.noted(|note| serde_json::to_string(note));
            let text = text.map_err(|error| Error::Refused(format!("the note cannot be written: {error}")))?;
            Ok(work.build.keep_note(&text)?)
        })
        .await
    }

    /// Makes what follows from the rows, says where the store stands, and has it all on disk.
    async fn finish(self: &Arc<Self>) -> Result<()> {
        self.boot.report.begin("making indexes and counts");
        let work = Arc::clone(self);
        blocking("making indexes and counts", move || {
            work.build.derive(|_| {})?;
            let foundation = work.noted(|note| foundation(note));
            work.build.finish(&foundation)?;
            work.noted(|note| note.finished = true);
            Ok(())
        })
        .await?;
        self.keep_note().await
    }
}

/// The partition's own record time at the cut.
fn watermark(place: &Place, note: &Note) -> TimestampMs {
    let known = note.record_times.get(&place.at.partition).filter(|_| place.at.topic == Topic::Events);
    let last = place.last.map(|(_, time)| time);
    known.copied().max(last).unwrap_or(0).clamp(0, note.now_ms.saturating_add(CLOCK_SLACK_MS))
}

/// As if every record below the cut had been applied.
fn foundation(note: &Note) -> Foundation {
    let position = |place: &Place| {
        let watermark = watermark(place, note);
        let (last_offset, last_time) = place.last.unwrap_or((-1, watermark));
        let next = place.offset;
        (place.at, Position { next_offset: next, last_offset, last_time, watermark, marked_from: next })
    };
    Foundation {
        positions: note.places.iter().map(position).collect(),
        begins: begins(&note.places),
        base: Some(Base { as_of_ms: note.now_ms, rows: 0, own_from: None }),
    }
}

fn begins(places: &[Place]) -> BTreeMap<u32, Begin> {
    let events = places.iter().filter(|place| place.at.topic == Topic::Events);
    events.map(|place| (place.at.partition, Begin { offset: place.offset, time: Some(place.begin_ms) })).collect()
}

fn cut_of(places: &[Place], now_ms: TimestampMs) -> Result<Cut> {
    Cut::of(&begins(places), now_ms).ok_or_else(|| {
        Error::Refused(
            "the sink's group has committed nothing of events, so nothing is at the center to build from; start the node, \
             it reads Kafka from the beginning"
                .to_owned(),
        )
    })
}

/// Runs what waits for a disk or a broker where it keeps nobody else.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.map_err(|_| Error::Panicked(what))?
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
