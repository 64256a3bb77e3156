//! The way into the writer: one queue for all, bounded in number and bytes. Who finds it full is refused, never blocked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use super::answer::Answer;
use super::contract::{Claim, Commit, CommitResult};
use super::engine::Op;
use crate::ids::{Epoch, ProcessId};

/// At most so many requests wait.
pub(super) const REQUESTS_MAX: u64 = 65_536;
/// At most so many bytes of records wait.
pub(super) const BYTES_MAX: u64 = 128 << 20;

/// What the writer is asked for.
pub(super) enum Request {
    Commit {
        commit: Commit,
        ops: Vec<Op>,
        answer: Answer<CommitResult>,
    },
    Claim {
        process: ProcessId,
        answer: Answer<Result<Claim, String>>,
    },
    Release {
        process: ProcessId,
        epoch: Epoch,
    },
    /// Removes the pending mark of a process that nobody holds, if it is not pending.
    Tidy {
        process: ProcessId,
    },
    Flush {
        answer: Answer<Result<(), String>>,
    },
    Shutdown {
        answer: Answer<Result<(), String>>,
    },
}

impl Request {
    /// Says that nothing of it was done, and why.
    pub(super) fn refuse(self, reason: String) {
        match self {
            Self::Commit { answer, .. } => answer.give(CommitResult::Refused(reason)),
            Self::Claim { answer, .. } => answer.give(Err(reason)),
            Self::Release { .. } | Self::Tidy { .. } => {}
            Self::Flush { answer } | Self::Shutdown { answer } => answer.give(Err(reason)),
        }
    }

    /// Its bytes, as the bound and the batch count them.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Commit { ops, .. } => ops.iter().map(|op| op.size() as u64).sum(),
            _ => 0,
        }
    }
}

/// A request that does not go in.
pub(super) struct Rejected {
    pub(super) request: Request,
    pub(super) reason: &'static str,
}

impl Rejected {
    fn new(request: Request, reason: &'static str) -> Box<Self> {
        Box::new(Self { request, reason })
    }
}

#[derive(Debug, Default)]
struct Load {
    requests: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicBool,
}

/// The end that requests go in.
#[derive(Clone)]
pub(super) struct Intake {
    sender: Sender<(Request, u64)>,
    load: Arc<Load>,
}

/// The end that the writer has.
pub(super) struct Outlet {
    receiver: Receiver<(Request, u64)>,
    load: Arc<Load>,
}

/// Both ends of a new queue.
pub(super) fn queue() -> (Intake, Outlet) {
    let (sender, receiver) = mpsc::channel();
    let load = Arc::new(Load::default());
    (Intake { sender, load: load.clone() }, Outlet { receiver, load })
}

impl Intake {
    /// Hands `request` in, or gives it back with the reason. A release or a shutdown is never too much.
    pub(super) fn hand_in(&self, request: Request) -> Result<(), Box<Rejected>> {
        if self.load.closed.load(Ordering::Acquire) {
            return Err(Rejected::new(request, "the store is shut down"));
        }
        let size = request.size();
        let requests = self.load.requests.fetch_add(1, Ordering::AcqRel);
        let bytes = self.load.bytes.fetch_add(size, Ordering::AcqRel);
        let is_bounded = !matches!(request, Request::Release { .. } | Request::Shutdown { .. });
        // A commit of any size passes when nothing else waits.
        let is_too_much = requests >= REQUESTS_MAX || (bytes > 0 && bytes.saturating_add(size) > BYTES_MAX);
        if is_bounded && is_too_much {
            self.load.forget(size);
            return Err(Rejected::new(request, "overloaded: too many commits wait for the disk"));
        }
        self.sender.send((request, size)).map_err(|mpsc::SendError((request, size))| {
            self.load.forget(size);
            Rejected::new(request, "the store is shut down")
        })
    }
}

impl Load {
    fn forget(&self, size: u64) {
        self.requests.fetch_sub(1, Ordering::AcqRel);
        self.bytes.fetch_sub(size, Ordering::AcqRel);
    }
}

impl Outlet {
    /// The next request; waits for it, `timeout` at most. `Err(true)`: there will be none any more.
    pub(super) fn next(&self, timeout: Option<Duration>) -> Result<Request, bool> {
        let received = match timeout {
            None => self.receiver.recv().map_err(|_| true),
            Some(timeout) => {
                self.receiver.recv_timeout(timeout).map_err(|error| error == RecvTimeoutError::Disconnected)
            }
        };
        received.map(|taken| self.taken(taken))
    }

    /// The next request, if one waits.
    pub(super) fn next_waiting(&self) -> Option<Request> {
        match self.receiver.try_recv() {
            Ok(taken) => Some(self.taken(taken)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    fn taken(&self, (request, size): (Request, u64)) -> Request {
        self.load.forget(size);
        request
    }

    /// Takes nothing more in.
    pub(super) fn close(&self) {
        self.load.closed.store(true, Ordering::Release);
    }
}
