//! What is deployed beside the node speaks of things the node has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::real::stack::unproved;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names that begin with `edgefeed_` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.split(|letter| !word(letter)).filter(|name| name.starts_with("edgefeed_")).map(str::to_owned).collect()
}

fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_metric_an_alert_or_a_panel_asks_for_is_one_the_node_has() {
    let mut code = String::new();
    for dir in ["src", "sync/src"] {
        sources(&root().join(dir), &mut code);
    }
    let known = names(&code);
    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/edgefeed.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let asked = names(&text);
        assert!(asked.len() > 5, "{file}");
        for name in asked {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            assert!(known.contains(&name) || known.contains(base), "{file}: {name} is no metric of the node");
        }
    }
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules", "alerts_test.yml"]).current_dir(root().join("deploy/prometheus"));
    match promtool.output() {
        Ok(done) => assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr)),
        Err(_) => unproved("alerts fire when they should", "promtool is not installed; Debian has it in prometheus"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
