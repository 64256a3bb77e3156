//! The state after any computed slot, from the store alone.

use std::sync::Arc;
use std::time::Duration;

use super::crash::CrashBook;
use super::feed::Feed;
use super::guarded::caught;
use super::runner::{Runner, Seat, Unreplayed};
use super::{BaseError, BaseState, DeviceFactory, Interrupt, LogReader};
use crate::clock::thread_cpu_time;
use crate::ids::{ProcessId, Slot};

/// How far the loading is.
#[derive(Clone, Debug)]
pub enum Loading {
    /// Not done: it wants another turn.
    More,
    /// Done. A further turn says it again, after loading it again.
    Done(Arc<BaseState>),
}

/// Loads the state after one slot, in turns: the newest snapshot at or below it that can be read, and from there the
/// outcomes that are recorded. The process's worker has no part in it and hears nothing of it.
pub struct BaseLoader {
    process: ProcessId,
    slot: Slot,
    factory: Arc<dyn DeviceFactory>,
    log: Arc<dyn LogReader>,
    interrupt: Interrupt,
    crashes: Arc<CrashBook>,
    /// What loads, once the slot is known to have an outcome.
    loading: Option<(Runner, Feed)>,
    is_slow: bool,
}

impl BaseLoader {
    /// A loader that has read nothing yet. `interrupt` ends it in the middle of a turn.
    pub fn new(
        process: ProcessId,
        slot: Slot,
        factory: Arc<dyn DeviceFactory>,
        log: Arc<dyn LogReader>,
        interrupt: Interrupt,
    ) -> Self {
        Self { process, slot, factory, log, interrupt, crashes: Arc::default(), loading: None, is_slow: false }
    }

    /// The same, with a book to note in what it does, and to look up what is not to be done again.
    #[must_use]
    pub fn with_crashes(mut self, crashes: Arc<CrashBook>) -> Self {
        self.crashes = crashes;
        self
    }

    /// Memory that it holds at present, in bytes.
    pub fn memory(&self) -> u64 {
        self.loading.as_ref().map_or(0, |(runner, _)| runner.memory())
    }

    /// Whether the last turn held its thread for too long, so that the next one is for a slow lane.
    pub fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Goes on for about `length`, at least one slot. After an error it begins anew.
    pub fn turn(&mut self, length: Duration, seat: &dyn Seat) -> Result<Loading, BaseError> {
        let began = thread_cpu_time();
        let gone = caught(|| self.go(length)).unwrap_or_else(|panic| Err(self.failed(&panic)));
        self.is_slow = seat.has_overrun() && thread_cpu_time().saturating_sub(began) > length;
        if !matches!(gone, Ok(Loading::More)) {
            // A device that panicked may do so again.
            let loaded = self.loading.take();
            let _ = caught(|| drop(loaded));
        }
        gone
    }

    fn go(&mut self, length: Duration) -> Result<Loading, BaseError> {
        if self.interrupt.is_raised() {
            return Err(BaseError::Interrupted(self.process.clone()));
        }
        if self.loading.is_none() {
            self.loading = Some(self.begin()?);
        }
        let Some((runner, feed)) = &mut self.loading else { return Ok(Loading::More) };
        match runner.replay_to(self.slot, feed, length) {
            Ok(Some(base)) => Ok(Loading::Done(Arc::new(BaseState::read(self.log.as_ref(), &self.process, &base)?))),
            Ok(None) => Ok(Loading::More),
            Err(_) if self.interrupt.is_raised() => Err(BaseError::Interrupted(self.process.clone())),
            Err(Unreplayed::Interrupted) => Err(BaseError::Interrupted(self.process.clone())),
            Err(Unreplayed::NoState(why)) => Err(BaseError::NoState(why)),
            Err(Unreplayed::NotRepeatable(slot)) => Err(self.not_repeatable(slot)),
            Err(Unreplayed::Fault(error)) => Err(self.failed(&error)),
        }
    }

    fn begin(&self) -> Result<(Runner, Feed), BaseError> {
        let (process, slot) = (&self.process, self.slot);
        let outcomes = self.log.outcomes(process, slot, slot).map_err(|error| self.failed(&error))?;
        if outcomes.first().is_none_or(|outcome| outcome.slot != slot) {
            return Err(BaseError::NotComputed { process: process.clone(), slot });
        }
        let runner = Runner::for_base(process.clone(), self.factory.clone(), self.log.clone(), self.interrupt.clone());
        let runner = runner.with_crashes(self.crashes.clone());
        let feed = Feed::new(self.log.clone(), process.clone(), Vec::new(), Some(slot), Some(slot));
        Ok((runner, feed))
    }

    fn failed(&self, what: &str) -> BaseError {
        BaseError::Failed(format!("base of process {} after slot {}: {what}", self.process, self.slot))
    }

    fn not_repeatable(&self, at: Slot) -> BaseError {
        BaseError::NotSupported(format!(
            "the device of process {} does not do the same twice, so slot {at} cannot be repeated on the way to slot {}; \
             only slots with a stored snapshot can be a base",
            self.process, self.slot
        ))
    }
}
