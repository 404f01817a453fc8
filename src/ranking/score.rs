//! One number a post: the weighted sum of freshness, engagement and affinity.

use edgefeed_storage::model::{Counters, HOUR_MS, Hour, TimestampMs};

use super::Config;

/// Hours of events that engagement looks at: the running one and the 23 before.
pub const ENGAGEMENT_HOURS: Hour = 24;

/// The three terms of a score, unweighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// exp(−decay · age in hours), at most 1.
    pub freshness: f64,
    /// ln(1 + weighted interactions per impression) of the last 24 hourly buckets.
    pub engagement: f64,
    /// ln(1 + weighted interactions of viewer and author) of 90 days.
    pub affinity: f64,
}

/// exp(−decay · age in hours); an age below zero counts as zero.
pub fn freshness(config: &Config, created_at: TimestampMs, now_ms: TimestampMs) -> f64 {
    let age_hours = now_ms.saturating_sub(created_at).max(0) as f64 / HOUR_MS as f64;
    (-config.freshness_decay * age_hours).exp()
}

/// ln(1 + (likes + 2·comments + 3·shares) / max(impressions, 1)).
pub fn engagement(sum: &Counters) -> f64 {
    let interactions = f64::from(sum.likes) + 2.0 * f64::from(sum.comments) + 3.0 * f64::from(sum.shares);
    (1.0 + interactions / f64::from(sum.impressions.max(1))).ln()
}

/// views + 5·likes + 10·comments + 15·shares: what affinity is the logarithm of, and authors are ordered by.
pub fn interactions(sum: &Counters) -> u64 {
    u64::from(sum.views) + 5 * u64::from(sum.likes) + 10 * u64::from(sum.comments) + 15 * u64::from(sum.shares)
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
        assert_eq!(engagement(&sum), 2.0_f64.ln());
        assert_eq!(
            engagement(&Counters { likes: 3, ..Counters::default() }),
            4.0_f64.ln(),
            "no impression counts as one"
        );
        assert_eq!(interactions(&sum), 9 + 5 + 20 + 15);
        assert_eq!(affinity(0), 0.0);
        let terms = Terms { freshness: 1.0, engagement: 2.0, affinity: 3.0 };
        assert_eq!(score(&config, &terms), 0.30 * 1.0 + 0.40 * 2.0 + 0.30 * 3.0);
    }
}
