//! The log: the same each time, of the size asked for, and as odd as promised.

use std::collections::{BTreeMap, HashMap, HashSet};

use edgefeed_storage::model::{Action, DAY_MS, HOUR_MS, Id, IdKind, TimestampMs, Topic, hour_of};

use super::super::{Encoding, EventFact, Fact, Op, RowFact, Shape, TableRow, What, World, WorldConfig};
use super::{KINDS, events, rows, small};

fn all_bytes(world: &World, shape: Shape) -> Vec<u8> {
    let encoding = Encoding { shape, ..Encoding::new(world.config().ids) };
    let mut live = world.live(1);
    let now = world.config().now_ms;
    let later: Vec<Fact> = (1..2_000).map(|tick| live.next_at(now + tick)).collect();
    world.history().chain(later).flat_map(|fact| encoding.encode(&fact)).fold(Vec::new(), |mut bytes, message| {
        bytes.push(message.topic.code());
        bytes.extend(message.time_ms.to_be_bytes());
        bytes.extend(message.key);
        bytes.extend(message.value.unwrap_or_default());
        bytes
    })
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    for kind in KINDS {
        let first = all_bytes(&small(kind), Shape::Envelope);
        assert!(first == all_bytes(&small(kind), Shape::Envelope));
        assert!(first != all_bytes(&World::new(WorldConfig::small(8, kind)), Shape::Envelope));
    }
}

#[test]
fn both_kinds_of_ids_tell_the_same_story() {
    let shape = |world: &World| -> Vec<(TimestampMs, Topic)> {
        world.history().map(|fact| (fact.time_ms, fact.topic())).collect()
    };
    assert!(shape(&small(IdKind::Uuid)) == shape(&small(IdKind::U64)));
}

#[test]
fn ids_are_of_their_kind_and_distinct() {
    for kind in KINDS {
        let world = small(kind);
        let mut seen = HashSet::new();
        let users = (0..world.user_count()).map(|user| world.user(user));
        for id in users.chain((0..world.post_count()).map(|post| world.post(post).id)) {
            assert!(seen.insert(id));
            assert_eq!(kind.parse(&kind.format(id)), Some(id));
            match kind {
                IdKind::Uuid => assert_eq!(uuid::Uuid::from_u128(id.0).get_version_num(), 4),
                IdKind::U64 => assert!(id.0 >= 1 && id.0 <= i64::MAX as u128),
            }
        }
    }
}

#[test]
fn times_rise_from_the_snapshot_to_now_and_positions_with_them() {
    let world = small(IdKind::Uuid);
    let (mut last_ms, mut last_lsn, mut fell) = (world.snapshot_ms(), 0, 0);
    for fact in world.history() {
        assert!((last_ms..=world.config().now_ms).contains(&fact.time_ms));
        last_ms = fact.time_ms;
        if let What::Row(row) = fact.what {
            assert!(row.commit_ms <= fact.time_ms);
            match row.op {
                Op::Snapshot => assert!(row.lsn == last_lsn || last_lsn == 0),
                // Told again: the time of the commit does not rise then.
                _ if row.lsn <= last_lsn => {
                    fell += 1;
                    assert!(row.commit_ms < fact.time_ms);
                }
                _ => assert_eq!(row.commit_ms, fact.time_ms),
            }
            last_lsn = last_lsn.max(row.lsn);
        }
    }
    assert!(fell > 0, "no connector ever restarted");
    assert_eq!(last_ms, world.config().now_ms);
}

#[test]
fn the_counts_are_about_those_of_the_recipe() {
    let world = small(IdKind::Uuid);
    let config = world.config().clone();
    let mut counts: BTreeMap<(Topic, &str), u32> = BTreeMap::new();
    for (_, fact) in rows(&world) {
        *counts.entry((fact.row.topic(), fact.op.letter())).or_default() += 1;
    }
    let about = |topic, wanted: u32| {
        let found = counts[&(topic, "r")] + counts[&(topic, "c")];
        assert!(found >= wanted * 4 / 5 && found <= wanted * 6 / 5 + 100, "{topic:?}: {found} of {wanted}");
    };
    about(Topic::Posts, config.posts);
    about(Topic::Follows, config.users * config.follows_mean);
    about(Topic::Likes, config.like_rows);
    about(Topic::Comments, config.comment_rows);
    about(Topic::Blocks, config.blocks);
    let told = events(&world).len() as u64;
    assert!(told > config.events && told < config.events * 51 / 50, "{told}");
}

#[test]
fn follows_posts_and_attention_have_heavy_tails() {
    let world = World::new(WorldConfig { users: 2_000, posts: 20_000, ..WorldConfig::small(3, IdKind::U64) });
    let mut tails: [HashMap<Id, u32>; 4] = Default::default();
    for fact in world.history() {
        match fact.what {
            What::Row(RowFact { row: TableRow::Follow { follower, following, .. }, op: Op::Snapshot, .. }) => {
                *tails[0].entry(follower).or_default() += 1;
                *tails[1].entry(following).or_default() += 1;
            }
            What::Row(RowFact { row: TableRow::Post { author, .. }, op: Op::Snapshot | Op::Create, .. }) => {
                *tails[2].entry(author).or_default() += 1;
            }
            What::Event(event) => *tails[3].entry(event.post).or_default() += 1,
            What::Row(_) => {}
        }
    }
    for (counts, times) in tails.into_iter().zip([5, 10, 3, 50]) {
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable();
        let (median, most) = (counts[counts.len() / 2], counts[counts.len() - 1]);
        assert!(most >= median * times, "median {median}, most {most}, wanted {times} times");
    }
}

