//! One connection, driven until it ends, runs out of patience, or the node stops.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::edge::Edge;
use super::io::Socket;
use super::limits::Config;
use super::phase::Progress;
use super::resource::Routes;
use super::service;

/// What the connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) routes: Routes,
    pub(super) edge: Edge,
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: IpAddr, shared: Arc<Shared>, mut draining: watch::Receiver<bool>) {
    let Some(tls) = &shared.edge.tls else { return speak(stream, peer, shared, draining).await };
    let handshake = timeout(shared.edge.limits.tls_handshake_timeout(), tls.acceptor().accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        _ = draining.wait_for(|draining| *draining) => return,
    };
    match shaken {
        Ok(Ok(stream)) => speak(stream, peer, Arc::clone(&shared), draining).await,
        Ok(Err(_)) => note_handshake("failed"),
        Err(_) => note_handshake("timeout"),
    }
}

fn note_handshake(reason: &'static str) {
    metrics::counter!("edgefeed_http_tls_handshakes_failed_total", "reason" => reason).increment(1);
}

/// Speaks HTTP on a connection to its end.
async fn speak<S>(stream: S, peer: IpAddr, shared: Arc<Shared>, mut draining: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.edge.limits;
    let progress = Arc::new(Progress::new());
    let socket = TokioIo::new(Socket::new(stream, Arc::clone(&progress)));
    let answer = {
        let (shared, progress) = (Arc::clone(&shared), Arc::clone(&progress));
        service_fn(move |request| service::answer(Arc::clone(&shared), peer, Arc::clone(&progress), request))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Ours, in `phase`, tells the first byte, the head and the idle time apart.
        .header_read_timeout(None)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes)
        .serve_connection(socket, answer);
    // The sender lives as long as the accept loop; when it is gone, the node is stopping as well.
    let drain = async move { drop(draining.wait_for(|draining| *draining).await) };
    drive(connection, drain, &progress, limits).await;
}

/// A connection that can be told to finish what it has and end.
trait Graceful: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<I, B, S> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive<C, E>(connection: C, drain: impl Future<Output = ()>, progress: &Progress, limits: &Config)
where
    C: Graceful<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let mut drain = pin!(drain);
    let mut draining_since = None;
    let mut alarm = pin!(sleep_until(progress.deadline(limits, None)));
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return Poll::Ready(());
            }
            if draining_since.is_none() && drain.as_mut().poll(cx).is_ready() {
                draining_since = Some(Instant::now());
                connection.as_mut().finish();
                continue;
            }
            let deadline = progress.deadline(limits, draining_since);
            if !rings(alarm.as_mut(), deadline, cx) {
                return Poll::Pending;
            }
            let phase = progress.phase().name();
            metrics::counter!("edgefeed_http_connections_timed_out_total", "phase" => phase).increment(1);
            return Poll::Ready(());
        }
    })
    .await;
}

/// Whether the deadline has passed; if not, the task wakes at it. A deadline that moved away is looked at again when
/// the alarm rings, so busy connections do not touch the timer.
fn rings(mut alarm: Pin<&mut Sleep>, deadline: Instant, cx: &mut std::task::Context<'_>) -> bool {
    if deadline < alarm.deadline() {
        alarm.as_mut().reset(deadline);
    }
    while alarm.as_mut().poll(cx).is_ready() {
        if alarm.deadline() >= deadline {
            return true;
        }
        alarm.as_mut().reset(deadline);
    }
    false
}
