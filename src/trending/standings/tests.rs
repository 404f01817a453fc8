//! What is kept from look to look is what a first look would find.

use edgefeed_storage::model::{
    Action, Cdc, Change, Event, Field, HOUR_MS, Id, IdKind, Outcome, Record, Row, RowChange, RowKey, Topic,
    TopicPartition, Version,
};
use edgefeed_storage::{Config, OpenOptions};
use proptest::prelude::*;

use super::*;

const NOW: TimestampMs = 1_795_376_817_860;
/// Of so many posts fewer are kept than there are, so that there is a floor, and it rises and has to fall.
const POSTS: u64 = 20;
const KEPT: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// Events about a post, so many hours ago.
    Events(u64, u64, Action),
    Written(u64),
    Deleted(u64),
    /// Minutes pass.
    Later(i64),
    Warm,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let post = || 0..POSTS;
    let action = prop::sample::select(vec![Action::View, Action::Like, Action::Share]);
    prop_oneof![
        10 => (post(), 0..200_u64, action).prop_map(|(post, hours, action)| Step::Events(post, hours, action)),
        2 => post().prop_map(Step::Written),
        4 => post().prop_map(Step::Deleted),
        1 => (0..90_i64).prop_map(Step::Later),
        1 => Just(Step::Warm),
        3 => Just(Step::Look),
    ]
}

struct World {
    store: Store,
    now_ms: TimestampMs,
    offset: i64,
}

impl World {
    fn apply(&mut self, topic: Topic, change: impl FnOnce(i64) -> Change) {
        self.offset += 1;
        let (at, offset) = (TopicPartition { topic, partition: 0 }, self.offset);
        let outcome = Outcome::Change(change(offset));
        self.store.apply(&[Record { at, offset, time: self.now_ms, outcome, raw: None }], self.now_ms).unwrap();
    }

    fn row(&mut self, change: RowChange) {
        let commit_time = self.now_ms;
        self.apply(Topic::Posts, |offset| {
            Change::Cdc(Cdc { version: Version::from_lsn(0, offset.cast_unsigned()), commit_time, change })
        });
    }

    fn write(&mut self, post: u64) {
        let (author, created_at) = (Field::Known(Id(1)), Field::Known(NOW - HOUR_MS));
        let row = Row::Post { id: Id(post.into()), author, created_at, deleted: Field::Known(false) };
        self.row(RowChange::Upsert(row));
    }

    fn carry_out(&mut self, step: &Step) {
        match *step {
            Step::Events(post, hours, action) => {
                let event_time = self.now_ms - hours.cast_signed() * HOUR_MS;
                let (user, author) = (Id(7), Some(Id(1)));
                self.apply(Topic::Events, |offset| {
                    let event_id = offset.cast_unsigned().into();
                    Change::Event(Event {
                        event_id,
                        event_time,
                        user,
                        post: Id(post.into()),
                        author,
                        action,
                        dwell_ms: 0,
                    })
                });
            }
            Step::Written(post) => self.write(post),
            Step::Deleted(post) => self.row(RowChange::Delete(RowKey::Post(Id(post.into())))),
            Step::Later(minutes) => self.now_ms += minutes * HOUR_MS / 60,
            Step::Warm => self.store.warm(self.now_ms).unwrap(),
            Step::Look => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn standings_kept_from_look_to_look_are_those_of_a_first_look(steps in prop::collection::vec(step(), 1..250)) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { dir: dir.path().join("store"), memory_budget_bytes: 64 << 20, ..Config::default() };
        let store = Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap();
        let mut world = World { store, now_ms: NOW, offset: 0 };
        (0..POSTS).for_each(|post| world.write(post));
        world.store.warm(NOW).unwrap();
        let mut kept = Standings::default();
        for step in &steps {
            world.carry_out(step);
            if matches!(step, Step::Look) {
                let all = Standings::default().renew(&world.store, POSTS as usize, world.now_ms);
                let best = all.map(|all| all.iter().take(KEPT).copied().collect::<Vec<_>>());
                let found = kept.renew(&world.store, KEPT, world.now_ms).map(|found| found.to_vec());
                prop_assert_eq!(found, best);
            }
        }
    }
}
