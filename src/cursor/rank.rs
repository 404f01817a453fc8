//! A place in a chain of trending posts.

use edgefeed_storage::model::{Id, TimestampMs};

use crate::ranking::trending::{Trending, Window};

/// The last post a chain of trending posts has shown, as it stood at the chain's beginning: it goes on below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// Which list.
    pub window: Window,
    /// The `now` of every score of the chain.
    pub at: TimestampMs,
    /// The last post shown.
    pub last: Trending,
}

impl Rank {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.window as u8);
        bytes.extend_from_slice(&self.at.to_be_bytes());
        bytes.extend_from_slice(&self.last.score.to_bits().to_be_bytes());
        bytes.extend_from_slice(&self.last.created_at.to_be_bytes());
        bytes.extend_from_slice(&self.last.id.0.to_be_bytes());
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (window, bytes) = bytes.split_first()?;
        let window = Window::ALL.into_iter().find(|known| *known as u8 == *window)?;
        let (at, bytes) = bytes.split_first_chunk()?;
        let (score, bytes) = bytes.split_first_chunk()?;
        let (created_at, bytes) = bytes.split_first_chunk()?;
        let id: &[u8; 16] = bytes.try_into().ok()?;
        let last = Trending {
            id: Id(u128::from_be_bytes(*id)),
            created_at: i64::from_be_bytes(*created_at),
            score: f64::from_bits(u64::from_be_bytes(*score)),
        };
        Some(Self { window, at: i64::from_be_bytes(*at), last })
    }
}
