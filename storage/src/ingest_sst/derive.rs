//! Indexes and counts, from the rows that were taken in. In passes of bounded memory: each gathers the lowest keys not
//! written yet and writes them in order.

use std::collections::BTreeMap;

use super::Build;
use crate::counters::RowCounts;
use crate::error::Result;
use crate::key::{Family, Key};
use crate::value::{self, CommentRow, LinkRow, PostRow};

/// Bytes that a key gathered costs.
const KEY_BYTES: usize = size_of::<Key>();
/// Bytes that a post's counts cost while they are gathered.
const COUNT_BYTES: usize = 2 * (size_of::<Key>() + size_of::<RowCounts>());

/// What one row adds to an index, if anything.
type Entry<'a> = &'a dyn Fn(&[u8], &[u8]) -> Result<Option<Key>>;

pub(super) fn all(build: &Build, mut progress: impl FnMut(u64)) -> Result<()> {
    let keys = build.keys;
    let turned = |family: Family| {
        move |key: &[u8], value: &[u8]| {
            let row: LinkRow = value::decode(family, value)?;
            let ids = keys.split::<2>(key).filter(|_| row.removed.is_none());
            Ok(ids.map(|([first, second], _)| keys.two(second, first)))
        }
    };
    let by_author = |key: &[u8], value: &[u8]| {
        let live = value::decode::<PostRow>(Family::Posts, value)?.live();
        let post = keys.split::<1>(key).map(|([post], _)| post);
        Ok(live.zip(post).map(|((author, created_at), post)| keys.author_post(author, created_at, post)))
    };
    index(build, Family::Posts, Family::AuthorPosts, &by_author, &mut progress)?;
    index(build, Family::Follows, Family::Followers, &turned(Family::Follows), &mut progress)?;
    index(build, Family::Blocks, Family::BlockedBy, &turned(Family::Blocks), &mut progress)?;
    counts(build, &mut progress)
}

fn index(build: &Build, from: Family, to: Family, entry: Entry<'_>, progress: &mut impl FnMut(u64)) -> Result<()> {
    build.engine.clear(to)?;
    // Up to twice as many are gathered before the higher half is dropped.
    let most = (build.budget.hot_bytes / KEY_BYTES / 2).max(1_024);
    let mut last: Option<Key> = None;
    loop {
        let mut lowest: Vec<Key> = Vec::new();
        let mut more = false;
        build.engine.scan_all(from, &[], |key, value| {
            if let Some(key) = entry(key, value)?.filter(|key| last.is_none_or(|last| *key > last)) {
                lowest.push(key);
                if lowest.len() == 2 * most {
                    lowest.select_nth_unstable(most);
                    lowest.truncate(most);
                    more = true;
                }
            }
            Ok(true)
        })?;
        lowest.sort_unstable();
        // Past a half that was dropped, what is here is not all there is.
        if more {
            lowest.truncate(most);
        }
        let Some(highest) = lowest.last().copied() else { return Ok(()) };
        let mut run = build.sorted(to);
        for key in &lowest {
            run.put(key, &[])?;
        }
        progress(run.finish()?);
        if !more {
            return Ok(());
        }
        last = Some(highest);
    }
}

/// Live rows of `likes` and `comments` by post.
fn counts(build: &Build, progress: &mut impl FnMut(u64)) -> Result<()> {
    build.engine.clear(Family::PostCounts)?;
    let most = (build.budget.hot_bytes / COUNT_BYTES).max(1_024);
    let mut from: Option<Key> = None;
    loop {
        let mut gathered = Gathered { from, below: None, most, counts: BTreeMap::new() };
        build.engine.scan_all(Family::Likes, &[], |key, value| {
            let row: LinkRow = value::decode(Family::Likes, value)?;
            if let Some(([_, post], _)) = build.keys.split::<2>(key).filter(|_| row.removed.is_none()) {
                gathered.add(build.keys.one(post), RowCounts { likes: 1, comments: 0 });
            }
            Ok(true)
        })?;
        build.engine.scan_all(Family::Comments, &[], |_, value| {
            if let Some(post) = value::decode::<CommentRow>(Family::Comments, value)?.live() {
                gathered.add(build.keys.one(post), RowCounts { likes: 0, comments: 1 });
            }
            Ok(true)
        })?;
        let mut run = build.sorted(Family::PostCounts);
        for (post, counts) in &gathered.counts {
            run.counts(post, counts)?;
        }
        progress(run.finish()?);
        match gathered.below {
            Some(below) => from = Some(below),
            None => return Ok(()),
        }
    }
}

/// Counts of the lowest posts from `from` on; those from `below` on are for another pass.
struct Gathered {
    from: Option<Key>,
    below: Option<Key>,
    most: usize,
    counts: BTreeMap<Key, RowCounts>,
}

impl Gathered {
    fn add(&mut self, post: Key, more: RowCounts) {
        if self.from.is_some_and(|from| post < from) || self.below.is_some_and(|below| post >= below) {
            return;
        }
        let counts = self.counts.entry(post).or_default();
        counts.likes += more.likes;
        counts.comments += more.comments;
        if self.counts.len() > self.most {
            self.below = self.counts.pop_last().map(|(post, _)| post);
        }
    }
}
