//! Workers of processes: started for requests, started again when they died.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor as _, AsyncContext as _, Context, Handler};
use tracing::{debug, info};

use super::places::WAITING_MAX;
use super::{GroupRegistry, Leader, Member};
use crate::actors::depth::Depth;
use crate::actors::messages::{Delivered, Farewell, Handle, Reply, Resolve};
use crate::actors::process_worker::{Parent, ProcessWorker};
use crate::actors::registration::Registration;
use crate::ids::{GroupName, ProcessId};
use crate::metrics::COUNTERS;
use crate::process::RequestError;
use crate::process::worker::{Activity, Answer, Remains, Request, Status, StopReason, queued};
use crate::supervise::Backoff;

/// A process whose worker died or lost its store.
pub(super) struct Restart {
    /// When to start the next.
    pub(super) backoff: Backoff,
    /// Why the last one ended.
    pub(super) reason: String,
}

impl Handler<Resolve> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, resolve: Resolve, ctx: &mut Self::Context) {
        let group = GroupName::of_process(&resolve.process);
        if let Some(Leader::Process(leader)) = self.members.find(&group).map(|member| &member.leader) {
            // A request keeps one that was about to go.
            self.leaving.remove(&group);
            debug!(target: "group", event = "found_leader", process = %resolve.process, %group);
            return leader.do_send(Handle(resolve.request));
        }
        if self.is_stopping() {
            return resolve.request.into_reply().send(Err(RequestError::node_stops()));
        }
        if !resolve.request.starts_worker() {
            return self.answer_without_worker(resolve);
        }
        if let Err(error) = self.may_exist(&resolve) {
            return resolve.request.into_reply().send(Err(error));
        }
        if self.resident < self.environment.workers_max {
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

impl Handler<Delivered> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, delivered: Delivered, _: &mut Self::Context) {
        let group = GroupName::of_process(&delivered.process);
        // Without a worker there is nobody to wait for room.
        if let Some(Leader::Process(worker)) = self.members.peek(&group).map(|member| &member.leader) {
            worker.do_send(delivered);
        }
    }
}

impl GroupRegistry {
    /// A worker ended in good order: what it leaves goes to the next.
    pub(super) fn process_exited(
        &mut self,
        group: &GroupName,
        member: &Member,
        remains: Remains<Reply>,
        ctx: &mut Context<Self>,
    ) {
        let Leader::Process(worker) = &member.leader else { return };
        worker.do_send(Farewell);
        let process = group.process();
        let is_woken = remains.requests.iter().any(Request::starts_worker);
        let is_over = matches!(remains.reason, StopReason::Shutdown | StopReason::Store(_) | StopReason::Absent);
        if remains.pending && !is_woken && !is_over {
            self.wake(&process, ctx);
        }
        let StopReason::Store(error) = remains.reason else {
            self.restarts.remove(&process);
            return hand_on(&process, remains.requests, ctx);
        };
        match self.restarts.get_mut(&process) {
            // Twice in a row: the next worker may meet the same store, so it is not started at once.
            Some(restart) => {
                ctx.run_later(restart.backoff.wait(), move |_, ctx| hand_on(&process, remains.requests, ctx));
            }
            None => {
                self.restarts.insert(process.clone(), Restart { backoff: Backoff::for_restarts(), reason: error });
                hand_on(&process, remains.requests, ctx);
            }
        }
    }

    /// A worker died: the next one takes up what waits in the log, after a while.
    pub(super) fn process_died(&mut self, process: ProcessId, reason: &str, ctx: &mut Context<Self>) {
        COUNTERS.workers_died.inc();
        if self.is_stopping() {
            return;
        }
        let restart = self
            .restarts
            .entry(process.clone())
            .or_insert_with(|| Restart { backoff: Backoff::for_restarts(), reason: String::new() });
        reason.clone_into(&mut restart.reason);
        ctx.run_later(restart.backoff.wait(), move |registry, ctx| registry.wake(&process, ctx));
    }

    /// Starts a worker and registers it, in one step.
    fn start_worker(&mut self, resolve: Resolve, ctx: &mut Context<Self>) {
        let Resolve { process, request } = resolve;
        let group = GroupName::of_process(&process);
        info!(target: "group", event = "starting_worker", %process, %group);
        let (environment, registry) = (self.environment.clone(), ctx.address());
        let taken = self.members.register(group.clone(), |incarnation| {
            let registration = Registration::new(group.clone(), incarnation, registry.clone().recipient());
            let parent = Parent { resolve: registry.clone().recipient(), squeeze: registry.recipient() };
            let depth: Arc<Depth> = Arc::default();
            let worker = ProcessWorker::new(environment, process.clone(), registration, parent, depth.clone());
            Member::new(Leader::Process(worker.start()), depth)
        });
        let Ok(Member { leader: Leader::Process(worker), .. }) = taken else {
            let held = RequestError::Internal(format!("the name {group} is held by somebody else"));
            return request.into_reply().send(Err(held));
        };
        let worker = worker.clone();
        self.resident += 1;
        debug!(target: "group", event = "register_resolver", %process, %group);
        worker.do_send(Handle(request));
        let waiting = std::mem::take(&mut self.waiting);
        let (same, others): (VecDeque<_>, _) = waiting.into_iter().partition(|resolve| resolve.process == process);
        self.waiting = others;
        for resolve in same {
            worker.do_send(Handle(resolve.request));
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
}

/// What a worker left unanswered goes to the next.
fn hand_on(process: &ProcessId, requests: Vec<Request<Reply>>, ctx: &mut Context<GroupRegistry>) {
    for request in requests {
        ctx.address().do_send(Resolve { process: process.clone(), request });
    }
}
