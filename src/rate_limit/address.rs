//! Which address a request is counted against. Pure.

use std::net::{IpAddr, Ipv6Addr};

use ::http::HeaderMap;

use super::network::Network;

/// The header in which proxies say whom they ask for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who is at the other end of a connection, as far as addresses tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

/// Whom a request is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// This party.
    Counted(Peer),
    /// Nobody: this machine itself, or a trusted proxy on its own behalf.
    Uncounted,
}

impl Peer {
    /// The party behind an address. Of IPv6 whoever has one address of a /64 has all of them.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
            v4 => Self(v4),
        }
    }
}

/// The proxies whose word about their clients is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    trusted: Vec<Network>,
    counts_loopback: bool,
}

impl Proxies {
    /// These are trusted.
    pub fn new(trusted: Vec<Network>) -> Self {
        Self { trusted, counts_loopback: false }
    }

    /// Counts this machine like any other: for tests, which have no other.
    #[cfg(test)]
    pub(crate) fn counting_loopback(mut self) -> Self {
        self.counts_loopback = true;
        self
    }

    /// The party that a connection from `peer` is counted against.
    pub fn connection(&self, peer: IpAddr) -> Asker {
        if self.trusts(peer) || (peer.to_canonical().is_loopback() && !self.counts_loopback) {
            Asker::Uncounted
        } else {
            Asker::Counted(Peer::of(peer))
        }
    }

    /// The party that a request from `peer` is counted against: of the hops that a trusted proxy names, the last one that
    /// is not trusted itself. What stands before it, anybody may have written.
    pub fn request(&self, peer: IpAddr, headers: &HeaderMap) -> Asker {
        if !self.trusts(peer) {
            return self.connection(peer);
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',').map(hop));
        let mut nearest = peer;
        for hop in hops {
            match hop {
                Some(address) if self.trusts(address) => nearest = address,
                Some(address) => return Asker::Counted(Peer::of(address)),
                // The proxy passes on what is no address: whoever it is asks under the proxy's own.
                None => return Asker::Counted(Peer::of(nearest)),
            }
        }
        Asker::Uncounted
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// The address of one hop; some proxies add the port.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let address =
        bare.parse().ok().or_else(|| bare.rsplit_once(':')?.0.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4));
    address.map(|address: IpAddr| address.to_canonical())
}
