//! Other numbers are tried on the requests of late before anybody is exposed to them.

use edgefeed::ranking::Preset;
use serde_json::Value;

use super::place::{Place, ask};

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} against {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_other_numbers_would_show_whether_a_node_runs_or_not() {
    let place = Place::new(65);
    let node = place.start();
    let client = reqwest::Client::new();
    let mut requests = 0;
    for number in (0..place.world.user_count()).step_by(4) {
        let preset = Preset::ALL[(number / 4 % 5) as usize].name();
        let url = place.public(&format!("/api/v1/feed?preset={preset}"));
        let (status, page) = ask(&client, place.world.user(number), &url).await;
        assert_eq!(status, 200);
        requests += u64::from(!page["posts"].as_array().unwrap().is_empty());
        // A later page is no request of its own.
        if let Some(cursor) = page["cursor"].as_str() {
            let next = place.public(&format!("/api/v1/feed?cursor={cursor}"));
            assert_eq!(ask(&client, place.world.user(number), &next).await.0, 200);
        }
    }
    let same = place.file("same.toml", "[ranking]\n");
    let report = place.say(&format!("replay --weights {same} --output json")).json();
    assert_eq!((report["requests"].as_u64(), report["places"].as_u64()), (Some(requests), Some(20)), "{report:#}");
    let sets = report["sets"].as_object().unwrap();
    assert_eq!(sets.keys().collect::<Vec<_>>(), ["balanced", "catch_up", "friends", "latest", "quiet_voices"]);
    for (set, of) in sets {
        close(&of["overlap"]["min"], 1.0);
        assert_eq!(of["current"], of["new"], "{set}: the same numbers show the same");
        assert!(of["current"]["weights_versions"][0].as_str().unwrap().starts_with(&format!("{set}.")));
    }
    let young = "[ranking]\nweight_freshness = 1.0\nweight_engagement = 0.0\nweight_affinity = 0.0\n[ranking.spacing]\n\
                 first_places = 0\ngap = 1\nwindow = 1\n";
    let young = place.file("young.toml", young);
    let held = place.say(&format!("replay --weights {young} --output json")).json();
    let balanced = &held["sets"]["balanced"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&balanced["overlap"]["mean"]) < 0.9, "{balanced:#}");
    let (current, new) = (&balanced["current"], &balanced["new"]);
    assert!(number(&new["median_age_hours"]) < number(&current["median_age_hours"]), "{balanced:#}");
    let crowded = "[ranking.spacing]\nfirst_places = 0\ngap = 1\nwindow = 1\n";
    let crowded = place.file("crowded.toml", crowded);
    let crowded = place.say(&format!("replay --weights {crowded} --output json")).json();
    let (spaced, crowded) = (&crowded["sets"]["balanced"]["current"], &crowded["sets"]["balanced"]["new"]);
    let entropies = [crowded, spaced].map(|side| number(&side["author_entropy_bits"]));
    assert!(entropies[0] < entropies[1], "without spacing few authors fill the page: {entropies:?}");
    let text = place.say(&format!("replay --weights {young}"));
    assert!(text.out.contains("ENTROPY") && text.out.contains("quiet_voices"), "{text:?}");
    let few = place.say(&format!("replay --weights {young} --requests 5 --output json")).json();
    assert!(few["requests"].as_u64().unwrap() + few["empty"].as_u64().unwrap() == 5, "{few:#}");
    assert_eq!(node.terminate().0, Some(0));

    // The ring is beside the store, and only its owner reads it.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.store()), mode(&place.store().join("recent_requests"))), (0o700, 0o600));
    let free = place.say(&format!("replay --weights {young} --output json")).json();
    assert_eq!((&free["requests"], &free["empty"]), (&held["requests"], &held["empty"]));
    for set in sets.keys() {
        let versions = |report: &Value| report["sets"][set]["new"]["weights_versions"].clone();
        assert_eq!(versions(&free), versions(&held), "{set}");
    }
}

#[test]
fn numbers_that_cannot_stand_are_tried_on_nobody() {
    let place = Place::new(66);
    drop(place.start().terminate());
    for (text, expected) in [
        ("[ranking]\nviewed_hours = 25\n", "ranking.viewed_hours is 25"),
        ("[ranking]\nno_such = 1\n", "no_such"),
        ("[limits]\nmax_headers = 20\n", "has no [ranking]"),
        ("[ranking\n", "TOML"),
        ("[ranking.presets.latest]\nauthor_max = 9999\n", "ranking.presets.latest.author_max"),
    ] {
        let path = place.file("bad.toml", text);
        let said = place.say(&format!("replay --weights {path}"));
        assert_eq!(said.code, Some(78), "{said:?}");
        assert!(said.err.contains(expected) && said.err.lines().count() == 1, "{said:?}");
    }
    let path = place.file("good.toml", "[ranking]\n");
    assert_eq!(place.say(&format!("replay --weights {path}")).out, "no requests to replay (0 with nothing to rank)\n");
}
