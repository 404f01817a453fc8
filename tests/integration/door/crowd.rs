//! Connections that only take places do not hurt those that ask.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::House;
use super::keys::{Pair, claims};

const SILENT: usize = 2_000;
const DRIPPING: usize = 200;

#[test]
fn two_thousand_silent_and_two_hundred_dripping_connections_hurt_nobody_and_are_closed() {
    let pair = Pair::elliptic();
    let house = House::open(|dir| {
        let key = dir.join("public.pem");
        std::fs::write(&key, pair.public_pem()).unwrap();
        format!(
            r#"
            [limits]
            subject_per_s = 0
            first_byte_timeout_ms = 20000
            header_read_timeout_ms = 3000
            [auth]
            algorithm = "ES256"
            public_key_file = "{}"
            "#,
            key.display()
        )
    });
    let token = pair.sign(None, &claims());
    let public = house.node.public();
    let alone = rounds(&house, &token);
    let (silent, drips) = house.runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            silent.push(TcpStream::connect(&public).await.unwrap());
        }
        let drips: Vec<_> = (0..DRIPPING)
            .map(|_| {
                let public = public.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(public).await.unwrap();
                    drop(stream.write_all(b"GET /api/v1/feed HTTP/1.1\r\nx: ").await);
                    while stream.write_all(b"y").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                })
            })
            .collect();
        (silent, drips)
    });
    let crowded = rounds(&house, &token);
    eprintln!(
        "p99 of 500 requests: {alone:?} alone, {crowded:?} beside {SILENT} silent and {DRIPPING} dripping connections"
    );
    // Twenty times is far more than what 2,000 timers cost, and far less than what waiting behind them would.
    assert!(crowded < alone * 20 + Duration::from_millis(200), "{alone:?} alone, {crowded:?} in the crowd");
    for (path, label) in [("/healthz", "health"), ("/metrics", "metrics")] {
        let url = format!("http://{}{path}", house.node.admin());
        let status = house.runtime.block_on(house.client.get(url).send()).unwrap().status();
        assert_eq!(status, 200, "{label}");
    }
    // The drips end by the head's limit, however steadily they drip.
    house.runtime.block_on(async {
        for drip in drips {
            tokio::time::timeout(Duration::from_secs(30), drip)
                .await
                .expect("a dripping connection is closed")
                .unwrap();
        }
    });
    assert!(house.count("edgefeed_http_connections_timed_out_total", "phase=\"head\"") >= DRIPPING as f64);
    drop(silent);
    house.close();
}

/// The 99th percentile of 500 requests, one after the other.
fn rounds(house: &House, token: &str) -> Duration {
    let mut times: Vec<_> = (0..500)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(house.feed(token, "").status, 200);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
