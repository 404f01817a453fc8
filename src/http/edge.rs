//! What a listener asks of connections and requests before a route sees them, and does to answers after it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use tower_http::cors::CorsLayer;

use super::error::Error;
use super::places::Places;
use super::shed::{InWork, Shed};
use super::tls::Tls;
use super::{Config, cors, limits};
use crate::rate_limit::{Asker, Limiter, Peer, Proxies};

/// The edge of one listener.
#[derive(Debug)]
pub struct Edge {
    pub(super) limits: limits::Config,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) cors: Option<CorsLayer>,
    /// Smaller answers are sent as they are; 0: all of them.
    pub(super) compress_min_bytes: u16,
    pub(super) places: Places,
    proxies: Proxies,
    addresses: Limiter<Peer>,
    shed: Option<Shed>,
}

impl Edge {
    /// The edge readers meet. Needs a runtime.
    pub fn public(http: &Config, limits: &limits::Config, tls: Option<Arc<Tls>>) -> Self {
        Self {
            tls,
            cors: cors::layer(&http.cors_origins),
            compress_min_bytes: http.compress_min_bytes,
            places: Places::new(limits.max_connections_per_address),
            proxies: Proxies::new(limits.trusted_proxies.clone()),
            addresses: Limiter::new("address", limits.address_per_s, limits.address_burst),
            shed: Some(Shed::new(limits.max_requests, Duration::from_millis(limits.max_wait_ms))),
            limits: limits.clone(),
        }
    }

    /// The edge operators and machines meet: nobody is counted or turned away, however busy the node is.
    pub fn admin(limits: &limits::Config, tls: Option<Arc<Tls>>) -> Self {
        Self {
            limits: limits.for_admin(),
            tls,
            cors: None,
            compress_min_bytes: 0,
            places: Places::new(usize::MAX),
            proxies: Proxies::default(),
            addresses: Limiter::new("address", 0, 0),
            shed: None,
        }
    }

    /// Counts this machine like any other.
    #[cfg(test)]
    pub(super) fn counting_loopback(mut self) -> Self {
        self.proxies = self.proxies.counting_loopback();
        self
    }

    /// The party a connection is counted against.
    pub(super) fn connecting(&self, peer: IpAddr) -> Asker {
        self.proxies.connection(peer)
    }

    /// Takes a request in before anything of it is looked at, or turns it away.
    pub(super) fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Option<InWork<'_>>, Error> {
        let place = self.shed.as_ref().map(Shed::admit).transpose()?;
        if let Asker::Counted(asker) = self.proxies.request(peer, headers) {
            self.addresses.take(asker).map_err(Error::RateLimited)?;
        }
        Ok(place)
    }
}
