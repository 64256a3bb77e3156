//! The way in: whoever wants something of a process asks here, on whatever thread it runs.
//!
//! The hub sends each request straight to the registry of the process's shard, and asks again when a worker died on it.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::{Semaphore, oneshot};
use tracing::{debug, warn};

use super::environment::Environment;
use super::group_registry::GroupRegistry;
use super::messages::{Awaited, Ping, Reply, Resolve, Shutdown};
use crate::device::{DryRunError, Lane, dry_run};
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Answer, Base, Define, Request, Status};
use crate::process::{Computed, Draft, Outcome, RequestError};

/// The way in. Clones share everything.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    registries: Vec<Addr<GroupRegistry>>,
    environment: Arc<Environment>,
    resolve_attempts: u32,
    max_processes: u64,
    dry_runs: Semaphore,
}

/// What became of a message that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaiting {
    /// Its slot.
    pub slot: Slot,
    /// Its outcome, if it came in time.
    pub outcome: Option<Arc<Computed>>,
}

impl Awaiting {
    /// The message has its slot, whatever keeps the outcome away. Only a halt is told: it will keep it away.
    fn new(slot: Slot, outcome: Result<Arc<Computed>, RequestError>) -> Result<Self, RequestError> {
        match outcome {
            Ok(outcome) => Ok(Self { slot, outcome: Some(outcome) }),
            Err(error @ RequestError::Halted { .. }) => Err(error),
            Err(_) => Ok(Self { slot, outcome: None }),
        }
    }
}

impl Hub {
    /// A hub over one registry per arbiter.
    pub fn new(
        registries: Vec<Addr<GroupRegistry>>,
        environment: Arc<Environment>,
        resolve_attempts: u32,
        max_processes: u64,
    ) -> Self {
        let dry_runs = Semaphore::new(4 * registries.len().max(1));
        let resolve_attempts = resolve_attempts.max(1);
        Self(Arc::new(Inner { registries, environment, resolve_attempts, max_processes, dry_runs }))
    }

