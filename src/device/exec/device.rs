//! A slot from the note of its attempt to its outcome.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tracing::warn;

use super::note::{Note, Work};
use super::session::{NO_STATE, Role, Session, StartError};
use super::talk::TalkError;
use crate::config::limits::LimitKey;
use crate::device::answered::{self, Failure};
use crate::device::budget::limit_text;
use crate::device::{Call, Device, DeviceError, DeviceInfo, Mode, StateView};
use crate::group::Grouper;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{Cause, Entry, Outcome, Scheduled};

/// A program over the state of one process.
///
/// The state is kept beside it, as the program gave it after the last success: from there a new one goes on.
pub(super) struct ExecDevice {
    role: Arc<Role>,
    note: Option<Note>,
    session: Option<Session>,
    state: Arc<RawValue>,
    /// Whether the program may stand elsewhere than at `state`.
    has_strayed: bool,
    memory: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Compute,
    DryRun,
}

#[derive(Serialize)]
struct ComputeParams<'a> {
    process: &'a ProcessId,
    slot: Slot,
    message: Scheduled<'a>,
    attempt: u32,
    key: &'a str,
    chain: &'a str,
}

/// What came of handing a slot to a program.
enum Handed {
    Success(Outcome, Box<RawValue>),
    /// The program goes on, from the state before.
    Failed(Failure),
    /// The program is of no more use.
    Broken(TalkError),
}

impl ExecDevice {
    pub(super) fn new(role: Role) -> Self {
        let state = RawValue::NULL.to_owned().into();
        Self { role: Arc::new(role), note: None, session: None, state, has_strayed: false, memory: 0 }
    }

    fn run(&mut self, entry: &Entry, purpose: Purpose) -> Result<Call, DeviceError> {
        let slot = entry.slot;
        match self.ready(slot) {
            // Whoever is interrupted may have a successor already.
            Ok(()) if self.role.interrupt.is_raised() => return Ok(Call::Interrupted),
            Ok(()) => {}
            Err(StartError::Interrupted) => return Ok(Call::Interrupted),
            Err(error) => return Err(self.fault(slot, &error.to_string())),
        }
        if purpose == Purpose::DryRun && !self.session.as_ref().is_some_and(|session| session.can_dry_run) {
            return Err(DeviceError::NotSupported("exec"));
        }
        let key = key(&self.role.process, entry);
        let mut work = if self.is_noted(purpose) { self.note()?.of(slot, &key) } else { Work::new(slot, &key) };
        work.attempt = work.attempt.saturating_add(1);
        if self.is_noted(purpose) {
            self.set_note(work.clone())?;
        }
        let handed = self.hand_over(entry, &work, purpose);
        self.memory = self.session.as_ref().map_or(0, Session::memory);
        match handed {
            Handed::Success(outcome, state) => {
                self.state = state.into();
                self.has_strayed = false;
                Ok(Call::Done(Cause::Success, outcome))
            }
            Handed::Failed(failure) => {
                self.has_strayed = true;
                Ok(self.failed(failure))
            }
            Handed::Broken(error) => {
                self.session = None;
                self.broken(error, work, purpose)
            }
        }
    }

    /// Has a program that stands at the state.
    fn ready(&mut self, slot: Slot) -> Result<(), StartError> {
        if self.has_strayed {
            // One that keeps no state here may have one of its own; a new one has none.
            let is_back = match &mut self.session {
                Some(session) if self.state.get() != NO_STATE => session.restore(&self.state).is_ok(),
                _ => false,
            };
            if !is_back {
                self.session = None;
            }
            self.has_strayed = false;
        }
        // One that ended by itself meanwhile has not failed at this slot.
        if self.session.as_ref().is_none_or(|session| !session.is_alive()) {
            self.session = None;
            self.session = Some(Session::open(&self.role, slot, &self.state)?);
            // Another program, which is gone now, may have been handed slots since it was read.
            self.note = None;
        }
        Ok(())
    }

