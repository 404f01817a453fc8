//! What other numbers would make of the same requests: pure comparison of two rankings of each.

use std::collections::BTreeMap;

use edgefeed_storage::model::{HOUR_MS, Id, TimestampMs};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

/// Places compared.
pub const PLACES: usize = 20;

/// One post of a ranking's first places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The post.
    pub id: Id,
    /// Its author.
    pub author: Id,
    /// When it was written.
    pub created_at: TimestampMs,
}

/// What two sets of numbers make of the same requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The `now` of every ranking, in epoch milliseconds.
    pub ranked_at: TimestampMs,
    /// How many places are compared.
    pub places: usize,
    /// How many requests were ranked both ways.
    pub requests: usize,
    /// How many of the recorded requests were left out because their rankings are empty both ways.
    pub empty: usize,
    /// By set: a preset, or `experiment`. A set without requests is not there.
    pub sets: BTreeMap<String, SetReport>,
}

/// Of one set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// How many requests.
    pub requests: usize,
    /// The posts that both rankings have in their first places, as a share of the longer one's: 1 is the same posts.
    pub overlap: Spread,
    /// With the numbers in force.
    pub current: Side,
    /// With the new ones.
    pub new: Side,
}

/// How a share is spread over the requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// A tenth of the requests lies at or below this.
    pub p10: f64,
    /// The least.
    pub min: f64,
}

/// What one set of numbers shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The versions that ranked.
    pub weights_versions: Vec<String>,
    /// Shannon entropy of the authors in the first places, in bits, the mean over the requests: 0 is one author alone,
    /// log2(20) = 4.32 is twenty authors.
    pub author_entropy_bits: f64,
    /// The median age of all posts in the first places, in hours.
    pub median_age_hours: f64,
    /// Posts in the first places, the mean over the requests.
    pub posts: f64,
}

/// Gathers what the requests of one set come to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    overlaps: Vec<f64>,
    current: Gathered,
    new: Gathered,
}

#[derive(Debug, Default)]
struct Gathered {
    versions: HashSet<String>,
    entropies: Vec<f64>,
    ages: Vec<f64>,
}

impl Tally {
    /// Adds a request: its version and its first places, as they are and as they would be.
    pub(super) fn add(&mut self, current: (&str, &[Shown]), new: (&str, &[Shown]), now_ms: TimestampMs) {
        self.overlaps.push(overlap(current.1, new.1));
        self.current.add(current, now_ms);
        self.new.add(new, now_ms);
    }

    /// What it all comes to.
    pub(super) fn report(self) -> SetReport {
        let mut overlaps = self.overlaps;
        overlaps.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| overlaps.get((overlaps.len() as f64 * share) as usize).copied().unwrap_or(0.0);
        let overlap = Spread { mean: mean(&overlaps), p10: at(0.1), min: at(0.0) };
        SetReport { requests: overlaps.len(), overlap, current: self.current.side(), new: self.new.side() }
    }
}

impl Gathered {
    fn add(&mut self, (version, posts): (&str, &[Shown]), now_ms: TimestampMs) {
        if !self.versions.contains(version) {
            self.versions.insert(version.to_owned());
        }
        self.entropies.push(entropy(posts));
        let hours = |post: &Shown| now_ms.saturating_sub(post.created_at).max(0) as f64 / HOUR_MS as f64;
        self.ages.extend(posts.iter().map(hours));
    }

    fn side(mut self) -> Side {
        self.ages.sort_unstable_by(f64::total_cmp);
        let mut weights_versions: Vec<_> = self.versions.into_iter().collect();
        weights_versions.sort_unstable();
        Side {
            weights_versions,
            author_entropy_bits: mean(&self.entropies),
            median_age_hours: median(&self.ages),
            posts: self.ages.len() as f64 / self.entropies.len().max(1) as f64,
        }
    }
}

/// The share of the longer one's posts that both have.
fn overlap(left: &[Shown], right: &[Shown]) -> f64 {
    let known: HashSet<Id> = left.iter().map(|post| post.id).collect();
    let both = right.iter().filter(|post| known.contains(&post.id)).count();
    match left.len().max(right.len()) {
        0 => 1.0,
        longer => both as f64 / longer as f64,
    }
}

/// −Σ p · log2 p over the authors' shares.
fn entropy(posts: &[Shown]) -> f64 {
    let mut counts: HashMap<Id, u32> = HashMap::new();
    for post in posts {
        *counts.entry(post.author).or_default() += 1;
    }
    let mut shares: Vec<f64> = counts.into_values().map(|count| f64::from(count) / posts.len() as f64).collect();
    // A sum of floats depends on its order.
    shares.sort_unstable_by(f64::total_cmp);
    shares.iter().map(|share| -share * share.log2()).sum::<f64>().max(0.0)
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Of ascending values.
fn median(values: &[f64]) -> f64 {
    match (values.get(values.len() / 2), values.len().checked_sub(1).and_then(|last| values.get(last / 2))) {
        (Some(upper), Some(lower)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampMs = 1_795_376_817_860;

    fn post(id: u128, author: u128, hours: i64) -> Shown {
        Shown { id: Id(id), author: Id(author), created_at: NOW - hours * HOUR_MS }
    }

    #[test]
    fn overlap_entropy_and_age_are_what_their_words_say() {
        let current = [post(1, 1, 1), post(2, 2, 2), post(3, 3, 3), post(4, 4, 10)];
        let new = [post(1, 1, 1), post(9, 1, 20), post(8, 1, 30), post(4, 4, 10)];
        let mut tally = Tally::default();
        tally.add(("a", &current), ("b", &new), NOW);
        let report = tally.report();
        assert_eq!(report.overlap, Spread { mean: 0.5, p10: 0.5, min: 0.5 });
        assert_eq!(report.current.author_entropy_bits, 2.0, "four authors, one post each");
        assert_eq!(report.current.median_age_hours, 2.5);
        let three_to_one = 0.75 * (4.0_f64 / 3.0).log2() + 0.25 * 2.0;
        assert!((report.new.author_entropy_bits - three_to_one).abs() < 1e-12);
        assert_eq!(report.new.median_age_hours, 15.0);
        assert_eq!((report.new.posts, report.new.weights_versions), (4.0, vec!["b".to_owned()]));
    }

    #[test]
    fn the_spread_shows_the_worst_beside_the_mean() {
        let mut tally = Tally::default();
        for number in 0..20_u128 {
            let other = [post(if number == 0 { 2 } else { 1 }, 1, 1)];
            tally.add(("a", &[post(1, 1, 1)]), ("b", &other), NOW);
        }
        let overlap = tally.report().overlap;
        assert_eq!((overlap.mean, overlap.p10, overlap.min), (0.95, 1.0, 0.0));
    }

    #[test]
    fn one_author_alone_has_no_entropy_and_a_page_less_none_at_all() {
        assert_eq!(entropy(&[post(1, 1, 1), post(2, 1, 1)]), 0.0);
        assert_eq!(entropy(&[]), 0.0);
        assert_eq!(overlap(&[post(1, 1, 1)], &[]), 0.0);
    }
}
