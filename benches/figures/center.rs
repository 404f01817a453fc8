//! Followed posts ranked by one query of ClickHouse and by one of PostgreSQL, against a whole page of the node: world M
//! in all three, in one run.
//!
//! The queries have it easier: followed authors alone, nothing left out, no spacing; 90 days of affinity as one number a
//! pair, times as whole numbers, tables ordered and indexed for this very query, nothing else going on.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed::feed::FeedRequest;
use edgefeed::ranking::config::Affinity;
use edgefeed::ranking::score::interactions;
use edgefeed::world::World;
use edgefeed_storage::model::{Id, hour_of};
use edgefeed_storage::{Progress, Store, Told};
use reqwest::Client;
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::world_m::{self, feed_over};

const CLICKHOUSE: &str = "EDGEFEED_TEST_CLICKHOUSE";
const POSTGRES: &str = "EDGEFEED_TEST_POSTGRES";
/// As many askers as cores.
const ASKERS: usize = 2;
const READERS: u64 = 500;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// Rows are sent in pieces of so many bytes.
const PIECE: usize = 8 << 20;

const TABLES: [&str; 4] = ["posts", "hours", "follows", "pairs"];
const IN_CLICKHOUSE: [&str; 4] = [
    "CREATE TABLE figures.posts (id UUID, user_id UUID, created_ms Int64) ENGINE = MergeTree ORDER BY (user_id, created_ms)",
    "CREATE TABLE figures.hours (post_id UUID, hour UInt32, impressions UInt32, likes UInt32, comments UInt32, shares UInt32)
     ENGINE = MergeTree ORDER BY (post_id, hour)",
    "CREATE TABLE figures.follows (follower_id UUID, following_id UUID) ENGINE = MergeTree ORDER BY (follower_id, following_id)",
    "CREATE TABLE figures.pairs (user_id UUID, author_id UUID, interactions UInt64) ENGINE = MergeTree ORDER BY (user_id, author_id)",
];
const IN_POSTGRES: [&str; 4] = [
    "CREATE TABLE figures.posts (id uuid, user_id uuid, created_ms bigint)",
    "CREATE TABLE figures.hours (post_id uuid, hour int, impressions int, likes int, comments int, shares int)",
    "CREATE TABLE figures.follows (follower_id uuid, following_id uuid)",
    "CREATE TABLE figures.pairs (user_id uuid, author_id uuid, interactions bigint)",
];
const INDEXES: &str = "
    CREATE INDEX ON figures.posts (user_id, created_ms DESC) INCLUDE (id);
    CREATE INDEX ON figures.hours (post_id, hour) INCLUDE (impressions, likes, comments, shares);
    CREATE INDEX ON figures.follows (follower_id, following_id);
    CREATE INDEX ON figures.pairs (user_id, author_id) INCLUDE (interactions);
    CREATE TABLE figures.built ()";

pub(crate) fn run() {
    let servers = [std::env::var(CLICKHOUSE), std::env::var(POSTGRES)];
    let [Ok(clickhouse), Ok(postgres)] = servers else {
        println!("\none query a page: SKIPPED, {CLICKHOUSE} and {POSTGRES} name no servers (tests/stack/README.md)");
        return;
    };
    let (world, store) = world_m::in_memory();
    let now_ms = world.config().now_ms;
    let runtime = Builder::new_multi_thread().worker_threads(ASKERS).enable_all().build().unwrap();
    let center = Center { client: Client::new(), url: clickhouse, now_ms };
    runtime.block_on(fill(&center, &postgres, &store, &world));
    let readers: Vec<Id> = (0..READERS).map(|n| world.user((n * 7_919 % 50_000) as u32)).collect();
    runtime.block_on(agree(&center, &postgres, &readers));
    let (mut of_center, mut of_postgres, mut ours) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        of_center = of_center.max(runtime.block_on(rate_of_center(&center, &readers)));
        of_postgres = of_postgres.max(runtime.block_on(rate_of_postgres(&postgres, &readers, now_ms)));
        ours = ours.max(rate_of_node(&store, &readers, now_ms));
    }
    println!("\none query a page: world M, {ASKERS} askers, best of {ROUNDS} rounds each, in turn");
    println!("  followed posts ranked by one ClickHouse query  {of_center:>8.0} /s");
    println!("  followed posts ranked by one PostgreSQL query  {of_postgres:>8.0} /s");
    println!(
        "  the node's page, all of it                     {ours:>8.0} /s   {:.0} × ClickHouse, {:.0} × PostgreSQL",
        ours / of_center,
        ours / of_postgres
    );
}

