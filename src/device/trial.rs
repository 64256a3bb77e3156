//! Messages tried on a base: each has an outcome, and none a slot.

use std::fmt;
use std::sync::Arc;

use super::guarded::{caught, discard, guarded};
use super::{BaseState, Call, Device, DeviceError, DeviceFactory, Interrupt, Mode};
use crate::process::{Cause, Entry, Message, Outcome};

/// Why there is no outcome. The trial stands at its base all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// The device has no such thing.
    #[error("{0}")]
    NotSupported(String),
    /// It was asked to end. What follows on this trial ends as well.
    #[error("the call was interrupted before it had an outcome; ask again")]
    Interrupted,
    /// The device could not be made or used. It may be tried again.
    #[error("{0}")]
    Failed(String),
}

/// What came of a message.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The outcome.
    pub outcome: Outcome,
    /// How it came about.
    pub cause: Cause,
    /// The base that it leaves, where the result was to be kept and the message succeeded.
    pub after: Option<Arc<BaseState>>,
}

/// A device that stands at a base. Neither log nor process know of what is tried on it.
pub struct Trial {
    factory: Arc<dyn DeviceFactory>,
    base: Arc<BaseState>,
    interrupt: Interrupt,
    /// None after a call that left nobody knows what; the next one makes it anew.
    device: Option<Box<dyn Device>>,
    /// Whether the device's state is not the base's.
    has_moved: bool,
}

impl fmt::Debug for Trial {
    /// Names the base that it stands at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Trial {
    /// Makes a device that stands at `base`. Takes the time of loading the code and restoring the state.
    pub fn open(
        factory: Arc<dyn DeviceFactory>,
        base: Arc<BaseState>,
        interrupt: Interrupt,
    ) -> Result<Self, TrialError> {
        let mut trial = Self { factory, base, interrupt, device: None, has_moved: false };
        let device = trial.device_at_base()?;
        trial.device = Some(device);
        Ok(trial)
    }

    /// Where it stands.
    pub fn base(&self) -> &Arc<BaseState> {
        &self.base
    }

    /// Memory that its device holds, in bytes; the base's own is not in it.
    pub fn memory(&self) -> u64 {
        self.device.as_ref().map_or(0, |device| device.memory())
    }

    /// The outcome that `message` would have at the slot after the base. Where the result is kept and the message succeeds,
    /// the trial stands at the result from then on, else at the base as before. A panic of the device is an outcome.
    pub fn resolve(&mut self, message: Message, keeps_result: bool) -> Result<Tried, TrialError> {
        let slot = self.base.slot.next();
        let entry = Entry::of_client(slot, message);
        let mut device = self.device_at_base()?;
        let (cause, outcome) = match guarded(|| device.dry_run(&entry)) {
            Ok(Call::Done(cause, outcome)) => (cause, outcome),
            Ok(Call::Interrupted) => {
                self.device = Some(device);
                return Err(TrialError::Interrupted);
            }
            Err(error) => {
                discard(Some(device));
                return Err(self.refusal(&error));
            }
        };
        match cause {
            Cause::Success => self.succeeded(device, outcome, keeps_result),
            _ => {
                match cause {
                    Cause::Panic => discard(Some(device)),
                    _ => self.device = Some(device),
                }
                Ok(Tried { outcome, cause, after: None })
            }
        }
    }

    fn succeeded(
        &mut self,
        device: Box<dyn Device>,
        outcome: Outcome,
        keeps_result: bool,
    ) -> Result<Tried, TrialError> {
        let taken = caught(|| device.snapshot()).unwrap_or_else(|panic| Err(DeviceError::Fault(panic)));
        let state = match taken {
            Ok(state) => state,
            Err(error) => {
                discard(Some(device));
                if keeps_result {
                    return Err(self.refusal(&error));
                }
                return Ok(Tried { outcome, cause: Cause::Success, after: None });
            }
        };
        self.device = Some(device);
        self.has_moved = state != self.base.snapshot;
        let mut after = None;
        if keeps_result {
            // Equal bytes are held once.
            let state = if self.has_moved { state } else { self.base.snapshot.clone() };
            self.base = Arc::new(self.base.followed_by(state));
            self.has_moved = false;
            after = Some(self.base.clone());
        }
        Ok(Tried { outcome, cause: Cause::Success, after })
    }

    /// Takes the device out, or a new one; its state is the base's.
    fn device_at_base(&mut self) -> Result<Box<dyn Device>, TrialError> {
        if self.interrupt.is_raised() {
            return Err(TrialError::Interrupted);
        }
        let (old, has_moved) = (self.device.take(), std::mem::take(&mut self.has_moved));
        let made = match old {
            Some(device) if !has_moved => return Ok(device),
            Some(device) => self.restored(device),
            None => caught(|| self.create())
                .unwrap_or_else(|panic| Err(DeviceError::Fault(panic)))
                .and_then(|device| self.restored(device)),
        };
        made.map_err(|error| self.refusal(&error))
    }

    fn create(&self) -> Result<Box<dyn Device>, DeviceError> {
        let base = &self.base;
        self.factory.create(&base.process, &base.definition, &base.source, self.interrupt.clone(), Mode::Trial)
    }

    fn restored(&self, mut device: Box<dyn Device>) -> Result<Box<dyn Device>, DeviceError> {
        let restored = caught(|| device.restore(&self.base.snapshot));
        match restored.unwrap_or_else(|panic| Err(DeviceError::Fault(panic))) {
            Ok(()) => Ok(device),
            Err(error) => {
                discard(Some(device));
                Err(error)
            }
        }
    }

    fn refusal(&self, error: &DeviceError) -> TrialError {
        match error {
            DeviceError::NotSupported(_) => TrialError::NotSupported(error.to_string()),
            _ if self.interrupt.is_raised() => TrialError::Interrupted,
            _ => {
                let (process, slot) = (&self.base.process, self.base.slot);
                TrialError::Failed(format!("a copy of process {process} after slot {slot} cannot be used: {error}"))
            }
        }
    }
}
