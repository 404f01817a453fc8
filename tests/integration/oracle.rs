//! An independent oracle: what a node must hold and answer, written from the contract alone, naive on purpose.
//!
//! It reads the log's bytes with a JSON parser of its own use, keeps everything in ordered maps and sorts whole
//! worlds for one feed. Where the contract's words leave a choice, the choice is marked with "Reading:".

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use edgefeed_storage::model::{
    Counters, DAY_MS, DeadReason, HOUR_MS, Id, IdKind, TimestampMs, VersionKind, day_of, hour_of,
};
use serde_json::{Map, Value};

const AHEAD_MS: i64 = 5 * 60_000;
const LATE_MS: i64 = 90 * DAY_MS;
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// A record as it stands in Kafka. Topics by their default names: `events`, `cdc.posts`, ….
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    pub topic: String,
    pub partition: u32,
    pub offset: i64,
    pub time_ms: TimestampMs,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// The order of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OracleAlgo {
    Ranked,
    Time,
}

/// A window of `GET /feed/trending`: its length and the decay of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OracleWindow {
    Hour,
    Day,
    Week,
}

/// One post of an answer, with everything that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OraclePost {
    pub id: Id,
    pub author: Id,
    pub created_at: TimestampMs,
    pub score: f64,
    /// Of `followed`, `affinity`, `trending`, in this order.
    pub sources: Vec<&'static str>,
    pub like_count: u64,
    pub comment_count: u64,
    pub viewer_liked: bool,
    pub freshness: f64,
    pub engagement: f64,
    pub affinity: f64,
}

/// Why a post is not in a ranked feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The log has said nothing of it.
    Unknown,
    /// It is left out first: `own`, `deleted`, `dated_ahead`, `blocked`, `hidden` or `viewed`.
    NotVisible(&'static str),
    /// No source has it; why each has not: `followed`, `trending`, `affinity`.
    NotCandidate([Miss; 3]),
}

/// Why a source does not have a post: in a word, and where it stands in the order whose end was cut off before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    pub reason: &'static str,
    pub position: Option<usize>,
}

/// A live row of `posts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PostRow {
    pub author: Id,
    pub created_at: TimestampMs,
    pub deleted: bool,
}

/// What makes two events the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EventKey {
    Given(u128),
    Derived(Id, Id, String, TimestampMs),
}

/// Everything the log has said so far.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    ids: IdKind,
    cdc_epoch: u8,
    positions: BTreeMap<(String, u32), i64>,
    stalled: BTreeSet<String>,
    kinds: BTreeMap<String, VersionKind>,
    versions: BTreeMap<(String, Vec<Id>), u64>,
    posts: BTreeMap<Id, PostRow>,
    /// Deleted rows of `posts`, as they last were; `None` of one of which only the delete was ever seen.
    gone: BTreeMap<Id, Option<PostRow>>,
    follows: BTreeSet<(Id, Id)>,
    blocks: BTreeSet<(Id, Id)>,
    likes: BTreeSet<(Id, Id)>,
    comments: BTreeMap<Id, Id>,
    users: BTreeSet<Id>,
    /// Whose row of `users` was deleted, once and for good: nothing brings a user back.
    left: BTreeSet<Id>,
    /// The record time of the first of each event.
    seen_events: BTreeMap<EventKey, TimestampMs>,
    hours: BTreeMap<(Id, u32), Counters>,
    days: BTreeMap<(Id, Id, u16, u16), Counters>,
    viewed: BTreeMap<(Id, Id), TimestampMs>,
    hidden: BTreeSet<(Id, Id)>,
    dead: BTreeMap<(String, DeadReason), u64>,
}

/// An event as its JSON says it.
#[derive(Clone, Debug)]
struct ReadEvent {
    key: EventKey,
    time: TimestampMs,
    user: Id,
    post: Id,
    author: Option<Id>,
    action: String,
    dwell_ms: u64,
}

type Refused<T> = Result<T, DeadReason>;

impl Oracle {
    /// An oracle of a deployment with this kind of ids and this `kafka.cdc_epoch`.
    pub(crate) fn new(ids: IdKind, cdc_epoch: u8) -> Self {
        Self {
            ids,
            cdc_epoch,
            positions: BTreeMap::new(),
            stalled: BTreeSet::new(),
            kinds: BTreeMap::new(),
            versions: BTreeMap::new(),
            posts: BTreeMap::new(),
            gone: BTreeMap::new(),
            follows: BTreeSet::new(),
            blocks: BTreeSet::new(),
            likes: BTreeSet::new(),
            comments: BTreeMap::new(),
            users: BTreeSet::new(),
            left: BTreeSet::new(),
            seen_events: BTreeMap::new(),
            hours: BTreeMap::new(),
            days: BTreeMap::new(),
            viewed: BTreeMap::new(),
            hidden: BTreeSet::new(),
            dead: BTreeMap::new(),
        }
    }

