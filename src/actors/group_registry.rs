//! The actor that knows who leads which group in its part of the shards.
//!
//! *Owns* the [`Registrations`] of its workers, the requests that wait for a place.
//! *Hears from* the hub (`Resolve`, `Shutdown`) and its workers (`WorkerExited`, `WorkerDropped`, `Squeeze`, `Resolve`).
//! *Speaks to* its workers.
//! *Limits*: `workers_max` resident workers, [`WAITING_MAX`] requests that wait for a place among them, `total_memory`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::environment::Environment;
use super::messages::{Evict, Farewell, Handle, Ping, Reply, Resolve, Shutdown, Squeeze, WorkerDropped, WorkerExited};
use super::process_worker::{Parent, ProcessWorker};
use crate::group::Registrations;
use crate::ids::{GroupName, ProcessId};
use crate::metrics::COUNTERS;
use crate::process::RequestError;
use crate::process::worker::{Activity, Answer, Request, Status, StopReason, queued};
use crate::supervise::Backoff;

/// Requests that wait for a place among the resident workers.
const WAITING_MAX: usize = 4096;
/// So many workers are asked to go, one after the other, before others have their say.
const EVICTIONS: usize = 32;
/// While places or memory are wanted, workers are asked again after this time.
const EVICT_AGAIN: Duration = Duration::from_millis(10);

/// The actor that knows who leads which group in its part of the shards.
pub struct GroupRegistry {
    environment: Arc<Environment>,
    pub(super) workers: Registrations<Addr<ProcessWorker>>,
    /// Requests that wait for a worker to go.
    waiting: VecDeque<Resolve>,
    /// Whether workers are being asked to go.
    is_evicting: bool,
    /// Workers that said that they go and have not gone yet.
    leaving: HashSet<GroupName>,
    /// Processes whose worker died, and when to start the next.
    restarts: HashMap<ProcessId, Backoff>,
    /// Who is told when the last worker is gone, once the node stops.
    on_empty: Option<Vec<oneshot::Sender<()>>>,
}

impl GroupRegistry {
    /// A registry without workers.
    pub fn new(environment: Arc<Environment>) -> Self {
        Self {
            environment,
            workers: Registrations::default(),
            waiting: VecDeque::new(),
            is_evicting: false,
            leaving: HashSet::new(),
            restarts: HashMap::new(),
            on_empty: None,
        }
    }
}

impl Actor for GroupRegistry {
    type Context = Context<Self>;
}

impl Handler<Resolve> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, resolve: Resolve, ctx: &mut Self::Context) {
        let group = GroupName::of_process(&resolve.process);
        if let Some(leader) = self.workers.find(&group) {
            // A request keeps one that was about to go.
            self.leaving.remove(&group);
            debug!(target: "group", event = "found_leader", process = %resolve.process, %group);
            return leader.do_send(Handle(resolve.request));
        }
        if self.on_empty.is_some() {
            return resolve.request.into_reply().send(Err(node_stops()));
        }
        if !resolve.request.starts_worker() {
            return self.answer_without_worker(resolve);
        }
        if let Err(error) = self.may_exist(&resolve) {
            return resolve.request.into_reply().send(Err(error));
        }
        if self.workers.len() < self.environment.workers_max {
            return self.start_worker(resolve, ctx);
        }
        if self.waiting.len() >= WAITING_MAX {
            COUNTERS.requests_refused.inc();
            let what = "every resident worker is busy and too many requests wait for a place".to_owned();
            return resolve.request.into_reply().send(Err(RequestError::Overloaded { key: "workers_max", what }));
        }
        self.waiting.push_back(resolve);
        self.evict(ctx);
    }
}

