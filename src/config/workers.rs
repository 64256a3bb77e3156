//! `[workers]`.

use std::time::Duration;

use super::kind;
use super::process::ErrorStrategy;
use super::reader::Table;

/// The most threads of one kind that can be asked for.
const THREADS: usize = 1024;

/// `[workers]`: how processes are computed. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// Whether a worker stays after it has computed.
    pub process_workers: bool,
    /// How long a worker stays without work.
    pub process_worker_max_idle: Duration,
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
