//! Records nobody can use: dead letters, and nothing else comes of them.

use serde_json::{Value, json};

use super::{Author, DAY, Entry, MINUTE, Means, Source, USERS};

impl Author {
    pub(super) fn bad_event(&mut self, time_ms: i64) -> Entry {
        let (ids, user) = (self.shape.ids, self.dice.below(USERS));
        let partition = user as u32 % self.shape.partitions;
        let mut good = json!({
            "event_id": uuid::Uuid::from_u64_pair(self.dice.number(), self.dice.number()).to_string(),
            "event_time": time_ms, "user_id": ids.json(self.user(user)), "post_id": ids.json(self.post(user)),
            "action": "view",
        });
        let value = match self.dice.below(8) {
            0 => "neither JSON nor anything else".to_owned(),
            1 => without(good, "user_id"),
            2 => without(good, "action"),
            3 => set(&mut good, "action", json!("stare")),
            4 => set(&mut good, "event_time", json!(time_ms - 91 * DAY)),
            5 => set(&mut good, "event_time", json!(time_ms + 6 * MINUTE)),
            6 => set(&mut good, "post_id", ids.foreign()),
            _ => set(&mut good, "event_id", json!("not-a-uuid")),
        };
        let key = ids.text(self.user(user)).into_bytes();
        self.entry((Source::Events, partition), time_ms, key, Some(value.into_bytes()), Means::Bad)
    }

    pub(super) fn bad_change(&mut self, time_ms: i64) -> Entry {
        let source = *self.dice.pick(&Source::CDC);
        let partition = self.dice.below(self.shape.partitions as usize) as u32;
        let value = match self.dice.below(3) {
            0 => "{\"before\":null,\"after\":{".to_owned(),
            1 => {
                json!({"before": null, "after": null, "op": "c", "source": {"lsn": 1u64 << 34, "table": source.name()}})
                    .to_string()
            }
            _ => {
                json!({"before": null, "after": {"id": 1}, "op": "explode", "source": {"lsn": 1u64 << 34}}).to_string()
            }
        };
        self.entry((source, partition), time_ms, b"null".to_vec(), Some(value.into_bytes()), Means::Bad)
    }
}

fn without(mut json: Value, field: &str) -> String {
    json.as_object_mut().unwrap().remove(field);
    json.to_string()
}

fn set(json: &mut Value, field: &str, value: Value) -> String {
    json[field] = value;
    json.to_string()
}
