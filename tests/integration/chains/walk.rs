//! One chain of pages, walked over two nodes, and what must be true of each of its pages.

use std::collections::BTreeSet;

use edgefeed_storage::model::{Id, TimestampMs};

use super::proof::{Gone, Moment};

/// A page as it came, from whichever node and by whichever way.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) posts: Vec<Shown>,
    pub(super) cursor: Option<String>,
    pub(super) has_more: bool,
    pub(super) ranked_at: TimestampMs,
    pub(super) served_from: String,
    pub(super) degraded: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) id: Id,
    pub(super) author: Id,
    pub(super) score: f64,
}

/// A chain so far.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) viewer: Id,
    pub(super) cursor: Option<String>,
    /// The whole order as it was pinned, and how far the chain is in it; `None` since that pin was lost.
    order: Option<(Vec<Shown>, usize)>,
    ranked_at: TimestampMs,
    shown: BTreeSet<Id>,
    pub(super) pages: usize,
    pub(super) from_pin: usize,
    pub(super) lost: usize,
    pub(super) skipped: usize,
}

impl Chain {
    /// A chain whose first page was ranked when the whole order was this one.
    pub(super) fn begin(viewer: Id, first: &Page, order: Vec<Shown>, limit: usize) -> Self {
        assert_eq!(first.posts, order[..limit.min(order.len())], "the first page is the formula's");
        assert_eq!(first.has_more, order.len() > limit);
        assert_eq!(first.has_more, first.cursor.is_some());
        Self {
            viewer,
            cursor: first.cursor.clone(),
            order: Some((order, first.posts.len())),
            ranked_at: first.ranked_at,
            shown: first.posts.iter().map(|post| post.id).collect(),
            pages: 1,
            from_pin: 0,
            lost: 0,
            skipped: 0,
        }
    }

    /// The posts that are still to come, as far as that is known.
    pub(super) fn ahead(&self) -> &[Shown] {
        self.order.as_ref().map_or(&[], |(order, at)| &order[*at..])
    }

    /// Takes the next page in, asked for at one moment and there at another.
    pub(super) fn next(&mut self, page: &Page, limit: usize, gone: &Gone, asked: Moment, came: Moment) {
        let viewer = self.viewer;
        assert_eq!(page.has_more, page.cursor.is_some());
        assert!(page.posts.len() <= limit);
        for post in &page.posts {
            assert!(self.shown.insert(post.id), "{viewer:?}: {:?} comes twice, {page:?}", post.id);
            assert!(!gone.surely(viewer, *post, asked), "{viewer:?}: {post:?} may not be shown any more, {page:?}");
        }
        self.pages += 1;
        match page.served_from.as_str() {
            "cache" => {
                assert_eq!(page.ranked_at, self.ranked_at, "a pin keeps its time");
                assert!(!page.degraded.iter().any(|mark| mark == "pin_lost"));
                self.from_pin += 1;
                self.in_order(page, limit, gone, came);
            }
            "local" => {
                assert!(page.degraded.iter().any(|mark| mark == "pin_lost"), "{page:?}");
                assert!(page.posts.len() == limit || !page.has_more);
                (self.order, self.ranked_at) = (None, page.ranked_at);
                self.lost += 1;
            }
            other => panic!("a page from {other}"),
        }
        self.cursor.clone_from(&page.cursor);
    }

    /// Of the pinned order each post that may still be shown comes next, and none other.
    fn in_order(&mut self, page: &Page, limit: usize, gone: &Gone, came: Moment) {
        let Some((order, at)) = &mut self.order else {
            assert!(page.posts.len() == limit || !page.has_more, "filled from the pin");
            return;
        };
        for post in &page.posts {
            let skipped = order[*at..].iter().take_while(|pinned| pinned.id != post.id).count();
            for pinned in &order[*at..*at + skipped] {
                assert!(gone.maybe(self.viewer, *pinned, came), "{pinned:?} was left out: {page:?}");
            }
            assert_eq!(order.get(*at + skipped), Some(post), "in pinned order, with its score");
            self.skipped += skipped;
            *at += skipped + 1;
        }
        if !page.has_more {
            for pinned in &order[*at..] {
                assert!(gone.maybe(self.viewer, *pinned, came), "{pinned:?} never came: {page:?}");
                self.skipped += 1;
            }
            *at = order.len();
        }
        assert!(page.posts.len() == limit || !page.has_more, "filled from the pin");
    }
}
