//! The node: starts the parts in order, supervises them, stops them in reverse.

mod discover;
mod jobs;
mod outward;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgefeed_storage::{Stats, Store};
use edgefeed_sync::breaker::Breaker;
use edgefeed_sync::sink::Sink;
use edgefeed_sync::{Lag, Materializer};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::admin::{self, Breakers, Guard, Parts, SinkDoor};
use crate::affinity::{self, Affinity, Source};
use crate::auth::Auth;
use crate::clock::now_ms;
use crate::config::{Config, Inputs, Loaded};
use crate::cursor;
use crate::dead_letters::DeadLetters;
use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::feed::{Answers, Feed};
use crate::http::{self, Door, Drained, Edge, Renewable, Services};
use crate::status::Status;
use crate::trending::TrendingPosts;
use crate::tuning::{Origin, Reload, Tuning};
use discover::Discover;
use jobs::Jobs;
use outward::Outside;

/// How long following Kafka may take to stop: the batch being applied, and the library's own goodbye.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// What it keeps.
    pub store: Arc<Store>,
    /// How far it has come.
    pub lag: Arc<Lag>,
    /// What it answers from its own store.
    pub feed: Arc<Feed>,
    /// What it answers, from whichever rung holds.
    pub answers: Arc<Answers>,
    /// What it tells about itself.
    pub status: Arc<Status>,
    /// What reads its keys and certificates anew when an operator says so.
    pub renewable: Renewable,
    /// Where readers ask.
    pub http: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    sink: Option<Arc<Sink>>,
    affinity: Arc<Affinity>,
    reload: Arc<Reload>,
    materializer: Materializer,
    jobs: Jobs,
    servers: Vec<JoinHandle<Drained>>,
}

impl Node {
    /// Starts every part. Readers are answered from the store as it stands as soon as this returns; `/readyz` follows
    /// with the first catch-up.
    pub async fn start(config: Config, recorder: PrometheusHandle) -> Result<Self, Failure> {
        Self::start_from(config, None, recorder).await
    }

    /// The same of a configuration that can be read again while the node runs.
    pub async fn start_from(
        config: Config,
        origin: Option<Origin>,
        recorder: PrometheusHandle,
    ) -> Result<Self, Failure> {
        let public = bind(config.http.listen, "http.listen").await?;
        let operators = bind(config.admin.listen, "admin.listen").await?;
        let (http, admin) = (address(&public)?, address(&operators)?);
        let (renewable, public_edge, admin_edge) = front(&config)?;
        let store = open(&config).await?;
        let materializer = Materializer::start(&config.kafka, Arc::clone(&store), Arc::new(now_ms))
            .map_err(|error| Failure::failed(error.to_string()))?;
        let lag = materializer.lag();
        let trending = Arc::new(TrendingPosts::default());
        let tuning = Arc::new(Tuning::of(&config.ranking));
        let reload = Arc::new(Reload::new(origin, Arc::clone(&tuning)).renewing(renewable.clone()));
        let outside = Outside::new(&config)?;
        let center = outside.as_ref().map(|outside| Arc::clone(&outside.breaker));
        let affinity = histories(&config, &store, &lag, outside.as_ref());
        let feed = Feed::new(Arc::clone(&store), Arc::clone(&trending), Arc::clone(&lag), Arc::clone(&tuning));
        let feed = Arc::new(feed.with_histories(Arc::clone(&affinity)));
        let postgres = config.postgres.is_set().then(|| Breaker::new("postgres", &config.breaker));
        let breakers: Breakers = center.iter().chain(&postgres).cloned().collect();
        let keys = cursor::Keys::new(&config.http.cursor_key, &config.http.cursor_key_previous);
        let discover = Discover::new(&store, &lag, &trending, keys.clone());
        let answers = Arc::new(Answers::new(
            Arc::clone(&feed),
            fallback(&config, postgres)?,
            center,
            config.fallback.clone(),
            keys,
        ));
        let status = Arc::new(Status::default());
        let mut jobs = Jobs::start(&config, &store, &trending);
        jobs.renew_histories(&affinity);
        discover.keep(&mut jobs);
        let told = Arc::clone(&affinity);
        status.add_section("affinity", move || told.snapshot());
        tell(&status, &store, &lag, &tuning, &config, &jobs);
        tell_rungs(&status, &answers, &breakers);
        let sink = outward::sink(&config, outside.as_ref(), &store, &lag, &status)?;
        let routes = http::routes(&Services {
            door: Arc::clone(&renewable.door),
            ids: config.node.ids,
            page: {
                let answers = Arc::clone(&answers);
                Arc::new(move |request, now_ms| Box::pin(Arc::clone(&answers).page(request, now_ms)))
            },
            trending: discover.trending,
            suggested: discover.suggested,
        });
        let parts = Parts {
            breakers,
            dead_letters: DeadLetters::new(Arc::clone(&store), config.kafka.topics.clone()),
            sink: SinkDoor::of(&config, sink.as_ref()),
            reload: Arc::clone(&reload),
        };
        let admin_routes = admin::routes(Arc::clone(&status), recorder, Guard::new(&config.admin.token), parts);
        let servers = vec![
            tokio::spawn(http::serve(public, routes, public_edge, drain(&status))),
            tokio::spawn(http::serve(operators, admin_routes, admin_edge, drain(&status))),
        ];
        status.set_started();
        Ok(Self {
            store,
            lag,
            feed,
            answers,
            affinity,
            reload,
            status,
            renewable,
            http,
            admin,
            sink,
            materializer,
            jobs,
            servers,
        })
    }