    // ---------------------------------------------------------------- the log

    /// Takes one record. Records below the position were taken before and change nothing.
    pub(crate) fn fold(&mut self, record: &LogRecord, node_now_ms: TimestampMs) {
        let place = (record.topic.clone(), record.partition);
        let next = self.positions.get(&place).copied().unwrap_or(i64::MIN);
        if record.offset < next || self.stalled.contains(&record.topic) {
            return;
        }
        let taken = match record.topic.as_str() {
            "events" => self.fold_event(record),
            topic => match topic.strip_prefix("cdc.") {
                Some(table) => self.fold_cdc(table, record, node_now_ms),
                None => panic!("no such topic: {topic}"),
            },
        };
        if let Err(reason) = taken {
            *self.dead.entry((record.topic.clone(), reason)).or_default() += 1;
        }
        // A stalled topic keeps its offset: nothing is lost.
        if !self.stalled.contains(&record.topic) {
            self.positions.insert(place, record.offset + 1);
        }
    }

    fn fold_event(&mut self, record: &LogRecord) -> Refused<()> {
        // Reading: a null value on `events` is a tombstone too and says nothing.
        let Some(bytes) = &record.value else { return Ok(()) };
        let event = self.read_event(&json_object(bytes)?)?;
        // Both ends count in.
        if event.time < record.time_ms - LATE_MS || event.time > record.time_ms + AHEAD_MS {
            return Err(DeadReason::TimeOutOfRange);
        }
        if !self.is_repeat(event.key.clone(), record.time_ms) {
            self.count_event(&event, record.time_ms);
        }
        Ok(())
    }

    fn read_event(&self, object: &Map<String, Value>) -> Refused<ReadEvent> {
        let given = |name: &str| object.get(name).filter(|value| !value.is_null());
        let user = self.id(given("user_id").ok_or(DeadReason::MissingField)?)?;
        let post = self.id(given("post_id").ok_or(DeadReason::MissingField)?)?;
        let author = given("author_id").map(|value| self.id(value)).transpose()?;
        let action = given("action").ok_or(DeadReason::MissingField)?.as_str().ok_or(DeadReason::BadValue)?;
        if !["view", "impression", "like", "comment", "share", "hide"].contains(&action) {
            return Err(DeadReason::BadValue);
        }
        let time = event_time(given("event_time").ok_or(DeadReason::MissingField)?)?;
        // Reading: a dwell time is a whole number of milliseconds that fits 32 bits.
        let dwell_ms = given("dwell_ms").map_or(Some(0), Value::as_u64).ok_or(DeadReason::BadValue)?;
        if dwell_ms > u64::from(u32::MAX) {
            return Err(DeadReason::BadValue);
        }
        let action = action.to_owned();
        let key = match given("event_id") {
            None => EventKey::Derived(user, post, action.clone(), time),
            Some(id) => {
                let id = id.as_str().and_then(|text| IdKind::Uuid.parse(text));
                EventKey::Given(id.ok_or(DeadReason::BadValue)?.0)
            }
        };
        Ok(ReadEvent { key, time, user, post, author, action, dwell_ms })
    }

    fn count_event(&mut self, event: &ReadEvent, arrived_ms: TimestampMs) {
        let ReadEvent { time, user, post, dwell_ms, .. } = *event;
        let one = |action: &str| u32::from(event.action == action);
        let counts = Counters {
            views: one("view"),
            impressions: one("impression"),
            likes: one("like"),
            comments: one("comment"),
            shares: one("share"),
            dwell_ms,
        };
        self.hours.entry((post, hour_of(time))).or_default().add(&counts);
        if let Some(author) = event.author {
            let day = (user, author, day_of(arrived_ms), day_of(time));
            self.days.entry(day).or_default().add(&counts);
        }
        if event.action == "view" {
            let latest = self.viewed.entry((user, post)).or_insert(time);
            *latest = (*latest).max(time);
        }
        if event.action == "hide" {
            self.hidden.insert((user, post));
        }
    }

    /// Whether an event of this key came within the hour before. Worlds repeat within half an hour or after three.
    ///
    /// Reading: one memory for all partitions, since a repeat in another partition is left out too. The hour is of
    /// record time since the first; a repeat does not renew it.
    fn is_repeat(&mut self, key: EventKey, time_ms: TimestampMs) -> bool {
        match self.seen_events.get(&key) {
            Some(first) if time_ms - first <= HOUR_MS => true,
            _ => {
                self.seen_events.insert(key, time_ms);
                false
            }
        }
    }

