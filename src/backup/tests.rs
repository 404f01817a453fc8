//! A backup is what it was, or is refused by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgefeed_storage::model::{DeadReason, IdKind, Outcome, Record, Refusal, Topic, TopicPartition};
use edgefeed_storage::{OpenOptions, Store};

use super::*;

const NOW: i64 = 1_795_376_817_860;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn depot(&self) -> PathBuf {
        self.dir.path().join("depot")
    }

    fn config(&self, node: &str) -> crate::config::Config {
        let mut config = crate::config::Config::default();
        config.node.ids = IdKind::U64;
        config.node.name = node.to_owned();
        config.backup.url = self.depot().display().to_string();
        config.backup.keep = 2;
        config.storage.dir = self.dir.path().join(node);
        config.storage.memory_budget_bytes = 64 << 20;
        config
    }

    fn open(&self, node: &str) -> (crate::config::Config, Arc<Store>) {
        let config = self.config(node);
        let store = Store::open(&config.storage, options()).unwrap();
        (config, Arc::new(store))
    }

    fn wishes(&self, node: &str) -> Wishes {
        Wishes {
            which: None,
            node: None,
            into: self.dir.path().join("back"),
            keep_local: false,
            storage: self.config(node).storage,
            options: options(),
        }
    }

    fn objects(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        walk(&self.depot(), &mut found);
        found.sort();
        found
    }
}

fn options() -> OpenOptions {
    OpenOptions { ids: IdKind::U64, apply_truncates: false }
}

fn write(store: &Store, offsets: std::ops::Range<i64>) {
    let at = TopicPartition { topic: Topic::Likes, partition: 0 };
    let record = |offset| Record {
        at,
        offset,
        time: NOW,
        outcome: Outcome::Dead {
            refusal: Refusal { reason: DeadReason::Malformed, detail: String::new() },
            key: None,
            value: Some(vec![7; 200]),
        },
        raw: None,
    };
    store.apply(&offsets.map(record).collect::<Vec<_>>(), NOW).unwrap();
}

fn letters(store: &Store) -> usize {
    let mut count = 0;
    store.each_dead_letter(|_, _, _| count += 1).unwrap();
    count
}

