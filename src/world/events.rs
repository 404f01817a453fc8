//! Client events: who reads what, and what is odd about it.

use edgefeed_storage::model::{Action, DAY_MS, HOUR_MS, TimestampMs};

use super::World;
use super::fact::{EventFact, Fact};
use super::mix::{Dice, Stream, uuid_bits};
use super::posts::PostRef;

/// The furthest a client's clock may be ahead.
pub(super) const MAX_AHEAD_MS: i64 = 5 * 60_000;
/// Drawn late events are at most this much older than the end of the history, so that they stay acceptable wherever
/// the history is replayed with its own record times.
const MAX_LATE_MS: i64 = 89 * DAY_MS;

impl World {
    /// Event `index` of the history, which reaches the log at `at`.
    pub(super) fn logged_event(&self, index: u64, at: TimestampMs) -> Fact {
        let mut dice = Dice::new(self.config.seed, Stream::Event, index);
        let reader = self.people.reader(&mut dice);
        let post = self.some_post(reader, at, &mut dice);
        Fact::event(at, self.event_about(reader, post, at, &mut dice))
    }

    /// A post `reader` comes upon at `at`: at times of a followed author, else one that is making the round.
    pub(super) fn some_post(&self, reader: u32, at: TimestampMs, dice: &mut Dice) -> PostRef {
        let followed =
            if dice.chance(0.4) { self.posts.by(self.people.followed_by(reader, dice), at, dice) } else { None };
        let post = followed.unwrap_or_else(|| self.posts.making_the_round(at, dice));
        self.posts.get(post, &self.people)
    }

    /// What `reader` does with `post`, told at `at`.
    pub(super) fn event_about(&self, reader: u32, post: PostRef, at: TimestampMs, dice: &mut Dice) -> EventFact {
        let (action, dwell_ms) = some_action(dice);
        EventFact {
            event_id: (!dice.chance(self.config.no_id_share)).then(|| uuid_bits(dice)),
            event_time: self.event_time(at, dice),
            user: self.people.id(reader),
            post: post.id,
            author: (!dice.chance(self.config.no_author_share)).then_some(post.author),
            action,
            dwell_ms,
        }
    }

    /// By the client's clock: mostly seconds before the log got it; at times long before, or a little ahead.
    fn event_time(&self, at: TimestampMs, dice: &mut Dice) -> TimestampMs {
        let luck = dice.unit();
        if luck < self.config.late_share {
            let since_then = (self.config.now_ms - at).max(0);
            at - HOUR_MS - dice.within_ms(MAX_LATE_MS - HOUR_MS - since_then)
        } else if luck < self.config.late_share + self.config.ahead_share {
            at + 1 + dice.within_ms(MAX_AHEAD_MS)
        } else {
            at - dice.within_ms(3_000)
        }
    }
}

/// An action and its dwell time in milliseconds. Hides carry none: what a hide's dwell would count for is nobody's.
fn some_action(dice: &mut Dice) -> (Action, u32) {
    let luck = dice.below(1_000);
    let dwell = |dice: &mut Dice, most: u64| dice.below(most) as u32;
    match luck {
        0..=479 => (Action::Impression, dwell(dice, 1_500)),
        480..=849 => (Action::View, 500 + dwell(dice, 60_000)),
        850..=934 => (Action::Like, 0),
        935..=969 => (Action::Comment, dwell(dice, 20_000)),
        970..=992 => (Action::Share, 0),
        _ => (Action::Hide, 0),
    }
}
