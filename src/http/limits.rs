//! The `[limits]` section: what one client may ask of the node, in time, bytes and number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, within};
use crate::rate_limit::Network;

/// Connections the admin listener takes at once: a scraper, probes and a few people.
const ADMIN_CONNECTIONS: usize = 64;
/// How long an operator's order may take: it may wait for Kafka and for the center.
const ADMIN_REQUEST_MS: u64 = 600_000;

/// The `[limits]` section. Both listeners keep to it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Connections open at once on the public listener; one more is answered 503 and closed.
    pub max_connections: usize,
    /// The same of one address (of IPv6, of one /64); this machine and trusted proxies are not counted.
    pub max_connections_per_address: usize,
    /// Requests in work at once on the public listener; one more is answered 503.
    pub max_requests: u32,
    /// How long work may wait for a processor, in milliseconds, before a share of the requests is answered 503 at once;
    /// 0: however long.
    pub max_wait_ms: u64,
    /// Requests a second of one user, above which they are answered 429; 0: any number.
    pub subject_per_s: u32,
    /// Requests of one user at once after a rest.
    pub subject_burst: u32,
    /// Requests a second of one address, whoever they are from, above which they are answered 429; 0: any number.
    pub address_per_s: u32,
    /// Requests of one address at once after a rest.
    pub address_burst: u32,
    /// Proxies whose `X-Forwarded-For` is believed, as addresses or networks.
    pub trusted_proxies: Vec<Network>,
    /// How long the TLS handshake may take, in milliseconds.
    pub tls_handshake_timeout_ms: u64,
    /// From a connection's start to its first byte, in milliseconds.
    pub first_byte_timeout_ms: u64,
    /// From a request's first byte to the end of its head, in milliseconds.
    pub header_read_timeout_ms: u64,
    /// How long a connection may stay open between two requests, in milliseconds.
    pub keep_alive_timeout_ms: u64,
    /// From a request's head to its answer, its body included, in milliseconds; past it 503.
    pub request_timeout_ms: u64,
    /// How long a client may take to read an answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long requests in flight may go on after the node was told to stop, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Request line and header fields together, in bytes.
    pub max_head_bytes: usize,
    /// The request target alone, in bytes.
    pub max_uri_bytes: usize,
    /// The body of a request, in bytes; past it 413.
    pub max_body_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            max_requests: 2_048,
            max_wait_ms: 250,
            subject_per_s: 50,
            subject_burst: 100,
            address_per_s: 5_000,
            address_burst: 10_000,
            trusted_proxies: Vec::new(),
            tls_handshake_timeout_ms: 5_000,
            first_byte_timeout_ms: 5_000,
            header_read_timeout_ms: 5_000,
            keep_alive_timeout_ms: 75_000,
            request_timeout_ms: 5_000,
            write_timeout_ms: 10_000,
            drain_timeout_ms: 20_000,
            max_headers: 64,
            max_head_bytes: 16_384,
            max_uri_bytes: 4_096,
            max_body_bytes: 65_536,
        }
    }
}

impl Config {
    /// The same limits for the admin listener, which is for few and for what takes long.
    pub fn for_admin(&self) -> Self {
        let request_timeout_ms = self.request_timeout_ms.max(ADMIN_REQUEST_MS);
        Self { max_connections: ADMIN_CONNECTIONS, request_timeout_ms, ..self.clone() }
    }

    /// [`Config::request_timeout_ms`] as a duration.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// [`Config::tls_handshake_timeout_ms`] as a duration.
    pub fn tls_handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.tls_handshake_timeout_ms)
    }

    /// [`Config::drain_timeout_ms`] as a duration.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        within(problems, "limits.max_connections", self.max_connections, 1, 1_000_000);
        within(problems, "limits.max_connections_per_address", self.max_connections_per_address, 1, 1_000_000);
        within(problems, "limits.max_requests", self.max_requests, 1, 1_000_000);
        self.check_rates(problems);
        let minute = 60_000;
        within(problems, "limits.max_wait_ms", self.max_wait_ms, 0, minute);
        within(problems, "limits.tls_handshake_timeout_ms", self.tls_handshake_timeout_ms, 10, minute);
        within(problems, "limits.first_byte_timeout_ms", self.first_byte_timeout_ms, 10, minute);
        within(problems, "limits.header_read_timeout_ms", self.header_read_timeout_ms, 10, minute);
        within(problems, "limits.keep_alive_timeout_ms", self.keep_alive_timeout_ms, 10, 60 * minute);
        within(problems, "limits.request_timeout_ms", self.request_timeout_ms, 10, minute);
        within(problems, "limits.write_timeout_ms", self.write_timeout_ms, 10, 10 * minute);
        within(problems, "limits.drain_timeout_ms", self.drain_timeout_ms, 0, 10 * minute);
        within(problems, "limits.max_headers", self.max_headers, 8, 1_000);
        // The HTTP library keeps no smaller buffer than this.
        within(problems, "limits.max_head_bytes", self.max_head_bytes, 8_192, 1 << 20);
        within(problems, "limits.max_uri_bytes", self.max_uri_bytes, 256, 65_534);
        within(problems, "limits.max_body_bytes", self.max_body_bytes, 1_024, 16 << 20);
    }

    fn check_rates(&self, problems: &mut Vec<Problem>) {
        for (rate_key, rate, burst_key, burst) in [
            ("limits.subject_per_s", self.subject_per_s, "limits.subject_burst", self.subject_burst),
            ("limits.address_per_s", self.address_per_s, "limits.address_burst", self.address_burst),
        ] {
            within(problems, rate_key, rate, 0, 1_000_000);
            if rate > 0 {
                // A burst that took longer to come back would be forgotten before it has.
                within(problems, burst_key, burst, 1, rate.saturating_mul(60));
            }
        }
    }
}
