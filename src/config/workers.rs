//! `[workers]`.

use std::time::Duration;

use toml::de::DeValue;

use super::kind::{self, Kind, Mismatch};
use super::process::ErrorStrategy;
use super::reader::Table;

/// The most threads of one kind that can be asked for.
const THREADS: usize = 1024;

/// Which equal reads and dry-runs share one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwaitInProgress {
    /// None: each is executed by itself.
    None,
    /// Those of devices that bring a grouper of their own for them.
    Named,
    /// All.
    #[default]
    All,
}

impl AwaitInProgress {
    fn kind() -> Kind<'static, Self> {
        Kind::new("\"all\", \"named\" or false", |value| match value {
            DeValue::String(text) if text == "all" => Ok(Self::All),
            DeValue::String(text) if text == "named" => Ok(Self::Named),
            DeValue::Boolean(false) => Ok(Self::None),
            _ => Err(Mismatch::default()),
        })
    }
}

/// `[workers]`: how processes are computed. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// Whether a worker stays after it has computed.
    pub process_workers: bool,
    /// How long a worker stays without work.
    pub process_worker_max_idle: Duration,
    /// How long a base worker stays without work.
    pub worker_timeout: Duration,
    /// Which equal reads and dry-runs share one execution.
    pub await_inprogress: AwaitInProgress,
    /// Whether a dry-run leaves a base worker behind, which holds the state for the next one.
    pub spawn_worker: bool,
    /// Whether a base keeps its state where whoever asks for it doesn't say.
    pub static_worker: bool,
    /// Whether a request may wait for a group that waits for it already.
    pub allow_infinite: bool,
    /// Whether the status report of all groups is on from the start.
    pub group_monitor: bool,
    /// What a failed slot does to a process that doesn't say.
    pub error_strategy: ErrorStrategy,
    /// A snapshot is stored after this many slots at the latest.
    pub process_cache_frequency: u64,
    /// Whether computing goes on while a snapshot is stored.
    pub process_async_cache: bool,
    /// Whether `now` answers from what is stored, without computing.
    pub process_now_from_cache: bool,
    /// Threads that compute.
    pub compute_threads: usize,
    /// Threads that compute, with those that took the place of one whose call overran its turn. At least `compute_threads`.
    pub compute_threads_max: usize,
    /// How long a worker may hold a compute thread.
    pub compute_turn: Duration,
    /// The most workers in memory.
    pub workers_max: usize,
    /// The most memory that workers hold together.
    pub total_memory: u64,
    /// How often a request looks for another leader when leaders die.
    pub resolve_attempts: u32,
}

impl WorkersConfig {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let compute_threads = table.optional("compute_threads", kind::between(1..=THREADS));
        let compute_threads_max = table.or("compute_threads_max", 64, kind::between(1..=THREADS));
        if let Some(threads) = compute_threads.filter(|threads| *threads > compute_threads_max) {
            let key = if table.has("compute_threads_max") { "compute_threads_max" } else { "compute_threads" };
            let found = format!("{compute_threads_max} threads at most, but {threads} from the start");
            table.problem(key, found, "compute_threads_max not below compute_threads");
        }
        Self {
            process_workers: table.or("process_workers", true, kind::flag()),
            process_worker_max_idle: table.or("process_worker_max_idle", Duration::from_secs(300), kind::interval()),
            worker_timeout: table.or("worker_timeout", Duration::from_secs(10), kind::interval()),
            await_inprogress: table.or("await_inprogress", AwaitInProgress::All, AwaitInProgress::kind()),
            spawn_worker: table.or("spawn_worker", true, kind::flag()),
            static_worker: table.or("static_worker", false, kind::flag()),
            allow_infinite: table.or("allow_infinite", false, kind::flag()),
            group_monitor: table.or("group_monitor", false, kind::flag()),
            error_strategy: table.or("error_strategy", ErrorStrategy::default(), ErrorStrategy::kind()),
            process_cache_frequency: table.or("process_cache_frequency", 1000, kind::positive()),
            process_async_cache: table.or("process_async_cache", true, kind::flag()),
            process_now_from_cache: table.or("process_now_from_cache", false, kind::flag()),
            compute_threads: compute_threads.unwrap_or_else(|| cores().min(compute_threads_max)),
            compute_threads_max,
            compute_turn: table.or("compute_turn", Duration::from_millis(10), kind::interval()),
            workers_max: table.or("workers_max", 10_000, kind::between(1..=100_000_000)),
            total_memory: table.or("total_memory", 1 << 30, kind::size(1)),
            resolve_attempts: table.or("resolve_attempts", 5, kind::between(1..=1000)),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