    fn fold_cdc(&mut self, table: &str, record: &LogRecord, node_now_ms: TimestampMs) -> Refused<()> {
        let Some(bytes) = &record.value else { return Ok(()) };
        let mut body = json_object(bytes)?;
        if body.contains_key("payload") && (body.contains_key("schema") || !body.contains_key("op")) {
            match body.remove("payload") {
                Some(Value::Object(payload)) => body = payload,
                Some(Value::Null) | None => return Ok(()),
                Some(_) => return Err(DeadReason::Malformed),
            }
        }
        let change = Cdc::read(&body)?;
        if change.op == "m" {
            return Ok(());
        }
        if change.table.as_ref().is_some_and(|named| named != table) {
            return Err(DeadReason::TableMismatch);
        }
        if change.op == "t" {
            // The default of `kafka.cdc_truncate`.
            self.stalled.insert(record.topic.clone());
            return Ok(());
        }
        let (kind, version) = self.version(&change, record);
        if kind == VersionKind::Time && change.ts_ms.unwrap_or(record.time_ms) > node_now_ms + AHEAD_MS {
            return Err(DeadReason::TimeOutOfRange);
        }
        let deletes = change.op == "d";
        let key = self.primary_key(table, &change, record, deletes)?;
        if *self.kinds.entry(record.topic.clone()).or_insert(kind) != kind {
            self.stalled.insert(record.topic.clone());
            return Ok(());
        }
        let at = (table.to_owned(), key.clone());
        if self.versions.get(&at).is_some_and(|held| version <= *held) {
            return Ok(());
        }
        if deletes {
            self.remove(table, &key);
        } else {
            self.put(table, &key, &change.row)?;
        }
        self.versions.insert(at, version);
        Ok(())
    }

    /// 8 bits of epoch over 56 bits of log position, or of time and offset.
    ///
    /// Reading: the time of a record without lsn is `source.ts_ms`, else its own `ts_ms`, else Kafka's.
    fn version(&self, change: &Cdc, record: &LogRecord) -> (VersionKind, u64) {
        let most = (1u64 << 56) - 1;
        let epoch = u64::from(self.cdc_epoch) << 56;
        match change.lsn {
            Some(lsn) => (VersionKind::Lsn, epoch | lsn.min(most)),
            None => {
                let ts = change.ts_ms.unwrap_or(record.time_ms).max(0) as u64;
                let value = ts.min(most >> 14) << 14 | (record.offset.max(0) as u64 % (1 << 14));
                (VersionKind::Time, epoch | value)
            }
        }
    }

    /// Of a delete only the record's key is believed; of everything else the row's own columns.
    fn primary_key(&self, table: &str, change: &Cdc, record: &LogRecord, deletes: bool) -> Refused<Vec<Id>> {
        let of_record = match &record.key {
            Some(bytes) => match json_object(bytes)? {
                mut wrapped if wrapped.contains_key("payload") => match wrapped.remove("payload") {
                    Some(Value::Object(payload)) => payload,
                    _ => Map::new(),
                },
                plain => plain,
            },
            None => Map::new(),
        };
        let (first, second) = if deletes { (&of_record, &change.row) } else { (&change.row, &of_record) };
        key_columns(table)
            .iter()
            .map(|column| {
                let value = first.get(*column).or_else(|| second.get(*column)).ok_or(DeadReason::MissingField)?;
                self.id(value)
            })
            .collect()
    }

    fn put(&mut self, table: &str, key: &[Id], row: &Map<String, Value>) -> Refused<()> {
        match table {
            "posts" => {
                let held = self.posts.get(&key[0]).copied();
                let author = match column(row, "user_id")? {
                    None => held.map(|post| post.author).ok_or(DeadReason::UnavailableValue)?,
                    Some(value) => self.id(value)?,
                };
                let created_at = match column(row, "created_at")? {
                    None => held.map(|post| post.created_at).ok_or(DeadReason::UnavailableValue)?,
                    Some(value) => column_time(value)?,
                };
                let deleted = match row.get("deleted_at") {
                    None | Some(Value::Null) => false,
                    Some(Value::String(text)) if text == UNAVAILABLE => {
                        held.map(|post| post.deleted).ok_or(DeadReason::UnavailableValue)?
                    }
                    Some(_) => true,
                };
                self.gone.remove(&key[0]);
                self.posts.insert(key[0], PostRow { author, created_at, deleted });
            }
            "comments" => {
                let post = match column(row, "post_id")? {
                    None => self.comments.get(&key[0]).copied().ok_or(DeadReason::UnavailableValue)?,
                    Some(value) => self.id(value)?,
                };
                self.comments.insert(key[0], post);
            }
            "follows" => drop(self.follows.insert((key[0], key[1]))),
            "blocks" => drop(self.blocks.insert((key[0], key[1]))),
            "likes" => drop(self.likes.insert((key[0], key[1]))),
            "users" => drop(self.users.insert(key[0])),
            other => panic!("no such table: {other}"),
        }
        Ok(())
    }