impl Handler<WorkerExited> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, exited: WorkerExited, ctx: &mut Self::Context) {
        let WorkerExited { group, incarnation, remains } = exited;
        let Some(worker) = self.workers.unregister(&group, incarnation) else { return };
        self.leaving.remove(&group);
        debug!(target: "group", event = "unregister_resolver", %group, reason = remains.reason.as_str());
        worker.do_send(Farewell);
        let Ok(process) = ProcessId::parse(group.as_str()) else { return };
        let is_woken = remains.requests.iter().any(Request::starts_worker);
        let is_over = matches!(remains.reason, StopReason::Shutdown | StopReason::Store(_) | StopReason::Absent);
        if remains.pending && !is_woken && !is_over {
            self.wake(&process, ctx);
        }
        let has_failed = matches!(remains.reason, StopReason::Store(_));
        match self.restarts.get_mut(&process).filter(|_| has_failed) {
            // Twice in a row: the next worker may meet the same store, so it is not started at once.
            Some(backoff) => {
                ctx.run_later(backoff.wait(), move |_, ctx| hand_on(&process, remains.requests, ctx));
            }
            None => {
                if has_failed {
                    self.restarts.insert(process.clone(), Backoff::for_restarts());
                } else {
                    self.restarts.remove(&process);
                }
                hand_on(&process, remains.requests, ctx);
            }
        }
        self.fill_places(ctx);
    }
}

impl Handler<WorkerDropped> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, dropped: WorkerDropped, ctx: &mut Self::Context) {
        let WorkerDropped { group, incarnation, panicked } = dropped;
        // One that exited in good order is known to be gone.
        if self.workers.unregister(&group, incarnation).is_none() {
            return;
        }
        self.leaving.remove(&group);
        COUNTERS.workers_died.inc();
        let reason = if panicked { "panic" } else { "dropped" };
        warn!(target: "group", event = "leader_died", %group, reason);
        if let Ok(process) = ProcessId::parse(group.as_str())
            && self.on_empty.is_none()
        {
            let backoff = self.restarts.entry(process.clone()).or_insert_with(Backoff::for_restarts);
            ctx.run_later(backoff.wait(), move |registry, ctx| registry.wake(&process, ctx));
        }
        self.fill_places(ctx);
    }
}

impl Handler<Squeeze> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, _: Squeeze, ctx: &mut Self::Context) {
        self.evict(ctx);
    }
}

impl Handler<Ping> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

impl Handler<Shutdown> for GroupRegistry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) -> Self::Result {
        for resolve in self.waiting.drain(..) {
            resolve.request.into_reply().send(Err(node_stops()));
        }
        for (_, worker) in self.workers.oldest_first() {
            worker.do_send(Shutdown);
        }
        let (sender, receiver) = oneshot::channel();
        let listeners = self.on_empty.get_or_insert_default();
        if !self.workers.is_empty() {
            listeners.push(sender);
        }
        Box::pin(async move { drop(receiver.await) })
    }
}

impl GroupRegistry {
    /// Starts a worker and registers it, in one step.
    fn start_worker(&mut self, resolve: Resolve, ctx: &mut Context<Self>) {
        let Resolve { process, request } = resolve;
        let group = GroupName::of_process(&process);
        info!(target: "group", event = "starting_worker", %process, %group);
        let address = ctx.address();
        let environment = self.environment.clone();
        let made = self.workers.register(group.clone(), |incarnation| {
            let parent = Parent {
                resolve: address.clone().recipient(),
                exited: address.clone().recipient(),
                dropped: address.clone().recipient(),
                squeeze: address.recipient(),
            };
            ProcessWorker::new(environment, process.clone(), incarnation, parent).start()
        });
        match made {
            Ok(worker) => {
                debug!(target: "group", event = "register_resolver", %process, %group);
                worker.do_send(Handle(request));
                let waiting = std::mem::take(&mut self.waiting);
                let (same, others): (VecDeque<_>, _) =
                    waiting.into_iter().partition(|resolve| resolve.process == process);
                self.waiting = others;
                for resolve in same {
                    worker.do_send(Handle(resolve.request));
                }
            }
            Err(held) => request.into_reply().send(Err(RequestError::Internal(format!("group {group}: {held}")))),
        }
    }

