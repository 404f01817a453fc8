//! Friends of friends, counted. What it costs is bounded whatever the graph: of the users a reader follows, the
//! [`FRIENDS_MAX`] they have most to do with are asked, and of whom each of those follows the first [`FOLLOWED_MAX`] by
//! id. Both are the same on every node, and on every try while nothing changes.

use edgefeed_storage::model::{Id, TimestampMs};
use edgefeed_storage::{Store, StoreError, View};
use hashbrown::{HashMap, HashSet};

use super::SUGGESTED_MAX;
use crate::ranking::config::Affinity;
use crate::ranking::score;

/// Followed users who are asked whom they follow.
pub const FRIENDS_MAX: usize = 200;
/// Users each of them is taken to follow.
pub const FOLLOWED_MAX: usize = 500;
/// Mutual users named.
const NAMED_MAX: usize = 3;

/// A user suggested, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// The user.
    pub id: Id,
    /// Users the reader follows who follow this one, of those who were asked.
    pub mutual_count: u32,
    mutuals: [Id; NAMED_MAX],
}

impl Suggested {
    /// Some of them, those the reader has most to do with first.
    pub fn mutuals(&self) -> &[Id] {
        let named = usize::try_from(self.mutual_count).map_or(NAMED_MAX, |count| count.min(NAMED_MAX));
        &self.mutuals[..named]
    }
}

/// What is known of the reader, by id.
struct Reader {
    /// Whom they follow with what they had to do with them, most first, ties by id, highest first.
    follows: Vec<(u64, Id)>,
    /// Who is never suggested: themselves, whom they follow, and who is blocked either way.
    left_out: HashSet<Id>,
}

/// The users to suggest to a reader at `now_ms`, by mutual count, ties by id, highest first.
pub fn find(store: &Store, viewer: Id, now_ms: TimestampMs) -> Result<Vec<Suggested>, StoreError> {
    // The view is gone before the store is read: `apply` waits for views.
    let reader = Reader::of(&store.view(viewer, now_ms)?, viewer);
    let friends = first_there(store, reader.follows.iter().map(|(_, id)| *id), FRIENDS_MAX)?;
    let mut counted: HashMap<Id, Suggested> = HashMap::new();
    for friend in &friends {
        store.followed_by(*friend, FOLLOWED_MAX, |id| {
            let nobody = Suggested { id, mutual_count: 0, mutuals: [Id(0); NAMED_MAX] };
            counted.entry(id).or_insert(nobody).add(*friend);
        })?;
    }
    let mut found: Vec<Suggested> =
        counted.into_values().filter(|found| !reader.left_out.contains(&found.id)).collect();
    found.sort_unstable_by_key(|found| std::cmp::Reverse((found.mutual_count, found.id)));
    let there: HashSet<Id> =
        first_there(store, found.iter().map(|found| found.id), SUGGESTED_MAX)?.into_iter().collect();
    found.retain(|found| there.contains(&found.id));
    found.shrink_to_fit();
    Ok(found)
}

impl Suggested {
    fn add(&mut self, friend: Id) {
        if let Some(place) = self.mutuals.get_mut(usize::try_from(self.mutual_count).unwrap_or(usize::MAX)) {
            *place = friend;
        }
        self.mutual_count += 1;
    }
}

impl Reader {
    fn of(view: &View<'_>, id: Id) -> Self {
        let viewer = view.viewer();
        // As it is by default: whom to ask is no part of any ranking.
        let worth = Affinity::default();
        let sums: HashMap<_, _> =
            viewer.history.iter().map(|(author, sum)| (*author, score::interactions(&worth, sum))).collect();
        let friends = viewer.follows.iter().filter(|author| !viewer.blocked.contains(*author));
        let mut follows: Vec<(u64, Id)> = friends
            .filter_map(|author| Some((sums.get(author).copied().unwrap_or(0), view.author_id(*author)?)))
            .collect();
        follows.sort_unstable_by(|left, right| right.cmp(left));
        let authors = viewer.follows.iter().chain(&viewer.blocked);
        let left_out = authors.filter_map(|author| view.author_id(*author)).chain([id]).collect();
        Self { follows, left_out }
    }
}

/// The first of these users that are not gone.
fn first_there(store: &Store, mut users: impl Iterator<Item = Id>, max: usize) -> Result<Vec<Id>, StoreError> {
    let mut there = Vec::new();
    while there.len() < max {
        let asked: Vec<Id> = users.by_ref().take(max - there.len()).collect();
        if asked.is_empty() {
            break;
        }
        let gone = store.gone(&asked)?;
        there.extend(asked.into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(user, _)| user));
    }
    Ok(there)
}
