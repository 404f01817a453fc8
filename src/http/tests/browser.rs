//! What browsers are told, and answers that are made smaller for them.

use std::future::ready;

use warp::path;

use super::Server;
use crate::http;
use crate::http::edge::Edge;
use crate::http::limits::Config;
use crate::http::resource::{Takes, json, listener, resource, with_type};
use crate::problem::Problem;

const LARGE: usize = 40_000;

async fn start(origins: &[&str]) -> Server {
    let http = http::Config {
        cors_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        ..http::Config::default()
    };
    let routes = listener([
        resource(path!("thing"), "/thing", Takes::Get, |_| ready(json(&"a thing"))),
        resource(path!("large"), "/large", Takes::Get, |_| {
            ready(Ok::<_, http::Error>(with_type("application/json", vec![b' '; LARGE].into())))
        }),
    ]);
    Server::start_behind(Edge::public(&http, &Config::default(), None), routes).await
}

const PREFLIGHT: &str =
    "access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n";

#[tokio::test]
async fn a_preflight_of_a_configured_origin_is_answered_and_of_another_one_is_not_allowed() {
    let server = start(&["https://app.example", "https://beta.example"]).await;
    let ask = async |origin: &str| {
        server.ask(&format!("OPTIONS /thing HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\n{PREFLIGHT}\r\n")).await
    };
    let answer = ask("https://beta.example").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://beta.example"));
    for method in ["GET", "HEAD", "POST"] {
        assert!(answer.header("access-control-allow-methods").unwrap().contains(method));
    }
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert!(answer.header("vary").unwrap().contains("origin"));
    assert!(answer.header("x-request-id").is_some());
    for stranger in ["https://app.example.evil", "http://app.example", "null"] {
        assert_eq!(ask(stranger).await.header("access-control-allow-origin"), None, "{stranger}");
    }
}

#[tokio::test]
async fn answers_and_errors_are_readable_for_a_configured_origin_alone() {
    let server = start(&["https://app.example"]).await;
    for (path, status) in [("/thing", 200), ("/nothing", 404)] {
        let ask = async |origin: &str| server.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n{origin}\r\n")).await;
        let answer = ask("origin: https://app.example\r\n").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-feed-source") && exposed.contains("retry-after"), "{exposed}");
        assert_eq!(ask("origin: https://evil.example\r\n").await.header("access-control-allow-origin"), None);
        assert_eq!(ask("").await.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn without_origins_nothing_is_said_and_options_is_a_method_like_any_other() {
    let server = start(&[]).await;
    let answer =
        server.ask(&format!("OPTIONS /thing HTTP/1.1\r\nhost: x\r\norigin: https://a\r\n{PREFLIGHT}\r\n")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn what_is_no_origin_is_found_before_a_port_opens() {
    let problems = |origins: &[&str]| {
        let mut problems: Vec<Problem> = Vec::new();
        http::Config { cors_origins: origins.iter().map(|o| (*o).to_owned()).collect(), ..http::Config::default() }
            .check(&mut problems);
        problems.len()
    };
    assert_eq!(problems(&["https://app.example", "http://localhost:3000"]), 0);
    assert_eq!(problems(&["*"]), 0);
    for wrong in ["https://app.example/", "app.example", "https://", "https://*.example", "https://App.example", ""] {
        assert_eq!(problems(&[wrong]), 1, "{wrong}");
    }
    assert_eq!(problems(&["*", "https://app.example"]), 1);
}

#[tokio::test]
async fn a_large_answer_is_compressed_where_the_client_takes_it_and_a_small_one_never() {
    let server = start(&[]).await;
    let ask = async |path: &str, accepts: &str| {
        let mut client = server.connect().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{accepts}\r\n")).await;
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes.len() - end)
    };
    for encoding in ["gzip", "br"] {
        let (head, length) = ask("/large", &format!("accept-encoding: {encoding}\r\n")).await;
        assert!(head.contains(&format!("content-encoding: {encoding}\r\n")), "{head}");
        assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
        assert!(length < LARGE / 10, "{length}");
        let (head, length) = ask("/thing", &format!("accept-encoding: {encoding}\r\n")).await;
        assert!(!head.contains("content-encoding") && length == 9, "{head}");
    }
    let (head, length) = ask("/large", "").await;
    assert!(!head.contains("content-encoding") && length == LARGE, "{head}");
}

#[tokio::test]
async fn every_answer_carries_the_fields_that_keep_browsers_from_guessing() {
    let server = start(&[]).await;
    for path in ["/thing", "/nothing"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(answer.header("strict-transport-security"), None, "not in the clear");
        assert_eq!(answer.header("server"), None);
    }
}
