//! A table that would lose or double rows is named with its mend, before anything is sent.

use edgefeed_storage::model::IdKind;
use edgefeed_sync::center::{Center, Complaint, Config, Table};

use super::server::Server;

const DEDUP: &str = "non_replicated_deduplication_window";

fn look(server: &Server, tables: &[Table], ids: IdKind) -> Vec<Complaint> {
    server.wait(server.center.preflight(tables, ids, 10_000)).unwrap()
}

/// Makes a table or view anew, as its own statement with some words replaced makes it.
fn remake(server: &Server, table: &str, replaced: &[(&str, &str)]) {
    let mut statement: String = server.one(&format!(
        "SELECT create_table_query FROM system.tables WHERE database = '{}' AND name = '{table}'",
        server.database
    ));
    for (old, new) in replaced {
        assert!(statement.contains(old), "{statement}");
        statement = statement.replace(old, new);
    }
    server.run(&format!("DROP TABLE {{db}}.{table}"));
    server.run(&statement);
}

/// What is complained of after a defect: table and property, in order, each once.
fn complaints(promise: &str, defect: impl Fn(&Server)) -> Option<Vec<Complaint>> {
    let server = Server::with_tables(promise, IdKind::Uuid)?;
    defect(&server);
    Some(look(&server, &Table::ALL, IdKind::Uuid))
}

/// Expects one complaint with these words in its line.
fn one(promise: &str, words: &[&str], defect: impl Fn(&Server)) {
    let Some(found) = complaints(promise, defect) else { return };
    assert_eq!(found.len(), 1, "{found:#?}");
    let line = found[0].to_string();
    for word in words {
        assert!(line.contains(word), "{word}: {line}");
    }
}

#[test]
fn a_source_that_forgets_tokens_is_refused() {
    one(
        "a source that forgets is refused",
        &["likes_cdc", DEDUP, "9999", "10000 or more", "MODIFY SETTING"],
        |server| {
            server.run(&format!("ALTER TABLE {{db}}.likes_cdc MODIFY SETTING {DEDUP} = 9999"));
        },
    );
}

#[test]
fn a_view_s_target_that_forgets_tokens_is_refused() {
    one("a target that forgets is refused", &["user_author_90d", DEDUP, "is 0,"], |server| {
        server.run(&format!("ALTER TABLE {{db}}.user_author_90d RESET SETTING {DEDUP}"));
    });
}

#[test]
fn the_mend_of_a_window_is_a_statement_that_mends_it() {
    let Some(server) = Server::with_tables("the mend of a window mends it", IdKind::U64) else { return };
    server.run(&format!("ALTER TABLE {{db}}.post_metrics_1h MODIFY SETTING {DEDUP} = 0"));
    server.run("ALTER TABLE {db}.events DROP COLUMN app_ver");
    for complaint in look(&server, &Table::ALL, IdKind::U64) {
        server.run(&complaint.mend);
    }
    assert_eq!(look(&server, &Table::ALL, IdKind::U64), []);
}

#[test]
fn a_missing_table_is_named() {
    one("a missing table is named", &["posts_cdc: the table is missing", "edgefeed migrate"], |server| {
        server.run("DROP TABLE {db}.posts_cdc");
    });
}

#[test]
fn a_missing_column_and_one_of_another_type_are_named() {
    one("a missing column is named", &["follows_cdc: column _epoch is missing", "UInt32"], |server| {
        server.run("ALTER TABLE {db}.follows_cdc DROP COLUMN _epoch");
    });
    one("a wrong type is named", &["events: column dwell_ms is UInt16, must be UInt32"], |server| {
        server.run("DROP VIEW {db}.mv_post_metrics_1h");
        remake(server, "events", &[("`dwell_ms` UInt32", "`dwell_ms` UInt16")]);
        // The view again: it hung on the old table.
        server.run(
            "CREATE MATERIALIZED VIEW {db}.mv_post_metrics_1h TO {db}.post_metrics_1h AS SELECT post_id FROM {db}.events",
        );
    });
}

#[test]
fn tables_for_the_other_kind_of_ids_are_refused() {
    let Some(server) = Server::with_tables("tables for other ids are refused", IdKind::Uuid) else { return };
    let found = look(&server, &[Table::Likes], IdKind::U64);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("likes_cdc: column user_id is UUID, must be UInt64"), "{lines:#?}");
    assert!(lines[1].contains("node.ids"), "{lines:#?}");
}

