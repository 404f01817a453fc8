//! `edgefeed explain`: why a post ranks where it does for a reader, or which stage left it out.

use std::sync::Arc;

use edgefeed_storage::model::{Id, IdKind};
use edgefeed_sync::Lag;

use super::args::ExplainArgs;
use super::live::{self, Live, path};
use super::table::table;
use super::{out, runtime};
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::Failure;
use crate::feed::{BySource, ExplainRequest, Explanation, Feed, Stage, Standing};
use crate::ranking::Preset;
use crate::trending::TrendingPosts;
use crate::tuning::{Requests, Tuning};

pub(super) fn run(args: ExplainArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let ids = config.node.ids;
    let (viewer, post) = (id(ids, "--user", &args.user)?, id(ids, "--post", &args.post)?);
    let preset = Preset::of(&args.preset).ok_or_else(|| {
        let names = Preset::ALL.map(Preset::name).join(", ");
        Failure::usage(format!("--preset {:?} is none; use one of {names}", args.preset))
    })?;
    let request = ExplainRequest { viewer, post, preset };
    let told = runtime()?.block_on(explain(&config, request))?;
    out::shown(args.common.output, &told, text)
}

fn id(ids: IdKind, flag: &str, text: &str) -> Result<Id, Failure> {
    let kind = ids.name();
    ids.parse(text).ok_or_else(|| Failure::usage(format!("{flag} {text:?} is no id of kind {kind}; see node.ids")))
}

async fn explain(config: &Config, request: ExplainRequest) -> Result<Explanation, Failure> {
    match live::reach(config).await? {
        Live::Node(node) => {
            let ids = config.node.ids;
            let (user, post) = (ids.format(request.viewer), ids.format(request.post));
            let query = [("user", Some(&*user)), ("post", Some(&*post)), ("preset", Some(request.preset.name()))];
            node.get(&path("/admin/explain", &query)).await
        }
        Live::Store(store) => {
            let feed = feed_of(config, store).await?;
            let told = feed.explain_well(request, now_ms()).await;
            told.map_err(|error| Failure::failed(format!("storage.dir: {error}")))
        }
    }
}

/// A feed over a store that no node holds, with everything in memory that fits: what trending needs must be.
pub(super) async fn feed_of(config: &Config, store: Arc<edgefeed_storage::Store>) -> Result<Arc<Feed>, Failure> {
    let (tuning, lag) = (Arc::new(Tuning::of(&config.ranking)), Arc::new(Lag::default()));
    let requests = Requests::of(config);
    let feed = Feed::new(Arc::clone(&store), Arc::new(TrendingPosts::default()), lag, tuning).with_requests(requests);
    let warmed = tokio::task::spawn_blocking(move || store.warm(now_ms())).await;
    let warmed = warmed.map_err(|_| Failure::failed("reading the store panicked; this is a bug"))?;
    warmed.map_err(|error| Failure::failed(format!("storage.dir: {error}")))?;
    Ok(Arc::new(feed))
}

fn text(told: &Explanation) -> String {
    let written = match (&told.author_id, &told.created_at) {
        (Some(author), Some(created_at)) => format!(" of author {author}, written {created_at}"),
        _ => String::new(),
    };
    let versions = &told.freshness.weights_version;
    let mut text = format!("post    {}{written}\n", told.post_id);
    text.push_str(&format!("reader  {}, preset {}, weights {versions}\n", told.user_id, told.preset));
    text.push_str(&format!("stage   {}\n", stage(told)));
    if let (Some(score), Some(terms)) = (told.score, &told.explain) {
        let weights = &terms.weights;
        text.push_str(&format!(
            "score   {score} = {} · {} freshness + {} · {} engagement + {} · {} affinity\n",
            weights.freshness, terms.freshness, weights.engagement, terms.engagement, weights.affinity, terms.affinity
        ));
        if let Some(raw) = &terms.features {
            text.push_str(&format!(
                "from    age {:.2} h; {} impressions, {} likes, {} comments, {} shares lately; {} of affinity\n",
                raw.age_hours, raw.impressions, raw.likes, raw.comments, raw.shares, raw.interactions
            ));
        }
    }
    text.push_str(&told.sources.as_ref().map(sources).unwrap_or_default());
    if !told.degraded.is_empty() {
        text.push_str(&format!("lacks   {}\n", told.degraded.join(", ")));
    }
    text
}

fn stage(told: &Explanation) -> String {
    let place = told.explain.as_ref().and_then(|terms| terms.rank.zip(terms.place));
    match (told.stage, &told.reason, place) {
        (Stage::Ranked, _, Some((rank, place))) => {
            format!("ranked: {rank} by score, place {place} of {}", told.ranked_posts)
        }
        (Stage::Unknown, _, _) => "unknown: this node never heard of it".to_owned(),
        (Stage::NotVisible, Some(reason), _) => format!("not visible: {reason}"),
        (Stage::NotACandidate, _, _) => "not a candidate: no source has it".to_owned(),
        (stage, _, _) => stage.name().to_owned(),
    }
}

fn sources(sources: &BySource) -> String {
    let row = |name: &str, standing: &Standing| {
        let number = |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        [
            name.to_owned(),
            if standing.candidate { "yes" } else { "no" }.to_owned(),
            number(standing.position),
            standing.limit.to_string(),
            number(standing.author_position),
            standing.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let BySource { followed, trending, affinity } = sources;
    let rows = [row("followed", followed), row("trending", trending), row("affinity", affinity)];
    table(["SOURCE", "HAS IT", "POSITION", "OF", "AUTHOR", "WHY NOT"], rows)
}
