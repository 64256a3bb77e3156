//! The actor that holds one base in memory.
//!
//! *Owns* the [`BaseLine`] that decides whose turn it is, the [`Trial`] that stands at the base while it is at home, one timer.
//! *Hears from* its registry (`ResolveOn`, `DropBase`, `Renamed`, `Evict`, `Shutdown`, `Farewell`) and compute threads
//! (`TrialReturned`).
//! *Speaks to* its registry, the compute threads, and whoever asked.
//! *Limits*: the process's `queue` for requests that wait, its other limits for each of them, `worker_timeout` without work.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::environment::Environment;
use super::group_registry::{Depth, GroupRegistry};
use super::messages::{
    BaseRequest, DropBase, Ended, Evict, Farewell, Rename, Renamed, Reply, ResolveOn, Shutdown, Squeeze, Told,
};
use super::registration::Registration;
use super::trials::{lost, refused_trial};
use crate::device::{BaseState, Lane, Trial, Tried};
use crate::group::base_line::{BaseLine, Effect, EndReason, LineOptions, Note, Ran, Stop, Wanted};
use crate::group::{BaseName, Grouper, Held, StateName};
use crate::ids::{GroupName, Slot};
use crate::metrics::COUNTERS;
use crate::process::worker::Answer;
use crate::process::{Draft, ErrorStrategy, Outcome, RequestError};

type Line = BaseLine<Box<Draft>, Reply, (Slot, Arc<Outcome>)>;
type LineEffect = Effect<Box<Draft>, Reply, (Slot, Arc<Outcome>)>;

/// The actor that holds one base in memory.
pub struct BaseWorker {
    environment: Arc<Environment>,
    registration: Registration,
    registry: Addr<GroupRegistry>,
    depth: Arc<Depth>,
    line: Line,
    /// `None` while it is away, and after it was lost.
    trial: Option<Trial>,
    base: Arc<BaseState>,
    is_slow: bool,
    timeout: Duration,
    memory: u64,
    /// Since when there is nothing to do; `None` while there is.
    idle_since: Option<Instant>,
    timer: Option<SpawnHandle>,
}

/// To a base worker, by a compute thread: its device, and what it brings.
#[derive(Message)]
#[rtype(result = "()")]
struct TrialReturned {
    trial: Option<Trial>,
    tried: Result<Tried, RequestError>,
    is_slow: bool,
}

/// The name of the base that stays at `state`, or moves on with each result (`is_line`).
pub(super) fn name_of(state: &BaseState, is_line: bool) -> GroupName {
    let name = StateName::After { definition: state.definition_hash, slot: state.slot, state: state.state_hash() };
    let base = BaseName { process: state.process.clone(), state: name, is_line };
    Grouper::Default.group(&base, None, false)
}

impl BaseWorker {
    /// A worker for the base at which `trial` stands. It holds the base's name by `registration`, notes in `depth` how much
    /// waits at it, and ends after `timeout` without work.
    pub(super) fn new(
        environment: Arc<Environment>,
        registration: Registration,
        registry: Addr<GroupRegistry>,
        depth: Arc<Depth>,
        (trial, is_static, timeout): (Trial, bool, Duration),
    ) -> Self {
        let base = trial.base().clone();
        let options = LineOptions {
            is_static,
            halts_on_error: base.definition.error_strategy == ErrorStrategy::Throw,
            queue_max: usize::try_from(base.definition.limits.queue).unwrap_or(usize::MAX),
        };
        Self {
            line: BaseLine::new(registration.group().clone(), options),
            environment,
            registration,
            registry,
            depth,
            trial: Some(trial),
            base,
            is_slow: false,
            timeout,
            memory: 0,
            idle_since: None,
            timer: None,
        }
    }
}

impl Actor for BaseWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        COUNTERS.workers_started.inc();
        self.weigh();
        self.carry_out(ctx);
    }
}

impl Drop for BaseWorker {
    fn drop(&mut self) {
        self.environment.memory.change(self.memory, 0);
    }
}

impl Handler<ResolveOn> for BaseWorker {
    type Result = ();

    fn handle(&mut self, work: ResolveOn, ctx: &mut Self::Context) {
        let ResolveOn { group, wanted, reply, .. } = work;
        match wanted {
            BaseRequest::Resolve { draft, is_trial } => {
                debug!(target: "group", event = "awaiting_compute", process = %group.process(), %group,
                    worker = %self.registration.group());
                self.line.request(Wanted { group, message: draft, is_trial, reply });
            }
            BaseRequest::Hold { .. } if self.line.is_gone() => reply.tell(Told::Again),
            BaseRequest::Hold { timeout } => {
                self.timeout = timeout;
                self.idle_since = None;
                if let Some(timer) = self.timer.take() {
                    ctx.cancel_future(timer);
                }
                reply.send(Ok(Answer::Held));
            }
        }
        self.carry_out(ctx);
    }
}

impl Handler<TrialReturned> for BaseWorker {
    type Result = ();

