//! Going through slots whose outcomes are recorded.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::verify::compare;
use super::{End, Purpose, Runner};
use crate::device::crash::Call as Noted;
use crate::device::feed::Feed;
use crate::device::guarded::discard;
use crate::device::{Call, Device, DeviceError, Mode};
use crate::ids::Slot;
use crate::process::worker::{Base, TurnDone, TurnPlan};
use crate::process::{Cause, Computed, Entry, EntryKind, Halt, Json, Outcome};

/// Why a replay has not come to its goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::device) enum Unreplayed {
    /// It was asked to end.
    Interrupted,
    /// It has, but there is nothing: no definition loaded up to there.
    NoState(String),
    /// The device that computed this slot would not come to the same state again.
    NotRepeatable(Slot),
    /// The machine failed, or the log is not what it should be.
    Fault(String),
}

impl Runner {
    /// Goes towards `goal` for about `length`, at least one slot, by recorded outcomes only; `feed` is to hold those up to
    /// `goal` and none beyond. The state, once it is there. Begins anew after a fault.
    pub(in crate::device) fn replay_to(
        &mut self,
        goal: Slot,
        feed: &mut Feed,
        length: Duration,
    ) -> Result<Option<Base>, Unreplayed> {
        self.noting = Some(self.crashes.begin(&self.process));
        let replayed = self.replay_towards(goal, feed, length);
        self.noting = None;
        replayed
    }

    fn replay_towards(&mut self, goal: Slot, feed: &mut Feed, length: Duration) -> Result<Option<Base>, Unreplayed> {
        let plan = TurnPlan {
            goal: Some(goal),
            recorded: Some(goal),
            retried: None,
            entries: Vec::new(),
            resumed: None,
            wants_state: false,
            wants_snapshot: false,
            is_slow: false,
            room: u64::MAX,
        };
        let unreplayed = match self.go(feed, &plan, Instant::now() + length, &mut TurnDone::default()) {
            Ok(()) if self.position < Some(goal) => return Ok(None),
            Ok(()) if self.device.is_none() => return Err(Unreplayed::NoState(self.why_no_device())),
            Ok(()) => return self.snapshot().map(Some).map_err(|error| Unreplayed::Fault(error.to_string())),
            Err(End::Interrupted) => return Err(Unreplayed::Interrupted),
            Err(End::NotRepeatable(slot)) => Unreplayed::NotRepeatable(slot),
            Err(End::Halt(Halt { error, .. }) | End::Differs(error) | End::Fault(error)) => Unreplayed::Fault(error),
        };
        self.lose();
        Err(unreplayed)
    }

    /// Does with the device what is recorded of a slot, unless that ended the node too often.
    pub(super) fn replay(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), End> {
        let slot = entry.slot;
        self.may_replay(slot)?;
        self.note(Noted::Replay, slot);
        let replayed = self.replay_noted(entry, recorded);
        // One that was cut short may have been on its way to its end.
        if replayed.is_ok() {
            self.survived(Noted::Replay, slot)
        } else {
            self.rest()
        }
        replayed
    }

    fn replay_noted(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), End> {
        let slot = entry.slot;
        let fault = |error: DeviceError| End::Fault(format!("replay of slot {slot}: {error}"));
        if entry.kind == EntryKind::Definition {
            return self.replay_definition(entry, recorded);
        }
        if recorded.cause == Cause::Success {
            self.switch(recorded.definition).map_err(fault)?;
            return self.repeat(recorded, |device, mode| device.compute(entry, mode));
        }
        // A slot that was tried again under another definition, and failed, leaves that one in force: a later one, or the
        // newest before it that had been given up. What no definition computed names its own slot.
        if recorded.definition != slot && !matches!(recorded.cause, Cause::Skipped | Cause::Crashed) {
            self.switch(recorded.definition).map_err(fault)?;
        }
        Ok(())
    }

    fn replay_definition(&mut self, entry: &Entry, recorded: &Computed) -> Result<(), End> {
        let slot = entry.slot;
        let is_first = self.device.is_none();
        if matches!(recorded.cause, Cause::Load | Cause::Crashed) {
            if is_first {
                self.broken = recorded.outcome.error.clone();
            }
            return Ok(());
        }
        match self.switch(if recorded.cause == Cause::Skipped { slot } else { recorded.definition }) {
            // Passed over because it does not load.
            Err(DeviceError::Load(error) | DeviceError::Restore(error)) if recorded.cause == Cause::Skipped => {
                if is_first {
                    self.broken = Some(error);
                }
                return Ok(());
            }
            switched => switched.map_err(|error| self.not_switched(slot, &error))?,
        }
        if !is_first || !self.repeats(recorded.cause) {
            return Ok(());
        }
        let repeated = self.repeat(recorded, |device, mode| {
            // What it returns was not recorded.
            Ok(match device.init(entry, mode)? {
                Call::Done(cause, outcome) => Call::Done(cause, Outcome { output: Json::null(), ..outcome }),
                Call::Interrupted => Call::Interrupted,
            })
        });
        if repeated.is_err() {
            // Without its first state it is no device to go on with.
            discard(self.device.take());
            self.in_force = None;
        }
        repeated
    }

    /// Makes a call again that succeeded before.
    pub(super) fn repeat(
        &mut self,
        recorded: &Computed,
        call: impl FnOnce(&mut dyn Device, Mode) -> Result<Call, DeviceError>,
    ) -> Result<(), End> {
        let slot = recorded.slot;
        if !self.may_repeat() {
            return Err(End::NotRepeatable(slot));
        }
        let mode = self.mode_of_repeats();
        let Some(device) = &mut self.device else {
            return Err(End::Fault(format!("replay of slot {slot}: there is no device")));
        };
        if let Purpose::Verification { .. } = self.purpose {
            return compare(recorded, || call(device.as_mut(), mode));
        }
        match call(device.as_mut(), mode).map_err(|error| End::Fault(format!("replay of slot {slot}: {error}")))? {
            Call::Interrupted => Err(End::Interrupted),
            Call::Done(Cause::Success, outcome) if outcome == recorded.outcome => Ok(()),
            Call::Done(Cause::Success, _) => {
                warn!(target: "compute", event = "replay_differs", process = %self.process, slot = slot.0,
                    "the outcome computed again is not the one that is stored; the stored one stays");
                Ok(())
            }
            Call::Done(_, outcome) => Err(End::Fault(format!(
                "replay of slot {slot} fails where it succeeded before: {}",
                outcome.error.unwrap_or_default()
            ))),
        }
    }
}
