//! A proxy in front of ClickHouse's HTTP address, one for each node, that does to its inserts what a network, a
//! keeper and a scheduler can do. Requests and answers are relayed whole.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::control::{Act, Control, Fired, Order};
use super::token::{Asked, Token};

/// How long the real server may take.
const SERVER_WITHIN: Duration = Duration::from_secs(120);

/// A node's way to ClickHouse.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

/// How the server is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    There,
    /// Connections are refused, and those there are are broken off.
    Refusing,
    /// Connections are taken and nothing is ever answered.
    Silent,
}

impl Proxy {
    /// A proxy for the node of this number, in front of `upstream`.
    pub(crate) async fn start(node: usize, upstream: &str, control: Arc<Control>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::There);
        let client = reqwest::Client::builder().no_proxy().timeout(SERVER_WITHIN).build().unwrap();
        let upstream = upstream.trim_end_matches('/').to_owned();
        let relay = Arc::new(Relay { node, upstream, client, control });
        let task = tokio::spawn(accept(listener, address, modes, relay));
        Self { address, mode, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the server is to be found like this; connections of before are broken off.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections while there is somebody to answer them.
async fn accept(first: TcpListener, address: SocketAddr, mut modes: watch::Receiver<Mode>, relay: Arc<Relay>) {
    let mut listener = Some(first);
    loop {
        let mode = *modes.borrow_and_update();
        if mode == Mode::Refusing {
            listener = None;
            if modes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let open = match listener.take() {
            Some(listener) => listener,
            None => bind(address).await,
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                connection = open.accept() => {
                    let Ok((stream, _)) = connection else { continue };
                    connections.spawn(serve(stream, mode, Arc::clone(&relay)));
                }
                _ = connections.join_next(), if !connections.is_empty() => {}
                change = modes.changed() => match change {
                    Ok(()) => break,
                    Err(_) => return,
                },
            }
        }
        connections.abort_all();
        listener = Some(open);
    }
}

/// The same address again.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, mode: Mode, relay: Arc<Relay>) {
    let service = service_fn(|request| {
        let relay = Arc::clone(&relay);
        async move {
            if mode == Mode::Silent {
                match never().await {}
            }
            relay.handle(request).await
        }
    });
    drop(stream.set_nodelay(true));
    // An error is what was ordered, or a client that went away.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn never() -> Infallible {
    std::future::pending().await
}

/// Closes the connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off as ordered")
    }
}

impl std::error::Error for Broken {}

struct Relay {
    node: usize,
    upstream: String,
    client: reqwest::Client,
    control: Arc<Control>,
}

type Answer = Response<Full<Bytes>>;

/// What the sender gets.
enum Outcome {
    Answer(Answer),
    Break,
    Hang,
}

/// A request whole.
struct Whole {
    head: http::request::Parts,
    target: String,
    body: Bytes,
}

impl Relay {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Broken> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let asked = Asked::of(&target, &body);
        let whole = Whole { head, target, body };
        if !asked.is_insert() {
            return self.forward(whole).await;
        }
        let (number, order) = self.control.meet(self.node, &asked, &whole.target, &whole.body);
        let Some(token) = asked.token else { return self.forward(whole).await };
        // Detached: what a sender has sent reaches the server, though it be killed meanwhile.
        let outcome = tokio::spawn(self.insert(whole, token, number, order)).await;
        match outcome {
            Ok(Outcome::Answer(answer)) => Ok(answer),
            Ok(Outcome::Hang) => match never().await {},
            Ok(Outcome::Break) | Err(_) => Err(Broken),
        }
    }

    async fn insert(self: Arc<Self>, whole: Whole, token: Token, number: usize, order: Order) -> Outcome {
        let Order::Do(act, tell, go) = order else { return self.pass(whole, &token, number).await };
        let fired = Fired { node: self.node, token: token.clone(), number };
        match act {
            Act::Fail => {
                self.control.note(&token, number, 500, true);
                drop(tell.send(fired));
                Outcome::Answer(keeper_away())
            }
            Act::Hold => {
                drop(tell.send(fired));
                if let Some(go) = go {
                    drop(go.await);
                }
                self.pass(whole, &token, number).await
            }
            Act::ResetAfterApplied | Act::HangAfterApplied => {
                let Ok(answer) = self.forward(whole).await else { return Outcome::Break };
                self.control.note(&token, number, answer.status().as_u16(), false);
                drop(tell.send(fired));
                if act == Act::HangAfterApplied { Outcome::Hang } else { Outcome::Break }
            }
        }
    }

    async fn pass(&self, whole: Whole, token: &Token, number: usize) -> Outcome {
        let Ok(answer) = self.forward(whole).await else { return Outcome::Break };
        self.control.note(token, number, answer.status().as_u16(), true);
        Outcome::Answer(answer)
    }

    async fn forward(&self, whole: Whole) -> Result<Answer, Broken> {
        let url = format!("{}{}", self.upstream, whole.target);
        let mut request = self.client.request(whole.head.method, url);
        for (name, value) in &whole.head.headers {
            if !hop_by_hop(name.as_str()) {
                request = request.header(name, value);
            }
        }
        let answer = request.body(whole.body).send().await.map_err(|_| Broken)?;
        let mut relayed = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if !hop_by_hop(name.as_str()) {
                relayed = relayed.header(name, value);
            }
        }
        let body = answer.bytes().await.map_err(|_| Broken)?;
        relayed.body(Full::new(body)).map_err(|_| Broken)
    }
}

fn hop_by_hop(name: &str) -> bool {
    matches!(name, "host" | "connection" | "keep-alive" | "transfer-encoding" | "content-length" | "expect")
}

/// What ClickHouse says when it cannot reach its keeper.
fn keeper_away() -> Answer {
    let text = "Code: 999. DB::Exception: Keeper server is not available: session expired. (KEEPER_EXCEPTION)\n";
    let answer = Response::builder().status(500).header("X-ClickHouse-Exception-Code", "999");
    answer.body(Full::new(Bytes::from(text))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
