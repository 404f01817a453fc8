//! One number a post: the weighted sum of freshness, engagement and affinity.

use edgefeed_storage::PostFacts;
use edgefeed_storage::model::{Counters, HOUR_MS, TimestampMs, hour_of};

use super::Config;
use super::config::Affinity;

/// The three terms of a score, unweighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// exp(−decay · age in hours), at most 1.
    pub freshness: f64,
    /// ln(1 + weighted interactions per impression) of the hourly buckets looked at.
    pub engagement: f64,
    /// ln(1 + weighted interactions of viewer and author) of 90 days.
    pub affinity: f64,
}

/// Hours since a post was written; an age below zero counts as zero.
pub fn age_hours(created_at: TimestampMs, now_ms: TimestampMs) -> f64 {
    now_ms.saturating_sub(created_at).max(0) as f64 / HOUR_MS as f64
}

/// exp(−decay · age in hours).
pub fn freshness(config: &Config, created_at: TimestampMs, now_ms: TimestampMs) -> f64 {
    (-config.freshness_decay * age_hours(created_at, now_ms)).exp()
}

/// The events that engagement looks at: those of the running hour and of as many before it as the configuration says.
pub fn recent(config: &Config, post: &PostFacts, now_ms: TimestampMs) -> Counters {
    let hour = hour_of(now_ms);
    post.sum(hour.saturating_sub(config.engagement.hours.saturating_sub(1)), hour)
}

/// ln(1 + (likes + 2·comments + 3·shares) / max(impressions, 1)), with the configured worth of each.
pub fn engagement(config: &Config, sum: &Counters) -> f64 {
    let worth = &config.engagement;
    let interactions = worth.likes * f64::from(sum.likes)
        + worth.comments * f64::from(sum.comments)
        + worth.shares * f64::from(sum.shares);
    (1.0 + interactions / f64::from(sum.impressions.max(1))).ln()
}

/// views + 5·likes + 10·comments + 15·shares, with the configured worth of each: what affinity is the logarithm of, and
/// authors are ordered by.
pub fn interactions(worth: &Affinity, sum: &Counters) -> u64 {
    let each = |worth: u32, count: u32| u64::from(worth) * u64::from(count);
    each(worth.views, sum.views)
        + each(worth.likes, sum.likes)
        + each(worth.comments, sum.comments)
        + each(worth.shares, sum.shares)
}

/// ln(1 + interactions); 0 when there were none.
pub fn affinity(interactions: u64) -> f64 {
    (1.0 + interactions as f64).ln()
}

/// The score of a post.
pub fn score(config: &Config, terms: &Terms) -> f64 {
    config.weight_freshness * terms.freshness
        + config.weight_engagement * terms.engagement
        + config.weight_affinity * terms.affinity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_the_contracts_formulas() {
        let config = Config::default();
        assert_eq!(freshness(&config, 0, 10 * HOUR_MS), (-1.0_f64).exp());
        assert_eq!(freshness(&config, 5, 0), 1.0, "an age below zero is zero");
        let sum = Counters { views: 9, impressions: 8, likes: 1, comments: 2, shares: 1, dwell_ms: 0 };
        assert_eq!(engagement(&config, &sum), 2.0_f64.ln());
        assert_eq!(
            engagement(&config, &Counters { likes: 3, ..Counters::default() }),
            4.0_f64.ln(),
            "no impression counts as one"
        );
        assert_eq!(interactions(&config.affinity, &sum), 9 + 5 + 20 + 15);
        assert_eq!(affinity(0), 0.0);
        let terms = Terms { freshness: 1.0, engagement: 2.0, affinity: 3.0 };
        assert_eq!(score(&config, &terms), 0.30 * 1.0 + 0.40 * 2.0 + 0.30 * 3.0);
    }
}
