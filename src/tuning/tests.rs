//! What presets and experiments promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use edgefeed_storage::model::Id;
use serde_json::json;

use super::{Origin, Refused, Reload, Reloaded, Sets, Tuning};
use crate::config::{Inputs, load};
use crate::ranking::{Config, Experiment, Preset};

fn config(ranking: serde_json::Value) -> Config {
    let config: Config = serde_json::from_value(ranking).unwrap();
    assert_eq!(config.problems(), Vec::<String>::new());
    config
}

fn sets(ranking: serde_json::Value) -> Sets {
    Sets::of(&config(ranking))
}

fn problems(ranking: serde_json::Value) -> Vec<String> {
    serde_json::from_value::<Config>(ranking).unwrap().problems()
}

#[test]
fn unasked_everybody_gets_the_contracts_numbers() {
    let sets = Sets::of(&Config::default());
    let numbers = sets.numbers(Id(7), Preset::Balanced);
    assert_eq!(numbers.config, Config::default());
    assert_eq!(numbers.version, format!("balanced.{}", Config::default().version()));
}

#[test]
fn every_preset_is_another_set_within_bounds_and_has_a_name_of_its_own() {
    let sets = Sets::of(&Config::default());
    let versions: BTreeSet<_> = sets.versions().into_values().collect();
    assert_eq!(versions.len(), Preset::ALL.len());
    for preset in Preset::ALL {
        assert_eq!(Preset::of(preset.name()), Some(preset));
        let numbers = sets.numbers(Id(1), preset);
        assert!(numbers.config.problems().is_empty(), "{preset:?}: {:?}", numbers.config.problems());
        assert!(numbers.version.starts_with(&format!("{}.", preset.name())));
    }
    assert_eq!(Preset::of("newest"), None);
}

#[test]
fn a_version_names_the_numbers_and_nothing_else() {
    let name = |ranking: serde_json::Value| serde_json::from_value::<Config>(ranking).unwrap().version();
    let plain = name(json!({}));
    assert_eq!(name(json!({ "trending_refresh_ms": 500 })), plain);
    assert_eq!(name(json!({ "presets": { "latest": { "weight_affinity": 0.1 } } })), plain);
    assert_eq!(name(json!({ "weight_freshness": 0.3 })), plain);
    for other in [
        json!({ "weight_freshness": 0.30000000000000004 }),
        json!({ "spacing": { "gap": 4 } }),
        json!({ "affinity": { "shares": 16 } }),
        json!({ "author_max": 1 }),
    ] {
        assert_ne!(name(other.clone()), plain, "{other}");
    }
}

#[test]
fn the_operators_numbers_stand_over_the_presets_and_those_over_the_sections() {
    let sets = sets(json!({
        "weight_engagement": 0.7, "affinity_max": 33,
        "presets": { "quiet_voices": { "weight_engagement": 0.1, "spacing": { "gap": 9 } } },
    }));
    let quiet = &sets.numbers(Id(1), Preset::QuietVoices).config;
    assert_eq!((quiet.weight_engagement, quiet.affinity_max, quiet.spacing.gap), (0.1, 33, 9));
    assert_eq!((quiet.author_max, quiet.spacing.window_max), (2, 1), "what the operator leaves is the preset's");
    let balanced = &sets.numbers(Id(1), Preset::Balanced).config;
    assert_eq!((balanced.weight_engagement, balanced.spacing.gap), (0.7, 3));
}

