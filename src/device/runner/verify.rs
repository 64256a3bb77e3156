//! Going through slots whose outcomes are recorded, to see whether they come to the same again.
//!
//! A verification goes its way as a replay does, and compares. What was ended by the machine or by a person (a limit on time
//! or memory, a panic, a skip, code that did not load) would not end there again, so it is taken as it is recorded.

use std::sync::Arc;

use super::{End, Purpose, Runner, ended};
use crate::config::limits::LimitKey;
use crate::device::{Call, DeviceError, Mode, StateView};
use crate::ids::Slot;
use crate::process::{Cause, Computed, Entry, EntryKind, Outcome, outcome_difference};

/// Why a verification does not go on behind a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) enum Unverified {
    /// It was asked to end.
    Interrupted,
    /// The device that computed the slot would not come to the same again.
    NotRepeatable,
    /// The slot came to something else, in words.
    Differs(String),
    /// The machine failed, or the log is not what it should be.
    Fault(String),
}

impl Runner {
    /// Takes the newest snapshot before `goal` that can be read; without one it begins at slot 0. Says after which slot it
    /// stands.
    pub(in crate::device) fn begin_before(&mut self, goal: Slot) -> Result<Option<Slot>, Unverified> {
        self.restore(goal.0.checked_sub(1).map(Slot), &mut Vec::new()).map_err(Unverified::Fault)?;
        Ok(self.position)
    }

    /// Where it stands.
    pub(in crate::device) fn position(&self) -> Option<Slot> {
        self.position
    }

    /// Goes past the slot after the last one, and compares. Whether there was anything to compare: the outcome may be one
    /// that is taken as it is recorded. After an error this runner is of no more use.
    pub(in crate::device) fn verify(&mut self, entry: &Entry, recorded: &Computed) -> Result<bool, Unverified> {
        let verified = match entry.kind {
            EntryKind::Message if self.repeats(recorded.cause) => self.verify_message(entry, recorded),
            EntryKind::Definition if self.device.is_some() && recorded.cause == Cause::Success => {
                self.replay(entry, recorded).and_then(|()| equal(recorded, &Outcome::empty()))
            }
            _ => self.replay(entry, recorded),
        };
        let verified = verified.and_then(|()| match self.may_repeat() {
            true => Ok(self.repeats(recorded.cause)),
            false => Err(End::NotRepeatable(entry.slot)),
        });
        self.position = Some(entry.slot);
        verified.map_err(|end| match end {
            End::Interrupted => Unverified::Interrupted,
            End::NotRepeatable(_) => Unverified::NotRepeatable,
            End::Differs(difference) => Unverified::Differs(difference),
            End::Halt(halt) => Unverified::Fault(halt.error),
            End::Fault(error) => Unverified::Fault(error),
        })
    }

    fn verify_message(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), End> {
        // What no definition computed names its own slot, which holds none.
        if recorded.definition == entry.slot {
            return match &self.device {
                None => equal(recorded, &self.no_definition()),
                Some(_) => Err(End::Differs("Error: stored without a working definition, and there is one".to_owned())),
            };
        }
        self.switch(recorded.definition).map_err(|error| self.not_switched(recorded.definition, &error))?;
        self.repeat(recorded, |device, mode| device.compute(entry, mode))
    }

    /// The bytes of the state, if there is one.
    pub(in crate::device) fn state_bytes(&self) -> Result<Option<Arc<[u8]>>, Unverified> {
        let bytes = self.device.as_ref().map(|device| device.snapshot()).transpose();
        bytes.map_err(|error| Unverified::Fault(error.to_string()))
    }

    /// The state as JSON text, and that of which `bytes` is a snapshot, where the device has such a thing. Afterwards it
    /// stands at `bytes`.
    pub(in crate::device) fn views(&mut self, bytes: &[u8]) -> Option<(String, String)> {
        let device = self.device.as_mut()?;
        let Ok(StateView::Json(own)) = device.state() else { return None };
        device.restore(bytes).ok()?;
        let Ok(StateView::Json(other)) = device.state() else { return None };
        Some((own.to_string(), other.to_string()))
    }

    /// Whether a slot that was recorded so is called again on the way.
    pub(super) fn repeats(&self, cause: Cause) -> bool {
        match self.purpose {
            Purpose::Worker | Purpose::Base => cause == Cause::Success,
            Purpose::Verification { .. } => match cause {
                Cause::Limit(key) => !matches!(key, LimitKey::ComputeTime | LimitKey::Memory),
                cause => cause.is_repeatable(),
            },
        }
    }

    /// Whether this runner may make calls again that were made before.
    pub(super) fn may_repeat(&self) -> bool {
        self.is_deterministic || matches!(self.purpose, Purpose::Worker | Purpose::Verification { executes: true })
    }

    /// How calls are made again. What need not come to the same is held to its limits, as for the first time.
    pub(super) fn mode_of_repeats(&self) -> Mode {
        match self.purpose {
            Purpose::Verification { .. } if !self.is_deterministic => Mode::Trial,
            _ => Mode::Replay,
        }
    }

    /// What it means that the code of a definition, which loaded before, cannot be used now.
    pub(super) fn not_switched(&self, slot: Slot, error: &DeviceError) -> End {
        match (self.purpose, error) {
            (Purpose::Verification { .. }, DeviceError::Load(error) | DeviceError::Restore(error)) => {
                End::Differs(format!("the definition of slot {slot} loaded and does not load now: {error}"))
            }
            _ => End::Fault(format!("replay of slot {slot}: {error}")),
        }
    }
}

/// Makes a call again and compares its outcome with the one that is recorded.
pub(super) fn compare(recorded: &Computed, call: impl FnOnce() -> Result<Call, DeviceError>) -> Result<(), End> {
    let (_, outcome) = ended(call)?;
    equal(recorded, &outcome)
}

fn equal(recorded: &Computed, outcome: &Outcome) -> Result<(), End> {
    match outcome_difference(&recorded.outcome, outcome) {
        None => Ok(()),
        Some(difference) => Err(End::Differs(difference)),
    }
}
