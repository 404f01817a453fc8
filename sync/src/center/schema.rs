//! The statements of `sql/clickhouse/schema`, one a file, applied in order of their numbers.

use edgefeed_storage::model::IdKind;
use sha2::{Digest, Sha256};

/// One statement, before its placeholders are filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// Its file's name, which begins with its number.
    pub(super) name: &'static str,
    /// The file.
    pub(super) text: &'static str,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(File { name: $name, text: include_str!(concat!("../../../sql/clickhouse/schema/", $name)) }),*]
    };
}

/// Every file of the folder; a test compares.
pub(super) const FILES: &[File] = files![
    "001_events.sql",
    "002_posts_cdc.sql",
    "003_follows_cdc.sql",
    "004_comments_cdc.sql",
    "005_likes_cdc.sql",
    "006_blocks_cdc.sql",
    "007_post_metrics_1h.sql",
    "008_post_metrics_daily.sql",
    "009_user_author_90d.sql",
    "010_mv_post_metrics_1h.sql",
    "011_mv_post_metrics_daily.sql",
    "012_mv_user_author_90d.sql",
    "013_forgotten_users.sql",
];

/// What the placeholders stand for. Both names are plain: letters, digits, `_` and `-`.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    pub(super) database: &'a str,
    /// Empty: one server.
    pub(super) cluster: &'a str,
    pub(super) ids: IdKind,
}

/// ClickHouse's type of an id.
pub(super) const fn id_type(ids: IdKind) -> &'static str {
    match ids {
        IdKind::Uuid => "UUID",
        IdKind::U64 => "UInt64",
    }
}

impl File {
    /// The number the file's name begins with.
    pub(super) fn number(&self) -> u32 {
        self.name.split('_').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The table or view that the statement makes: what the file's name says behind its number.
    pub(super) fn makes(&self) -> &'static str {
        let name = self.name.trim_end_matches(".sql");
        name.split_once('_').map_or(name, |(_, makes)| makes)
    }

    /// Names the statement for good, whatever its comments say and its placeholders stand for: SHA-256, in hexadecimal.
    pub(super) fn checksum(&self) -> String {
        let code = self.text.lines().filter_map(|line| line.split("--").next());
        let words: Vec<_> = code.flat_map(str::split_whitespace).collect();
        Sha256::digest(words.join(" ")).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Fills in the placeholders of a statement.
pub(super) fn render(text: &str, values: &Values<'_>) -> String {
    let replicated = !values.cluster.is_empty();
    let on_cluster = if replicated { format!(" ON CLUSTER `{}`", values.cluster) } else { String::new() };
    // How many inserts each table remembers: 27 hours of one a second. Replicated tables also count the time.
    let window = if replicated {
        "replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800"
    } else {
        "non_replicated_deduplication_window = 100000"
    };
    text.replace("{database}", &format!("`{}`", values.database))
        .replace(" {on_cluster}", &on_cluster)
        .replace("{id}", id_type(values.ids))
        .replace("{replicated}", if replicated { "Replicated" } else { "" })
        .replace("{dedup_window}", window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/clickhouse/schema");
        let mut there: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        there.sort();
        let embedded: Vec<_> = FILES.iter().map(|file| file.name).collect();
        assert_eq!(embedded, there);
        let numbers: Vec<_> = FILES.iter().map(File::number).collect();
        assert!(numbers.iter().copied().eq(1..=u32::try_from(FILES.len()).unwrap()), "{numbers:?}");
    }

    #[test]
    fn no_placeholder_is_left_and_a_cluster_is_named_in_every_statement() {
        for file in FILES {
            for cluster in ["", "main"] {
                let sql = render(file.text, &Values { database: "d-1", cluster, ids: IdKind::U64 });
                assert!(!sql.contains(['{', '}']), "{}: {sql}", file.name);
                assert_eq!(sql.contains("ON CLUSTER `main`"), !cluster.is_empty(), "{}", file.name);
                assert!(!sql.contains("UUID") || file.number() == 1, "{}", file.name);
            }
        }
    }

    #[test]
    fn a_comment_may_be_mended_and_a_statement_may_not() {
        let sum = |text| File { name: "001_x.sql", text }.checksum();
        assert_eq!(sum("-- a\nCREATE  TABLE x -- b\n(y)"), sum("-- c\nCREATE TABLE x\n(y) -- d"));
        assert_ne!(sum("CREATE TABLE x (y)"), sum("CREATE TABLE x (z)"));
    }
}
