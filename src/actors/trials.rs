//! Room for trials: dry-runs and base lines use compute threads by permits of their own, so that however many there are,
//! they neither wait for the turns of processes nor hold them up.

use tokio::sync::{Semaphore, oneshot};

use super::group_registry::node_stops;
use crate::device::{BaseError, ComputePool, Interrupt, Lane, Seat, TrialError};
use crate::process::RequestError;

/// So many trials use a compute thread at a time. One that takes long moves to a thread of low priority, as any call does.
const PERMITS: usize = 16;

/// What trials may use of the machine. One per node.
#[derive(Debug)]
pub struct TrialRoom {
    permits: Semaphore,
    /// Ends what runs, and each one to come. Raised when the node stops, and only then.
    pub interrupt: Interrupt,
}

impl Default for TrialRoom {
    fn default() -> Self {
        Self { permits: Semaphore::new(PERMITS), interrupt: Interrupt::default() }
    }
}

impl TrialRoom {
    /// Runs `job` on a compute thread of `pool` once a permit is free. `None`: the thread lost it, by a panic or because the
    /// node stops.
    pub async fn run<T: Send + 'static>(
        &self,
        pool: &ComputePool,
        lane: Lane,
        job: impl FnOnce(&dyn Seat) -> T + Send + 'static,
    ) -> Option<T> {
        let _permit = self.permits.acquire().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        pool.submit(lane, Box::new(move |seat| drop(sender.send(job(seat)))));
        receiver.await.ok()
    }
}

/// What somebody is told who asked for a base that there is not.
pub fn refused_base(error: BaseError) -> RequestError {
    match error {
        BaseError::NotComputed { .. } | BaseError::NoState(_) => RequestError::Conflict(error.to_string()),
        BaseError::NotSupported(text) => RequestError::NotSupported(text),
        BaseError::Interrupted(_) => node_stops(),
        BaseError::Failed(_) => RequestError::Internal(error.to_string()),
    }
}

/// What somebody is told whose message came to no outcome.
pub fn refused_trial(error: TrialError) -> RequestError {
    match error {
        TrialError::NotSupported(text) => RequestError::NotSupported(text),
        TrialError::Interrupted => node_stops(),
        TrialError::Failed(_) => RequestError::Internal(error.to_string()),
    }
}

/// What somebody is told whose job a compute thread lost.
pub fn lost() -> RequestError {
    RequestError::Internal("the compute thread ended before there was an outcome; the log says why".to_owned())
}
