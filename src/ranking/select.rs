//! Who stands where: place by place the best-scored post that may stand there.
//!
//! Posts of one author are kept apart; where none may stand, the best-scored one left does. A post is deferred, never
//! dropped. Posts are read in order of score and no further than the places asked for take; those that were passed over
//! wait with their authors in two heaps (authors who may stand now, and later). So a page looks at little more than its
//! own posts, and the whole order costs n log authors whatever the world looks like.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::iter;

use edgefeed_storage::AuthorNo;
use hashbrown::HashMap;

use super::config::Spacing;

/// One author's posts that were passed over, and where the last ones that were placed stand.
#[derive(Debug, Default)]
struct Queue {
    /// Ranks (positions in the order by score), best first.
    ranks: VecDeque<usize>,
    /// The places taken, oldest first; only as many as the rules look back on.
    places: VecDeque<usize>,
    /// How many of the first places are taken.
    in_first: usize,
}

impl Queue {
    /// The first place the rules leave open for the next post.
    fn opens_at(&self, rules: &Spacing) -> usize {
        let Some(last) = self.places.back() else { return 0 };
        let mut open = last + rules.gap.max(1);
        if self.in_first >= rules.first_max {
            open = open.max(rules.first_places);
        }
        if self.places.len() >= rules.window_max {
            let oldest = self.places[self.places.len() - rules.window_max];
            open = open.max(oldest + rules.window);
        }
        open
    }

    fn take(&mut self, place: usize, rules: &Spacing) {
        self.places.push_back(place);
        if self.places.len() > rules.window_max {
            self.places.pop_front();
        }
        self.in_first += usize::from(place < rules.first_places);
    }
}

/// The authors met so far. Each with posts that were passed over is either ready or waits.
#[derive(Debug, Default)]
struct Authors {
    numbers: HashMap<AuthorNo, usize>,
    queues: Vec<Queue>,
    /// Who may stand at this place, with their best post.
    ready: BinaryHeap<Reverse<(usize, usize)>>,
    /// Who may stand from some place on.
    waiting: BinaryHeap<Reverse<(usize, usize)>>,
}

impl Authors {
    fn number(&mut self, author: AuthorNo) -> usize {
        *self.numbers.entry(author).or_insert_with(|| {
            self.queues.push(Queue::default());
            self.queues.len() - 1
        })
    }

    /// The best of those passed over that may stand here.
    fn deferred(&mut self, place: usize, rules: &Spacing) -> Option<usize> {
        while let Some(Reverse((_, number))) =
            self.waiting.peek().filter(|Reverse((opens, _))| *opens <= place).copied()
        {
            self.waiting.pop();
            self.ready.extend(self.queues[number].ranks.front().map(|rank| Reverse((*rank, number))));
        }
        let Reverse((_, number)) = self.ready.pop()?;
        self.place(number, place, rules)
    }

    /// Reads on until a post may stand here. For when nobody is ready.
    fn read(
        &mut self,
        unread: impl Iterator<Item = (usize, AuthorNo)>,
        place: usize,
        rules: &Spacing,
    ) -> Option<usize> {
        for (rank, author) in unread {
            let number = self.number(author);
            let queue = &mut self.queues[number];
            if queue.ranks.is_empty() {
                let opens = queue.opens_at(rules);
                if opens <= place {
                    queue.take(place, rules);
                    return Some(rank);
                }
                self.waiting.push(Reverse((opens, number)));
            }
            queue.ranks.push_back(rank);
        }
        None
    }

    /// Nobody may stand here, and nothing is left to read: the best-scored post left does.
    fn force(&mut self, place: usize, rules: &Spacing) -> Option<usize> {
        let numbers = self.waiting.iter().map(|Reverse((_, number))| *number);
        let best = numbers.min_by_key(|number| self.queues[*number].ranks.front())?;
        self.waiting.retain(|Reverse((_, number))| *number != best);
        self.place(best, place, rules)
    }

    fn place(&mut self, number: usize, place: usize, rules: &Spacing) -> Option<usize> {
        let queue = &mut self.queues[number];
        let rank = queue.ranks.pop_front();
        queue.take(place, rules);
        if !queue.ranks.is_empty() {
            self.waiting.push(Reverse((queue.opens_at(rules), number)));
        }
        rank
    }
}

/// Given the authors of the posts in order of score, the ranks in order of place, for the first `places`.
pub fn space(authors: impl IntoIterator<Item = AuthorNo>, rules: &Spacing, places: usize) -> Vec<usize> {
    space_in_two(authors, usize::MAX, rules, places)
}

