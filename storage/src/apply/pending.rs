//! What one batch will do: gathered in memory, then turned into one `WriteBatch` and one change of the projection.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use rocksdb::WriteBatch;

use super::versions;
use crate::counters::{self, Latest, Partial, RowCounts};
use crate::engine::Engine;
use crate::error::Result;
use crate::hot::{ACTIVE_HOURS, Hot, LoadedPost};
use crate::key::{self, Family, Key, Keys};
use crate::model::{Action, Counters, Day, Event, Hour, Id, TimestampMs, Topic, TopicPartition, hour_of};
use crate::position::{Applied, Position};
use crate::retention::POST_HOURS_KEPT;
use crate::value::{self, Begin, CommentRow, DeadLetter, Forgotten, LinkRow, PostRow, VersionMark};

/// A pair's day: user, author, arrival day, day of the event.
type PairDay = (Id, Id, Day, Day);

/// The effects of one batch so far. Later records of the batch read through it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) now_ms: TimestampMs,
    pub(super) applied: Applied,
    positions: BTreeMap<TopicPartition, Position>,
    /// Partitions of `events` whose first record is in this batch, or that were found empty.
    begins: BTreeMap<u32, Begin>,
    versions: BTreeMap<Topic, VersionMark>,
    /// Ids first met in this batch: in which partitions, at which hour of their record time.
    pub(super) ids: HashMap<u128, Vec<(u32, Hour)>>,
    pub(super) dedup: Vec<(Key, i64)>,
    pub(super) marks: Vec<Key>,
    pub(super) dead: Vec<(Key, DeadLetter)>,
    pub(super) dead_dropped: Vec<Key>,
    pub(super) posts: HashMap<Id, PostRow>,
    pub(super) comments: HashMap<Id, CommentRow>,
    pub(super) links: HashMap<(Family, Key), LinkRow>,
    /// Index entries: true puts, false deletes.
    pub(super) index: HashMap<(Family, Key), bool>,
    pub(super) hides: HashMap<(Id, Id), TimestampMs>,
    pub(super) viewed: HashMap<(Id, Id), TimestampMs>,
    pub(super) hours: HashMap<(Id, Hour), Counters>,
    pub(super) partials: HashMap<PairDay, Partial>,
    pub(super) counts: HashMap<Id, RowCounts>,
    /// Events that leave the spool, by sequence number: their records are here.
    unspooled: BTreeMap<u64, Event>,
    /// What events that enter the spool add to posts: to the projection alone.
    spooled: HashMap<(Id, Hour), Counters>,
    /// Posts whose row changed.
    pub(super) changed_posts: HashSet<Id>,
    /// Readers whose facts changed.
    touched: HashSet<Id>,
    /// Users who left in this batch, and when.
    forgotten: HashMap<Id, TimestampMs>,
}

impl Pending {
    pub(super) fn new(now_ms: TimestampMs) -> Self {
        Self {
            now_ms,
            applied: Applied::default(),
            positions: BTreeMap::new(),
            begins: BTreeMap::new(),
            versions: BTreeMap::new(),
            ids: HashMap::new(),
            dedup: Vec::new(),
            marks: Vec::new(),
            dead: Vec::new(),
            dead_dropped: Vec::new(),
            posts: HashMap::new(),
            comments: HashMap::new(),
            links: HashMap::new(),
            index: HashMap::new(),
            hides: HashMap::new(),
            viewed: HashMap::new(),
            hours: HashMap::new(),
            partials: HashMap::new(),
            counts: HashMap::new(),
            unspooled: BTreeMap::new(),
            spooled: HashMap::new(),
            changed_posts: HashSet::new(),
            touched: HashSet::new(),
            forgotten: HashMap::new(),
        }
    }

    pub(super) fn position(&self, at: TopicPartition) -> Option<&Position> {
        self.positions.get(&at)
    }

    pub(super) fn set_position(&mut self, at: TopicPartition, position: Position) {
        self.positions.insert(at, position);
    }

    pub(super) fn begin(&mut self, partition: u32, begin: Begin) {
        self.begins.insert(partition, begin);
    }

    pub(super) fn begins(&self) -> impl Iterator<Item = (u32, Begin)> {
        self.begins.iter().map(|(partition, begin)| (*partition, *begin))
    }