    /// What the node's workers share.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.0.environment
    }

    fn registry(&self, process: &ProcessId) -> &Addr<GroupRegistry> {
        &self.0.registries[usize::from(process.shard().0) % self.0.registries.len()]
    }

    fn send(&self, process: &ProcessId, make: impl FnOnce(Reply) -> Request<Reply>) -> Awaited {
        let (reply, awaited) = Reply::channel();
        self.registry(process).do_send(Resolve { process: process.clone(), request: make(reply) });
        awaited
    }

    /// Asks until a worker lives long enough to answer.
    async fn ask(
        &self,
        process: &ProcessId,
        mut make: impl FnMut(Reply) -> Request<Reply>,
    ) -> Result<Answer, RequestError> {
        for attempt in 1..=self.0.resolve_attempts {
            match self.send(process, &mut make).await {
                Ok(answer) => return answer,
                Err(oneshot::error::RecvError { .. }) => note_death(process, attempt),
            }
        }
        Err(self.died(process))
    }

    fn died(&self, process: &ProcessId) -> RequestError {
        let attempts = self.0.resolve_attempts;
        RequestError::Internal(format!(
            "the worker of process {process} died {attempts} times in a row before it answered (limit resolve_attempts); the log says why"
        ))
    }

    /// Makes the process what is asked for. Says whether it is new.
    pub async fn define(&self, process: &ProcessId, define: Define) -> Result<bool, RequestError> {
        let store = &self.0.environment.store;
        if store.process_count() >= self.0.max_processes
            && store.process(process).map_err(|error| RequestError::Store(error.to_string()))?.is_none()
        {
            let what = format!("there are {} processes already", self.0.max_processes);
            return Err(RequestError::Overloaded { key: "max_processes", what });
        }
        let answer = self.ask(process, |reply| Request::Define { define: Box::new(define.clone()), reply }).await?;
        match answer {
            Answer::Defined { created } => Ok(created),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives the message a slot. Returns once it is on disk.
    pub async fn schedule(&self, process: &ProcessId, draft: Draft) -> Result<Slot, RequestError> {
        let mut drafts = Drafts(draft);
        let answer = self
            .ask(process, |reply| Request::Schedule { draft: Box::new(drafts.next()), reply, outcome: None })
            .await?;
        slot_of(answer)
    }

    /// Gives the message a slot and waits for its outcome, for `wait` at most.
    pub async fn schedule_and_wait(
        &self,
        process: &ProcessId,
        draft: Draft,
        wait: Duration,
    ) -> Result<Awaiting, RequestError> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut drafts = Drafts(draft);
        for attempt in 1..=self.0.resolve_attempts {
            let (later, outcome) = Reply::channel();
            let draft = Box::new(drafts.next());
            let scheduled = self.send(process, |reply| Request::Schedule { draft, reply, outcome: Some(later) });
            // The outcome comes after the slot, so that most often this is the only thing waited for.
            let waited = tokio::time::timeout_at(deadline, outcome).await;
            let slot = match scheduled.await {
                Ok(answer) => slot_of(answer?)?,
                Err(oneshot::error::RecvError { .. }) => {
                    note_death(process, attempt);
                    continue;
                }
            };
            return match waited {
                Ok(Ok(answer)) => Awaiting::new(slot, answer.and_then(outcome_of)),
                Ok(Err(_)) => self.await_outcome(process, slot, deadline).await,
                Err(_) => Ok(Awaiting { slot, outcome: None }),
            };
        }
        Err(self.died(process))
    }

    async fn await_outcome(
        &self,
        process: &ProcessId,
        slot: Slot,
        deadline: tokio::time::Instant,
    ) -> Result<Awaiting, RequestError> {
        match tokio::time::timeout_at(deadline, self.compute(process, Some(slot))).await {
            Ok(outcome) => Awaiting::new(slot, outcome),
            Err(_) => Ok(Awaiting { slot, outcome: None }),
        }
    }

    /// The outcome of a slot, of the latest where none is named.
    pub async fn compute(&self, process: &ProcessId, slot: Option<Slot>) -> Result<Arc<Computed>, RequestError> {
        outcome_of(self.ask(process, |reply| Request::Compute { slot, reply }).await?)
    }

    /// The outcome of whichever slot is computed next.
    pub async fn await_any(&self, process: &ProcessId) -> Result<Arc<Computed>, RequestError> {
        outcome_of(self.ask(process, |reply| Request::AwaitAny { reply }).await?)
    }

    /// The latest state, readable.
    pub async fn state(&self, process: &ProcessId) -> Result<Arc<str>, RequestError> {
        match self.ask(process, |reply| Request::State { reply }).await? {
            Answer::State(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    /// Stores a snapshot of the latest state. Says of which slot.
    pub async fn snapshot(&self, process: &ProcessId) -> Result<Slot, RequestError> {
        at(self.ask(process, |reply| Request::Snapshot { reply }).await?)
    }

    /// Has the worker store a snapshot and stop.
    pub async fn stop_worker(&self, process: &ProcessId) -> Result<(), RequestError> {
        self.ask(process, |reply| Request::Stop { reply }).await.map(drop)
    }

    /// Lets a halted process go on. Says from which slot.
    pub async fn resume(&self, process: &ProcessId, skip: bool) -> Result<Slot, RequestError> {
        at(self.ask(process, |reply| Request::Resume { skip, reply }).await?)
    }

    /// Where the process stands.
    pub async fn status(&self, process: &ProcessId) -> Result<Status, RequestError> {
        match self.ask(process, |reply| Request::Status { reply }).await? {
            Answer::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns once every outcome that somebody may have seen can be read from the store.
    pub async fn settle(&self, process: &ProcessId) -> Result<(), RequestError> {
        self.ask(process, |reply| Request::Settle { reply }).await.map(drop)
    }

    /// Starts a worker for what waits in the process's log.
    pub async fn wake(&self, process: &ProcessId) -> Result<(), RequestError> {
        self.ask(process, |reply| Request::Wake { reply }).await.map(drop)
    }

    /// The outcome that the message would have against the latest state, and that state's slot.
    pub async fn dry_run(&self, process: &ProcessId, draft: Draft) -> Result<(Slot, Outcome), RequestError> {
        let base = match self.ask(process, |reply| Request::Base { reply }).await? {
            Answer::Base(base) => base,
            other => return Err(unexpected(&other)),
        };
        let closed = |_| RequestError::Internal("the node is stopping".to_owned());
        let _permit = self.0.dry_runs.acquire().await.map_err(closed)?;
        let slot = base.slot;
        self.dry_run_on(process, base, draft).await.map(|outcome| (slot, outcome))
    }

    async fn dry_run_on(&self, process: &ProcessId, base: Base, draft: Draft) -> Result<Outcome, RequestError> {
        let environment = self.0.environment.clone();
        let message = draft.at(process, environment.clock.now_ms());
        let (sender, receiver) = oneshot::channel();
        let (pool, process) = (environment.pool.clone(), process.clone());
        let job = move |_: &dyn crate::device::Seat| {
            let done = dry_run(environment.factory.as_ref(), &environment.store, &process, &base, message);
            let _ = sender.send(done);
        };
        pool.submit(Lane::Regular, Box::new(job));
        match receiver.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(DryRunError::NotSupported(text))) => Err(RequestError::NotSupported(text)),
            Ok(Err(DryRunError::Failed(text))) => Err(RequestError::Internal(text)),
            Err(_) => Err(RequestError::Internal("the dry run ended without an outcome".to_owned())),
        }
    }

    /// Whether every registry answers.
    pub async fn ping(&self) -> bool {
        let pings = self.0.registries.iter().map(|registry| registry.send(Ping));
        futures_util::future::join_all(pings).await.iter().all(Result::is_ok)
    }

    /// Stops every worker: what runs is interrupted, what is worth it is stored. Returns when all are gone.
    pub async fn shutdown(&self) {
        let stopping: Vec<_> = self.0.registries.iter().map(|registry| registry.send(Shutdown)).collect();
        for stopped in stopping {
            if let Err(error) = stopped.await {
                debug!(target: "node", event = "registry_gone", %error);
            }
        }
    }
}

/// The same message for each attempt; only for the first its id can be one that no log holds.
struct Drafts(Draft);

impl Drafts {
    fn next(&mut self) -> Draft {
        let draft = self.0.clone();
        self.0.is_new = false;
        draft
    }
}

fn note_death(process: &ProcessId, attempt: u32) {
    warn!(target: "group", event = "leader_died", %process, group = %process, attempt, reason = "it ended without an answer");
}

fn slot_of(answer: Answer) -> Result<Slot, RequestError> {
    match answer {
        Answer::Scheduled { slot } => Ok(slot),
        other => Err(unexpected(&other)),
    }
}

fn outcome_of(answer: Answer) -> Result<Arc<Computed>, RequestError> {
    match answer {
        Answer::Outcome(computed) => Ok(computed),
        other => Err(unexpected(&other)),
    }
}

fn at(answer: Answer) -> Result<Slot, RequestError> {
    match answer {
        Answer::At(slot) => Ok(slot),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> RequestError {
    RequestError::Internal(format!("a worker gave an answer of the wrong kind: {answer:?}"))
}
