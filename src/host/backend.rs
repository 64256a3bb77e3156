//! What a reader of the host's processes is to the rest.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::error::HostError;
use super::observation::{Change, Observation, Snapshot};
use crate::config::BackendKind;

/// Something a backend has to do without, on this machine and with these privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What.
    pub what: &'static str,
    /// Why, and what would help.
    pub why: String,
}

/// A source of news of the host's processes. Belongs to the reader's thread; dropping it closes it.
pub trait Backend: Send {
    /// Which it is.
    fn kind(&self) -> BackendKind;

    /// What it has to do without.
    fn lacks(&self) -> &[Lack];

    /// Waits for news, for `longest` at most and not once `stop` is set, and adds them to `news`. An error is final.
    fn read(&mut self, stop: &Stop, longest: Duration, news: &mut News) -> Result<(), HostError>;
}

/// What a backend read at once: first the observations, then the snapshot, then the word of losses.
#[derive(Debug, Default)]
pub struct News {
    /// In the order of the kernel.
    pub observations: Vec<Observation>,
    /// How many events were read, those included that say nothing here.
    pub received: u64,
    /// A look at everything, taken after the observations.
    pub snapshot: Option<Snapshot>,
    /// Events were lost before this point, so many more than were told before.
    pub lost: Option<u64>,
    /// So many records of ends were lost.
    pub records_lost: u64,
}

impl News {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
            && self.snapshot.is_none()
            && self.lost.is_none()
            && (self.received, self.records_lost) == (0, 0)
    }

    /// Whether nobody is told anything because of it, not yet.
    pub(super) fn can_wait(&self) -> bool {
        let is_quiet = |observation: &Observation| {
            use Change::{Forked, ThreadEnded, ThreadStarted, UidChanged};
            matches!(observation.change, Forked { .. } | ThreadStarted | ThreadEnded { .. } | UidChanged(_))
        };
        self.snapshot.is_none() && self.lost.is_none() && self.observations.iter().all(is_quiet)
    }

    /// How much of the queue it takes.
    pub(super) fn size(&self) -> usize {
        self.observations.len() + self.snapshot.as_ref().map_or(0, |snapshot| snapshot.seen.len())
    }
}

/// Asks a reader to stop, and wakes it. Clones are one.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    is_set: Mutex<bool>,
    changed: Condvar,
    /// For readers that wait for descriptors.
    #[cfg(target_os = "linux")]
    bell: std::os::fd::OwnedFd,
}

impl Stop {
    pub(super) fn new() -> Result<Self, HostError> {
        Ok(Self(Arc::new(Asked {
            is_set: Mutex::new(false),
            changed: Condvar::new(),
            #[cfg(target_os = "linux")]
            bell: bell()?,
        })))
    }

    /// Asks.
    pub fn set(&self) {
        *self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
        // A full counter refuses, and is as readable as can be.
        #[cfg(target_os = "linux")]
        let _ = rustix::io::write(&self.0.bell, &1u64.to_ne_bytes());
    }

    /// Whether it was asked.
    pub fn is_set(&self) -> bool {
        *self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is asked, for `longest` at most.
    pub fn wait(&self, longest: Duration) {
        let is_set = self.0.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.0.changed.wait_timeout_while(is_set, longest, |is_set| !*is_set);
    }
}

#[cfg(target_os = "linux")]
fn bell() -> Result<std::os::fd::OwnedFd, HostError> {
    use rustix::event::{EventfdFlags, eventfd};

    let refused = |error: rustix::io::Errno| HostError::Thread { thread: "reader", source: error.into() };
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(refused)
}

#[cfg(target_os = "linux")]
impl std::os::fd::AsFd for Stop {
    /// Becomes readable when it is asked, and stays so.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}
