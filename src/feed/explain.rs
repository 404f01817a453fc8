//! Why a post stands where it does on a reader's ranking, or which stage left it out. Found by the code that ranks: the
//! same candidates, scores and places, and for what is absent the same sources without their ends.

use std::sync::Arc;

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{PostFacts, PostNo, PostRow, Seen, View};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::candidates::{BySource, Candidates};
use super::page::{Freshness, JsonId, Terms};
use super::{Feed, FeedError, explained, features, freshness, rfc3339};
use crate::cursor::Served;
use crate::metrics;
use crate::ranking::filter::{self, Removed};
use crate::ranking::{self, Preset, Ranked, select};
use crate::tuning::Numbers;

/// A question about one post.
#[derive(Clone, Copy, Debug)]
pub struct ExplainRequest {
    /// On whose ranking.
    pub viewer: Id,
    /// Which post.
    pub post: Id,
    /// By which numbers.
    pub preset: Preset,
}

/// How far a post came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// On the ranking, with a rank and a place.
    Ranked,
    /// This node never heard of it.
    Unknown,
    /// Left out before anything else.
    NotVisible,
    /// No source has it.
    NotACandidate,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Ranked, Self::Unknown, Self::NotVisible, Self::NotACandidate];

    /// The word in answers, and the label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ranked => "ranked",
            Self::Unknown => "unknown",
            Self::NotVisible => "not_visible",
            Self::NotACandidate => "not_a_candidate",
        }
    }
}

/// Everything there is to say of one post on one reader's ranking: exactly the JSON of `GET /api/v1/feed/explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The reader.
    pub user_id: JsonId,
    /// The post.
    pub post_id: JsonId,
    /// Who wrote it; `null` when that is not known.
    #[schema(required = true)]
    pub author_id: Option<JsonId>,
    /// When it was written (RFC 3339, UTC, milliseconds); `null` when that is not known.
    #[schema(required = true, format = DateTime)]
    pub created_at: Option<String>,
    /// How far it came.
    pub stage: Stage,
    /// Why it may not be shown, where that is so: `own`, `deleted`, `dated_ahead`, `blocked`, `hidden` or `viewed`.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// What each source says of it; `null` where none was asked.
    #[schema(required = true)]
    pub sources: Option<BySource>,
    /// Its score, or the one it would have; `null` where it was never looked at.
    #[schema(required = true)]
    pub score: Option<f64>,
    /// What the score is made of, with its rank and its place where it has them.
    #[schema(required = true)]
    pub explain: Option<Terms>,
    /// How many posts the ranking has.
    pub ranked_posts: usize,
    /// The preset that was asked for.
    pub preset: String,
    /// The `now` of the formula, in epoch milliseconds.
    #[schema(value_type = i64)]
    pub ranked_at: TimestampMs,
    /// What this answer lacks against a healthy one.
    pub degraded: Vec<String>,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Explanation {
    /// The same for the reader's own eyes: of a post that is not theirs to see, only why.
    #[must_use]
    pub fn discreet(self) -> Self {
        match self.reason.as_deref() {
            Some("deleted" | "dated_ahead" | "blocked") => {
                Self { author_id: None, created_at: None, score: None, explain: None, ..self }
            }
            _ => self,
        }
    }
}

/// What a ranking says of one post.
struct Looked {
    stage: Stage,
    reason: Option<&'static str>,
    sources: Option<BySource>,
    /// With its rank and place, where it has them.
    ranked: Option<(Ranked, Option<(usize, usize)>)>,
}

impl Looked {
    fn at(stage: Stage, reason: Option<&'static str>) -> Self {
        Self { stage, reason, sources: None, ranked: None }
    }
}

