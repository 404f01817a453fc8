//! The rows of an answer: of fixed width, cut and not parsed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clickhouse::query::{BytesCursor, Query};
use edgefeed_storage::model::{Id, IdKind};

use super::super::client::within;
use super::super::error::{Error, Result};

/// The rows of an answer, as they come.
pub struct Rows {
    cursor: BytesCursor,
    width: usize,
    /// The beginning of a row whose rest is yet to come.
    rest: BytesMut,
    limit: Duration,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("width", &self.width).finish_non_exhaustive()
    }
}

/// What is being done, for errors.
const WHAT: &str = "reading a table";

impl Rows {
    pub(super) fn of(query: Query, width: usize, limit: Duration) -> Result<Self> {
        let cursor = query.fetch_bytes("RowBinary").map_err(Error::of(WHAT))?;
        Ok(Self { cursor, width, rest: BytesMut::new(), limit })
    }

    /// Bytes of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The next rows, whole ones; `None` behind the last. Waits no longer than the limit each time.
    ///
    /// # Errors
    /// Why the answer did not come to its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(mut chunk) = within(WHAT, self.limit, self.cursor.next()).await? else {
                return match self.rest.len() {
                    0 => Ok(None),
                    left => Err(Error::Unreadable { what: WHAT, detail: format!("it ends {left} bytes into a row") }),
                };
            };
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&chunk);
                chunk = self.rest.split().freeze();
            }
            let whole = chunk.len() - chunk.len() % self.width;
            self.rest.extend_from_slice(&chunk[whole..]);
            if whole > 0 {
                return Ok(Some(chunk.slice(..whole)));
            }
        }
    }
}

/// The columns of a row, one after the other. Of a row that ends early, zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take())
    }

    pub(crate) fn id(&mut self, ids: IdKind) -> Id {
        Id(match ids {
            IdKind::Uuid => self.u128(),
            IdKind::U64 => self.u64().into(),
        })
    }
}
