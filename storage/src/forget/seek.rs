//! Where something of a user may stand.

use std::collections::BTreeSet;

use super::{REMOVED_AT_ONCE, Sweep};
use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{Id, IdKind};
use crate::value::{self, CommentRow, DeadLetter, PostRow};

/// Families whose keys begin with the user.
const LED: [Family; 9] = [
    Family::Follows,
    Family::Blocks,
    Family::Hides,
    Family::Viewed,
    Family::Likes,
    Family::UserAuthorDays,
    Family::History,
    Family::HistoryOf,
    Family::Users,
];
/// Families whose keys hold the user in the second place.
const SECOND: [Family; 4] = [Family::Follows, Family::Blocks, Family::UserAuthorDays, Family::History];

impl Sweep<'_> {
    /// Everything, what readers see first. Tells whether it came to its end.
    pub(super) fn run(&mut self) -> Result<bool> {
        let spooled = self.store.unspool_users(self.users, self.remove)?;
        self.count(Family::Spool, spooled);
        if self.remove {
            self.shown()?;
        }
        for family in LED {
            for user in self.users {
                self.led(family, *user)?;
            }
        }
        self.pick(Family::Posts, |sweep, _, bytes| {
            let row: PostRow = value::decode(Family::Posts, bytes)?;
            Ok(row.author.is_some_and(|(author, _)| sweep.users.contains(&author)))
        })?;
        self.pick(Family::Comments, |sweep, _, bytes| {
            let row: CommentRow = value::decode(Family::Comments, bytes)?;
            Ok(row.user.is_some_and(|user| sweep.users.contains(&user)))
        })?;
        for family in SECOND {
            self.pick(family, |sweep, key, _| {
                let ids = sweep.store.keys.split::<2>(key).map(|(ids, _)| ids);
                // Those that begin with a user were met before.
                Ok(ids.is_some_and(|[first, second]| sweep.users.contains(&second) && !sweep.users.contains(&first)))
            })?;
        }
        self.letters()?;
        Ok((self.go_on)())
    }

    /// What the indexes know: their posts leave the feeds, and they the lists of others, before anything large is read.
    fn shown(&mut self) -> Result<()> {
        let (store, users) = (self.store, self.users);
        for user in users {
            let (mut posts, mut follows, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
            let prefix = store.keys.one(*user);
            store.engine.scan(Family::AuthorPosts, &prefix, |key, _| {
                posts.extend(store.keys.split_author_post(key).map(|(_, _, post)| store.keys.one(post)));
                Ok(true)
            })?;
            for (family, found) in [(Family::Followers, &mut follows), (Family::BlockedBy, &mut blocks)] {
                store.engine.scan(family, &prefix, |key, _| {
                    let other = store.keys.split::<2>(key).map(|([_, other], _)| other);
                    found.extend(other.map(|other| store.keys.two(other, *user)));
                    Ok(true)
                })?;
            }
            for (family, keys) in [(Family::Posts, posts), (Family::Follows, follows), (Family::Blocks, blocks)] {
                self.take_all(family, keys.iter().map(|key| key.as_ref().to_vec()).collect())?;
            }
        }
        Ok(())
    }

    fn led(&mut self, family: Family, user: Id) -> Result<()> {
        let (store, mut keys) = (self.store, Vec::new());
        store.engine.scan(family, &store.keys.one(user), |key, _| {
            keys.push(key.to_vec());
            Ok(true)
        })?;
        self.take_all(family, keys)
    }

    /// Reads a family from end to end and takes what `wanted` picks.
    fn pick(&mut self, family: Family, wanted: impl Fn(&Self, &[u8], &[u8]) -> Result<bool>) -> Result<()> {
        let (store, mut keys) = (self.store, Vec::new());
        store.engine.sweep(family, |key, bytes| {
            if wanted(self, key, bytes)? {
                keys.push(key.to_vec());
            }
            if keys.len() == REMOVED_AT_ONCE {
                self.take_all(family, std::mem::take(&mut keys))?;
            }
            Ok((self.go_on)())
        })?;
        self.take_all(family, keys)
    }

    fn take_all(&mut self, family: Family, keys: Vec<Vec<u8>>) -> Result<()> {
        if !self.remove {
            self.count(family, keys.len());
            return Ok(());
        }
        keys.chunks(REMOVED_AT_ONCE).try_for_each(|keys| self.take(family, keys))
    }

    /// Dead letters whose record names one of the users anywhere.
    fn letters(&mut self) -> Result<()> {
        let (store, users, mut keys) = (self.store, self.users, Vec::<Key>::new());
        store.engine.sweep(Family::DeadLetters, |key, bytes| {
            let letter: DeadLetter = value::decode(Family::DeadLetters, bytes)?;
            let texts = [Some(letter.detail.into_bytes()), letter.key, letter.value];
            if texts.iter().flatten().any(|text| names(text, store.keys.0, users))
                && let Some((at, Some(offset))) = key::split_record(key)
            {
                keys.push(key::record(at, offset));
            }
            Ok((self.go_on)())
        })?;
        if self.remove {
            for keys in keys.chunks(REMOVED_AT_ONCE) {
                store.writer.write().unbury(&store.engine, keys)?;
            }
        }
        self.count(Family::DeadLetters, keys.len());
        Ok(())
    }
}

/// Whether a text holds the id of one of these users, in the form ids are written in.
fn names(text: &[u8], kind: IdKind, users: &BTreeSet<Id>) -> bool {
    let apart = |byte: &u8| match kind {
        IdKind::Uuid => !byte.is_ascii_hexdigit() && *byte != b'-',
        IdKind::U64 => !byte.is_ascii_digit(),
    };
    text.split(apart).filter_map(|word| kind.parse(std::str::from_utf8(word).ok()?)).any(|id| users.contains(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_wherever_it_stands_and_never_in_another() {
        let users = BTreeSet::from([Id(42), Id(0x11111111_2222_4333_8444_555555555555)]);
        for text in [r#"{"user_id":42}"#, r#"{"user_id":"42","x":1}"#, "42", "a42b"] {
            assert!(names(text.as_bytes(), IdKind::U64, &users), "{text}");
        }
        assert!(!names(br#"{"user_id":142,"post_id":420}"#, IdKind::U64, &users));
        let uuid = "11111111-2222-4333-8444-555555555555";
        for text in [format!(r#"{{"user_id":"{uuid}"}}"#), uuid.to_owned(), format!("\u{fffd}{uuid}\n")] {
            assert!(names(text.as_bytes(), IdKind::Uuid, &users), "{text}");
        }
        assert!(!names(b"21111111-2222-4333-8444-555555555555", IdKind::Uuid, &users));
        assert!(!names(&[0xff, 0xfe, b'4'], IdKind::U64, &users));
    }
}