#[test]
fn what_cannot_stand_is_named_by_key() {
    let cases = [
        (json!({ "presets": { "newest": {} } }), "ranking.presets.newest is no preset"),
        (json!({ "presets": { "balanced": { "author_max": 1 } } }), "ranking.presets.balanced is [ranking] itself"),
        (json!({ "presets": { "latest": { "weight": 1 } } }), "ranking.presets.latest.weight is no number"),
        (json!({ "presets": { "latest": { "spacing": 1 } } }), "ranking.presets.latest.spacing is not a number"),
        (json!({ "presets": { "latest": { "author_max": -1 } } }), "ranking.presets.latest: "),
        (json!({ "presets": { "latest": { "viewed_hours": 25 } } }), "ranking.presets.latest.viewed_hours is 25"),
        (
            json!({ "presets": { "latest": { "trending_refresh_ms": 900 } } }),
            "ranking.presets.latest.trending_refresh_ms",
        ),
        (
            json!({ "experiment": { "numbers": { "author_max": 9_999 } } }),
            "ranking.experiment.numbers.author_max is 9999",
        ),
        (json!({ "experiment": { "share": 1.5, "name": "a" } }), "ranking.experiment.share is 1.5"),
        (json!({ "experiment": { "share": 0.5 } }), "ranking.experiment.name \"\" is not a plain name"),
        (
            json!({ "experiment": { "share": 0.5, "name": "latest" } }),
            "ranking.experiment.name \"latest\" is a preset's",
        ),
        (json!({ "engagement": { "hours": 0 } }), "ranking.engagement.hours is 0"),
    ];
    for (ranking, expected) in cases {
        let found = problems(ranking.clone());
        assert!(found.len() == 1 && found[0].starts_with(expected), "{ranking}: {found:?}");
        assert!(found[0].contains("; "), "the mend is named: {found:?}");
    }
}

#[test]
fn an_experiment_draws_its_share_and_always_the_same_users() {
    let experiment = |share: f64, salt: &str| Experiment {
        name: "warm".to_owned(),
        share,
        salt: salt.to_owned(),
        ..Experiment::default()
    };
    let drawn =
        |experiment: &Experiment| (0..20_000).filter(|user| experiment.draws(Id(*user))).collect::<BTreeSet<_>>();
    let tenth = drawn(&experiment(0.1, ""));
    assert!((1_800..2_200).contains(&tenth.len()), "{}", tenth.len());
    let fifth = drawn(&experiment(0.2, "warm"));
    assert!(tenth.is_subset(&fifth), "a larger share keeps whom it had; an empty salt is the name");
    let other = drawn(&experiment(0.1, "other"));
    assert!(tenth.intersection(&other).count() < 400, "another salt draws others");
    assert_eq!((drawn(&experiment(0.0, "")).len(), drawn(&experiment(1.0, "")).len()), (0, 20_000));
    // Written down, so that no release and no machine draws others.
    let first: Vec<_> = tenth.into_iter().take(5).collect();
    assert_eq!(first, FIRST_DRAWN);
}

/// The lowest of the users 0 to 19,999 that `sha256("warm" ++ 0 ++ user as 16 bytes)` puts below a tenth.
const FIRST_DRAWN: [u128; 5] = [8, 18, 20, 34, 42];

#[test]
fn who_is_drawn_gets_the_other_set_unless_they_choose() {
    let sets = sets(json!({ "experiment": { "name": "warm", "share": 0.5, "numbers": { "weight_affinity": 0.9 } } }));
    let (mut here, mut there) = (0, 0);
    for user in 0..100 {
        let numbers = sets.numbers(Id(user), Preset::Balanced);
        match numbers.set {
            "experiment" => {
                assert!(numbers.version.starts_with("warm.") && numbers.config.weight_affinity == 0.9);
                here += 1;
            }
            "balanced" => there += 1,
            other => panic!("{other}"),
        }
        assert_eq!(sets.numbers(Id(user), Preset::Latest).set, "latest");
    }
    assert!(here > 20 && there > 20);
    assert!(sets.versions()["experiment"].starts_with("warm."));
}