#[test]
fn another_engine_is_refused() {
    one(
        "another engine is refused",
        &["blocks_cdc: engine is MergeTree, must be ReplacingMergeTree(_version, _deleted)"],
        |server| {
            remake(server, "blocks_cdc", &[("ReplacingMergeTree(_version, _deleted)", "MergeTree")]);
        },
    );
    one("an engine without deletions is refused", &["blocks_cdc: engine is ReplacingMergeTree(_version),"], |server| {
        remake(server, "blocks_cdc", &[("(_version, _deleted)", "(_version)")]);
    });
    one("a front of other tables is refused", &["blocks_cdc: engine is Memory"], |server| {
        server.run("CREATE TABLE {db}.other AS {db}.blocks_cdc ENGINE = Memory");
        server.run("DROP TABLE {db}.blocks_cdc");
        server.run("RENAME TABLE {db}.other TO {db}.blocks_cdc");
    });
}

#[test]
fn another_sorting_key_is_refused() {
    one("another sorting key is refused", &["comments_cdc: sorting key is post_id, id, must be id;"], |server| {
        remake(server, "comments_cdc", &[("ORDER BY id", "ORDER BY (post_id, id)")]);
    });
}

#[test]
fn partitions_that_would_keep_versions_of_a_row_apart_are_refused() {
    one("partitions of a changing row are refused", &["comments_cdc: partition key is toYYYYMM(_ts)"], |server| {
        remake(server, "comments_cdc", &[("ORDER BY id", "PARTITION BY toYYYYMM(_ts) ORDER BY id")]);
    });
}

#[test]
fn a_missing_view_is_named() {
    one("a missing view is named", &["mv_user_author_90d: the view is missing", "user_author_90d"], |server| {
        server.run("DROP VIEW {db}.mv_user_author_90d");
    });
}

#[test]
fn a_view_to_another_table_or_from_another_is_named() {
    one(
        "a view to another table is named",
        &["mv_post_metrics_daily: target is", "other, must be", "post_metrics_daily"],
        |server| {
            server.run("CREATE TABLE {db}.other AS {db}.post_metrics_daily");
            remake(server, "mv_post_metrics_daily", &[(".post_metrics_daily (", ".other (")]);
        },
    );
    one("a view from another table is named", &["mv_post_metrics_daily: source is another table"], |server| {
        server.run("CREATE TABLE {db}.other AS {db}.events");
        remake(server, "mv_post_metrics_daily", &[(".events WHERE", ".other AS events WHERE")]);
    });
}

#[test]
fn the_mend_of_what_is_missing_makes_it_again() {
    let Some(server) = Server::with_tables("the mend of what is missing makes it again", IdKind::Uuid) else { return };
    server.run("DROP TABLE {db}.user_author_90d");
    server.run("DROP VIEW {db}.mv_user_author_90d");
    let found = look(&server, &Table::ALL, IdKind::Uuid);
    assert_eq!(found.len(), 2, "{found:#?}");
    for complaint in found {
        let (statement, then) = complaint.mend.split_once(", then run ").unwrap();
        assert!(then.starts_with("`edgefeed migrate clickhouse`"), "{then}");
        server.run(statement);
    }
    server.wait(server.center.migrate(IdKind::Uuid, "", false)).unwrap();
    assert_eq!(look(&server, &Table::ALL, IdKind::Uuid), []);
}

#[test]
fn tables_without_replicas_are_refused_where_a_quorum_is_asked_for() {
    let Some(server) = Server::with_tables("tables without replicas are refused", IdKind::Uuid) else { return };
    let config = Config { cluster: "main".to_owned(), ..server.config.clone() };
    let center = Center::new(&config).unwrap();
    let found = server.wait(center.preflight(&[Table::Likes], IdKind::Uuid, 10_000)).unwrap();
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(lines.len() == 1 && lines[0].contains("must be ReplicatedReplacingMergeTree"), "{lines:#?}");
}

#[test]
fn only_the_tables_that_are_asked_about_are_judged() {
    let Some(server) = Server::with_tables("only the tables asked about are judged", IdKind::Uuid) else { return };
    server.run("DROP VIEW {db}.mv_user_author_90d");
    server.run("DROP TABLE {db}.blocks_cdc");
    assert_eq!(look(&server, &[Table::Posts, Table::Likes], IdKind::Uuid), []);
    assert_eq!(look(&server, &Table::ALL, IdKind::Uuid).len(), 2);
}
