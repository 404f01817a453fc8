//! Thousands of chains over two nodes while the world changes as fast as both can apply it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::config::Config;
use edgefeed::feed::{FeedError, FeedPage, FeedRequest};
use edgefeed::node::Node;
use edgefeed::world::{Encoding, EventFact, Fact, Live, Op, RowFact, TableRow, What, World, WorldConfig, partition_of};
use edgefeed_storage::model::{Action, Id, IdKind, Topic, TopicPartition};
use edgefeed_sync::{EmbeddedBroker, Producer};
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;

use super::walk::{Chain, Page, Shown};
use crate::crash::dice::{Dice, times};
use crate::log::{PARTITIONS, topic_name};

const SECRET: &str = "a secret of at least thirty-two bytes";
const KEY: &str = "a key of at least thirty-two bytes";
const IDS: IdKind = IdKind::Uuid;
const PATIENCE: Duration = Duration::from_secs(60);
/// Chains begun together.
const WAVE: usize = 100;
/// Facts written between two looks at how far the nodes have come.
const STRETCH: usize = 200;

/// A point in the order of all that the test does.
pub(super) type Moment = u64;

/// Why a post may not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Deleted(Id),
    Seen(Id, Id),
    Blocked(Id, Id),
}

/// Since when.
#[derive(Clone, Copy, Debug)]
struct Since {
    /// It may be so from then on.
    begun: Moment,
    /// It is so on both nodes from then on; `None` while that is not known.
    done: Option<Moment>,
    /// Whether it stays so: what the world does by itself it may take back, or do again.
    sure: bool,
}

/// What may not be shown, and since when.
#[derive(Debug, Default)]
pub(super) struct Gone(Mutex<BTreeMap<Reason, Since>>);

impl Gone {
    fn reasons(viewer: Id, post: Shown) -> [Reason; 4] {
        let (blocks, blocked) = (Reason::Blocked(viewer, post.author), Reason::Blocked(post.author, viewer));
        [Reason::Deleted(post.id), Reason::Seen(viewer, post.id), blocks, blocked]
    }

    /// Whether no page asked for at that moment may show a post.
    pub(super) fn surely(&self, viewer: Id, post: Shown, asked: Moment) -> bool {
        let gone = self.0.lock();
        let done = |reason: &Reason| gone.get(reason).and_then(|since| since.done);
        Self::reasons(viewer, post).iter().filter_map(done).any(|done| done < asked)
    }

    /// Whether a page that came at that moment may lack a post.
    pub(super) fn maybe(&self, viewer: Id, post: Shown, came: Moment) -> bool {
        let gone = self.0.lock();
        let begun = |reason: &Reason| gone.get(reason).map(|since| since.begun);
        Self::reasons(viewer, post).iter().filter_map(begun).any(|begun| begun < came)
    }

    fn begin(&self, reason: Reason, now: Moment) {
        self.0.lock().entry(reason).or_insert(Since { begun: now, done: None, sure: true });
    }

    /// The world has its own way with this row from now on: it may edit a post that the test deleted, which brings it back.
    fn begin_unsure(&self, reason: Reason, now: Moment) {
        let mut gone = self.0.lock();
        let since = gone.entry(reason).or_insert(Since { begun: now, done: None, sure: false });
        (since.done, since.sure) = (None, false);
    }

    fn done(&self, reason: Reason, now: Moment) {
        self.0.lock().entry(reason).and_modify(|since| since.done = since.done.or(since.sure.then_some(now)));
    }
}

/// Two nodes that follow one log, and who writes it.
struct Region {
    _broker: EmbeddedBroker,
    _dir: tempfile::TempDir,
    nodes: [Node; 2],
    client: reqwest::Client,
    clock: AtomicU64,
    gone: Gone,
    /// What chains want written: facts about posts that are still ahead of them.
    wanted: Mutex<Vec<(What, Reason)>>,
    /// Held while chains begin: the world stands still.
    still: tokio::sync::Mutex<()>,
    over: AtomicBool,
    /// Stretches written so far, and applied on both nodes.
    stretches: watch::Sender<u64>,
}

/// The application: what it wrote so far.
struct Writer {
    producer: Producer,
    ends: BTreeMap<TopicPartition, i64>,
    lsn: u64,
}

impl Writer {
    fn write(&mut self, fact: &Fact) {
        for message in Encoding::new(IDS).encode(fact) {
            let at = TopicPartition { topic: message.topic, partition: partition_of(&message.key, PARTITIONS) };
            let partition = Some(at.partition.cast_signed());
            let (key, value) = (&message.key, message.value.as_deref());
            self.producer.send(&topic_name(message.topic), partition, key, value, Some(message.time_ms)).unwrap();
            *self.ends.entry(at).or_default() += 1;
        }
        if let What::Row(row) = &fact.what {
            self.lsn = self.lsn.max(row.lsn);
        }
    }

