//! Values as a query names them: ids as texts or numbers, alone or in pairs.

use edgefeed_storage::model::{Id, IdKind, RowKey};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};

/// An id.
pub(super) struct One(pub(super) IdKind, pub(super) Id);

impl Serialize for One {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            IdKind::Uuid => serializer.serialize_str(&self.0.format(self.1)),
            IdKind::U64 => serializer.serialize_u64(u64::try_from(self.1.0).unwrap_or(u64::MAX)),
        }
    }
}

/// Readers with the events of theirs.
pub(super) struct Events<'a>(pub(super) IdKind, pub(super) &'a [(Id, u128)]);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pair = |(user, event): &(Id, u128)| (One(self.0, *user), uuid::Uuid::from_u128(*event).to_string());
        serializer.collect_seq(self.1.iter().map(pair))
    }
}

/// Primary keys of one table.
pub(super) struct RowKeys<'a>(pub(super) IdKind, pub(super) &'a [RowKey]);

impl Serialize for RowKeys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|key| OneKey(self.0, *key)))
    }
}

struct OneKey(IdKind, RowKey);

impl Serialize for OneKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, second) = ids_of(self.1);
        let Some(second) = second else { return One(self.0, first).serialize(serializer) };
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&One(self.0, first))?;
        pair.serialize_element(&One(self.0, second))?;
        pair.end()
    }
}

/// The one or two ids of a primary key.
pub(super) const fn ids_of(key: RowKey) -> (Id, Option<Id>) {
    match key {
        RowKey::Post(id) | RowKey::Comment(id) | RowKey::User(id) => (id, None),
        RowKey::Follow(first, second) | RowKey::Like(first, second) | RowKey::Block(first, second) => {
            (first, Some(second))
        }
    }
}
