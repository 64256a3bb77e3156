//! The way in: whoever wants something of a process asks here, on whatever thread it runs.
//!
//! The hub sends each request straight to the registry of the process's shard, and asks again when a worker died on it. It
//! knows which groups wait for the request that it serves, and lets none of them wait for itself.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tracing::{debug, warn};

use super::environment::Environment;
use super::group_registry::GroupRegistry;
use super::messages::{Awaited, CauseOfDeath, Delivered, Ping, Reply, Resolve, Shutdown, Told};
use super::monitor_registry::WatchCron;
use crate::config::{AwaitInProgress, Config};
use crate::group::{Chain, WaitGuard, WaitTable, trials_of};
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::worker::{Answer, Define, Request, Status};
use crate::process::{Computed, DeviceKind, Draft, RequestError, StateView};

/// The way in, for requests that came through the groups of one chain. Clones share everything.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
    chain: Chain,
}

struct Inner {
    registries: Vec<Addr<GroupRegistry>>,
    environment: Arc<Environment>,
    options: HubOptions,
    waits: WaitTable,
}

/// How requests find those who serve them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubOptions {
    /// How often a request looks for another leader when leaders die. At least once.
    pub resolve_attempts: u32,
    /// The most processes of the node.
    pub max_processes: u64,
    /// Which equal reads and dry-runs share one execution.
    pub await_inprogress: AwaitInProgress,
    /// Whether a dry-run leaves a base worker behind.
    pub spawn_worker: bool,
    /// Whether a base stays as it is where nothing else is said.
    pub static_worker: bool,
    /// Whether a request may wait for a group that waits for it.
    pub allow_infinite: bool,
    /// Idle time of a base worker.
    pub worker_timeout: Duration,
}

impl HubOptions {
    /// What the configuration says.
    pub fn new(config: &Config) -> Self {
        let workers = &config.workers;
        Self {
            resolve_attempts: workers.resolve_attempts,
            max_processes: config.limits.max_processes,
            await_inprogress: workers.await_inprogress,
            spawn_worker: workers.spawn_worker,
            static_worker: workers.static_worker,
            allow_infinite: workers.allow_infinite,
            worker_timeout: workers.worker_timeout,
        }
    }
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
    pub fn new(registries: Vec<Addr<GroupRegistry>>, environment: Arc<Environment>, options: HubOptions) -> Self {
        Self::sharing(WaitTable::default(), registries, environment, options)
    }

    /// The same, where devices that ask others know in `waits` who waits for them.
    pub fn sharing(
        waits: WaitTable,
        registries: Vec<Addr<GroupRegistry>>,
        environment: Arc<Environment>,
        options: HubOptions,
    ) -> Self {
        let inner = Inner { registries, environment, options, waits };
        Self { inner: Arc::new(inner), chain: Chain::default() }
    }

    /// The same hub for requests that came through `chain`: each of its groups waits for what is asked of this hub.
    pub fn behind(&self, chain: Chain) -> Self {
        Self { inner: self.inner.clone(), chain }
    }