#[tokio::test]
async fn a_backup_comes_back_as_it_was_and_what_is_there_is_not_sent_again() {
    let bench = Bench::new();
    let (config, store) = bench.open("n1");
    write(&store, 0..50);
    let backups = Backups::open(&config).unwrap();
    let dir = &config.storage.dir;
    let first = backups.create(Arc::clone(&store), dir, NOW).await.unwrap();
    assert_eq!(first.sent_files, first.backup.files);
    write(&store, 50..60);
    let second = backups.create(Arc::clone(&store), dir, NOW + 1_000).await.unwrap();
    assert!(second.sent_files < second.backup.files, "{second:?}");
    assert!(!dir.join("backup-staging").exists());
    let listed = backups.list(false).await.unwrap();
    assert_eq!(listed.backups, [second.backup.clone(), first.backup.clone()]);
    assert_eq!(backups.verify(None, None).await.unwrap(), Verified { backup: second.backup, bad: Vec::new() });

    let mut wishes = bench.wishes("n1");
    let (restored, back) = backups.restore(&wishes).await.unwrap();
    assert_eq!((restored.backup.id.clone(), letters(&back)), (listed.backups[0].id.clone(), 60));
    drop(back);
    // It is taken now; a peer takes the older one elsewhere.
    let refused = backups.restore(&wishes).await.unwrap_err().to_string();
    assert!(refused.contains("holds a store"), "{refused}");
    wishes.into = bench.dir.path().join("peer");
    wishes.which = Some(first.backup.id);
    let peer = Backups::open(&bench.config("n2")).unwrap();
    let mut own = bench.wishes("n2");
    own.into = bench.dir.path().join("own");
    let missing = peer.restore(&own).await.unwrap_err().to_string();
    assert!(missing.contains("no backup of node n2"), "{missing}");
    let (_, back) = peer.restore(&wishes).await.unwrap();
    assert_eq!(letters(&back), 50);
    drop(back);
    std::fs::create_dir(bench.dir.path().join("full")).unwrap();
    std::fs::write(bench.dir.path().join("full/letter.txt"), "hello").unwrap();
    wishes.into = bench.dir.path().join("full");
    assert!(peer.restore(&wishes).await.unwrap_err().to_string().contains("is not empty"));
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_is_refused_by_name() {
    let bench = Bench::new();
    let (config, store) = bench.open("n1");
    write(&store, 0..50);
    let backups = Backups::open(&config).unwrap();
    let made = backups.create(store, &config.storage.dir, NOW).await.unwrap();
    let objects = bench.objects();
    assert!(objects.len() as u64 >= made.backup.files / 2 + 2, "some of the files may be equal");
    for object in objects {
        let whole = std::fs::read(&object).unwrap();
        // In the middle, and at both ends.
        for place in [0, whole.len() / 2, whole.len().saturating_sub(1)] {
            let mut flipped = whole.clone();
            let Some(byte) = flipped.get_mut(place) else { continue };
            *byte ^= 0x20;
            std::fs::write(&object, &flipped).unwrap();
            let name = object.file_name().unwrap().to_str().unwrap();
            let told = match backups.verify(None, None).await {
                Ok(verified) => verified.bad.iter().map(|bad| bad.stored_as.clone()).collect::<Vec<_>>().join(" "),
                Err(error) => error.to_string(),
            };
            assert!(told.contains(name), "{name}: {told}");
            let into = bench.wishes("n1");
            let refused = backups.restore(&into).await.map(drop).unwrap_err().to_string();
            assert!(refused.contains(name), "{name}: {refused}");
            assert!(!into.into.join("FORMAT").exists(), "there is no store");
        }
        std::fs::write(&object, whole).unwrap();
    }
    // What was cut off is taken up.
    let (_, back) = backups.restore(&bench.wishes("n1")).await.unwrap();
    assert_eq!(letters(&back), 50);
}

#[tokio::test]
async fn as_many_as_are_wanted_are_kept_and_no_file_too_many_or_too_few() {
    let bench = Bench::new();
    let (config, store) = bench.open("n1");
    let backups = Backups::open(&config).unwrap();
    let mut made = Vec::new();
    for round in 0..4 {
        write(&store, round * 10..(round + 1) * 10);
        made.push(backups.create(Arc::clone(&store), &config.storage.dir, NOW + round * 1_000).await.unwrap());
    }
    assert_eq!(made[3].removed, [made[1].backup.id.clone()]);
    let left: Vec<_> = backups.list(true).await.unwrap().backups.into_iter().map(|line| line.id).collect();
    assert_eq!(left, [made[3].backup.id.clone(), made[2].backup.id.clone()]);
    for id in &left {
        assert!(backups.verify(None, Some(id)).await.unwrap().bad.is_empty());
    }
    let names: std::collections::BTreeSet<_> = bench
        .objects()
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "files"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut named = std::collections::BTreeSet::new();
    for id in &left {
        named.extend(backups.manifest("n1", id).await.unwrap().files.into_iter().map(|file| file.sha256));
    }
    assert_eq!(names, named);
    // A manifest that cannot be believed stops the removal of anything.
    let id = &left[1];
    std::fs::write(bench.depot().join(format!("default/n1/backups/{id}/manifest.json")), "{}").unwrap();
    let more = backups.create(store, &config.storage.dir, NOW + 9_000).await.unwrap();
    assert!(more.removed.is_empty() && more.not_removed.unwrap().contains(id));
    let damaged = backups.list(false).await.unwrap().backups.into_iter().find(|line| &line.id == id).unwrap();
    assert!(damaged.damaged.unwrap().contains("manifest.json"));
}

#[tokio::test]
async fn the_newest_backups_of_all_nodes_are_found_and_what_will_not_do_is_refused_by_name() {
    let bench = Bench::new();
    let reader = Backups::open(&bench.config("n3")).unwrap();
    assert!(reader.newest(IdKind::U64, |_, _| false).await.unwrap().usable.is_empty(), "there are none");
    let mut made = Vec::new();
    for (node, at) in [("n1", 0), ("n2", 1_000), ("n1", 2_000)] {
        let (config, store) = bench.open(node);
        write(&store, at..at + 10);
        let backups = Backups::open(&config).unwrap();
        made.push(backups.create(store, &config.storage.dir, NOW + at).await.unwrap().backup);
    }
    let ids = |newest: &Newest| newest.usable.iter().map(|found| found.id.clone()).collect::<Vec<_>>();
    let found = reader.newest(IdKind::U64, |_, _| false).await.unwrap();
    assert_eq!(ids(&found), [made[2].id.clone(), made[1].id.clone(), made[0].id.clone()]);
    assert_eq!(found.refused, []);
    let likes = TopicPartition { topic: Topic::Likes, partition: 0 };
    assert_eq!(found.usable[1].reach()[&likes], (1_010, NOW));
    let without = reader.newest(IdKind::U64, |node, id| (node, id) == ("n2", made[1].id.as_str())).await.unwrap();
    assert_eq!(ids(&without), [made[2].id.clone(), made[0].id.clone()]);
    // One whose manifest is damaged, one that never was sealed.
    let folder = |line: &Line| bench.depot().join(format!("default/{}/backups/{}", line.node, line.id));
    std::fs::write(folder(&made[2]).join("manifest.json"), "{}").unwrap();
    std::fs::remove_file(folder(&made[0]).join("manifest.sha256")).unwrap();
    let found = reader.newest(IdKind::U64, |_, _| false).await.unwrap();
    assert_eq!(ids(&found), [made[1].id.clone()]);
    let [Refused { backup, node, why }] = &found.refused[..] else { panic!("{:?}", found.refused) };
    assert_eq!((backup, node.as_str(), why.contains("manifest.json")), (&made[2].id, "n1", true), "{why}");
    let other = reader.newest(IdKind::Uuid, |_, _| false).await.unwrap();
    assert_eq!((other.usable.len(), other.refused.len()), (0, 2));
    assert!(other.refused[1].why.contains("node.ids"), "{:?}", other.refused);
}
