//! `edgefeed backup`: copies of the store, made, listed, read again and put back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::args::{BackupVerb, ListBackupsArgs, Output, RestoreArgs, StatusArgs, VerifyArgs};
use super::live::{self, Live, Node};
use super::table::{table, tame};
use super::{out, runtime};
use crate::admin::Begun;
use crate::backup::{Backups, Created, Line, Listing, Restored, State, Trouble, Verified, Wishes};
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::Failure;
use crate::forget::Forgetter;

/// Between two looks at a backup that a node is making.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(super) fn run(verb: BackupVerb) -> Result<(), Failure> {
    match verb {
        BackupVerb::Create(args) => create(args),
        BackupVerb::List(args) => list(args),
        BackupVerb::Verify(args) => verify(args),
        BackupVerb::Restore(args) => restore(args),
    }
}

fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Asked(message) => Failure::usage(message),
        other => Failure::failed(other.to_string()),
    }
}

fn create(args: StatusArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let runtime = runtime()?;
    // A place that is not there is told before anything else is needed.
    let backups = Backups::open(&config).map_err(failure)?;
    let created = runtime.block_on(async {
        backups.probe().await.map_err(failure)?;
        match live::reach(&config).await? {
            Live::Node(node) => ask(&node).await,
            Live::Store(store) => backups.create(store, &config.storage.dir, now_ms()).await.map_err(failure),
        }
    })?;
    out::shown(args.common.output, &created, created_text)
}

/// Has a node make one, and waits for it.
async fn ask(node: &Node) -> Result<Created, Failure> {
    let begun: Begun = node.post("/admin/checkpoint", &json!({})).await?;
    loop {
        let state: State = node.get("/admin/checkpoint").await?;
        if state.running_since.is_none() || state.number != begun.number {
            return match (state.failed, state.last) {
                (None, Some(created)) => Ok(created),
                (why, _) => {
                    Err(Failure::failed(why.unwrap_or_else(|| "the node lost the backup; see its log".to_owned())))
                }
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn list(args: ListBackupsArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let backups = Backups::open(&config).map_err(failure)?;
    let listing = runtime()?.block_on(backups.list(args.all)).map_err(failure)?;
    out::shown(args.common.output, &listing, listing_text)
}

fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let backups = Backups::open(&config).map_err(failure)?;
    let verified = runtime()?.block_on(backups.verify(args.node.as_deref(), args.id.as_deref())).map_err(failure)?;
    out::shown(args.common.output, &verified, verified_text)?;
    match verified.bad.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!(
            "{count} of {} files of {} are damaged; take another backup, and find out what changed them",
            verified.backup.files, verified.backup.id
        ))),
    }
}

fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let config = args.common.sources.load()?;
    let backups = Backups::open(&config).map_err(failure)?;
    let wishes = Wishes {
        which: args.id,
        node: args.node,
        into: args.into.unwrap_or_else(|| config.storage.dir.clone()),
        keep_local: args.keep_spool,
        storage: config.storage.clone(),
        options: config.store_options(),
    };
    let (restored, unasked) = runtime()?.block_on(async {
        let (restored, store) = backups.restore(&wishes).await.map_err(failure)?;
        Ok::<_, Failure>((restored, forget_again(&config, store).await?))
    })?;
    match args.common.output {
        Output::Text => out::text(&restored_text(&restored, unasked.as_deref())),
        Output::Json => {
            let mut answer = json!(restored);
            answer["center_not_asked"] = json!(unasked);
            out::json(&answer)
        }
    }
}

/// Whoever was forgotten since the backup was made is forgotten in it, as far as the center can be asked; else the
/// reason why not: the node asks as soon as it runs.
async fn forget_again(config: &Config, store: Arc<edgefeed_storage::Store>) -> Result<Option<String>, Failure> {
    let failed = |error: crate::forget::Trouble| Failure::failed(error.to_string());
    if !config.clickhouse.is_set() {
        return Ok(None);
    }
    let center =
        edgefeed_sync::center::Center::new(&config.clickhouse).map_err(|error| Failure::failed(error.to_string()))?;
    Forgetter::new(store, Some(center), Vec::new()).again().await.map_err(failed)
}

fn created_text(created: &Created) -> String {
    let Created { backup, sent_files, sent_bytes, removed, not_removed, took_ms } = created;
    let mut text = format!(
        "backup {} of node {}: {} files, {} bytes, applied through {}\nsent {sent_files} files, {sent_bytes} bytes, in {took_ms} ms\n",
        backup.id,
        backup.node,
        backup.files,
        backup.bytes,
        through(backup)
    );
    if !removed.is_empty() {
        text.push_str(&format!("removed {}\n", removed.join(", ")));
    }
    if let Some(why) = not_removed {
        text.push_str(&format!("older backups could not be removed: {}\n", tame(why)));
    }
    text
}

fn through(backup: &Line) -> &str {
    if backup.applied_through.is_empty() { "nothing yet" } else { &backup.applied_through }
}

fn listing_text(listing: &Listing) -> String {
    if listing.backups.is_empty() {
        return "no backups\n".to_owned();
    }
    let rows = listing.backups.iter().map(|line| {
        let state = line.damaged.as_deref().map_or_else(|| "ok".to_owned(), tame);
        [
            line.id.clone(),
            line.node.clone(),
            line.files.to_string(),
            line.bytes.to_string(),
            through(line).to_owned(),
            state,
        ]
    });
    table(["ID", "NODE", "FILES", "BYTES", "APPLIED THROUGH", "MANIFEST"], rows)
}

fn verified_text(verified: &Verified) -> String {
    let Verified { backup, bad } = verified;
    if bad.is_empty() {
        return format!(
            "backup {} of node {}: all {} files are what they were\n",
            backup.id, backup.node, backup.files
        );
    }
    let rows = bad.iter().map(|bad| [bad.path.clone(), bad.stored_as.clone(), bad.detail.clone()]);
    table(["FILE", "STORED AS", "WHAT IS WRONG"], rows)
}

fn restored_text(restored: &Restored, unasked: Option<&str>) -> String {
    let Restored { backup, dir, left_out } = restored;
    let mut text = format!(
        "backup {} of node {} is now the store in {dir}, applied through {}\n",
        backup.id,
        backup.node,
        through(backup)
    );
    if *left_out > 0 {
        text.push_str(&format!("left out {left_out} entries that only node {} had to do with\n", backup.node));
    }
    if let Some(why) = unasked {
        text.push_str(&format!(
            "the center could not be asked whom to forget; the node does so when it runs ({})\n",
            tame(why)
        ));
    }
    text
}
