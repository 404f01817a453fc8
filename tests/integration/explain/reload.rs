//! Numbers are exchanged under load: no request fails, and no page is made of two sets.
//!
//! `EDGEFEED_RELOADS` exchanges, 12 by default; `make prove-explain` makes more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use edgefeed::ranking::{Config, Preset};
use edgefeed::tuning::Sets;
use edgefeed_storage::model::{Id, IdKind};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::place::{Place, ask, order};

/// Readers who ask all the time.
const READERS: u64 = 6;

/// One section of numbers: anything that moves the score, so that a mixture of two is no sum of either.
fn section(number: u64) -> String {
    format!(
        "[ranking]\nweight_freshness = 0.3{number}1\nweight_engagement = 0.4{number}7\nweight_affinity = 0.2{number}3\n\
         freshness_decay = 0.0{number}9\n[ranking.engagement]\nlikes = 1.{number}\ncomments = 2.{number}\nshares = 3.{number}\n\
         [ranking.affinity]\nviews = {}\nlikes = {}\n[ranking.spacing]\ngap = {}\n\
         [ranking.experiment]\nname = \"other\"\nshare = 0.3\n[ranking.experiment.numbers]\nweight_affinity = 0.9{number}\n",
        1 + number,
        5 + number,
        1 + number % 4,
    )
}

fn config(number: u64) -> Config {
    let mut table: toml::Table = toml::from_str(&section(number)).unwrap();
    table.remove("ranking").unwrap().try_into().unwrap()
}

/// The numbers behind every version that may be met.
fn by_version(sections: u64) -> BTreeMap<String, (String, Config)> {
    let mut known = BTreeMap::new();
    for number in 0..sections {
        let sets = Sets::of(&config(number));
        // Who is drawn for the experiment gets its numbers for `balanced`.
        for user in 0..40 {
            for preset in Preset::ALL {
                let numbers = sets.numbers(Id(user), preset);
                known.insert(numbers.version.clone(), (numbers.set.to_owned(), numbers.config.clone()));
            }
        }
    }
    known
}

