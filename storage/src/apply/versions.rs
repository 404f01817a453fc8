//! Whether a topic's row versions still make sense: one kind, one epoch upwards, no log that starts anew unnoticed.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::error::Result;
use crate::key::{self, Family, Key};
use crate::model::{Cdc, Topic, VersionKind};
use crate::value::{self, VersionMark};

/// A fall beyond this many bytes of log, while time rises, is no long transaction but another database.
const FALL_BYTES: u64 = 16 << 30;
/// So is a fall to less than this fraction of the log. (A bulk load in one transaction of a young database may come close.)
const FALL_FRACTION: u64 = 16;

pub(super) fn mark_key(topic: Topic) -> Key {
    key::meta("versions", topic.code())
}

pub(super) fn load(engine: &Engine) -> Result<BTreeMap<Topic, VersionMark>> {
    let mut marks = BTreeMap::new();
    for topic in Topic::ALL {
        if let Some(bytes) = engine.get(Family::Meta, &mark_key(topic))? {
            marks.insert(topic, value::decode(Family::Meta, &bytes)?);
        }
    }
    Ok(marks)
}

/// The mark after a record, or what is wrong with the record's version.
pub(super) fn check(mark: Option<&VersionMark>, cdc: &Cdc) -> std::result::Result<VersionMark, String> {
    let version = cdc.version;
    let fresh = VersionMark {
        epoch: version.epoch,
        kind: version.kind,
        value: version.value,
        commit_time: cdc.commit_time,
        floor: mark.map_or(0, |mark| mark.floor),
    };
    let Some(mark) = mark.filter(|mark| mark.epoch >= version.epoch) else { return Ok(fresh) };
    if mark.epoch > version.epoch {
        return Err(format!("kafka.cdc_epoch is {}, rows of epoch {} are stored", version.epoch, mark.epoch));
    }
    if mark.kind != version.kind {
        return Err(format!("versions came from {}, this record's from {}", words(mark.kind), words(version.kind)));
    }
    if cdc.commit_time > mark.commit_time && fell_far(mark.value, version.value) {
        return Err(format!("the log position fell from {} to {} while time rose", mark.value, version.value));
    }
    Ok(VersionMark {
        value: mark.value.max(version.value),
        commit_time: mark.commit_time.max(cdc.commit_time),
        ..*mark
    })
}

/// A row of a long transaction bears an old position and a new time, so a small fall says nothing. A restored or newly
/// made database starts far below: a small fraction of where the log had come, or further than any transaction spans.
fn fell_far(from: u64, to: u64) -> bool {
    to < from / FALL_FRACTION || from.saturating_sub(to) > FALL_BYTES
}

const fn words(kind: VersionKind) -> &'static str {
    match kind {
        VersionKind::Lsn => "source.lsn",
        VersionKind::Time => "ts_ms",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RowChange, Version};

    fn cdc(version: Version, commit_time: i64) -> Cdc {
        Cdc { version, commit_time, change: RowChange::Truncate }
    }

    fn mark() -> VersionMark {
        check(None, &cdc(Version::from_lsn(1, 1000 << 30), 50)).unwrap()
    }

    #[test]
    fn another_kind_a_lower_epoch_and_a_log_that_starts_anew_are_refused() {
        assert!(check(Some(&mark()), &cdc(Version::from_time(1, 60, 0), 60)).is_err());
        assert!(check(Some(&mark()), &cdc(Version::from_lsn(0, 2000 << 30), 60)).is_err());
        assert!(check(Some(&mark()), &cdc(Version::from_lsn(1, 20 << 20), 60)).is_err());
        assert!(check(Some(&mark()), &cdc(Version::from_lsn(1, 900 << 30), 60)).is_err());
    }

    #[test]
    fn replays_long_transactions_and_a_higher_epoch_pass() {
        assert_eq!(check(Some(&mark()), &cdc(Version::from_lsn(1, 5), 40)), Ok(mark()), "an old record again");
        let late = check(Some(&mark()), &cdc(Version::from_lsn(1, 995 << 30), 60)).unwrap();
        assert_eq!((late.value, late.commit_time), (1000 << 30, 60));
        let anew = check(Some(&mark()), &cdc(Version::from_time(2, 60, 0), 60)).unwrap();
        assert_eq!((anew.epoch, anew.kind), (2, VersionKind::Time));
    }
}