    fn hand_over(&mut self, entry: &Entry, work: &Work, purpose: Purpose) -> Handed {
        let role = self.role.clone();
        let Some(session) = &mut self.session else { return Handed::Broken(TalkError::Ended("before it was asked")) };
        session.at(entry.slot);
        let params = ComputeParams {
            process: &role.process,
            slot: entry.slot,
            message: entry.shown(),
            attempt: work.attempt,
            key: &work.key,
            chain: &role.chain(),
        };
        let method = match purpose {
            Purpose::Compute => "compute",
            Purpose::DryRun => "dry_run",
        };
        let limits = &role.limits;
        let computed = match session.ask(method, &params, role.compute_bounds()) {
            Ok(Ok(result)) => match answered::read(&result, limits) {
                Ok(computed) => computed,
                Err(failure) => return Handed::Failed(failure),
            },
            Ok(Err(error)) => return Handed::Failed(Failure::Error(answered::words(error.message, limits), 0)),
            Err(error) => return Handed::Broken(error),
        };
        let state = match computed.state {
            Some(state) => state,
            None => match session.snapshot() {
                Ok(Ok(state)) => state,
                Ok(Err(error)) => {
                    let text = format!("the program cannot say its state: {error}");
                    return Handed::Failed(Failure::Error(answered::words(text, limits), 0));
                }
                Err(TalkError::TooLong { .. }) => return Handed::Failed(Failure::Limit(LimitKey::StateSize)),
                Err(error) => return Handed::Broken(error),
            },
        };
        if state.get().len() as u64 > limits.state_size {
            return Handed::Failed(Failure::Limit(LimitKey::StateSize));
        }
        Handed::Success(computed.outcome, state)
    }

    fn failed(&self, failure: Failure) -> Call {
        match failure {
            Failure::Error(text, gas) => Call::Done(Cause::Error, Outcome::failed(text, gas)),
            Failure::Limit(key) => {
                let text = match key {
                    LimitKey::ComputeTime => {
                        format!("limit {key}: there was no answer within {:?}", self.role.limits.compute_time)
                    }
                    key => limit_text(key, &self.role.limits),
                };
                Call::Done(Cause::Limit(key), Outcome::failed(text, 0))
            }
        }
    }

    /// A program that broke off ends, and what broke it off is the slot's outcome where trying again is of no use.
    fn broken(&mut self, error: TalkError, mut work: Work, purpose: Purpose) -> Result<Call, DeviceError> {
        let limit = match &error {
            TalkError::Interrupted => return Ok(Call::Interrupted),
            TalkError::TooLate { .. } => Some(LimitKey::ComputeTime),
            TalkError::TooLong { .. } => Some(LimitKey::OutputSize),
            TalkError::Memory(_) => Some(LimitKey::Memory),
            _ => None,
        };
        let (process, slot) = (&self.role.process, work.slot);
        warn!(target: "compute", event = "program_failed", %process, slot = slot.0, attempt = work.attempt, %error);
        if let Some(key) = limit {
            return Ok(self.failed(Failure::Limit(key)));
        }
        let text = error.to_string();
        if !self.is_noted(purpose) {
            return Ok(self.failed(Failure::Error(text, 0)));
        }
        work.failures = work.failures.saturating_add(1);
        let (failures, most) = (work.failures, self.role.command.max_attempts);
        if failures < most {
            work.error.clone_from(&text);
            self.set_note(work)?;
            return Err(self.fault(slot, &text));
        }
        // Whoever has it tried again after all begins to count anew.
        self.set_note(Work { failures: 0, error: String::new(), ..work })?;
        let text = format!("the program failed {failures} times at this slot (max_attempts), the last time so: {text}");
        Ok(self.failed(Failure::Error(text, 0)))
    }

    /// Whether the call is the process's own: one on a copy, or one that is made again to be compared, is no attempt at a slot.
    fn is_noted(&self, purpose: Purpose) -> bool {
        purpose == Purpose::Compute && self.role.is_own
    }

