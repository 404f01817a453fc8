//! Which rung answers: a decision about facts, and nothing but that. `feed/answers` climbs.

use crate::fallback::{Config, Policy};

/// What is known when a request comes in.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether the store has anything to answer from.
    pub store_holds: bool,
    /// How old the store is, in milliseconds; `None` while that is unknown.
    pub store_age_ms: Option<i64>,
    /// Whether the breaker around ClickHouse is open.
    pub center_open: bool,
    /// Whether PostgreSQL may be asked: there is one, and its breaker is not open.
    pub postgres: bool,
    /// Whether the request goes on with a chain that PostgreSQL began.
    pub chain: bool,
}

/// Why PostgreSQL is asked first. A closed list: these are metric labels and marks of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The store never held anything.
    StoreEmpty,
    /// The store is older than `fallback.max_store_age_s`, or does not know how old it is.
    StoreOld,
    /// The policy is `strict`, and ClickHouse is away.
    CenterAway,
    /// The store cannot be read.
    StoreFailed,
    /// All is well, and the chain goes on where it began.
    Chain,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::StoreEmpty, Self::StoreOld, Self::CenterAway, Self::StoreFailed, Self::Chain];

    /// The label of metrics, and the mark of answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StoreEmpty => "store_empty",
            Self::StoreOld => "store_old",
            Self::CenterAway => "center_away",
            Self::StoreFailed => "store_failed",
            Self::Chain => "chain",
        }
    }
}

/// One rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The store of this node.
    Local,
    /// PostgreSQL.
    Fallback,
}

/// What to try, in order; the next one when one cannot answer. Nothing to try: 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    rungs: [Option<Rung>; 2],
    /// Why PostgreSQL comes first; `None` when the store does.
    pub reason: Option<Reason>,
}

impl Plan {
    /// The rungs, the best first.
    pub fn rungs(&self) -> impl Iterator<Item = Rung> {
        self.rungs.into_iter().flatten()
    }
}

/// Decides.
pub fn plan(config: &Config, facts: &Facts) -> Plan {
    let reason = reason(config, facts);
    let local = facts.store_holds.then_some(Rung::Local);
    let fallback = facts.postgres.then_some(Rung::Fallback);
    let rungs = if reason.is_none() { [local, fallback] } else { [fallback, local] };
    Plan { rungs, reason }
}

fn reason(config: &Config, facts: &Facts) -> Option<Reason> {
    let max_age_ms = i64::try_from(config.max_store_age_s).unwrap_or(i64::MAX).saturating_mul(1_000);
    if !facts.store_holds {
        Some(Reason::StoreEmpty)
    } else if facts.store_age_ms.is_none_or(|age_ms| age_ms > max_age_ms) {
        Some(Reason::StoreOld)
    } else if config.policy == Policy::Strict && facts.center_open {
        Some(Reason::CenterAway)
    } else {
        facts.chain.then_some(Reason::Chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_MS: i64 = 3_600_000;

    fn well() -> Facts {
        Facts { store_holds: true, store_age_ms: Some(200), center_open: false, postgres: true, chain: false }
    }

    fn local_first() -> Config {
        Config::default()
    }

    fn strict() -> Config {
        Config { policy: Policy::Strict, ..Config::default() }
    }

    fn decided(config: &Config, facts: Facts) -> (Vec<Rung>, Option<Reason>) {
        let plan = plan(config, &facts);
        (plan.rungs().collect(), plan.reason)
    }

    #[test]
    fn the_store_answers_while_it_is_young_enough_whatever_becomes_of_the_center() {
        for (center_open, age_ms) in [(false, 0), (true, 0), (false, LIMIT_MS), (true, LIMIT_MS)] {
            let facts = Facts { center_open, store_age_ms: Some(age_ms), ..well() };
            assert_eq!(decided(&local_first(), facts), (vec![Rung::Local, Rung::Fallback], None));
            let alone = Facts { postgres: false, ..facts };
            assert_eq!(decided(&local_first(), alone), (vec![Rung::Local], None));
        }
    }

    #[test]
    fn an_old_store_yields_to_postgres_and_answers_where_there_is_none() {
        for age_ms in [Some(LIMIT_MS + 1), Some(i64::MAX), None] {
            let facts = Facts { store_age_ms: age_ms, ..well() };
            assert_eq!(
                decided(&local_first(), facts),
                (vec![Rung::Fallback, Rung::Local], Some(Reason::StoreOld)),
                "{age_ms:?}"
            );
            let alone = Facts { postgres: false, ..facts };
            assert_eq!(decided(&local_first(), alone), (vec![Rung::Local], Some(Reason::StoreOld)));
        }
    }

    #[test]
    fn strict_takes_postgres_as_soon_as_the_center_is_away_and_not_before() {
        assert_eq!(decided(&strict(), well()), (vec![Rung::Local, Rung::Fallback], None));
        let away = Facts { center_open: true, ..well() };
        assert_eq!(decided(&strict(), away), (vec![Rung::Fallback, Rung::Local], Some(Reason::CenterAway)));
        let alone = Facts { postgres: false, ..away };
        assert_eq!(decided(&strict(), alone), (vec![Rung::Local], Some(Reason::CenterAway)));
    }

    #[test]
    fn a_store_that_never_held_anything_answers_nothing() {
        for store_age_ms in [None, Some(0)] {
            let facts = Facts { store_holds: false, store_age_ms, ..well() };
            assert_eq!(decided(&local_first(), facts), (vec![Rung::Fallback], Some(Reason::StoreEmpty)));
            let alone = Facts { postgres: false, ..facts };
            assert_eq!(decided(&strict(), alone), (vec![], Some(Reason::StoreEmpty)));
        }
    }

    #[test]
    fn a_chain_goes_on_where_it_began_and_in_the_store_where_that_is_away() {
        let chain = Facts { chain: true, ..well() };
        assert_eq!(decided(&local_first(), chain), (vec![Rung::Fallback, Rung::Local], Some(Reason::Chain)));
        let alone = Facts { postgres: false, ..chain };
        assert_eq!(decided(&local_first(), alone), (vec![Rung::Local], Some(Reason::Chain)));
    }

    #[test]
    fn no_rung_is_tried_twice_none_that_cannot_answer_and_none_is_left_out() {
        for bits in 0..32_u8 {
            let bit = |at: u8| bits >> at & 1 == 1;
            let age = [None, Some(5), Some(LIMIT_MS + 5)];
            for (store_age_ms, config) in age.into_iter().flat_map(|age| [(age, local_first()), (age, strict())]) {
                let facts =
                    Facts { store_holds: bit(0), store_age_ms, center_open: bit(1), postgres: bit(2), chain: bit(3) };
                let (rungs, _) = decided(&config, facts);
                assert_eq!(rungs.contains(&Rung::Local), facts.store_holds, "{facts:?}");
                assert_eq!(rungs.contains(&Rung::Fallback), facts.postgres, "{facts:?}");
                assert_eq!(rungs.len(), usize::from(facts.store_holds) + usize::from(facts.postgres), "{facts:?}");
            }
        }
    }
}
