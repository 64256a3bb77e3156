//! The actor that holds one base in memory.
//!
//! *Owns* the [`BaseLine`] that decides whose turn it is, the [`Trial`] that stands at the base while it is at home, one timer.
//! While the trial is away, the compute thread that has it shares the line.
//! *Hears from* its registry (`ResolveOn`, `DropBase`, `Renamed`, `Evict`, `Shutdown`, `Farewell`) and compute threads
//! (`TrialReturned`).
//! *Speaks to* its registry, the compute threads, and whoever asked.
//! *Limits*: the process's `queue` for requests that wait, its other limits for each of them, `worker_timeout` without work.

mod turn;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle};
use tokio::time::Instant;
use tracing::{debug, info};

use super::depth::Depth;
use super::environment::Environment;
use super::messages::{
    BaseRequest, DropBase, Ended, Evict, Farewell, Rename, Renamed, ResolveOn, Shutdown, Squeeze, Told,
};
use super::registration::Registration;
use super::trials::lost;
use crate::device::{BaseState, Lane, Trial};
use crate::group::base_line::{BaseLine, Effect, EndReason, LineOptions, Stop, Wanted};
use crate::group::{BaseName, Grouper, Held, StateName};
use crate::ids::GroupName;
use crate::metrics::{COUNTERS, GAUGES, Level};
use crate::process::ErrorStrategy;
use crate::process::worker::Answer;
use turn::{Desk, Line, LineEffect, Run, Turn, TurnOver};

/// Where a base worker's upward events go.
pub(super) struct Parent {
    /// That its base is another one.
    pub(super) rename: Recipient<Rename>,
    /// That memory is short.
    pub(super) squeeze: Recipient<Squeeze>,
}

/// The actor that holds one base in memory.
pub struct BaseWorker {
    environment: Arc<Environment>,
    registration: Registration,
    parent: Parent,
    desk: Arc<Desk>,
    place: Place,
    base: Arc<BaseState>,
    is_slow: bool,
    timeout: Duration,
    memory: u64,
    /// Since when there is nothing to do; `None` while there is.
    idle_since: Option<Instant>,
    timer: Option<SpawnHandle>,
    _counted: Level,
}

/// Where the device is.
enum Place {
    /// With its worker; `None` where it was lost and is made anew for the next request.
    Home(Option<Trial>),
    /// On a compute thread, or on the way from there. A request whose turn it is meanwhile is served once it is back.
    Away(Option<Run>),
}

/// To a base worker, by a compute thread: its device. `None`: the thread lost it.
#[derive(Message)]
#[rtype(result = "()")]
struct TrialReturned(Option<TurnOver>);

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
        parent: Parent,
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
            desk: Arc::new(Desk::new(BaseLine::new(registration.group().clone(), options), depth)),
            environment,
            registration,
            parent,
            place: Place::Home(Some(trial)),
            base,
            is_slow: false,
            timeout,
            memory: 0,
            idle_since: None,
            timer: None,
            _counted: Level::new(&GAUGES.workers, 1),
        }
    }
}

impl Actor for BaseWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        COUNTERS.workers_started.inc();
        self.weigh();
        self.decide(ctx, |_| ());
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
                self.decide(ctx, |line| line.request(Wanted { group, message: draft, is_trial, reply }));
            }
            BaseRequest::Hold { timeout } => {
                if self.decide(ctx, |line| line.is_gone()) {
                    return reply.tell(Told::Again);
                }
                self.timeout = timeout;
                self.idle_since = None;
                if let Some(timer) = self.timer.take() {
                    ctx.cancel_future(timer);
                }
                reply.send(Ok(Answer::Held));
                self.watch_idleness(ctx);
            }
        }
    }
}

impl Handler<TrialReturned> for BaseWorker {
    type Result = ();

    fn handle(&mut self, TrialReturned(turn): TrialReturned, ctx: &mut Self::Context) {
        let is_lost = turn.is_none();
        let (trial, is_slow) = turn.map_or((None, false), |over| (over.trial, over.is_slow));
        if let Some(trial) = &trial {
            self.base = trial.base().clone();
        }
        self.is_slow = is_slow;
        let next = match std::mem::replace(&mut self.place, Place::Home(trial)) {
            Place::Away(next) => next,
            Place::Home(_) => None,
        };
        self.weigh();
        match next {
            // Whichever request has its turn was lost with the device, even if it was not yet on its way.
            _ if is_lost => self.decide(ctx, |line| line.failed(lost())),
            Some(run) => self.send_away(run, ctx.address()),
            None => self.decide(ctx, |_| ()),
        }
    }
}