/// A ClickHouse server.
#[derive(Clone)]
struct Center {
    client: Client,
    url: String,
    now_ms: i64,
}

impl Center {
    async fn send(&self, query: &str, parameters: &[(&str, String)], body: String) -> String {
        let mut url = reqwest::Url::parse(&self.url).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        for (name, value) in parameters {
            url.query_pairs_mut().append_pair(&format!("param_{name}"), value);
        }
        let answer = self.client.post(url).body(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{text}");
        text
    }

    /// A reader's scores, best first.
    async fn scores(&self, reader: Id) -> Vec<f64> {
        let parameters = [("reader", uuid(reader).to_string()), ("now", self.now_ms.to_string())];
        let text = self.send(include_str!("center.clickhouse.sql"), &parameters, String::new()).await;
        text.lines().map(|line| line.split('\t').nth(1).unwrap().parse().unwrap()).collect()
    }
}

async fn connect(postgres: &str) -> PgConnection {
    let mut connection = PgConnection::connect(postgres).await.unwrap();
    // Everything is in memory, and a plan is made once.
    connection.execute("SET random_page_cost = 1.1; SET jit = off").await.unwrap();
    connection
}

async fn ask(connection: &mut PgConnection, reader: Id, now_ms: i64) -> Vec<f64> {
    let query = sqlx::query_as::<_, (Uuid, f64)>(include_str!("center.postgres.sql"));
    let rows = query.bind(uuid(reader)).bind(now_ms).fetch_all(connection).await.unwrap();
    rows.into_iter().map(|(_, score)| score).collect()
}

fn uuid(id: Id) -> Uuid {
    Uuid::from_u128(id.0)
}

/// Brings world M into both servers, unless it is there.
async fn fill(center: &Center, postgres: &str, store: &Store, world: &World) {
    let mut connection = connect(postgres).await;
    let built = "SELECT to_regclass('figures.built') IS NOT NULL";
    let (built,): (bool,) = sqlx::query_as(built).fetch_one(&mut connection).await.unwrap();
    if built {
        return;
    }
    println!("\nbringing world M into ClickHouse and PostgreSQL …");
    let started = Instant::now();
    connection.execute("DROP SCHEMA IF EXISTS figures CASCADE; CREATE SCHEMA figures").await.unwrap();
    for statement in ["DROP DATABASE IF EXISTS figures SYNC", "CREATE DATABASE figures"] {
        center.send(statement, &[], String::new()).await;
    }
    for (here, there) in IN_CLICKHOUSE.iter().zip(IN_POSTGRES) {
        center.send(here, &[], String::new()).await;
        connection.execute(there).await.unwrap();
    }
    let mut rows = Rows { center, connection, pieces: Default::default() };
    posts(&mut rows, store, world).await;
    readers(&mut rows, store, world).await;
    rows.end().await;
    rows.connection.execute(INDEXES).await.unwrap();
    rows.connection
        .execute("VACUUM (ANALYZE) figures.posts, figures.hours, figures.follows, figures.pairs")
        .await
        .unwrap();
    for table in TABLES {
        center.send(&format!("OPTIMIZE TABLE figures.{table} FINAL"), &[], String::new()).await;
    }
    println!("  in {:.0} s", started.elapsed().as_secs_f64());
}

/// Rows on their way into both servers, as tab-separated text.
struct Rows<'a> {
    center: &'a Center,
    connection: PgConnection,
    pieces: [String; TABLES.len()],
}

impl Rows<'_> {
    async fn send_full(&mut self, least: usize) {
        for (table, piece) in TABLES.iter().zip(&mut self.pieces) {
            if piece.len() > least {
                let piece = std::mem::take(piece);
                let copy = format!("COPY figures.{table} FROM STDIN");
                let mut into = self.connection.copy_in_raw(&copy).await.unwrap();
                into.send(piece.as_bytes()).await.unwrap();
                into.finish().await.unwrap();
                self.center.send(&format!("INSERT INTO figures.{table} FORMAT TabSeparated"), &[], piece).await;
            }
        }
    }

    async fn end(&mut self) {
        self.send_full(0).await;
    }
}

