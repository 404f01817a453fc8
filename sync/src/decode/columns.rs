//! The columns of a row, in any of the places a record carries them, and the rows and keys they make.

use edgefeed_storage::model::{DeadReason, Field, Id, IdKind, Refusal, Row, RowKey, TimestampMs, Topic};
use serde::Deserialize;

use super::aside::Aside;
use super::refuse::{malformed, missing};
use super::scalar::Scalar;
use super::time::{Unit, column_time};

/// What Debezium writes in place of a large value that an update left alone.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// The columns of every table we follow; the others are skipped.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Columns<'a> {
    #[serde(borrow, default)]
    id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    user_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    post_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    follower_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    following_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    blocker_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    blocked_id: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    pub(super) created_at: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    deleted_at: Option<Scalar<'a>>,
}

impl<'a> Columns<'a> {
    /// Reads the columns of a JSON object.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        serde_json::from_str(text).map_err(|error| malformed(&error))
    }

    /// Columns of which only the primary key is given, as one scalar (a message key without a name).
    pub(super) fn of_scalar_key(key: Scalar<'a>) -> Self {
        Self { id: Some(key), ..Self::default() }
    }

    /// The primary key of the topic's table.
    pub(super) fn key(&self, topic: Topic, ids: IdKind) -> Result<RowKey, Refusal> {
        let id = |value: &Option<Scalar<'_>>, name: &str| required_id(value.as_ref(), ids, name);
        Ok(match topic {
            Topic::Posts => RowKey::Post(id(&self.id, "id")?),
            Topic::Comments => RowKey::Comment(id(&self.id, "id")?),
            Topic::Follows => {
                RowKey::Follow(id(&self.follower_id, "follower_id")?, id(&self.following_id, "following_id")?)
            }
            Topic::Likes => RowKey::Like(id(&self.user_id, "user_id")?, id(&self.post_id, "post_id")?),
            Topic::Blocks => RowKey::Block(id(&self.blocker_id, "blocker_id")?, id(&self.blocked_id, "blocked_id")?),
            // Events have no rows; they are read elsewhere.
            Topic::Users | Topic::Events => RowKey::User(id(&self.id, "id")?),
        })
    }

    /// Whether any column of the topic's primary key is here.
    pub(super) fn names_key(&self, topic: Topic, ids: IdKind) -> bool {
        !matches!(self.key(topic, ids), Err(Refusal { reason: DeadReason::MissingField, .. }))
    }

    /// The row these columns and its key make. `unit` gives the schema's word on the unit of a time column and is
    /// asked only when that matters.
    pub(super) fn row(&self, key: RowKey, ids: IdKind, unit: impl FnOnce() -> Option<Unit>) -> Result<Row, Refusal> {
        Ok(match key {
            RowKey::Post(id) => Row::Post {
                id,
                author: field_id(self.user_id.as_ref(), ids, "user_id")?,
                created_at: self.created_at(unit)?,
                deleted: self.deleted(),
            },
            RowKey::Comment(id) => {
                Row::Comment { id, post: field_id(self.post_id.as_ref(), ids, "post_id")?, user: self.user(ids) }
            }
            RowKey::Follow(follower, following) => Row::Follow { follower, following },
            RowKey::Like(user, post) => Row::Like { user, post },
            RowKey::Block(blocker, blocked) => Row::Block { blocker, blocked },
            RowKey::User(id) => Row::User { id },
        })
    }

    /// What of these columns only the center keeps.
    pub(super) fn aside(&self, ids: IdKind, unit: impl Fn(&str) -> Option<Unit>, aside: &mut Aside) {
        let time = |value: &Option<Scalar<'_>>, column: &str| {
            let value = value.as_ref().filter(|value| !is_unavailable(value))?;
            let unit = if value.text().is_some() { None } else { unit(column) };
            Some(column_time(value, unit, column).unwrap_or_default())
        };
        aside.user = self.user(ids);
        aside.created_at = time(&self.created_at, "created_at");
        aside.deleted_at = time(&self.deleted_at, "deleted_at");
    }

    /// Who wrote a comment. No node refuses a record that does not tell.
    fn user(&self, ids: IdKind) -> Option<Id> {
        self.user_id.as_ref().and_then(|user| user.id(ids, "user_id").ok())
    }

    fn created_at(&self, unit: impl FnOnce() -> Option<Unit>) -> Result<Field<TimestampMs>, Refusal> {
        match &self.created_at {
            None => missing("created_at"),
            Some(value) if is_unavailable(value) => Ok(Field::Unchanged),
            Some(value) => {
                // A string needs no unit, and reading a schema costs more than reading the row.
                let unit = if value.text().is_some() { None } else { unit() };
                column_time(value, unit, "created_at").map(Field::Known)
            }
        }
    }

    /// A soft delete is any `deleted_at` at all; its value is never read.
    fn deleted(&self) -> Field<bool> {
        match &self.deleted_at {
            Some(value) if is_unavailable(value) => Field::Unchanged,
            value => Field::Known(value.is_some()),
        }
    }
}

fn required_id(value: Option<&Scalar<'_>>, ids: IdKind, field: &str) -> Result<Id, Refusal> {
    value.map_or_else(|| missing(field), |value| value.id(ids, field))
}

fn field_id(value: Option<&Scalar<'_>>, ids: IdKind, field: &str) -> Result<Field<Id>, Refusal> {
    match value {
        Some(value) if is_unavailable(value) => Ok(Field::Unchanged),
        value => required_id(value, ids, field).map(Field::Known),
    }
}

fn is_unavailable(value: &Scalar<'_>) -> bool {
    value.text() == Some(UNAVAILABLE)
}
