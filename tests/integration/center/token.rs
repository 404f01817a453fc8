//! What an insert says of itself in its URL.

use std::collections::BTreeMap;

/// What every insert of the sink must ask of the server.
const SETTINGS: [(&str, &str); 6] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("wait_end_of_query", "1"),
    ("materialized_views_ignore_errors", "0"),
    ("max_partitions_per_insert_block", "0"),
];

/// `<cluster>:<epoch>:<group>:<table>:<topic>:<partition>:<first>-<last>`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) table: String,
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Token {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [_cluster, _epoch, _group, table, topic, partition, range, ..] = parts[..] else { return None };
        let (first, last) = range.split_once('-')?;
        Some(Self {
            text: text.to_owned(),
            table: table.to_owned(),
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    pub(crate) fn covers(&self, topic: &str, partition: u32, offset: i64) -> bool {
        self.topic == topic && self.partition == partition && (self.first..=self.last).contains(&offset)
    }
}

/// A request to ClickHouse, as far as its URL tells.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) token: Option<Token>,
    /// Settings of an insert that are not as they must be.
    pub(crate) unsafe_settings: Vec<String>,
}

impl Asked {
    /// Reads a request's target; `body` is looked at only where the URL holds no query.
    pub(crate) fn of(target: &str, body: &[u8]) -> Self {
        let url = reqwest::Url::parse("http://center/").and_then(|base| base.join(target)).unwrap();
        let given: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let of_body = || String::from_utf8_lossy(&body[..body.len().min(4_096)]).into_owned();
        let query = given.get("query").cloned().unwrap_or_else(of_body);
        let token = given.get("insert_deduplication_token").and_then(|text| Token::parse(text));
        let other = SETTINGS.iter().filter(|(name, value)| given.get(*name).map(String::as_str) != Some(*value));
        let unsafe_settings = other.map(|(name, _)| format!("{name}={:?}", given.get(*name))).collect();
        Self { query, token, unsafe_settings }
    }

    pub(crate) fn is_insert(&self) -> bool {
        self.query.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("insert"))
    }
}
