//! Which posts may stand on a page: three sources, filtered before they are capped, each post once.

use std::sync::Arc;

use edgefeed_storage::model::{Counters, Id, TimestampMs, hour_of};
use edgefeed_storage::{AuthorNo, PostFacts, StoreError, View, Viewer};
use hashbrown::HashMap;

use crate::ranking::filter::{self, Removed};
use crate::ranking::score::{self, ENGAGEMENT_HOURS};
use crate::ranking::{Config, Ranked, Sources};

/// What is left of a viewer's world.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Whether every author's posts were in memory.
    complete: bool,
    viewer: Arc<Viewer>,
    posts: HashMap<Id, Sources>,
    removed: [u64; Removed::ALL.len()],
}

/// A post that passed the filter, cheap to sort.
type Listed = (TimestampMs, Id);

impl Candidates {
    /// All three sources.
    pub(super) fn ranked(
        view: &mut View<'_>,
        config: &Config,
        trending: &[Id],
        now_ms: TimestampMs,
    ) -> Result<Self, StoreError> {
        let (viewer, favourites, complete) = load(view, |view, viewer| favourites(view, viewer, config))?;
        let mut all = Self::new(viewer, config.followed_max + config.trending_max + config.affinity_max, complete);
        let viewer = Arc::clone(&all.viewer);
        all.by(
            view,
            &viewer.follows,
            now_ms - config.followed_ms(),
            config.followed_max,
            Sources::FOLLOWED,
            config,
            now_ms,
        );
        all.by(
            view,
            &favourites,
            now_ms - config.affinity_ms(),
            config.affinity_max,
            Sources::AFFINITY,
            config,
            now_ms,
        );
        all.trending(view, trending, config, now_ms);
        Ok(all)
    }

    /// Followed authors alone.
    pub(super) fn followed(view: &mut View<'_>, config: &Config, now_ms: TimestampMs) -> Result<Self, StoreError> {
        let (viewer, _, complete) = load(view, |_, _| Vec::new())?;
        let mut all = Self::new(viewer, config.followed_max, complete);
        let viewer = Arc::clone(&all.viewer);
        all.by(
            view,
            &viewer.follows,
            now_ms - config.followed_ms(),
            config.followed_max,
            Sources::FOLLOWED,
            config,
            now_ms,
        );
        Ok(all)
    }

    fn new(viewer: Arc<Viewer>, expected: usize, complete: bool) -> Self {
        Self { complete, viewer, posts: HashMap::with_capacity(expected), removed: [0; Removed::ALL.len()] }
    }

    /// Whether nothing is missing for want of memory.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    /// How many posts were left out, by reason. A post met in two sources counts in both.
    pub(super) fn removed(&self) -> impl Iterator<Item = (Removed, u64)> {
        Removed::ALL.into_iter().zip(self.removed)
    }

    /// Whether a post may be shown; counts it when not.
    fn passes(&mut self, post: &PostFacts, config: &Config, now_ms: TimestampMs) -> bool {
        match filter::removed(&self.viewer, post, config.viewed_ms(), now_ms) {
            Some(reason) => {
                self.removed[reason as usize] += 1;
                false
            }
            None => true,
        }
    }

    fn add(&mut self, post: Id, source: Sources) {
        let sources = self.posts.entry(post).or_default();
        *sources = sources.and(source);
    }

    /// The newest `max` posts of some authors since a time, that time included.
    #[allow(clippy::too_many_arguments, reason = "one source of candidates is exactly these seven facts")]
    fn by(
        &mut self,
        view: &View<'_>,
        authors: &[AuthorNo],
        since: TimestampMs,
        max: usize,
        source: Sources,
        config: &Config,
        now_ms: TimestampMs,
    ) {
        let mut found: Vec<Listed> = Vec::with_capacity(max * 2);
        for author in authors {
            for post in view.posts_of(*author).take_while(|post| post.created_at() >= since) {
                if self.passes(post, config, now_ms) {
                    found.push((post.created_at(), post.id()));
                }
            }
        }
        if found.len() > max {
            found.select_nth_unstable_by(max, |left, right| right.cmp(left));
            found.truncate(max);
        }
        for (_, post) in found {
            self.add(post, source);
        }
    }

    fn trending(&mut self, view: &View<'_>, trending: &[Id], config: &Config, now_ms: TimestampMs) {
        let mut room = config.trending_max;
        for id in trending {
            if room == 0 {
                return;
            }
            let Some(post) = view.post(*id) else { continue };
            if self.passes(post, config, now_ms) {
                self.add(*id, Sources::TRENDING);
                room -= 1;
            }
        }
    }

    /// One score a post.
    pub(super) fn score(&self, view: &View<'_>, config: &Config, now_ms: TimestampMs) -> Vec<Ranked> {
        let affinities: HashMap<AuthorNo, f64> = self
            .viewer
            .history
            .iter()
            .map(|(author, sum)| (*author, score::affinity(score::interactions(sum))))
            .collect();
        let ranked = self.posts.iter().filter_map(|(id, sources)| {
            let post = view.post(*id)?;
            let terms = score::Terms {
                freshness: score::freshness(config, post.created_at(), now_ms),
                engagement: score::engagement(&recent(post, now_ms)),
                affinity: affinities.get(&post.author()).copied().unwrap_or(0.0),
            };
            Some(Ranked {
                id: *id,
                author: post.author(),
                created_at: post.created_at(),
                sources: *sources,
                terms,
                score: score::score(config, &terms),
            })
        });
        ranked.collect()
    }
}

/// Brings whom the reader follows, and some others, into memory. Tells whether all of them are there.
fn load(
    view: &mut View<'_>,
    others: impl Fn(&View<'_>, &Viewer) -> Vec<AuthorNo>,
) -> Result<(Arc<Viewer>, Vec<AuthorNo>, bool), StoreError> {
    const TRIES: usize = 3;
    let mut tries = 0;
    loop {
        let viewer = view.viewer();
        let others = others(view, &viewer);
        let complete = view.load(&[viewer.follows.as_slice(), others.as_slice()].concat())?;
        // Loading may have replaced the reader's author numbers: then once more, by the new ones.
        if Arc::ptr_eq(&viewer, &view.viewer()) {
            return Ok((viewer, others, complete));
        }
        tries += 1;
        if tries == TRIES {
            let viewer = view.viewer();
            return Ok((viewer, Vec::new(), false));
        }
    }
}

/// The counters engagement looks at.
fn recent(post: &PostFacts, now_ms: TimestampMs) -> Counters {
    let hour = hour_of(now_ms);
    let mut sum = Counters::default();
    for (_, counters) in post.hours(hour.saturating_sub(ENGAGEMENT_HOURS - 1), hour) {
        sum.add(&counters);
    }
    sum
}

/// The authors of highest affinity, ties by id, highest first. Who is blocked, or the viewer, takes nobody's place.
fn favourites(view: &View<'_>, viewer: &Viewer, config: &Config) -> Vec<AuthorNo> {
    let mut authors: Vec<(u64, Option<Id>, AuthorNo)> = viewer
        .history
        .iter()
        .map(|(author, sum)| (score::interactions(sum), view.author_id(*author), *author))
        .filter(|(sum, _, author)| *sum > 0 && *author != viewer.me && !viewer.blocked.contains(author))
        .collect();
    authors.sort_unstable_by(|left, right| right.cmp(left));
    authors.into_iter().take(config.affinity_authors_max).map(|(_, _, author)| author).collect()
}