    fn handle(&mut self, returned: TrialReturned, ctx: &mut Self::Context) {
        let TrialReturned { trial, tried, is_slow } = returned;
        self.trial = trial;
        self.is_slow = is_slow;
        match tried {
            Ok(Tried { outcome, after, .. }) => {
                let slot = self.base.slot;
                let failure = outcome.error.clone();
                let group = self.registration.group();
                let failure = failure.map(|error| RequestError::BaseHalted { group: group.clone(), error });
                let moved_to = after.as_deref().map(|base| name_of(base, true));
                if let Some(base) = after {
                    self.base = base;
                }
                self.line.ran(Ran { outcome: (slot, Arc::new(outcome)), failure, moved_to });
            }
            Err(error) => self.line.failed(error),
        }
        self.weigh();
        self.carry_out(ctx);
    }
}

impl Handler<Renamed> for BaseWorker {
    type Result = ();

    fn handle(&mut self, Renamed { is_held }: Renamed, ctx: &mut Self::Context) {
        self.registration.renamed(is_held);
        self.line.renamed(if is_held { Ok(()) } else { Err(Held) });
        self.carry_out(ctx);
    }
}

impl Handler<DropBase> for BaseWorker {
    type Result = ();

    fn handle(&mut self, DropBase { reply, .. }: DropBase, ctx: &mut Self::Context) {
        self.line.stop(Stop::Deleted);
        self.carry_out(ctx);
        reply.send(Ok(Answer::Done));
    }
}

impl Handler<Evict> for BaseWorker {
    type Result = bool;

    fn handle(&mut self, _: Evict, ctx: &mut Self::Context) -> bool {
        let goes = self.line.stop(Stop::Evicted);
        self.carry_out(ctx);
        goes
    }
}

impl Handler<Shutdown> for BaseWorker {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.line.stop(Stop::Shutdown);
        self.carry_out(ctx);
    }
}

impl Handler<Farewell> for BaseWorker {
    type Result = ();

    fn handle(&mut self, _: Farewell, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl BaseWorker {
    /// Does what the line decided, until it has nothing more to say.
    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        loop {
            let effects = self.line.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out_one(effect, ctx);
            }
        }
        let waiting = self.line.queue_len() as u64;
        self.depth.set(waiting, waiting + u64::from(!self.line.is_idle()));
        self.watch_idleness(ctx);
    }

    fn carry_out_one(&mut self, effect: LineEffect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Run { message, keeps_result } => self.send_away(*message, keeps_result, ctx.address()),
            Effect::Answer(reply, answer) => reply.send(answer.map(|resolved| {
                let (slot, outcome) = resolved.outcome;
                Answer::Tried { group: resolved.group, slot, outcome }
            })),
            Effect::Rename(to) => {
                let (from, incarnation) = (self.registration.group().clone(), self.registration.incarnation());
                self.registration.ask_for(to.clone());
                self.registry.do_send(Rename { from, incarnation, to });
            }
            Effect::Gone(reason) => self.leave(reason),
            Effect::Again(wanted) => wanted.reply.tell(Told::Again),
            Effect::Note(note) => self.log(note),
        }
    }

    /// Hands the device over to a compute thread. Whatever happens there, something comes back.
    fn send_away(&mut self, draft: Draft, keeps_result: bool, address: Addr<Self>) {
        let (environment, trial, base) = (self.environment.clone(), self.trial.take(), self.base.clone());
        let lane = if self.is_slow { Lane::Slow } else { Lane::Regular };
        let message = draft.at(&base.process, environment.clock.now_ms());
        tokio::spawn(async move {
            let (factory, interrupt) = (environment.factory.clone(), environment.trials.interrupt.clone());
            let job = move |seat: &dyn crate::device::Seat| {
                let opened = trial.map_or_else(|| Trial::open(factory, base, interrupt), Ok);
                let (trial, tried) = match opened {
                    Ok(mut trial) => {
                        let tried = trial.resolve(message, keeps_result);
                        (Some(trial), tried)
                    }
                    Err(error) => (None, Err(error)),
                };
                TrialReturned { trial, tried: tried.map_err(refused_trial), is_slow: seat.has_overrun() }
            };
            let returned = environment.trials.run(&environment.pool, lane, job).await;
            address.do_send(returned.unwrap_or(TrialReturned { trial: None, tried: Err(lost()), is_slow: false }));
        });
    }

    fn leave(&mut self, reason: EndReason) {
        info!(target: "worker", event = "stopping", process = %self.base.process, group = %self.registration.group(),
            reason = reason.as_str());
        self.registration.end(Ended::Stopped);
    }

    /// Notes what the base takes, and says so where it is too much.
    fn weigh(&mut self) {
        let memory = self.base.memory() + self.trial.as_ref().map_or(0, Trial::memory);
        if self.environment.memory.change(self.memory, memory) {
            self.registry.do_send(Squeeze);
        }
        self.memory = memory;
    }

    /// Arms the one timer by which an idle worker ends.
    fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        if !self.line.is_idle() {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if self.timer.is_some() {
            return;
        }
        self.timer = Some(ctx.run_later(self.timeout.saturating_sub(since.elapsed()), |worker, ctx| {
            worker.timer = None;
            if worker.idle_since.is_some_and(|since| since.elapsed() >= worker.timeout) {
                worker.line.stop(Stop::Timeout);
            }
            worker.carry_out(ctx);
        }));
    }

    fn log(&self, note: Note) {
        match note {
            Note::Halted { group, error } => {
                warn!(target: "worker", event = "halted", process = %self.base.process, %group, %error);
            }
            Note::PassedOver { group } => {
                debug!(target: "group", event = "passed_over", process = %self.base.process, %group);
            }
        }
    }
}
