//! A device and the thread it computes on. What a message does is said by its data; what only chance decides, by [`Turn`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::fake_store::Data;
use crate::config::limits::LimitKey;
use crate::ids::{BlobHash, Slot};
use crate::process::worker::{Base, Fault, TurnDone, TurnPlan};
use crate::process::{Cause, Computed, Entry, EntryKind, Halt, Json, Outcome, RequestError, SentMessage, SnapshotRef};

/// What happens on one stay on a compute thread.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// So many slots are computed or replayed at most, as if the turn ended then or was interrupted.
    pub(super) slots: usize,
    /// Slots at which the machine ends the call.
    pub(super) causes: BTreeMap<Slot, Cause>,
    /// Once it has come so far, the machine fails at the next slot.
    pub(super) fault: bool,
    /// Or rather before it comes to it.
    pub(super) is_early: bool,
    /// And the device is lost by it.
    pub(super) loses: bool,
    /// No snapshot can be taken.
    pub(super) snapshot_fails: bool,
    pub(super) is_slow: bool,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            slots: usize::MAX,
            causes: BTreeMap::new(),
            fault: false,
            is_early: false,
            loses: false,
            snapshot_fails: false,
            is_slow: false,
        }
    }
}

impl Turn {
    pub(super) fn of(slots: usize) -> Self {
        Self { slots, ..Self::default() }
    }

    pub(super) fn ended_at(slot: u64, cause: Cause) -> Self {
        Self { causes: [(Slot(slot), cause)].into(), ..Self::default() }
    }

    /// The machine fails after so many slots.
    pub(super) fn fault_after(slots: usize) -> Self {
        Self { slots, fault: true, loses: true, ..Self::default() }
    }

    pub(super) fn limit_at(slot: u64) -> Self {
        Self::ended_at(slot, Cause::Limit(LimitKey::ComputeTime))
    }
}

/// A state: a number in which every successful slot leaves its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FakeDevice {
    pub(super) position: Option<Slot>,
    pub(super) value: u64,
    in_force: Slot,
}

/// What the compute thread knows besides the plan.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) device: Option<FakeDevice>,
    pub(super) is_deterministic: bool,
    /// Whether snapshots are big enough for a file.
    pub(super) is_big: bool,
    pub(super) replayed: usize,
    /// Files and small snapshots that can't be read.
    pub(super) damaged: HashSet<BlobHash>,
    nonce: u64,
}

impl Default for Bench {
    fn default() -> Self {
        Self { device: None, is_deterministic: true, is_big: false, replayed: 0, damaged: HashSet::new(), nonce: 0 }
    }
}

enum Step {
    Goes(Computed),
    Halts(Halt),
}

impl Default for FakeDevice {
    fn default() -> Self {
        Self { position: None, value: 0, in_force: Slot::ZERO }
    }
}

impl FakeDevice {
    pub(super) fn restored(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().unwrap());
        let mut next = || numbers.next().unwrap();
        Self { position: Some(Slot(next())), value: next(), in_force: Slot(next()) }
    }

    fn bytes(&self, is_big: bool) -> Arc<[u8]> {
        let mut text = format!("{} {} {}", Slot::after(self.position).0 - 1, self.value, self.in_force);
        text.push_str(&" ".repeat(if is_big { 64 << 10 } else { 0 }));
        text.into_bytes().into()
    }

    /// Goes past an entry that ended with `cause`, under the definition in force.
    pub(super) fn pass(&mut self, entry: &Entry, cause: Cause) {
        if entry.kind == EntryKind::Definition && cause != Cause::Load {
            self.in_force = self.in_force.max(entry.slot);
        }
        if cause == Cause::Success {
            let parts = [&self.value.to_le_bytes()[..], &self.in_force.0.to_le_bytes(), entry.message.data.as_bytes()];
            let hash = blake3::hash(&parts.concat());
            self.value = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap());
        }
        self.position = Some(entry.slot);
    }

    pub(super) fn replay(&mut self, entry: &Entry, stored: &Computed) {
        self.in_force = stored.definition;
        self.pass(entry, stored.cause);
    }
}

/// `send N` sends N messages.
fn sent_by(data: &str) -> Vec<SentMessage> {
    let number = data.strip_prefix("send ").and_then(|number| number.parse().ok()).unwrap_or(0);
    let message =
        SentMessage { target: "q".to_owned(), tags: Vec::new(), data: data.to_owned(), anchor: String::new() };
    vec![message; number]
}

