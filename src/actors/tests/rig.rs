//! A node without HTTP, in virtual time.
//!
//! The store and the compute threads live outside of the runtime, so the clock would run away while something is awaited
//! from them. [`still`] holds it; time passes in [`pass`] only.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use actix::{Actor, Addr, System};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::inside::{AskHome, Audit, Crash, Kill};
use crate::actors::trials::PERMITS;
use crate::actors::{Delivery, Environment, GroupRegistry, Hub, HubOptions, MemoryLedger, Services, TrialRoom};
use crate::client::{self, Client};
use crate::clock::Clock;
use crate::config::limits::Limits;
use crate::config::{AwaitInProgress, Config};
use crate::device::fake::Fakes;
use crate::device::{ComputePool, PoolOptions};
use crate::group::GroupStatus;
use crate::ids::{Epoch, GroupName, MessageId, ProcessId, Slot};
use crate::metrics::Processes;
use crate::process::worker::{Activity, Define, Status, WorkerOptions};
use crate::process::{
    Computed, Defaults, DeviceKind, Draft, ErrorStrategy, Order, Origin, Outcome, PageQuery, ProcessOrigin,
    RequestError, Specification,
};
use crate::store::faulty::{Faults, Faulty};
use crate::store::{Memory, Store, StoreOptions};

/// What is awaited from other threads comes within this time of the real clock, by a wide margin.
const PATIENCE: Duration = Duration::from_secs(60);
/// Idle time before a worker stops.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(300);
/// A device that does not come back is given up after this time.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(3);
/// Idle time before a base worker stops.
pub(super) const WORKER_TIMEOUT: Duration = Duration::from_secs(10);
/// So often a request is tried again.
pub(super) const ATTEMPTS: u32 = 5;

/// What a test may want otherwise.
pub(super) struct Settings {
    pub(super) options: WorkerOptions,
    pub(super) workers_max: usize,
    pub(super) total_memory: u64,
    pub(super) pool: PoolOptions,
    pub(super) error_strategy: ErrorStrategy,
    pub(super) limits: Limits,
    pub(super) hub: HubOptions,
    /// Only `[monitor]`, `[push]`, `[[route]]` and `spawn_rate` count.
    pub(super) config: Config,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: WorkerOptions {
                process_workers: true,
                max_idle: MAX_IDLE,
                cache_frequency: 1_000,
                async_cache: true,
                snapshots_kept: 2,
                id_retention: Duration::from_secs(7 * 24 * 60 * 60),
            },
            workers_max: 100,
            total_memory: 1 << 30,
            pool: PoolOptions { threads: 2, threads_max: 16, turn: Duration::from_millis(10) },
            error_strategy: ErrorStrategy::Ignore,
            limits: Limits::default(),
            hub: HubOptions {
                resolve_attempts: ATTEMPTS,
                max_processes: 1_000,
                await_inprogress: AwaitInProgress::All,
                spawn_worker: true,
                static_worker: false,
                allow_infinite: false,
                worker_timeout: WORKER_TIMEOUT,
            },
            config: Config::default(),
        }
    }
}

/// A dry-run's slot and output, or error.
pub(super) type Tried = Result<(u64, String), RequestError>;
/// The base's name after a message, and the output or error.
pub(super) type Resolved = Result<(GroupName, String), RequestError>;

/// A node without HTTP.
pub(super) struct Rig {
    pub(super) hub: Hub,
    pub(super) store: Store,
    pub(super) fakes: Fakes,
    pub(super) faults: Faults,
    pub(super) folder: TempDir,
    pub(super) registry: Addr<GroupRegistry>,
}

/// Runs `test` on a node with these settings.
pub(super) fn run<T: Future<Output = ()>>(settings: Settings, test: impl FnOnce(Rig) -> T) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(async move { test(Rig::start(settings)).await });
}

