//! The node: starts the parts in order, supervises them, stops them in reverse.

mod discover;
mod generation;
mod inward;
mod jobs;
mod keeping;
mod outward;
mod rebuild;
mod rejoin;
mod restore;

use std::net::SocketAddr;
use std::sync::Arc;

use edgefeed_storage::{Stats, Store};
use edgefeed_sync::breaker::Breaker;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::admin::{self, Breakers, FeedDoor, Guard, Parts, ResyncDoor, SinkDoor};
use crate::auth::Auth;
use crate::clock::now_ms;
use crate::config::{Config, Inputs, Loaded, Role};
use crate::cursor;
use crate::dead_letters::DeadLetters;
use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::forget::Hook;
use crate::http::{self, Door, Drained, Edge, Renewable, Services};
use crate::status::Status;
use crate::tuning::{Origin, Reload, Requests, Tuning};
use generation::Grounds;
use keeping::Keeping;
use outward::Outside;
use rebuild::Rebuilder;
use rejoin::Rejoin;

pub use generation::{Current, Generation};

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// What it tells about itself.
    pub status: Arc<Status>,
    /// What reads its keys and certificates anew when an operator says so.
    pub renewable: Renewable,
    /// Where readers ask.
    pub http: SocketAddr,
    /// Where operators ask.
    pub admin: SocketAddr,
    reload: Arc<Reload>,
    current: Current,
    grounds: Arc<Grounds>,
    rebuilder: Arc<Rebuilder>,
    rejoin: Rejoin,
    keeping: Keeping,
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
        restore::tidy(&config, &store).await;
        let tuning = Arc::new(Tuning::of(&config.ranking));
        let reload = Arc::new(Reload::new(origin, Arc::clone(&tuning), {
            let renewable = renewable.clone();
            move |config: &Config| renewable.renew(config)
        }));
        let outside = Outside::new(&config)?;
        let center = outside.as_ref().map(|outside| Arc::clone(&outside.breaker));
        let postgres = config.postgres.is_set().then(|| Breaker::new("postgres", &config.breaker));
        let kafka = Breaker::new("kafka", &config.breaker);
        let breakers: Breakers = center.iter().chain(&postgres).chain([&kafka]).cloned().collect();
        let fallback = fallback(&config, postgres)?;
        let keys = cursor::Keys::new(&config.http.cursor_key, &config.http.cursor_key_previous);
        let requests = Requests::of(&config);
        let grounds = Arc::new(Grounds { config, tuning, requests, keys, outside, fallback, kafka });
        let config = &grounds.config;
        let first = Generation::start(&grounds, store)?;
        first.start_sink(&grounds)?;
        let current = Current::new(first);
        let rebuilder = Rebuilder::new(&grounds, &current);
        let rejoin = Rejoin::start(&grounds, &current, &rebuilder);
        let status = Arc::new(Status::default());
        tell(&status, &current, &grounds, &breakers);
        tell_jobs(&status, &rebuilder, &rejoin);
        let routes = http::routes(&services(&current, &renewable, config));
        let (own_sink, ranking) = (current.clone(), current.clone());
        let (pages, requests) = (current.clone(), Arc::clone(&grounds.requests));
        let beside: Hook = Arc::new(move |users| generation::forget_beside(&pages.now().answers, &requests, users));
        let keeping = Keeping::start(config, current.kept(), grounds.outside.as_ref(), beside, &status);
        let parts = Parts {
            breakers,
            dead_letters: DeadLetters::new(current.kept(), config.kafka.topics.clone()),
            sink: SinkDoor::of(config, move || own_sink.now().sink()),
            reload: Arc::clone(&reload),
            resync: resync_door(&rebuilder),
            feed: FeedDoor::of(move || Arc::clone(&ranking.now().feed)),
            keeper: Arc::clone(&keeping.keeper),
            inspector: Arc::clone(&keeping.inspector),
            forgetter: Arc::clone(&keeping.forgetter),
        };
        let admin_routes = admin::routes(Arc::clone(&status), recorder, Guard::new(&config.admin.token), parts);
        let servers = vec![
            tokio::spawn(http::serve(public, routes, public_edge, drain(&status))),
            tokio::spawn(http::serve(operators, admin_routes, admin_edge, drain(&status))),
        ];
        status.set_started();
        Ok(Self { status, renewable, http, admin, reload, current, grounds, rebuilder, rejoin, keeping, servers })
    }

    /// The store that serves now, and what stands on it.
    pub fn now(&self) -> Arc<Generation> {
        self.current.now()
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
        self.rejoin.stop();
        self.rebuilder.stop().await;
        self.keeping.stop();
        self.grounds.requests.keep();
        if let Some(fallback) = &self.grounds.fallback {
            fallback.close().await;
        }
        self.current.now().stop().await
    }
}

