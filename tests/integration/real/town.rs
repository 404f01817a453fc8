//! A small town: users who follow, block, post, like, comment, and read. Large enough that every rule of the ranking
//! decides something, small enough that each feed is one page.

use edgefeed_storage::model::{DAY_MS, HOUR_MS, Id};

use super::events::{Event, now_ms};
use super::place::Place;

const USERS: usize = 12;
const POSTS: usize = 60;

pub(crate) struct Town {
    pub(crate) users: Vec<Id>,
    posts: Vec<(Id, Id)>,
    dice: u64,
    now_ms: i64,
}

impl Town {
    pub(crate) fn new(place: &Place, seed: u64) -> Self {
        let users: Vec<Id> = (0..USERS).map(|_| place.id()).collect();
        // Authors of very different diligence, as the spacing of authors needs.
        let posts = (0..POSTS).map(|n| (place.id(), users[(n * n / 7) % USERS])).collect();
        Self { users, posts, dice: seed, now_ms: now_ms() }
    }

    /// A number below `most`; Knuth's generator, its high bits.
    fn roll(&mut self, most: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % most
    }

    fn user(&mut self) -> Id {
        let number = self.roll(USERS);
        self.users[number]
    }

    /// A post and its author.
    fn post(&mut self) -> (Id, Id) {
        let number = self.roll(POSTS);
        self.posts[number]
    }

    /// The rows of the town, a statement each, in two halves: before the connector and after.
    pub(crate) fn rows(&mut self, place: &Place) -> [String; 2] {
        let mut rows = Vec::new();
        for (post, author) in self.posts.clone() {
            let age = self.roll(usize::try_from(16 * DAY_MS).unwrap());
            // Half of them are of the last three days.
            let age = i64::try_from(age).unwrap() / if self.roll(2) == 0 { 6 } else { 1 };
            rows.push(place.post_row(post, author, self.now_ms - age));
        }
        for _ in 0..5 * USERS {
            let (one, other, post) = (self.user(), self.user(), self.post().0);
            // The same pair may come twice.
            let either = |row: String| row.replace(");\n", ") ON CONFLICT DO NOTHING;\n");
            rows.push(either(place.follow_row(one, other)));
            rows.push(either(place.like_row(one, post)));
            rows.push(place.comment_row(place.id(), post, one));
            if self.roll(12) == 0 {
                rows.push(either(place.block_row(one, other)));
            }
        }
        let later = rows.split_off(rows.len() / 2);
        [rows.concat(), later.concat()]
    }

    /// Changes of rows that are there.
    pub(crate) fn changes(&mut self, place: &Place) -> String {
        let (gone, marked) = (self.post().0, self.post().0);
        let (friend, fan) = (place.text(self.user()), place.text(self.user()));
        format!(
            "DELETE FROM posts WHERE id = '{}'; UPDATE posts SET deleted_at = now() WHERE id = '{}';
             DELETE FROM follows WHERE following_id = '{friend}'; DELETE FROM likes WHERE user_id = '{fan}';
             DELETE FROM comments WHERE user_id = '{fan}'; DELETE FROM blocks WHERE blocker_id = '{friend}';",
            place.text(gone),
            place.text(marked),
        )
    }

    /// So many events, some of long ago, each tenth sent twice.
    pub(crate) fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        for n in 0..count {
            let (post, author) = self.post();
            let back = i64::try_from(self.roll(usize::try_from(HOUR_MS).unwrap())).unwrap();
            let hours = [0, 1, 5, 23, 24, 25, 24 * 40, 24 * 88][self.roll(8)];
            // One in 14 each: enough views to take posts away, not so many that feeds are empty.
            let action = ["impression", "like", "comment", "share", "impression", "like", "impression"][self.roll(7)];
            let action = if self.roll(14) == 0 { ["view", "hide"][self.roll(2)] } else { action };
            let id = uuid::Uuid::new_v4();
            let time_ms = self.now_ms - hours * HOUR_MS - back;
            let event = Event { id, time_ms, user: self.user(), post, author, action };
            if n % 10 == 0 {
                events.push(event.clone());
            }
            events.push(event);
        }
        events
    }
}
