//! Of a post that is not there the stage that left it out is named, and the oracle confirms it.
//!
//! `EDGEFEED_EXPLAINED` posts a world are looked at, 350 by default; `make prove-explain` looks at more.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use edgefeed::feed::{ExplainRequest, Explanation, Feed, Stage, Standing};
use edgefeed::ranking::Preset;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{DAY_MS, HOUR_MS, Id, IdKind, TimestampMs};

use crate::compare;
use crate::crash::dice::Dice;
use crate::formula::{apply, fold, viewers};
use crate::log::history;
use crate::oracle::{Absence, LogRecord, Miss, Oracle, OracleAlgo, OracleWindow, PostRow};

/// Posts that are absent for some reader, by why one would look at them.
struct Drawer<'w> {
    oracle: &'w Oracle,
    now_ms: TimestampMs,
    dice: Dice,
    all: Vec<Id>,
    trending: Vec<Id>,
}

impl Drawer<'_> {
    fn pick(&mut self, posts: &[Id]) -> Option<Id> {
        (!posts.is_empty()).then(|| posts[self.dice.below(posts.len())])
    }

    /// One post, of a kind that the dice choose. Most posts of a world are absent because nobody shows them to this
    /// reader; the rarer reasons are looked for.
    fn draw(&mut self, viewer: Id) -> Option<Id> {
        let oracle = self.oracle;
        let by = |wanted: &dyn Fn(Id) -> bool| -> Vec<Id> {
            oracle.posts().iter().filter(|(_, row)| wanted(row.author)).map(|(id, _)| *id).collect()
        };
        let of_row = |wanted: &dyn Fn(&PostRow) -> bool| -> Vec<Id> {
            oracle.posts().iter().filter(|(_, row)| wanted(row)).map(|(id, _)| *id).collect()
        };
        let posts = match self.dice.below(13) {
            0 => vec![Id(u128::from(self.dice.number()))],
            1 => oracle.hidden().iter().filter(|(user, _)| *user == viewer).map(|(_, post)| *post).collect(),
            2 => oracle.viewed().keys().filter(|(user, _)| *user == viewer).map(|(_, post)| *post).collect(),
            3 => by(&|author| author == viewer),
            4 => {
                by(&|author| oracle.blocks().contains(&(viewer, author)) || oracle.blocks().contains(&(author, viewer)))
            }
            5 => by(&|author| oracle.follows().contains(&(viewer, author))),
            6 => self.trending.iter().skip(150).copied().collect(),
            7 => {
                let sums = oracle.affinity_sums(viewer, self.now_ms);
                by(&|author| sums.contains_key(&author))
            }
            8 => of_row(&|row| row.created_at > self.now_ms),
            // Beyond the newest 500, where a reader follows enough who write enough.
            10 => {
                let mut recent = of_row(&|row| {
                    oracle.follows().contains(&(viewer, row.author)) && row.created_at >= self.now_ms - 3 * DAY_MS
                });
                recent.sort_unstable_by_key(|id| Reverse((oracle.posts()[id].created_at, *id)));
                recent.into_iter().skip(500).collect()
            }
            11 => {
                let sums = oracle.affinity_sums(viewer, self.now_ms);
                of_row(&|row| sums.contains_key(&row.author) && row.created_at < self.now_ms - 14 * DAY_MS)
            }
            9 => oracle.gone().copied().chain(of_row(&|row| row.deleted)).collect(),
            _ => self.all.clone(),
        };
        self.pick(&posts)
    }
}

fn miss(standing: &Standing) -> Option<Miss> {
    const REASONS: [&str; 6] =
        ["not_followed", "not_trending", "no_affinity", "older_than_window", "author_beyond_cap", "beyond_cap"];
    let told = standing.reason.as_deref()?;
    let reason = REASONS.into_iter().find(|reason| *reason == told).unwrap_or_else(|| panic!("no such reason: {told}"));
    let position = if reason == "author_beyond_cap" { standing.author_position } else { standing.position };
    Some(Miss { reason, position })
}

