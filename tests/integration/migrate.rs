//! `edgefeed migrate` as an operator runs it, against the real PostgreSQL and the real ClickHouse engine.

use std::io::Write as _;
use std::process::Command;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// A server of the stack; where there is none the promise goes unproved, which is said, and is a failure in CI.
fn address(name: &str, promise: &str) -> Option<String> {
    if let Some(given) = std::env::var(name).ok().filter(|given| !given.is_empty()) {
        return Some(given);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "without proof: {promise}: {name} is not set");
    if let Some(list) = std::env::var_os("EDGEFEED_TEST_UNPROVED") {
        let mut list = std::fs::File::options().create(true).append(true).open(list).unwrap();
        writeln!(list, "{promise}: {name} is not set; `make test` starts the real stack").unwrap();
    }
    None
}

/// What the program says: exit code, standard output, standard error.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn migrate(words: &[&str], environment: &[(&str, &str)]) -> Said {
    let place = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgefeed"));
    command.current_dir(&place).env_clear().env("EDGEFEED__AUTH__HS256_SECRET", "0123456789abcdef0123456789abcdef");
    let done = command.arg("migrate").args(words).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

#[test]
fn an_operator_makes_the_center_s_tables_once() {
    let Some(url) = address("EDGEFEED_TEST_CLICKHOUSE", "an operator makes the center's tables") else { return };
    let database = format!("migrate-{}", uuid::Uuid::new_v4().simple());
    let environment = [("EDGEFEED__CLICKHOUSE__URL", url.as_str()), ("EDGEFEED__CLICKHOUSE__DATABASE", &database)];
    let ask = |words: &[&str]| migrate(words, &environment);

    let planned = ask(&["clickhouse", "--dry-run"]);
    assert_eq!(planned.code, 0, "{}", planned.err);
    assert!(planned.out.contains(&format!("CREATE TABLE IF NOT EXISTS `{database}`.events")), "{}", planned.out);
    let made = ask(&[]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert!(made.out.contains("applied 012_mv_user_author_90d.sql"), "{}", made.out);
    let again = ask(&["clickhouse"]);
    assert!(again.code == 0 && again.out.contains("nothing to do"), "{}", again.out);
    let told: Value = serde_json::from_str(&ask(&["clickhouse", "--output", "json"]).out).unwrap();
    let steps = told["clickhouse"]["steps"].as_array().unwrap();
    assert!(steps.len() > 12 && steps.iter().all(|step| step["state"] == "already"), "{told}");

    for (words, code, says) in [
        (&["clickhouse", "--set", "node.ids=u64"][..], 1, "node.ids is u64"),
        (&["clickhouse", "--cluster", "main"], 1, "not for the cluster main"),
        (&["clickhouse", "--cluster", "ma`in"], 2, "not a plain name"),
        (&["postgres"], 78, "postgres.url: is not set"),
        (&["clickhouse", "--set", "clickhouse.url=http://127.0.0.1:1"], 1, "is ClickHouse well at http://127.0.0.1:1?"),
    ] {
        let refused = ask(words);
        assert_eq!(refused.code, code, "{words:?}: {}", refused.err);
        assert!(refused.err.contains(says) && refused.err.lines().count() == 1, "{words:?}: {}", refused.err);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let drop = reqwest::Client::new().post(&url).body(format!("DROP DATABASE `{database}`")).send();
        assert!(drop.await.unwrap().status().is_success());
    });
}

/// A database without tables, its owner's address, and an end to it.
struct Fresh {
    admin: String,
    name: String,
    owner: String,
}

impl Fresh {
    async fn new(admin: String, owner: &str) -> Self {
        let name = format!("migrate{}", uuid::Uuid::new_v4().simple());
        let at = |address: &str| format!("{}/{name}", address.rsplit_once('/').unwrap().0);
        let fresh = Self { owner: at(owner), name: name.clone(), admin };
        fresh.run(&fresh.admin, format!("CREATE DATABASE {name} OWNER edgefeed")).await;
        fresh
    }

    async fn run(&self, address: &str, sql: String) {
        let mut connection = PgConnection::connect(address).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    async fn drop(self) {
        self.run(&self.admin, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

#[tokio::test]
async fn an_operator_makes_the_application_s_tables_once_and_a_reader_may_not() {
    let promise = "an operator makes the application's tables";
    let (Some(admin), Some(owner), Some(reader)) = (
        address("EDGEFEED_TEST_POSTGRES_ADMIN", promise),
        address("EDGEFEED_TEST_POSTGRES", promise),
        address("EDGEFEED_TEST_POSTGRES_READER", promise),
    ) else {
        return;
    };
    let fresh = Fresh::new(admin, &owner).await;
    let reader = format!("{}/{}", reader.rsplit_once('/').unwrap().0, fresh.name);
    let ask = |address: &str, words: &[&str]| migrate(words, &[("EDGEFEED__POSTGRES__URL", address)]);

    let refused = ask(&reader, &["postgres"]);
    assert!(
        refused.code == 1 && refused.err.contains("an owner's address in EDGEFEED__POSTGRES__URL"),
        "{}",
        refused.err
    );
    let planned = ask(&fresh.owner, &["--dry-run"]);
    assert!(planned.code == 0 && planned.out.contains("CREATE TABLE IF NOT EXISTS posts"), "{}", planned.err);
    let made = ask(&fresh.owner, &[]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert!(made.out.contains("applied uuid/001_tables.sql") && made.out.contains("3 applied"), "{}", made.out);
    let again = ask(&fresh.owner, &["postgres"]);
    assert!(again.code == 0 && again.out.contains("nothing to do"), "{}", again.out);
    let other = ask(&fresh.owner, &["--set", "node.ids=u64"]);
    assert!(other.code == 1 && other.err.contains("node.ids is u64"), "{}", other.err);

    // An application's own table, of the other kind of ids, has no record.
    fresh.run(&fresh.owner, "DROP TABLE edgefeed_migrations".to_owned()).await;
    let other = ask(&fresh.owner, &["--set", "node.ids=u64"]);
    assert!(other.code == 1 && other.err.contains("posts.id is uuid"), "{}", other.err);
    fresh.run(&fresh.owner, "DO $$ BEGIN ASSERT to_regclass('edgefeed_migrations') IS NULL; END $$".to_owned()).await;

    let away = ask("postgres://u:hunter2@127.0.0.1:1/x", &["postgres"]);
    assert!(
        away.code == 1 && !away.err.contains("hunter2") && away.err.contains("is PostgreSQL there"),
        "{}",
        away.err
    );
    fresh.drop().await;
}