    pub(super) fn version(&self, topic: Topic) -> Option<&VersionMark> {
        self.versions.get(&topic)
    }

    pub(super) fn set_version(&mut self, topic: Topic, mark: VersionMark) {
        self.versions.insert(topic, mark);
    }

    pub(super) fn touch(&mut self, viewer: Id) {
        self.touched.insert(viewer);
    }

    /// An event enters the spool.
    pub(super) fn spool(&mut self, event: &Event) {
        let hour = hour_of(event.event_time);
        if hour.saturating_add(POST_HOURS_KEPT) >= hour_of(self.now_ms) {
            self.spooled.entry((event.post, hour)).or_default().add(&Counters::of(event));
        }
        self.touch_by(event);
    }

    /// An event leaves the spool.
    pub(super) fn unspool(&mut self, sequence: u64, event: &Event) {
        self.touch_by(event);
        self.unspooled.insert(sequence, event.clone());
    }

    /// Impressions change nothing that is asked of a reader.
    fn touch_by(&mut self, event: &Event) {
        if event.action != Action::Impression {
            self.touch(event.user);
        }
    }

    pub(super) fn unspooled(&self) -> impl Iterator<Item = u64> {
        self.unspooled.keys().copied()
    }

    pub(super) fn forget(&mut self, user: Id, at: TimestampMs) {
        self.forgotten.entry(user).or_insert(at);
    }

    pub(super) fn forgotten(&self) -> &HashMap<Id, TimestampMs> {
        &self.forgotten
    }

