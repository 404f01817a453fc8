//! What every answer has in common.

use std::future::ready;

use warp::path;

use super::Server;
use crate::http::limits::Config;
use crate::http::resource::{Routes, Takes, json, listener, resource};

fn routes() -> Routes {
    listener([
        resource(path!("thing"), "/thing", Takes::Get, |_| ready(json(&"a thing"))),
        resource(path!("act"), "/act", Takes::Post, |_| ready(json(&"done"))),
    ])
}

async fn start() -> Server {
    Server::start(Config::default(), routes()).await
}

#[tokio::test]
async fn an_unknown_path_is_404_for_every_method() {
    let server = start().await;
    for request in ["GET /", "GET /things", "GET /thing/x", "POST /nothing", "DELETE /api", "OPTIONS *", "BREW /pot"] {
        let answer = server.ask(&format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "not_found"), "{request}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let server = start().await;
    for (request, allow) in
        [("POST /thing", "GET, HEAD"), ("DELETE /thing", "GET, HEAD"), ("GET /act", "POST"), ("BREW /act", "POST")]
    {
        let answer = server.ask(&format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (405, "method_not_allowed"), "{request}");
        assert_eq!(answer.header("allow"), Some(allow), "{request}");
    }
}

#[tokio::test]
async fn what_is_not_http_gets_the_one_error_shape_and_an_end() {
    let server = start().await;
    let many = format!("GET /thing HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
    let large = format!("GET /thing HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let (unreadable, too_large) = ((400, "bad_request"), (431, "head_too_large"));
    for (request, expected) in [
        ("NOT HTTP AT ALL\r\n\r\n", unreadable),
        ("GET /thing HTTP/1.1\r\nno colon\r\n\r\n", unreadable),
        ("GET /thing HTTP/9.9\r\n\r\n", unreadable),
        (&many, too_large),
        (&large, too_large),
    ] {
        let mut client = server.connect().await;
        client.send(request).await;
        let answer = client.answer().await.expect("an answer");
        assert_eq!((answer.status, answer.error_code().as_str()), expected, "{:.60}", request);
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_broken_second_request_gets_the_shape_too_and_leaves_the_first_whole() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("GET /thing HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("NOT HTTP AT ALL\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start().await;
    let mut client = server.connect().await;
    let one = "GET /thing HTTP/1.1\r\nhost: x\r\n\r\n";
    client.send(&format!("{one}GET /no HTTP/1.1\r\nhost: x\r\n\r\n{one}")).await;
    for status in [200, 404, 200] {
        assert_eq!(client.answer().await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_target_above_the_limit_is_414() {
    let server = start().await;
    let answer = server.get(&format!("/thing?{}", "a".repeat(4_100))).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (414, "target_too_long"));
    assert_eq!(server.get(&format!("/thing?{}", "a".repeat(4_000))).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_an_id_and_a_plain_one_of_a_proxy_is_kept() {
    let server = start().await;
    let (first, second) = (server.get("/thing").await, server.get("/thing").await);
    assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
    assert_ne!(first.header("x-request-id").unwrap(), second.header("x-request-id").unwrap());
    let with = async |id: &str| {
        let answer = server.ask(&format!("GET /no HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n")).await;
        answer.error_code();
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(with("edge-7.abc_1").await, "edge-7.abc_1");
    assert_ne!(with("<script>").await, "<script>");
    let long = "a".repeat(65);
    assert_ne!(with(&long).await, long);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("HEAD /thing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut client.stream, &mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("content-length: 9\r\n") && text.ends_with("\r\n\r\n"), "{text}");
}