impl Bench {
    fn step(&mut self, device: &mut FakeDevice, entry: &Entry, turn: &Turn, resumed: Option<(Slot, Slot)>) -> Step {
        let slot = entry.slot;
        if let Some((_, under)) = resumed.filter(|(halted, _)| *halted == slot) {
            device.in_force = under;
        }
        // It fails under the definitions that were there before it.
        let is_bad = entry.message.data == "halt" && device.in_force < slot;
        let cause = match turn.causes.get(&slot) {
            Some(cause) => *cause,
            None if is_bad => return Step::Halts(Halt { slot, error: "boom".to_owned(), resumed: None }),
            None if entry.message.data == "error" => Cause::Error,
            None => Cause::Success,
        };
        device.pass(entry, cause);
        self.nonce += 1;
        let gas = if cause.is_repeatable() && self.is_deterministic { slot.0 } else { self.nonce };
        let outcome = match cause {
            Cause::Success => {
                let output = Json::parse(device.value.to_string()).unwrap();
                let messages = sent_by(&entry.message.data);
                Outcome { output, messages, gas_used: gas, ..Outcome::empty() }
            }
            _ => Outcome::failed("failed", gas),
        };
        Step::Goes(Computed { slot, definition: device.in_force, cause, outcome })
    }

    /// Whether a snapshot cannot be read.
    pub(super) fn is_damaged(&self, snapshot: &SnapshotRef) -> bool {
        let mut files = snapshot.files.iter().map(|file| file.seal);
        self.damaged.contains(&snapshot.hash) || files.any(|seal| self.damaged.contains(&seal))
    }

    /// The device as the newest snapshot makes it that can be read, and those that were tried before.
    fn restore(&self, plan: &TurnPlan, data: &Data) -> (FakeDevice, Vec<SnapshotRef>) {
        let mut unfit: Vec<_> = data.snapshots.iter().filter(|one| Some(one.slot) <= plan.recorded).cloned().collect();
        let sound = unfit.iter().position(|one| !self.is_damaged(one));
        let restored = sound.map(|at| FakeDevice::restored(&data.blobs[&unfit[at].hash]));
        unfit.truncate(sound.unwrap_or(unfit.len()));
        (restored.unwrap_or_default(), unfit)
    }

    /// Carries out a plan, with what the store holds.
    pub(super) fn run(&mut self, plan: &TurnPlan, data: &Data, turn: &Turn) -> TurnDone {
        let there = self.device.take().map(|device| (device, Vec::new()));
        let (mut device, unfit) = there.unwrap_or_else(|| self.restore(plan, data));
        let (is_deterministic, is_slow) = (self.is_deterministic, turn.is_slow);
        let mut done = TurnDone { is_deterministic, is_slow, unfit, ..TurnDone::default() };
        for _ in 0..turn.slots {
            let slot = Slot::after(device.position);
            if Some(slot) > plan.goal {
                break;
            }
            let at_hand = plan.entries.iter().find(|entry| entry.slot == slot);
            let entry = at_hand.unwrap_or_else(|| &data.entries[slot.0 as usize]);
            if Some(slot) <= plan.recorded {
                device.replay(entry, data.outcome(slot).unwrap());
                self.replayed += 1;
                continue;
            }
            match self.step(&mut device, entry, turn, plan.resumed) {
                Step::Goes(computed) => {
                    done.is_lost = computed.cause == Cause::Panic;
                    done.computed.push(computed);
                }
                Step::Halts(halt) => done.halt = Some(halt),
            }
            if done.is_lost || done.halt.is_some() || !self.is_deterministic {
                break;
            }
        }
        done.unused = plan.entries.iter().filter(|entry| Some(entry.slot) > device.position).cloned().collect();
        if turn.fault && done.halt.is_none() {
            let slot = Slot::after(device.position);
            let entry = data.entries.get(slot.0 as usize).filter(|_| Some(slot) <= plan.goal && !turn.is_early);
            let at = entry.map(|entry| (slot, entry.kind));
            done.fault = Some(Fault { error: "the machine failed".to_owned(), at });
            done.is_lost |= turn.loses;
        } else if !done.is_lost {
            self.bring(plan, &device, turn, &mut done);
        }
        done.position = device.position.filter(|_| !done.is_lost);
        self.device = Some(device).filter(|_| !done.is_lost);
        done
    }

    fn bring(&self, plan: &TurnPlan, device: &FakeDevice, turn: &Turn, done: &mut TurnDone) {
        let nothing = || RequestError::Conflict("there is no state yet".to_owned());
        if plan.wants_state {
            done.state = Some(
                device
                    .position
                    .map(|_| crate::process::StateView::Json(device.value.to_string().into()))
                    .ok_or_else(nothing),
            );
        }
        let is_precious = !self.is_deterministic && done.computed.iter().any(|one| one.cause == Cause::Success);
        if plan.wants_snapshot || is_precious {
            done.snapshot = Some(device.position.ok_or_else(nothing).and_then(|slot| match turn.snapshot_fails {
                true => Err(RequestError::Internal("no snapshot".to_owned())),
                false => Ok(Base { slot, definition: device.in_force, snapshot: device.bytes(self.is_big) }),
            }));
        }
    }
}