/// Runs `test` on a node with the usual settings.
pub(super) fn usual<T: Future<Output = ()>>(test: impl FnOnce(Rig) -> T) {
    run(Settings::default(), test);
}

/// What the workers of a node over a store in memory share, without a node around it.
pub(in crate::actors) fn bare(folder: &Path) -> Arc<Environment> {
    let engine = Arc::new(Memory::default());
    let store = Store::open(StoreOptions { data_dir: folder.to_owned(), disk_reserve: 0, engine }).unwrap();
    environment(&Settings::default(), store, &Fakes::default())
}

fn environment(settings: &Settings, store: Store, fakes: &Fakes) -> Arc<Environment> {
    Arc::new(Environment {
        store,
        pool: ComputePool::start(settings.pool).unwrap(),
        trials: TrialRoom::default(),
        crashes: Arc::default(),
        services: OnceLock::new(),
        factory: Arc::new(fakes.clone()),
        clock: Clock::anchored(1_800_000_000_000),
        options: settings.options.clone(),
        defaults: Defaults { limits: settings.limits.clone(), error_strategy: settings.error_strategy },
        configured: arc_swap::ArcSwap::default(),
        meters: Arc::new(Processes::new(100)),
        memory: MemoryLedger::new(settings.total_memory),
        workers_max: settings.workers_max,
        give_up_after: GIVE_UP_AFTER,
    })
}

impl Rig {
    fn start(settings: Settings) -> Self {
        let (fakes, faults) = (Fakes::default(), Faults::default());
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(Faulty::new(Arc::new(Memory::default()), faults.clone()));
        let data_dir = folder.path().to_owned();
        let store = Store::open(StoreOptions { data_dir, disk_reserve: 0, engine }).unwrap();
        Self::over(settings, store, fakes, faults, folder)
    }

    /// The node ends in the middle of whatever it does, and another one starts over the same store.
    pub(super) async fn restart(self, settings: Settings) -> Self {
        self.crash_pushers().await;
        still(self.registry.send(Crash)).await.unwrap();
        let Self { store, fakes, faults, folder, .. } = self;
        Self::over(settings, store, fakes, faults, folder)
    }

    fn over(settings: Settings, store: Store, fakes: Fakes, faults: Faults, folder: TempDir) -> Self {
        let environment = environment(&settings, store.clone(), &fakes);
        let registry = GroupRegistry::new(environment.clone()).start();
        let hub = Hub::new(vec![registry.clone()], environment, settings.hub);
        let client = Client::new(client::Options::default()).unwrap();
        let delivery = Arc::new(Delivery::new(hub.clone(), &settings.config, &client).unwrap());
        Services::start(&delivery, &settings.config, &client, &[]);
        Self { hub, store, fakes, faults, folder, registry }
    }

    /// A process of this id whose slot 0 is computed.
    pub(super) async fn process(&self, name: &str) -> ProcessId {
        self.process_of(name, "fake").await
    }

    /// The same, with this source.
    pub(super) async fn process_of(&self, name: &str, source: &str) -> ProcessId {
        let process = id(name);
        let define = self.definition_of(source);
        assert_eq!(still(self.hub.define(&process, define)).await, Ok(true));
        still(self.hub.compute(&process, Some(Slot::ZERO))).await.unwrap();
        self.rest(&process).await;
        process
    }

    /// What `POST /processes` would make of this source.
    pub(super) fn definition_of(&self, source: &str) -> Define {
        let source: Arc<[u8]> = source.as_bytes().into();
        let specification = Specification::new(DeviceKind::Lua, &source);
        let definition = self.hub.environment().resolve(&specification);
        Define { origin: ProcessOrigin::Api, definition, source, from: "local".to_owned() }
    }

    /// Gives a message a slot.
    pub(super) async fn schedule(&self, process: &ProcessId, data: &str) -> Result<u64, RequestError> {
        still(self.hub.schedule(process, draft(data))).await.map(|slot| slot.0)
    }

