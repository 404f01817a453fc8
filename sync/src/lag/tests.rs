#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::start::GapReason;

const EVENTS: TopicPartition = TopicPartition { topic: Topic::Events, partition: 0 };
const POSTS: TopicPartition = TopicPartition { topic: Topic::Posts, partition: 0 };

fn lag_of(topics: &[Topic]) -> Lag {
    let followed: Vec<_> = topics.iter().map(|topic| (*topic, format!("kafka.{}", topic.name()))).collect();
    Lag::new(&followed, &BTreeMap::new(), None)
}

/// A node following two topics of one partition each, whose logs end at 2 and 0 as of 1,000.
fn followed() -> Lag {
    let lag = lag_of(&[Topic::Events, Topic::Posts]);
    for at in [EVENTS, POSTS] {
        lag.topic_there(at.topic);
        lag.started(at, 0);
    }
    lag.heard(&[(EVENTS, Extent { start: 0, end: 2 }), (POSTS, Extent { start: 0, end: 0 })], 1_000);
    lag
}

fn apply(lag: &Lag, at: TopicPartition, next: i64, time: i64) {
    lag.applied(&BTreeMap::from([(at, (next, time))]), time + 10);
}

fn gap() -> Gap {
    Gap { reason: GapReason::BelowLogStart, stored_offset: 0, log_start: 1, log_end: 2 }
}

#[test]
fn the_oldest_partition_decides_freshness() {
    let lag = followed();
    assert_eq!(lag.applied_through(1_500), None, "nothing of events is applied yet");
    apply(&lag, EVENTS, 1, 700);
    assert_eq!((lag.applied_through(1_500), lag.staleness_ms(1_500)), (Some(700), Some(800)));
    apply(&lag, EVENTS, 2, 900);
    assert_eq!(lag.applied_through(1_500), Some(1_000));
    lag.heard(&[(EVENTS, Extent { start: 0, end: 2 })], 2_000);
    assert_eq!(lag.applied_through(2_500), Some(1_000), "posts was not heard of since");
}

#[test]
fn without_contact_the_state_grows_old() {
    let lag = followed();
    apply(&lag, EVENTS, 2, 900);
    lag.no_contact("all brokers are down".to_owned());
    assert_eq!(lag.staleness_ms(61_000), Some(60_000));
    assert_eq!(lag.snapshot(61_000)["contact_error"], "all brokers are down");
    lag.contact(61_000);
    assert_eq!(lag.snapshot(61_000)["contact_error"], Value::Null);
}

#[test]
fn the_first_catch_up_is_kept() {
    let lag = followed();
    assert!(!lag.caught_up());
    apply(&lag, EVENTS, 2, 900);
    assert!(lag.caught_up());
    lag.heard(&[(EVENTS, Extent { start: 0, end: 50 })], 2_000);
    lag.started(TopicPartition { partition: 1, ..EVENTS }, 0);
    assert!(lag.caught_up());
}

#[test]
fn a_missing_required_topic_holds_the_catch_up_back_and_an_optional_one_does_not() {
    for (topic, expected) in [(Topic::Likes, false), (Topic::Users, true)] {
        let lag = lag_of(&[Topic::Events, topic]);
        lag.topic_there(Topic::Events);
        lag.started(EVENTS, 0);
        lag.heard(&[(EVENTS, Extent { start: 0, end: 0 })], 1_000);
        assert!(!lag.caught_up(), "{topic:?} was not asked for yet");
        lag.topic_missing(topic, "unknown topic".to_owned());
        lag.heard(&[(EVENTS, Extent { start: 0, end: 0 })], 1_100);
        assert_eq!(lag.caught_up(), expected, "{topic:?}");
        assert_eq!(lag.missing_topics().is_empty(), expected, "{topic:?}");
    }
}

#[test]
fn gaps_and_stalls_hold_nothing_back_and_are_told() {
    let lag = followed();
    lag.gap(EVENTS, gap());
    assert!(lag.caught_up());
    assert_eq!(lag.applied_through(1_500), Some(1_000));
    assert_eq!(lag.gaps(), [(EVENTS, gap())]);
    let shown = lag.snapshot(1_500);
    assert_eq!(shown["topics"]["events"]["partitions"]["0"]["state"], "gap");
    assert_eq!(shown["topics"]["events"]["partitions"]["0"]["gap"]["reason"], "below_log_start");
    assert_eq!(shown["topics"]["events"]["partitions"]["0"]["gap"]["stored_offset"], 0);

    let lag = followed();
    let reason = edgefeed_storage::StallReason::Truncate;
    lag.stalled(Stall { reason, at: EVENTS, offset: 1, detail: "t".to_owned() });
    assert!(lag.caught_up());
    assert_eq!(lag.stalls().len(), 1);
    assert_eq!(lag.snapshot(1_500)["topics"]["events"]["stalled"]["reason"], "cdc_truncate");
}

