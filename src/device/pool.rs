//! The compute threads.
//!
//! A few regular threads take jobs first come first served; a job lasts one turn. A job whose single call runs for much
//! longer gives its thread's place away: a watchdog starts another regular thread, the old one goes on as an *overflow*
//! thread of low priority and ends when its work does. Jobs of processes that are known to overrun go to overflow threads
//! from the start, so that they never hold a regular one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::outside::Outside;
use super::runner::Seat;
use crate::metrics::COUNTERS;
use crate::process::DeviceKind;

/// What a thread does in one go.
pub type Job = Box<dyn FnOnce(&dyn Seat) + Send>;

/// How many threads there are and how long a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    /// Regular threads.
    pub threads: usize,
    /// All threads, overflow included.
    pub threads_max: usize,
    /// How long a job means to hold a thread.
    pub turn: Duration,
}

/// Which threads a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The regular ones.
    Regular,
    /// Overflow threads: what is known to run for long.
    Slow,
    /// Threads that are no compute threads: what waits for somebody else.
    Outside,
}

impl Lane {
    /// Where a device of this kind computes; `is_slow` if its last turn held its thread for too long.
    pub fn of(device: Option<DeviceKind>, is_slow: bool) -> Self {
        match device {
            Some(device) if device.computes_outside() => Self::Outside,
            _ if is_slow => Self::Slow,
            _ => Self::Regular,
        }
    }
}

/// The niceness of overflow threads.
const OVERFLOW_NICENESS: i32 = 15;
/// A call has overrun after so many turns.
const OVERRUN_TURNS: u32 = 2;

/// A pool of compute threads. Clones share it; its threads end when the last clone is dropped or at [`stop`](Self::stop).
#[derive(Clone)]
pub struct ComputePool {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    outside: Arc<Outside>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop();
        self.outside.stop();
    }
}

struct Shared {
    options: PoolOptions,
    began: Instant,
    state: Mutex<State>,
    work: Condvar,
    watch: Condvar,
}

#[derive(Default)]
struct State {
    regular_jobs: VecDeque<Job>,
    slow_jobs: VecDeque<Job>,
    regular: usize,
    overflow: usize,
    seats: Vec<Arc<Place>>,
    is_watching: bool,
    is_stopping: bool,
}

/// Where a thread notes since when it is at one job.
struct Place {
    /// Microseconds since the pool began, plus one; 0 while idle.
    busy_since: AtomicU64,
    has_overrun: AtomicBool,
    thread: i32,
}

impl Seat for Place {
    fn has_overrun(&self) -> bool {
        self.has_overrun.load(Ordering::Relaxed)
    }
}

impl ComputePool {
    /// Starts the regular threads and the watchdog.
    pub fn start(options: PoolOptions) -> std::io::Result<Self> {
        let options = PoolOptions { threads: options.threads.max(1), ..options };
        let shared = Arc::new(Shared {
            options,
            began: Instant::now(),
            state: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
        });
        let pool = Self { owner: Arc::new(Owner { shared: shared.clone(), outside: Arc::default() }) };
        for _ in 0..options.threads {
            spawn_worker(&shared, Crew::Regular)?;
        }
        std::thread::Builder::new().name("compute-watch".to_owned()).spawn(move || watch(&shared))?;
        Ok(pool)
    }

    /// How long a job means to hold a thread.
    pub fn turn(&self) -> Duration {
        self.owner.shared.options.turn
    }

    /// Puts a job at the end of its lane. After [`stop`](Self::stop) it is dropped.
    pub fn submit(&self, lane: Lane, job: Job) {
        let shared = &self.owner.shared;
        let mut state = shared.lock();
        if state.is_stopping {
            return;
        }
        match lane {
            Lane::Regular => {
                state.regular_jobs.push_back(job);
                drop(state);
                shared.work.notify_one();
            }
            Lane::Slow => {
                state.slow_jobs.push_back(job);
                let may_grow = state.overflow < shared.overflow_max();
                drop(state);
                if may_grow {
                    spawn_or_warn(shared, Crew::Overflow);
                }
            }
            Lane::Outside => {
                drop(state);
                self.owner.outside.submit(job);
            }
        }
    }

