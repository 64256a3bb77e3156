//! The composition root: what is started in which order, and stopped in which.
//!
//! Start: store, what the last run was at when it ended, compute threads, registries (an arbiter each), configured processes, what observes them, HTTP, then the work that
//! waited. Stop: what observes, HTTP (requests that run may end), workers, arbiters, store.

mod addresses;
mod crashes;
mod definitions;
mod files;
mod observing;
mod peers;
mod reload;
mod signals;
mod watchdog;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Arbiter};
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

pub use definitions::load;
use observing::Observing;
use signals::{Signal, Signals};

use crate::actors::{
    Delivery, Environment, GroupMonitor, GroupRegistry, Hub, HubOptions, MemoryLedger, Readiness, Services, TrialRoom,
    take_up_pending,
};
use crate::client::{self, Client, Peers};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, HttpConfig};
use crate::device::crash::CrashBook;
use crate::device::exec::{ExecHost, ExecOptions};
use crate::device::{ComputePool, DeviceFactory, Devices, PoolOptions};
use crate::group::WaitTable;
use crate::http::{Face, serve};
use crate::logging::Logging;
use crate::process::Defaults;
use crate::process::worker::WorkerOptions;
use crate::store::{Fjall, OpenError, Store, StoreOptions};

/// After the grace, what still runs has so long to be interrupted and stored.
const INTERRUPT_TIME: Duration = Duration::from_secs(5);
/// After that, answers have so long to leave. The server looks once a second whether they have.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// The folder of compiled modules, within the data folder. It can be removed at any time.
const COMPILED: &str = "compiled";
/// Programs of processes that were asked to end are waited for so long.
const PROGRAM_TIME: Duration = Duration::from_secs(5);
/// The folder of what programs of processes are at, within the data folder.
const EXEC: &str = "exec";
/// A device that is interrupted and doesn't come back is given up after this time.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3);

/// Why the node does not start, or ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is bad.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The configuration does not fit what is stored, or the machine.
    #[error("{0}")]
    Setup(String),
    /// The store does not open or does not close.
    #[error("{0}")]
    Store(String),
    /// Processes that were to be compacted were not, which the log explains.
    #[error("processes that are left alone: {0}; the events not_compacted in the log say why")]
    LeftAlone(u64),
    /// Anything else.
    #[error("{0}")]
    Internal(String),
}

impl From<OpenError> for NodeError {
    fn from(error: OpenError) -> Self {
        Self::Store(error.to_string())
    }
}

impl NodeError {
    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Setup(_) => 78,
            Self::LeftAlone(_) => 65,
            Self::Store(_) => 74,
            Self::Internal(_) => 70,
        }
    }
}

/// A running node.
pub struct Node {
    hub: Hub,
    address: SocketAddr,
    store: Store,
    arbiters: Vec<Arbiter>,
    observing: Observing,
    readiness: Arc<Readiness>,
    server: ServerHandle,
    exec: ExecHost,
    peers: Peers,
    tasks: Vec<JoinHandle<()>>,
}

/// What is there before a node computes anything.
struct Ground {
    store: Store,
    factory: Arc<dyn DeviceFactory>,
    exec: ExecHost,
    waits: WaitTable,
    peers: Peers,
    crashes: Arc<CrashBook>,
    max_connections: usize,
}

