//! TLS of a listener.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use warp::path;

use super::{Client, Server};
use crate::http;
use crate::http::edge::Edge;
use crate::http::limits::Config;
use crate::http::pin::Pinned;
use crate::http::resource::{Takes, json, listener, resource};
use crate::http::tls::Tls;

const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];
const OLD: &[&SupportedProtocolVersion] = &[&version::TLS12];
const PING: &str = "GET /ping HTTP/1.1\r\nhost: x\r\n\r\n";

/// A certificate of its own in `cert.pem`, its key in `key.pem`; gives the certificate.
fn certify(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

fn config(dir: &Path) -> http::Config {
    http::Config { tls_cert: dir.join("cert.pem"), tls_key: dir.join("key.pem"), ..http::Config::default() }
}

async fn start(dir: &Path, limits: Config) -> (Server, Arc<Tls>) {
    let http = config(dir);
    let tls = http.tls().unwrap().unwrap();
    let routes = listener([resource(path!("ping"), "/ping", Takes::Get, |_| async { json(&"pong") })]);
    (Server::start_behind(Edge::public(&http, &limits, Some(Arc::clone(&tls))), routes).await, tls)
}

/// A client that trusts this certificate alone.
async fn connect(
    server: &Server,
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(Client::over)
}

#[tokio::test]
async fn requests_are_answered_over_tls_12_and_13_and_not_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certify(dir.path());
    let (server, _tls) = start(dir.path(), Config::default()).await;
    for versions in [NEW, OLD] {
        let mut client = connect(&server, &trusted, versions).await.unwrap();
        for _ in 0..3 {
            client.send(PING).await;
            let answer = client.answer().await.unwrap();
            assert_eq!((answer.status, answer.json()), (200, "pong".into()));
            assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
        }
    }
    let mut plain = server.connect().await;
    plain.send(PING).await;
    assert!(plain.answer().await.is_none(), "plain HTTP gets no answer");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_while_open_ones_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let old = certify(dir.path());
    let (server, tls) = start(dir.path(), Config::default()).await;
    let mut open = connect(&server, &old, NEW).await.unwrap();
    open.send(PING).await;
    assert_eq!(open.answer().await.unwrap().status, 200);

    let new = certify(dir.path());
    connect(&server, &old, NEW).await.expect("until it is told, the node keeps what it has");
    tls.reload().unwrap();
    assert!(connect(&server, &old, NEW).await.is_err(), "whoever trusts only the old one is not served any more");
    let mut fresh = connect(&server, &new, NEW).await.unwrap();
    for client in [&mut open, &mut fresh] {
        client.send(PING).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }

    // A renewal that went wrong is told and changes nothing.
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(dir.path().join("key.pem"), other.serialize_pem()).unwrap();
    let problem = tls.reload().unwrap_err().to_string();
    assert!(problem.contains("http.tls_cert") && problem.contains("key.pem"), "{problem}");
    assert!(!problem.contains("BEGIN"), "{problem}");
    connect(&server, &new, NEW).await.unwrap();
}

/// As the command line speaks with the admin listener.
#[tokio::test]
async fn whoever_has_the_certificate_at_hand_speaks_with_its_holder_and_nobody_else() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certify(dir.path());
    certify(elsewhere.path());
    let (server, _tls) = start(dir.path(), Config::default()).await;
    let connect = async |dir: &Path| {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Pinned::new(&dir.join("cert.pem")).unwrap().connect(stream, server.address.ip()).await
    };
    let mut client = Client::over(connect(dir.path()).await.unwrap());
    client.send(PING).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(connect(elsewhere.path()).await.is_err());
    assert!(Pinned::new(&dir.path().join("no.pem")).unwrap_err().contains("no.pem"));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_closed_at_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certify(dir.path());
    let (server, _tls) = start(dir.path(), Config { tls_handshake_timeout_ms: 200, ..Config::default() }).await;
    let (mut silent, mut dripping) = (server.connect().await, server.connect().await);
    let start = Instant::now();
    dripping.stream.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    assert!(silent.is_closed().await && dripping.is_closed().await);
    assert!(start.elapsed() >= Duration::from_millis(190) && start.elapsed() < Duration::from_secs(10));
    connect(&server, &trusted, NEW).await.expect("others are served");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let (mut server, _tls) = start(dir.path(), Config { tls_handshake_timeout_ms: 60_000, ..Config::default() }).await;
    let mut silent = server.connect().await;
    let start = Instant::now();
    server.stop();
    assert!(silent.is_closed().await);
    assert_eq!(server.drained().await.cut, 0);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn files_that_cannot_work_are_found_before_a_port_opens() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path());
    let good = config(dir.path());
    let problems = |http: &http::Config| {
        let mut problems = Vec::new();
        http.check(&mut problems);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(problems(&good), "");
    let half = http::Config { tls_key: "".into(), ..good.clone() };
    assert!(problems(&half).contains("http.tls_key: is not set"), "{}", problems(&half));
    let missing = http::Config { tls_cert: dir.path().join("no.pem"), ..good.clone() };
    assert!(problems(&missing).contains("no.pem"), "{}", problems(&missing));
    let swapped = http::Config { tls_cert: good.tls_key.clone(), tls_key: good.tls_cert.clone(), ..good.clone() };
    assert!(problems(&swapped).contains("holds no certificate"), "{}", problems(&swapped));
    certify(dir.path());
    std::fs::write(dir.path().join("key.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(problems(&good).contains("key.pem"), "{}", problems(&good));
}
