//! `edgefeed forget`: everything of a user, here and at the center.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgefeed_sync::center::Center;

use super::args::ForgetArgs;
use super::live::{self, Live};
use super::table::{table, tame};
use super::{out, runtime};
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::Failure;
use crate::forget::{AtCenter, Forgetter, Forgotten, Hook, Order, Trouble};
use crate::tuning::Requests;

pub(super) fn run(args: ForgetArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let order = Order { user: args.user, dry_run: args.dry_run };
    let done = runtime()?.block_on(forget(&config, &order))?;
    out::shown(args.common.output, &done, text)?;
    match done.center {
        AtCenter::Pending { why } if !done.dry_run => Err(Failure::failed(format!(
            "the user is forgotten here and not yet at the center: {why}; a running node goes on trying, or run this again"
        ))),
        _ => Ok(()),
    }
}

async fn forget(config: &Config, order: &Order) -> Result<Forgotten, Failure> {
    let center = match config.clickhouse.is_set() {
        true => Some(Center::new(&config.clickhouse).map_err(|error| Failure::failed(error.to_string()))?),
        false => None,
    };
    match live::reach(config).await? {
        Live::Node(node) => node.post("/admin/forget", order).await,
        Live::Store(store) => {
            let requests = Requests::of(config);
            let beside: Hook = Arc::new(move |users| {
                for user in users {
                    if let Err(error) = requests.forget(*user) {
                        tracing::error!(%error, "requests of a user who left are still kept beside the store");
                    }
                }
            });
            Forgetter::new(store, center, vec![beside]).forget(order, now_ms()).await.map_err(|trouble| match trouble {
                Trouble::Asked(message) => Failure::usage(message),
                other => Failure::failed(other.to_string()),
            })
        }
    }
}

fn text(done: &Forgotten) -> String {
    let since =
        done.since.as_deref().map_or_else(|| "not forgotten".to_owned(), |since| format!("forgotten since {since}"));
    let did = if done.dry_run { "would be removed; nothing was done" } else { "removed" };
    let mut text = format!("user {}: {since}\n", done.user);
    text.push_str(&counts("in the store", &done.store, did));
    text.push_str(&match &done.center {
        AtCenter::None => "no center is configured\n".to_owned(),
        AtCenter::Done { rows } => counts("at the center", rows, did),
        AtCenter::Pending { why } => format!("at the center: {}\n", tame(why)),
    });
    text
}

fn counts(place: &str, counts: &BTreeMap<String, u64>, did: &str) -> String {
    if counts.is_empty() {
        return format!("{place}: nothing\n");
    }
    let rows = counts.iter().map(|(name, count)| [name.clone(), count.to_string()]);
    format!("{place}, {did}:\n{}", table(["WHERE", "ROWS"], rows))
}
