//! `edgefeed inspect`: what the node holds of a user, a post, an author, and of itself.

use edgefeed_storage::model::Counters;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::{Common, InspectArgs, InspectVerb, Output, StatusArgs};
use super::live::{self, Live, failure, path};
use super::table::table;
use super::{out, runtime};
use crate::clock::now_ms;
use crate::failure::Failure;
use crate::inspect::{Author, Inspector, Listed, Offsets, Post, StoreSize, Trouble, User, WhenPost};

pub(super) fn run(verb: InspectVerb) -> Result<(), Failure> {
    match verb {
        InspectVerb::User(args) => one(args, "user", |inspector, id, most| inspector.user(id, most, now_ms()), user),
        InspectVerb::Post(args) => one(args, "post", |inspector, id, _| inspector.post(id), post),
        InspectVerb::Author(args) => {
            one(args, "author", |inspector, id, most| inspector.author(id, most, now_ms()), author)
        }
        InspectVerb::Offsets(args) => whole(args, "offsets", |inspector| inspector.offsets(), offsets),
        InspectVerb::Store(args) => whole(args, "store", |inspector| inspector.store(), store),
    }
}

fn one<T: Serialize + DeserializeOwned + Send + 'static>(
    args: InspectArgs,
    what: &str,
    look: impl FnOnce(&Inspector, &str, usize) -> Result<T, Trouble> + Send + 'static,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let InspectArgs { id, limit, common: Common { sources, output } } = args;
    let config = sources.load()?;
    let limit_text = limit.to_string();
    let query = path(&format!("/admin/inspect/{what}"), &[("id", Some(&id)), ("limit", Some(&limit_text))]);
    tell(&config, output, &query, move |inspector| look(inspector, &id, usize::from(limit)), text)
}

fn whole<T: Serialize + DeserializeOwned + Send + 'static>(
    args: StatusArgs,
    what: &str,
    look: impl FnOnce(&Inspector) -> Result<T, Trouble> + Send + 'static,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    tell(&config, args.common.output, &format!("/admin/inspect/{what}"), look, text)
}

/// Asks the node, or looks into the store, and prints what came.
fn tell<T: Serialize + DeserializeOwned + Send + 'static>(
    config: &crate::config::Config,
    output: Output,
    query: &str,
    look: impl FnOnce(&Inspector) -> Result<T, Trouble> + Send + 'static,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let answer: T = runtime()?.block_on(async {
        match live::reach(config).await? {
            Live::Node(node) => node.get(query).await,
            Live::Store(store) => {
                let inspector = Inspector::new(store, config.kafka.clone());
                match tokio::task::spawn_blocking(move || look(&inspector)).await {
                    Ok(answer) => answer.map_err(failure),
                    Err(_) => Err(Failure::failed("looking into the store panicked; this is a bug")),
                }
            }
        }
    })?;
    out::shown(output, &answer, text)
}

