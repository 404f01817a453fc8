//! What a backup costs: made, read again and put back by the verbs, against a plain copy of the same files in the same run.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::mb;
use crate::crash::files;
use crate::crash::node::Home;

/// A copy is made before and one behind; what lies between is held against the faster one.
pub(super) fn against_a_plain_copy(home: &Home, bytes: u64) {
    let copy = || {
        let into = home.beside("plain");
        let begun = Instant::now();
        files::copy(&home.store(), &into);
        sync(&into);
        let took = begun.elapsed();
        std::fs::remove_dir_all(into).unwrap();
        took
    };
    let before = copy();
    let created = verb(home, &["create"]);
    let verified = verb(home, &["verify"]);
    let restored = verb(home, &["restore", "--into", &home.beside("restored").display().to_string()]);
    let again = verb(home, &["create"]);
    let plain = before.min(copy());
    for (name, took) in [
        ("plain copy, synced", plain),
        ("backup create", created),
        ("backup verify", verified),
        ("backup restore", restored),
        ("backup create, once more", again),
    ] {
        let (seconds, ratio) = (took.as_secs_f64(), took.as_secs_f64() / plain.as_secs_f64());
        println!("{name:<26} {seconds:>6.2} s {:>6.0} MB/s   {ratio:>5.2} times the plain copy", mb(bytes) / seconds);
    }
}

fn verb(home: &Home, words: &[&str]) -> Duration {
    let begun = Instant::now();
    let done = Command::new(env!("CARGO_BIN_EXE_edgefeed"))
        .arg("backup")
        .args(words)
        .arg("--config")
        .arg(home.beside("edgefeed.toml"))
        .output()
        .unwrap();
    assert!(done.status.success(), "backup {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    begun.elapsed()
}

/// Has every file of a directory on disk, as a backup's files are.
fn sync(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sync(&path);
        }
        File::open(&path).unwrap().sync_all().unwrap();
    }
}

/// The bytes of all files below a directory.
pub(super) fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}
