//! What operators and probes can rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use ::http::{Request, Response};
use bytes::Bytes;
use edgefeed_storage::Store;
use edgefeed_sync::breaker::{self, Breaker, State};
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Breakers, FeedDoor, Guard, Parts, SinkDoor, routes};
use crate::backup::Keeper;
use crate::config::Config;
use crate::dead_letters::DeadLetters;
use crate::dead_letters::tests::store_with_letters;
use crate::feed::Feed;
use crate::forget::Forgetter;
use crate::inspect::Inspector;
use crate::status::Status;
use crate::tuning::{Reload, Tuning};

const TOKEN: &str = "a token for operators";

/// The other parts of a node, as far as they answer without another machine: five dead letters, and no broker.
fn parts(breakers: &Breakers) -> Parts {
    static STORE: LazyLock<Arc<Store>> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap().keep();
        Arc::new(store_with_letters(&dir))
    });
    let mut config = Config::default();
    config.kafka.brokers = "127.0.0.1:1".to_owned();
    config.kafka.request_timeout_ms = 100;
    let dead_letters = DeadLetters::new(Arc::clone(&STORE), config.kafka.topics.clone());
    let resync = super::ResyncDoor {
        seen: Arc::new(crate::resync::Seen::default),
        order: Arc::new(|_| Err(crate::resync::Trouble::Busy("this node has no center".to_owned()))),
    };
    let tuning = Arc::new(Tuning::default());
    let feed = Arc::new(Feed::new(Arc::clone(&STORE), Arc::default(), Arc::default(), Arc::clone(&tuning)));
    let reload = Arc::new(Reload::new(None, tuning, |_| Ok(())));
    let inspector = Arc::new(Inspector::new(Arc::clone(&STORE), config.kafka.clone()));
    let forgetter = Arc::new(Forgetter::new(Arc::clone(&STORE), None, Vec::new()));
    let keeper = Keeper::new(&config, Arc::clone(&STORE));
    let (sink, feed) = (SinkDoor::outside(&config), FeedDoor::of(move || Arc::clone(&feed)));
    Parts { breakers: Arc::clone(breakers), dead_letters, sink, reload, feed, keeper, inspector, forgetter, resync }
}

/// A request as the router takes it; what the server adds around it is tested with the server.
async fn ask(status: &Arc<Status>, token: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    send(status, &Breakers::from([]), token, method, path, headers, "").await
}

async fn send(
    status: &Arc<Status>,
    breakers: &Breakers,
    token: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Bytes> {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        metrics::describe_counter!("edgefeed_test_total", "A count.");
        metrics::counter!("edgefeed_test_total").increment(3);
    });
    let guard = Guard::new(&SecretString::from(token));
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let routes = routes(Arc::clone(status), recorder.handle(), guard, parts(breakers));
    let answer = warp::service(routes).oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

async fn get(status: &Arc<Status>, path: &str) -> Response<Bytes> {
    ask(status, "", "GET", path, &[("host", "127.0.0.1:9090")]).await
}

fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test]
async fn readiness_gives_its_reasons_and_health_does_not_depend_on_it() {
    let status = Arc::new(Status::default());
    let answer = get(&status, "/readyz").await;
    assert_eq!((answer.status().as_u16(), json_of(&answer)), (503, json!({ "ready": false, "reasons": ["starting"] })));
    assert_eq!(get(&status, "/healthz").await.status(), 200);

    status.set_started();
    assert_eq!(get(&status, "/readyz").await.status(), 200);
    status.add_check(|| Some("catching up: 7 records behind".to_owned()));
    status.add_check(|| None);
    let answer = get(&status, "/readyz").await;
    assert_eq!(json_of(&answer)["reasons"], json!(["catching up: 7 records behind"]));
    assert_eq!(get(&status, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_drain_is_asked_for_by_post_and_reaches_who_waits_for_it() {
    let status = Arc::new(Status::default());
    status.set_started();
    let waiting = tokio::spawn({
        let status = Arc::clone(&status);
        async move { status.draining().await }
    });
    assert_eq!(get(&status, "/admin/drain").await.status(), 405);
    assert!(!status.is_draining());
    let answer = ask(&status, "", "POST", "/admin/drain", &[("host", "localhost:9090")]).await;
    assert_eq!(answer.status(), 202);
    waiting.await.unwrap();
    assert_eq!(json_of(&get(&status, "/readyz").await)["reasons"], json!(["draining"]));
    status.draining().await;
}

#[tokio::test]
async fn the_status_holds_every_registered_part() {
    let status = Arc::new(Status::default());
    status.set_started();
    status.add_section("store", || json!({ "size_bytes": 42 }));
    let answer = get(&status, "/status").await;
    let expected = json!({ "ready": true, "reasons": [], "draining": false, "store": { "size_bytes": 42 } });
    assert_eq!(json_of(&answer), expected);
}

#[tokio::test]
async fn metrics_come_with_help_and_type() {
    let answer = get(&Arc::default(), "/metrics").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    for line in ["# HELP edgefeed_test_total A count.", "# TYPE edgefeed_test_total counter", "edgefeed_test_total 3"] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn the_page_stands_alone() {
    let answer = get(&Arc::default(), "/").await;
    let page = String::from_utf8(answer.body().to_vec()).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="), "no foreign asset");
}

#[tokio::test]
async fn with_a_token_set_only_probes_and_the_empty_page_are_open() {
    let status = Arc::new(Status::default());
    let right = format!("Bearer {TOKEN}");
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/admin/breaker"),
        ("GET", "/admin/dlq"),
        ("GET", "/admin/dlq/counts"),
        ("GET", "/admin/dlq/letter?key=events-0-0"),
        ("GET", "/admin/explain?user=1&post=2"),
        ("GET", "/admin/checkpoint"),
        ("GET", "/admin/inspect/user?id=1"),
        ("GET", "/admin/inspect/store"),
        ("POST", "/admin/checkpoint"),
        ("POST", "/admin/forget"),
        ("POST", "/admin/drain"),
    ] {
        for headers in [
            vec![],
            vec![("authorization", "Bearer a token for operatorz")],
            vec![("authorization", "Basic eA==")],
            vec![("authorization", "Bearer ")],
        ] {
            assert_eq!(ask(&status, TOKEN, method, path, &headers).await.status(), 401, "{path} {headers:?}");
        }
        assert!(!status.is_draining());
        let let_in = ask(&status, TOKEN, method, path, &[("authorization", &right)]).await.status();
        // There is no place for backups here, and no user is named: that is all that is wrong with these orders.
        let incomplete = matches!((method, path), ("POST", "/admin/checkpoint" | "/admin/forget")) && let_in == 400;
        assert!(let_in.is_success() || incomplete, "{method} {path}: {let_in}");
    }
    for path in ["/healthz", "/"] {
        assert_eq!(ask(&status, TOKEN, "GET", path, &[]).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_site_neither_reads_nor_changes() {
    let status = Arc::new(Status::default());
    for host in ["evil.example", "evil.example:9090", "127.0.0.1.evil.example"] {
        assert_eq!(ask(&status, "", "GET", "/status", &[("host", host)]).await.status(), 403, "{host}");
    }
    for host in ["localhost", "127.0.0.1:9090", "[::1]:9090", "[::1]"] {
        assert_eq!(ask(&status, "", "GET", "/status", &[("host", host)]).await.status(), 200, "{host}");
    }
    let local = ("host", "127.0.0.1:9090");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:8000"] {
        let answer = ask(&status, "", "POST", "/admin/drain", &[local, ("origin", origin)]).await;
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert!(!status.is_draining());
    let own = ask(&status, "", "POST", "/admin/drain", &[local, ("origin", "http://127.0.0.1:9090")]).await;
    assert_eq!(own.status(), 202);
}

/// Orders something of the breakers, from this machine.
async fn order(breakers: &Breakers, body: &'static str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let headers = [&[("host", "127.0.0.1:9090")], headers].concat();
    send(&Arc::default(), breakers, "", "POST", "/admin/breaker", &headers, body).await
}

#[tokio::test]
async fn a_breaker_is_told_and_forced_over_its_head() {
    let breaker = Breaker::new("postgres", &breaker::Config::default());
    let breakers = Breakers::from([Breaker::new("clickhouse", &breaker::Config::default()), Arc::clone(&breaker)]);
    let told = order(&breakers, r#"{"dependency": "postgres", "force": "open"}"#, &[]).await;
    assert_eq!((told.status().as_u16(), breaker.state()), (200, State::Open));
    assert_eq!(json_of(&told)["postgres"]["forced"], "open");
    assert_eq!(json_of(&told)["clickhouse"]["state"], "closed", "the other one goes on");
    let headers = [("host", "127.0.0.1:9090")];
    let asked = send(&Arc::default(), &breakers, "", "GET", "/admin/breaker", &headers, "").await;
    assert_eq!(json_of(&asked), json_of(&told));
    order(&breakers, r#"{"dependency": "postgres", "force": "none"}"#, &[]).await;
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn an_order_that_makes_no_sense_or_comes_from_elsewhere_forces_nothing() {
    let breakers = Breakers::from([Breaker::new("postgres", &breaker::Config::default())]);
    for body in [
        "",
        "open",
        r#"{"dependency": "postgres"}"#,
        r#"{"dependency": "postgres", "force": "ajar"}"#,
        r#"{"dependency": "clickhouse", "force": "open"}"#,
        r#"{"dependency": "postgres", "force": "open", "for_ms": 5}"#,
    ] {
        assert_eq!(order(&breakers, body, &[]).await.status(), 400, "{body}");
    }
    let right = r#"{"dependency": "postgres", "force": "open"}"#;
    assert_eq!(order(&breakers, right, &[("origin", "https://evil.example")]).await.status(), 403);
    assert_eq!(breakers[0].state(), State::Closed);
}

#[tokio::test]
async fn what_changes_the_dead_letters_or_the_sink_needs_the_token_too() {
    let status = Arc::new(Status::default());
    for path in ["/admin/dlq/drop", "/admin/dlq/accept", "/admin/sink/resume"] {
        assert_eq!(ask(&status, TOKEN, "POST", path, &[]).await.status(), 401, "{path}");
        assert_eq!(ask(&status, TOKEN, "GET", path, &[]).await.status(), 405, "{path}");
        let lured = [("host", "127.0.0.1:9090"), ("origin", "https://evil.example")];
        assert_eq!(ask(&status, "", "POST", path, &lured).await.status(), 403, "{path}");
    }
    assert_eq!(ask(&status, TOKEN, "GET", "/admin/sink", &[]).await.status(), 401);
}

#[tokio::test]
async fn dead_letters_are_asked_for_and_a_wrong_question_is_the_askers_fault() {
    let status = Arc::new(Status::default());
    let listing = json_of(&get(&status, "/admin/dlq?topic=cdc.likes&limit=1").await);
    assert_eq!(listing["letters"][0]["key"], "cdc.likes-0-4");
    let cursor = listing["cursor"].as_str().unwrap();
    let next = json_of(&get(&status, &format!("/admin/dlq?topic=likes&limit=1&cursor={cursor}")).await);
    assert_eq!((&next["letters"][0]["key"], &next["cursor"]), (&json!("cdc.likes-0-3"), &Value::Null));
    let letter = json_of(&get(&status, "/admin/dlq/letter?key=events-0-0").await);
    assert_eq!((&letter["record_key"], &letter["value"]), (&json!({ "text": "k" }), &json!({ "base64": "/wAB" })));
    assert_eq!(json_of(&get(&status, "/admin/dlq/letter?key=events-0-99").await), Value::Null);
    for path in [
        "/admin/dlq?topic=nothing",
        "/admin/dlq?reason=bad",
        "/admin/dlq?limit=0",
        "/admin/dlq?cursor=x",
        "/admin/dlq/letter",
        "/admin/dlq/letter?key=events-0",
    ] {
        assert_eq!(get(&status, path).await.status(), 400, "{path}");
    }
    let local = [("host", "localhost:9090")];
    for body in ["", "{}", r#"{"keys":["events-0-0"],"all":true}"#, r#"{"everything":true}"#] {
        assert_eq!(
            send(&status, &Breakers::from([]), "", "POST", "/admin/dlq/drop", &local, body).await.status(),
            400,
            "{body}"
        );
    }
    let body = r#"{"partition":"events-0","through":12}"#;
    let answer = send(&status, &Breakers::from([]), "", "POST", "/admin/dlq/accept", &local, body).await;
    assert_eq!(json_of(&answer), json!({ "partition": "events-0", "through": 12, "before": null }));
}

#[tokio::test]
async fn an_order_to_read_the_log_anew_must_say_so_and_a_missing_broker_is_named() {
    let status = Arc::new(Status::default());
    let local = [("host", "localhost:9090")];
    for body in [
        r#"{"from":"earliest","accept_reset":false,"only":null}"#,
        r#"{"from":{"offset":5},"accept_reset":true,"only":null}"#,
        r#"{"from":{"offset":-5},"accept_reset":true,"only":["events",0]}"#,
        r#"{"from":"moon","accept_reset":true,"only":null}"#,
    ] {
        let answer = send(&status, &Breakers::from([]), "", "POST", "/admin/sink/resume", &local, body).await;
        assert_eq!(answer.status(), 400, "{body}");
    }
    assert_eq!(get(&status, "/admin/sink").await.status(), 503);
}