/// An id as people read it.
fn id(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn line(name: &str, value: impl AsRef<str>) -> String {
    format!("{name:<16}{}\n", value.as_ref())
}

/// How many, and the first of them.
fn some<T>(name: &str, listed: &Listed<T>, show: impl Fn(&T) -> String) -> String {
    let first: Vec<_> = listed.first.iter().map(show).collect();
    let more = if listed.total > first.len() as u64 && !first.is_empty() { " …" } else { "" };
    line(name, format!("{}  {}{more}", listed.total, first.join(" ")).trim_end())
}

fn when(at: &WhenPost) -> String {
    format!("{} ({})", id(&at.post), at.at)
}

fn user(user: &User) -> String {
    let mut text = line("user", id(&user.user));
    let row = user.row.as_ref().map_or_else(
        || "none".to_owned(),
        |row| match &row.removed_at {
            Some(at) => format!("removed at {at}, version {}", row.version),
            None => format!("version {}", row.version),
        },
    );
    text.push_str(&line("row", row));
    if let Some(noted) = &user.forgotten {
        let yes = |done: bool| if done { "removed" } else { "not yet removed" };
        let (here, center) = (yes(noted.removed_here), yes(noted.removed_at_center));
        text.push_str(&line("forgotten", format!("since {}; here {here}, at the center {center}", noted.at)));
    }
    for (name, listed) in [
        ("follows", &user.follows),
        ("followers", &user.followers),
        ("blocks", &user.blocks),
        ("blocked by", &user.blocked_by),
        ("likes", &user.likes),
    ] {
        text.push_str(&some(name, listed, id));
    }
    text.push_str(&some("hides", &user.hides, when));
    text.push_str(&some("viewed", &user.viewed, when));
    let base = user
        .base
        .as_ref()
        .map_or_else(|| "never asked for".to_owned(), |base| format!("{} rows, as of {}", base.rows, base.as_of));
    text.push_str(&line("from the center", base));
    text.push_str(&line("history", format!("{} authors", user.history.total)));
    if !user.history.first.is_empty() {
        let rows = user.history.first.iter().map(|with| [id(&with.author), counts(&with.own), counts(&with.base)]);
        text.push_str(&table(["AUTHOR", "HERE", "FROM THE CENTER"], rows));
    }
    text
}

/// Counts that are not 0.
fn counts(counters: &Counters) -> String {
    let Counters { views, impressions, likes, comments, shares, dwell_ms } = *counters;
    let all = [
        ("views", u64::from(views)),
        ("impressions", u64::from(impressions)),
        ("likes", u64::from(likes)),
        ("comments", u64::from(comments)),
        ("shares", u64::from(shares)),
        ("dwell_ms", dwell_ms),
    ];
    let some: Vec<_> =
        all.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    if some.is_empty() { "-".to_owned() } else { some.join(", ") }
}

fn post(post: &Post) -> String {
    let mut text = line("post", id(&post.post)) + &line("state", &post.state);
    for (name, value) in [
        ("author", post.author.as_ref().map(id)),
        ("written", post.created_at.clone()),
        ("removed", post.removed_at.clone()),
        ("version", post.version.map(|version| version.to_string())),
    ] {
        if let Some(value) = value {
            text.push_str(&line(name, value));
        }
    }
    text.push_str(&line("likes", post.like_count.to_string()));
    text.push_str(&line("comments", post.comment_count.to_string()));
    if !post.hours.is_empty() {
        let rows = post.hours.iter().map(|hour| [hour.hour.clone(), counts(&hour.events)]);
        text.push_str(&table(["HOUR", "EVENTS"], rows));
    }
    text
}

fn author(author: &Author) -> String {
    line("author", id(&author.author))
        + &some("posts", &author.posts, when)
        + &line("in memory", author.in_memory.to_string())
        + &some("followers", &author.followers, id)
}

fn offsets(offsets: &Offsets) -> String {
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let rows = offsets.partitions.iter().map(|at| {
        [
            format!("{}-{}", at.topic, at.partition),
            number(at.next_offset),
            number(at.log_start),
            number(at.log_end),
            number(at.lag),
            number(at.marked_from),
            at.last_time.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let mut text = table(["PARTITION", "NEXT", "LOG START", "LOG END", "LAG", "MARKED FROM", "LAST RECORD"], rows);
    if let Some(why) = &offsets.kafka {
        text.push_str(&format!("the brokers could not be asked: {}\n", super::table::tame(why)));
    }
    text
}

fn store(store: &StoreSize) -> String {
    let rows = store
        .families
        .iter()
        .map(|family| [family.family.clone(), family.entries.to_string(), family.disk_bytes.to_string()]);
    format!(
        "format {}, ids {}, {} bytes of table files\n{}",
        store.format,
        store.ids.name(),
        store.disk_bytes,
        table(["FAMILY", "ENTRIES", "BYTES"], rows)
    )
}
