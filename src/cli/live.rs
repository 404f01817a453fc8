//! One process owns a store: a verb asks the node that holds it, and opens it itself when nobody does. One place for
//! every such verb.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use ::http::{Method, Request, StatusCode};
use bytes::Bytes;
use edgefeed_storage::{Store, StoreError};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::Config;
use crate::failure::Failure;
use crate::http::pin::Pinned;
use crate::kept::Trouble;

/// How long a connection to the node may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take: longer than the node itself gives an order.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(630);
/// The largest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 512 << 20;

/// Where a verb finds what it needs.
#[derive(Debug)]
pub(super) enum Live {
    /// A running node holds the store.
    Node(Node),
    /// Nobody does: it is open here.
    Store(Arc<Store>),
}

/// Opens the store, or finds the node that holds it.
pub(super) async fn reach(config: &Config) -> Result<Live, Failure> {
    if !Store::is_there(&config.storage) {
        return Err(Failure::failed(format!(
            "storage.dir: there is no store in {}; name the directory of a node that has run",
            config.storage.dir.display()
        )));
    }
    match open(config).await? {
        Ok(store) => Ok(Live::Store(Arc::new(store))),
        Err(StoreError::Held { dir }) => Node::of(config, dir).map(Live::Node),
        Err(error) => Err(Failure::failed(format!("storage.dir: {error}"))),
    }
}

/// The node that holds the store of this configuration, for verbs that can do without the store. It is not kept open,
/// and what else may be wrong with it is no matter.
pub(super) async fn running(config: &Config) -> Result<Option<Node>, Failure> {
    if !Store::is_there(&config.storage) {
        return Ok(None);
    }
    match open(config).await? {
        Err(StoreError::Held { dir }) => Node::of(config, dir).map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// What a store that is open here did not answer, as a node would have put it.
pub(super) fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Asked(message) => Failure::usage(message),
        Trouble::Store(error) => Failure::failed(format!("storage.dir: {error}")),
    }
}

async fn open(config: &Config) -> Result<Result<Store, StoreError>, Failure> {
    let (storage, options) = (config.storage.clone(), config.store_options());
    let opened = tokio::task::spawn_blocking(move || Store::open(&storage, options)).await;
    opened.map_err(|_| Failure::failed("opening the store panicked; this is a bug"))
}

/// The admin API of a running node.
#[derive(Debug)]
pub(super) struct Node {
    address: SocketAddr,
    token: SecretString,
    pinned: Option<Pinned>,
    store: PathBuf,
}

/// The one shape of an error.
#[derive(Deserialize)]
struct Refusal {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
}

impl Node {
    fn of(config: &Config, store: PathBuf) -> Result<Self, Failure> {
        let mut address = config.admin.listen;
        if address.port() == 0 {
            let held = format!("storage.dir: {} is held by another process", store.display());
            return Err(Failure::failed(format!("{held}, and admin.listen has port 0; name the port it listens on")));
        }
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let cert = &config.admin.tls_cert;
        let pinned = (!cert.as_os_str().is_empty()).then(|| Pinned::new(cert)).transpose();
        let pinned = pinned.map_err(|error| Failure::failed(format!("admin.tls_cert: {error}")))?;
        Ok(Self { address, token: config.admin.token.clone(), pinned, store })
    }

    /// Asks for something; `path` with its query.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Gives an order.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, order: &impl Serialize) -> Result<T, Failure> {
        let order =
            serde_json::to_vec(order).map_err(|error| Failure::failed(format!("cannot write JSON: {error}")))?;
        self.ask(Method::POST, path, order.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Failure> {
        let (status, body) = match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(method, path, body)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.failed("does not answer in time; ask its /healthz")),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                self.failed(&format!("answers in a way this edgefeed does not read ({error}); use its own version"))
            });
        }
        Err(match (status, serde_json::from_slice::<Refusal>(&body)) {
            (StatusCode::UNAUTHORIZED, _) => {
                self.failed("does not take this admin.token; give the one it was started with")
            }
            (_, Ok(Refusal { error })) if error.code == "bad_parameter" => Failure::usage(error.message),
            (_, Ok(Refusal { error })) if ["conflict", "dependency"].contains(&error.code.as_str()) => {
                Failure::failed(error.message)
            }
            (_, Ok(Refusal { error })) => self.failed(&format!("says {}: {}", error.code, error.message)),
            (status, Err(_)) => self.failed(&format!("answers {status}; is it edgefeed, and of this version?")),
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(&error.to_string())),
            Err(_) => return Err(self.unreachable("no answer in time")),
        };
        let Some(pinned) = &self.pinned else { return self.speak(stream, method, path, body).await };
        match tokio::time::timeout(CONNECT_TIMEOUT, pinned.connect(stream, self.address.ip())).await {
            Ok(Ok(stream)) => self.speak(stream, method, path, body).await,
            Ok(Err(error)) => Err(self.unreachable(&format!("not with the certificate in admin.tls_cert: {error}"))),
            Err(_) => Err(self.unreachable("no handshake in time")),
        }
    }

    async fn speak<S>(&self, stream: S, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| self.failed(&format!("broke off: {error}; try again"));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends with the exchange; what goes wrong on it is told there.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json");
        let token = self.token.expose_secret();
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Failure::failed(format!("admin.token cannot be sent: {error}")))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        connection.abort();
        let body = body.map_err(|error| self.failed(&format!("broke off: {error}; try again")))?;
        Ok((status, body.to_bytes()))
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::failed(format!("the node at admin.listen {} {what}", self.address))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::failed(format!(
            "storage.dir: {} is held by another process, and nothing answers at admin.listen {} ({why}); give the \
             configuration of the node that holds it, or wait until it is free",
            self.store.display(),
            self.address
        ))
    }
}

/// A path with a query: values percent-encoded.
pub(super) fn path(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut whole = path.to_owned();
    let mut mark = '?';
    for (name, value) in query {
        let Some(value) = value else { continue };
        whole.push(mark);
        whole.push_str(name);
        whole.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => whole.push(char::from(byte)),
                other => whole.push_str(&format!("%{other:02X}")),
            }
        }
        mark = '&';
    }
    whole
}
