//! A node from the center: the next epoch of its store, as if it had applied every record below the sink's offsets.
//!
//! The cut comes first, then the tables in parts, each taken in whole and noted, then what follows from them. Rows that the
//! center took in meanwhile stand above the cut: changes of rows are gated by their version when Kafka brings them, events
//! are left out by their offset. So a part may be read at any time, and twice.

mod foundation;
mod patience;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgefeed_storage::model::{IdKind, TimestampMs};
use edgefeed_storage::{Build, OpenOptions, Store};
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use self::foundation::cut_of;
use self::work::Work;
use super::config::Config;
use super::error::{Error, Result};
use super::note::{self, Note};
use super::pace::Pace;
use super::places::{Place, Surveyor, check_not_begun};
use super::report::{Progress, Report};
use crate::Clock;
use crate::breaker::Breaker;
use crate::center::{Center, Cut, Walk};

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
