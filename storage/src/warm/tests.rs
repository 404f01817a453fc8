//! The store is read into memory while the world goes on, and nothing of that is missed or counted twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::hot::{self, Hot};
use crate::model::{
    Action, Cdc, Change, Counters, Event, Field, HOUR_MS, Hour, Id, IdKind, Outcome, Record, Row, RowChange, RowKey,
    TimestampMs, Topic, TopicPartition, Version,
};
use crate::spool::SpoolBounds;
use crate::{Config, OpenOptions, Store};

const NOW: TimestampMs = 1_795_376_817_860;
const AUTHORS: u64 = 40;
const USERS: u64 = 60;
const ROUNDS: u64 = 30;

/// A world that writes, likes, comments, deletes and looks, always another.
struct World {
    dice: u64,
    offsets: BTreeMap<Topic, i64>,
    posts: Vec<Id>,
}

impl World {
    fn with_posts(posts: usize, store: &Store) -> Self {
        let mut world = Self { dice: 0x9e37_79b9_7f4a_7c15, offsets: BTreeMap::new(), posts: Vec::new() };
        let first: Vec<_> = (0..posts).map(|_| world.post()).collect();
        store.apply(&first, NOW).unwrap();
        world
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }

    fn id(&mut self, below: u64) -> Id {
        Id(u128::from(self.roll(below)))
    }

    fn record(&mut self, topic: Topic, change: impl FnOnce(i64) -> Change) -> Record {
        let next = self.offsets.entry(topic).or_default();
        let offset = *next;
        *next += 1;
        let outcome = Outcome::Change(change(offset));
        Record { at: TopicPartition { topic, partition: 0 }, offset, time: NOW, outcome, raw: None }
    }

    fn row(&mut self, topic: Topic, change: RowChange) -> Record {
        self.record(topic, |offset| {
            let version = Version::from_lsn(0, offset.cast_unsigned() + 1);
            Change::Cdc(Cdc { version, commit_time: NOW, change })
        })
    }

    fn post(&mut self) -> Record {
        let id = Id(1_000 + self.posts.len() as u128);
        self.posts.push(id);
        self.written(id)
    }

    /// A post is there, by somebody, since some time: a new one, or one that was somebody else's.
    fn written(&mut self, id: Id) -> Record {
        let (author, age) = (self.id(AUTHORS), self.roll(48));
        let row = Row::Post {
            id,
            author: Field::Known(author),
            created_at: Field::Known(NOW - age.cast_signed() * HOUR_MS),
            deleted: Field::Known(false),
        };
        self.row(Topic::Posts, RowChange::Upsert(row))
    }

    fn event(&mut self) -> Event {
        let (post, user, hours) = (self.any_post(), self.id(USERS), self.roll(30));
        let action = [Action::View, Action::Like, Action::Impression, Action::Share][self.roll(4) as usize];
        let event_id = u128::from(self.roll(u64::MAX));
        let event_time = NOW - hours.cast_signed() * HOUR_MS;
        Event { event_id, event_time, user, post, author: Some(Id(1)), action, dwell_ms: 0 }
    }

    fn any_post(&mut self) -> Id {
        let at = self.roll(self.posts.len() as u64);
        self.posts[at as usize]
    }

    fn next(&mut self) -> Record {
        match self.roll(20) {
            0..=1 => self.post(),
            2 => {
                let gone = RowKey::Post(self.any_post());
                self.row(Topic::Posts, RowChange::Delete(gone))
            }
            3..=6 => {
                let (user, post) = (self.id(USERS), self.any_post());
                self.row(Topic::Likes, RowChange::Upsert(Row::Like { user, post }))
            }
            10 => {
                let id = self.any_post();
                self.written(id)
            }
            7 => {
                let gone = RowKey::Like(self.id(USERS), self.any_post());
                self.row(Topic::Likes, RowChange::Delete(gone))
            }
            8..=9 => {
                let (id, post) = (self.id(500), self.any_post());
                let row = Row::Comment { id, post: Field::Known(post), user: None };
                self.row(Topic::Comments, RowChange::Upsert(row))
            }
            _ => {
                let event = self.event();
                self.record(Topic::Events, |_| Change::Event(event))
            }
        }
    }

    /// Some of everything goes on: most of it from Kafka, some of it into the spool first.
    fn go_on(&mut self, store: &Store) {
        let batch: Vec<_> = (0..20).map(|_| self.next()).collect();
        store.apply(&batch, NOW).unwrap();
        if self.roll(4) == 0 {
            let event = self.event();
            let bounds = SpoolBounds { events: u64::MAX, bytes: u64::MAX, age_ms: i64::MAX, impressions_share: 1.0 };
            store.spool(&[(event.clone(), Vec::new())], &bounds, NOW).unwrap();
            if self.roll(2) == 0 {
                let back = self.record(Topic::Events, |_| Change::Event(event));
                store.apply(&[back], NOW).unwrap();
            }
        }
    }
}

