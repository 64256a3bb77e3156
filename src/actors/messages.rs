//! The typed messages between hub, registry and workers.

use actix::Message;
use tokio::sync::oneshot;

use crate::device::Runner;
use crate::group::Incarnation;
use crate::ids::{GroupName, ProcessId};
use crate::process::worker::{Answer, Remains, Request, TurnDone, Waiting};
use crate::process::{Claim, CommitResult, RequestError};

/// Where the answer to a request goes. Dropped without an answer it tells the asker that the worker died.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Result<Answer, RequestError>>);

/// Where an asker awaits its answer.
pub type Awaited = oneshot::Receiver<Result<Answer, RequestError>>;

impl Reply {
    /// Both ends of one answer.
    pub fn channel() -> (Self, Awaited) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. Nobody may be listening any more, which is fine.
    pub fn send(self, answer: Result<Answer, RequestError>) {
        let _ = self.0.send(answer);
    }
}

impl Waiting for Reply {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// To a registry: serve this request with the process's worker, and start one if it is worth it.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Resolve {
    /// Whose worker.
    pub process: ProcessId,
    /// The request.
    pub request: Request<Reply>,
}

/// To a worker: serve this request.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Handle(pub Request<Reply>);

/// To a worker, by the store: what it holds.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Claimed(pub Result<Claim, String>);

/// To a worker, by the store: what became of its oldest unanswered commit.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Committed(pub CommitResult);

/// To a worker, by a compute thread: its device, and what it brings.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TurnReturned {
    /// The device, unless it is lost.
    pub runner: Option<Runner>,
    /// What it brings.
    pub done: TurnDone,
}

/// To a worker: others need your place. A busy one stays. Answered with whether it goes.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "bool")]
pub struct Evict;

/// To a registry and its workers: the node stops; finish what runs, store what is worth it, end.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Shutdown;

/// To a worker, by its registry: your name is free and nothing comes to you any more.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Farewell;

/// From a worker: it ended in good order.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WorkerExited {
    /// The name that it held.
    pub group: GroupName,
    /// Which registration it was.
    pub incarnation: Incarnation,
    /// What it leaves.
    pub remains: Remains<Reply>,
}

/// From a worker that is dropped, in good order or not.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WorkerDropped {
    /// The name that it held.
    pub group: GroupName,
    /// Which registration it was.
    pub incarnation: Incarnation,
    /// Whether a panic ended it.
    pub panicked: bool,
}

/// From a worker: resident devices hold more memory than they may.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Squeeze;

/// To a registry: do you live?
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Ping;
