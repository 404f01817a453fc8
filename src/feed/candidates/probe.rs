//! Where one post stands in each source: the sources themselves, without their ends.

use edgefeed_storage::model::TimestampMs;
use edgefeed_storage::{AuthorNo, PostFacts, PostNo, Seen, View, Viewer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{By, Candidates, Gather, affine, followed, liked, most_liked, newest_first};
use crate::cursor::Served;
use crate::ranking::{Config, Sources};

/// What each source says of a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BySource {
    /// Posts of authors the reader follows.
    pub followed: Standing,
    /// Trending posts.
    pub trending: Standing,
    /// Posts of the authors of highest affinity.
    pub affinity: Standing,
}

/// Where a post stands in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// Whether the source has it.
    pub candidate: bool,
    /// Why not: `not_followed`, `no_affinity`, `author_beyond_cap`, `older_than_window`, `beyond_author_max`,
    /// `not_trending`, `beyond_cap` or `not_in_memory`.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Its place in the source's own order, from 1, among what the reader may see.
    #[schema(required = true)]
    pub position: Option<usize>,
    /// How many posts the source gives.
    pub limit: usize,
    /// Its author's place among those of highest affinity, from 1.
    #[schema(required = true)]
    pub author_position: Option<usize>,
}

impl Standing {
    fn of(position: usize, limit: usize) -> Self {
        let reason = (position > limit).then(|| "beyond_cap".to_owned());
        Self { candidate: reason.is_none(), reason, position: Some(position), limit, author_position: None }
    }

    fn without(reason: &str, limit: usize) -> Self {
        Self { reason: Some(reason.to_owned()), limit, ..Self::default() }
    }
}

impl Candidates {
    /// A post alone, whether or not it is a candidate.
    pub(in crate::feed) fn one(post: PostNo) -> Self {
        let mut one = Self::new(true);
        one.posts.push((post, Sources::default()));
        one
    }

    /// Whether a post is among them.
    pub(in crate::feed) fn has(&self, post: PostNo) -> bool {
        self.posts.iter().any(|(other, _)| *other == post)
    }

    /// Where a post that may be shown stands in each source. Everything that the ranking reads must be in memory.
    pub(in crate::feed) fn probe(
        view: &View<'_>,
        viewer: &Viewer,
        config: &Config,
        trending: &[Seen],
        post: PostNo,
        now_ms: TimestampMs,
    ) -> BySource {
        let nothing_shown = Served::default();
        let gather = Gather { view, viewer, config, shown: &nothing_shown, now_ms };
        let mut ranked = liked(viewer, config);
        ranked.sort_unstable_by(|left, right| most_liked(view, left, right));
        let ranked: Vec<AuthorNo> = ranked.into_iter().map(|(_, author)| author).collect();
        let favourites = ranked.get(..config.affinity_authors_max).unwrap_or(&ranked);
        let author = view.facts(post).map(PostFacts::author);
        let author_position = ranked.iter().position(|other| Some(*other) == author).map(|at| at + 1);
        let affinity = match author_position {
            None => Standing::without("no_affinity", config.affinity_max),
            Some(at) if at > config.affinity_authors_max => Standing::without("author_beyond_cap", config.affinity_max),
            Some(_) => standing(&gather, affine(favourites, config, now_ms), post),
        };
        let by = followed(viewer, config, now_ms);
        let followed = if by.authors.iter().any(|other| Some(*other) == author) {
            standing(&gather, by, post)
        } else {
            Standing::without("not_followed", config.followed_max)
        };
        BySource {
            followed,
            trending: trending_standing(&gather, trending, post),
            affinity: Standing { author_position, ..affinity },
        }
    }
}

/// Where a post of one of its authors stands in a source.
fn standing(gather: &Gather<'_>, by: By<'_>, post: PostNo) -> Standing {
    let limit = by.max;
    if gather.view.facts(post).is_none_or(|facts| facts.created_at() < by.since) {
        return Standing::without("older_than_window", limit);
    }
    let endless = By { max: usize::MAX, ..by };
    if let Some(position) = position(gather, endless, post) {
        return Standing::of(position, limit);
    }
    let every = Config { author_max: 0, ..gather.config.clone() };
    match position(&Gather { config: &every, ..*gather }, endless, post) {
        Some(_) => Standing::without("beyond_author_max", limit),
        None => Standing::without("not_in_memory", limit),
    }
}

/// A post's place in the order of a source, from 1.
fn position(gather: &Gather<'_>, by: By<'_>, post: PostNo) -> Option<usize> {
    let mut all = Candidates::new(true);
    all.by(gather, by);
    let dated = |(post, _): &(PostNo, Sources)| Some((gather.view.facts(*post)?.created_at(), *post));
    let mut posts: Vec<_> = all.posts.iter().filter_map(dated).collect();
    posts.sort_unstable_by(|left, right| newest_first(gather.view, left, right));
    posts.iter().position(|(_, other)| *other == post).map(|at| at + 1)
}

fn trending_standing(gather: &Gather<'_>, trending: &[Seen], post: PostNo) -> Standing {
    let limit = gather.config.trending_max;
    let endless = Config { trending_max: usize::MAX, ..gather.config.clone() };
    let mut all = Candidates::new(true);
    all.trending(&Gather { config: &endless, ..*gather }, trending);
    match all.posts.iter().position(|(other, _)| *other == post) {
        Some(at) => Standing::of(at + 1, limit),
        None => Standing::without("not_trending", limit),
    }
}
