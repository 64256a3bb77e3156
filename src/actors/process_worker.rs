//! The actor that owns one process in memory.
//!
//! *Owns* the [`Core`] that decides, the device's [`Runner`] while it is at home, one timer.
//! *Hears from* its registry (requests, `Evict`, `Shutdown`, `Farewell`), the store (`Claimed`, `Committed`), compute
//! threads (`TurnReturned`).
//! *Speaks to* its registry through recipients, the store, the pool, and whoever asked.
//! *Limits*: the queue and the sizes of the process's definition, the bounds of the core; requests that wait are bounded
//! where they enter the node.

mod account;
mod past;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt as _, Addr, AsyncContext, Context, Handler, Recipient, SpawnHandle, WrapFuture,
};
use tokio::time::Instant;
use tracing::debug;

use self::past::Past;
use super::depth::Depth;
use super::environment::Environment;
use super::messages::{
    Claimed, Committed, Delivered, Ended, Evict, Farewell, Handle, Reply, Resolve, Shutdown, Squeeze, TurnReturned,
};
use super::pusher::Push;
use super::registration::Registration;
use crate::clock::Millis;
use crate::device::crash::Call;
use crate::device::{Interrupt, Lane, Runner, WorkSign};
use crate::ids::{ProcessId, Slot};
use crate::metrics::{COUNTERS, GAUGES, Level, Meter};
use crate::process::worker::{
    Answer, Base, Core, Effect, Fault, Found, Request, SnapshotTaken, StopReason, TurnDone, TurnPlan,
};
use crate::process::{Claim, Definition, ProcessOrigin, Record, RequestError};
use crate::supervise::Pulse;

/// Where a worker's upward events go.
#[derive(Clone)]
pub struct Parent {
    /// Requests that came too late for it.
    pub resolve: Recipient<Resolve>,
    /// That memory is short.
    pub squeeze: Recipient<Squeeze>,
}

/// The actor that owns one process in memory.
pub struct ProcessWorker {
    environment: Arc<Environment>,
    process: ProcessId,
    registration: Registration,
    parent: Parent,
    depth: Arc<Depth>,
    core: Core<Reply>,
    runner: Option<Runner>,
    sign: WorkSign,
    interrupt: Interrupt,
    memory: u64,
    meter: Meter,
    _counted: Level,
    idle_since: Option<Instant>,
    timer: Option<SpawnHandle>,
    /// Ends the pause after a fault.
    retry: Option<SpawnHandle>,
}

impl ProcessWorker {
    /// A worker for `process`, which holds that name by `registration` and notes in `depth` how much waits at it.
    pub(super) fn new(
        environment: Arc<Environment>,
        process: ProcessId,
        registration: Registration,
        parent: Parent,
        depth: Arc<Depth>,
    ) -> Self {
        let core = Core::new(process.clone(), environment.options.clone());
        let (meter, counted) = (environment.meters.meter(&process), Level::new(&GAUGES.workers, 1));
        Self {
            environment,
            process,
            registration,
            parent,
            depth,
            core,
            runner: None,
            sign: WorkSign::default(),
            interrupt: Interrupt::default(),
            memory: 0,
            meter,
            _counted: counted,
            idle_since: None,
            timer: None,
            retry: None,
        }
    }

    /// What it answers to a ping. No work: nothing that it does or waits for changes by it.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse { at_work: self.sign.read() }
    }

    fn now(&self) -> Millis {
        self.environment.clock.now_ms()
    }
}

impl Actor for ProcessWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        COUNTERS.workers_started.inc();
        let address = ctx.address();
        self.environment.store.claim(&self.process, move |claim| address.do_send(Claimed(claim)));
    }
}

impl Drop for ProcessWorker {
    fn drop(&mut self) {
        self.environment.memory.change(self.memory, 0);
        self.environment.store.release(&self.process, self.core.epoch());
    }
}

impl Handler<Claimed> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, Claimed(claim): Claimed, ctx: &mut Self::Context) {
        let found = claim.and_then(|claim| self.look_around(claim));
        if let Some(newest) = found.iter().find_map(|found| found.snapshots.first()) {
            self.meter.set_snapshot(newest.size);
        }
        let (now, history) = (self.now(), Past::of(self));
        self.core.claimed(now, &history, found);
        self.carry_out(ctx);
    }
}

impl Handler<Handle> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, Handle(request): Handle, ctx: &mut Self::Context) {
        if let Request::Compute { slot, .. } = &request {
            debug!(target: "group", event = "awaiting_compute", process = %self.process, group = %self.registration.group(),
                worker = %self.process, slot = slot.map(|slot| slot.0));
        }
        if request.starts_worker() {
            self.idle_since = None;
        }
        let (now, history) = (self.now(), Past::of(self));
        self.core.request(now, &history, request);
        self.carry_out(ctx);
        if self.core.is_gone() {
            // Its name was not free yet, or this was on its way before it was.
            for request in self.core.take_deferred() {
                self.parent.resolve.do_send(Resolve { process: self.process.clone(), request });
            }
        }
    }
}

