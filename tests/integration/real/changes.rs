//! A row that changes in the database changes the feed, within seconds and by nobody's further doing.

use edgefeed_storage::model::IdKind;

use super::database::insert;
use super::events::now_ms;
use super::node::Node;
use super::place::Place;
use super::reader::Page;
use super::stack::Stack;
use super::steps::Steps;

const MINUTE: i64 = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn each_change_in_the_database_is_in_the_feed_within_five_seconds() {
    const PROMISE: &str = "each change in the database is in the feed within five seconds";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let steps = Steps::of(PROMISE);
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben, cid) = (place.id(), place.id(), place.id());
    let [first, second, third, foreign] = [0; 4].map(|_| place.id());
    let now = now_ms();
    let before = [
        insert("users", &[("id", place.text(ann))]),
        place.follow_row(ann, ben),
        place.post_row(first, ben, now - 30 * MINUTE),
        place.post_row(foreign, cid, now - 40 * MINUTE),
    ];
    place.database.run(before.concat()).await;
    place.connect();
    let node = Node::ready(&place, "store").await;
    let reader = node.reader(&place, ann);
    let sees = async |step: &str, statement: String, expected: &dyn Fn(&Page) -> bool| {
        place.database.run(statement).await;
        reader.sees(&steps, step, expected).await
    };
    let (me, him) = (place.text(ann), place.text(ben));

    sees("rows from before the connector", String::new(), &|page| page.is(&[first])).await;

    sees("a new post", place.post_row(second, ben, now - MINUTE), &|page| page.is(&[first, second])).await;
    // The large column is left out of the record of an update that does not touch it.
    let large = format!(
        "UPDATE posts SET body = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) n) WHERE id = '{id}';
         UPDATE posts SET created_at = '{time}' WHERE id = '{id}';",
        id = place.text(second),
        time = edgefeed::feed::rfc3339(now - 2 * MINUTE),
    );
    let moved = edgefeed::feed::rfc3339(now - 2 * MINUTE);
    sees("a post's new time", large, &|page| page.post(second).is_some_and(|post| post.created_at == moved)).await;

    sees("a follow", place.follow_row(ann, cid), &|page| page.is(&[first, second, foreign])).await;
    let unfollow = format!("DELETE FROM follows WHERE follower_id = '{me}' AND following_id = '{}'", place.text(cid));
    sees("an unfollow", unfollow, &|page| page.is(&[first, second])).await;
    sees("a follow again", place.follow_row(ann, cid), &|page| page.is(&[first, second, foreign])).await;

    sees("a block", place.block_row(ann, ben), &|page| page.is(&[foreign])).await;
    let unblock = format!("DELETE FROM blocks WHERE blocker_id = '{me}'");
    sees("an unblock", unblock, &|page| page.is(&[first, second, foreign])).await;
    sees("a block by the author", place.block_row(ben, ann), &|page| page.is(&[foreign])).await;
    let unblock = format!("DELETE FROM blocks WHERE blocker_id = '{him}'");
    sees("an unblock by the author", unblock, &|page| page.is(&[first, second, foreign])).await;

    let renamed = format!("UPDATE posts SET id = '{}' WHERE id = '{}'", place.text(third), place.text(second));
    sees("a post's new id", renamed, &|page| page.is(&[first, third, foreign])).await;
    let other = format!("UPDATE follows SET following_id = '{me}' WHERE following_id = '{}'", place.text(cid));
    sees("a follow's new key", other, &|page| page.is(&[first, third])).await;

    let delete = format!("DELETE FROM posts WHERE id = '{}'", place.text(third));
    sees("a delete", delete, &|page| page.is(&[first])).await;
    let again = place.post_row(third, ben, now - 3 * MINUTE);
    sees("the row inserted again", again, &|page| page.is(&[first, third])).await;
    let hide = format!("UPDATE posts SET deleted_at = now() WHERE id = '{}'", place.text(third));
    sees("a soft delete", hide, &|page| page.is(&[first])).await;
    let show = format!("UPDATE posts SET deleted_at = NULL WHERE id = '{}'", place.text(third));
    sees("the soft delete taken back", show, &|page| page.is(&[first, third])).await;
}