fn store(dir: &std::path::Path) -> Store {
    let config = Config { dir: dir.join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

/// What is said of a post: its author, its time, its likes and comments, its hours.
type OfPost = (Id, TimestampMs, u64, u64, Vec<(Hour, Counters)>);

/// Everything a projection says: of each post, and of each author the posts in order.
#[derive(Debug, Default, PartialEq)]
struct Said {
    posts: BTreeMap<Id, OfPost>,
    lists: BTreeMap<Id, Vec<(TimestampMs, Id)>>,
}

fn said(hot: &Hot) -> Said {
    let mut said = Said::default();
    for facts in (0..hot.slots()).filter_map(|slot| hot.slot(slot)) {
        let author = hot.author_id(facts.author()).unwrap();
        let hours = facts.hours(0, Hour::MAX).filter(|(_, sum)| *sum != Counters::default()).collect();
        said.posts.insert(facts.id(), (author, facts.created_at(), facts.like_count(), facts.comment_count(), hours));
        let listed = hot.listed(facts.author()).iter().map(|(at, post)| (*at, hot.facts(*post).unwrap().id()));
        said.lists.insert(author, listed.collect());
    }
    said
}

/// The projection as it is when each author and each post is read by itself.
fn one_by_one(source: hot::Source<'_>, posts: &[Id]) -> Hot {
    let mut read = Hot::new(usize::MAX, 0);
    for author in (0..AUTHORS).map(|author| Id(author.into())) {
        read.put_author(author, hot::load_author(source, author, NOW).unwrap());
    }
    for post in posts {
        let post = hot::load_post(source, *post, NOW).unwrap();
        if let Some((author, post)) = post.filter(|(_, post)| !read.has_post(post.id) && post.is_active(NOW)) {
            read.add_post(author, post);
        }
    }
    read
}

/// What is held and what is due of one id.
type Difference<'a, T> = (Id, Option<&'a T>, Option<&'a T>);

/// What is held and what is due, where that is not the same.
fn differences<'a, T: PartialEq>(held: &'a BTreeMap<Id, T>, due: &'a BTreeMap<Id, T>) -> Vec<Difference<'a, T>> {
    let ids: std::collections::BTreeSet<_> = held.keys().chain(due.keys()).collect();
    let both = ids.into_iter().map(|id| (*id, held.get(id), due.get(id)));
    both.filter(|(_, held, due)| held != due).collect()
}

#[test]
fn what_changes_while_the_store_is_read_into_memory_is_in_memory_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut world = World::with_posts(2_000, &store);
    let mut beside = 0;
    for _ in 0..ROUNDS {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let going_on = scope.spawn(|| {
                let mut batches = 0;
                while !over.load(Ordering::Relaxed) {
                    world.go_on(&store);
                    batches += 1;
                }
                batches
            });
            store.warm(NOW).unwrap();
            over.store(true, Ordering::Relaxed);
            beside += going_on.join().unwrap();
        });
        let no_apply = store.writer.read();
        let one_by_one = one_by_one(store.source(no_apply.overlay()), &world.posts);
        let (said, due) = (said(&store.hot.read()), said(&one_by_one));
        assert_eq!(differences(&said.posts, &due.posts), []);
        assert_eq!(differences(&said.lists, &due.lists), []);
        assert!(!store.hot.read().is_partial());
        drop((one_by_one, no_apply));
        // The next round begins with nothing in memory, as after a start.
        store.hot.write().start_over();
    }
    assert!(beside > ROUNDS, "it did go on meanwhile: {beside} batches");
}

#[test]
fn of_a_store_larger_than_memory_what_is_read_is_whole_and_the_rest_is_left_for_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut world = World::with_posts(3_000, &store);
    (0..300).for_each(|_| world.go_on(&store));
    let no_apply = store.writer.read();
    let source = store.source(no_apply.overlay());
    let whole = Hot::load_all(source, usize::MAX, NOW).unwrap();
    let due = said(&whole);
    let mut shares = Vec::new();
    for share in [2, 4, 8] {
        let budget = whole.bytes() / share;
        let part = Hot::load_all(source, budget, NOW).unwrap();
        assert!(part.bytes() <= budget, "{} of {budget} bytes", part.bytes());
        let held = said(&part);
        for (post, facts) in &held.posts {
            assert_eq!(Some(facts), due.posts.get(post), "a {share}th of the memory");
        }
        let loaded: Vec<Id> = (0..AUTHORS)
            .map(|author| Id(author.into()))
            .filter(|author| part.number_of(*author).is_some_and(|number| part.is_loaded(number)))
            .collect();
        for author in &loaded {
            assert_eq!(held.lists.get(author), due.lists.get(author), "a {share}th of the memory");
        }
        shares.push(loaded.len());
    }
    assert!(shares.is_sorted_by(|more, fewer| more >= fewer) && shares[0] > 0, "authors read: {shares:?}");
}

#[test]
fn changes_are_noted_while_somebody_reads_beside_and_neither_lost_nor_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.hot.write().follow([Id(1)]);
    store.hot.write().start_over();
    assert_eq!(store.hot.write().take_noted(), None, "nobody knows what changed");
    store.hot.write().follow([Id(1)]);
    store.hot.write().add_rows(Id(2), 1, 0);
    let noted =
        store.hot.write().take_noted().map(|posts| posts.into_iter().collect::<std::collections::BTreeSet<_>>());
    assert_eq!(noted, Some([Id(1), Id(2)].into()));
    store.hot.write().follow((0..300_000).map(Id));
    assert_eq!(store.hot.write().take_noted(), None, "nor are there notes without end");
    store.warm(NOW).unwrap();
    assert_eq!(store.hot.write().take_noted(), Some(Default::default()), "and none when nobody reads beside it");
}
