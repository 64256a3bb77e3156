//! What makes running calls look up from time to time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often running calls look whether they may go on.
const TICK: Duration = Duration::from_millis(5);

/// A thread that calls a function every few milliseconds as long as somebody is at work, and sleeps otherwise. It ends when the
/// ticker is dropped.
pub(super) struct Ticker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    at_work: usize,
    is_asleep: bool,
    is_ending: bool,
}

/// Somebody at work, until it is dropped.
pub(super) struct AtWork<'a>(&'a Shared);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    /// Starts the thread, which calls `tick`.
    pub(super) fn start(tick: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let held = shared.clone();
        std::thread::Builder::new().name("wasm-tick".to_owned()).spawn(move || run(&held, tick))?;
        Ok(Self(shared))
    }

    /// Has the ticker tick until the answer is dropped.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        let mut state = self.0.lock();
        state.at_work += 1;
        if state.is_asleep {
            self.0.wake.notify_one();
        }
        AtWork(&self.0)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.lock().at_work -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.lock().is_ending = true;
        self.0.wake.notify_one();
    }
}

fn run(shared: &Shared, tick: impl Fn()) {
    let mut state = shared.lock();
    while !state.is_ending {
        if state.at_work == 0 {
            state.is_asleep = true;
            let wait = shared.wake.wait_while(state, |state| state.at_work == 0 && !state.is_ending);
            state = wait.unwrap_or_else(PoisonError::into_inner);
            state.is_asleep = false;
        } else {
            state = shared.wake.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_ticks_while_somebody_is_at_work_and_ends_with_its_owner() {
        let (sender, ticks) = mpsc::channel();
        let ticker = Ticker::start(move || {
            let _ = sender.send(());
        })
        .unwrap();
        for _ in 0..3 {
            let first = ticker.at_work();
            let second = ticker.at_work();
            drop(first);
            ticks.recv_timeout(Duration::from_secs(30)).expect("the second is still at work");
            ticks.recv_timeout(Duration::from_secs(30)).expect("it ticks more than once");
            drop(second);
        }
        drop(ticker);
        while ticks.recv_timeout(Duration::from_secs(30)).is_ok() {}
        assert_eq!(ticks.try_recv(), Err(mpsc::TryRecvError::Disconnected), "the thread has ended");
    }
}
