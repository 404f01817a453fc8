//! Which numbers rank for whom. A request asks once and carries what it got: no page is made of two sets, whenever they
//! are exchanged.

mod recent;
mod reload;
mod replay;
mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use edgefeed_storage::model::Id;

use crate::ranking::{Config, Experiment, Preset};

pub use recent::{Recent, Requests};
pub use reload::{Origin, Refused, Reload, Reloaded, describe_metrics};
pub use replay::{REPLAY_MAX, replay};
pub use report::{PLACES, Report, SetReport, Shown, Side};

/// One set of numbers with its names.
#[derive(Debug, PartialEq)]
pub struct Numbers {
    /// The numbers.
    pub config: Config,
    /// What answers call them: whose set it is, and a digest of the numbers. Equal on every node with equal numbers.
    pub version: String,
    /// A preset's name, or `experiment`: the label of metrics.
    pub set: &'static str,
}

impl Numbers {
    fn new(set: &'static str, name: &str, config: Config) -> Self {
        let version = format!("{name}.{}", config.version());
        Self { config, version, set }
    }
}

/// Every set there is at a time.
#[derive(Debug)]
pub struct Sets {
    presets: [Arc<Numbers>; Preset::ALL.len()],
    experiment: Experiment,
    experimental: Arc<Numbers>,
}

impl Sets {
    /// The sets of a configuration that was checked.
    pub fn of(config: &Config) -> Self {
        // Of one that was not, a set that cannot be made is the section as it is.
        let or_plain = |made: Result<Config, _>| made.unwrap_or_else(|_| config.clone());
        let presets = Preset::ALL.map(|preset| {
            let (name, numbers) = (preset.name(), or_plain(config.preset(preset)));
            Arc::new(Numbers::new(name, name, numbers))
        });
        let experiment = config.experiment.clone();
        let experimental = Numbers::new("experiment", &experiment.name, or_plain(config.experimental()));
        Self { presets, experiment, experimental: Arc::new(experimental) }
    }

    /// The set that ranks for a reader who chose a preset. An experiment is about what everybody gets unasked: whoever
    /// chooses gets what they chose.
    pub fn numbers(&self, viewer: Id, preset: Preset) -> &Arc<Numbers> {
        if preset == Preset::Balanced && self.experiment.draws(viewer) {
            return &self.experimental;
        }
        let at = Preset::ALL.iter().position(|other| *other == preset).unwrap_or_default();
        &self.presets[at]
    }

    /// The version of each set, by preset, and of the experiment where there is one.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let experiment = self.experiment.is_on().then_some(&self.experimental);
        let all = self.presets.iter().chain(experiment);
        all.map(|numbers| (numbers.set.to_owned(), numbers.version.clone())).collect()
    }
}

/// The sets in force, exchanged all at once.
#[derive(Debug)]
pub struct Tuning {
    sets: ArcSwap<Sets>,
}

impl Default for Tuning {
    /// The product's definition of the feed.
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Tuning {
    /// Begins with the sets of a configuration that was checked.
    pub fn of(config: &Config) -> Self {
        Self { sets: ArcSwap::from_pointee(Sets::of(config)) }
    }

    /// The set that ranks for a reader now. Ask once a request.
    pub fn numbers(&self, viewer: Id, preset: Preset) -> Arc<Numbers> {
        Arc::clone(self.sets.load().numbers(viewer, preset))
    }

    /// All sets in force now.
    pub fn sets(&self) -> Arc<Sets> {
        self.sets.load_full()
    }

    /// Puts the sets of another configuration in force, one that was checked: for every request that has not asked yet.
    pub fn replace(&self, config: &Config) {
        self.sets.store(Arc::new(Sets::of(config)));
    }
}