    fn remove(&mut self, table: &str, key: &[Id]) {
        match table {
            "posts" => {
                let held = self.posts.remove(&key[0]).or_else(|| self.gone.get(&key[0]).copied().flatten());
                self.gone.insert(key[0], held);
            }
            "comments" => drop(self.comments.remove(&key[0])),
            "follows" => drop(self.follows.remove(&(key[0], key[1]))),
            "blocks" => drop(self.blocks.remove(&(key[0], key[1]))),
            "likes" => drop(self.likes.remove(&(key[0], key[1]))),
            "users" => {
                self.users.remove(&key[0]);
                self.left.insert(key[0]);
            }
            other => panic!("no such table: {other}"),
        }
    }

    /// Reading: 64-bit ids are JSON numbers; decimal strings are taken too, since JavaScript loses large numbers.
    fn id(&self, value: &Value) -> Refused<Id> {
        match (self.ids, value) {
            (_, Value::String(text)) => self.ids.parse(text).ok_or(DeadReason::BadId),
            (IdKind::U64, Value::Number(number)) => {
                number.as_u64().map(|number| Id(u128::from(number))).ok_or(DeadReason::BadId)
            }
            (IdKind::Uuid, Value::Number(_)) => Err(DeadReason::BadId),
            _ => Err(DeadReason::BadValue),
        }
    }

    // ---------------------------------------------------------------- the feed

