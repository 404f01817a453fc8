//! `edgefeed demo`: one command, nothing installed, a working curl line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A demo whose greeting has been read.
struct Demo {
    child: Child,
    lines: Vec<String>,
}

impl Demo {
    fn start(dir: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_edgefeed"))
            .args(["demo", "--users", "300", "--posts", "3000", "--port", "0", "--admin-port", "0", "--seconds", "4"])
            .arg("--data-dir")
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut demo = Self { child, lines: Vec::new() };
        for line in BufReader::new(demo.child.stdout.take().unwrap()).lines() {
            demo.lines.push(line.unwrap());
            if demo.lines.last().is_some_and(|line| line.trim_start().starts_with("curl ")) {
                return demo;
            }
        }
        panic!("the demo ended without a curl line: {:?}", demo.lines);
    }

    fn value(&self, name: &str) -> &str {
        let line = self.lines.iter().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap()
    }

    /// What the curl line asks for.
    async fn page(&self) -> Value {
        let line = self.lines.last().unwrap();
        let url = line.split('\'').find(|part| part.starts_with("http://")).unwrap();
        let request = reqwest::Client::new().get(url).bearer_auth(self.value("token")).timeout(Duration::from_secs(10));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    fn ends_well(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_serves_twenty_ranked_posts_and_starts_afresh_in_a_kept_directory() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Demo::start(dir.path());
    let page = demo.page().await;
    let posts = page["posts"].as_array().unwrap();
    assert_eq!(posts.len(), 20);
    assert_eq!(page["served_from"], "local");
    for post in posts {
        let terms = &post["explain"];
        let term = |name: &str| terms[name].as_f64().unwrap();
        let score = 0.30 * term("freshness") + 0.40 * term("engagement") + 0.30 * term("affinity");
        assert_eq!(post["score"].as_f64(), Some(score), "the score is the weighted sum of its terms");
    }
    let text = reqwest::get(demo.value("metrics")).await.unwrap().text().await.unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let said =
            |word: &str| text.contains(&format!("# {word} {family} ")) || text.contains(&format!("# {word} {name} "));
        assert!(said("HELP") && said("TYPE"), "{name} has no HELP or TYPE");
    }
    demo.ends_well();

    let again = Demo::start(dir.path());
    assert!(again.lines.iter().any(|line| line.contains("starting afresh")), "{:?}", again.lines);
    assert_eq!(again.page().await["posts"].as_array().unwrap().len(), 20);
    again.ends_well();
}
