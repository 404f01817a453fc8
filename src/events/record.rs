//! An event as the record that stands in Kafka.

use edgefeed_storage::model::{Action, Event, Id, IdKind};
use edgefeed_sync::decode::Aside;
use serde::Serialize;

use crate::feed::JsonId;

/// The value of a record of `events`: everything filled in, and nothing that no reader of the log knows.
#[derive(Serialize)]
struct Value<'a> {
    event_id: String,
    event_time: i64,
    user_id: JsonId,
    post_id: JsonId,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_id: Option<JsonId>,
    action: Action,
    #[serde(skip_serializing_if = "is_zero")]
    dwell_ms: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    device: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    app_ver: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The key of a user's events, as every producer of the topic writes it.
pub(super) fn key(ids: IdKind, user: Id) -> Vec<u8> {
    ids.format(user).into_bytes()
}

/// The value of an event's record.
pub(super) fn value(ids: IdKind, event: &Event, aside: &Aside) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Value {
        event_id: IdKind::Uuid.format(Id(event.event_id)),
        event_time: event.event_time,
        user_id: JsonId(ids, event.user),
        post_id: JsonId(ids, event.post),
        author_id: event.author.map(|author| JsonId(ids, author)),
        action: event.action,
        dwell_ms: event.dwell_ms,
        device: &aside.device,
        app_ver: &aside.app_ver,
    })
}

#[cfg(test)]
mod tests {
    use edgefeed_storage::model::{Change, Outcome, Topic};
    use edgefeed_sync::decode::{self, Decode};
    use proptest::prelude::*;

    use super::*;

    fn any_action() -> impl Strategy<Value = Action> {
        use Action::*;
        prop::sample::select(vec![View, Impression, Like, Comment, Share, Hide])
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read_back_by_every_node(
            event_id: u128, ids: [u64; 3], known: bool, action in any_action(), dwell_ms in 0_u32..86_400_000,
            ago in 0_i64..86_400_000, device: String, app_ver in "[ -~]{0,20}", wide: bool,
        ) {
            let now_ms = 1_795_376_817_860;
            let kind = if wide { IdKind::Uuid } else { IdKind::U64 };
            let [user, post, author] = ids.map(|id| Id(u128::from(id) << if wide { 60 } else { 0 }));
            let author = known.then_some(author);
            let event = Event { event_id, event_time: now_ms - ago, user, post, author, action, dwell_ms };
            let device: String = device.chars().take(30).collect();
            let aside = Aside { device, app_ver, ..Aside::default() };
            let value = value(kind, &event, &aside).unwrap();
            let settings = Decode { ids: kind, cdc_epoch: 0, record_max_bytes: 4_096 };
            let read = decode::decode_whole(Topic::Events, 0, now_ms, None, Some(&value), &settings, now_ms);
            prop_assert_eq!(read, (Outcome::Change(Change::Event(event)), aside));
        }
    }
}