    /// Drains and stops: `/readyz` turns, requests in flight finish or are cut at the deadline, what was applied is
    /// synced.
    pub async fn stop(self) -> Result<(), Failure> {
        self.status.set_draining();
        for server in self.servers {
            if let Ok(Drained { cut: cut @ 1.. }) = server.await {
                tracing::warn!(connections = cut, "the drain deadline cut connections that were still busy");
            }
        }
        self.jobs.stop().await;
        self.affinity.stop();
        if let Some(fallback) = &self.answers.fallback {
            fallback.close().await;
        }
        let (store, materializer, sink) = (self.store, self.materializer, self.sink);
        let stopped = tokio::task::spawn_blocking(move || {
            // While the store still follows Kafka: the sink waits for it to end a range.
            let left = sink.map_or(Ok(()), |sink| outward::stop(&sink));
            let stopped = materializer.stop(STOP_PATIENCE).map_err(|error| error.to_string());
            let synced = store.sync().map_err(|error| error.to_string());
            left.and(stopped).and(synced)
        });
        match stopped.await {
            Ok(result) => result.map_err(Failure::failed),
            Err(_) => Err(Failure::failed("stopping the node panicked; the store recovers at the next start")),
        }
    }
}

/// `edgefeed serve`: a node until it is told to stop.
pub async fn run(inputs: Inputs, loaded: Loaded) -> Result<(), Failure> {
    let (recorder, _upkeep) = admin::install_metrics().map_err(|error| Failure::failed(error.to_string()))?;
    crate::metrics::describe();
    let stop = stop_signal()?;
    let hangup = hangup()?;
    let config = loaded.config.clone();
    let node = Node::start_from(config, Some(Origin { inputs, loaded }), recorder).await?;
    let reloads = tokio::spawn(reload_on(hangup, Arc::clone(&node.reload)));
    tracing::info!(http = %node.http, admin = %node.admin, "serving");
    tokio::select! {
        () = stop => {}
        () = node.status.draining() => {}
    }
    tracing::info!("draining");
    reloads.abort();
    node.stop().await
}

fn hangup() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
}

/// Reads the configuration again at every SIGHUP. What comes of it is in the log.
async fn reload_on(mut hangup: Signal, reload: Arc<Reload>) {
    while hangup.recv().await.is_some() {
        let reload = Arc::clone(&reload);
        drop(tokio::task::spawn_blocking(move || reload.run()).await);
    }
}

/// Completes at SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn bind(listen: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::failed(format!("{key} {listen}: {error}; free the port or choose another")))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::failed(format!("a listener has no address: {error}")))
}

