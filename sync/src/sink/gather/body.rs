//! Gathered rows become the body of an insert where they lie.

use super::unsigned;
use crate::center::row;
use crate::sink::range::Range;

/// The rows of a range on their way to one insert: those wanted are moved together and told their range, which stands at the
/// end of each as zeros so far.
pub(super) struct Body {
    range: Range,
    body: Vec<u8>,
    /// Bytes looked at, and bytes kept of them.
    read: usize,
    kept: usize,
    count: u64,
}

impl Body {
    /// Gathered rows, the first of which are those of the range.
    pub(super) fn new(range: Range, rows: Vec<u8>) -> Self {
        Self { range, body: rows, read: 0, kept: 0, count: 0 }
    }

    /// Keeps or leaves out the next row.
    pub(super) fn pass(&mut self, bytes: usize, wanted: bool) {
        if wanted {
            if self.read > self.kept {
                self.body.copy_within(self.read..self.read + bytes, self.kept);
            }
            self.kept += bytes;
            let (first, last) = (unsigned(self.range.first), unsigned(self.range.last));
            row::reseal(&mut self.body[..self.kept], first, last);
            self.count += 1;
        }
        self.read += bytes;
    }

    /// Takes a row that was not among the gathered ones.
    pub(super) fn add(&mut self, row: &mut Vec<u8>) {
        let (bytes, rest) = (row.len(), self.body.split_off(self.read));
        self.body.append(row);
        self.body.extend(rest);
        self.pass(bytes, true);
    }

    /// The body, and how many rows it has.
    pub(super) fn end(mut self) -> (Vec<u8>, u64) {
        self.body.truncate(self.kept);
        (self.body, self.count)
    }
}
