//! Which posts may stand on a page: three sources, filtered before they are capped, each post once.

mod probe;

use std::cmp::Ordering;
use std::sync::Arc;

use edgefeed_storage::model::{Counters, TimestampMs};
use edgefeed_storage::{AuthorNo, PostFacts, PostNo, Seen, StoreError, View, Viewer};
use hashbrown::HashMap;

use crate::cursor::{Keyset, Served};
use crate::ranking::filter::{self, Removed};
use crate::ranking::score;
use crate::ranking::{Config, Ranked, Sources};

pub use probe::{BySource, Standing};

/// What is left of a viewer's world.
#[derive(Debug)]
pub(super) struct Candidates {
    /// By number; after gathering, each post once.
    posts: Vec<(PostNo, Sources)>,
    removed: [u64; Removed::ALL.len()],
    /// Whether every author's posts were in memory.
    complete: bool,
}

/// What gathering looks at.
#[derive(Clone, Copy)]
struct Gather<'a> {
    view: &'a View<'a>,
    viewer: &'a Viewer,
    config: &'a Config,
    /// What the chain has shown: for it there is no such post.
    shown: &'a Served,
    now_ms: TimestampMs,
}

/// One source of posts by authors.
#[derive(Clone, Copy)]
struct By<'a> {
    source: Sources,
    authors: &'a [AuthorNo],
    /// The oldest creation time, which counts in.
    since: TimestampMs,
    /// Where a chain stands, which goes on below.
    below: Option<Keyset>,
    max: usize,
}

/// How many posts of each author a source has taken, where that is bounded.
struct Shares {
    /// 0: any number.
    most: usize,
    taken: HashMap<AuthorNo, usize>,
}

impl Shares {
    fn left(&self, author: AuthorNo) -> bool {
        self.most == 0 || self.taken.get(&author).is_none_or(|taken| *taken < self.most)
    }

    fn take(&mut self, author: AuthorNo) {
        if self.most > 0 {
            *self.taken.entry(author).or_default() += 1;
        }
    }
}

impl Candidates {
    /// All three sources, without what the chain has shown.
    pub(super) fn ranked(
        view: &mut View<'_>,
        config: &Config,
        trending: &[Seen],
        shown: &Served,
        now_ms: TimestampMs,
    ) -> Result<Self, StoreError> {
        let (viewer, favourites, complete) = load(view, |view, viewer| favourites(view, viewer, config))?;
        let gather = Gather { view, viewer: &viewer, config, shown, now_ms };
        let mut all = Self::new(complete);
        all.by(&gather, followed(&viewer, config, now_ms));
        all.by(&gather, affine(&favourites, config, now_ms));
        all.trending(&gather, trending);
        all.merge();
        Ok(all)
    }

    /// Followed authors alone; only what lies below a place, where one is given.
    pub(super) fn followed(
        view: &mut View<'_>,
        config: &Config,
        below: Option<Keyset>,
        shown: &Served,
        now_ms: TimestampMs,
    ) -> Result<Self, StoreError> {
        let (viewer, _, complete) = load(view, |_, _| Vec::new())?;
        let mut all = Self::new(complete);
        let by = By { below, ..followed(&viewer, config, now_ms) };
        all.by(&Gather { view, viewer: &viewer, config, shown, now_ms }, by);
        all.merge();
        Ok(all)
    }

    fn new(complete: bool) -> Self {
        Self { posts: Vec::with_capacity(1024), removed: [0; Removed::ALL.len()], complete }
    }

    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether nothing is missing for want of memory.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    /// How many posts were left out, by reason. A post met in two sources counts in both.
    pub(super) fn removed(&self) -> impl Iterator<Item = (Removed, u64)> {
        Removed::ALL.into_iter().zip(self.removed)
    }

    /// Takes a post in if it may be shown, and counts it when not.
    fn admit(&mut self, gather: &Gather<'_>, post: PostNo, facts: &PostFacts, source: Sources) -> bool {
        if !gather.shown.is_empty() && gather.shown.holds(facts.id()) {
            return false;
        }
        match filter::removed(gather.viewer, facts, gather.config.viewed_ms(), gather.now_ms) {
            Some(reason) => {
                self.removed[reason as usize] += 1;
                false
            }
            None => {
                self.posts.push((post, source));
                true
            }
        }
    }

    /// The newest posts of some authors, in no order. Looks at no more posts than it takes to fill the cap: most of an
    /// author's fortnight is never touched.
    fn by(&mut self, gather: &Gather<'_>, by: By<'_>) {
        let view = gather.view;
        // In two steps, here and below: what lies apart in memory comes side by side then, not one after the other.
        let authors: Vec<&[(TimestampMs, PostNo)]> = by.authors.iter().map(|author| view.posts_of(*author)).collect();
        let newest: Vec<TimestampMs> =
            authors.iter().map(|posts| posts.first().map_or(TimestampMs::MIN, |(created_at, _)| *created_at)).collect();
        let mut listed: Vec<(TimestampMs, PostNo)> = Vec::with_capacity(4 * by.authors.len());
        for (posts, _) in authors.iter().zip(newest).filter(|(_, newest)| *newest >= by.since) {
            let recent = posts.iter().take_while(|(created_at, _)| *created_at >= by.since);
            match by.below {
                None => listed.extend(recent),
                Some(place) => listed.extend(recent.skip_while(|(created_at, post)| {
                    view.facts(*post).is_none_or(|facts| !place.is_above(*created_at, facts.id()))
                })),
            }
        }
        let order = |left: &_, right: &_| newest_first(view, left, right);
        let mut rest = listed.as_mut_slice();
        let mut room = by.max;
        let mut shares = Shares { most: gather.config.author_max, taken: HashMap::new() };
        while room > 0 && !rest.is_empty() {
            let chunk = room.min(rest.len());
            if chunk < rest.len() {
                rest.select_nth_unstable_by(chunk, order);
            }
            let (newest, older) = rest.split_at_mut(chunk);
            if shares.most > 0 {
                // Which of an author's posts come first matters here alone: there is room for all of these.
                newest.sort_unstable_by(order);
            }
            let facts: Vec<(PostNo, &PostFacts)> =
                newest.iter().filter_map(|(_, post)| Some((*post, view.facts(*post)?))).collect();
            for (post, facts) in facts {
                if shares.left(facts.author()) && self.admit(gather, post, facts, by.source) {
                    shares.take(facts.author());
                    room -= 1;
                }
            }
            rest = older;
        }
    }

