//! The proxy does what it is told, or the proofs above it prove nothing.

use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const TARGET: &str =
    "/?query=INSERT+INTO+t+FORMAT+RowBinary&insert_deduplication_token=c%3A0%3Ag%3Aevents%3At%3A2%3A5-9";

/// A server that answers 200 to everything and remembers the bodies.
async fn server() -> (String, Arc<std::sync::Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, got) = (format!("http://{}", listener.local_addr().unwrap()), Arc::default());
    let kept: Arc<std::sync::Mutex<Vec<Vec<u8>>>> = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            let service = service_fn(move |request: Request<Incoming>| {
                let kept = Arc::clone(&kept);
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    kept.lock().unwrap().push(body.to_vec());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, got)
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(500)).build().unwrap()
}

async fn insert(proxy: &Proxy, body: &str) -> Result<u16, reqwest::Error> {
    let answer = client().post(format!("{}{TARGET}", proxy.url())).body(body.to_owned()).send().await?;
    Ok(answer.status().as_u16())
}

async fn parts() -> (Proxy, Arc<Control>, Arc<std::sync::Mutex<Vec<Vec<u8>>>>) {
    let (url, got) = server().await;
    let control = Arc::new(Control::default());
    (Proxy::start(0, &url, Arc::clone(&control)).await, control, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_is_passed_on_and_its_token_read() {
    let (proxy, control, got) = parts().await;
    assert_eq!(insert(&proxy, "rows").await.unwrap(), 200);
    assert_eq!(*got.lock().unwrap(), [b"rows"]);
    control.seen(|seen| {
        let (token, sends) = seen.tokens.first_key_value().unwrap();
        assert_eq!((token.table.as_str(), token.partition, token.first, token.last), ("events", 2, 5, 9));
        assert_eq!((sends.len(), sends[0].status, sends[0].told), (1, Some(200), true));
        assert_eq!(seen.unsafe_inserts.len(), 1, "the settings are missing");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_comes_after_the_server_has_applied() {
    let (proxy, control, got) = parts().await;
    let mut armed = control.arm(Act::ResetAfterApplied, |node, token| node == 0 && token.covers("t", 2, 7));
    assert!(insert(&proxy, "one").await.unwrap_err().is_request());
    assert_eq!(armed.fired(PATIENCE).await.unwrap().token.last, 9);
    assert_eq!(got.lock().unwrap().len(), 1);
    assert_eq!(insert(&proxy, "one").await.unwrap(), 200, "a rule acts once");
    control.seen(|seen| {
        let sends = &seen.tokens.first_key_value().unwrap().1;
        assert_eq!((sends[0].told, sends[1].told, sends[0].hash == sends[1].hash), (false, true, true));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_before_the_server_has_seen_anything() {
    let (proxy, control, got) = parts().await;
    let armed = control.arm(Act::Fail, |_, _| true);
    assert_eq!(insert(&proxy, "one").await.unwrap(), 500);
    assert!(got.lock().unwrap().is_empty());
    drop(armed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_insert_arrives_when_let_go_though_its_sender_has_left() {
    let (proxy, control, got) = parts().await;
    let mut armed = control.arm(Act::Hold, |_, _| true);
    assert!(insert(&proxy, "late").await.unwrap_err().is_timeout());
    armed.fired(PATIENCE).await.unwrap();
    assert_eq!(insert(&proxy, "successor").await.unwrap(), 200);
    drop(armed.go.take());
    assert!(control.until(PATIENCE, |seen| seen.tokens.values().all(|sends| sends[0].status.is_some())).await);
    assert_eq!(*got.lock().unwrap(), [b"successor".to_vec(), b"late".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_comes_back_at_the_same_address() {
    let (proxy, _control, _) = parts().await;
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    proxy.set(Mode::Refusing);
    let mut rest = Vec::new();
    let broken = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await.unwrap();
    assert!(broken.is_err() || rest.is_empty(), "connections there are are broken off");
    let begun = Instant::now();
    while !insert(&proxy, "one").await.is_err_and(|error| error.is_connect()) {
        assert!(begun.elapsed() < PATIENCE);
    }
    proxy.set(Mode::Silent);
    while !insert(&proxy, "one").await.is_err_and(|error| error.is_timeout()) {
        assert!(begun.elapsed() < PATIENCE);
    }
    proxy.set(Mode::There);
    while insert(&proxy, "one").await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
    }
}
