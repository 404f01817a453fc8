//! Something between node and PostgreSQL that can hang: it accepts, and never answers.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way to PostgreSQL that hangs at will.
pub(super) struct Proxy {
    /// The database's address by this way.
    pub(super) url: String,
    hangs: watch::Sender<bool>,
}

impl Proxy {
    /// In front of the server of a database's address.
    pub(super) async fn before(url: &str) -> Self {
        let (login, place) = url.split_once('@').unwrap();
        let (server, database) = place.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{login}@{}/{database}", listener.local_addr().unwrap());
        let (hangs, server) = (watch::Sender::new(false), server.to_owned());
        let state = hangs.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), state.clone()));
            }
        });
        Self { url, hangs }
    }

    /// From now on nothing passes: neither what comes nor what is open.
    pub(super) fn hang(&self) {
        self.hangs.send_replace(true);
    }

    /// New connections pass again. Those that hung stay so, as after a failover.
    pub(super) fn heal(&self) {
        self.hangs.send_replace(false);
    }
}

/// One connection. Once it has hung it is held open and silent for good.
async fn carry(mut client: TcpStream, server: String, mut hangs: watch::Receiver<bool>) {
    if !*hangs.borrow_and_update() {
        let mut upstream = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => return,
            _ = hangs.wait_for(|hangs| *hangs) => {}
        }
    }
    std::future::pending::<()>().await;
}
