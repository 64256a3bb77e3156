//! The typed messages between hub, registry and workers.

use std::time::Duration;

use actix::Message;
use tokio::sync::oneshot;

use crate::device::{Runner, Trial};
use crate::group::{Chain, GroupStatus, Incarnation};
use crate::ids::{GroupName, ProcessId};
use crate::process::worker::{Answer, Remains, Request, TurnDone, Waiting};
use crate::process::{Claim, CommitResult, Draft, RequestError};

/// What an asker is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// The answer.
    Answer(Result<Answer, RequestError>),
    /// Whoever was asked is no longer the one to ask: resolve again.
    Again,
    /// The leader died, and why as far as it is known.
    LeaderDied(String),
}

/// Where the answer to a request goes. Dropped without an answer it tells the asker that the leader died.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Told>);

/// Where an asker awaits its answer.
#[derive(Debug)]
pub struct Awaited(oneshot::Receiver<Told>);

impl Reply {
    /// Both ends of one answer.
    pub fn channel() -> (Self, Awaited) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), Awaited(receiver))
    }

    /// Answers. Nobody may be listening any more, which is fine.
    pub fn send(self, answer: Result<Answer, RequestError>) {
        self.tell(Told::Answer(answer));
    }

    /// Tells the asker something.
    pub fn tell(self, told: Told) {
        let _ = self.0.send(told);
    }
}

impl Awaited {
    /// Waits until something is told.
    pub async fn hear(self) -> Told {
        self.0.await.unwrap_or_else(|_| Told::LeaderDied("it ended without an answer".to_owned()))
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

/// To a registry and from it to a worker: items of the outbox of `process` were delivered, or given up.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Delivered {
    /// The source.
    pub process: ProcessId,
    /// How many.
    pub items: u64,
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

/// From a worker: resident devices hold more memory than they may.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Squeeze;

/// What waits in the mailbox of a leader that is no actor.
#[derive(Debug)]
pub enum Queued {
    /// Somebody who wants the same as the leader, or, where a device names the groups, something else under one name.
    Listener {
        /// What is wanted: equal for equal requests only.
        key: GroupName,
        /// Where the answer goes.
        reply: Reply,
    },
    /// A request on the base that the leader loads.
    Work(ResolveOn),
}

impl Queued {
    /// Where its answer goes.
    pub fn into_reply(self) -> Reply {
        match self {
            Self::Listener { reply, .. } | Self::Work(ResolveOn { reply, .. }) => reply,
        }
    }

    /// Where its answer goes.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Listener { reply, .. } | Self::Work(ResolveOn { reply, .. }) => reply,
        }
    }

    /// What it asks for.
    pub fn group(&self) -> &GroupName {
        match self {
            Self::Listener { key, .. } => key,
            Self::Work(work) => &work.group,
        }
    }
}

/// To a registry and from it to a base worker: serve this request on the base of that name.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct ResolveOn {
    /// The base's group.
    pub group: GroupName,
    /// What is wanted of it.
    pub wanted: BaseRequest,
    /// Where the answer goes.
    pub reply: Reply,
    /// The groups that wait for this request already; `None` where one may wait for itself.
    pub chain: Option<Chain>,
}

/// What can be wanted of a base.
#[derive(Debug)]
pub enum BaseRequest {
    /// The outcome of a message.
    Resolve {
        /// The message.
        draft: Box<Draft>,
        /// Whether the base stays in any case.
        is_trial: bool,
    },
    /// That the base is held in memory.
    Hold {
        /// For so long without work.
        timeout: Duration,
    },
}

/// Who leads a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderKind {
    /// The worker of a process.
    ProcessWorker,
    /// A worker that holds a base.
    BaseWorker,
    /// A request that is being executed.
    Execution,
}

impl LeaderKind {
    /// The kind as the log and the API show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcessWorker => "process_worker",
            Self::BaseWorker => "base_worker",
            Self::Execution => "execution",
        }
    }
}

/// From a leader: it leads no more. Frees its name and tells those who wait.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct UnregisterNotify {
    /// The name that it held.
    pub group: GroupName,
    /// The name that it asked for in place of that one and holds if it was given.
    pub asked_for: Option<GroupName>,
    /// Which registration it was.
    pub incarnation: Incarnation,
    /// How it ended.
    pub ended: Ended,
}

/// How a leader ended.
#[derive(Debug)]
pub enum Ended {
    /// Its execution is over; whoever wants the same gets the same.
    Resolved {
        /// What it executed.
        key: GroupName,
        /// What came of it.
        answer: Result<Answer, RequestError>,
    },
    /// It has a base in memory: a worker takes that and the name over, and serves those who wait.
    Forked(Box<Fork>),
    /// It could not load the base, for this reason.
    Failed(RequestError),
    /// A process's worker in good order, with what it leaves.
    Exited(Remains<Reply>),
    /// A base worker in good order.
    Stopped,
    /// It died.
    Died {
        /// Whether a panic ended it.
        panicked: bool,
    },
}

impl Ended {
    /// How it ended, in a word or two.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Resolved { .. } => "resolved",
            Self::Forked(_) => "forked",
            Self::Failed(_) => "failed",
            Self::Exited(remains) => remains.reason.as_str(),
            Self::Stopped => "stopped",
            Self::Died { panicked: true } => "panic",
            Self::Died { panicked: false } => "dropped",
        }
    }
}

/// What a base worker is started with.
#[derive(Debug)]
pub struct Fork {
    /// The base, and the device that stands at it.
    pub trial: Trial,
    /// Whether the base stays as it is.
    pub is_static: bool,
    /// Idle time before the worker stops.
    pub timeout: Duration,
    /// The request that it is started for, where that is not answered yet.
    pub work: Option<ResolveOn>,
}

/// From a base worker: its base is another one now; give it that one's name.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Rename {
    /// The name that it holds.
    pub from: GroupName,
    /// Which registration it is.
    pub incarnation: Incarnation,
    /// The name that it is to hold.
    pub to: GroupName,
}

/// To a base worker: what came of its [`Rename`].
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Renamed {
    /// Whether it holds the new name now; if not, another worker with an equal base does.
    pub is_held: bool,
}

/// To a registry: who leads this group?
#[derive(Message, Debug)]
#[rtype(result = "Option<GroupStatus>")]
pub struct Lookup(pub GroupName);

/// To a registry: who leads which group?
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Vec<GroupStatus>")]
pub struct Members;

/// To a registry and from it to a base worker: end this base.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct DropBase {
    /// The base's group.
    pub group: GroupName,
    /// Where the answer goes.
    pub reply: Reply,
}

/// To a registry: why did the process's worker die last, if it did?
#[derive(Message, Debug)]
#[rtype(result = "Option<String>")]
pub struct CauseOfDeath(pub ProcessId);

/// To a registry: do you live?
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Ping;