    /// A worker is started for a process that exists or is about to.
    fn may_exist(&self, resolve: &Resolve) -> Result<(), RequestError> {
        if matches!(resolve.request, Request::Define { .. }) {
            return Ok(());
        }
        match self.environment.store.process(&resolve.process) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(RequestError::no_process(&resolve.process)),
            Err(error) => Err(RequestError::Store(error.to_string())),
        }
    }

    fn answer_without_worker(&self, resolve: Resolve) {
        let Resolve { process, request } = resolve;
        let answer = match &request {
            Request::Status { .. } => self.stored_status(&process).map(Answer::Status),
            Request::Stop { .. } => Err(RequestError::NotFound(format!("process {process} has no worker at present"))),
            _ => Ok(Answer::Done),
        };
        request.into_reply().send(answer);
    }

    fn stored_status(&self, process: &ProcessId) -> Result<Status, RequestError> {
        let head = self.environment.store.head(process).map_err(|error| RequestError::Store(error.to_string()))?;
        let head = head.ok_or_else(|| RequestError::no_process(process))?;
        let halted = head.halted.filter(|halt| halt.resumed.is_none());
        Ok(Status {
            origin: head.record.origin,
            device: head.record.device,
            definition: head.definition,
            scheduled: head.scheduled,
            computed: head.computed,
            snapshot: head.snapshot.map(|snapshot| snapshot.slot),
            activity: if halted.is_some() { Activity::Halted } else { Activity::Idle },
            queue: queued(Some(head.scheduled), head.computed),
            error: halted.map(|halt| halt.error),
        })
    }

    /// Has a worker started for what waits in the process's log.
    fn wake(&mut self, process: &ProcessId, ctx: &mut Context<Self>) {
        let (reply, _) = Reply::channel();
        ctx.address().do_send(Resolve { process: process.clone(), request: Request::Wake { reply } });
    }

    /// Free places go to those who waited longest.
    fn fill_places(&mut self, ctx: &mut Context<Self>) {
        while self.workers.len() < self.environment.workers_max
            && let Some(resolve) = self.waiting.pop_front()
        {
            self.handle(resolve, ctx);
        }
        if let Some(listeners) = &mut self.on_empty
            && self.workers.is_empty()
        {
            for listener in listeners.drain(..) {
                let _ = listener.send(());
            }
        }
    }

    /// How many workers should go: for requests that wait for their places, or to free memory.
    fn wanted(&self) -> usize {
        self.waiting.len().max(usize::from(self.environment.memory.is_exceeded()))
    }

    /// Asks workers to go, the one that was left alone longest first, until as many as are wanted do. Looks again as long
    /// as some are wanted.
    fn evict(&mut self, ctx: &mut Context<Self>) {
        if self.is_evicting {
            return;
        }
        // Those who said before that they go may have found work since, and are asked again.
        let asked_before = std::mem::take(&mut self.leaving);
        let wanted = self.wanted();
        if wanted == 0 {
            return;
        }
        self.is_evicting = true;
        let others = self.workers.oldest_first().filter(|(group, _)| !asked_before.contains(group));
        let others = others.take(EVICTIONS).map(|(group, worker)| (group.clone(), worker.clone()));
        let before = asked_before.iter().filter_map(|group| Some((group.clone(), self.workers.peek(group)?.clone())));
        let asked: Vec<_> = before.chain(others).collect();
        let asking = async move {
            let (mut leaving, mut busy) = (HashSet::new(), Vec::new());
            for (group, worker) in asked {
                if leaving.len() == wanted {
                    break;
                }
                match worker.send(Evict).await {
                    Ok(true) => drop(leaving.insert(group)),
                    Ok(false) => busy.push(group),
                    // It is gone already.
                    Err(_) => {}
                }
            }
            (leaving, busy)
        };
        let answered = asking.into_actor(self).map(|(leaving, busy), registry, ctx| {
            registry.leaving = leaving;
            for group in busy {
                // It is in use, so that others are asked before it the next time.
                registry.workers.find(&group);
            }
            ctx.run_later(EVICT_AGAIN, |registry, ctx| {
                registry.is_evicting = false;
                registry.evict(ctx);
            });
        });
        ctx.spawn(answered);
    }
}

/// What a worker left unanswered goes to the next.
fn hand_on(process: &ProcessId, requests: Vec<Request<Reply>>, ctx: &mut Context<GroupRegistry>) {
    for request in requests {
        ctx.address().do_send(Resolve { process: process.clone(), request });
    }
}

fn node_stops() -> RequestError {
    RequestError::Overloaded { key: "shutdown_grace", what: "the node is stopping".to_owned() }
}