    /// A fact of the test's own, in the database's log where it is a row.
    fn write_own(&mut self, what: What) {
        let what = match what {
            What::Row(row) => What::Row(RowFact { lsn: self.lsn + 1, ..row }),
            What::Event(event) => What::Event(event),
        };
        self.write(&Fact { time_ms: now_ms(), what });
    }

    /// Waits until both nodes have applied everything.
    fn settle(&self, region: &Region) {
        self.producer.flush(PATIENCE).unwrap();
        for (at, end) in &self.ends {
            for node in &region.nodes {
                assert!(node.now().lag.wait_applied(*at, *end, PATIENCE), "{at:?}");
            }
        }
    }
}

async fn node(dir: &std::path::Path, brokers: &str, change: impl FnOnce(&mut Config)) -> Node {
    let mut config = Config::default();
    config.http.listen.set_port(0);
    config.admin.listen.set_port(0);
    config.http.cursor_key = SecretString::from(KEY);
    config.auth.hs256_secret = SecretString::from(SECRET);
    // A test asks faster than any reader.
    config.limits.subject_per_s = 0;
    config.storage.dir = dir.to_owned();
    config.kafka.brokers = brokers.to_owned();
    config.kafka.topics.blocks = Some("cdc.blocks".to_owned());
    config.kafka.topics.users = Some("cdc.users".to_owned());
    change(&mut config);
    Node::start(config, PrometheusBuilder::new().build_recorder().handle()).await.unwrap()
}

impl Region {
    async fn start() -> (Arc<Self>, Writer) {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
        let brokers = broker.address().unwrap();
        let dir = tempfile::tempdir().unwrap();
        // The first has little room for pins.
        let nodes = [
            node(&dir.path().join("a"), &brokers, |config| config.cache.pins_bytes = 300_000).await,
            node(&dir.path().join("b"), &brokers, |_| {}).await,
        ];
        let writer = Writer { producer: Producer::connect(&brokers).unwrap(), ends: BTreeMap::new(), lsn: 0 };
        let region = Self {
            _broker: broker,
            _dir: dir,
            nodes,
            client: reqwest::Client::new(),
            clock: AtomicU64::new(1),
            gone: Gone::default(),
            wanted: Mutex::default(),
            still: tokio::sync::Mutex::default(),
            over: AtomicBool::default(),
            stretches: watch::Sender::new(0),
        };
        (Arc::new(region), writer)
    }

