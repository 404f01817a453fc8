//! Tables are made once, and a database made otherwise is left alone.

use edgefeed_storage::model::IdKind;
use edgefeed_sync::center::{Center, Config, Error, Migrated, State, Table};

use super::server::Server;

fn states(migrated: &Migrated) -> Vec<State> {
    let mut states: Vec<_> = migrated.steps.iter().map(|step| step.state).collect();
    states.dedup();
    states
}

#[test]
fn tables_are_made_once_and_a_second_run_finds_nothing_to_do() {
    for ids in [IdKind::Uuid, IdKind::U64] {
        let Some(server) = Server::without_tables("tables are made once") else { return };
        let run = |dry| server.wait(server.center.migrate(ids, "", dry)).unwrap();
        assert_eq!(states(&run(true)), [State::Pending]);
        let none: u64 = server.one(&format!("SELECT count() FROM system.databases WHERE name = '{}'", server.database));
        assert_eq!(none, 0, "a dry run made the database");

        let first = run(false);
        assert_eq!(states(&first), [State::Applied]);
        assert_eq!(states(&run(false)), [State::Already]);
        assert_eq!(states(&run(true)), [State::Already]);
        let recorded: Vec<String> = server.ask("SELECT name FROM {db}.schema_migrations ORDER BY number");
        let files: Vec<_> = first.steps.iter().skip(2).map(|step| step.name).collect();
        assert_eq!(recorded, files);
        assert_eq!(server.wait(server.center.preflight(&Table::ALL, ids, 100_000)).unwrap(), []);
    }
}

#[test]
fn a_run_that_was_cut_off_is_continued() {
    let Some(server) = Server::with_tables("a run that was cut off is continued", IdKind::Uuid) else { return };
    // One was made and not recorded, another neither.
    server.run("ALTER TABLE {db}.schema_migrations DELETE WHERE number >= 11 SETTINGS mutations_sync = 1");
    server.run("DROP VIEW {db}.mv_user_author_90d");
    let run = || server.wait(server.center.migrate(IdKind::Uuid, "", false)).unwrap();
    assert_eq!(states(&run()), [State::Already, State::Applied]);
    assert_eq!(states(&run()), [State::Already]);
    assert_eq!(server.wait(server.center.preflight(&Table::ALL, IdKind::Uuid, 100_000)).unwrap(), []);
}

#[test]
fn a_database_made_otherwise_is_refused_and_not_touched() {
    let Some(server) = Server::with_tables("a database made otherwise is refused", IdKind::Uuid) else { return };
    let refused = |ids, cluster, words: &str| {
        for dry_run in [true, false] {
            match server.wait(server.center.migrate(ids, cluster, dry_run)) {
                Err(Error::Conflict(line)) => assert!(line.contains(words), "{line}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    };
    let record = |number, name, checksum| {
        server.run(&format!(
            "INSERT INTO {{db}}.schema_migrations (number, name, checksum, ids) VALUES ({number}, '{name}', '{checksum}', 'uuid')"
        ));
    };
    refused(IdKind::U64, "", "node.ids is u64");
    refused(IdKind::Uuid, "main", "applied for one server, and not for the cluster main");
    record(99, "099_later.sql", "x");
    refused(IdKind::Uuid, "", "099_later.sql was applied, and this edgefeed has no such file");
    server.run("ALTER TABLE {db}.schema_migrations DELETE WHERE number = 99 SETTINGS mutations_sync = 1");
    record(7, "007_post_metrics_1h.sql", "other");
    refused(IdKind::Uuid, "", "007_post_metrics_1h.sql was applied, and is not what");
}

#[test]
fn a_dry_run_needs_no_server_and_says_so() {
    let config = Config { url: "http://127.0.0.1:1".to_owned(), ..Config::default() };
    let center = Center::new(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let planned = runtime.block_on(center.migrate(IdKind::Uuid, "main", true)).unwrap();
    assert!(planned.away.as_deref().is_some_and(|why| why.contains("refused")), "{:?}", planned.away);
    assert_eq!(states(&planned), [State::Pending]);
    assert!(runtime.block_on(center.migrate(IdKind::Uuid, "main", false)).is_err());
    assert!(matches!(runtime.block_on(center.migrate(IdKind::Uuid, "ma`in", true)), Err(Error::Config(_))));
}

#[test]
fn the_statements_for_a_cluster_are_understood_by_the_engine() {
    let Some(server) = Server::without_tables("statements for a cluster are understood") else { return };
    // Not run: that takes several servers and a Keeper.
    for ids in [IdKind::Uuid, IdKind::U64] {
        let planned = server.wait(server.center.migrate(ids, "my-cluster", true)).unwrap();
        for step in planned.steps {
            let tree: Vec<String> = server.ask(&format!("EXPLAIN AST {}", step.statement));
            assert!(tree[0].contains("Create"), "{}: {tree:?}", step.name);
            let one_line: String = server.one(&format!("SELECT formatQuerySingleLine($${}$$)", step.statement));
            assert!(one_line.contains("ON CLUSTER `my-cluster`"), "{one_line}");
            let windows = one_line.contains("replicated_deduplication_window = 100000")
                && one_line.contains("replicated_deduplication_window_seconds = 604800")
                && one_line.contains("ENGINE = Replicated");
            let is_table = one_line.starts_with("CREATE TABLE") && step.name != "schema_migrations";
            assert_eq!(windows, is_table, "{one_line}");
        }
    }
    // What a cluster is asked beside.
    let tree: Vec<String> = server.ask("EXPLAIN AST SYSTEM SYNC REPLICA `a-b`.schema_migrations LIGHTWEIGHT");
    assert!(tree[0].contains("SYSTEM"), "{tree:?}");
}
