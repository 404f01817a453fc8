//! Client events: the hot path, one pass over the JSON with borrowed fields.

use std::cell::RefCell;

use edgefeed_storage::model::{Action, DeadReason, Event, Id, IdKind, Refusal, TimestampMs};
use serde::Deserialize;
use uuid::Uuid;

use super::aside::{Aside, Tray};
use super::refuse::{malformed, missing, quote, refuse};
use super::scalar::Scalar;
use super::time::{is_rfc3339, iso};
use super::{MAX_AHEAD_MS, MAX_BEHIND_MS};

/// The longest `dwell_ms` believed: a day.
pub const MAX_DWELL_MS: u32 = 86_400_000;

/// A UUID as RFC 9562 writes it.
const UUID_LENGTH: usize = 36;

/// The namespace of derived event ids. Fixed for good: another one would double every event sent without an id.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d6d_5a1f_0b57_4c36_9f0e_6564_6765_6664);

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    event_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    event_time: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    user_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    post_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    author_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    action: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    dwell_ms: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    device: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    app_ver: Option<Scalar<'a>>,
}

/// Reads one event; `text` is a JSON object.
pub(super) fn event(text: &str, ids: IdKind, record_time: TimestampMs, tray: Tray<'_>) -> Result<Event, Refusal> {
    read(text, ids, record_time, None, tray)
}

/// Reads one event as a client posts it at `now_ms`: the poster and that time stand in for what it leaves out.
pub fn posted_event(text: &str, ids: IdKind, poster: Id, now_ms: TimestampMs) -> Result<(Event, Aside), Refusal> {
    let text = text.trim_ascii();
    if !text.starts_with('{') {
        return refuse(DeadReason::Malformed, || "not a JSON object".to_owned());
    }
    let tray = RefCell::new(Aside::default());
    let event = read(text, ids, now_ms, Some(poster), Some(&tray))?;
    Ok((event, tray.into_inner()))
}

fn read(
    text: &str,
    ids: IdKind,
    record_time: TimestampMs,
    poster: Option<Id>,
    tray: Tray<'_>,
) -> Result<Event, Refusal> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if poster.is_some() {
        typed(&fields)?;
    }
    let user = match (poster, &fields.user_id) {
        (Some(poster), None) => poster,
        (_, user) => required_id(user.as_ref(), ids, "user_id")?,
    };
    let post = required_id(fields.post_id.as_ref(), ids, "post_id")?;
    let author = fields.author_id.as_ref().map(|author| author.id(ids, "author_id")).transpose()?;
    let action = action(fields.action.as_ref())?;
    let event_time = match (poster, &fields.event_time) {
        (Some(_), None) => record_time,
        (_, time) => event_time(time.as_ref(), record_time)?,
    };
    let dwell_ms = fields.dwell_ms.as_ref().map_or(Ok(0), dwell)?;
    let event_id = match &fields.event_id {
        Some(given) => given_id(given)?,
        None => derived_event_id(user, post, action, event_time),
    };
    if let Some(tray) = tray {
        tray.borrow_mut().of_event(fields.device, fields.app_ver);
    }
    Ok(Event { event_id, event_time, user, post, author, action, dwell_ms })
}

/// What is posted is held to the types that the door documents; a record is read for what it says.
fn typed(fields: &Fields<'_>) -> Result<(), Refusal> {
    if let Some(id) = fields.event_id.as_ref().filter(|id| id.text().is_some_and(|text| text.len() != UUID_LENGTH)) {
        return no_uuid(id);
    }
    if let Some(time) = fields.event_time.as_ref().filter(|time| time.text().is_some_and(|text| !is_rfc3339(text))) {
        return no_time(time);
    }
    match &fields.dwell_ms {
        Some(dwell @ Scalar::Text(_)) => no_dwell(dwell),
        _ => Ok(()),
    }
}

/// The id of an event that came without one: a version 5 UUID over user, post, action and time, so that the same
/// event sent twice is recognised.
pub fn derived_event_id(user: Id, post: Id, action: Action, event_time: TimestampMs) -> u128 {
    let mut name = [0_u8; 41];
    name[..16].copy_from_slice(&user.0.to_be_bytes());
    name[16..32].copy_from_slice(&post.0.to_be_bytes());
    name[32..40].copy_from_slice(&event_time.to_be_bytes());
    name[40] = match action {
        Action::View => 1,
        Action::Impression => 2,
        Action::Like => 3,
        Action::Comment => 4,
        Action::Share => 5,
        Action::Hide => 6,
    };
    Uuid::new_v5(&NAMESPACE, &name).as_u128()
}

fn required_id(value: Option<&Scalar<'_>>, ids: IdKind, field: &str) -> Result<Id, Refusal> {
    value.map_or_else(|| missing(field), |value| value.id(ids, field))
}

fn given_id(value: &Scalar<'_>) -> Result<u128, Refusal> {
    match value.text().and_then(|text| Uuid::try_parse(text).ok()) {
        Some(id) => Ok(id.as_u128()),
        None => no_uuid(value),
    }
}

fn no_uuid<T>(value: &Scalar<'_>) -> Result<T, Refusal> {
    refuse(DeadReason::BadValue, || format!("`event_id` is {value}, not a UUID"))
}

fn action(value: Option<&Scalar<'_>>) -> Result<Action, Refusal> {
    let Some(value) = value else {
        return missing("action");
    };
    match value.text() {
        Some("view") => Ok(Action::View),
        Some("impression") => Ok(Action::Impression),
        Some("like") => Ok(Action::Like),
        Some("comment") => Ok(Action::Comment),
        Some("share") => Ok(Action::Share),
        Some("hide") => Ok(Action::Hide),
        _ => refuse(DeadReason::BadValue, || format!("`action` is {value}")),
    }
}

fn event_time(value: Option<&Scalar<'_>>, record_time: TimestampMs) -> Result<TimestampMs, Refusal> {
    let Some(value) = value else {
        return missing("event_time");
    };
    let Some(time) = value.integer().or_else(|| value.text().and_then(iso)) else {
        return no_time(value);
    };
    let earliest = record_time.saturating_sub(MAX_BEHIND_MS);
    let latest = record_time.saturating_add(MAX_AHEAD_MS);
    if (earliest..=latest).contains(&time) {
        return Ok(time);
    }
    refuse(DeadReason::TimeOutOfRange, || {
        let shown = quote(&value.to_string());
        format!(
            "`event_time` {shown} is not within 90 days before and 5 minutes after the record's time, {record_time}"
        )
    })
}

fn no_time<T>(value: &Scalar<'_>) -> Result<T, Refusal> {
    refuse(DeadReason::BadValue, || format!("`event_time` is {value}, neither RFC 3339 nor epoch ms"))
}

/// Milliseconds on a post; a fraction is dropped, as browsers' clocks send them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie within 0 and a day first")]
fn dwell(value: &Scalar<'_>) -> Result<u32, Refusal> {
    let dwell = match value {
        Scalar::Float(number) if (0.0..=f64::from(MAX_DWELL_MS)).contains(number) => Some(*number as u32),
        _ => value.integer().and_then(|number| u32::try_from(number).ok()),
    };
    match dwell.filter(|dwell| *dwell <= MAX_DWELL_MS) {
        Some(dwell) => Ok(dwell),
        None => no_dwell(value),
    }
}

fn no_dwell<T>(value: &Scalar<'_>) -> Result<T, Refusal> {
    refuse(DeadReason::BadValue, || format!("`dwell_ms` is {value}, not a number from 0 to {MAX_DWELL_MS}"))
}