/// Runs a node until a signal stops it.
pub async fn run(config: Config, logging: &Logging) -> Result<(), NodeError> {
    let mut signals = Signals::listen().map_err(|error| NodeError::Internal(format!("signals: {error}")))?;
    let node = Node::start(&config).await?;
    notify(&[sd_notify::NotifyState::Ready]);
    let mut reloader = reload::Reloader::new(config.clone(), node.peers.clone());
    loop {
        match signals.next().await {
            Signal::Stop(name) => {
                info!(target: "node", event = "stopping", reason = name);
                break;
            }
            Signal::Reload => reloader.reload(&node.hub, &node.observing, logging).await,
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    node.stop(config.node.shutdown_grace).await
}

impl Node {
    /// Starts a node with a configuration that is good, as [`load`] loads it. Must be called within an actix system.
    pub async fn start(config: &Config) -> Result<Self, NodeError> {
        let waits = WaitTable::default();
        let (exec, peers) = (exec_host(config, &waits), Peers::new(peers::of(config)?));
        let compiled = config.node.data_dir.join(COMPILED);
        let factory: Arc<dyn DeviceFactory> = Arc::new(make_devices(exec.clone(), Some(compiled), &waits, &peers)?);
        let max_connections = files::make_room(config.http.max_connections);
        let store = Store::open(StoreOptions {
            data_dir: config.node.data_dir.clone(),
            disk_reserve: config.store.disk_reserve,
            engine: Arc::new(Fjall),
        })?;
        definitions::check_stored(config, &store, config.limits.max_processes)?;
        if exec.has_past() {
            // What an earlier node left must be gone before anything is computed.
            let exec = exec.clone();
            let started = tokio::task::spawn_blocking(move || exec.start()).await;
            let refused = |error: String| NodeError::Setup(format!("programs of processes: {error}"));
            started.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))?;
        }
        let crashes = crashes::open(config, &store);
        let ground = Ground { store, factory, exec, waits, peers, crashes: crashes.clone(), max_connections };
        let started = Self::start_on(ground, config).await;
        if started.is_err() {
            // It ends in good order.
            crashes.close();
        }
        started
    }

    async fn start_on(ground: Ground, config: &Config) -> Result<Self, NodeError> {
        let Ground { store, factory, exec, waits, peers, crashes, max_connections } = ground;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let environment = Arc::new(environment(config, store.clone(), factory, crashes, cores)?);
        let arbiters: Vec<Arbiter> = (0..cores).map(|_| Arbiter::new()).collect();
        let registries = arbiters.iter().map(|arbiter| {
            let environment = environment.clone();
            GroupRegistry::start_in_arbiter(&arbiter.handle(), move |_| GroupRegistry::new(environment))
        });
        let hub = Hub::sharing(waits, registries.collect(), environment, HubOptions::new(config));
        definitions::define_all(&hub, config).await?;

        let readiness = Arc::new(Readiness::default());
        let client = Client::new(client::Options { peers: peers.clone(), ..client::Options::default() });
        let client = client.map_err(|error| NodeError::Internal(format!("outgoing HTTP: {error}")))?;
        let delivery = Delivery::new(hub.clone(), config, &client);
        let delivery = Arc::new(delivery.map_err(|error| NodeError::Setup(format!("route: {error}")))?);
        let handles: Vec<_> = arbiters.iter().map(Arbiter::handle).collect();
        Services::start(&delivery, config, &client, &handles);
        let group_monitor = GroupMonitor::new(hub.clone(), config.workers.group_monitor).start();
        let now_from_cache = config.workers.process_now_from_cache;
        let observing = Observing::start(&hub, config, &client, &arbiters).await?;
        let lag_watch = observing.lag_watch.clone();
        let face = Face::new(hub.clone(), group_monitor, delivery, readiness.clone(), &config.http, now_from_cache);
        let face = face.showing(observing.observed());
        let longest_stop = config.node.shutdown_grace + INTERRUPT_TIME + ANSWER_TIME;
        let begun = move |number| lag_watch.here(&format!("http-{number}"));
        let http = HttpConfig { max_connections, ..config.http.clone() };
        let (server, address) = serve(Data::new(face), &http, cores, longest_stop, begun)
            .map_err(|error| NodeError::Setup(format!("http.listen: {}: {error}", config.http.listen)))?;
        let handle = server.handle();
        let tasks = vec![
            tokio::spawn(async move {
                if let Err(error) = server.await {
                    error!(target: "http", event = "server_failed", %error);
                }
            }),
            tokio::spawn(take_up_pending(hub.clone(), readiness.clone())),
            tokio::spawn(watchdog::feed(hub.clone())),
        ];
        info!(target: "http", event = "listening", addr = %address, name = config.node.name,
            data_dir = %config.node.data_dir.display(), config = %config.origin);
        Ok(Self { hub, address, store, arbiters, observing, readiness, server: handle, exec, peers, tasks })
    }

    /// The way to its processes.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it: requests that run have `grace` to end, workers store what is worth it, the store is closed.
    pub async fn stop(self, grace: Duration) -> Result<(), NodeError> {
        self.readiness.stopping();
        self.observing.quiet().await;
        let mut drained = std::pin::pin!(self.server.stop(true));
        let is_drained = tokio::time::timeout(grace, &mut drained).await.is_ok();
        if !is_drained {
            warn!(target: "http", event = "grace_over", "calls that still run are interrupted");
        }
        if tokio::time::timeout(INTERRUPT_TIME, self.hub.shutdown()).await.is_err() {
            warn!(target: "node", event = "workers_left", "some workers did not end in time; their log is on disk");
        }
        // The end of its worker answers whoever still waited; those answers are on their way now.
        if !is_drained && tokio::time::timeout(ANSWER_TIME, drained).await.is_err() {
            warn!(target: "http", event = "connections_left", "connections that still run are closed");
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        let exec = self.exec;
        let ended = tokio::task::spawn_blocking(move || exec.stop(PROGRAM_TIME)).await;
        if ended.is_err() {
            warn!(target: "node", event = "programs_left", "programs of processes are left to their guardian");
        }
        self.hub.environment().pool.stop();
        let observer = self.observing.stop().await;
        for arbiter in self.arbiters.into_iter().chain([observer]) {
            arbiter.stop();
            let joined = tokio::task::spawn_blocking(move || arbiter.join());
            if !matches!(joined.await, Ok(Ok(()))) {
                warn!(target: "node", event = "arbiter_panicked");
            }
        }
        // What still hangs on a compute thread was interrupted, and says nothing against its slot.
        self.hub.environment().crashes.close();
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.shutdown()).await;
        match closed {
            Ok(Ok(())) => {
                info!(target: "node", event = "stopped");
                Ok(())
            }
            Ok(Err(error)) => Err(NodeError::Store(error)),
            Err(error) => Err(NodeError::Internal(format!("closing the store: {error}"))),
        }
    }
}