    fn note(&mut self) -> Result<&mut Note, DeviceError> {
        if self.note.is_none() {
            let opened = self.role.host.note(&self.role.process);
            self.note =
                Some(opened.map_err(|error| DeviceError::Fault(format!("the note of the slot in work: {error}")))?);
        }
        self.note.as_mut().ok_or_else(|| DeviceError::Fault("there is no note of the slot in work".to_owned()))
    }

    fn set_note(&mut self, work: Work) -> Result<(), DeviceError> {
        let noted = self.note()?.set(work);
        noted.map_err(|error| DeviceError::Fault(format!("the note of the slot in work: {error}")))
    }

    fn fault(&self, slot: Slot, text: &str) -> DeviceError {
        DeviceError::Fault(format!("slot {slot} of process {}: {text}", self.role.process))
    }
}

/// What a program can know a slot's message by, however often it is handed it.
fn key(process: &ProcessId, entry: &Entry) -> String {
    let parts = [process.as_str().as_bytes(), &entry.slot.0.to_be_bytes(), entry.message.id.as_str().as_bytes()];
    MessageId::derived(&parts).to_string()
}

/// What every exec device is.
pub(super) fn info() -> DeviceInfo {
    DeviceInfo { deterministic: false, engine: "exec 1".to_owned(), grouper: Grouper::Process, needs_worker: true }
}

impl Device for ExecDevice {
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        if mode == Mode::Replay {
            return Err(self.never_again(definition.slot));
        }
        match self.ready(definition.slot) {
            Ok(()) => {}
            Err(StartError::Interrupted) => return Ok(Call::Interrupted),
            Err(StartError::Refused(error)) => {
                let text = answered::words(error.message, &self.role.limits);
                return Ok(self.failed(Failure::Error(text, 0)));
            }
            Err(error) => return Err(self.fault(definition.slot, &error.to_string())),
        }
        let Some(session) = &mut self.session else { return Ok(Call::Interrupted) };
        match session.snapshot() {
            Ok(Ok(state)) if state.get().len() as u64 <= self.role.limits.state_size => {
                self.state = state.into();
                Ok(Call::Done(Cause::Success, Outcome::empty()))
            }
            Ok(Ok(_)) | Err(TalkError::TooLong { .. }) => Ok(self.failed(Failure::Limit(LimitKey::StateSize))),
            Ok(Err(error)) => Ok(self.failed(Failure::Error(answered::words(error.message, &self.role.limits), 0))),
            Err(TalkError::Interrupted) => Ok(Call::Interrupted),
            Err(error) => Err(self.fault(definition.slot, &error.to_string())),
        }
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        match mode {
            Mode::Replay => Err(self.never_again(entry.slot)),
            Mode::Live | Mode::Again | Mode::Trial => self.run(entry, Purpose::Compute),
        }
    }

    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        self.run(entry, Purpose::DryRun)
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        Ok(self.state.get().as_bytes().into())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        let state: Box<RawValue> = serde_json::from_slice(snapshot)
            .map_err(|error| DeviceError::Restore(format!("it is no JSON: {error}")))?;
        if state.get().contains('\n') {
            return Err(DeviceError::Restore("it has more than one line".to_owned()));
        }
        self.state = state.into();
        self.has_strayed = true;
        Ok(())
    }

    fn state(&self) -> Result<StateView, DeviceError> {
        Ok(StateView::Json(self.state.get().into()))
    }

    fn info(&self) -> DeviceInfo {
        info()
    }

    fn memory(&self) -> u64 {
        self.memory + self.state.get().len() as u64
    }
}

impl ExecDevice {
    fn never_again(&self, slot: Slot) -> DeviceError {
        let text =
            "its outcome is stored and a program is never asked for it again, but the state after it cannot be read";
        self.fault(slot, text)
    }
}
