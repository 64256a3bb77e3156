//! Whether the past of a process comes to the same again, from the store alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::feed::Feed;
use super::guarded::caught;
use super::runner::{Runner, Unverified};
use super::{DeviceFactory, Interrupt, LogReader};
use crate::ids::{ProcessId, Slot};
use crate::process::{bytes_difference, json_difference};

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The device need not come to the same again, and nobody wanted it tried all the same.
    #[error(
        "the device of process {process} is not deterministic, so slot {slot} need not come to the same again; \
         execute=true really makes the calls again, with all that they do outside of the process"
    )]
    #[expect(missing_docs, reason = "the text says it")]
    NotRepeatable { process: ProcessId, slot: Slot },
    /// It was asked to end before it was done.
    #[error("the verification of process {0} was interrupted; ask again")]
    Interrupted(ProcessId),
    /// What is stored cannot be read.
    #[error("{0}")]
    Unread(String),
    /// The device or the machine failed. It may be tried again.
    #[error("{0}")]
    Failed(String),
}

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Whose past.
    pub process: ProcessId,
    /// Up to here, which has an outcome in the store.
    pub slot: Slot,
    /// Whether calls are made again that need not come to the same.
    pub executes: bool,
    /// The state after `slot` that the process's worker holds, if it does.
    pub held: Option<Arc<[u8]>>,
}

/// The first slot that came to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The slot.
    pub slot: Slot,
    /// What differs, in words: at most a few hundred characters.
    pub text: String,
}

/// What came of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What differs; nothing where all that was compared is equal.
    pub difference: Option<Difference>,
    /// The slot of the snapshot that it began at; nothing where it began with slot 0.
    pub from: Option<Slot>,
    /// So many outcomes came to the same again.
    pub outcomes: u64,
    /// So many were taken as they are stored: they depended on the machine or on a person.
    pub taken: u64,
    /// Whether the state was compared with a stored snapshot.
    pub with_snapshot: bool,
    /// Whether the state was compared with the worker's.
    pub with_worker: bool,
}

/// How far the verification is.
#[derive(Clone, Debug)]
pub enum Verifying {
    /// Not done: it wants another turn. All slots before this one are gone through.
    More(Slot),
    /// Done. A further turn begins anew.
    Done(Box<Verdict>),
}

/// Repeats slots in turns, in a device of its own, from the newest snapshot before the last of them that can be read. Compares
/// each outcome with the stored one, and the last state with the snapshot of its slot and with what the worker holds.
/// Nothing is written, and the process's worker has no part in it.
pub struct Verifier {
    claimed: Claimed,
    factory: Arc<dyn DeviceFactory>,
    log: Arc<dyn LogReader>,
    interrupt: Interrupt,
    going: Option<Going>,
}

struct Going {
    runner: Runner,
    feed: Feed,
    verdict: Verdict,
}

impl Verifier {
    /// A verifier that has read nothing yet. `interrupt` ends it in the middle of a turn.
    pub fn new(
        claimed: Claimed,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self { claimed, factory, log, interrupt, going: None }
    }

    /// Goes on for about `length`, at least one slot. After an error it begins anew.
    pub fn turn(&mut self, length: Duration) -> Result<Verifying, VerifyError> {
        let gone = caught(|| self.go(length)).unwrap_or_else(|panic| Err(self.claimed.failed(&panic)));
        if !matches!(gone, Ok(Verifying::More(_))) {
            // A device that panicked may do so again.
            let going = self.going.take();
            let _ = caught(|| drop(going));
        }
        match gone {
            Err(VerifyError::Failed(_)) if self.interrupt.is_raised() => Err(self.claimed.interrupted()),
            gone => gone,
        }
    }

    fn go(&mut self, length: Duration) -> Result<Verifying, VerifyError> {
        let deadline = Instant::now() + length;
        if self.interrupt.is_raised() {
            return Err(self.claimed.interrupted());
        }
        if self.going.is_none() {
            self.going = Some(self.begin()?);
        }
        let (claimed, goal) = (&self.claimed, self.claimed.slot);
        let Some(going) = &mut self.going else { return Ok(Verifying::More(Slot::ZERO)) };
        while going.runner.position() < Some(goal) {
            let slot = Slot::after(going.runner.position());
            let (entry, recorded) = going.feed.take(slot).map_err(|error| claimed.unread(&error))?;
            let recorded = recorded.ok_or_else(|| claimed.failed(&format!("slot {slot} has no outcome")))?;
            match going.runner.verify(&entry, &recorded) {
                Ok(true) => going.verdict.outcomes += 1,
                Ok(false) => going.verdict.taken += 1,
                Err(Unverified::Differs(text)) => return Ok(going.differs(slot, text)),
                Err(error) => return Err(claimed.refused(slot, error)),
            }
            if Instant::now() >= deadline && slot < goal {
                return Ok(Verifying::More(slot.next()));
            }
        }
        going.compare_states(claimed, self.log.as_ref())
    }

