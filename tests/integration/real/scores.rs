//! Events move scores as the formula says; what was viewed or hidden goes.

use edgefeed_storage::model::{Id, IdKind};

use super::events::{Event, Events, now_ms};
use super::node::Node;
use super::place::Place;
use super::reader::{Page, Reader};
use super::stack::Stack;
use super::steps::Steps;

/// A viewer, an author, and the tools.
struct Scene {
    steps: Steps,
    events: Events,
    reader: Reader,
    author: Id,
}

impl Scene {
    fn event(&self, user: Id, post: Id, action: &'static str) -> Event {
        Event { id: uuid::Uuid::new_v4(), time_ms: now_ms(), user, post, author: self.author, action }
    }

    async fn after(&self, step: &str, sent: &[Event], expected: impl Fn(&Page) -> bool) -> Page {
        sent.iter().for_each(|event| self.events.send(event));
        self.events.delivered();
        self.reader.sees(&self.steps, step, expected).await
    }

    /// Awaits engagement and affinity of a post, bit for bit.
    async fn moves(&self, step: &str, sent: &[Event], post: Id, acts_per_impression: f64, interactions: u32) {
        let terms = ((1.0 + acts_per_impression).ln(), (1.0 + f64::from(interactions)).ln());
        let is = |page: &Page| page.post(post).is_some_and(|p| (p.explain.engagement, p.explain.affinity) == terms);
        let page = self.after(step, sent, is).await;
        let shown = page.post(post).unwrap();
        assert_eq!(shown.score, 0.30 * shown.explain.freshness + 0.40 * terms.0 + 0.30 * terms.1, "{step}: score");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_change_scores_as_the_formula_says() {
    const PROMISE: &str = "events change scores as the formula says; views and hides take posts away";
    let Some(stack) = Stack::or_unproved(PROMISE) else { return };
    let mut place = Place::new(stack, IdKind::Uuid).await;
    let (ann, ben, cid) = (place.id(), place.id(), place.id());
    let (post, viewed, hidden) = (place.id(), place.id(), place.id());
    let now = now_ms();
    let posts = [post, viewed, hidden].map(|post| place.post_row(post, ben, now - 60_000));
    place.database.run(place.follow_row(ann, ben) + &posts.concat()).await;
    place.connect();
    let node = Node::ready(&place, "store").await;
    let (events, reader) = (Events::into(&place), node.reader(&place, ann));
    let scene = Scene { steps: Steps::of(PROMISE), events, reader, author: ben };

    // The viewer's own acts count for the post and for the author; impressions for the post alone.
    let like = scene.event(ann, post, "like");
    scene.moves("a like", std::slice::from_ref(&like), post, 1.0, 5).await;
    let comment = scene.event(ann, post, "comment");
    scene.moves("a comment", &[comment], post, 3.0, 15).await;
    let impressions = [(); 4].map(|()| scene.event(cid, post, "impression"));
    scene.moves("four impressions", &impressions, post, 3.0 / 4.0, 15).await;
    scene.moves("a share of somebody else", &[scene.event(cid, post, "share")], post, 6.0 / 4.0, 15).await;
    scene.moves("a like sent again counts once", &[like, scene.event(cid, post, "like")], post, 7.0 / 4.0, 15).await;

    let page = scene.after("a view", &[scene.event(ann, viewed, "view")], |page| page.is(&[post, hidden])).await;
    assert_eq!(page.post(post).unwrap().explain.affinity, (1.0f64 + 16.0).ln(), "a view counts one");
    let of_others = [scene.event(cid, post, "view"), scene.event(cid, post, "hide")];
    let hide = [scene.event(ann, hidden, "hide")];
    scene.after("a hide", &[of_others.as_slice(), &hide].concat(), |page| page.is(&[post])).await;
    scene.moves("what others view and hide stays", &[scene.event(ann, post, "share")], post, 10.0 / 4.0, 31).await;
}
