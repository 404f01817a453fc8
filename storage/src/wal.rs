//! A write-ahead log with a damaged record type can make RocksDB 11.8 read the same bytes for ever while it opens: in
//! `log::Reader::ReadPhysicalRecord` a type of recycled logs, met in a log that is not one, is refused without being
//! passed. We never recycle logs, so such a type is damage, and recovery to a point in time ends there anyway: the log
//! is cut in the middle of that header, which RocksDB knows as the end of what can be read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// A log is written in blocks of so many bytes; no record's header crosses their ends.
const BLOCK: u64 = 32 << 10;
/// Checksum, length and type of a record.
const HEADER: u64 = 7;

/// Cuts every log of a database that RocksDB would not come to an end with. The database must not be open.
pub(crate) fn mend(database: &Path) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(database) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let log = match File::open(&path) {
            // Of a store that is held, its owner may just have dropped it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            log => log?,
        };
        if let Some(at) = damage(&log)? {
            tracing::warn!(log = %path.display(), at, "a damaged record ends this write-ahead log");
            OpenOptions::new().write(true).open(&path)?.set_len(at + HEADER - 1)?;
        }
    }
    Ok(())
}

/// Where the first header stands whose type only recycled logs have.
fn damage(log: &File) -> io::Result<Option<u64>> {
    let size = log.metadata()?.len();
    let mut log = BufReader::new(log);
    let mut block = 0;
    while block < size {
        let end = (block + BLOCK).min(size);
        let mut at = block;
        // RocksDB leaves out the rest of a block in which it met damage, so each block is walked from its start.
        while at + HEADER <= end {
            let [_, _, _, _, low, high, kind] = header(&mut log, at)?;
            if is_recycled(kind) && at > 0 {
                return Ok(Some(at));
            }
            let length = u64::from(u16::from_le_bytes([low, high]));
            if (kind == 0 && length == 0) || at + HEADER + length > end {
                break;
            }
            at += HEADER + length;
        }
        block += BLOCK;
    }
    Ok(None)
}

fn header(log: &mut BufReader<&File>, at: u64) -> io::Result<[u8; 7]> {
    let mut header = [0; 7];
    let here = log.stream_position()?;
    log.seek_relative(i64::try_from(at).unwrap_or(i64::MAX) - i64::try_from(here).unwrap_or(0))
        .or_else(|_| log.seek(SeekFrom::Start(at)).map(drop))?;
    log.read_exact(&mut header)?;
    Ok(header)
}

/// The types of recycled logs (`db/log_format.h`).
const fn is_recycled(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn record(length: u16, kind: u8) -> Vec<u8> {
        let mut record = vec![1, 2, 3, 4];
        record.extend(length.to_le_bytes());
        record.push(kind);
        record.resize(7 + usize::from(length), 0xee);
        record
    }

    fn mended(records: &[Vec<u8>]) -> u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000007.log");
        File::create(&path).unwrap().write_all(&records.concat()).unwrap();
        mend(dir.path()).unwrap();
        path.metadata().unwrap().len()
    }

    #[test]
    fn a_sound_log_and_a_torn_one_are_left_alone() {
        assert_eq!(mended(&[record(10, 1), record(0, 1), record(300, 4)]), 17 + 7 + 307);
        assert_eq!(mended(&[record(10, 1), record(60_000, 2)[..40].to_vec()]), 17 + 40);
        assert_eq!(mended(&[]), 0);
    }

    #[test]
    fn a_log_ends_in_the_middle_of_a_header_that_cannot_be() {
        for kind in [5, 6, 7, 8, 11, 131] {
            assert_eq!(mended(&[record(10, 1), record(20, kind), record(5, 1)]), 17 + 6);
        }
    }

    #[test]
    fn the_next_block_is_looked_at_behind_one_that_cannot_be_read() {
        let first = record(10, 1);
        let mut torn = record(65_000, 1)[..32_768 - 17].to_vec();
        torn[4..6].copy_from_slice(&65_000_u16.to_le_bytes());
        assert_eq!(mended(&[first, torn, record(9, 7)]), 32_768 + 6);
    }
}