    /// Jobs that wait for a thread.
    pub fn waiting(&self) -> usize {
        let state = self.owner.shared.lock();
        state.regular_jobs.len() + state.slow_jobs.len() + self.owner.outside.waiting()
    }

    /// How many threads there are: regular ones, and overflow ones.
    pub fn threads(&self) -> (usize, usize) {
        let state = self.owner.shared.lock();
        (state.regular, state.overflow)
    }

    /// Lets every thread end after the job it is at. Jobs that wait are dropped.
    pub fn stop(&self) {
        self.owner.shared.stop();
        self.owner.outside.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn overflow_max(&self) -> usize {
        self.options.threads_max.saturating_sub(self.options.threads).max(1)
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        let dropped = (std::mem::take(&mut state.regular_jobs), std::mem::take(&mut state.slow_jobs));
        drop(state);
        // A job's loss is told to somebody, who may come back here.
        drop(dropped);
        self.work.notify_all();
        self.watch.notify_all();
    }

    fn now_micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// What a compute thread begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crew {
    Regular,
    Overflow,
}

fn spawn_worker(shared: &Arc<Shared>, crew: Crew) -> std::io::Result<()> {
    let held = shared.clone();
    let name = match crew {
        Crew::Regular => "compute",
        Crew::Overflow => "compute-slow",
    };
    let count = |state: &mut State, by: isize| match crew {
        Crew::Regular => state.regular = state.regular.saturating_add_signed(by),
        Crew::Overflow => state.overflow = state.overflow.saturating_add_signed(by),
    };
    count(&mut shared.lock(), 1);
    // Scripts may nest calls deeply within their engines.
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(8 << 20);
    let spawned = builder.spawn(move || work(&held, crew));
    if spawned.is_err() {
        count(&mut shared.lock(), -1);
    }
    spawned.map(drop)
}

fn spawn_or_warn(shared: &Arc<Shared>, crew: Crew) {
    if let Err(error) = spawn_worker(shared, crew) {
        warn!(target: "compute", event = "thread_refused", %error, "no further compute thread can be had");
    }
}

/// The life of a thread.
fn work(shared: &Arc<Shared>, crew: Crew) {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let has_overrun = AtomicBool::new(crew == Crew::Overflow);
    let place = Arc::new(Place { busy_since: AtomicU64::new(0), has_overrun, thread });
    if crew == Crew::Overflow {
        lower_priority(thread);
    }
    shared.lock().seats.push(place.clone());
    while let Some(job) = next_job(shared, &place) {
        place.busy_since.store(shared.now_micros(), Ordering::Release);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&*place))).is_err() {
            error!(target: "compute", event = "job_panicked", "a job panicked; its worker learns it by the loss of its device");
        }
        place.busy_since.store(0, Ordering::Release);
    }
    let mut state = shared.lock();
    state.seats.retain(|other| !Arc::ptr_eq(other, &place));
    match place.has_overrun() {
        true => state.overflow -= 1,
        false => state.regular -= 1,
    }
}