impl Handler<Committed> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, Committed(result): Committed, ctx: &mut Self::Context) {
        self.core.committed(result);
        self.carry_out(ctx);
    }
}

impl Handler<TurnReturned> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, TurnReturned { runner, done }: TurnReturned, ctx: &mut Self::Context) {
        let memory = runner.as_ref().map_or(0, Runner::memory);
        if self.environment.memory.change(self.memory, memory) {
            self.parent.squeeze.do_send(Squeeze);
        }
        self.memory = memory;
        if runner.is_none() {
            self.sign = WorkSign::default();
        }
        self.runner = runner;
        self.count(&done);
        self.core.turn_done(done);
        self.carry_out(ctx);
    }
}

impl Handler<Delivered> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, Delivered { items, .. }: Delivered, ctx: &mut Self::Context) {
        self.core.pushed(items);
        self.carry_out(ctx);
    }
}

impl Handler<Evict> for ProcessWorker {
    type Result = bool;

    fn handle(&mut self, _: Evict, ctx: &mut Self::Context) -> bool {
        self.core.stop(StopReason::Evicted);
        self.carry_out(ctx);
        self.core.is_leaving()
    }
}

impl Handler<Shutdown> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.core.stop(StopReason::Shutdown);
        self.carry_out(ctx);
        self.give_up_later(ctx);
    }
}

impl Handler<Farewell> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, _: Farewell, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl ProcessWorker {
    /// Reads what the core must know besides the claim.
    fn look_around(&self, claim: Claim) -> Result<Found, String> {
        let mut found = Found {
            claim,
            definition: None,
            wanted: None,
            in_force: Slot::ZERO,
            snapshots: Vec::new(),
            is_retired: false,
            outbox: 0,
            cron_cursor: None,
        };
        let Some(head) = &found.claim.head else { return Ok(found) };
        let store = &self.environment.store;
        let text = |error: crate::store::ReadError| error.to_string();
        let entry = store.entry(&self.process, head.definition).map_err(text)?;
        let entry = entry.ok_or_else(|| format!("slot {} of {} is missing", head.definition, self.process))?;
        let definition: Definition = serde_json::from_str(&entry.message.data)
            .map_err(|error| format!("slot {} of {} holds no definition: {error}", head.definition, self.process))?;
        found.wanted = Some(self.environment.resolve(&definition.specification));
        found.definition = Some(definition);
        found.snapshots = store.snapshots(&self.process).map_err(text)?;
        found.outbox = store.outbox_len(&self.process).map_err(text)?;
        found.cron_cursor = store.cron_cursor(&self.process).map_err(text)?;
        if let Some(slot) = head.computed {
            found.in_force =
                store.computed(&self.process, slot).map_err(text)?.map_or(Slot::ZERO, |last| last.definition);
        }
        let is_configured = self.environment.configured.load().contains(&self.process);
        found.is_retired = head.record.origin == ProcessOrigin::Config && !is_configured;
        Ok(found)
    }

