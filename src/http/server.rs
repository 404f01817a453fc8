//! The accept loop. warp's own server arms no header timeout, caps no connections and drains without bound, so the
//! node runs hyper itself and keeps warp for the routes.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::connection::{self, Shared};
use super::edge::Edge;
use super::error::Error;
use super::raw;
use super::resource::Routes;

/// Pause after an accept that failed for want of descriptors or memory: trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the deadline and were cut.
    pub cut: usize,
}

/// Serves `routes` on `listener` until `shutdown` completes; then takes no more connections, lets requests in flight
/// finish, and returns when they have or when `limits.drain_timeout_ms` is over.
///
/// Bounds: `limits.max_connections` connections in all and `limits.max_connections_per_address` of one address, each
/// with the deadlines of the limits. A connection above them is answered 503 and closed. A panic in a connection ends that
/// connection alone.
pub async fn serve(listener: TcpListener, routes: Routes, edge: Edge, shutdown: impl Future<Output = ()>) -> Drained {
    let shared = Arc::new(Shared { routes, edge });
    let edge = &shared.edge;
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let address = listener.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
    let gauge = metrics::gauge!("edgefeed_http_connections", "listener" => address);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                note(ended);
                gauge.set(count(connections.len()));
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let room = connections.len() < edge.limits.max_connections;
                let place = room.then(|| edge.places.take(edge.connecting(peer.ip()))).flatten();
                let Some(place) = place else {
                    refuse(stream, edge.tls.is_some());
                    continue;
                };
                // Answers are written whole; waiting to fill a packet would only delay them.
                drop(stream.set_nodelay(true));
                let serve = connection::serve(stream, peer.ip(), Arc::clone(&shared), draining.clone());
                connections.spawn(async move {
                    serve.await;
                    drop(place);
                });
                gauge.set(count(connections.len()));
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    drain.send_replace(true);
    let drained = finish(connections, edge.limits.drain_timeout()).await;
    gauge.set(0.0);
    drained
}

/// Waits for the connections that are left, then cuts them.
async fn finish(mut connections: JoinSet<()>, patience: Duration) -> Drained {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    let cut = match timeout(patience, all).await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    };
    connections.shutdown().await;
    Drained { cut }
}

/// Says "no room" without spending a task on it. The socket's buffer is empty, so one write takes the answer whole or
/// the client is gone. Under TLS there is nobody to say it to before a handshake.
fn refuse(stream: TcpStream, tls: bool) {
    metrics::counter!("edgefeed_http_connections_refused_total").increment(1);
    if tls {
        return;
    }
    if let Ok(mut stream) = stream.into_std() {
        drop(io::Write::write(&mut stream, &raw::answer(&Error::TooManyConnections)));
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection panicked; the others go on");
    }
}

async fn pause_after(error: &io::Error) {
    // These concern the one connection that was about to be accepted.
    let of_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    );
    if !of_peer {
        tracing::warn!(%error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}

/// A gauge's value.
fn count(connections: usize) -> f64 {
    f64::from(u32::try_from(connections).unwrap_or(u32::MAX))
}
