//! Who stands where: place by place the best-scored post that may stand there.
//!
//! Posts of one author are kept apart; where none may stand, the best-scored one left does. A post is deferred, never
//! dropped. Authors wait in two heaps (those that may stand now, those that may later), so the cost is n log authors
//! whatever the world looks like.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use edgefeed_storage::AuthorNo;
use hashbrown::HashMap;

use super::config::Spacing;

/// One author's posts still to be placed, and where the last ones stand.
#[derive(Debug)]
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

    fn take(&mut self, place: usize, rules: &Spacing) -> Option<usize> {
        let rank = self.ranks.pop_front()?;
        self.places.push_back(place);
        if self.places.len() > rules.window_max {
            self.places.pop_front();
        }
        self.in_first += usize::from(place < rules.first_places);
        Some(rank)
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
    let mut after: Vec<(usize, usize)> = Vec::new();
    let mut numbers: HashMap<AuthorNo, usize> = HashMap::new();
    let mut queues: Vec<Queue> = Vec::new();
    let mut total = 0;
    for (rank, author) in authors.into_iter().enumerate() {
        let number = *numbers.entry(author).or_insert_with(|| {
            queues.push(Queue { ranks: VecDeque::new(), places: VecDeque::new(), in_first: 0 });
            queues.len() - 1
        });
        if rank < first {
            queues[number].ranks.push_back(rank);
        } else {
            after.push((rank, number));
        }
        total = rank + 1;
    }
    let mut ready: BinaryHeap<Reverse<(usize, usize)>> = queues
        .iter()
        .enumerate()
        .filter_map(|(number, queue)| Some(Reverse((*queue.ranks.front()?, number))))
        .collect();
    let mut waiting: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    let mut order = Vec::with_capacity(total.min(places));
    for place in 0..total.min(places) {
        if ready.is_empty() && waiting.is_empty() {
            for (rank, number) in std::mem::take(&mut after) {
                if queues[number].ranks.is_empty() {
                    waiting.push(Reverse((queues[number].opens_at(rules), number)));
                }
                queues[number].ranks.push_back(rank);
            }
        }
        while let Some(Reverse((_, number))) = waiting.peek().copied().filter(|Reverse((opens, _))| *opens <= place) {
            waiting.pop();
            ready.extend(queues[number].ranks.front().map(|rank| Reverse((*rank, number))));
        }
        let number = match ready.pop() {
            Some(Reverse((_, number))) => number,
            None => match force(&mut waiting, &queues) {
                Some(number) => number,
                None => break,
            },
        };
        let queue = &mut queues[number];
        order.extend(queue.take(place, rules));
        if !queue.ranks.is_empty() {
            waiting.push(Reverse((queue.opens_at(rules), number)));
        }
    }
    order
}

/// Nobody may stand here: the author of the best-scored post left does.
fn force(waiting: &mut BinaryHeap<Reverse<(usize, usize)>>, queues: &[Queue]) -> Option<usize> {
    let best = waiting.iter().map(|Reverse((_, number))| *number).min_by_key(|number| queues[*number].ranks.front())?;
    waiting.retain(|Reverse((_, number))| *number != best);
    Some(best)
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