/// The same, where the ranks from `first` on stand after all before them, whatever the rules make of those; the rules
/// then go on where they are.
pub fn space_in_two(
    authors: impl IntoIterator<Item = AuthorNo>,
    first: usize,
    rules: &Spacing,
    places: usize,
) -> Vec<usize> {
    let mut unread = authors.into_iter().enumerate().peekable();
    let mut met = Authors::default();
    let mut order = Vec::new();
    // The second part begins when nothing of the first is left, so its posts never wait beside those.
    let mut end = first;
    while order.len() < places {
        let place = order.len();
        let part = iter::from_fn(|| unread.next_if(|(rank, _)| *rank < end));
        let rank = met.deferred(place, rules).or_else(|| met.read(part, place, rules));
        match rank.or_else(|| met.force(place, rules)) {
            Some(rank) => order.push(rank),
            None if unread.peek().is_some() => end = usize::MAX,
            None => break,
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn authors(names: &[u32]) -> Vec<AuthorNo> {
        names.iter().map(|name| AuthorNo::from(*name)).collect()
    }

    /// Whether a rank may stand behind an order, as the contract words it.
    fn may_stand(authors: &[AuthorNo], order: &[usize], rank: usize, rules: &Spacing) -> bool {
        let place = order.len();
        let taken: Vec<usize> = (0..place).filter(|before| authors[order[*before]] == authors[rank]).collect();
        let in_first = taken.iter().filter(|before| **before < rules.first_places).count();
        let in_window = taken.iter().filter(|before| **before + rules.window > place).count();
        taken.last().is_none_or(|last| place - last >= rules.gap)
            && (place >= rules.first_places || in_first < rules.first_max)
            && in_window < rules.window_max
    }

    /// The rule place by place, over everything left.
    fn naive(authors: &[AuthorNo], rules: &Spacing) -> Vec<usize> {
        naive_in_two(authors, authors.len(), rules)
    }

    #[test]
    fn one_author_of_the_first_five_and_three_places_apart() {
        let order = space(authors(&[1, 1, 1, 2, 3, 4, 5, 6]), &Spacing::default(), 8);
        assert_eq!(order, [0, 3, 4, 5, 6, 1, 7, 2]);
    }

    #[test]
    fn a_world_of_one_author_is_shown_whole_in_order_of_score() {
        assert_eq!(space(authors(&[7; 200]), &Spacing::default(), 200), (0..200).collect::<Vec<_>>());
    }

    /// Two orders, one after the other: the rules look back across the border, and nothing stands on the wrong side of it.
    fn naive_in_two(authors: &[AuthorNo], first: usize, rules: &Spacing) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        for part in [0..first.min(authors.len()), first.min(authors.len())..authors.len()] {
            let mut left: Vec<usize> = part.collect();
            while !left.is_empty() {
                let at = left.iter().position(|rank| may_stand(authors, &order, *rank, rules)).unwrap_or(0);
                order.push(left.remove(at));
            }
        }
        order
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_stands_after_all_others_does_so_under_the_same_rules(
            names in prop::collection::vec(0u32..12, 0..120), first in 0usize..130, places in 0usize..130,
        ) {
            let authors = authors(&names);
            let rules = Spacing::default();
            let mut naive = naive_in_two(&authors, first, &rules);
            prop_assert_eq!(&space_in_two(authors.iter().copied(), first, &rules, usize::MAX), &naive);
            naive.truncate(places);
            prop_assert_eq!(space_in_two(authors.iter().copied(), first, &rules, places), naive, "a page is a prefix");
        }

        #[test]
        fn places_equal_the_rule_applied_place_by_place(names in prop::collection::vec(0u32..12, 0..160)) {
            let authors = authors(&names);
            prop_assert_eq!(space(authors.iter().copied(), &Spacing::default(), usize::MAX), naive(&authors, &Spacing::default()));
        }

        #[test]
        fn other_rules_too(
            names in prop::collection::vec(0u32..6, 0..60),
            first_places in 0usize..8, first_max in 1usize..4, gap in 1usize..6, window in 1usize..20, window_max in 1usize..4,
        ) {
            let rules = Spacing { first_places, first_max, gap, window, window_max };
            let authors = authors(&names);
            prop_assert_eq!(space(authors.iter().copied(), &rules, usize::MAX), naive(&authors, &rules));
        }
    }
}
