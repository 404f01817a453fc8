//! Cursors: where a reader's chain of pages stands, sealed so that only this region makes them.
//!
//! A cursor is URL-safe base64 of `format, kind, place, seal`. The seal is an HMAC-SHA256 over all of it and over the
//! reader, so one altered, cut, or given out to somebody else is refused. Keys are shared by a region and rotate:
//! cursors are sealed with the current one, and those of the one before still open.

mod keys;
mod place;
mod rank;
mod served;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgefeed_storage::model::Id;

pub use keys::Keys;
pub use place::{Began, Keyset, Newest, Place, Ranked};
pub use rank::Rank;
pub use served::{CHAIN_MAX, Served};

/// The first byte: how the rest is written.
const FORMAT: u8 = 1;

/// The cursor was not made by this region, for this reader, or was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid")]
pub struct BadCursor;

/// Writes a place down for a reader.
pub fn seal(keys: &Keys, viewer: Id, place: &Place) -> String {
    // Room for a chain of five pages.
    let mut bytes = Vec::with_capacity(192);
    bytes.push(FORMAT);
    place.write(&mut bytes);
    let seal = keys.seal(viewer, &bytes);
    bytes.extend_from_slice(&seal);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`seal`] wrote for this reader.
///
/// # Errors
/// [`BadCursor`] for anything else.
pub fn open(keys: &Keys, viewer: Id, text: &str) -> Result<Place, BadCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
    let (body, seal) = bytes.split_last_chunk().ok_or(BadCursor)?;
    if !keys.sealed(viewer, body, seal) {
        return Err(BadCursor);
    }
    match body.split_first() {
        Some((&FORMAT, place)) => Place::read(place).ok_or(BadCursor),
        _ => Err(BadCursor),
    }
}