impl Handler<Renamed> for BaseWorker {
    type Result = ();

    fn handle(&mut self, Renamed { is_held }: Renamed, ctx: &mut Self::Context) {
        self.registration.renamed(is_held);
        self.decide(ctx, |line| line.renamed(if is_held { Ok(()) } else { Err(Held) }));
    }
}

impl Handler<DropBase> for BaseWorker {
    type Result = ();

    fn handle(&mut self, DropBase { reply, .. }: DropBase, ctx: &mut Self::Context) {
        self.decide(ctx, |line| line.stop(Stop::Deleted));
        reply.send(Ok(Answer::Done));
    }
}

impl Handler<Evict> for BaseWorker {
    type Result = bool;

    fn handle(&mut self, _: Evict, ctx: &mut Self::Context) -> bool {
        self.decide(ctx, |line| line.stop(Stop::Evicted))
    }
}

impl Handler<Shutdown> for BaseWorker {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.decide(ctx, |line| line.stop(Stop::Shutdown));
    }
}

impl Handler<Farewell> for BaseWorker {
    type Result = ();

    fn handle(&mut self, _: Farewell, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl BaseWorker {
    /// Tells the line something, or looks at it, and does what is to be done then.
    fn decide<T>(&mut self, ctx: &mut Context<Self>, event: impl FnOnce(&mut Line) -> T) -> T {
        let (said, effects) = self.desk.decide(event);
        for effect in effects {
            self.carry_out(effect, ctx);
        }
        self.watch_idleness(ctx);
        said
    }

    fn carry_out(&mut self, effect: LineEffect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Run { message, keeps_result } => {
                self.send_away(Run { draft: message, keeps_result }, ctx.address());
            }
            Effect::Answer(reply, answer) => turn::tell(reply, answer),
            Effect::Rename(to) => {
                let (from, incarnation) = (self.registration.group().clone(), self.registration.incarnation());
                self.registration.ask_for(to.clone());
                self.parent.rename.do_send(Rename { from, incarnation, to });
            }
            Effect::Gone(reason) => self.leave(reason),
            Effect::Again(wanted) => wanted.reply.tell(Told::Again),
            Effect::Note(note) => turn::log(&self.base.process, note),
        }
    }

    /// Hands the device over to a compute thread, which serves `run` first. Whatever happens there, something comes back.
    fn send_away(&mut self, run: Run, address: Addr<Self>) {
        self.idle_since = None;
        let trial = match &mut self.place {
            Place::Home(trial) => trial.take(),
            Place::Away(next) => return *next = Some(run),
        };
        self.place = Place::Away(None);
        let lane = Lane::of(Some(self.base.definition.specification.device), self.is_slow);
        let (environment, desk, base) = (self.environment.clone(), Arc::downgrade(&self.desk), self.base.clone());
        tokio::spawn(async move {
            let turn = Turn { environment: environment.clone(), desk, base, trial };
            let job = move |seat: &dyn crate::device::Seat| turn.go(run, seat);
            address.do_send(TrialReturned(environment.trials.run(&environment.pool, lane, job).await));
        });
    }

    fn leave(&mut self, reason: EndReason) {
        info!(target: "worker", event = "stopping", process = %self.base.process, group = %self.registration.group(),
            reason = reason.as_str());
        self.registration.end(Ended::Stopped);
    }

    /// Notes what the base takes, and says so where it is too much.
    fn weigh(&mut self) {
        let memory = self.base.memory() + self.place.memory();
        if self.environment.memory.change(self.memory, memory) {
            self.parent.squeeze.do_send(Squeeze);
        }
        self.memory = memory;
    }

    /// Arms the one timer by which an idle worker ends.
    fn watch_idleness(&mut self, ctx: &mut Context<Self>) {
        if !self.desk.is_idle() {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if self.timer.is_some() {
            return;
        }
        self.timer = Some(ctx.run_later(self.timeout.saturating_sub(since.elapsed()), |worker, ctx| {
            worker.timer = None;
            let is_over = worker.idle_since.is_some_and(|since| since.elapsed() >= worker.timeout);
            worker.decide(ctx, |line| is_over && line.stop(Stop::Timeout));
        }));
    }
}

#[cfg(test)]
impl BaseWorker {
    /// Whether its device is with it.
    pub(super) fn is_home(&self) -> bool {
        matches!(self.place, Place::Home(_))
    }
}

impl Place {
    /// Memory of the device, in bytes, while it is at home.
    fn memory(&self) -> u64 {
        match self {
            Self::Home(trial) => trial.as_ref().map_or(0, Trial::memory),
            Self::Away(_) => 0,
        }
    }
}