#[test]
fn a_restarted_node_knows_how_old_it_is_before_any_contact() {
    let position = Position { next_offset: 5, last_offset: 4, last_time: 800, watermark: 800, marked_from: 0 };
    let followed = [(Topic::Events, "events".to_owned())];
    let lag = Lag::new(&followed, &BTreeMap::from([(EVENTS, position)]), None);
    assert_eq!(lag.applied_through(1_500), Some(800));
    assert_eq!(lag.applied_to(EVENTS), Some(5));
    assert!(!lag.caught_up());
}

#[test]
fn an_idle_node_that_restarts_is_as_old_as_its_last_contact() {
    let read = Position { next_offset: 5, last_offset: 4, last_time: 800, watermark: 800, marked_from: 0 };
    let idle = Position { next_offset: 0, last_offset: -1, last_time: 0, watermark: 0, marked_from: 0 };
    let followed = [(Topic::Events, "events".to_owned()), (Topic::Posts, "cdc.posts".to_owned())];
    let stored = BTreeMap::from([(EVENTS, read), (POSTS, idle)]);
    assert_eq!(Lag::new(&followed, &stored, None).applied_through(9_000), None, "posts was never heard of");
    let noted = Contact { through: 7_000, topics: vec![Topic::Events, Topic::Posts] };
    let lag = Lag::new(&followed, &stored, Some(&noted));
    assert_eq!((lag.applied_through(9_000), lag.staleness_ms(9_000)), (Some(7_000), Some(2_000)));
    lag.no_contact("all brokers are down".to_owned());
    assert_eq!(lag.staleness_ms(9_500), Some(2_500));
    lag.heard(&[(EVENTS, Extent { start: 0, end: 9 }), (POSTS, Extent { start: 0, end: 0 })], 9_900);
    assert_eq!(lag.applied_through(9_900), Some(7_000), "what came since is not applied yet");
}

#[test]
fn a_topic_followed_anew_is_not_covered_by_a_contact_of_before() {
    let read = Position { next_offset: 5, last_offset: 4, last_time: 800, watermark: 800, marked_from: 0 };
    let followed = [(Topic::Events, "events".to_owned()), (Topic::Blocks, "cdc.blocks".to_owned())];
    let blocks = TopicPartition { topic: Topic::Blocks, partition: 0 };
    let noted = Contact { through: 7_000, topics: vec![Topic::Events] };
    // It was followed once, long before that contact.
    let stored = BTreeMap::from([(EVENTS, read), (blocks, Position { last_time: 300, ..read })]);
    let lag = Lag::new(&followed, &stored, Some(&noted));
    assert_eq!(lag.applied_through(9_000), Some(300));
    // Or never.
    let lag = Lag::new(&followed, &BTreeMap::from([(EVENTS, read)]), Some(&noted));
    lag.contact(9_000);
    lag.started(blocks, 0);
    lag.heard(&[(blocks, Extent { start: 0, end: 3 })], 9_000);
    assert_eq!(lag.applied_through(9_000), None);
}

#[test]
fn there_is_something_to_answer_from_once_a_record_was_applied_or_nothing_is_all_there_is() {
    let lag = followed();
    assert!(!lag.holds_anything());
    apply(&lag, EVENTS, 1, 700);
    assert!(lag.holds_anything());
    let empty = lag_of(&[Topic::Users]);
    empty.topic_missing(Topic::Users, "unknown topic".to_owned());
    assert!(!empty.holds_anything());
    empty.heard(&[], 1_000);
    assert!(empty.holds_anything());
}

#[test]
fn a_topic_not_asked_for_yet_leaves_freshness_unknown() {
    let lag = lag_of(&[Topic::Events, Topic::Posts]);
    lag.contact(1_000);
    lag.started(EVENTS, 0);
    lag.topic_there(Topic::Events);
    lag.heard(&[(EVENTS, Extent { start: 0, end: 0 })], 1_000);
    assert_eq!(lag.applied_through(1_500), None);
    assert!(!lag.caught_up());
}

#[test]
fn waiting_ends_with_the_offset_or_with_the_time() {
    let lag = followed();
    assert!(!lag.wait_applied(EVENTS, 2, Duration::from_millis(5)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lag.wait_applied(EVENTS, 2, Duration::from_secs(20)));
        apply(&lag, EVENTS, 2, 900);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_partition_added_later_is_as_old_as_the_last_look_at_its_topic() {
    let lag = lag_of(&[Topic::Events]);
    lag.topic_there(Topic::Events);
    lag.started(EVENTS, 0);
    lag.heard(&[(EVENTS, Extent { start: 0, end: 0 })], 5_000);
    lag.complete(Topic::Events, 5_000);
    lag.contact(5_000);
    let added = TopicPartition { partition: 1, ..EVENTS };
    lag.started(added, 0);
    lag.heard(&[(EVENTS, Extent { start: 0, end: 0 }), (added, Extent { start: 0, end: 1 })], 9_000);
    assert_eq!(lag.applied_through(9_000), Some(5_000), "its record may be as old as that look, and no older");
}
