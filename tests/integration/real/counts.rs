//! Likes and comments are state: they are counted and shown, and move no score.

use edgefeed_storage::model::IdKind;

use super::events::{Event, Events, now_ms};
use super::node::Node;
use super::place::Place;
use super::reader::{Page, Post};
use super::stack::Stack;
use super::steps::Steps;

/// The score as the contract writes it, from the terms the answer explains itself with.
fn by_the_formula(page: &Page, post: &Post) -> f64 {
    let created: jiff::Timestamp = post.created_at.parse().unwrap();
    let age_hours = (page.ranked_at - created.as_millisecond()) as f64 / 3_600_000.0;
    0.30 * (-0.1 * age_hours).exp() + 0.40 * post.explain.engagement + 0.30 * post.explain.affinity
}

#[tokio::test(flavor = "multi_thread")]
async fn likes_and_comments_change_counts_and_no_score() {
    const PROMISE: &str = "likes and comments change counts and no score";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben, cid, post) = (place.id(), place.id(), place.id(), place.id());
    let (comment, reply) = (place.id(), place.id());
    let now = now_ms();
    place.database.run([place.follow_row(ann, ben), place.post_row(post, ben, now - 60_000)].concat()).await;
    place.connect();
    let node = Node::ready(&place, "store").await;
    let reader = node.reader(&place, ann);
    // Terms that are not zero, or nothing could be seen to stay.
    let events = Events::into(&place);
    let event = Event { id: uuid::Uuid::new_v4(), time_ms: now, user: ann, post, author: ben, action: "like" };
    events.send(&event);
    events.delivered();
    let moved = |page: &Page| page.post(post).is_some_and(|post| post.explain.affinity > 0.0);
    let start = reader.sees(&steps, "an event", moved).await;
    let terms = start.post(post).unwrap().explain.clone();
    assert!(terms.engagement > 0.0);

    let (post_text, comment_text) = (place.text(post), place.text(comment));
    for (step, statement, counts) in [
        ("a like", place.like_row(cid, post), (1, 0, false)),
        ("the viewer's like", place.like_row(ann, post), (2, 0, true)),
        ("a comment", place.comment_row(comment, post, cid), (2, 1, true)),
        ("another comment", place.comment_row(reply, post, cid), (2, 2, true)),
        ("a like taken back", format!("DELETE FROM likes WHERE user_id = '{}'", place.text(cid)), (1, 2, true)),
        ("the viewer's like taken back", format!("DELETE FROM likes WHERE post_id = '{post_text}'"), (0, 2, false)),
        ("a comment deleted", format!("DELETE FROM comments WHERE id = '{comment_text}'"), (0, 1, false)),
        ("a like again", place.like_row(ann, post), (1, 1, true)),
    ] {
        place.database.run(statement).await;
        let shown = |post: &Post| (post.like_count, post.comment_count, post.viewer_liked);
        let page = reader.sees(&steps, step, |page| page.post(post).is_some_and(|post| shown(post) == counts)).await;
        let seen = page.post(post).unwrap();
        let found = (seen.explain.engagement, seen.explain.affinity);
        assert_eq!(found, (terms.engagement, terms.affinity), "{step}: terms, bit for bit");
        assert_eq!(seen.score, by_the_formula(&page, seen), "{step}: score, bit for bit");
    }
}