async fn posts(rows: &mut Rows<'_>, store: &Store, world: &World) {
    let now_ms = world.config().now_ms;
    let mut all = Vec::new();
    store.follow_posts(&mut Progress::default(), |told| {
        if let Told::Post(_, post) = told {
            let hours: Vec<_> = post.hours(0, hour_of(now_ms)).collect();
            all.push((uuid(post.id()), post.author(), post.created_at(), hours));
        }
    });
    let authors: Vec<Option<Uuid>> = {
        let view = store.view(world.user(0), now_ms).unwrap();
        all.iter().map(|(_, author, _, _)| view.author_id(*author).map(uuid)).collect()
    };
    for ((id, _, created_ms, hours), author) in all.iter().zip(authors) {
        writeln!(rows.pieces[0], "{id}\t{}\t{created_ms}", author.unwrap()).unwrap();
        for (hour, sum) in hours {
            let (shown, likes, comments, shares) = (sum.impressions, sum.likes, sum.comments, sum.shares);
            writeln!(rows.pieces[1], "{id}\t{hour}\t{shown}\t{likes}\t{comments}\t{shares}").unwrap();
        }
        rows.send_full(PIECE).await;
    }
}

async fn readers(rows: &mut Rows<'_>, store: &Store, world: &World) {
    for reader in (0..world.user_count()).map(|number| world.user(number)) {
        {
            let view = store.view(reader, world.config().now_ms).unwrap();
            let (viewer, reader) = (view.viewer(), uuid(reader));
            for author in &viewer.follows {
                writeln!(rows.pieces[2], "{reader}\t{}", uuid(view.author_id(*author).unwrap())).unwrap();
            }
            for (author, sum) in &viewer.history {
                let (author, sum) = (uuid(view.author_id(*author).unwrap()), interactions(&Affinity::default(), sum));
                writeln!(rows.pieces[3], "{reader}\t{author}\t{sum}").unwrap();
            }
        }
        rows.send_full(PIECE).await;
    }
}

/// Both queries rank alike: the very same scores, but for the last digits of a logarithm.
async fn agree(center: &Center, postgres: &str, readers: &[Id]) {
    let mut connection = connect(postgres).await;
    for reader in &readers[..20] {
        let (one, other) = (center.scores(*reader).await, ask(&mut connection, *reader, center.now_ms).await);
        assert_eq!(one.len(), other.len());
        assert!(one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-9), "{one:?} {other:?}");
    }
}

async fn rate_of_center(center: &Center, readers: &[Id]) -> f64 {
    let ask = |n: usize| {
        let (center, readers) = (center.clone(), readers.to_vec());
        tokio::spawn(async move {
            let (started, mut answers) = (Instant::now(), 0);
            for reader in readers.iter().cycle().skip(n * 101) {
                center.scores(*reader).await;
                answers += 1;
                if started.elapsed() > ROUND {
                    break;
                }
            }
            f64::from(answers) / started.elapsed().as_secs_f64()
        })
    };
    together((0..ASKERS).map(ask).collect()).await
}

async fn rate_of_postgres(postgres: &str, readers: &[Id], now_ms: i64) -> f64 {
    let asking = |n: usize| {
        let (postgres, readers) = (postgres.to_owned(), readers.to_vec());
        tokio::spawn(async move {
            let mut connection = connect(&postgres).await;
            for reader in &readers[..50] {
                ask(&mut connection, *reader, now_ms).await;
            }
            let (started, mut answers) = (Instant::now(), 0);
            for reader in readers.iter().cycle().skip(n * 101) {
                ask(&mut connection, *reader, now_ms).await;
                answers += 1;
                if started.elapsed() > ROUND {
                    break;
                }
            }
            f64::from(answers) / started.elapsed().as_secs_f64()
        })
    };
    together((0..ASKERS).map(asking).collect()).await
}

async fn together(askers: Vec<tokio::task::JoinHandle<f64>>) -> f64 {
    let mut rate = 0.0;
    for asker in askers {
        rate += asker.await.unwrap();
    }
    rate
}

fn rate_of_node(store: &Arc<Store>, readers: &[Id], now_ms: i64) -> f64 {
    let feed = feed_over(store);
    feed.refresh_trending(now_ms);
    let feed = &feed;
    let asker = |n: usize| {
        let (started, mut answers) = (Instant::now(), 0);
        for reader in readers.iter().cycle().skip(n * 101) {
            std::hint::black_box(feed.page(&FeedRequest::of(*reader), now_ms).unwrap());
            answers += 1;
            if started.elapsed() > ROUND {
                break;
            }
        }
        f64::from(answers) / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS).map(|n| scope.spawn(move || asker(n))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    })
}