    /// What the node's workers share.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.inner.environment
    }

    pub(super) fn options(&self) -> &HubOptions {
        &self.inner.options
    }

    #[cfg(test)]
    pub(super) fn waits(&self) -> &WaitTable {
        &self.inner.waits
    }

    /// The groups that must not be waited for. `None`: any may be.
    pub(super) fn forbidden(&self) -> Option<Chain> {
        (!self.inner.options.allow_infinite).then(|| self.chain.clone())
    }

    /// Whether the request came through `group`.
    pub(super) fn is_behind(&self, group: &GroupName) -> bool {
        self.chain.contains(group)
    }

    /// From now on, until the guard is dropped, the groups of the chain wait for `group`; refused where one of them would
    /// wait for itself by that.
    pub(super) fn enter(&self, group: &GroupName) -> Result<Option<WaitGuard>, RequestError> {
        if self.inner.options.allow_infinite {
            return Ok(None);
        }
        let entered = self.inner.waits.enter(&self.chain, group);
        entered.map(Some).map_err(|_| RequestError::InfiniteRecursion { group: group.clone() })
    }

    /// As [`Hub::enter`] for the log of `process`, unless the slot (the latest where none is named) is computed already.
    async fn enter_log(&self, process: &ProcessId, slot: Option<Slot>) -> Result<Option<WaitGuard>, RequestError> {
        if self.chain.is_empty() {
            return Ok(None);
        }
        let status = self.status(process).await?;
        let is_there = status.computed >= Some(slot.unwrap_or(status.scheduled));
        if is_there { Ok(None) } else { self.enter(&GroupName::of_process(process)) }
    }

    /// As [`Hub::enter`] for what another node answers about `process` without its log.
    pub(super) async fn enter_trials(&self, process: &ProcessId) -> Result<Option<WaitGuard>, RequestError> {
        if self.chain.is_empty() || self.status(process).await?.device != DeviceKind::Remote {
            return Ok(None);
        }
        self.enter(&trials_of(process))
    }

    pub(super) fn registries(&self) -> &[Addr<GroupRegistry>] {
        &self.inner.registries
    }

    pub(super) fn registry(&self, process: &ProcessId) -> &Addr<GroupRegistry> {
        &self.inner.registries[usize::from(process.shard().0) % self.inner.registries.len()]
    }

    fn send(&self, process: &ProcessId, make: impl FnOnce(Reply) -> Request<Reply>) -> Awaited {
        let (reply, awaited) = Reply::channel();
        self.registry(process).do_send(Resolve { process: process.clone(), request: make(reply) });
        awaited
    }

    /// Asks until a worker lives long enough to answer.
    pub(super) async fn ask(
        &self,
        process: &ProcessId,
        mut make: impl FnMut(Reply) -> Request<Reply>,
    ) -> Result<Answer, RequestError> {
        let mut attempt = 0;
        while attempt < self.attempts() {
            match self.send(process, &mut make).hear().await {
                Told::Answer(answer) => return answer,
                Told::Again => {}
                Told::LeaderDied(reason) => {
                    attempt += 1;
                    note_death(process, attempt, &reason);
                }
            }
        }
        Err(self.died(process).await)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.inner.options.resolve_attempts.max(1)
    }

    /// What somebody is told on whom worker after worker died: why the last one did, as far as the registry knows.
    async fn died(&self, process: &ProcessId) -> RequestError {
        let cause = self.registry(process).send(CauseOfDeath(process.clone())).await;
        let cause = cause.ok().flatten().unwrap_or_else(|| "it ended without an answer".to_owned());
        died_often(GroupName::of_process(process), self.attempts(), &cause)
    }

    /// Makes the process what is asked for. Says whether it is new.
    pub async fn define(&self, process: &ProcessId, define: Define) -> Result<bool, RequestError> {
        let store = &self.environment().store;
        let most = self.inner.options.max_processes;
        if store.process_count() >= most
            && store.process(process).map_err(|error| RequestError::Store(error.to_string()))?.is_none()
        {
            let what = format!("there are {most} processes already");
            return Err(RequestError::Overloaded { key: "max_processes", what });
        }
        let answer = self.ask(process, |reply| Request::Define { define: Box::new(define.clone()), reply }).await?;
        if !define.definition.specification.cron.is_empty() {
            self.watch_cron(process);
        }
        match answer {
            Answer::Defined { created } => Ok(created),
            other => Err(unexpected(&other)),
        }
    }

    /// Has a monitor started for the cron entries of `process`, unless it has one.
    pub(super) fn watch_cron(&self, process: &ProcessId) {
        if let Some(services) = self.environment().services.get() {
            services.monitors(process).do_send(WatchCron(process.clone()));
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

    /// Gives the message a slot, unless its mark or id says that it has had one. Returns the slot, if it is known, once it is
    /// on disk.
    /// The id of `draft` is one that a log can hold.
    pub async fn deliver(&self, process: &ProcessId, draft: &Draft) -> Result<Option<Slot>, RequestError> {
        let schedule = |reply| Request::Schedule { draft: Box::new(draft.clone()), reply, outcome: None };
        match self.ask(process, schedule).await? {
            Answer::Scheduled { slot } => Ok(Some(slot)),
            Answer::Known => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    /// Tells a process's worker, if it has one, that items of its outbox were delivered.
    pub(super) fn tell_delivered(&self, delivered: Delivered) {
        self.registry(&delivered.process).do_send(delivered);
    }

    /// Gives the message a slot and waits for its outcome, for `wait` at most.
    pub async fn schedule_and_wait(
        &self,
        process: &ProcessId,
        draft: Draft,
        wait: Duration,
    ) -> Result<Awaiting, RequestError> {
        let deadline = tokio::time::Instant::now() + wait;
        // Before the message has a slot: one that waits for itself must leave no trace.
        let _wait = self.enter(&GroupName::of_process(process))?;
        let mut drafts = Drafts(draft);
        let mut attempt = 0;
        while attempt < self.attempts() {
            let (later, outcome) = Reply::channel();
            let draft = Box::new(drafts.next());
            let scheduled = self.send(process, |reply| Request::Schedule { draft, reply, outcome: Some(later) });
            // The outcome comes after the slot, so that most often this is the only thing waited for.
            let waited = tokio::time::timeout_at(deadline, outcome.hear()).await;
            let slot = match scheduled.hear().await {
                Told::Answer(answer) => slot_of(answer?)?,
                Told::Again => continue,
                Told::LeaderDied(reason) => {
                    attempt += 1;
                    note_death(process, attempt, &reason);
                    continue;
                }
            };
            return match waited {
                Ok(Told::Answer(answer)) => Awaiting::new(slot, answer.and_then(outcome_of)),
                Ok(Told::Again | Told::LeaderDied(_)) => self.await_outcome(process, slot, deadline).await,
                Err(_) => Ok(Awaiting { slot, outcome: None }),
            };
        }
        Err(self.died(process).await)
    }

    async fn await_outcome(
        &self,
        process: &ProcessId,
        slot: Slot,
        deadline: tokio::time::Instant,
    ) -> Result<Awaiting, RequestError> {
        let outcome = self.ask(process, |reply| Request::Compute { slot: Some(slot), reply });
        match tokio::time::timeout_at(deadline, outcome).await {
            Ok(outcome) => Awaiting::new(slot, outcome.and_then(outcome_of)),
            Err(_) => Ok(Awaiting { slot, outcome: None }),
        }
    }

    /// The outcome of a slot, of the latest where none is named.
    pub async fn compute(&self, process: &ProcessId, slot: Option<Slot>) -> Result<Arc<Computed>, RequestError> {
        let _wait = self.enter_log(process, slot).await?;
        if self.environment().options.process_workers {
            return outcome_of(self.ask(process, |reply| Request::Compute { slot, reply }).await?);
        }
        outcome_of(self.compute_in_group(process, slot).await?)
    }

    /// The outcome of whichever slot is computed next.
    pub async fn await_any(&self, process: &ProcessId) -> Result<Arc<Computed>, RequestError> {
        let _wait = self.enter(&GroupName::of_process(process))?;
        outcome_of(self.ask(process, |reply| Request::AwaitAny { reply }).await?)
    }

    /// The latest state, readable.
    pub async fn state(&self, process: &ProcessId) -> Result<StateView, RequestError> {
        let _wait = self.enter_log(process, None).await?;
        let _outward = self.enter_trials(process).await?;
        match self.read_state(process).await? {
            Answer::State(state) => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    /// Stores a snapshot of the latest state. Says of which slot.
    pub async fn snapshot(&self, process: &ProcessId) -> Result<Slot, RequestError> {
        let _wait = self.enter(&GroupName::of_process(process))?;
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

    /// Whether every registry answers.
    pub async fn ping(&self) -> bool {
        let pings = self.inner.registries.iter().map(|registry| registry.send(Ping));
        futures_util::future::join_all(pings).await.iter().all(Result::is_ok)
    }

    /// Stops every worker: what runs is interrupted, what is worth it is stored, what does not come back is given up. Returns
    /// when all are gone.
    pub async fn shutdown(&self) {
        let environment = self.environment();
        if let Some(services) = environment.services.get() {
            services.stop();
        }
        environment.trials.interrupt.raise();
        environment.trials.verifications.end();
        let stopping = futures_util::future::join_all(self.inner.registries.iter().map(|each| each.send(Shutdown)));
        tokio::pin!(stopping);
        let stopped = match tokio::time::timeout(environment.give_up_after, &mut stopping).await {
            Ok(stopped) => stopped,
            Err(_) => {
                environment.trials.give_up();
                stopping.await
            }
        };
        for error in stopped.into_iter().filter_map(Result::err) {
            debug!(target: "node", event = "registry_gone", %error);
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

fn note_death(process: &ProcessId, attempt: u32, reason: &str) {
    warn!(target: "group", event = "resolving_again", %process, group = %process, attempt, reason);
}

/// What somebody is told on whom leader after leader died.
pub(super) fn died_often(group: GroupName, attempts: u32, reason: &str) -> RequestError {
    let reason =
        format!("{attempts} in a row before there was an answer (limit resolve_attempts), the last one: {reason}");
    RequestError::LeaderDied { group, reason }
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

pub(super) fn unexpected(answer: &Answer) -> RequestError {
    RequestError::Internal(format!("a worker gave an answer of the wrong kind: {answer:?}"))
}