    fn begin(&self) -> Result<Going, VerifyError> {
        let Claimed { process, slot, executes, .. } = &self.claimed;
        let (factory, log, interrupt) = (self.factory.clone(), self.log.clone(), self.interrupt.clone());
        let mut runner = Runner::for_verification(*executes, process.clone(), factory, log.clone(), interrupt);
        let from = runner.begin_before(*slot).map_err(|error| self.claimed.refused(*slot, error))?;
        let feed = Feed::new(log, process.clone(), Vec::new(), Some(*slot), Some(*slot));
        Ok(Going { runner, feed, verdict: Verdict { from, ..Verdict::default() } })
    }
}

impl Going {
    /// The last step: the state after the last slot. Where there is none, none can be stored.
    fn compare_states(&mut self, claimed: &Claimed, log: &dyn LogReader) -> Result<Verifying, VerifyError> {
        let slot = claimed.slot;
        let Some(bytes) = self.runner.state_bytes().map_err(|error| claimed.refused(slot, error))? else {
            return Ok(self.done());
        };
        if let Some(stored) = claimed.snapshot(log)? {
            self.verdict.with_snapshot = true;
            if let Some(difference) = bytes_difference(&stored, &bytes) {
                return Ok(self.state_differs(slot, "the snapshot", &difference, &stored));
            }
        }
        if let Some(held) = &claimed.held {
            self.verdict.with_worker = true;
            if let Some(difference) = bytes_difference(held, &bytes) {
                return Ok(self.state_differs(slot, "what the worker holds", &difference, held));
            }
        }
        Ok(self.done())
    }

    fn state_differs(&mut self, slot: Slot, whose: &str, difference: &str, other: &[u8]) -> Verifying {
        // Where within the state, if the device has the state as JSON.
        let views = caught(|| self.runner.views(other)).ok().flatten().filter(|(own, other)| own != other);
        let place = views.map(|(own, other)| format!("; {}", json_difference("state", &other, &own)));
        self.differs(slot, format!("state, against {whose}: {difference}{}", place.unwrap_or_default()))
    }

    fn differs(&mut self, slot: Slot, text: String) -> Verifying {
        self.verdict.difference = Some(Difference { slot, text });
        self.done()
    }

    fn done(&mut self) -> Verifying {
        Verifying::Done(Box::new(std::mem::take(&mut self.verdict)))
    }
}

impl Claimed {
    /// The snapshot after the last slot, if it is kept and can be read.
    fn snapshot(&self, log: &dyn LogReader) -> Result<Option<Arc<[u8]>>, VerifyError> {
        let Self { process, slot, .. } = self;
        let snapshots = log.snapshots(process).map_err(|error| self.unread(&error))?;
        let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.slot == *slot) else { return Ok(None) };
        match log.read_snapshot(process, snapshot) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => {
                warn!(target: "worker", event = "snapshot_unusable", %process, slot = slot.0, error,
                    "the state computed again is not compared with it");
                Ok(None)
            }
        }
    }

    fn refused(&self, slot: Slot, error: Unverified) -> VerifyError {
        match error {
            Unverified::Interrupted => self.interrupted(),
            Unverified::NotRepeatable => VerifyError::NotRepeatable { process: self.process.clone(), slot },
            Unverified::Differs(text) | Unverified::Fault(text) => self.failed(&text),
        }
    }

    fn interrupted(&self) -> VerifyError {
        VerifyError::Interrupted(self.process.clone())
    }

    fn failed(&self, what: &str) -> VerifyError {
        VerifyError::Failed(self.about(what))
    }

    fn unread(&self, what: &str) -> VerifyError {
        VerifyError::Unread(self.about(what))
    }

    fn about(&self, what: &str) -> String {
        format!("verification of process {} up to slot {}: {what}", self.process, self.slot)
    }
}