/// Every number of a page made anew: by the version it names, from the raw features, bit for bit.
fn one_set_made_it(page: &Value, known: &BTreeMap<String, (String, Config)>) -> String {
    let version = page["freshness"]["weights_version"].as_str().unwrap();
    let (_, config) = known.get(version).unwrap_or_else(|| panic!("{version} names no set that ever was in force"));
    let number = |value: &Value| value.as_f64().unwrap();
    for post in page["posts"].as_array().unwrap() {
        let told = &post["explain"];
        let weights = ["freshness", "engagement", "affinity"].map(|term| number(&told["weights"][term]));
        assert_eq!(weights, [config.weight_freshness, config.weight_engagement, config.weight_affinity], "{version}");
        let raw = &told["features"];
        let acts = config.engagement.likes * number(&raw["likes"])
            + config.engagement.comments * number(&raw["comments"])
            + config.engagement.shares * number(&raw["shares"]);
        let terms = [
            (-config.freshness_decay * number(&raw["age_hours"])).exp(),
            (1.0 + acts / number(&raw["impressions"]).max(1.0)).ln(),
            (1.0 + number(&raw["interactions"])).ln(),
        ];
        assert_eq!(
            ["freshness", "engagement", "affinity"].map(|term| number(&told[term])),
            terms,
            "{version}: {post:#}"
        );
        let score = weights[0] * terms[0] + weights[1] * terms[1] + weights[2] * terms[2];
        assert_eq!(number(&post["score"]).to_bits(), score.to_bits(), "{version}: {post:#}");
    }
    version.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_fails_no_request_and_mixes_no_weights() {
    const SECTIONS: u64 = 8;
    let reloads = std::env::var("EDGEFEED_RELOADS").map_or(12, |text| text.parse().unwrap());
    let place = Arc::new(Place::new(63));
    place.configure(&section(0));
    let node = place.start();
    let known = Arc::new(by_version(SECTIONS));
    let (stop, pages, met) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let mut readers = Vec::new();
    for reader in 0..READERS {
        let (place, known) = (Arc::clone(&place), Arc::clone(&known));
        let (stop, pages, met) = (Arc::clone(&stop), Arc::clone(&pages), Arc::clone(&met));
        readers.push(tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut versions: BTreeMap<String, u64> = BTreeMap::new();
            let mut turn = reader;
            while !stop.load(Ordering::Acquire) {
                turn += READERS;
                let viewer = place.world.user((turn % u64::from(place.world.user_count())) as u32);
                let preset = Preset::ALL[(turn / 7 % 5) as usize].name();
                let url = place.public(&format!("/api/v1/feed?limit=50&explain=1&preset={preset}"));
                let (status, page) = ask(&client, viewer, &url).await;
                assert_eq!(status, 200, "{page:#}");
                *versions.entry(one_set_made_it(&page, &known)).or_default() += 1;
                pages.fetch_add(1, Ordering::AcqRel);
                met.notify_waiters();
            }
            versions
        }));
    }
    let client = reqwest::Client::new();
    let mut waited_for = 0;
    for reload in 1..=reloads {
        // As many pages as there are readers lie between two exchanges at least.
        while pages.load(Ordering::Acquire) < waited_for + READERS && !readers.iter().any(|reader| reader.is_finished())
        {
            met.notified().await;
        }
        waited_for = pages.load(Ordering::Acquire);
        place.configure(&section(reload % SECTIONS));
        let (status, done) = order(&client, &place.operators("/admin/reload")).await;
        assert_eq!(status, 200, "{done:#}");
        assert!(done["changed"].as_array().unwrap().contains(&json!("ranking.weight_affinity")), "{done:#}");
        assert_eq!(done["needs_restart"], json!([]));
        let balanced = done["weights_versions"]["balanced"].as_str().unwrap();
        assert_eq!(balanced, format!("balanced.{}", config(reload % SECTIONS).version()));
        if reload % 4 == 0 {
            // In between, one that cannot stand: nothing changes, and it is told what is wrong.
            place.configure("[ranking]\nviewed_hours = 25\nno_such = 1\n");
            let (status, refused) = order(&client, &place.operators("/admin/reload")).await;
            assert_eq!(status, 409, "{refused:#}");
            let keys: Vec<_> = refused["problems"].as_array().unwrap().iter().map(|problem| &problem["key"]).collect();
            assert_eq!(keys, ["ranking.no_such", "ranking.viewed_hours"]);
        }
    }
    stop.store(true, Ordering::Release);
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    for reader in readers {
        for (version, count) in reader.await.unwrap() {
            *versions.entry(version).or_default() += count;
        }
    }
    let sets = |set: &str| versions.keys().filter(|version| known[*version].0 == set).count();
    println!("{} pages, {} sets of numbers, {reloads} exchanges", versions.values().sum::<u64>(), versions.len());
    assert!(sets("balanced") + sets("experiment") > 3 && versions.len() > 8, "{versions:#?}");
    // SIGHUP does what the order does.
    assert_eq!(node.terminate().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_configuration_again() {
    let place = Place::new(64);
    let node = place.start();
    place.configure("[ranking]\nweight_affinity = 0.5\n");
    node.signal("HUP");
    let line = node.wait_for_message("reloaded");
    assert!(line["changed"].as_str().unwrap().contains("ranking.weight_affinity"), "{line:#}");
    let config = Config { weight_affinity: 0.5, ..Config::default() };
    let viewer = place.world.user(0);
    let (status, page) = ask(&reqwest::Client::new(), viewer, &place.public("/api/v1/feed")).await;
    assert_eq!(
        (status, &page["freshness"]["weights_version"]),
        (200, &json!(format!("balanced.{}", config.version())))
    );
    place.configure("[ranking]\nweight_affinity = -1\n");
    node.signal("HUP");
    let line = node.wait_for_message("the configuration was not reloaded");
    assert!(line["problem"].as_str().unwrap().contains("ranking.weight_affinity"), "{line:#}");
    let text = IdKind::U64.format(viewer);
    let told = place.say(&format!("explain --user {text} --post 1 --output json"));
    // The verb reads the configuration first, and that cannot stand; the node goes on.
    assert_eq!(told.code, Some(78), "{told:?}");
    assert_eq!(node.terminate().0, Some(0));
}