    /// The whole feed of `viewer` at `now_ms`, in order.
    pub(crate) fn feed(&self, viewer: Id, now_ms: TimestampMs, algo: OracleAlgo) -> Vec<OraclePost> {
        let followed = self.followed_candidates(viewer, now_ms);
        if algo == OracleAlgo::Time {
            // Reading: newest first means that; no spacing of authors, and the only source is `followed`.
            return followed.iter().map(|id| self.scored(viewer, *id, now_ms, vec!["followed"])).collect();
        }
        let affinity = self.affinity_candidates(viewer, now_ms);
        let trending = self.trending_candidates(viewer, now_ms);
        let union: BTreeSet<Id> = followed.iter().chain(&affinity).chain(&trending).copied().collect();
        let mut scored: Vec<OraclePost> = union
            .into_iter()
            .map(|id| {
                let of = [("followed", &followed), ("affinity", &affinity), ("trending", &trending)];
                let sources = of.into_iter().filter(|(_, posts)| posts.contains(&id)).map(|(name, _)| name);
                self.scored(viewer, id, now_ms, sources.collect())
            })
            .collect();
        scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.created_at.cmp(&a.created_at)).then(b.id.cmp(&a.id)));
        let authors: Vec<Id> = scored.iter().map(|post| post.author).collect();
        spaced(&authors).into_iter().map(|place| scored[place].clone()).collect()
    }

    /// Why a post is never shown to a viewer at a time; `None` when it may be.
    pub(crate) fn left_out(&self, viewer: Id, post: Id, now_ms: TimestampMs) -> Option<&'static str> {
        let Some(row) = self.posts.get(&post) else { return Some("unknown") };
        let author = row.author;
        // Reading: a view dated ahead by a fast clock is a view of the last 24 hours.
        let viewed = self.viewed.get(&(viewer, post)).is_some_and(|at| *at >= now_ms - DAY_MS);
        let reasons = [
            (author == viewer, "own"),
            (row.deleted, "deleted"),
            (row.created_at > now_ms, "ahead"),
            (self.blocks.contains(&(viewer, author)) || self.blocks.contains(&(author, viewer)), "blocked"),
            (self.hidden.contains(&(viewer, post)), "hidden"),
            (viewed, "viewed"),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map(|(_, reason)| reason)
    }

    /// Why a page of trending posts never shows a post to a viewer.
    ///
    /// Reading: the left-out list is the feed's. A page of what trends lacks only what the viewer may not see; their own
    /// posts and those they have viewed are as trending as any.
    pub(crate) fn left_out_of_trending(&self, viewer: Id, post: Id, now_ms: TimestampMs) -> Option<&'static str> {
        let Some(row) = self.posts.get(&post) else { return Some("unknown") };
        let author = row.author;
        let reasons = [
            (row.deleted, "deleted"),
            (row.created_at > now_ms, "ahead"),
            (self.blocks.contains(&(viewer, author)) || self.blocks.contains(&(author, viewer)), "blocked"),
            (self.hidden.contains(&(viewer, post)), "hidden"),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map(|(_, reason)| reason)
    }

    /// Why a post is not in the ranked feed of a viewer; `None` for one that is.
    ///
    /// Reading: where several reasons hold, the first in the contract's order is named.
    pub(crate) fn absence(&self, viewer: Id, post: Id, now_ms: TimestampMs) -> Option<Absence> {
        if let Some(row) = self.gone.get(&post) {
            let own = row.is_some_and(|row| row.author == viewer);
            return Some(Absence::NotVisible(if own { "own" } else { "deleted" }));
        }
        match self.left_out(viewer, post, now_ms) {
            Some("unknown") => return Some(Absence::Unknown),
            Some("ahead") => return Some(Absence::NotVisible("dated_ahead")),
            Some(reason) => return Some(Absence::NotVisible(reason)),
            None => {}
        }
        let row = self.posts[&post];
        let misses = [
            self.followed_miss(viewer, post, row, now_ms),
            self.trending_miss(viewer, post, now_ms),
            self.affinity_miss(viewer, post, row, now_ms),
        ];
        match misses {
            [Some(followed), Some(trending), Some(affinity)] => {
                Some(Absence::NotCandidate([followed, trending, affinity]))
            }
            _ => None,
        }
    }

    fn followed_miss(&self, viewer: Id, post: Id, row: PostRow, now_ms: TimestampMs) -> Option<Miss> {
        if !self.follows.contains(&(viewer, row.author)) {
            return Some(Miss { reason: "not_followed", position: None });
        }
        if row.created_at < now_ms - 3 * DAY_MS {
            return Some(Miss { reason: "older_than_window", position: None });
        }
        let order = self.newest(viewer, now_ms, 3 * DAY_MS, |author| self.follows.contains(&(viewer, author)));
        beyond(&order, post, 500)
    }

    fn trending_miss(&self, viewer: Id, post: Id, now_ms: TimestampMs) -> Option<Miss> {
        let all = self.trending(OracleWindow::Day, now_ms).into_iter().map(|(id, _)| id);
        let order: Vec<Id> = all.filter(|id| self.left_out(viewer, *id, now_ms).is_none()).collect();
        if !order.contains(&post) {
            return Some(Miss { reason: "not_trending", position: None });
        }
        beyond(&order, post, 200)
    }

    fn affinity_miss(&self, viewer: Id, post: Id, row: PostRow, now_ms: TimestampMs) -> Option<Miss> {
        let authors = self.affinity_authors(viewer, now_ms);
        match authors.iter().position(|author| *author == row.author) {
            None => return Some(Miss { reason: "no_affinity", position: None }),
            Some(at) if at >= 200 => return Some(Miss { reason: "author_beyond_cap", position: Some(at + 1) }),
            Some(_) => {}
        }
        if row.created_at < now_ms - 14 * DAY_MS {
            return Some(Miss { reason: "older_than_window", position: None });
        }
        let order = self.newest(viewer, now_ms, 14 * DAY_MS, |author| authors.iter().take(200).any(|a| *a == author));
        beyond(&order, post, 200)
    }

    /// Allowed posts no older than `age_ms` whose author is wanted, newest first.
    fn newest(&self, viewer: Id, now_ms: TimestampMs, age_ms: i64, wanted: impl Fn(Id) -> bool) -> Vec<Id> {
        let mut posts: Vec<(TimestampMs, Id)> = self
            .posts
            .iter()
            .filter(|(id, row)| {
                wanted(row.author) && row.created_at >= now_ms - age_ms && self.left_out(viewer, **id, now_ms).is_none()
            })
            .map(|(id, row)| (row.created_at, *id))
            .collect();
        posts.sort_by(|a, b| b.cmp(a));
        posts.into_iter().map(|(_, id)| id).collect()
    }

    fn followed_candidates(&self, viewer: Id, now_ms: TimestampMs) -> Vec<Id> {
        let mut posts = self.newest(viewer, now_ms, 3 * DAY_MS, |author| self.follows.contains(&(viewer, author)));
        posts.truncate(500);
        posts
    }

    /// The authors a viewer has dealt with, the most first.
    ///
    /// Reading: blocked authors and the viewer take none of the 200 places (what is left out comes first), authors
    /// of sum 0 are no affinity authors, and an author without a post in the window keeps the place.
    fn affinity_authors(&self, viewer: Id, now_ms: TimestampMs) -> Vec<Id> {
        let sums = self.affinity_sums(viewer, now_ms);
        let mut authors: Vec<(u64, Id)> = sums
            .into_iter()
            .filter(|(author, sum)| {
                *sum > 0
                    && *author != viewer
                    && !self.blocks.contains(&(viewer, *author))
                    && !self.blocks.contains(&(*author, viewer))
            })
            .map(|(author, sum)| (sum, author))
            .collect();
        authors.sort_by(|a, b| b.cmp(a));
        authors.into_iter().map(|(_, author)| author).collect()
    }

    fn affinity_candidates(&self, viewer: Id, now_ms: TimestampMs) -> Vec<Id> {
        let authors: BTreeSet<Id> = self.affinity_authors(viewer, now_ms).into_iter().take(200).collect();
        let mut posts = self.newest(viewer, now_ms, 14 * DAY_MS, |author| authors.contains(&author));
        posts.truncate(200);
        posts
    }

    fn trending_candidates(&self, viewer: Id, now_ms: TimestampMs) -> Vec<Id> {
        let ranking = self.trending(OracleWindow::Day, now_ms).into_iter().map(|(id, _)| id);
        ranking.filter(|id| self.left_out(viewer, *id, now_ms).is_none()).take(200).collect()
    }

    /// Trending posts and their scores, best first.
    ///
    /// Reading: posts that are known, not deleted and not dated ahead; a score of 0 (impressions only) is not
    /// trending; a post's own age does not matter.
    pub(crate) fn trending(&self, window: OracleWindow, now_ms: TimestampMs) -> Vec<(Id, f64)> {
        let mut scored: Vec<(f64, TimestampMs, Id)> = self
            .posts
            .iter()
            .filter(|(_, row)| !row.deleted && row.created_at <= now_ms)
            .map(|(id, row)| (self.trending_score(*id, window, now_ms), row.created_at, *id))
            .filter(|(score, _, _)| *score > 0.0)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
        scored.into_iter().map(|(score, _, id)| (id, score)).collect()
    }

    /// Reading: the window `[now - length, now]` touches the bucket its beginning falls in and the current one, so
    /// an hour touches 2 buckets and a day 25. Summed in ascending order of hours.
    fn trending_score(&self, post: Id, window: OracleWindow, now_ms: TimestampMs) -> f64 {
        let (length_ms, decay) = match window {
            OracleWindow::Hour => (HOUR_MS, 0.90f64),
            OracleWindow::Day => (DAY_MS, 0.95),
            OracleWindow::Week => (7 * DAY_MS, 0.98),
        };
        let mut sum = 0.0;
        for ((_, hour), counts) in self.hours.range((post, hour_of(now_ms - length_ms))..=(post, hour_of(now_ms))) {
            let hours = (now_ms - i64::from(*hour) * HOUR_MS) / HOUR_MS;
            let weight = 0.1 * f64::from(counts.views)
                + 2.0 * f64::from(counts.likes)
                + 3.0 * f64::from(counts.comments)
                + 5.0 * f64::from(counts.shares);
            sum += weight * decay.powf(hours as f64);
        }
        sum
    }

    /// Users to suggest, each with the users that are the reason, best first.
    ///
    /// Reading: "friends" are whom the viewer follows, without blocked ones (either way) and those whose row of `users`
    /// was deleted; of more than 200, those of highest affinity sum, then highest id. Of whom a friend follows the 500
    /// of lowest id count. The same two kinds are never suggested, nor whom the viewer follows. The reason lists
    /// friends in that order, highest affinity first.
    pub(crate) fn suggested(&self, viewer: Id, now_ms: TimestampMs) -> Vec<(Id, Vec<Id>)> {
        let blocked = |id: Id| self.blocks.contains(&(viewer, id)) || self.blocks.contains(&(id, viewer));
        let gone = |id: Id| self.left.contains(&id);
        let sums = self.affinity_sums(viewer, now_ms);
        let mut friends: Vec<(u64, Id)> = self
            .follows
            .range((viewer, Id(0))..=(viewer, Id(u128::MAX)))
            .map(|(_, id)| *id)
            .filter(|id| !blocked(*id) && !gone(*id))
            .map(|id| (sums.get(&id).copied().unwrap_or(0), id))
            .collect();
        friends.sort_by(|a, b| b.cmp(a));
        friends.truncate(200);
        let mut reasons: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
        for (_, friend) in friends {
            for (_, id) in self.follows.range((friend, Id(0))..=(friend, Id(u128::MAX))).take(500) {
                reasons.entry(*id).or_default().push(friend);
            }
        }
        let mut found: Vec<(Id, Vec<Id>)> = reasons
            .into_iter()
            .filter(|(id, _)| *id != viewer && !self.follows.contains(&(viewer, *id)) && !blocked(*id) && !gone(*id))
            .collect();
        found.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(b.0.cmp(&a.0)));
        found
    }

    fn scored(&self, viewer: Id, id: Id, now_ms: TimestampMs, sources: Vec<&'static str>) -> OraclePost {
        let row = self.posts[&id];
        let freshness = freshness(row.created_at, now_ms);
        let engagement = self.engagement(id, now_ms);
        let sum = self.affinity_sums(viewer, now_ms).get(&row.author).copied().unwrap_or(0);
        let affinity = (1.0 + sum as f64).ln();
        OraclePost {
            id,
            author: row.author,
            created_at: row.created_at,
            score: 0.30 * freshness + 0.40 * engagement + 0.30 * affinity,
            sources,
            like_count: self.likes.iter().filter(|(_, post)| *post == id).count() as u64,
            comment_count: self.comments.values().filter(|post| **post == id).count() as u64,
            viewer_liked: self.likes.contains(&(viewer, id)),
            freshness,
            engagement,
            affinity,
        }
    }

    /// The current bucket and the 23 before it; events dated into the next hour wait for it.
    fn engagement(&self, post: Id, now_ms: TimestampMs) -> f64 {
        let now = hour_of(now_ms);
        let mut sum = Counters::default();
        for (_, counts) in self.hours.range((post, now - 23)..=(post, now)) {
            sum.add(counts);
        }
        let acts = f64::from(sum.likes) + 2.0 * f64::from(sum.comments) + 3.0 * f64::from(sum.shares);
        (1.0 + acts / f64::from(sum.impressions.max(1))).ln()
    }

    /// The sums of a viewer's authors over today and the 89 days before, by UTC days of event time.
    pub(crate) fn affinity_sums(&self, viewer: Id, now_ms: TimestampMs) -> BTreeMap<Id, u64> {
        let today = day_of(now_ms);
        let mut sums: BTreeMap<Id, u64> = BTreeMap::new();
        let of_viewer = (viewer, Id(0), 0, 0)..=(viewer, Id(u128::MAX), u16::MAX, u16::MAX);
        for ((_, author, _, day), counts) in self.days.range(of_viewer) {
            if *day <= today && *day + 89 >= today {
                *sums.entry(*author).or_default() += u64::from(counts.views)
                    + 5 * u64::from(counts.likes)
                    + 10 * u64::from(counts.comments)
                    + 15 * u64::from(counts.shares);
            }
        }
        sums
    }

    // ---------------------------------------------------------------- what it holds

    /// Counters by post and hour of event time; hours with nothing but hides hold zeros.
    pub(crate) fn hours(&self) -> &BTreeMap<(Id, u32), Counters> {
        &self.hours
    }

    /// Partials by user, author, arrival day and day of event time.
    pub(crate) fn days(&self) -> &BTreeMap<(Id, Id, u16, u16), Counters> {
        &self.days
    }

    pub(crate) fn posts(&self) -> &BTreeMap<Id, PostRow> {
        &self.posts
    }

    /// Posts whose rows were deleted.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &Id> {
        self.gone.keys()
    }

    /// `(follower, following)`.
    pub(crate) fn follows(&self) -> &BTreeSet<(Id, Id)> {
        &self.follows
    }

    /// `(blocker, blocked)`.
    pub(crate) fn blocks(&self) -> &BTreeSet<(Id, Id)> {
        &self.blocks
    }

    /// `(user, post)`.
    pub(crate) fn likes(&self) -> &BTreeSet<(Id, Id)> {
        &self.likes
    }

    /// Comment to post.
    pub(crate) fn comments(&self) -> &BTreeMap<Id, Id> {
        &self.comments
    }

    /// Whether somebody's row of `users` was deleted: nothing is promised to them any more.
    pub(crate) fn has_left(&self, user: Id) -> bool {
        self.left.contains(&user)
    }

    pub(crate) fn users(&self) -> &BTreeSet<Id> {
        &self.users
    }

    /// `(user, post)` to the latest event time of a view.
    pub(crate) fn viewed(&self) -> &BTreeMap<(Id, Id), TimestampMs> {
        &self.viewed
    }

    /// `(user, post)`.
    pub(crate) fn hidden(&self) -> &BTreeSet<(Id, Id)> {
        &self.hidden
    }

    /// Dead letters by topic and reason.
    pub(crate) fn dead(&self) -> &BTreeMap<(String, DeadReason), u64> {
        &self.dead
    }

    /// Topics whose effects have stopped.
    pub(crate) fn stalled(&self) -> &BTreeSet<String> {
        &self.stalled
    }

    /// The offset to be read next; `None` before the first record.
    pub(crate) fn position(&self, topic: &str, partition: u32) -> Option<i64> {
        self.positions.get(&(topic.to_owned(), partition)).copied()
    }
}