impl Feed {
    /// Explains one post at `now_ms` with what the center knows of the reader, as far as it answers in time, on a thread
    /// that may wait.
    pub async fn explain_well(
        self: Arc<Self>,
        request: ExplainRequest,
        now_ms: TimestampMs,
    ) -> Result<Explanation, FeedError> {
        self.prepare(request.viewer, now_ms).await;
        tokio::task::spawn_blocking(move || self.explain(&request, now_ms)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "explaining a post panicked");
            Err(FeedError::Internal)
        })
    }

    /// Explains one post at `now_ms`, as [`Feed::page`] would rank it then.
    pub fn explain(&self, request: &ExplainRequest, now_ms: TimestampMs) -> Result<Explanation, FeedError> {
        let numbers = self.tuning.numbers(request.viewer, request.preset);
        let trending = self.trending.latest(&self.store, now_ms);
        let mut view = self.store.view(request.viewer, now_ms)?;
        // Whoever wrote it, and however long ago.
        let there = view.load_posts(&[request.post])?;
        let candidates = Candidates::ranked(&mut view, &numbers.config, &trending, &Served::default(), now_ms)?;
        let reliance = self.reliance(&view.viewer(), now_ms);
        let degraded = self.degraded(view.is_warm(), candidates.complete() && there, reliance);
        let row = view.post_row(request.post)?;
        let looked = match view.find(request.post) {
            Some(post) => look(&view, &numbers, &candidates, &trending, post, now_ms),
            None => absent(request, row.as_ref()),
        };
        metrics::explained(looked.stage);
        let kind = self.store.ids();
        let written = row.and_then(|row| row.author);
        Ok(Explanation {
            user_id: JsonId(kind, request.viewer),
            post_id: JsonId(kind, request.post),
            author_id: written.map(|(author, _)| JsonId(kind, author)),
            created_at: written.map(|(_, created_at)| rfc3339(created_at)),
            stage: looked.stage,
            reason: looked.reason.map(str::to_owned),
            sources: looked.sources,
            score: looked.ranked.map(|(ranked, _)| ranked.score),
            explain: looked.ranked.and_then(|(ranked, stands)| {
                let facts = view.facts(view.find(ranked.id)?)?;
                let config = &numbers.config;
                Some(Terms {
                    features: features(&view.viewer(), config, facts, &ranked.terms, now_ms),
                    rank: stands.map(|(rank, _)| rank + 1),
                    place: stands.map(|(_, place)| place + 1),
                    ..explained(&ranked.terms, false, config)
                })
            }),
            ranked_posts: candidates.len(),
            preset: request.preset.name().to_owned(),
            ranked_at: now_ms,
            degraded: degraded.into_iter().map(str::to_owned).collect(),
            freshness: freshness(reliance, &numbers.version, now_ms),
        })
    }
}

/// Of a post that is not there for readers.
fn absent(request: &ExplainRequest, row: Option<&PostRow>) -> Looked {
    let Some(row) = row else { return Looked::at(Stage::Unknown, None) };
    let own = row.author.is_some_and(|(author, _)| author == request.viewer);
    let reason = if own { Removed::Own.name() } else { "deleted" };
    Looked::at(Stage::NotVisible, Some(reason))
}

/// Of a post that is there.
fn look(
    view: &View<'_>,
    numbers: &Numbers,
    candidates: &Candidates,
    trending: &[Seen],
    post: PostNo,
    now_ms: TimestampMs,
) -> Looked {
    let (config, viewer) = (&numbers.config, view.viewer());
    let scored = |all: &Candidates| all.score(view, config, now_ms);
    let alone = || scored(&Candidates::one(post)).pop().map(|ranked| (ranked, None));
    let removed = view.facts(post).and_then(|facts| filter::removed(&viewer, facts, config.viewed_ms(), now_ms));
    if let Some(reason) = removed {
        return Looked { ranked: alone(), ..Looked::at(Stage::NotVisible, Some(reason.name())) };
    }
    let sources = Some(Candidates::probe(view, &viewer, config, trending, post, now_ms));
    if !candidates.has(post) {
        return Looked { sources, ranked: alone(), ..Looked::at(Stage::NotACandidate, None) };
    }
    let posts = ranking::best_first(&scored(candidates));
    let id = view.facts(post).map(PostFacts::id);
    let rank = posts.iter().position(|other| Some(other.id) == id);
    let order = select::space(posts.iter().map(|post| post.author), &config.spacing, usize::MAX);
    let ranked = rank.and_then(|rank| {
        let place = order.iter().position(|placed| *placed == rank)?;
        Some((*posts.get(rank)?, Some((rank, place))))
    });
    Looked { stage: Stage::Ranked, reason: None, sources, ranked }
}