/// What the node says, in the oracle's words; `None` for a post on the ranking.
fn in_words(told: &Explanation) -> Option<Absence> {
    const REASONS: [&str; 6] = ["own", "deleted", "dated_ahead", "blocked", "hidden", "viewed"];
    match told.stage {
        Stage::Ranked => None,
        Stage::Unknown => Some(Absence::Unknown),
        Stage::NotVisible => {
            let reason = told.reason.as_deref().unwrap();
            Some(Absence::NotVisible(REASONS.into_iter().find(|known| *known == reason).unwrap()))
        }
        Stage::NotACandidate => {
            let sources = told.sources.as_ref().unwrap();
            let misses = [&sources.followed, &sources.trending, &sources.affinity].map(|of| miss(of).unwrap());
            Some(Absence::NotCandidate(misses))
        }
    }
}

fn count(counts: &mut BTreeMap<&'static str, u64>, absence: &Absence) {
    match absence {
        Absence::Unknown => *counts.entry("unknown").or_default() += 1,
        Absence::NotVisible(reason) => *counts.entry(reason).or_default() += 1,
        Absence::NotCandidate(misses) => {
            let names = [
                ["followed: not_followed", "followed: older_than_window", "followed: beyond_cap"],
                ["trending: not_trending", "", "trending: beyond_cap"],
                ["affinity: no_affinity", "affinity: older_than_window", "affinity: beyond_cap"],
            ];
            for (miss, names) in misses.iter().zip(names) {
                let name = names.into_iter().find(|name| name.ends_with(miss.reason));
                *counts.entry(name.unwrap_or("affinity: author_beyond_cap")).or_default() += 1;
            }
        }
    }
}

/// Looks at posts of one world until so many were absent; tells how often each reason was confirmed.
fn confirm(config: WorldConfig, absent: Option<u64>, counts: &mut BTreeMap<&'static str, u64>) {
    let (ids, now_ms, seed) = (config.ids, config.now_ms, config.seed);
    let world = World::new(config);
    let log = history(&world, &Encoding::new(ids));
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), ids);
    let mut oracle = Oracle::new(ids, 0);
    apply(&store, &log, now_ms);
    fold(&mut oracle, &log, now_ms);
    store.warm(now_ms).unwrap();
    let feed: Feed = compare::feed_over(&store);
    let viewers = viewers(&world, 40);
    let all = oracle.posts().keys().chain(oracle.gone()).copied().collect();
    let trending = oracle.trending(OracleWindow::Day, now_ms).into_iter().map(|(id, _)| id).collect();
    // The short version looks at the same posts every time, so that no reason is missed by chance.
    let dice = if absent.is_some() { Dice::of_run() } else { Dice::new(seed) };
    let mut drawer = Drawer { oracle: &oracle, now_ms, dice, all, trending };
    let (mut found, mut there) = (0, 0);
    while found < absent.unwrap_or(350) {
        let viewer = viewers[drawer.dice.below(viewers.len())];
        let Some(post) = drawer.draw(viewer) else { continue };
        let told = feed.explain(&ExplainRequest { viewer, post, preset: Preset::Balanced }, now_ms).unwrap();
        let expected = oracle.absence(viewer, post, now_ms);
        let who = format!("post {} for reader {}: {told:#?}", ids.format(post), ids.format(viewer));
        assert_eq!(in_words(&told), expected, "{who}");
        match expected {
            Some(absence) => {
                count(counts, &absence);
                found += 1;
            }
            // The oracle's own answer agrees with its reasons.
            None if there % 50 == 0 => {
                there += 1;
                let feed = oracle.feed(viewer, now_ms, OracleAlgo::Ranked);
                assert!(feed.iter().any(|shown| shown.id == post), "{who}");
            }
            None => there += 1,
        }
    }
}

