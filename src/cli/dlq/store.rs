//! The verbs on the node's own dead letters: at the running node, or in the store when no node holds it.

use std::io::IsTerminal;

use serde_json::json;

use super::super::args::{AcceptArgs, DropArgs, ListArgs, Output, ShowArgs};
use super::super::live::{self, Live, Node, failure, path};
use super::super::{out, runtime};
use super::{kafka, text};
use crate::admin::AcceptOrder;
use crate::config::Config;
use crate::dead_letters::{Accepted, Counts, DeadLetters, DropOrder, Dropped, ListQuery, Listing, Shown};
use crate::failure::Failure;

/// How many keys go into one order: names may be long, and an order is bounded.
const KEYS_AT_ONCE: usize = 100;

/// The dead letters of a node, wherever they are reached.
enum Letters {
    Node(Node),
    Here(DeadLetters),
}

async fn reach(config: &Config) -> Result<Letters, Failure> {
    Ok(match live::reach(config).await? {
        Live::Node(node) => Letters::Node(node),
        Live::Store(store) => Letters::Here(DeadLetters::new(store, config.kafka.topics.clone())),
    })
}

impl Letters {
    async fn list(&self, query: &ListQuery) -> Result<Listing, Failure> {
        match self {
            Self::Here(letters) => letters.list(query).map_err(failure),
            Self::Node(node) => {
                let limit = query.limit.to_string();
                let query = [
                    ("topic", query.topic.as_deref()),
                    ("reason", query.reason.as_deref()),
                    ("limit", Some(limit.as_str())),
                    ("cursor", query.cursor.as_deref()),
                ];
                node.get(&path("/admin/dlq", &query)).await
            }
        }
    }

    async fn counts(&self) -> Result<Counts, Failure> {
        match self {
            Self::Here(letters) => letters.counts().map_err(failure),
            Self::Node(node) => node.get("/admin/dlq/counts").await,
        }
    }

    async fn show(&self, key: &str) -> Result<Option<Shown>, Failure> {
        match self {
            Self::Here(letters) => letters.show(key).map_err(failure),
            Self::Node(node) => node.get(&path("/admin/dlq/letter", &[("key", Some(key))])).await,
        }
    }

    async fn discard(&self, order: &DropOrder) -> Result<Dropped, Failure> {
        match self {
            Self::Here(letters) => letters.discard(order).map_err(failure),
            Self::Node(node) => node.post("/admin/dlq/drop", order).await,
        }
    }

    async fn accept(&self, order: &AcceptOrder) -> Result<Accepted, Failure> {
        match self {
            Self::Here(letters) => letters.accept(&order.partition, order.through).map_err(failure),
            Self::Node(node) => node.post("/admin/dlq/accept", order).await,
        }
    }
}

pub(super) fn list(args: ListArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let runtime = runtime()?;
    let letters = runtime.block_on(reach(&config))?;
    if args.counts {
        let counts = runtime.block_on(letters.counts())?;
        return out::shown(args.common.output, &counts, text::counts);
    }
    let query = ListQuery { topic: args.topic, reason: args.reason, limit: args.limit.into(), cursor: args.cursor };
    let listing = runtime.block_on(letters.list(&query))?;
    out::shown(args.common.output, &listing, text::listing)
}

pub(super) fn show(args: ShowArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let runtime = runtime()?;
    let letters = runtime.block_on(reach(&config))?;
    let Some(shown) = runtime.block_on(letters.show(&args.key))? else {
        let mend = "`edgefeed dlq list` names those there are";
        return Err(Failure::failed(format!("this node has no dead letter {}; {mend}", args.key)));
    };
    if args.raw {
        let value = shown.value.map_or_else(|| Some(Vec::new()), |value| value.to_vec());
        return out::bytes(&value.unwrap_or_default());
    }
    match args.common.output {
        Output::Text => out::text(&text::shown(&shown, std::io::stdout().is_terminal())),
        Output::Json => out::json(&shown),
    }
}

pub(super) fn accept(args: AcceptArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let runtime = runtime()?;
    let letters = runtime.block_on(reach(&config))?;
    let order = AcceptOrder { partition: args.partition, through: args.through };
    let accepted = runtime.block_on(letters.accept(&order))?;
    out::shown(args.common.output, &accepted, text::accepted)
}

/// Drops from Kafka first, where that is asked for: it is the part that may not be there.
pub(super) fn drop_some(args: DropArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let order = DropOrder { keys: args.keys, topic: args.topic, reason: args.reason, all: args.all };
    let runtime = runtime()?;
    let letters = runtime.block_on(reach(&config))?;
    let in_kafka = if args.kafka { Some(kafka::discard(&config, &order)?) } else { None };
    let dropped = runtime.block_on(discard(&letters, order))?;
    match args.common.output {
        Output::Text => out::text(&text::dropped(dropped, in_kafka)),
        Output::Json => {
            let mut answer = json!({ "dropped": dropped });
            if let Some(in_kafka) = in_kafka {
                answer["dropped_in_kafka"] = in_kafka.into();
            }
            out::json(&answer)
        }
    }
}

async fn discard(letters: &Letters, order: DropOrder) -> Result<u64, Failure> {
    let DropOrder { keys, topic, reason, all } = order;
    let mut orders: Vec<_> =
        keys.chunks(KEYS_AT_ONCE).map(|keys| DropOrder { keys: keys.to_vec(), ..DropOrder::default() }).collect();
    if orders.is_empty() {
        orders.push(DropOrder { keys, topic, reason, all });
    }
    let mut dropped = 0;
    for order in &orders {
        dropped += letters.discard(order).await?.dropped;
    }
    Ok(dropped)
}