    fn trending(&mut self, gather: &Gather<'_>, trending: &[Seen]) {
        let mut room = gather.config.trending_max;
        let posts = trending.iter().filter_map(|seen| gather.view.find_seen(seen));
        for (post, facts) in posts.filter_map(|post| Some((post, gather.view.facts(post)?))) {
            if room == 0 {
                return;
            }
            room -= usize::from(self.admit(gather, post, facts, Sources::TRENDING));
        }
    }

    /// Makes one of a post met in several sources.
    fn merge(&mut self) {
        self.posts.sort_unstable_by_key(|(post, _)| *post);
        self.posts.dedup_by(|(post, sources), (kept, all)| {
            let same = post == kept;
            if same {
                *all = all.and(*sources);
            }
            same
        });
    }

    /// One score a post.
    pub(super) fn score(&self, view: &View<'_>, config: &Config, now_ms: TimestampMs) -> Vec<Ranked> {
        let viewer = view.viewer();
        let affinity = |(author, sum): &(AuthorNo, Counters)| {
            (*author, score::affinity(score::interactions(&config.affinity, sum)))
        };
        let affinities: HashMap<AuthorNo, f64> = viewer.history.iter().map(affinity).collect();
        let ranked = self.posts.iter().filter_map(|(at, sources)| {
            let post = view.facts(*at)?;
            let terms = score::Terms {
                freshness: score::freshness(config, post.created_at(), now_ms),
                engagement: score::engagement(config, &score::recent(config, post, now_ms)),
                affinity: affinities.get(&post.author()).copied().unwrap_or(0.0),
            };
            Some(Ranked {
                id: post.id(),
                at: *at,
                author: post.author(),
                created_at: post.created_at(),
                sources: *sources,
                terms,
                score: score::score(config, &terms),
                served: false,
            })
        });
        ranked.collect()
    }
}

fn followed<'a>(viewer: &'a Viewer, config: &Config, now_ms: TimestampMs) -> By<'a> {
    By {
        source: Sources::FOLLOWED,
        authors: &viewer.follows,
        since: now_ms.saturating_sub(config.followed_ms()),
        below: None,
        max: config.followed_max,
    }
}

fn affine<'a>(favourites: &'a [AuthorNo], config: &Config, now_ms: TimestampMs) -> By<'a> {
    By {
        source: Sources::AFFINITY,
        authors: favourites,
        since: now_ms.saturating_sub(config.affinity_ms()),
        below: None,
        max: config.affinity_max,
    }
}

fn newest_first(view: &View<'_>, left: &(TimestampMs, PostNo), right: &(TimestampMs, PostNo)) -> Ordering {
    let id = |post: PostNo| view.facts(post).map(PostFacts::id);
    right.0.cmp(&left.0).then_with(|| id(right.1).cmp(&id(left.1)))
}

/// Brings whom the reader follows, and some others, into memory. Tells whether all of them are there.
fn load(
    view: &mut View<'_>,
    others: impl Fn(&View<'_>, &Viewer) -> Vec<AuthorNo>,
) -> Result<(Arc<Viewer>, Vec<AuthorNo>, bool), StoreError> {
    const TRIES: usize = 3;
    for _ in 0..TRIES {
        let viewer = view.viewer();
        let others = others(view, &viewer);
        let complete = view.load(&[viewer.follows.as_slice(), others.as_slice()].concat())?;
        // Loading may have replaced the reader's author numbers: then once more, by the new ones.
        if Arc::ptr_eq(&viewer, &view.viewer()) {
            return Ok((viewer, others, complete));
        }
    }
    Ok((view.viewer(), Vec::new(), false))
}

/// The authors of highest affinity, in no order.
fn favourites(view: &View<'_>, viewer: &Viewer, config: &Config) -> Vec<AuthorNo> {
    let mut authors = liked(viewer, config);
    let most = config.affinity_authors_max;
    if most < authors.len() {
        authors.select_nth_unstable_by(most, |left, right| most_liked(view, left, right));
        authors.truncate(most);
    }
    authors.into_iter().map(|(_, author)| author).collect()
}

/// Everybody of any affinity, with its interactions. Who is blocked, or the viewer, takes nobody's place.
fn liked(viewer: &Viewer, config: &Config) -> Vec<(u64, AuthorNo)> {
    let authors = viewer.history.iter().map(|(author, sum)| (score::interactions(&config.affinity, sum), *author));
    authors.filter(|(sum, author)| *sum > 0 && *author != viewer.me && !viewer.blocked.contains(author)).collect()
}

/// The highest affinity first, ties by id, highest first.
fn most_liked(view: &View<'_>, left: &(u64, AuthorNo), right: &(u64, AuthorNo)) -> Ordering {
    right.0.cmp(&left.0).then_with(|| view.author_id(right.1).cmp(&view.author_id(left.1)))
}