#[test]
fn the_stage_that_left_a_post_out_is_the_one_the_oracle_names() {
    let absent = std::env::var("EDGEFEED_EXPLAINED").ok().map(|text| text.parse().unwrap());
    let mut counts = BTreeMap::new();
    confirm(WorldConfig::small(51, IdKind::Uuid), absent, &mut counts);
    confirm(WorldConfig::small(52, IdKind::U64), absent, &mut counts);
    let mut capped = WorldConfig::small(53, IdKind::U64);
    (capped.users, capped.posts, capped.follows_mean, capped.events) = (600, 12_000, 120, 60_000);
    confirm(capped, absent, &mut counts);
    println!("confirmed: {counts:#?}");
    for reason in [
        "unknown",
        "own",
        "deleted",
        "dated_ahead",
        "blocked",
        "hidden",
        "viewed",
        "followed: not_followed",
        "followed: older_than_window",
        "followed: beyond_cap",
        "trending: not_trending",
        "trending: beyond_cap",
        "affinity: no_affinity",
        "affinity: older_than_window",
        "affinity: beyond_cap",
    ] {
        assert!(counts.contains_key(reason), "{reason} was never met: {counts:#?}");
    }
}

/// A record with a value alone, in the order of its topic.
fn record(topic: &str, offset: i64, value: String) -> LogRecord {
    let (key, value) = (Some(b"{}".to_vec()), Some(value.into_bytes()));
    LogRecord { topic: topic.to_owned(), partition: 0, offset, time_ms: NOW, key, value }
}

const NOW: TimestampMs = 1_795_376_817_860;

/// A reader who has liked something of 205 authors, and what else the least of them wrote.
#[test]
fn an_author_beyond_the_two_hundredth_is_named_with_the_place() {
    let post = |offset: i64, id: i64, author: i64| {
        let row = format!(r#"{{"id":{id},"user_id":{author},"created_at":{}}}"#, NOW - HOUR_MS);
        let source = format!(r#"{{"table":"posts","lsn":{},"ts_ms":{NOW}}}"#, 100 + offset);
        record("cdc.posts", offset, format!(r#"{{"op":"c","before":null,"after":{row},"source":{source}}}"#))
    };
    let like = |offset: i64, id: i64, author: i64| {
        let event = format!(r#""event_id":"00000000-0000-4000-8000-{offset:012x}","event_time":{NOW}"#);
        let about = format!(r#""user_id":1,"post_id":{id},"author_id":{author},"action":"like""#);
        record("events", offset, format!("{{{event},{about}}}"))
    };
    let mut log: Vec<LogRecord> = (0..205).map(|n| post(n, 5_000 + n, 1_000 + n)).collect();
    log.extend((0..205).map(|n| like(n, 5_000 + n, 1_000 + n)));
    // Ties go to the higher id: 1000 is the last of all, 1005 the last that counts.
    log.extend([post(205, 9_000, 1_000), post(206, 9_005, 1_005)]);
    let dir = tempfile::tempdir().unwrap();
    let store = compare::open(&dir.path().join("store"), IdKind::U64);
    let mut oracle = Oracle::new(IdKind::U64, 0);
    apply(&store, &log, NOW);
    fold(&mut oracle, &log, NOW);
    let feed = compare::feed_over(&store);
    let explain = |post| feed.explain(&ExplainRequest { viewer: Id(1), post: Id(post), preset: Preset::Balanced }, NOW);
    let told = explain(9_000).unwrap();
    let beyond = Miss { reason: "author_beyond_cap", position: Some(205) };
    assert_eq!(miss(&told.sources.as_ref().unwrap().affinity), Some(beyond));
    assert_eq!(in_words(&told), oracle.absence(Id(1), Id(9_000), NOW));
    let last = explain(9_005).unwrap();
    assert_eq!((last.stage, oracle.absence(Id(1), Id(9_005), NOW)), (Stage::Ranked, None));
    assert_eq!(last.sources.unwrap().affinity.author_position, Some(200));
}
