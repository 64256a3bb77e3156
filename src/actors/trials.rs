//! Room for trials: dry-runs and base lines use compute threads by permits of their own, so that however many there are,
//! they neither wait for the turns of processes nor hold them up.

use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot, watch};

use super::verifying::VerifyRoom;
use crate::device::{BaseError, ComputePool, Interrupt, Lane, Seat, TrialError};
use crate::process::RequestError;

/// So many trials use a compute thread at a time. One that takes long moves to a thread of low priority, as any call does.
pub(super) const PERMITS: usize = 16;

/// What trials may use of the machine. One per node.
#[derive(Debug)]
pub struct TrialRoom {
    permits: Arc<Semaphore>,
    /// For trials that compute elsewhere and only wait here.
    outside: Arc<Semaphore>,
    /// Ends what runs, and each one to come. Raised when the node stops, and only then.
    pub interrupt: Interrupt,
    /// Whether nobody waits for compute threads any more.
    given_up: watch::Sender<bool>,
    /// Room of its own for verifications, which dry-runs do not wait for.
    pub verifications: VerifyRoom,
}

impl Default for TrialRoom {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(PERMITS)),
            outside: Arc::new(Semaphore::new(PERMITS)),
            interrupt: Interrupt::default(),
            given_up: watch::Sender::new(false),
            verifications: VerifyRoom::default(),
        }
    }
}

impl TrialRoom {
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.permits.available_permits()
    }

    /// Whoever waits for a job waits no longer, whether it ends or not: the node stops.
    pub fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    /// Runs `job` on a compute thread of `pool` once a permit is free, which it keeps until it is over, whoever still waits.
    /// `None`: the thread lost it, by a panic or because the node stops.
    pub async fn run<T: Send + 'static>(
        &self,
        pool: &ComputePool,
        lane: Lane,
        job: impl FnOnce(&dyn Seat) -> T + Send + 'static,
    ) -> Option<T> {
        let mut given_up = self.given_up.subscribe();
        let running = async {
            let permits = if lane == Lane::Outside { &self.outside } else { &self.permits };
            let permit = permits.clone().acquire_owned().await.ok()?;
            let (sender, receiver) = oneshot::channel();
            let job = move |seat: &dyn Seat| {
                let done = job(seat);
                drop(permit);
                let _ = sender.send(done);
            };
            pool.submit(lane, Box::new(job));
            receiver.await.ok()
        };
        tokio::select! {
            biased;
            done = running => done,
            _ = given_up.wait_for(|is_given_up| *is_given_up) => None,
        }
    }
}

/// What somebody is told who asked for a base that there is not.
pub fn refused_base(error: BaseError) -> RequestError {
    match error {
        BaseError::NotComputed { .. } | BaseError::NoState(_) => RequestError::Conflict(error.to_string()),
        BaseError::NotSupported(text) => RequestError::NotSupported(text),
        BaseError::Interrupted(_) => RequestError::node_stops(),
        BaseError::Failed(_) => RequestError::Internal(error.to_string()),
    }
}

/// What somebody is told whose message came to no outcome.
pub fn refused_trial(error: TrialError) -> RequestError {
    match error {
        TrialError::NotSupported(text) => RequestError::NotSupported(text),
        TrialError::Interrupted => RequestError::node_stops(),
        TrialError::Failed(_) => RequestError::Internal(error.to_string()),
    }
}

/// What somebody is told whose job a compute thread lost.
pub fn lost() -> RequestError {
    RequestError::Internal("the compute thread ended before there was an outcome; the log says why".to_owned())
}
