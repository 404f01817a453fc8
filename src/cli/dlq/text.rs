//! Dead letters as people read them. What a record says is shown and never sent to the terminal as it is.

use edgefeed_sync::dead_letters::{Account, Found};

use super::super::table::{table, tame};
use crate::dead_letters::{Accepted, Bytes, Counts, Listing, Shown};
use crate::feed::time::rfc3339;

pub(super) fn listing(listing: &Listing) -> String {
    if listing.letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows = listing.letters.iter().map(|line| {
        let (reason, bytes) = (line.reason.name().to_owned(), line.bytes.to_string());
        [line.key.clone(), line.time.clone(), reason, bytes, tame(&line.detail)]
    });
    let mut text = table(["KEY", "TIME", "REASON", "BYTES", "DETAIL"], rows);
    if let Some(cursor) = &listing.cursor {
        text.push_str(&format!("there are more: --cursor {cursor}\n"));
    }
    text
}

pub(super) fn counts(counts: &Counts) -> String {
    let rows = counts.counts.iter().map(|row| [row.topic.clone(), row.reason.name().to_owned(), row.count.to_string()]);
    format!("{}{} in all\n", table(["TOPIC", "REASON", "COUNT"], rows), counts.total)
}

/// Where the record stood and why it is dead, an empty line, and the value. For a terminal, control characters but ends
/// of lines and tabs are spelt out.
pub(super) fn shown(shown: &Shown, terminal: bool) -> String {
    let spelt = |bytes: &Bytes| match bytes {
        Bytes::Text(text) => tame(text),
        Bytes::Base64(text) => format!("(base64) {text}"),
    };
    let key = shown.record_key.as_ref().map_or_else(|| "none".to_owned(), spelt);
    let value = match &shown.value {
        None => "(no value)".to_owned(),
        Some(Bytes::Text(text)) if terminal => text.split_inclusive(['\n', '\t']).map(tame_line).collect(),
        Some(Bytes::Text(text)) => text.clone(),
        Some(Bytes::Base64(text)) => format!("(base64) {text}"),
    };
    let (reason, detail) = (shown.reason.name(), tame(&shown.detail));
    format!(
        "key         {}\ntime        {}\nreason      {reason}\ndetail      {detail}\nrecord key  {key}\n\n{value}\n",
        shown.key, shown.time
    )
}

/// A stretch of text up to and with its line's end or tab.
fn tame_line(stretch: &str) -> String {
    let body = stretch.trim_end_matches(['\n', '\t']);
    format!("{}{}", tame(body), &stretch[body.len()..])
}

pub(super) fn accepted(accepted: &Accepted) -> String {
    let before = accepted.before.map_or_else(|| "none before".to_owned(), |before| format!("{before} before"));
    format!("bad records of {} are accepted through {} ({before})\n", accepted.partition, accepted.through)
}

pub(super) fn dropped(dropped: u64, in_kafka: Option<u64>) -> String {
    let here = format!("dropped {dropped} of this node's dead letters");
    in_kafka.map_or_else(|| format!("{here}\n"), |count| format!("{here}, and {count} in Kafka\n"))
}

/// What a replay did, or would do.
pub(super) fn account(account: &Account, dry_run: bool) -> String {
    if !account.exists {
        return format!("there is no topic {}: no dead letter was ever written to it\n", account.topic);
    }
    let mut text = String::new();
    if !account.letters.is_empty() {
        text.push_str(&table(["KEY", "TIME", "REASON", "BYTES", "REPLAYED TO"], account.letters.iter().map(found)));
    }
    let left_out = account.matched.saturating_sub(account.letters.len() as u64);
    if left_out > 0 && dry_run {
        text.push_str(&format!("and {left_out} more\n"));
    }
    let topic = &account.topic;
    text.push_str(&match dry_run {
        true => format!("{} of {topic} would be replayed; nothing was done\n", account.matched),
        false => format!("replayed {} of {topic}\n", account.done),
    });
    text
}

fn found(found: &Found) -> [String; 5] {
    let time = found.time.map_or_else(|| "-".to_owned(), rfc3339);
    let to = found.replayed_to.clone().unwrap_or_else(|| "-".to_owned());
    [found.key.clone(), time, tame(&found.reason), found.bytes.to_string(), to]
}