/// Waits for work. `None`: the thread is to end.
fn next_job(shared: &Shared, place: &Place) -> Option<Job> {
    let mut state = shared.lock();
    loop {
        if state.is_stopping {
            return None;
        }
        if place.has_overrun() {
            // An overflow thread works off what is slow and then ends.
            return state.slow_jobs.pop_front();
        }
        if let Some(job) = state.regular_jobs.pop_front() {
            if !state.is_watching {
                state.is_watching = true;
                shared.watch.notify_one();
            }
            return Some(job);
        }
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Looks twice a turn for regular threads whose call has overrun, while any is at work.
fn watch(shared: &Arc<Shared>) {
    let mut state = shared.lock();
    while !state.is_stopping {
        let is_at_work = |seat: &Arc<Place>| seat.busy_since.load(Ordering::Acquire) != 0 && !seat.has_overrun();
        if state.regular_jobs.is_empty() && !state.seats.iter().any(is_at_work) {
            state.is_watching = false;
            let wait = shared.watch.wait_while(state, |state| !state.is_watching && !state.is_stopping);
            state = wait.unwrap_or_else(PoisonError::into_inner);
        } else {
            let wait = shared.watch.wait_timeout(state, shared.options.turn / 2);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
            let moved = move_overrun(shared, &mut state);
            let missing = shared.options.threads.saturating_sub(state.regular);
            drop(state);
            moved.into_iter().for_each(lower_priority);
            for _ in 0..missing {
                spawn_or_warn(shared, Crew::Regular);
            }
            state = shared.lock();
        }
    }
}

/// Makes overflow threads of those that have overrun, as long as there is room for more.
fn move_overrun(shared: &Shared, state: &mut State) -> Vec<i32> {
    let now = shared.now_micros();
    let longest = u64::try_from((shared.options.turn * OVERRUN_TURNS).as_micros()).unwrap_or(u64::MAX);
    let mut moved = Vec::new();
    for place in &state.seats {
        let since = place.busy_since.load(Ordering::Acquire);
        let overruns = since != 0 && now.saturating_sub(since) > longest && !place.has_overrun();
        if overruns && state.overflow + moved.len() < shared.overflow_max() {
            place.has_overrun.store(true, Ordering::Relaxed);
            COUNTERS.compute_overruns.inc();
            moved.push(place.thread);
        }
    }
    state.overflow += moved.len();
    state.regular -= moved.len();
    moved
}

/// On Linux niceness belongs to the thread. Where it can't be changed, the thread goes on as it is.
fn lower_priority(thread: i32) {
    if let Err(error) = rustix::process::setpriority_process(rustix::process::Pid::from_raw(thread), OVERFLOW_NICENESS)
    {
        debug!(target: "compute", event = "niceness_refused", %error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const WAIT: Duration = Duration::from_secs(30);

    fn pool(threads: usize, threads_max: usize) -> ComputePool {
        ComputePool::start(PoolOptions { threads, threads_max, turn: Duration::from_millis(2) }).unwrap()
    }

    #[test]
    fn jobs_run_first_come_first_served() {
        let pool = pool(1, 2);
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            pool.submit(Lane::Regular, Box::new(move |_| sender.send(number).unwrap()));
        }
        let seen: Vec<i32> = (0..100).map(|_| receiver.recv_timeout(WAIT).unwrap()).collect();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn calls_that_overrun_leave_their_threads_to_others() {
        let pool = pool(2, 6);
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let (sender, receiver) = mpsc::channel();
        for _ in 0..4 {
            let (held, sender) = (held.clone(), sender.clone());
            pool.submit(
                Lane::Regular,
                Box::new(move |seat| {
                    let _ = held.lock().unwrap().recv_timeout(WAIT);
                    sender.send(seat.has_overrun()).unwrap();
                }),
            );
        }
        let (short, done) = mpsc::channel();
        pool.submit(Lane::Regular, Box::new(move |_| short.send(()).unwrap()));
        done.recv_timeout(WAIT).expect("four hung calls on two threads leave a place for a fifth");
        drop(release);
        let overrun = (0..4).filter(|_| receiver.recv_timeout(WAIT).unwrap()).count();
        // The last of them may not have been looked at yet when the short one found a place.
        assert!(overrun >= 3, "{overrun} of 4 hung calls have overrun");
    }

    #[test]
    fn slow_jobs_never_take_a_regular_thread() {
        let pool = pool(1, 2);
        let (sender, receiver) = mpsc::channel();
        for _ in 0..5 {
            let sender = sender.clone();
            pool.submit(
                Lane::Slow,
                Box::new(move |seat| {
                    let name = std::thread::current().name().map(str::to_owned);
                    sender.send((seat.has_overrun(), name)).unwrap();
                }),
            );
        }
        for _ in 0..5 {
            assert_eq!(receiver.recv_timeout(WAIT).unwrap(), (true, Some("compute-slow".to_owned())));
        }
    }

    #[test]
    fn a_panicking_job_costs_no_thread() {
        let pool = pool(1, 2);
        pool.submit(Lane::Regular, Box::new(|_| panic!("on purpose")));
        let (sender, receiver) = mpsc::channel();
        pool.submit(Lane::Regular, Box::new(move |_| sender.send(()).unwrap()));
        receiver.recv_timeout(WAIT).unwrap();
    }

    #[test]
    fn a_stopped_pool_drops_what_waits() {
        let pool = pool(1, 2);
        pool.stop();
        let (sender, receiver) = mpsc::channel::<()>();
        pool.submit(Lane::Regular, Box::new(move |_| drop(sender)));
        assert_eq!(receiver.recv_timeout(WAIT), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