/// Why a post of an order is not among its first `cap`; `None` where it is.
fn beyond(order: &[Id], post: Id, cap: usize) -> Option<Miss> {
    let position = order.iter().position(|id| *id == post).unwrap() + 1;
    (position > cap).then_some(Miss { reason: "beyond_cap", position: Some(position) })
}

/// exp(-0.1 · age in hours), the age in whole milliseconds and never below 0.
fn freshness(created_at: TimestampMs, now_ms: TimestampMs) -> f64 {
    let age_hours = (now_ms - created_at).max(0) as f64 / HOUR_MS as f64;
    (-0.1 * age_hours).exp()
}

/// The order in which candidates, given best first by their authors, take their places.
///
/// Place by place the best that may stand there; where none may, the best that is left.
pub(crate) fn spaced(authors: &[Id]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..authors.len()).collect();
    let mut order: Vec<usize> = Vec::new();
    while !left.is_empty() {
        let may_stand = |candidate: &usize| {
            let author = authors[*candidate];
            let place = order.len();
            let places: Vec<usize> = (0..place).filter(|taken| authors[order[*taken]] == author).collect();
            let in_first_five = place >= 5 || places.is_empty();
            let apart = places.iter().all(|taken| place - taken >= 3);
            // The 50 in a row that end here; later ones are looked at when their last place is filled.
            let few = places.iter().filter(|taken| place - **taken < 50).count() < 3;
            in_first_five && apart && few
        };
        let next = left.iter().position(may_stand).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

/// A CDC value, whatever its shape.
struct Cdc {
    op: String,
    table: Option<String>,
    lsn: Option<u64>,
    ts_ms: Option<TimestampMs>,
    /// `after`, of a delete `before`; empty when there is none.
    row: Map<String, Value>,
}

impl Cdc {
    fn read(body: &Map<String, Value>) -> Refused<Self> {
        if body.contains_key("op") {
            return Self::read_envelope(body);
        }
        let deleted = body.get("__deleted").is_some_and(|mark| mark == "true" || mark == true);
        let op = match body.get("__op") {
            _ if deleted => "d".to_owned(),
            Some(op) => known_op(op)?,
            None if body.contains_key("__deleted") => "u".to_owned(),
            // Reading: a bare row without any mark could be anything.
            None => return Err(DeadReason::MissingField),
        };
        Ok(Self {
            op,
            table: body.get("__table").and_then(Value::as_str).map(str::to_owned),
            lsn: body.get("__lsn").or_else(|| body.get("__source_lsn")).and_then(Value::as_u64),
            ts_ms: body.get("__source_ts_ms").or_else(|| body.get("__ts_ms")).and_then(Value::as_i64),
            row: body.clone(),
        })
    }

    /// Debezium's envelope, or the flat form, which is the same without `source`.
    fn read_envelope(body: &Map<String, Value>) -> Refused<Self> {
        let op = known_op(&body["op"])?;
        let source = body.get("source").and_then(Value::as_object);
        let of_source = |name: &str| source.and_then(|source| source.get(name));
        let row = body.get(if op == "d" { "before" } else { "after" });
        let row = match row {
            Some(Value::Object(row)) => row.clone(),
            None | Some(Value::Null) if !["c", "u", "r"].contains(&op.as_str()) => Map::new(),
            None | Some(Value::Null) => return Err(DeadReason::MissingField),
            Some(_) => return Err(DeadReason::BadValue),
        };
        Ok(Self {
            op,
            table: of_source("table").or_else(|| body.get("table")).and_then(Value::as_str).map(str::to_owned),
            lsn: of_source("lsn").and_then(Value::as_u64),
            ts_ms: of_source("ts_ms").or_else(|| body.get("ts_ms")).and_then(Value::as_i64),
            row,
        })
    }
}

fn known_op(op: &Value) -> Refused<String> {
    match op.as_str() {
        Some(op) if ["c", "u", "d", "r", "t", "m"].contains(&op) => Ok(op.to_owned()),
        _ => Err(DeadReason::UnknownOp),
    }
}

fn key_columns(table: &str) -> &'static [&'static str] {
    match table {
        "follows" => &["follower_id", "following_id"],
        "likes" => &["user_id", "post_id"],
        "blocks" => &["blocker_id", "blocked_id"],
        _ => &["id"],
    }
}