    pub(super) fn add_rows(&mut self, post: Id, likes: i64, comments: i64) {
        let counts = self.counts.entry(post).or_default();
        counts.likes += likes;
        counts.comments += comments;
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = (TopicPartition, Position)> {
        self.positions.iter().map(|(at, position)| (*at, *position))
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = (Topic, VersionMark)> {
        self.versions.iter().map(|(topic, mark)| (*topic, *mark))
    }

    pub(super) fn touched(&self) -> impl Iterator<Item = &Id> {
        self.touched.iter()
    }

    /// The one write.
    pub(super) fn batch(&self, engine: &Engine, keys: Keys) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        self.write_log(engine, &mut batch)?;
        self.write_rows(engine, keys, &mut batch)?;
        self.write_counters(engine, keys, &mut batch)?;
        for (sequence, event) in &self.unspooled {
            batch.delete_cf(engine.cf(Family::Spool)?, key::spool(*sequence));
            batch.delete_cf(engine.cf(Family::SpoolOf)?, keys.spool_of(event.user, *sequence));
        }
        Ok(batch)
    }

    fn write_log(&self, engine: &Engine, batch: &mut WriteBatch) -> Result<()> {
        let offsets = engine.cf(Family::Offsets)?;
        for (at, position) in &self.positions {
            batch.put_cf(offsets, key::partition(*at), value::encode(Family::Offsets, position)?);
        }
        let meta = engine.cf(Family::Meta)?;
        for (topic, mark) in &self.versions {
            batch.put_cf(meta, versions::mark_key(*topic), value::encode(Family::Meta, mark)?);
        }
        for (partition, begin) in &self.begins {
            batch.put_cf(meta, key::begin(*partition), value::encode(Family::Meta, begin)?);
        }
        let dedup = engine.cf(Family::Dedup)?;
        for (key, offset) in &self.dedup {
            batch.put_cf(dedup, key, offset.to_be_bytes());
        }
        let marks = engine.cf(Family::Marks)?;
        for key in &self.marks {
            batch.put_cf(marks, key, []);
        }
        let dead = engine.cf(Family::DeadLetters)?;
        for (key, letter) in &self.dead {
            batch.put_cf(dead, key, value::encode(Family::DeadLetters, letter)?);
        }
        for key in &self.dead_dropped {
            batch.delete_cf(dead, key);
        }
        Ok(())
    }

    fn write_rows(&self, engine: &Engine, keys: Keys, batch: &mut WriteBatch) -> Result<()> {
        let posts = engine.cf(Family::Posts)?;
        for (id, row) in &self.posts {
            batch.put_cf(posts, keys.one(*id), value::encode(Family::Posts, row)?);
        }
        let comments = engine.cf(Family::Comments)?;
        for (id, row) in &self.comments {
            batch.put_cf(comments, keys.one(*id), value::encode(Family::Comments, row)?);
        }
        let forgotten = engine.cf(Family::Forgotten)?;
        for (id, at) in &self.forgotten {
            let row = Forgotten { at: *at, swept: false, told: false };
            batch.put_cf(forgotten, keys.one(*id), value::encode(Family::Forgotten, &row)?);
        }
        for ((family, key), row) in &self.links {
            batch.put_cf(engine.cf(*family)?, key, value::encode(*family, row)?);
        }
        for ((family, key), put) in &self.index {
            match put {
                true => batch.put_cf(engine.cf(*family)?, key, []),
                false => batch.delete_cf(engine.cf(*family)?, key),
            }
        }
        Ok(())
    }

    fn write_counters(&self, engine: &Engine, keys: Keys, batch: &mut WriteBatch) -> Result<()> {
        let hides = engine.cf(Family::Hides)?;
        for ((user, post), time) in &self.hides {
            batch.put_cf(hides, keys.two(*user, *post), counters::encode(&Latest(*time)));
        }
        let viewed = engine.cf(Family::Viewed)?;
        for ((user, post), time) in &self.viewed {
            batch.merge_cf(viewed, keys.two(*user, *post), counters::encode(&Latest(*time)));
        }
        let hours = engine.cf(Family::PostHours)?;
        for ((post, hour), sum) in &self.hours {
            batch.merge_cf(hours, keys.post_hour(*post, *hour), counters::encode(sum));
        }
        let days = engine.cf(Family::UserAuthorDays)?;
        for ((user, author, arrival, day), sum) in &self.partials {
            batch.merge_cf(days, keys.user_author_day(*user, *author, *arrival, *day), counters::encode(sum));
        }
        let counts = engine.cf(Family::PostCounts)?;
        for (post, difference) in self.counts.iter().filter(|(_, counts)| **counts != RowCounts::default()) {
            batch.merge_cf(counts, keys.one(*post), counters::encode(difference));
        }
        Ok(())
    }

    /// Posts the projection lacks and may now need: those whose row changed, and any with an event of late. While another
    /// is being read beside it, only those of its authors: the others are read there, and one by one takes longer.
    pub(super) fn posts_to_load(&self, hot: &Hot) -> Vec<Id> {
        let hour = hour_of(self.now_ms);
        let active = hour.saturating_sub(ACTIVE_HOURS)..=hour + 1;
        let counted = self.hours.keys().chain(self.spooled.keys()).filter(|_| !hot.is_followed());
        let mut posts: HashSet<Id> = counted.filter(|(_, hour)| active.contains(hour)).map(|(post, _)| *post).collect();
        let listed = |author| hot.number_of(author).is_some_and(|author| hot.is_loaded(author));
        posts.extend(self.changed_posts.iter().filter(|post| {
            let live = self.posts.get(*post).and_then(PostRow::live);
            live.is_some_and(|(author, _)| !hot.is_followed() || listed(author))
        }));
        posts.retain(|post| !hot.has_post(*post));
        posts.into_iter().collect()
    }

    /// Carries the batch over into the projection. `loaded` are posts read after the write, counters included.
    pub(super) fn project(&self, hot: &mut Hot, loaded: Vec<(Id, LoadedPost)>, now_ms: TimestampMs) {
        hot.now(now_ms);
        let counted = self.hours.iter().chain(&self.spooled);
        for ((post, hour), sum) in counted.filter(|((_, hour), _)| *hour <= hour_of(now_ms) + 1) {
            hot.add_events(*post, *hour, sum);
        }
        for event in self.unspooled.values() {
            hot.take_events(event.post, hour_of(event.event_time), &Counters::of(event));
        }
        for (post, counts) in &self.counts {
            hot.add_rows(*post, counts.likes, counts.comments);
        }
        for id in &self.changed_posts {
            if let Some(row) = self.posts.get(id) {
                hot.post_changed(*id, row.live());
            }
        }
        for (author, post) in loaded {
            hot.add_post(author, post);
        }
    }
}
