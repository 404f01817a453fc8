//! Somebody between node and center who counts the queries, keeps them waiting, or never answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on; ends with the test.
pub(super) struct Middleman {
    pub(super) url: String,
    queries: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Middleman {
    /// Passes every query on to a server after a while.
    pub(super) async fn to(server: &str, wait: Duration) -> Self {
        let address = server.strip_prefix("http://").unwrap().to_owned();
        Self::start(move |client, queries| pass(client, address.clone(), queries, wait)).await
    }

    /// Takes queries and never answers.
    pub(super) async fn silent() -> Self {
        Self::start(|mut client, queries| async move {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = client.read(&mut bytes).await {
                count(&bytes[..read], &queries);
            }
        })
        .await
    }

    async fn start<F>(serve: impl Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let queries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&queries);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&counted)));
            }
        });
        Self { url, queries, task }
    }

    /// How many queries came by.
    pub(super) fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of a request comes in one piece from this client.
fn count(bytes: &[u8], queries: &AtomicUsize) {
    if bytes.starts_with(b"POST ") {
        queries.fetch_add(1, Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, address: String, queries: Arc<AtomicUsize>, wait: Duration) {
    let Ok(server) = TcpStream::connect(address).await else { return };
    let ((mut asks, mut hears), (mut answers, mut told)) = (client.into_split(), server.into_split());
    let back = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut hears).await });
    let mut bytes = [0; 64 << 10];
    while let Ok(read @ 1..) = asks.read(&mut bytes).await {
        count(&bytes[..read], &queries);
        tokio::time::sleep(wait).await;
        if told.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    drop(told);
    drop(back.await);
}
