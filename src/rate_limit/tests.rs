//! Who is counted, and that counting costs no memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};

use super::{Asker, Limiter, Network, Peer, Proxies};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn forwarded(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn proxies(trusted: &[&str]) -> Proxies {
    Proxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect())
}

#[test]
fn a_key_has_its_burst_and_then_its_rate_and_nobody_elses() {
    let limiter = Limiter::new("subject", 50, 100);
    let taken = (0..1_000).filter(|_| limiter.take(1_u64).is_ok()).count();
    // A thousand tries take less than a second even here, in which fifty come back.
    assert!((100..=150).contains(&taken), "{taken}");
    assert_eq!(limiter.take(2), Ok(()), "another key is not touched");
}

#[test]
fn retry_after_is_the_whole_seconds_until_there_is_room() {
    let limiter = Limiter::new("subject", 1, 2);
    assert_eq!((limiter.take(1_u64), limiter.take(1)), (Ok(()), Ok(())));
    assert_eq!(limiter.take(1), Err(1));
    std::thread::sleep(Duration::from_millis(1_010));
    assert_eq!(limiter.take(1), Ok(()), "what was promised is kept");
}

#[test]
fn without_a_rate_there_is_no_limit_and_nothing_is_remembered() {
    let limiter = Limiter::new("subject", 0, 0);
    assert!((0..1_000).all(|_| limiter.take(1_u64).is_ok()));
    assert!(limiter.is_empty());
}

#[test]
fn ten_times_more_keys_than_are_remembered_do_not_grow_the_memory() {
    let limiter = Limiter::with_keys("address", 1, 1, 1_000);
    for key in 0..10_000_u64 {
        assert_eq!(limiter.take(key), Ok(()));
        assert_eq!(limiter.take(key), Err(1), "a key counts from its first request on, however full it is");
    }
    assert!(limiter.len() <= 1_000, "{}", limiter.len());
}

#[test]
fn networks_are_read_as_operators_write_them() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
    ] {
        let network: Network = network.parse().unwrap();
        assert!(network.contains(ip(inside)) && !network.contains(ip(outside)), "{network}");
    }
    for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "example.com", "10.0.0.0/8/8"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn all_addresses_of_a_64_are_one_party() {
    assert_eq!(Peer::of(ip("2001:db8:1:2::1")), Peer::of(ip("2001:db8:1:2:ffff::9")));
    assert_ne!(Peer::of(ip("2001:db8:1:2::1")), Peer::of(ip("2001:db8:1:3::1")));
    assert_ne!(Peer::of(ip("192.0.2.1")), Peer::of(ip("192.0.2.2")));
    assert_eq!(Peer::of(ip("::ffff:192.0.2.1")), Peer::of(ip("192.0.2.1")));
}

#[test]
fn a_header_of_a_stranger_is_not_believed() {
    let headers = forwarded(&["198.51.100.9"]);
    let asker = proxies(&["10.0.0.0/8"]).request(ip("203.0.113.5"), &headers);
    assert_eq!(asker, Asker::Counted(Peer::of(ip("203.0.113.5"))));
    assert_eq!(proxies(&[]).request(ip("127.0.0.1"), &headers), Asker::Uncounted, "this machine is not limited");
}

#[test]
fn behind_trusted_proxies_the_last_untrusted_hop_counts() {
    let trusted = proxies(&["10.0.0.0/8", "127.0.0.1"]);
    let client = Asker::Counted(Peer::of(ip("198.51.100.9")));
    for lines in [
        &["198.51.100.9"][..],
        &["1.2.3.4, 198.51.100.9"],
        &["127.0.0.1, 10.0.0.1, 198.51.100.9, 10.1.1.1"],
        &["1.2.3.4", "198.51.100.9"],
        &["garbage, 198.51.100.9:4711 , 10.0.0.7"],
    ] {
        assert_eq!(trusted.request(ip("10.0.0.1"), &forwarded(lines)), client, "{lines:?}");
        assert_eq!(trusted.request(ip("127.0.0.1"), &forwarded(lines)), client, "{lines:?}");
    }
    let v6 = trusted.request(ip("10.0.0.1"), &forwarded(&["[2001:db8::7]:4711"]));
    assert_eq!(v6, Asker::Counted(Peer::of(ip("2001:db8::1"))));
    assert_eq!(trusted.request(ip("10.0.0.1"), &forwarded(&[])), Asker::Uncounted, "a proxy's own probe");
    let unreadable = trusted.request(ip("10.0.0.1"), &forwarded(&["198.51.100.9, unknown, 10.0.0.2"]));
    assert_eq!(unreadable, Asker::Counted(Peer::of(ip("10.0.0.2"))), "the hop that passed it on answers for it");
}

#[test]
fn connections_are_counted_by_peer_and_those_of_proxies_are_not() {
    let trusted = proxies(&["10.0.0.0/8"]);
    assert_eq!(trusted.connection(ip("10.0.0.1")), Asker::Uncounted);
    assert_eq!(trusted.connection(ip("::1")), Asker::Uncounted);
    assert_eq!(trusted.connection(ip("203.0.113.5")), Asker::Counted(Peer::of(ip("203.0.113.5"))));
    assert_eq!(trusted.counting_loopback().connection(ip("127.0.0.1")), Asker::Counted(Peer::of(ip("127.0.0.1"))));
}
