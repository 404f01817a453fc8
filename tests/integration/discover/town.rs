//! Small worlds of nothing but the rows that decide whom to suggest, thrown together at random.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::crash::dice::Dice;
use crate::oracle::LogRecord;

pub(crate) const NOW: i64 = 1_795_376_817_860;

/// Writes rows as a log, in one partition a topic.
#[derive(Default)]
pub(crate) struct Town {
    pub(crate) log: Vec<LogRecord>,
    ends: BTreeMap<String, i64>,
    lsn: u64,
}

impl Town {
    fn record(&mut self, topic: &str, key: Value, value: &Value) {
        let end = self.ends.entry(topic.to_owned()).or_default();
        let offset = *end;
        *end += 1;
        let (key, value) = (key.to_string().into_bytes(), value.to_string().into_bytes());
        self.log.push(LogRecord {
            topic: topic.to_owned(),
            partition: 0,
            offset,
            time_ms: NOW - 60_000,
            key: Some(key),
            value: Some(value),
        });
    }

    fn row(&mut self, table: &str, key: Value, there: bool) {
        self.lsn += 8;
        let mut row = key.clone();
        row["created_at"] = json!(NOW - 3_600_000);
        let (before, after) = if there { (Value::Null, row) } else { (row, Value::Null) };
        let source = json!({ "table": table, "lsn": self.lsn, "ts_ms": NOW - 60_000 });
        let op = if there { "c" } else { "d" };
        let value = json!({ "before": before, "after": after, "op": op, "source": source });
        self.record(&format!("cdc.{table}"), key, &value);
    }

    pub(crate) fn follow(&mut self, one: u64, other: u64, there: bool) {
        self.row("follows", json!({ "follower_id": one, "following_id": other }), there);
    }

    pub(crate) fn block(&mut self, one: u64, other: u64, there: bool) {
        self.row("blocks", json!({ "blocker_id": one, "blocked_id": other }), there);
    }

    pub(crate) fn user(&mut self, id: u64, there: bool) {
        self.row("users", json!({ "id": id }), there);
    }

    /// A view of one of an author's posts.
    pub(crate) fn view(&mut self, user: u64, author: u64) {
        self.lsn += 8;
        let value = json!({
            "event_time": NOW - 120_000 - self.lsn as i64, "user_id": user, "post_id": 1_000_000 + author, "author_id": author,
            "action": "view",
        });
        self.record("events", json!(user.to_string()), &value);
    }

    /// A graph of few users, so that ties, blocks and deletions meet.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let mut town = Self::default();
        let users = dice.between(3, 40);
        let one = |dice: &mut Dice| 1 + dice.below(users) as u64;
        for _ in 0..dice.between(users, users * 12) {
            let (user, other) = (one(dice), one(dice));
            match dice.below(100) {
                0..70 => town.follow(user, other, true),
                70..78 => town.follow(user, other, false),
                78..82 => town.block(user, other, true),
                82..84 => town.block(user, other, false),
                84..88 => town.user(user, true),
                88..90 => town.user(user, false),
                _ => town.view(user, other),
            }
        }
        town
    }
}
