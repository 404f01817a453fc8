//! What is posted, read item by item: a bad one is named by its place, the good ones go.

use edgefeed_storage::model::{Event, Id, IdKind, Refusal, TimestampMs};
use edgefeed_storage::{Store, StoreError};
use edgefeed_sync::decode::{Aside, posted_event};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{EVENTS_MAX, record};
use crate::auth::Caller;

/// An event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rejected {
    /// Its place in the request, counted from 0.
    pub index: usize,
    /// The kind of fault.
    pub code: &'static str,
    /// What exactly is wrong with it.
    pub message: String,
}

/// An event that can go.
#[derive(Clone, Debug)]
pub(super) struct Good {
    /// Its places in the request: more than one where it stands there again, word for word.
    pub(super) places: Vec<usize>,
    pub(super) event: Event,
    /// The value of its record.
    pub(super) value: Vec<u8>,
}

/// A request's events, told apart.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) good: Vec<Good>,
    pub(super) rejected: Vec<Rejected>,
}

/// Why a request as a whole cannot be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// The body is not what the path takes.
    Body(String),
    /// An event of somebody else, and the caller may not speak for others.
    NotYours,
    /// The store does not answer.
    Store(StoreError),
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Reads a body, fills in what it leaves out, and compares it with what the store knows.
pub(super) fn check(
    body: &[u8],
    caller: Caller,
    ids: IdKind,
    store: &Store,
    now_ms: TimestampMs,
) -> Result<Checked, Fault> {
    let unread = |error: &dyn std::fmt::Display| Fault::Body(format!("the body cannot be read: {error}"));
    let text = std::str::from_utf8(body).map_err(|_| unread(&"it is not UTF-8"))?;
    // serde would also read the struct from an array, by position.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(unread(&"it is not a JSON object"));
    }
    let Body { events } = serde_json::from_str(text).map_err(|error| unread(&error))?;
    if events.is_empty() || events.len() > EVENTS_MAX {
        return Err(Fault::Body(format!("events must hold 1 to {EVENTS_MAX}, there are {}", events.len())));
    }
    let mut checked = Checked::default();
    let mut read = Vec::new();
    for (index, item) in events.iter().enumerate() {
        match posted_event(item.get(), ids, caller.user, now_ms) {
            Ok((event, _)) if event.user != caller.user && !caller.scopes.events_any => return Err(Fault::NotYours),
            Ok((event, aside)) => read.push((index, event, aside)),
            Err(Refusal { reason, detail }) => checked.reject(index, reason.name(), detail),
        }
    }
    let posts: Vec<Id> = read.iter().map(|(_, event, _)| event.post).collect();
    let authors = store.authors_of(&posts).map_err(Fault::Store)?;
    let mut seen = HashMap::new();
    for ((index, event, aside), author) in read.into_iter().zip(authors) {
        checked.settle(index, event, &aside, author, ids, &mut seen);
    }
    checked.rejected.sort_by_key(|rejected| rejected.index);
    Ok(checked)
}

impl Checked {
    pub(super) fn reject(&mut self, index: usize, code: &'static str, message: String) {
        self.rejected.push(Rejected { index, code, message });
    }

    /// Takes an event that can be read, unless the post's author or an earlier event of the request says otherwise.
    fn settle(
        &mut self,
        index: usize,
        mut event: Event,
        aside: &Aside,
        author: Option<Id>,
        ids: IdKind,
        seen: &mut HashMap<(Id, u128), usize>,
    ) {
        if event.author.is_some() && author.is_some() && event.author != author {
            return self.reject(index, "wrong_author", "`author_id` did not write `post_id`".to_owned());
        }
        event.author = event.author.or(author);
        if let Some(first) = seen.get(&(event.user, event.event_id)).and_then(|at| self.good.get_mut(*at)) {
            if first.event == event {
                first.places.push(index);
                return;
            }
            let message = format!("`event_id` is that of events[{}], which says something else", first.places[0]);
            return self.reject(index, "duplicate_id", message);
        }
        match record::value(ids, &event, aside) {
            Ok(value) => {
                seen.insert((event.user, event.event_id), self.good.len());
                self.good.push(Good { places: vec![index], event, value });
            }
            // Nothing that was read fails to be written.
            Err(error) => self.reject(index, "malformed", error.to_string()),
        }
    }
}