/// A column that must have a value; `None` when the record says only that it is unchanged.
fn column<'a>(row: &'a Map<String, Value>, name: &str) -> Refused<Option<&'a Value>> {
    match row.get(name) {
        None | Some(Value::Null) => Err(DeadReason::MissingField),
        Some(Value::String(text)) if text == UNAVAILABLE => Ok(None),
        Some(value) => Ok(Some(value)),
    }
}

fn json_object(bytes: &[u8]) -> Refused<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(DeadReason::Malformed),
    }
}

/// RFC 3339 or epoch milliseconds.
fn event_time(value: &Value) -> Refused<TimestampMs> {
    match value {
        Value::String(text) => rfc3339(text),
        Value::Number(number) => number.as_i64().ok_or(DeadReason::BadValue),
        _ => Err(DeadReason::BadValue),
    }
}

/// ISO text, or epoch ms, µs or ns. Reading: without a schema only the magnitude tells these apart; up to 10^14 it is
/// milliseconds (the year 5138), up to 10^17 microseconds.
fn column_time(value: &Value) -> Refused<TimestampMs> {
    match value {
        Value::String(text) => rfc3339(text),
        Value::Number(number) => match number.as_i64().ok_or(DeadReason::BadValue)? {
            millis if millis.abs() < 100_000_000_000_000 => Ok(millis),
            micros if micros.abs() < 100_000_000_000_000_000 => Ok(micros.div_euclid(1_000)),
            nanos => Ok(nanos.div_euclid(1_000_000)),
        },
        _ => Err(DeadReason::BadValue),
    }
}

fn rfc3339(text: &str) -> Refused<TimestampMs> {
    let time: jiff::Timestamp = text.parse().map_err(|_| DeadReason::BadValue)?;
    Ok(time.as_nanosecond().div_euclid(1_000_000) as i64)
}
