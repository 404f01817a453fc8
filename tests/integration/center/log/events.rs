//! Client events: hot users, phones that were offline for weeks, producers that say things twice.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::shapes::iso;
use super::{Author, DAY, Entry, EventRow, MINUTE, Means, POSTS, Said, Source, USERS};

const ACTIONS: [&str; 10] =
    ["view", "impression", "impression", "like", "comment", "share", "view", "impression", "hide", "like"];
/// One record in twenty says again what was said before.
const REPEATS_OF: usize = 20;
/// One event in twenty is of days ago.
const LATE_OF: usize = 20;
/// How much of a partition is remembered to be repeated.
const REMEMBERED: usize = 3_000;
/// The oldest event, in days before its record.
const OLDEST_DAYS: usize = 80;

impl Author {
    /// A new event, or one that was said before.
    pub(super) fn event(&mut self, time_ms: i64) -> Entry {
        let user = self.hot(USERS);
        if self.dice.below(REPEATS_OF) == 0
            && let Some(again) = self.repeat(user as u32 % self.shape.partitions, time_ms)
        {
            return again;
        }
        let row = self.event_row(user, time_ms);
        self.said_first(user, row, time_ms, None)
    }

    /// An event whose record is large: another limit on the size of records decides whether it is one. Neither late
    /// nor ever said again.
    pub(crate) fn big_event(&mut self, partition: u32, size: usize, good: bool) -> Entry {
        let (time_ms, user) = (self.time_ms(), partition as usize);
        let mut row = self.event_row(user, time_ms);
        row.id = Some(self.event_id());
        row.time_ms = time_ms;
        let entry = self.said_first(user, row, time_ms, Some("x".repeat(size)));
        self.said[partition as usize].pop_back();
        if good { entry } else { Entry { means: Means::Bad.into(), ..entry } }
    }

    /// An ordinary event of a partition.
    pub(crate) fn event_of(&mut self, partition: u32) -> Entry {
        let time_ms = self.time_ms();
        let rounds = USERS / self.shape.partitions as usize;
        let user = self.dice.below(rounds) * self.shape.partitions as usize + partition as usize;
        let row = self.event_row(user, time_ms);
        self.said_first(user, row, time_ms, None)
    }

    fn event_row(&mut self, user: usize, time_ms: i64) -> EventRow {
        let post = self.hot(POSTS);
        let dice = &mut self.dice;
        let late = dice.below(LATE_OF) == 0;
        let back = if late {
            DAY + dice.below(OLDEST_DAYS * DAY as usize - DAY as usize) as i64
        } else {
            // A clock may go ahead a little.
            dice.below(10 * MINUTE as usize) as i64 - MINUTE
        };
        let action = *dice.pick(&ACTIONS);
        let dwell_ms = if matches!(action, "view" | "hide") { dice.below(90_000) as u32 } else { 0 };
        let (has_id, has_author) = (dice.below(25) != 0, dice.below(12) != 0);
        let device = (*dice.pick(&["ios", "android", "web", ""])).to_owned();
        let app_ver = format!("{}.{}", dice.between(1, 3), dice.below(20));
        EventRow {
            id: has_id.then(|| self.event_id()),
            time_ms: time_ms - back,
            user: self.user(user),
            post: self.post(post),
            author: has_author.then(|| self.writer_of(post)),
            action,
            dwell_ms,
            device,
            app_ver,
        }
    }

    fn event_id(&mut self) -> Uuid {
        let half = |author: &mut Self| author.dice.number();
        Uuid::from_u64_pair(half(self), half(self))
    }

    fn said_first(&mut self, user: usize, row: EventRow, time_ms: i64, pad: Option<String>) -> Entry {
        let partition = user as u32 % self.shape.partitions;
        let value = self.event_json(&row, pad).to_string().into_bytes();
        let said = &mut self.said[partition as usize];
        if row.id.is_none() {
            // Its id comes of these four: what looks the same is the same.
            let same = |old: &Said| {
                let of = |row: &EventRow| (row.user, row.post, row.action, row.time_ms);
                old.row.id.is_none() && of(&old.row) == of(&row)
            };
            assert!(!said.iter().any(same), "two events without an id that are one");
        }
        said.push_back(Said { time_ms, row: row.clone(), value: value.clone() });
        if said.len() > REMEMBERED {
            said.pop_front();
        }
        let key = self.shape.ids.text(row.user).into_bytes();
        self.entry((Source::Events, partition), time_ms, key, Some(value), Means::Event(row))
    }

    /// Half of them word for word, as a producer's retry is; half differ in what they tell, and the first is believed.
    fn repeat(&mut self, partition: u32, time_ms: i64) -> Option<Entry> {
        let known = self.said[partition as usize].len();
        let number = if known == 0 { return None } else { self.dice.below(known) };
        let differs = self.dice.below(2) == 0;
        let said = &self.said[partition as usize][number];
        if time_ms - said.time_ms > self.shape.memory_ms {
            return None;
        }
        let mut row = said.row.clone();
        let value = if differs && row.id.is_some() {
            row.dwell_ms += 1;
            row.time_ms -= 1;
            "changed".clone_into(&mut row.device);
            self.event_json(&row, None).to_string().into_bytes()
        } else {
            said.value.clone()
        };
        let key = self.shape.ids.text(row.user).into_bytes();
        Some(self.entry((Source::Events, partition), time_ms, key, Some(value), Means::Repeat))
    }

    fn event_json(&self, row: &EventRow, pad: Option<String>) -> Value {
        let ids = self.shape.ids;
        let mut json = Map::new();
        // Both ways to write a time, by the event itself so that a repeat is written alike.
        let time = if row.time_ms % 2 == 0 { json!(row.time_ms) } else { json!(iso(row.time_ms, 3)) };
        json.insert("event_time".to_owned(), time);
        json.insert("user_id".to_owned(), ids.json(row.user));
        json.insert("post_id".to_owned(), ids.json(row.post));
        json.insert("action".to_owned(), json!(row.action));
        if let Some(id) = row.id {
            json.insert("event_id".to_owned(), json!(id.to_string()));
        }
        if let Some(author) = row.author {
            json.insert("author_id".to_owned(), ids.json(author));
        }
        if row.dwell_ms > 0 {
            json.insert("dwell_ms".to_owned(), json!(row.dwell_ms));
        }
        if !row.device.is_empty() {
            json.insert("device".to_owned(), json!(row.device));
        }
        json.insert("app_ver".to_owned(), json!(row.app_ver));
        if let Some(pad) = pad {
            json.insert("pad".to_owned(), json!(pad));
        }
        Value::Object(json)
    }
}
