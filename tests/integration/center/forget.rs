//! A user who is forgotten stays forgotten: here and at the center, whatever is replayed and whatever is restored.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::clickhouse::ClickHouse;
use super::log::{Author, DAY, Entry, HOUR, Ids, Means, Shape};
use super::node::{Node, PATIENCE};
use super::parts::{Parts, busy};
use super::stage::Stage;
use crate::real::events::now_ms;
use crate::real::steps::until;

/// Every column of the center that holds a user, from the contract.
const COLUMNS: [(&str, &str); 11] = [
    ("events", "user_id"),
    ("events", "author_id"),
    ("user_author_90d", "user_id"),
    ("user_author_90d", "author_id"),
    ("posts_cdc", "user_id"),
    ("comments_cdc", "user_id"),
    ("likes_cdc", "user_id"),
    ("follows_cdc", "follower_id"),
    ("follows_cdc", "following_id"),
    ("blocks_cdc", "blocker_id"),
    ("blocks_cdc", "blocked_id"),
];

/// Rows that name a user, by column.
async fn rows_of(center: &ClickHouse, user: u128) -> BTreeMap<(&'static str, &'static str), u64> {
    let mut rows = BTreeMap::new();
    for (table, column) in COLUMNS {
        let count = center.number(&format!("SELECT toString(count()) FROM DB.{table} WHERE {column} = {user}")).await;
        if count > 0 {
            rows.insert((table, column), count);
        }
    }
    rows
}

/// Rows that name neither the user nor, where a table is about posts, one of theirs.
async fn others(center: &ClickHouse, user: u128, posts: &str) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for (table, theirs) in [
        ("events", format!("user_id = {user} OR coalesce(author_id, 0) = {user} OR post_id IN ({posts})")),
        ("user_author_90d", format!("user_id = {user} OR author_id = {user}")),
        ("post_metrics_1h", format!("post_id IN ({posts})")),
        ("post_metrics_daily", format!("post_id IN ({posts})")),
        ("posts_cdc", format!("user_id = {user}")),
        ("comments_cdc", format!("user_id = {user}")),
        ("likes_cdc", format!("user_id = {user}")),
        ("follows_cdc", format!("follower_id = {user} OR following_id = {user}")),
        ("blocks_cdc", format!("blocker_id = {user} OR blocked_id = {user}")),
    ] {
        let count = format!("SELECT toString(count()) FROM DB.{table} FINAL WHERE NOT ({theirs})");
        rows.insert(table.to_owned(), center.number(&count).await);
    }
    rows
}

