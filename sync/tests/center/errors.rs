//! What the center's failures say, and that none of them takes longer than it may.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use edgefeed_storage::model::IdKind;
use edgefeed_sync::center::{Center, Class, Config, Encoded, Error, SCHEMA, Table, known_codes};

use super::server::Server;

/// Some row: one of these servers never reads it.
fn rows() -> Encoded {
    Encoded::new(vec![0; 100])
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn config(url: String) -> Config {
    Config { url, insert_timeout_ms: 300, query_timeout_ms: 300, ..Config::default() }
}

/// A server that answers every request on its one connection with these words, or with nothing at all.
fn answering(words: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(words) = words {
                let mut seen = [0; 65_536];
                drop(stream.read(&mut seen));
                drop(stream.write_all(words.as_bytes()));
            }
            open.push(stream);
        }
    });
    url
}

#[test]
fn a_server_that_is_not_there_is_a_transient_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let center = Center::new(&config(format!("http://{gone}"))).unwrap();
    for error in [block_on(center.ping()), block_on(center.insert(Table::Events, &rows(), "t"))] {
        let error = error.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Transient, None), "{error}");
    }
}

#[test]
fn a_server_that_says_nothing_is_waited_for_no_longer_than_allowed() {
    let center = Center::new(&config(answering(None))).unwrap();
    for what in ["query", "insert"] {
        let before = Instant::now();
        let answer = match what {
            "query" => block_on(center.ping()),
            _ => block_on(center.insert(Table::Events, &Encoded::new(vec![7; 8 << 20]), "t")),
        };
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::TimedOut { after_ms: 300, .. }), "{error}");
        assert_eq!(error.class(), Class::Transient);
        assert!(before.elapsed() < Duration::from_secs(3), "{what}: {:?}", before.elapsed());
    }
}

#[test]
fn a_proxy_s_answer_is_no_answer_of_clickhouse() {
    let url = answering(Some("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let error = block_on(Center::new(&config(url)).unwrap().ping()).unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Transient, None), "{error}");
    let url = answering(Some("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhat?"));
    let error = block_on(Center::new(&config(url)).unwrap().ping()).unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Unknown, None), "{error}");
}

#[test]
fn a_password_is_never_shown() {
    let config = Config { password: "hunter2".into(), url: "http://127.0.0.1:1".to_owned(), ..Config::default() };
    let center = Center::new(&config).unwrap();
    let words = format!("{center:?} {:?}", block_on(center.ping()));
    assert!(!words.contains("hunter2"), "{words}");
}

#[test]
fn a_center_that_cannot_stand_is_refused_with_its_key() {
    for (config, key) in [
        (Config::default(), "clickhouse.url"),
        (Config { database: "a`b".to_owned(), ..config("http://x".to_owned()) }, "clickhouse.database"),
        (Config { cluster: "a b".to_owned(), ..config("http://x".to_owned()) }, "clickhouse.cluster"),
    ] {
        let error = Center::new(&config).unwrap_err();
        assert!(error.to_string().starts_with(key), "{error}");
    }
}

#[test]
fn the_engine_s_errors_are_of_the_class_they_should_be() {
    let Some(server) = Server::without_tables("the engine's errors have their classes") else { return };
    let insert = |rows: &Encoded| server.wait(server.center.insert(Table::Events, rows, "t")).unwrap_err();
    assert_eq!(insert(&rows()).class(), Class::Systemic(SCHEMA), "no database");
    server.wait(server.center.migrate(IdKind::Uuid, "", false)).unwrap();
    let half = insert(&rows());
    assert_eq!(half.class(), Class::Poison, "half a row: {half}");
    server.run("ALTER TABLE {db}.events DROP COLUMN device");
    assert_eq!(insert(&rows()).class(), Class::Systemic(SCHEMA), "no column");
    server.run("DROP TABLE {db}.events");
    assert_eq!(insert(&rows()).class(), Class::Systemic(SCHEMA), "no table");
    server.wait(server.center.ping()).unwrap();
}

#[test]
fn the_table_of_codes_names_them_as_the_engine_does() {
    let Some(server) = Server::without_tables("codes are named as the engine names them") else { return };
    let known: HashMap<u32, String> = server
        .ask::<(i32, String)>(
            "SELECT DISTINCT toInt32(code), name FROM system.errors SETTINGS system_events_show_zero_values = 1",
        )
        .into_iter()
        .map(|(code, name)| (u32::try_from(code).unwrap(), name))
        .collect();
    for (code, name) in known_codes() {
        assert_eq!(known.get(&code).map(String::as_str), Some(name), "{code}");
    }
}