    /// Gives a message a slot and returns the outcome's output.
    pub(super) async fn ask(&self, process: &ProcessId, data: &str) -> Result<String, RequestError> {
        let slot = still(self.hub.schedule(process, draft(data))).await?;
        still(self.hub.compute(process, Some(slot))).await.map(|computed| output(&computed))
    }

    /// The output, or the error, of a slot.
    pub(super) async fn outcome(&self, process: &ProcessId, slot: u64) -> String {
        output(&still(self.hub.compute(process, Some(Slot(slot)))).await.unwrap())
    }

    /// A dry-run on its way.
    pub(super) fn try_out(&self, process: &ProcessId, data: &str) -> JoinHandle<Tried> {
        let (hub, process, draft) = (self.hub.clone(), process.clone(), draft(data));
        actix_rt::spawn(async move {
            let (slot, outcome) = hub.dry_run(&process, draft).await?;
            Ok((slot.0, said(&outcome)))
        })
    }

    /// A message that is being resolved on a base.
    pub(super) fn resolve(&self, group: &GroupName, data: &str) -> JoinHandle<Resolved> {
        let (hub, group, draft) = (self.hub.clone(), group.clone(), draft(data));
        actix_rt::spawn(async move {
            let (group, outcome) = hub.resolve_on(&group, draft).await?;
            Ok((group, said(&outcome)))
        })
    }

    pub(super) async fn status(&self, process: &ProcessId) -> Status {
        still(self.hub.status(process)).await.unwrap()
    }

    /// Returns once the worker of `process` has nothing left to do, or is gone.
    pub(super) async fn rest(&self, process: &ProcessId) {
        self.until(process, |status| status.activity != Activity::Computing && status.queue == 0).await;
        still(self.hub.settle(process)).await.unwrap();
    }

    /// Returns once no worker of `process` runs.
    pub(super) async fn gone(&self, process: &ProcessId) {
        self.until(process, |status| status.activity == Activity::Idle).await;
    }

    /// Returns once `holds` is true of where `process` stands.
    pub(super) async fn until(&self, process: &ProcessId, holds: impl Fn(&Status) -> bool) {
        let looking = async {
            while !holds(&self.hub.status(process).await.unwrap()) {
                moment().await;
            }
        };
        still(looking).await;
    }

    /// Returns once so many calls stand at the gate.
    pub(super) async fn held(&self, calls: usize) {
        let fakes = self.fakes.clone();
        assert!(tokio::task::spawn_blocking(move || fakes.wait_until_held(calls, PATIENCE)).await.unwrap());
    }

    /// Returns once the device of a base is back with its worker.
    pub(super) async fn until_home(&self, group: &GroupName) {
        let looking = async {
            loop {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                self.registry.do_send(AskHome(group.clone(), sender));
                if receiver.await.unwrap_or(true) {
                    break;
                }
                moment().await;
            }
        };
        still(looking).await;
    }

    /// Returns once the store takes writes.
    pub(super) async fn healthy(&self) {
        let store = self.store.clone();
        assert!(tokio::task::spawn_blocking(move || store.wait_until_healthy(PATIENCE)).await.unwrap());
    }

    /// Has somebody else claim `process`, as another node would: what its worker commits from now on is fenced off.
    pub(super) async fn rival(&self, process: &ProcessId) -> Epoch {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.store.claim(process, move |claim| drop(sender.send(claim)));
        still(receiver).await.unwrap().unwrap().epoch
    }

    /// Kills the worker of `process` by a panic in a handler, if it has one.
    pub(super) async fn kill(&self, process: &ProcessId) {
        self.kill_group(&GroupName::of_process(process)).await;
    }

    /// Kills the worker that leads `group` by a panic in a handler, if one does.
    pub(super) async fn kill_group(&self, group: &GroupName) {
        still(self.registry.send(Kill(group.clone()))).await.unwrap();
    }

