use edgefeed_storage::model::{Action, Field, Id, Record, Row, Topic, TopicPartition, Version};
use edgefeed_storage::{Config, OpenOptions};

use super::*;

const NOW: TimestampMs = 1_795_376_817_860;

fn store(dir: &std::path::Path) -> Store {
    let config = Config { dir: dir.to_owned(), ..Config::default() };
    Store::open(&config, OpenOptions { ids: IdKind::U64, apply_truncates: false }).unwrap()
}

fn source() -> Source {
    let (cluster, topic) = ("west".to_owned(), "t".to_owned());
    Source { ids: IdKind::U64, cluster, epoch: 2, topic, partition: 3 }
}

fn event(offset: i64) -> Event {
    Event {
        event_id: offset.unsigned_abs().into(),
        event_time: NOW,
        user: Id(1),
        post: Id(2),
        author: Some(Id(3)),
        action: Action::View,
        dwell_ms: 0,
    }
}

fn comment(offset: i64, post: Field<Id>) -> Cdc {
    let version = Version::from_lsn(0, offset.unsigned_abs());
    Cdc { version, commit_time: NOW, change: RowChange::Upsert(Row::Comment { id: Id(7), post, user: None }) }
}

fn push(gathered: &mut Gathered, offset: i64, change: Change) {
    let read = (Outcome::Change(change), Aside::default());
    gathered.push(&source(), (offset, NOW), read, || Raw { key: None, value: Some(vec![1, 2, 3]) });
}

/// What the rows of these offsets look like when they are encoded one by one.
fn encoded(range: Range, rows: impl IntoIterator<Item = (i64, Option<Id>)>) -> Vec<u8> {
    let (mut out, source) = (Vec::new(), source());
    for (offset, post) in rows {
        let origin = source.origin(offset, NOW);
        match post {
            None => {
                let row = EventRow { event: &event(offset), device: "", app_ver: "" };
                row::event(&mut out, source.ids, &row, &origin);
            }
            Some(post_id) => {
                let row = CdcRow::Comment { id: Id(7), post_id, user_id: Id(0), created_at: 0 };
                row::cdc(&mut out, source.ids, &row, unsigned(offset), false, &origin);
            }
        }
        row::seal(&mut out, unsigned(range.first), unsigned(range.last));
    }
    out
}

#[test]
fn a_range_holds_its_rows_without_the_repeats_and_the_next_one_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut gathered) = (store(dir.path()), Gathered::default());
    (10..20).for_each(|offset| push(&mut gathered, offset, Change::Event(event(offset))));
    let range = Range { first: 10, last: 15, epoch: 2 };
    let sealed = gathered.seal(range, &[10, 12, 15], &source(), &store).unwrap();
    assert_eq!(sealed.body, encoded(range, [11, 13, 14].map(|offset| (offset, None))));
    assert_eq!((sealed.rows, sealed.letters.len(), gathered.len()), (3, 0, 4));
    let range = Range { first: 16, last: 30, epoch: 2 };
    let sealed = gathered.seal(range, &[], &source(), &store).unwrap();
    assert_eq!(sealed.body, encoded(range, (16..20).map(|offset| (offset, None))));
    assert_eq!((gathered.weight(), gathered.is_empty()), (0, true));
    assert!(gathered.seal(range, &[], &source(), &store).unwrap().is_empty());
}

#[test]
fn a_value_left_out_is_the_stores_and_without_one_the_record_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut gathered) = (store(dir.path()), Gathered::default());
    let range = Range { first: 0, last: 9, epoch: 2 };
    let changes = [(1, Field::Known(Id(5))), (2, Field::Unchanged), (3, Field::Known(Id(6)))];
    let gather = |gathered: &mut Gathered| {
        changes.into_iter().for_each(|(offset, post)| push(gathered, offset, Change::Cdc(comment(offset, post))));
    };
    gather(&mut gathered);
    let unknown = gathered.seal(range, &[], &source(), &store).unwrap();
    assert_eq!(unknown.body, encoded(range, [(1, Some(Id(5))), (3, Some(Id(6)))]));
    let letter = unknown.letters.first().unwrap();
    assert_eq!((letter.offset, letter.reason), (2, DeadReason::UnavailableValue));
    assert_eq!(letter.raw.value.as_deref(), Some(&[1, 2, 3][..]));

    let outcome = Outcome::Change(Change::Cdc(comment(1, Field::Known(Id(5)))));
    let at = TopicPartition { topic: Topic::Comments, partition: 3 };
    store.apply(&[Record { at, offset: 1, time: NOW, outcome, raw: None }], NOW).unwrap();
    gather(&mut gathered);
    let known = gathered.seal(range, &[], &source(), &store).unwrap();
    assert_eq!(known.body, encoded(range, [(1, Some(Id(5))), (2, Some(Id(5))), (3, Some(Id(6)))]));
    assert_eq!((known.rows, known.letters.len(), gathered.weight()), (3, 0, 0));
}

#[test]
fn a_truncate_is_a_range_by_itself() {
    let mut gathered = Gathered::default();
    let truncate = || {
        let version = Version::from_lsn(0, 5);
        Change::Cdc(Cdc { version, commit_time: NOW, change: RowChange::Truncate })
    };
    push(&mut gathered, 1, Change::Nothing);
    push(&mut gathered, 2, truncate());
    push(&mut gathered, 3, Change::Nothing);
    let limit = Limit { rows: 100, bytes: 1 << 20 };
    assert_eq!(gathered.cut(10, limit), Some(1));
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    gathered.seal(Range { first: 0, last: 1, epoch: 0 }, &[], &source(), &store).unwrap();
    assert_eq!(gathered.cut(10, limit), Some(2));
    let sealed = gathered.seal(Range { first: 2, last: 2, epoch: 0 }, &[], &source(), &store).unwrap();
    assert_eq!(sealed.truncate, Some(5));
    assert_eq!((gathered.cut(3, limit), gathered.cut(4, limit)), (None, Some(3)));
}