    /// Does what the core decided, until it has nothing more to say.
    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out_one(effect, ctx);
            }
        }
        let (queue, waiters) = self.core.depth();
        self.depth.set(queue, waiters);
        self.meter.set_queue(queue);
        self.watch_idleness(ctx);
    }

    fn carry_out_one(&mut self, effect: Effect<Reply>, ctx: &mut Context<Self>) {
        match effect {
            Effect::Commit(commit) => {
                let address = ctx.address();
                self.environment.store.commit(commit, move |result| address.do_send(Committed(result)));
            }
            Effect::Answer(reply, answer) => reply.send(answer),
            Effect::AnswerStored(reply, slot) => reply.send(self.stored(slot)),
            Effect::Turn(plan) => self.send_away(plan, ctx.address()),
            Effect::Interrupt => {
                self.interrupt.raise();
                self.give_up_later(ctx);
            }
            Effect::WriteSnapshot(taken) => self.write_snapshot(taken, ctx),
            // The outbox keeps what is to be delivered.
            Effect::Push { through } => {
                if let Some(services) = self.environment.services.get() {
                    services.pusher(&self.process).do_send(Push { source: self.process.clone(), through });
                }
            }
            Effect::Forgive { slot } => self.environment.crashes.forget(&self.process, Call::Replay, slot),
            Effect::RetryAfter(wait) => {
                let retry = ctx.run_later(wait, |worker, ctx| {
                    worker.core.retry();
                    worker.carry_out(ctx);
                });
                // The pause before may have been cut short.
                if let Some(earlier) = self.retry.replace(retry) {
                    ctx.cancel_future(earlier);
                }
            }
            Effect::Note(note) => self.log(note),
            Effect::Gone(remains) => {
                // The next worker claims the process only after this.
                self.environment.store.release(&self.process, self.core.epoch());
                self.registration.end(Ended::Exited(remains));
            }
        }
    }

    /// A worker that stops waits for its device and its snapshot so long.
    fn give_up_later(&self, ctx: &mut Context<Self>) {
        ctx.run_later(self.environment.give_up_after, |worker, ctx| {
            worker.core.give_up();
            worker.carry_out(ctx);
        });
    }

    fn stored(&self, slot: Slot) -> Result<Answer, RequestError> {
        match self.environment.store.computed(&self.process, slot) {
            Ok(Some(computed)) => Ok(Answer::Outcome(Arc::new(computed))),
            Ok(None) => Err(RequestError::Internal(format!("the outcome of slot {slot} is missing in the store"))),
            Err(error) => Err(RequestError::Store(error.to_string())),
        }
    }

    /// Hands the device over to a compute thread. Whatever happens there, something comes back.
    fn send_away(&mut self, plan: TurnPlan, address: Addr<Self>) {
        let environment = &self.environment;
        let runner = self.runner.take().unwrap_or_else(|| {
            let log = Arc::new(environment.store.clone());
            Runner::new(self.process.clone(), environment.factory.clone(), log, self.interrupt.clone())
                .with_crashes(environment.crashes_of(self.core.device()))
        });
        self.sign = runner.sign().clone();
        let lane = Lane::of(self.core.device(), plan.is_slow);
        let turn = environment.pool.turn();
        let courier = Courier { address: Some(address), cargo: Some(runner) };
        let job = move |seat: &dyn crate::device::Seat| {
            let mut courier = courier;
            if let Some(mut runner) = courier.cargo.take() {
                let done = runner.turn(plan, turn, seat);
                courier.deliver(Some(runner), done);
            }
        };
        environment.pool.submit(lane, Box::new(job));
    }

    /// Everything about a great snapshot happens on a thread that may block: comparing, hashing, compressing, writing.
    fn write_snapshot(&self, SnapshotTaken { taken, before }: SnapshotTaken, ctx: &mut Context<Self>) {
        let (store, process) = (self.environment.store.clone(), self.process.clone());
        let Base { slot, definition, snapshot } = taken;
        let write = tokio::task::spawn_blocking(move || {
            match store.place_snapshot(&process, slot, definition, before.as_ref(), snapshot)? {
                Record::Snapshot(reference, None) => Ok(reference),
                _ => Err("the store took a snapshot in a file for a small one".to_owned()),
            }
        });
        let written = async move { write.await.unwrap_or_else(|error| Err(format!("writing ended early: {error}"))) };
        ctx.spawn(written.into_actor(self).map(|result, worker, ctx| {
            worker.core.snapshot_written(result);
            worker.carry_out(ctx);
        }));
    }

    /// Arms the one timer by which an idle worker stops.
    fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        if !self.core.is_idle() {
            self.idle_since = None;
            return;
        }
        if self.idle_since.is_none() {
            self.idle_since = Some(Instant::now());
            debug!(target: "worker", event = "waiting_for_req", process = %self.process, group = %self.registration.group());
        }
        if self.timer.is_none() {
            self.arm(self.environment.options.max_idle, ctx);
        }
    }

    fn arm(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        let fired = |worker: &mut Self, ctx: &mut Context<Self>| {
            worker.timer = None;
            let Some(since) = worker.idle_since else { return };
            let left = worker.environment.options.max_idle.saturating_sub(since.elapsed());
            if left.is_zero() {
                worker.core.stop(StopReason::Idle);
                worker.carry_out(ctx);
            } else {
                worker.arm(left, ctx);
            }
        };
        self.timer = Some(ctx.run_later(wait, fired));
    }
}

/// Brings the device home, or the news of its loss.
struct Courier {
    address: Option<Addr<ProcessWorker>>,
    cargo: Option<Runner>,
}

impl Courier {
    fn deliver(mut self, runner: Option<Runner>, done: TurnDone) {
        if let Some(address) = self.address.take() {
            address.do_send(TurnReturned { runner, done });
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        if let Some(address) = self.address.take() {
            let fault = Some(Fault { error: "the compute thread dropped the device".to_owned(), at: None });
            let done = TurnDone { is_lost: true, fault, ..TurnDone::default() };
            address.do_send(TurnReturned { runner: None, done });
        }
    }
}