    /// Every group that is led, but for the workers of processes.
    pub(super) async fn groups(&self) -> Vec<GroupStatus> {
        let mut groups = still(self.hub.groups()).await;
        groups.retain(|status| !status.group.is_process());
        groups
    }

    /// Returns once `holds` is true of the groups that are led, the workers of processes left out.
    pub(super) async fn until_groups(&self, holds: impl Fn(&[GroupStatus]) -> bool) -> Vec<GroupStatus> {
        let looking = async {
            loop {
                let groups = self.groups().await;
                if holds(&groups) {
                    return groups;
                }
                moment().await;
            }
        };
        still(looking).await
    }

    /// Nobody asks any more: returns once no base and no execution is left after their time, and looks whether anything else is.
    pub(super) async fn nothing_left(&self) {
        let mut rounds = 0;
        while !self.groups().await.is_empty() || self.hub.environment().trials.free() < PERMITS {
            pass(WORKER_TIMEOUT).await;
            moment().await;
            rounds += 1;
            assert!(rounds < 1_000, "{:?} are led for ever", self.groups().await);
        }
        let (resident, workers, waiting) = still(self.registry.send(Audit)).await.unwrap();
        assert_eq!((resident, waiting), (workers, 0), "places that are taken, requests that wait for one");
        assert!(self.hub.waits().is_empty(), "waits that nobody waits");
        still(self.hub.shutdown()).await;
        assert_eq!(self.hub.environment().memory.held(), 0, "memory that nobody holds");
    }

    /// Returns what `task` comes to, while virtual time passes in small steps and other threads have their moments.
    pub(super) async fn soon<T>(&self, task: JoinHandle<T>) -> T {
        let mut steps = 0;
        while !task.is_finished() {
            moment().await;
            pass(Duration::from_millis(10)).await;
            steps += 1;
            assert!(steps < 10_000, "nothing came of it");
        }
        task.await.unwrap()
    }

    /// Every stored outcome of `process`: slot, and output or error.
    pub(super) fn stored(&self, process: &ProcessId) -> Vec<(u64, String)> {
        let query = PageQuery {
            first: Slot::ZERO,
            last: Slot(u64::MAX),
            limit: usize::MAX,
            bytes: u64::MAX,
            order: Order::Ascending,
        };
        let page = self.store.outcomes(process, &query).unwrap();
        page.items.iter().map(|computed| (computed.slot.0, output(computed))).collect()
    }
}

/// Awaits `work` while the clock stands still.
pub(super) async fn still<T>(work: impl Future<Output = T>) -> T {
    let (release, held) = mpsc::channel::<()>();
    // The clock of a paused runtime waits for tasks of this kind.
    let mut keeper = tokio::task::spawn_blocking(move || {
        let _ = held.recv_timeout(PATIENCE);
    });
    tokio::select! {
        biased;
        output = work => {
            drop(release);
            keeper.await.unwrap();
            output
        }
        _ = &mut keeper => panic!("nothing came within {PATIENCE:?}"),
    }
}

/// Lets virtual time pass.
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A moment of the real clock, in which other threads do something.
pub(super) async fn moment() {
    tokio::task::spawn_blocking(|| std::thread::park_timeout(Duration::from_millis(1))).await.unwrap();
}

pub(super) fn id(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

/// A message that holds `data`.
pub(super) fn draft(data: &str) -> Draft {
    Draft {
        id: MessageId::random(0),
        is_new: true,
        origin: Origin::Client,
        from: "local".to_owned(),
        owner: "local".to_owned(),
        anchor: String::new(),
        tags: Vec::new(),
        data: data.to_owned(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

/// The output of an outcome, or its error.
pub(super) fn output(computed: &Computed) -> String {
    said(&computed.outcome)
}

fn said(outcome: &Outcome) -> String {
    outcome.error.clone().unwrap_or_else(|| outcome.output.as_str().to_owned())
}
