//! Verifications: the past of a process computed again, beside its worker, and compared with what is stored.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::hub::Hub;
use super::trials::lost;
use crate::device::crash::Call as Noted;
use crate::device::{Claimed, Difference, Interrupt, Lane, Verdict, Verifier, VerifyError, Verifying};
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Activity, Answer, Request, Status};
use crate::process::{DeviceKind, RequestError};
use crate::units::format_duration;

/// So many verifications are under way at a time. Each holds a device in memory.
const VERIFICATIONS: usize = 4;
/// A worker that stands at the slot is asked for its state for so long.
const PATIENCE: Duration = Duration::from_millis(100);

/// Room for verifications. One per node.
#[derive(Debug)]
pub struct VerifyRoom {
    permits: Arc<Semaphore>,
    /// Whether the node stops.
    is_ending: watch::Sender<bool>,
}

impl Default for VerifyRoom {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(VERIFICATIONS)), is_ending: watch::Sender::new(false) }
    }
}

impl VerifyRoom {
    /// Ends every verification, and each one to come: the node stops.
    pub fn end(&self) {
        self.is_ending.send_replace(true);
    }

    /// So many could begin at present.
    pub fn free(&self) -> usize {
        self.permits.available_permits()
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, RequestError> {
        self.permits.clone().try_acquire_owned().map_err(|_| RequestError::Overloaded {
            key: "verifications",
            what: format!("{VERIFICATIONS} verifications are under way already"),
        })
    }
}

/// What came of a verification, and up to which slot it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last slot that was to be verified.
    pub slot: Slot,
    /// What came of it.
    pub verdict: Verdict,
}

impl fmt::Display for Verified {
    /// Says what was compared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { from, outcomes, taken, with_snapshot, with_worker, .. } = self.verdict;
        write!(f, "outcomes={outcomes}; taken={taken}; slots={}-{}; state=", Slot::after(from), self.slot)?;
        f.write_str(match (with_snapshot, with_worker) {
            (true, true) => "snapshot,worker",
            (true, false) => "snapshot",
            (false, true) => "worker",
            (false, false) => "none",
        })
    }
}

/// Raises the interrupt when it is dropped: nobody waits any more.
struct Ending(Interrupt);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.raise();
    }
}

impl Hub {
    /// Computes the slots up to `slot`, the latest computed one where none is named, again in a device of its own, and
    /// compares. Calls that need not come to the same are made only if it `executes`. It takes `patience` at most; whoever
    /// drops the future ends it.
    pub async fn verify(
        &self,
        process: &ProcessId,
        slot: Option<Slot>,
        executes: bool,
        patience: Duration,
    ) -> Result<Verified, RequestError> {
        let environment = self.environment();
        let mut is_ending = environment.trials.verifications.is_ending.subscribe();
        let next = AtomicU64::new(0);
        let verifying = self.verify_slots(process, slot, executes, &next);
        tokio::select! {
            biased;
            _ = is_ending.wait_for(|is_ending| *is_ending) => Err(RequestError::node_stops()),
            verified = timeout(patience, verifying) => verified.unwrap_or_else(|_| Err(cut_off(patience, &next))),
        }
    }

    async fn verify_slots(
        &self,
        process: &ProcessId,
        slot: Option<Slot>,
        executes: bool,
        next: &AtomicU64,
    ) -> Result<Verified, RequestError> {
        let status = self.status(process).await?;
        let slot = chosen(process, slot, &status)?;
        if !executes && !self.device_of(&status).deterministic {
            let process = process.clone();
            return Err(RequestError::Conflict(VerifyError::NotRepeatable { process, slot }.to_string()));
        }
        let permit = self.environment().trials.verifications.enter()?;
        self.settle(process).await?;
        let held = self.held_after(process, slot, &status).await;
        let claimed = Claimed { process: process.clone(), slot, executes, held };
        let verdict = self.verify_in_turns(status.device, claimed, permit, next).await?;
        let verified = Verified { slot, verdict };
        match &verified.verdict.difference {
            None => info!(target: "compute", event = "verified", %process, slot = slot.0, compared = %verified),
            Some(Difference { slot: differs, text }) => warn!(target: "compute", event = "verified", %process,
                slot = slot.0, compared = %verified, differs = differs.0, difference = text),
        }
        Ok(verified)
    }

    /// The state that the process's worker holds, if it stands at `slot` and has nothing else to do.
    async fn held_after(&self, process: &ProcessId, slot: Slot, status: &Status) -> Option<Arc<[u8]>> {
        if status.activity != Activity::Active || status.computed != Some(slot) {
            return None;
        }
        match timeout(PATIENCE, self.ask(process, |reply| Request::Base { reply })).await {
            Ok(Ok(Answer::Base(held))) if held.slot == slot => Some(held.snapshot),
            _ => None,
        }
    }

    /// On threads of low priority, turn by turn, so that it keeps nobody waiting. The permit is free once the last turn is
    /// over, whoever still waits.
    async fn verify_in_turns(
        &self,
        device: DeviceKind,
        claimed: Claimed,
        permit: OwnedSemaphorePermit,
        next: &AtomicU64,
    ) -> Result<Verdict, RequestError> {
        let (environment, interrupt) = (self.environment(), Interrupt::default());
        let _ending = Ending(interrupt.clone());
        let (factory, log) = (environment.factory.clone(), Arc::new(environment.store.clone()));
        let (process, slot) = (claimed.process.clone(), claimed.slot);
        let mut held = (Verifier::new(claimed, factory, log, interrupt), permit);
        let turn = environment.pool.turn();
        loop {
            let (sender, receiver) = oneshot::channel();
            let (crashes, process) = (environment.crashes_of(Some(device)), process.clone());
            let job = move |_: &dyn crate::device::Seat| {
                let mut held = held;
                let noting = crashes.note(&process, Noted::Trial, slot);
                let gone = held.0.turn(turn);
                drop(noting);
                let _ = sender.send((held, gone));
            };
            environment.pool.submit(Lane::of(Some(device), true), Box::new(job));
            let (back, gone) = receiver.await.map_err(|_| lost())?;
            held = back;
            match gone.map_err(refused)? {
                Verifying::Done(verdict) => return Ok(*verdict),
                Verifying::More(slot) => next.store(slot.0, Ordering::Relaxed),
            }
        }
    }
}

/// The slot that is meant, if it is computed.
fn chosen(process: &ProcessId, slot: Option<Slot>, status: &Status) -> Result<Slot, RequestError> {
    let Some(latest) = status.computed else {
        let text = format!("no slot of process {process} is computed yet, so there is nothing to verify");
        return Err(RequestError::Conflict(text));
    };
    match slot {
        Some(slot) if slot > latest => Err(RequestError::SlotNotComputed { process: process.clone(), slot, latest }),
        slot => Ok(slot.unwrap_or(latest)),
    }
}

fn cut_off(patience: Duration, next: &AtomicU64) -> RequestError {
    let how_far = match next.load(Ordering::Relaxed) {
        0 => "the verification ended before its first turn was over".to_owned(),
        next => format!("the verification ended before slot {next}, and up to there everything is equal"),
    };
    let how_far = format!("{how_far}; a longer http.request_timeout lets it go on for longer");
    RequestError::CutOff { after: format_duration(patience), how_far }
}

fn refused(error: VerifyError) -> RequestError {
    match error {
        VerifyError::NotRepeatable { .. } => RequestError::Conflict(error.to_string()),
        VerifyError::Interrupted(_) => RequestError::node_stops(),
        VerifyError::Unread(text) => RequestError::Store(text),
        VerifyError::Failed(text) => RequestError::Internal(text),
    }
}