    fn moment(&self) -> Moment {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// What a fact of the world may take away, or give back.
    fn note(&self, fact: &Fact, now: Moment) {
        match fact.what {
            What::Row(RowFact { row: TableRow::Post { id, .. }, .. }) => {
                self.gone.begin_unsure(Reason::Deleted(id), now);
            }
            What::Row(RowFact { row: TableRow::Block { blocker, blocked, .. }, .. }) => {
                self.gone.begin_unsure(Reason::Blocked(blocker, blocked), now);
            }
            What::Event(EventFact { user, post, action: Action::Hide | Action::View, .. }) => {
                self.gone.begin_unsure(Reason::Seen(user, post), now);
            }
            _ => {}
        }
    }

    /// Writes as fast as both nodes apply, until the test is over.
    fn change(self: &Arc<Self>, mut writer: Writer, world: Arc<World>) -> std::thread::JoinHandle<()> {
        let region = Arc::clone(self);
        std::thread::spawn(move || {
            let mut live: Live<'_> = world.live(7);
            while !region.over.load(Ordering::SeqCst) {
                let _moving = region.still.blocking_lock();
                for _ in 0..STRETCH {
                    let fact = live.next_at(now_ms());
                    region.note(&fact, region.moment());
                    writer.write(&fact);
                }
                let wanted = std::mem::take(&mut *region.wanted.lock());
                for (what, reason) in &wanted {
                    region.gone.begin(*reason, region.moment());
                    writer.write_own(*what);
                }
                writer.settle(&region);
                for (_, reason) in wanted {
                    region.gone.done(reason, region.moment());
                }
                region.stretches.send_modify(|stretches| *stretches += 1);
            }
        })
    }

    /// A page of one of the nodes: the first is asked in this process, the second over HTTP.
    async fn ask(&self, node: usize, viewer: Id, limit: usize, cursor: Option<&str>) -> Result<Page, String> {
        if node == 0 {
            let request = FeedRequest { limit, cursor: cursor.map(str::to_owned), ..FeedRequest::of(viewer) };
            let page = Arc::clone(&self.nodes[0].now().answers).page(request, now_ms()).await;
            return page.map(|page| of_page(&page)).map_err(|error| match error {
                FeedError::BadCursor => "bad_cursor".to_owned(),
                other => other.to_string(),
            });
        }
        let token = demo_token(&SecretString::from(SECRET), &IDS.format(viewer), PATIENCE).unwrap();
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let url = format!("http://{}/api/v1/feed?limit={limit}{cursor}", self.nodes[1].http);
        let answer = self.client.get(url).bearer_auth(token).timeout(PATIENCE).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        match status {
            200 => Ok(of_json(&body)),
            400 => Err(body["error"]["code"].as_str().unwrap().to_owned()),
            other => panic!("{other}: {body}"),
        }
    }

    /// The whole order that a page ranked at that time was the beginning of.
    fn order(&self, node: usize, viewer: Id, ranked_at: i64) -> Vec<Shown> {
        let request = FeedRequest { limit: 1_000, ..FeedRequest::of(viewer) };
        of_page(&self.nodes[node].now().feed.page(&request, ranked_at).unwrap()).posts
    }

    /// Begins a chain while the world stands still.
    async fn begin(&self, node: usize, viewer: Id, limit: usize) -> Chain {
        let mut tries = 0;
        loop {
            let first = self.ask(node, viewer, limit, None).await.unwrap();
            let order = self.order(node, viewer, first.ranked_at);
            // What is trending changes with the hour, world or no world.
            if tries < 3 && !order.starts_with(&first.posts) {
                tries += 1;
                continue;
            }
            return Chain::begin(viewer, &first, order, limit);
        }
    }

    /// Something that takes a post away which this chain has still ahead.
    fn take_away(&self, chain: &Chain, dice: &mut Dice) {
        let ahead = chain.ahead();
        if ahead.is_empty() {
            return;
        }
        let Shown { id: post, author, .. } = ahead[dice.below(ahead.len().min(30))];
        let (viewer, now) = (chain.viewer, now_ms());
        let event = |action| {
            let event_id = Some(uuid::Uuid::new_v4().as_u128());
            let author = Some(author);
            What::Event(EventFact { event_id, event_time: now, user: viewer, post, author, action, dwell_ms: 0 })
        };
        let row = |op, row| What::Row(RowFact { op, row, lsn: 0, commit_ms: now });
        let block = |blocker, blocked| {
            (row(Op::Create, TableRow::Block { blocker, blocked, created_at: now }), Reason::Blocked(blocker, blocked))
        };
        let wanted = match dice.below(20) {
            0..8 => (event(Action::Hide), Reason::Seen(viewer, post)),
            8..13 => (event(Action::View), Reason::Seen(viewer, post)),
            13..18 => {
                let post_row = TableRow::Post { id: post, author, created_at: now, deleted_at: None, toasted: false };
                (row(Op::Delete, post_row), Reason::Deleted(post))
            }
            18 => block(viewer, author),
            _ => block(author, viewer),
        };
        self.wanted.lock().push(wanted);
    }

    /// Waits until everything wanted by now is applied on both nodes: with the stretch that is under way, or the next.
    async fn moves_on(&self) {
        let mut stretches = self.stretches.subscribe();
        for _ in 0..2 {
            stretches.changed().await.unwrap();
        }
    }

    /// Walks a chain to its end, now and then over the other node.
    async fn walk(&self, mut chain: Chain, home: usize, dice: &mut Dice, pages: usize) -> Walked {
        let (mut refused, mut dropped) = (0, 0);
        while let Some(cursor) = chain.cursor.clone().filter(|_| chain.pages < pages) {
            match dice.below(60) {
                0..10 => self.take_away(&chain, dice),
                10..15 => {
                    self.take_away(&chain, dice);
                    self.moves_on().await;
                }
                20..24 => {
                    self.forged(&chain, &cursor, dice).await;
                    refused += 1;
                }
                24 => dropped += self.nodes[home].now().answers.forget(chain.viewer, now_ms()),
                _ => {}
            }
            let node = if dice.below(40) == 0 { 1 - home } else { home };
            let limit = dice.between(1, 9);
            let asked = self.moment();
            let page = self.ask(node, chain.viewer, limit, Some(&cursor)).await.unwrap();
            let came = self.moment();
            chain.next(&page, limit, &self.gone, asked, came);
        }
        Walked { chain, refused, dropped }
    }

    /// A cursor altered, cut, or of somebody else.
    async fn forged(&self, chain: &Chain, cursor: &str, dice: &mut Dice) {
        let (mut text, mut viewer) = (cursor.to_owned().into_bytes(), chain.viewer);
        match dice.below(3) {
            0 => {
                let at = dice.below(text.len());
                text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            }
            1 => text.truncate(dice.between(1, text.len() - 1)),
            _ => viewer = Id(viewer.0 ^ 1),
        }
        let forged = String::from_utf8(text).unwrap();
        let node = dice.below(2);
        assert_eq!(self.ask(node, viewer, 5, Some(&forged)).await.unwrap_err(), "bad_cursor", "{forged} of {cursor}");
    }
}

/// A chain at its end, and what was tried with it.
struct Walked {
    chain: Chain,
    refused: usize,
    dropped: usize,
}

fn of_page(page: &FeedPage) -> Page {
    let shown = page.posts.iter().map(|post| Shown { id: post.id.1, author: post.author_id.1, score: post.score });
    Page {
        posts: shown.collect(),
        cursor: page.cursor.clone(),
        has_more: page.has_more,
        ranked_at: page.ranked_at,
        served_from: page.served_from.name().to_owned(),
        degraded: page.degraded.iter().map(|mark| (*mark).to_owned()).collect(),
    }
}

fn of_json(page: &Value) -> Page {
    let id = |value: &Value| IDS.parse(value.as_str().unwrap()).unwrap();
    let post = |post: &Value| {
        let score = post["score"].as_f64().unwrap();
        Shown { id: id(&post["id"]), author: id(&post["author_id"]), score }
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Page {
        posts: page["posts"].as_array().unwrap().iter().map(post).collect(),
        cursor: page["cursor"].as_str().map(str::to_owned),
        has_more: page["has_more"].as_bool().unwrap(),
        ranked_at: page["ranked_at"].as_i64().unwrap(),
        served_from: text(&page["served_from"]),
        degraded: page["degraded"].as_array().unwrap().iter().map(text).collect(),
    }
}

/// Sums over all chains.
#[derive(Debug, Default)]
struct Told {
    long: usize,
    pages: usize,
    from_pin: usize,
    lost: usize,
    skipped: usize,
    refused: usize,
    dropped: usize,
}

impl Told {
    fn add(&mut self, walked: &Walked) {
        self.long += usize::from(walked.chain.pages >= 10);
        self.pages += walked.chain.pages;
        self.from_pin += walked.chain.from_pin;
        self.lost += walked.chain.lost;
        self.skipped += walked.chain.skipped;
        self.refused += walked.refused;
        self.dropped += walked.dropped;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_shows_each_post_once_in_its_pinned_order_and_repeats_nothing_when_that_is_lost() {
    let chains = times("EDGEFEED_CHAINS", 300);
    let mut dice = Dice::of_run();
    let world = WorldConfig { now_ms: now_ms(), users: 400, posts: 6_000, ..WorldConfig::small(dice.number(), IDS) };
    let world = Arc::new(World::new(world));
    let (region, mut writer) = Region::start().await;
    let (told_of, history) = (Arc::clone(&region), Arc::clone(&world));
    let writer = tokio::task::spawn_blocking(move || {
        for (n, fact) in history.history().enumerate() {
            writer.write(&fact);
            if n % 4_000 == 3_999 {
                writer.settle(&told_of);
            }
        }
        writer.settle(&told_of);
        writer
    });
    let changing = region.change(writer.await.unwrap(), Arc::clone(&world));
    let mut told = Told::default();
    while told.long < chains {
        let begun = {
            let _still = region.still.lock().await;
            region.nodes.iter().for_each(|node| node.now().feed.refresh_trending(now_ms()));
            let mut begun = Vec::new();
            for _ in 0..WAVE {
                let (home, viewer) = (dice.below(2), world.user(dice.below(400) as u32));
                begun.push((home, region.begin(home, viewer, dice.between(1, 9)).await));
            }
            begun
        };
        let walks: Vec<_> = begun
            .into_iter()
            .map(|(home, chain)| {
                let (region, mut dice) = (Arc::clone(&region), Dice::new(dice.number()));
                let pages = dice.between(10, 25);
                tokio::spawn(async move { region.walk(chain, home, &mut dice, pages).await })
            })
            .collect();
        for walk in walks {
            told.add(&walk.await.unwrap());
        }
    }
    region.over.store(true, Ordering::SeqCst);
    tokio::task::spawn_blocking(move || changing.join().unwrap()).await.unwrap();
    let facts = STRETCH as u64 * *region.stretches.borrow();
    println!("{told:?} while {facts} facts were applied on both nodes");
    for (what, count) in [
        ("pins", told.from_pin),
        ("lost pins", told.lost),
        ("posts taken away", told.skipped),
        ("forged cursors", told.refused),
        ("dropped pins", told.dropped),
    ] {
        assert!(count > 0, "no {what} in {chains} chains");
    }
    let region = Arc::into_inner(region).unwrap();
    for node in region.nodes {
        node.stop().await.unwrap();
    }
}
