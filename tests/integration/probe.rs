//! `check --probe`: a dependency that does not do its part is named, with what to do, and the exit code tells.

use crate::crash::broker::Kafka;
use crate::dlq::Place;

#[test]
fn every_dependency_has_its_line_and_a_dead_one_fails_the_check() {
    let place = Place::new(Kafka::start());
    let well = place.say("check --probe");
    assert_eq!(well.code, Some(0), "{}", well.err);
    let text = String::from_utf8(well.out).unwrap();
    let line = text.lines().find(|line| line.starts_with("ok    kafka")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(" ms  ") && line.contains("topics"), "{line}");
    assert!(text.contains("the configuration is valid"), "values and their sources come first");

    let dead = place.say(
        "check --probe --output json --set clickhouse.url=http://127.0.0.1:1 --set kafka.topics.users=nowhere \
         --set backup.url=/proc/nowhere --set kafka.request_timeout_ms=2000",
    );
    assert_eq!(dead.code, Some(1));
    assert!(dead.err.contains("kafka, clickhouse, backup"), "{}", dead.err);
    let answers: serde_json::Value = serde_json::from_slice(&dead.out).unwrap();
    assert_eq!(answers["ok"], false);
    for probe in answers["dependencies"].as_array().unwrap() {
        assert_eq!(probe["ok"], false, "{probe:#}");
        assert!(!probe["detail"].as_str().unwrap().is_empty() && !probe["mend"].as_str().unwrap().is_empty());
    }
    assert_eq!(answers["dependencies"].as_array().unwrap().len(), 3);
}