/// The way in, and the edges of the public and the admin listener.
fn front(config: &Config) -> Result<(Renewable, Edge, Edge), Failure> {
    let unusable = |problem| Failure::config(&[problem]);
    let auth = Auth::new(&config.auth, config.node.ids).map_err(unusable)?;
    let tls = config.http.tls().map_err(unusable)?;
    let admin_tls = config.admin.tls().map_err(unusable)?;
    let public = Edge::public(&config.http, &config.limits, tls.clone());
    let admin = Edge::admin(&config.limits, admin_tls.clone());
    let door = Arc::new(Door::new(auth, &config.limits));
    Ok((Renewable { door, tls: tls.into_iter().chain(admin_tls).collect() }, public, admin))
}

async fn open(config: &Config) -> Result<Arc<Store>, Failure> {
    let storage = config.storage.clone();
    let options = config.store_options();
    let opened = tokio::task::spawn_blocking(move || Store::open(&storage, options)).await;
    match opened {
        Ok(store) => store.map(Arc::new).map_err(|error| Failure::failed(format!("storage.dir: {error}"))),
        Err(_) => Err(Failure::failed("opening the store panicked; see the log")),
    }
}

/// Histories from the center, where there is one.
fn histories(config: &Config, store: &Arc<Store>, lag: &Arc<Lag>, outside: Option<&Outside>) -> Arc<Affinity> {
    let source = outside.map(|outside| Source {
        center: Arc::clone(&outside.center),
        breaker: Arc::clone(&outside.breaker),
        cluster: config.node.cluster.clone(),
        topic: config.kafka.topics.events.clone(),
    });
    Affinity::new(Arc::clone(store), source, &config.clickhouse, affinity::begun(store, lag))
}

fn drain(status: &Arc<Status>) -> impl Future<Output = ()> + use<> {
    let status = Arc::clone(status);
    async move { status.draining().await }
}

/// Registers what the parts tell about themselves.
fn tell(status: &Status, store: &Arc<Store>, lag: &Arc<Lag>, tuning: &Arc<Tuning>, config: &Config, jobs: &Jobs) {
    let (name, cluster, ids) = (config.node.display_name(), config.node.cluster.clone(), config.node.ids);
    let version = env!("CARGO_PKG_VERSION");
    let node = json!({ "name": name, "cluster": cluster, "ids": ids.name(), "version": version });
    status.add_section("node", move || node.clone());
    let tuning = Arc::clone(tuning);
    status.add_section("ranking", move || json!({ "weights_versions": tuning.sets().versions() }));
    let follow = Arc::clone(lag);
    status.add_section("ingest", move || follow.snapshot(now_ms()));
    let kept = Arc::clone(store);
    status.add_section("store", move || kept.stats().map_or(Value::Null, store_section));
    let follow = Arc::clone(lag);
    status.add_check(move || (!follow.caught_up()).then(|| "catching up with Kafka for the first time".to_owned()));
    let warm = jobs.warm();
    status.add_check(move || (!warm()).then(|| "reading the store into memory".to_owned()));
}

/// The same of the ladder.
fn tell_rungs(status: &Status, answers: &Arc<Answers>, breakers: &Breakers) {
    let shown = Arc::clone(breakers);
    status.add_section("breakers", move || admin::breakers(&shown));
    let answers = Arc::clone(answers);
    status.add_check(move || answers.out_of_reach());
}

fn fallback(config: &Config, breaker: Option<Arc<Breaker>>) -> Result<Option<Arc<Fallback>>, Failure> {
    let fallback = breaker.map(|breaker| Fallback::new(&config.postgres, config.node.ids, breaker));
    fallback.transpose().map_err(|problem| Failure::config(&[problem]))
}

fn store_section(stats: Stats) -> Value {
    json!({
        "disk_bytes": stats.disk_bytes,
        "entries": stats.entries,
        "cache_bytes": stats.cache_bytes,
        "hot_bytes": stats.hot_bytes,
        "hot_posts": stats.hot_posts,
        "viewer_bytes": stats.viewer_bytes,
    })
}