#[test]
fn posts_are_spread_over_the_days_and_some_share_a_millisecond() {
    let world = small(IdKind::Uuid);
    let mut days = [0u32; 14];
    let mut shared = 0;
    for post in 0..world.post_count() {
        let age = world.config().now_ms - world.post(post).created_at;
        days[(age / DAY_MS) as usize] += 1;
        if post > 0 {
            let before = world.post(post - 1).created_at;
            assert!(before <= world.post(post).created_at);
            shared += u32::from(before == world.post(post).created_at);
        }
    }
    assert!(days.iter().all(|count| *count > 100), "{days:?}");
    assert!(shared > 20, "{shared}");
}

#[test]
fn repeats_come_within_half_an_hour_or_after_three_hours_and_some_say_something_else() {
    let world = small(IdKind::Uuid);
    let mut first: HashMap<u128, (TimestampMs, EventFact)> = HashMap::new();
    let (mut near, mut far, mut changed) = (0, 0, 0);
    for (at, event) in events(&world) {
        let Some(id) = event.event_id else { continue };
        let Some((before, original)) = first.get(&id) else {
            first.insert(id, (at, event));
            continue;
        };
        match at - before {
            0..=1_800_000 => near += 1,
            gap => {
                assert!(gap > 3 * HOUR_MS);
                far += 1;
            }
        }
        assert_eq!(original.user, event.user, "a repeat stays in its partition");
        changed += u32::from(*original != event);
    }
    assert!(near > 100 && far > 5 && changed > 5, "{near} {far} {changed}");
}

#[test]
fn events_are_late_ahead_without_author_and_without_id_as_promised() {
    let world = small(IdKind::U64);
    let (mut late, mut ahead, mut no_author, mut no_id) = (0, 0, 0, 0);
    let (mut latest, mut furthest) = (0, 0);
    for (at, event) in events(&world) {
        let age = at - event.event_time;
        assert!((-5 * 60_000..=90 * DAY_MS).contains(&age), "{age}");
        latest = latest.max(age);
        furthest = furthest.max(-age);
        late += u32::from(age > DAY_MS);
        ahead += u32::from(age < 0);
        no_author += u32::from(event.author.is_none());
        no_id += u32::from(event.event_id.is_none());
    }
    assert_eq!((latest, furthest), (90 * DAY_MS, 5 * 60_000), "both ends are reached to the millisecond");
    assert!(late > 200 && ahead > 100 && no_author > 200 && no_id > 100, "{late} {ahead} {no_author} {no_id}");
}

#[test]
fn every_kind_of_change_and_event_is_in_the_history() {
    let world = small(IdKind::Uuid);
    let kinds: HashSet<(Topic, &str)> =
        rows(&world).iter().map(|(_, fact)| (fact.row.topic(), fact.op.letter())).collect();
    for topic in [Topic::Posts, Topic::Follows, Topic::Comments, Topic::Likes, Topic::Blocks] {
        for op in ["r", "c", "d"] {
            assert!(kinds.contains(&(topic, op)), "{topic:?} {op}");
        }
    }
    assert!(kinds.contains(&(Topic::Posts, "u")) && kinds.contains(&(Topic::Users, "r")));
    let actions: HashSet<Action> = events(&world).iter().map(|(_, event)| event.action).collect();
    assert_eq!(actions.len(), 6);
}

#[test]
fn a_recipe_too_small_for_the_cases_is_raised_to_what_they_need() {
    let tiny = WorldConfig {
        users: 0,
        posts: 0,
        follows_mean: 0,
        events: 50,
        log_days: 0,
        post_days: 0,
        ..WorldConfig::small(5, IdKind::U64)
    };
    let world = World::new(tiny);
    assert_eq!((world.user_count(), world.post_count()), (20, 100));
    assert!(world.history().count() > 500);
    let mut live = world.live(1);
    let now = world.config().now_ms;
    assert!((0..2_000).map(|tick| live.next_at(now + tick)).any(|fact| fact.is_event()));
}

#[test]
fn a_demo_world_ends_at_the_time_it_is_given() {
    let now = 1_800_000_000_123;
    let world = World::new(WorldConfig::demo(300, 3_000, 9, IdKind::Uuid, now));
    assert_eq!(world.history().last().map(|fact| fact.time_ms), Some(now));
}

/// Takes a minute unoptimised: `cargo test --release world_m -- --ignored`.
#[test]
fn world_m_has_the_figures_it_is_named_for() {
    let world = World::new(WorldConfig::world_m(1, IdKind::Uuid));
    let (mut follows, mut pairs, mut cells) = (0u32, HashSet::new(), HashSet::new());
    for fact in world.history() {
        match fact.what {
            What::Row(RowFact { row: TableRow::Follow { .. }, op, .. }) if op != Op::Delete => {
                follows += 1;
            }
            What::Row(_) => {}
            What::Event(event) => {
                cells.insert((event.post.0 as u64, hour_of(event.event_time)));
                if let Some(author) = event.author {
                    pairs.insert((event.user.0 as u64, author.0 as u64));
                }
            }
        }
    }
    assert!((9_500_000..10_500_000).contains(&follows), "{follows}");
    assert!((4_750_000..5_250_000).contains(&pairs.len()), "{}", pairs.len());
    assert!((2_800_000..3_200_000).contains(&cells.len()), "{}", cells.len());
}