fn names(entry: &Entry, user: u128) -> bool {
    match &*entry.means {
        Means::Event(row) => row.user == user || row.author == Some(user),
        Means::Change(change) => change.row.as_ref().is_some_and(|row| row.ids.contains(&user)),
        Means::Repeat | Means::Nothing | Means::Bad => false,
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a node holds of a user, as it tells itself: every list empty, and nothing as an author.
fn holds_nothing(node: &Node, user: u128) -> Result<(), String> {
    let user = user.to_string();
    let reader = json_of(&node.must(&["inspect", "user", &user, "--output", "json"]));
    if reader["forgotten"].is_null() {
        return Err("it does not know that they are forgotten".to_owned());
    }
    let lists = ["follows", "followers", "blocks", "blocked_by", "likes", "hides", "viewed", "history"];
    let author = json_of(&node.must(&["inspect", "author", &user, "--output", "json"]));
    let dry = json_of(&node.must(&["forget", &user, "--dry-run", "--output", "json"]));
    let full = lists.iter().find(|list| reader[**list]["total"] != 0);
    match full {
        Some(list) => Err(format!("{list}: {}", reader[*list])),
        None if author["posts"]["total"] != 0 => Err(author.to_string()),
        None if dry["store"] != json!({}) => Err(dry.to_string()),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_user_comes_back_neither_by_a_replay_nor_by_a_backup_at_neither_end() {
    let promise = "a forgotten user comes back neither by a replay nor by a backup, at neither end";
    let Some(parts) = Parts::or_unproved(promise) else { return };
    let _machine = busy().await;
    let stage = Stage::new(&parts, "forget", Ids::U64, 2).await;
    let to_ms = now_ms();
    let shape = Shape {
        ids: Ids::U64,
        partitions: 2,
        events: 8_000,
        changes: 8_000,
        from_ms: to_ms - 6 * HOUR,
        to_ms,
        memory_ms: DAY,
        bad: true,
    };
    let mut author = Author::new(shape, 5);
    let user = author.user(0);
    let mut write = |records: usize| {
        let log: Vec<Entry> = (0..records).flat_map(|_| author.next()).collect();
        log.iter().for_each(|entry| stage.topics.send(entry));
        stage.topics.delivered();
        (log.iter().filter(|entry| names(entry, user)).count(), author.ends().clone())
    };
    let depot = tempfile::tempdir().unwrap();
    let mut one = stage.member(0).await;
    one.node.settings.more.insert(("backup", "url"), format!("\"{}\"", depot.path().display()));
    let (theirs, ends) = write(8_000);
    one.node.start_ready().await;
    stage.drained(&ends).await;
    one.node.must(&["backup", "create"]);
    let posts = format!("SELECT id FROM DB.posts_cdc WHERE user_id = {user}");
    let posts: Vec<[String; 1]> = stage.center.rows(&posts.replace("SELECT id", "SELECT DISTINCT toString(id)")).await;
    let posts = posts.iter().map(|[post]| post.as_str()).collect::<Vec<_>>().join(",");
    let before = others(&stage.center, user, &posts).await;
    let named = rows_of(&stage.center, user).await;
    assert!(theirs > 20 && named.len() > COLUMNS.len() / 2, "{theirs} records say too little: {named:?}");

    let text = user.to_string();
    let dry = json_of(&one.node.must(&["forget", &text, "--dry-run", "--output", "json"]));
    assert!(!rows_of(&stage.center, user).await.is_empty(), "nothing was done yet");
    let did = json_of(&one.node.must(&["forget", &text, "--output", "json"]));
    assert_eq!((&did["center"]["state"], &did["store"]), (&json!("done"), &dry["store"]), "{did:#}");
    assert_eq!(rows_of(&stage.center, user).await, BTreeMap::new());
    assert_eq!(others(&stage.center, user, &posts).await, before, "nobody else lost anything");
    assert_eq!(holds_nothing(&one.node, user), Ok(()));

    // What still comes of them makes no row anywhere.
    let (theirs, ends) = write(1_500);
    assert!(theirs > 5, "{theirs} records say too little");
    stage.drained(&ends).await;
    assert_eq!(holds_nothing(&one.node, user), Ok(()));
    assert_eq!(rows_of(&stage.center, user).await, BTreeMap::new());

    // A node that begins anew replays everything, and learns from the center.
    let mut two = stage.member(1).await;
    two.node.start_ready().await;
    clean(&two.node, user).await;

    // A backup from before.
    one.leave().await;
    std::fs::remove_dir_all(one.node.store()).unwrap();
    one.node.must(&["backup", "restore"]);
    assert_eq!(holds_nothing(&one.node, user), Ok(()), "before it runs, as the center answers");
    one.node.start_ready().await;
    let (_, ends) = write(300);
    stage.drained(&ends).await;
    clean(&one.node, user).await;
    assert_eq!(rows_of(&stage.center, user).await, BTreeMap::new());
    for member in [&mut one, &mut two] {
        member.leave().await;
    }
    stage.check_inserts();
    stage.center.drop_database().await;
}

/// Waits until a node holds nothing of a user: it learns from the center, which it asks every now and then.
async fn clean(node: &Node, user: u128) {
    let mut last = Ok(());
    let done = until(PATIENCE, async || {
        last = holds_nothing(node, user);
        last.is_ok().then_some(())
    });
    assert!(done.await.is_some(), "{last:?}");
}