#[test]
fn sets_are_exchanged_all_at_once() {
    let tuning = Tuning::default();
    let before = tuning.numbers(Id(1), Preset::Latest);
    tuning.replace(&config(json!({ "weight_affinity": 0.5, "presets": { "latest": { "weight_affinity": 0.5 } } })));
    assert_eq!(before.config.weight_affinity, 0.05, "who asked before goes on with what they got");
    for preset in [Preset::Balanced, Preset::Latest] {
        assert_eq!(tuning.numbers(Id(1), preset).config.weight_affinity, 0.5);
    }
}

/// A node's configuration in a file, to be written anew.
struct Desk {
    file: tempfile::NamedTempFile,
    tuning: Arc<Tuning>,
    reload: Reload,
}

impl Desk {
    const SECRET: &str = "a secret of at least thirty-two bytes";

    fn new(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let env = vec![("EDGEFEED__AUTH__HS256_SECRET".to_owned(), Self::SECRET.to_owned())];
        let inputs = Inputs { file: Some(file.path().to_owned()), env, flags: Vec::new() };
        let loaded = load(&inputs).unwrap();
        let tuning = Arc::new(Tuning::of(&loaded.config.ranking));
        let reload = Reload::new(Some(Origin { inputs, loaded }), Arc::clone(&tuning), |_| Ok(()));
        Self { file, tuning, reload }
    }

    fn reload(&self, text: &str) -> Result<Reloaded, Refused> {
        std::fs::write(self.file.path(), text).unwrap();
        self.reload.run()
    }

    fn weight(&self) -> f64 {
        self.tuning.numbers(Id(1), Preset::Balanced).config.weight_affinity
    }
}

#[test]
fn a_reload_puts_the_ranking_in_force_and_names_what_waits_for_a_restart() {
    let desk = Desk::new("[ranking]\nweight_affinity = 0.4\n");
    let before = desk.tuning.sets().versions();
    let text = "[ranking]\nweight_affinity = 0.5\ntrending_refresh_ms = 900\n[limits]\nmax_headers = 30\n\
                [admin]\ntoken = \"sixteen bytes or more\"\n[ranking.presets.latest]\nauthor_max = 1\n";
    let done = desk.reload(text).unwrap();
    assert_eq!(done.changed, ["ranking.presets", "ranking.presets.latest.author_max", "ranking.weight_affinity"]);
    assert_eq!(done.needs_restart, ["admin.token", "limits.max_headers", "ranking.trending_refresh_ms"]);
    assert_eq!(done.not_renewed, []);
    assert_eq!(desk.weight(), 0.5);
    assert_eq!(done.weights_versions, desk.tuning.sets().versions());
    assert_ne!(done.weights_versions["balanced"], before["balanced"]);
    let again = desk.reload(text).unwrap();
    assert!(again.changed.is_empty());
    assert_eq!(again.needs_restart, done.needs_restart, "what the node was started with is still what it runs with");
    assert!(!format!("{:?}", desk.reload).contains(Desk::SECRET));
}

#[test]
fn a_configuration_that_cannot_stand_changes_nothing_and_is_told_whole() {
    let desk = Desk::new("[ranking]\nweight_affinity = 0.4\n");
    let bad = "[ranking]\nweight_affinity = 0.5\nviewed_hours = 25\n[limits]\nmax_headers = 0\n";
    let Err(Refused::Problems(problems)) = desk.reload(bad) else { panic!("it is refused") };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["limits.max_headers", "ranking.viewed_hours"]);
    assert_eq!(desk.weight(), 0.4);
    let Err(Refused::Problems(_)) = desk.reload("[ranking\n") else { panic!("it is refused") };
    assert_eq!(desk.weight(), 0.4);
    std::fs::remove_file(desk.file.path()).unwrap();
    assert!(matches!(desk.reload.run(), Err(Refused::Problems(_))));
    assert_eq!(desk.weight(), 0.4);
}

#[test]
fn a_node_of_unknown_origin_has_nothing_to_reload() {
    let reload = Reload::new(None, Arc::new(Tuning::default()), |_| Ok(()));
    assert_eq!(reload.run(), Err(Refused::NoSources));
}
