//! Threads for calls that wait for somebody else: a program, another node. They compute nothing themselves, so there may be
//! many more of them than cores, and none of them is a compute thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{error, warn};

use super::pool::Job;
use super::runner::Seat;

/// The most of them. Further calls wait for one to be free.
const THREADS_MAX: usize = 512;
/// How long one stays without work.
const IDLE: Duration = Duration::from_secs(10);
const STACK: usize = 1 << 20;

/// The threads. They are started as there is work, and end when there is none for a while.
#[derive(Debug, Default)]
pub(super) struct Outside {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("State");
        shown.field("jobs", &self.jobs.len()).field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Nobody waits for the place of a thread that only waits itself.
struct Bench;

impl Seat for Bench {
    fn has_overrun(&self) -> bool {
        false
    }
}

impl Outside {
    /// Runs a job as soon as there is a thread. After [`stop`](Self::stop) it is dropped.
    pub(super) fn submit(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        if state.is_stopping {
            return;
        }
        state.jobs.push_back(job);
        let is_served = state.idle >= state.jobs.len() || state.threads >= THREADS_MAX;
        if is_served {
            drop(state);
            return self.work.notify_one();
        }
        state.threads += 1;
        drop(state);
        let held = self.clone();
        let builder = std::thread::Builder::new().name("outside".to_owned()).stack_size(STACK);
        if let Err(error) = builder.spawn(move || held.live()) {
            warn!(target: "compute", event = "thread_refused", %error, "no further thread for calls outside can be had");
            let mut state = self.lock();
            state.threads -= 1;
            let unserved = if state.threads == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() };
            drop(state);
            // Nobody would ever come to them. Whoever is told of the loss tries again later.
            drop(unserved);
        }
    }

    /// Jobs that wait for a thread.
    pub(super) fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Lets every thread end after the job it is at. Jobs that wait are dropped.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        // A job's loss is told to somebody, who may come back here.
        drop(dropped);
        self.work.notify_all();
    }

    fn live(&self) {
        while let Some(job) = self.next() {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&Bench))).is_err() {
                error!(target: "compute", event = "job_panicked", "a job panicked; its worker learns it by the loss of its device");
            }
        }
    }

    /// Waits for work. `None`: the thread is to end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        if state.jobs.is_empty() && !state.is_stopping {
            state.idle += 1;
            let is_idle = |state: &mut State| state.jobs.is_empty() && !state.is_stopping;
            let wait = self.work.wait_timeout_while(state, IDLE, is_idle);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
        let job = state.jobs.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    #[test]
    fn many_may_wait_at_once_and_their_threads_serve_again() {
        let outside = Arc::new(Outside::default());
        for _ in 0..2 {
            let (sender, receiver) = mpsc::channel();
            let gates: Vec<_> = (0..40)
                .map(|number| {
                    let (open, gate) = mpsc::channel::<()>();
                    let sender = sender.clone();
                    outside.submit(Box::new(move |_| {
                        let _ = gate.recv_timeout(WAIT);
                        sender.send(number).unwrap();
                    }));
                    open
                })
                .collect();
            for (number, open) in gates.into_iter().enumerate().rev() {
                drop(open);
                assert_eq!(receiver.recv_timeout(WAIT).unwrap(), number, "each waits for itself");
            }
        }
        assert!(outside.lock().threads <= 80);
        outside.submit(Box::new(|_| panic!("on purpose")));
        let (sender, receiver) = mpsc::channel();
        outside.submit(Box::new(move |_| sender.send(()).unwrap()));
        receiver.recv_timeout(WAIT).expect("a panic costs no thread");
        outside.stop();
        let (sender, receiver) = mpsc::channel::<()>();
        outside.submit(Box::new(move |_| drop(sender)));
        assert_eq!(receiver.recv_timeout(WAIT), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
