//! `edgefeed demo`: a broker, a world and a node in one process, with nothing to install.
//!
//! The node is the real one and learns of the world as it would anywhere: from Kafka records in the topics' formats.

mod writer;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Id, IdKind, Topic};
use edgefeed_sync::EmbeddedBroker;
use secrecy::SecretString;
use uuid::Uuid;

use crate::admin;
use crate::auth;
use crate::clock::now_ms;
use crate::config::Config;
use crate::failure::Failure;
use crate::feed::FeedRequest;
use crate::node::{Node, stop_signal};
use crate::world::{World, WorldConfig};
use writer::Writer;

/// Partitions of each of the demo's topics.
const PARTITIONS: i32 = 4;
/// How long the token that is printed is good.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);
/// The directory of the node's state below `--data-dir`.
const STORE: &str = "store";

/// What can be asked of the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// Users of the world.
    pub users: u32,
    /// Posts of the world at the start.
    pub posts: u32,
    /// Live records a second.
    pub rate: u32,
    /// Port of the feed; 0 takes a free one.
    pub port: u16,
    /// Port of the admin listener; 0 takes a free one.
    pub admin_port: u16,
    /// Stop after so many seconds, counted from when the demo is ready; `None`: when interrupted.
    pub seconds: Option<u64>,
    /// Where the node's state goes; `None`: a temporary directory.
    pub data_dir: Option<PathBuf>,
    /// Decides what the world is like.
    pub seed: u64,
}

/// Runs the demo until its time is over or somebody interrupts it.
pub async fn run(options: Options) -> Result<(), Failure> {
    let (recorder, _upkeep) = admin::install_metrics().map_err(failed)?;
    crate::metrics::describe();
    let stop = stop_signal()?;
    let home = Home::open(options.data_dir.as_deref())?;
    let topics: Vec<String> = Topic::ALL.into_iter().map(writer::topic_name).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let broker = EmbeddedBroker::start(&topics, PARTITIONS).map_err(failed)?;
    let brokers = broker.address().map_err(failed)?;
    let secret = SecretString::from(format!("{}{}", Uuid::new_v4(), Uuid::new_v4()));
    let node = Node::start(config(&options, &home, &brokers, &secret), recorder).await?;

    let world =
        Arc::new(World::new(WorldConfig::demo(options.users, options.posts, options.seed, IdKind::Uuid, now_ms())));
    say(&format!("edgefeed demo: {} users, {} posts; writing their history to Kafka …", options.users, options.posts));
    let started = Instant::now();
    let writer = Writer::connect(&brokers, Arc::clone(&node.now().lag)).map_err(failed)?;
    let written = writer.history(Arc::clone(&world));
    tokio::pin!(stop);
    let writer = tokio::select! {
        written = written => written.map_err(Failure::failed)?,
        () = &mut stop => return node.stop().await,
    };
    say(&format!("{} records applied in {:.1} s", writer.written(), started.elapsed().as_secs_f64()));
    greet(&node, reader(&node, &world), &secret)?;

    let live = tokio::spawn(writer.live(Arc::clone(&world), options.rate));
    let end = async {
        match options.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        () = end => Ok(()),
        () = &mut stop => Ok(()),
        () = node.status.draining() => Ok(()),
        ended = live => Err(Failure::failed(match ended {
            Ok(Err(error)) => format!("live traffic stopped: {error}"),
            _ => "live traffic stopped".to_owned(),
        })),
    };
    node.stop().await.and(outcome)
}

/// Where the node keeps its state. A temporary directory goes with the demo.
#[derive(Debug)]
struct Home {
    dir: PathBuf,
    temporary: bool,
}

impl Home {
    fn open(kept: Option<&Path>) -> Result<Self, Failure> {
        let io = |dir: &Path, error| Failure::failed(format!("{}: {error}", dir.display()));
        let Some(dir) = kept else {
            let dir = std::env::temp_dir().join(format!("edgefeed-demo-{}", Uuid::new_v4()));
            std::fs::create_dir(&dir).map_err(|error| io(&dir, error))?;
            return Ok(Self { dir, temporary: true });
        };
        std::fs::create_dir_all(dir).map_err(|error| io(dir, error))?;
        let store = dir.join(STORE);
        if store.join("FORMAT").exists() {
            // The embedded broker starts empty, so what the store holds belongs to a log that is gone.
            say(&format!("{} is from an earlier broker; starting afresh", store.display()));
            std::fs::remove_dir_all(&store).map_err(|error| io(&store, error))?;
        }
        Ok(Self { dir: dir.to_owned(), temporary: false })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

fn config(options: &Options, home: &Home, brokers: &str, secret: &SecretString) -> Config {
    let mut config = Config::default();
    config.http.listen.set_port(options.port);
    config.admin.listen.set_port(options.admin_port);
    config.auth.hs256_secret = secret.clone();
    // A demo is for trying out, load generators included.
    config.limits.subject_per_s = 0;
    config.storage.dir = home.dir.join(STORE);
    config.kafka.brokers = brokers.to_owned();
    config.kafka.topics.blocks = Some("cdc.blocks".to_owned());
    config.kafka.topics.users = Some("cdc.users".to_owned());
    config
}

/// A reader whose page is full: of the first who are asked, the one with the most to read.
fn reader(node: &Node, world: &World) -> Id {
    let candidates = (0..world.user_count()).rev().take(50).map(|number| world.user(number));
    let page = |viewer: Id| node.now().feed.page(&FeedRequest::of(viewer), now_ms()).map_or(0, |page| page.posts.len());
    candidates.max_by_key(|viewer| page(*viewer)).unwrap_or(Id(0))
}

fn greet(node: &Node, reader: Id, secret: &SecretString) -> Result<(), Failure> {
    let user = IdKind::Uuid.format(reader);
    let token = auth::demo_token(secret, &user, TOKEN_TTL).map_err(failed)?;
    let (http, admin) = (node.http, node.admin);
    say(&format!(
        "\nfeed    http://{http}/api/v1/feed\nstatus  http://{admin}/\nmetrics http://{admin}/metrics\nuser    {user}\n\
         token   {token}\n\ntry:\n  curl -s -H 'Authorization: Bearer {token}' 'http://{http}/api/v1/feed?limit=20&explain=1'\n"
    ));
    Ok(())
}

fn say(line: &str) {
    // Should nobody read, the demo goes on: its URLs are known to who chose the ports.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error.to_string())
}