/// What readers are answered with: by the generation that serves when they ask.
fn services(current: &Current, renewable: &Renewable, config: &Config) -> Services {
    let (page, explain, forget) = (current.clone(), current.clone(), current.clone());
    let (trending, suggested) = (current.clone(), current.clone());
    let (events, position) = (current.clone(), current.clone());
    Services {
        door: Arc::clone(&renewable.door),
        ids: config.node.ids,
        page: Arc::new(move |request, now_ms| Box::pin(Arc::clone(&page.now().answers).page(request, now_ms))),
        explain: Arc::new(move |request, now_ms| {
            Box::pin(Arc::clone(&explain.now().feed).explain_well(request, now_ms))
        }),
        forget: Arc::new(move |viewer, now_ms| forget.now().answers.forget(viewer, now_ms)),
        trending: Arc::new(move |request, now_ms| (trending.now().discover.trending)(request, now_ms)),
        suggested: Arc::new(move |request, now_ms| (suggested.now().discover.suggested)(request, now_ms)),
        events: Arc::new(move |caller, body, now_ms| {
            Box::pin(Arc::clone(&events.now().inward.intake).post(caller, body, now_ms))
        }),
        position: Arc::new(move |text| {
            let positions = Arc::clone(&position.now().inward.positions);
            Box::pin(async move { positions.reached(&text).await })
        }),
        max_body_bytes: config.limits.max_body_bytes,
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

fn drain(status: &Arc<Status>) -> impl Future<Output = ()> + use<> {
    let status = Arc::clone(status);
    async move { status.draining().await }
}

/// Registers what the parts tell about themselves, whichever generation serves.
fn tell(status: &Status, current: &Current, grounds: &Grounds, breakers: &Breakers) {
    let config = &grounds.config;
    let (name, cluster, ids) = (config.node.display_name(), config.node.cluster.clone(), config.node.ids);
    let version = env!("CARGO_PKG_VERSION");
    let node = json!({ "name": name, "cluster": cluster, "ids": ids.name(), "version": version });
    status.add_section("node", move || node.clone());
    let tuning = Arc::clone(&grounds.tuning);
    status.add_section("ranking", move || json!({ "weights_versions": tuning.sets().versions() }));
    let of = |tell: fn(&Generation) -> Value| {
        let current = current.clone();
        move || tell(&current.now())
    };
    status.add_section("ingest", of(|now| now.lag.snapshot(now_ms())));
    status.add_section("store", of(|now| now.store.stats().map_or(Value::Null, store_section)));
    status.add_section("affinity", of(|now| now.affinity.snapshot()));
    status.add_section("spool", of(|now| now.inward.intake.snapshot(now_ms())));
    if config.node.has(Role::Sink) {
        status.add_section("sink", of(|now| now.sink().map_or(Value::Null, |sink| outward::section(&sink))));
    }
    let shown = Arc::clone(breakers);
    status.add_section("breakers", move || admin::breakers(&shown));
    let unless = |check: fn(&Generation) -> Option<String>| {
        let current = current.clone();
        move || check(&current.now())
    };
    status.add_check(unless(|now| {
        (!now.lag.caught_up()).then(|| "catching up with Kafka for the first time".to_owned())
    }));
    status.add_check(unless(|now| (!now.is_warm()).then(|| "reading the store into memory".to_owned())));
    status.add_check(unless(|now| now.answers.out_of_reach()));
}

/// The same of the jobs against the center.
fn tell_jobs(status: &Status, rebuilder: &Arc<Rebuilder>, rejoin: &Rejoin) {
    let told = Arc::clone(rebuilder);
    status.add_section("resync", move || told.section());
    status.add_section("rejoin", rejoin.section());
}

fn resync_door(rebuilder: &Arc<Rebuilder>) -> ResyncDoor {
    let (seen, ordered) = (Arc::clone(rebuilder), Arc::clone(rebuilder));
    ResyncDoor { seen: Arc::new(move || seen.seen()), order: Arc::new(move |order| ordered.order(order)) }
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