/// What makes the devices of a node with this configuration, without that node. Modules that it compiled are taken from its
/// data folder if they are there. Nothing is started.
///
/// # Errors
/// The engine of modules does not start here, or an address of a peer is none.
pub fn devices(config: &Config) -> Result<Devices, NodeError> {
    let waits = WaitTable::default();
    let compiled = Some(config.node.data_dir.join(COMPILED)).filter(|folder| folder.is_dir());
    let peers = Peers::new(peers::of(config)?);
    make_devices(exec_host(config, &waits), compiled, &waits, &peers)
}

fn make_devices(
    exec: ExecHost,
    compiled: Option<PathBuf>,
    waits: &WaitTable,
    peers: &Peers,
) -> Result<Devices, NodeError> {
    Devices::start(compiled, exec, waits.clone(), peers.clone()).map_err(|error| NodeError::Internal(error.to_string()))
}

fn exec_host(config: &Config, waits: &WaitTable) -> ExecHost {
    // The very program that runs, whatever has taken its place on disk since.
    let helper = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mainstay"))
    };
    ExecHost::new(ExecOptions { helper, folder: config.node.data_dir.join(EXEC), waits: waits.clone() })
}

fn environment(
    config: &Config,
    store: Store,
    factory: Arc<dyn DeviceFactory>,
    crashes: Arc<CrashBook>,
    registries: usize,
) -> Result<Environment, NodeError> {
    let workers = &config.workers;
    let pool = ComputePool::start(PoolOptions {
        threads: workers.compute_threads,
        threads_max: workers.compute_threads_max,
        turn: workers.compute_turn,
    });
    let configured: HashSet<_> = config.processes.iter().map(|process| process.id.clone()).collect();
    Ok(Environment {
        store,
        pool: pool.map_err(|error| NodeError::Internal(format!("compute threads: {error}")))?,
        trials: TrialRoom::default(),
        crashes,
        services: OnceLock::new(),
        factory,
        clock: Clock::system(),
        options: WorkerOptions {
            process_workers: workers.process_workers,
            max_idle: workers.process_worker_max_idle,
            cache_frequency: workers.process_cache_frequency,
            async_cache: workers.process_async_cache,
            snapshots_kept: config.store.snapshots_kept,
            id_retention: config.limits.id_retention,
        },
        defaults: Defaults { limits: config.limits.process.clone(), error_strategy: workers.error_strategy },
        configured: arc_swap::ArcSwap::from_pointee(configured),
        meters: observing::meters(&config.metrics),
        memory: MemoryLedger::new(workers.total_memory),
        workers_max: workers.workers_max.div_ceil(registries).max(1),
        give_up_after: GIVE_UP_AFTER,
    })
}

/// Tells the service manager, if there is one.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(target: "node", event = "notify_failed", %error, "the service manager was not told");
    }
}
