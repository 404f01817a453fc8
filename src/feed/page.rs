//! What is asked of the feed and what it answers: the shapes of the contract's JSON.

use edgefeed_storage::model::{Id, IdKind, TimestampMs};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::time::JsonTime;
use crate::ranking::Preset;

/// Page size when none is asked for.
pub const DEFAULT_LIMIT: usize = 20;

/// How a feed is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algo {
    /// By score.
    Ranked,
    /// Newest first.
    Time,
}

/// One request for a page.
#[derive(Clone, Debug)]
pub struct FeedRequest {
    /// Whose feed.
    pub viewer: Id,
    /// How many posts, 1 to 100.
    pub limit: usize,
    /// In which order.
    pub algo: Algo,
    /// By which numbers.
    pub preset: Preset,
    /// Whether what the viewer was served lately stands after all others.
    pub refresh: bool,
    /// Whether each post carries its features and weights.
    pub explain: bool,
    /// The cursor of the page before, as given out.
    pub cursor: Option<String>,
}

impl FeedRequest {
    /// The first page of a reader's feed, with everything as it is when nothing is asked.
    pub fn of(viewer: Id) -> Self {
        let (algo, preset) = (Algo::Ranked, Preset::Balanced);
        Self { viewer, limit: DEFAULT_LIMIT, algo, preset, refresh: false, explain: false, cursor: None }
    }
}

/// An id as JSON: a string for UUIDs, a number for 64-bit ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonId(pub IdKind, pub Id);

impl Serialize for JsonId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            IdKind::Uuid => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                serializer.serialize_str(uuid::Uuid::from_u128(self.1.0).hyphenated().encode_lower(&mut text))
            }
            IdKind::U64 => serializer.serialize_u64(u64::try_from(self.1.0).unwrap_or(u64::MAX)),
        }
    }
}

impl<'de> Deserialize<'de> for JsonId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(u64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => {
                let id = IdKind::Uuid.parse(&text);
                Ok(Self(IdKind::Uuid, id.ok_or_else(|| serde::de::Error::custom("an id that is text is a UUID"))?))
            }
            Written::Number(id) => Ok(Self(IdKind::U64, Id(u128::from(id)))),
        }
    }
}

impl std::fmt::Display for JsonId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.format(self.1))
    }
}

/// Which rung of the ladder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServedFrom {
    /// Ranked anew from the local store.
    Local,
    /// A page of a pinned ranking.
    Cache,
    /// PostgreSQL's chronological feed.
    Fallback,
}

impl ServedFrom {
    /// The header value and metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cache => "cache",
            Self::Fallback => "fallback",
        }
    }
}

/// How fresh an answer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freshness {
    /// Every record up to this time has been applied (RFC 3339, UTC, milliseconds); `null` before the first contact.
    #[schema(required = true)]
    pub applied_through: Option<String>,
    /// Now minus that time, in milliseconds; `null` before the first contact.
    #[schema(required = true)]
    pub staleness_ms: Option<u64>,
    /// The time the 90-day affinity history is complete through (RFC 3339); `null` when unknown.
    #[schema(required = true)]
    pub affinity_as_of: Option<String>,
    /// Names the weights the scores were made with.
    pub weights_version: String,
}

/// One page: exactly the JSON of `GET /api/v1/feed`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeedPage {
    /// The posts, in order.
    pub posts: Vec<PagePost>,
    /// Where the next page starts; `null` at the end.
    #[schema(required = true)]
    pub cursor: Option<String>,
    /// Whether there is more behind this page.
    pub has_more: bool,
    /// The `now` of the formula, in epoch milliseconds.
    #[schema(value_type = i64)]
    pub ranked_at: TimestampMs,
    /// Which rung of the ladder answered.
    pub served_from: ServedFrom,
    /// What this answer lacks against a healthy one.
    pub degraded: Vec<&'static str>,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// One post of a page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PagePost {
    /// The post.
    pub id: JsonId,
    /// Its author.
    pub author_id: JsonId,
    /// RFC 3339, UTC, milliseconds.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: JsonTime,
    /// The score it was ranked by.
    pub score: f64,
    /// Which candidate sources brought it: `followed`, `trending`, `affinity`.
    pub sources: &'static [&'static str],
    /// Live rows of `likes`.
    pub like_count: u64,
    /// Live rows of `comments`.
    pub comment_count: u64,
    /// Whether the viewer's like is among them.
    pub viewer_liked: bool,
    /// The terms of the score, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Terms>,
}

/// What one score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Terms {
    /// exp(−0.1 · age in hours).
    pub freshness: f64,
    /// ln(1 + weighted interactions per impression).
    pub engagement: f64,
    /// ln(1 + weighted interactions of viewer and author over 90 days).
    pub affinity: f64,
    /// What each term was multiplied with.
    pub weights: TermWeights,
    /// What the terms are made of; absent where that is not known any more (a later page of a ranking) or not known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// The post's place in the order by score, from 1; absent on a page that no score orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Its place once the posts of one author are kept apart, from 1; absent where it has no rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// Whether the post stands after all others because the viewer was served it lately (`refresh=1`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
}

/// The weights of the three terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TermWeights {
    /// Weight of freshness.
    pub freshness: f64,
    /// Weight of engagement.
    pub engagement: f64,
    /// Weight of affinity.
    pub affinity: f64,
}

/// What the terms of a score are made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Features {
    /// Hours since the post was written, never below 0.
    pub age_hours: f64,
    /// Impressions in the hours that engagement looks at.
    pub impressions: u32,
    /// Likes in those hours.
    pub likes: u32,
    /// Comments in those hours.
    pub comments: u32,
    /// Shares in those hours.
    pub shares: u32,
    /// What affinity is the logarithm of, less 1: viewer and author, 90 days, each event times its worth.
    pub interactions: u64,
}

/// Why no page could be given. Mapped to a status in `http::error` alone.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FeedError {
    /// The store cannot be read and no other rung of the ladder can answer; try again later.
    #[error("no source can answer the feed: {0}")]
    Unavailable(String),
    /// The cursor was not made by this region, for this viewer, or was altered.
    #[error("the cursor is not valid")]
    BadCursor,
    /// A fault of ours; what happened is in the log.
    #[error("the page could not be made")]
    Internal,
}
