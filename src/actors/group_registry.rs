//! The actor that knows who leads which group in its part of the shards.
//!
//! *Owns* the [`Registrations`] of its groups with the mailboxes of leaders that are no actors, the requests that wait for
//! a place.
//! *Hears from* the hub (`Resolve`, `FindOrRegister`, `ResolveOn`, `DropBase`, `Lookup`, `Members`, `Shutdown`) and those who
//! lead (`UnregisterNotify`, `Rename`, `Squeeze`, `Resolve`).
//! *Speaks to* its workers, and to whoever waits for a leader that ended.
//! *Limits*: `workers_max` resident workers, [`places::WAITING_MAX`] requests that wait for a place among them,
//! `total_memory`; requests that wait for executions are bounded where they enter the node.

mod places;
mod processes;
mod pulse;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, ResponseFuture};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::base_worker::{self, BaseWorker};
use super::depth::Depth;
use super::environment::Environment;
use super::messages::{
    CauseOfDeath, DropBase, Ended, Farewell, Fork, LeaderKind, Lookup, Members, Ping, Queued, Rename, Renamed, Resolve,
    ResolveOn, Shutdown, Told, UnregisterNotify,
};
use super::process_worker::ProcessWorker;
use super::registration::{FindOrRegister, Registration, Resolution};
use crate::group::{Found, GroupStatus, Incarnation, Registrations};
use crate::ids::{GroupName, ProcessId};
use crate::metrics::{COUNTERS, GAUGES, Level};
use crate::process::RequestError;
use crate::process::worker::{Answer, Waiting as _};

/// The actor that knows who leads which group in its part of the shards.
pub struct GroupRegistry {
    environment: Arc<Environment>,
    pub(super) members: Registrations<Member, Queued>,
    /// How many of the members are workers.
    pub(super) resident: usize,
    /// Requests that wait for a worker to go.
    pub(super) waiting: VecDeque<Resolve>,
    /// Whether a base could not be kept for want of a place.
    is_place_wanted: bool,
    /// Whether workers are being asked to go.
    is_evicting: bool,
    /// Workers that said that they go and have not gone yet.
    leaving: HashSet<GroupName>,
    /// Processes whose worker died, and when to start the next.
    restarts: HashMap<ProcessId, processes::Restart>,
    /// Who is told when the last member is gone, once the node stops.
    on_empty: Option<Vec<oneshot::Sender<()>>>,
}

/// Who holds a name.
pub(super) struct Member {
    pub(super) leader: Leader,
    depth: Arc<Depth>,
    /// How many wait in the mailbox that the registry keeps for it.
    mailbox: Level,
    _counted: Level,
}

/// How a leader is reached.
pub(super) enum Leader {
    Process(Addr<ProcessWorker>),
    Base(Addr<BaseWorker>),
    /// Its mailbox is the registration's.
    Execution,
}

impl Member {
    fn new(leader: Leader, depth: Arc<Depth>) -> Self {
        let (mailbox, counted) = (Level::new(&GAUGES.group_waiters, 0), Level::new(&GAUGES.groups, 1));
        Self { leader, depth, mailbox, _counted: counted }
    }

    fn kind(&self) -> LeaderKind {
        match self.leader {
            Leader::Process(_) => LeaderKind::ProcessWorker,
            Leader::Base(_) => LeaderKind::BaseWorker,
            Leader::Execution => LeaderKind::Execution,
        }
    }

    fn is_worker(&self) -> bool {
        !matches!(self.leader, Leader::Execution)
    }
}

impl GroupRegistry {
    /// A registry without members.
    pub fn new(environment: Arc<Environment>) -> Self {
        Self {
            environment,
            members: Registrations::default(),
            resident: 0,
            waiting: VecDeque::new(),
            is_place_wanted: false,
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

impl Handler<FindOrRegister> for GroupRegistry {
    type Result = Resolution;

    fn handle(&mut self, asked: FindOrRegister, ctx: &mut Self::Context) -> Resolution {
        let FindOrRegister { group, leader, chain } = asked;
        if self.is_stopping() {
            leader.into_reply().send(Err(RequestError::node_stops()));
            return Resolution::Wait(LeaderKind::Execution);
        }
        let execution = |_| Member::new(Leader::Execution, Arc::default());
        let found = self.members.find_or_register(&group, chain.as_ref(), execution);
        match found {
            Found::Leader(incarnation) => {
                debug!(target: "group", event = "register_resolver", process = %group.process(), %group);
                Resolution::Leader(Registration::new(group, incarnation, ctx.address().recipient()), leader)
            }
            Found::InfiniteRecursion => Resolution::InfiniteRecursion,
            Found::Wait(member) => {
                let kind = member.kind();
                self.queue(group, leader);
                Resolution::Wait(kind)
            }
        }
    }
}

impl Handler<ResolveOn> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, work: ResolveOn, _: &mut Self::Context) {
        if work.chain.as_ref().is_some_and(|chain| chain.contains(&work.group)) {
            return work.reply.send(Err(RequestError::InfiniteRecursion { group: work.group }));
        }
        if self.members.find(&work.group).is_none() {
            return work.reply.send(Err(no_base(&work.group)));
        }
        self.queue(work.group.clone(), Queued::Work(work));
    }
}

impl Handler<UnregisterNotify> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, over: UnregisterNotify, ctx: &mut Self::Context) {
        let UnregisterNotify { group, asked_for, incarnation, ended } = over;
        if let Ended::Forked(fork) = ended {
            return self.fork(&group, incarnation, *fork, ctx);
        }
        let reason = ended.reason();
        let ended_as = |name: GroupName| Some((self.unregister(&name, incarnation, reason)?, name));
        let mut names = [Some(group), asked_for].into_iter().flatten();
        let Some(((member, waiters), group)) = names.find_map(ended_as) else { return };
        match ended {
            Ended::Resolved { key, answer } => notify(&group, &key, &answer, waiters),
            Ended::Failed(error) => waiters.into_iter().for_each(|queued| queued.into_reply().send(Err(error.clone()))),
            Ended::Exited(remains) => self.process_exited(&group, &member, remains, ctx),
            Ended::Stopped => {
                if let Leader::Base(worker) = &member.leader {
                    worker.do_send(Farewell);
                }
                tell_all(waiters, &Told::Again);
            }
            Ended::Died { .. } => {
                COUNTERS.leaders_died.inc();
                warn!(target: "group", event = "leader_died", process = %group.process(), %group, reason);
                tell_all(waiters, &Told::LeaderDied(reason.to_owned()));
                if matches!(member.leader, Leader::Process(_)) {
                    self.process_died(group.process(), reason, ctx);
                }
            }
            Ended::Forked(_) => {}
        }
        self.fill_places(ctx);
    }
}

impl Handler<Rename> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, Rename { from, incarnation, to }: Rename, _: &mut Self::Context) {
        let is_held = self.members.rename(&from, incarnation, to.clone()).is_ok();
        let holder = if is_held { &to } else { &from };
        if let Some(Leader::Base(worker)) = self.members.peek(holder).map(|member| &member.leader) {
            debug!(target: "group", event = "renamed", process = %to.process(), group = %to, from = %from, is_held);
            worker.do_send(Renamed { is_held });
        }
    }
}

impl Handler<DropBase> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, drop: DropBase, _: &mut Self::Context) {
        match self.members.peek(&drop.group).map(|member| &member.leader) {
            Some(Leader::Base(worker)) => worker.do_send(drop),
            _ => drop.reply.send(Err(no_base(&drop.group))),
        }
    }
}

impl Handler<Lookup> for GroupRegistry {
    type Result = Option<GroupStatus>;

    fn handle(&mut self, Lookup(group): Lookup, _: &mut Self::Context) -> Self::Result {
        Some(self.status_of(&group, self.members.peek(&group)?))
    }
}

impl Handler<Members> for GroupRegistry {
    type Result = Vec<GroupStatus>;

    fn handle(&mut self, _: Members, _: &mut Self::Context) -> Self::Result {
        self.members.oldest_first().map(|(group, member)| self.status_of(group, member)).collect()
    }
}

impl Handler<CauseOfDeath> for GroupRegistry {
    type Result = Option<String>;

    fn handle(&mut self, CauseOfDeath(process): CauseOfDeath, _: &mut Self::Context) -> Self::Result {
        self.restarts.get(&process).map(|restart| restart.reason.clone())
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
            resolve.request.into_reply().send(Err(RequestError::node_stops()));
        }
        for (_, member) in self.members.oldest_first() {
            match &member.leader {
                Leader::Process(worker) => worker.do_send(Shutdown),
                Leader::Base(worker) => worker.do_send(Shutdown),
                // The switch that trials share is thrown already.
                Leader::Execution => {}
            }
        }
        let (sender, receiver) = oneshot::channel();
        let listeners = self.on_empty.get_or_insert_default();
        if !self.members.is_empty() {
            listeners.push(sender);
        }
        Box::pin(async move { drop(receiver.await) })
    }
}

impl GroupRegistry {
    fn is_stopping(&self) -> bool {
        self.on_empty.is_some()
    }

    /// Takes the name from its holder, if it is that incarnation, and hands out who waits in its mailbox.
    fn unregister(
        &mut self,
        group: &GroupName,
        incarnation: Incarnation,
        reason: &str,
    ) -> Option<(Member, VecDeque<Queued>)> {
        let ended = self.members.unregister(group, incarnation)?;
        self.leaving.remove(group);
        self.resident -= usize::from(ended.leader.is_worker());
        debug!(target: "group", event = "unregister_resolver", process = %group.process(), %group, reason);
        Some((ended.leader, ended.waiters))
    }

    /// Puts a request into the mailbox of who leads the group.
    fn queue(&mut self, group: GroupName, queued: Queued) {
        let leader = self.members.peek(&group).map(|member| &member.leader);
        let refused = match (leader, queued) {
            (Some(Leader::Base(worker)), Queued::Work(work)) => return worker.do_send(work),
            (Some(Leader::Execution), queued) => match self.push(&group, queued) {
                Ok(()) => return,
                Err(queued) => queued,
            },
            (_, queued) => queued,
        };
        let asked = refused.group().clone();
        refused.into_reply().send(Err(RequestError::WrongGroup { asked, led: group }));
    }

    /// Puts a request into the mailbox of a leader that is no actor. Those who left are forgotten now and then.
    fn push(&mut self, group: &GroupName, queued: Queued) -> Result<(), Queued> {
        self.members.sweep(group, |queued| queued.reply().is_gone());
        self.members.push(group, queued)?;
        if let (Some(member), Some(waiters)) = (self.members.peek(group), self.members.waiters(group)) {
            member.mailbox.set(waiters.len() as u64);
        }
        Ok(())
    }

    /// A worker takes over the name of the leader that loaded its base, and with it those who wait in its mailbox.
    fn fork(&mut self, group: &GroupName, incarnation: Incarnation, fork: Fork, ctx: &mut Context<Self>) {
        if self.is_stopping() || self.resident >= self.environment.workers_max {
            let what = "no place is free among the resident workers".to_owned();
            let refused = RequestError::Overloaded { key: "workers_max", what };
            let refused = if self.is_stopping() { RequestError::node_stops() } else { refused };
            if let Some(work) = fork.work {
                work.reply.send(Err(refused));
            }
            // Each of the others leads when its turn has come, and has its answer in any case.
            if let Some((_, waiters)) = self.unregister(group, incarnation, "no place") {
                tell_all(waiters, &Told::Again);
            }
            self.is_place_wanted = !self.is_stopping();
            self.fill_places(ctx);
            return self.evict(ctx);
        }
        let (environment, registry) = (self.environment.clone(), ctx.address());
        let Fork { trial, is_static, timeout, work } = fork;
        let taken = self.members.replace(group, incarnation, |incarnation| {
            let registration = Registration::new(group.clone(), incarnation, registry.clone().recipient());
            let depth: Arc<Depth> = Arc::default();
            let base = (trial, is_static, timeout);
            let parent = base_worker::Parent { rename: registry.clone().recipient(), squeeze: registry.recipient() };
            let worker = BaseWorker::new(environment, registration, parent, depth.clone(), base);
            Member::new(Leader::Base(worker.start()), depth)
        });
        let Some((_, waiters)) = taken else { return };
        self.resident += 1;
        info!(target: "group", event = "starting_worker", process = %group.process(), %group, forwarded = waiters.len());
        for queued in work.map(Queued::Work).into_iter().chain(waiters) {
            self.queue(group.clone(), queued);
        }
    }

    fn status_of(&self, group: &GroupName, member: &Member) -> GroupStatus {
        let (mut queue, mut waiters) = member.depth.get();
        for queued in self.members.waiters(group).into_iter().flatten() {
            match queued {
                _ if queued.reply().is_gone() => {}
                Queued::Listener { .. } => waiters += 1,
                Queued::Work(_) => queue += 1,
            }
        }
        GroupStatus { group: group.clone(), leader: member.kind().as_str().to_owned(), queue, waiters }
    }
}

/// Tells those who wait for the same what came of it; who waits under the same name for something else resolves again.
fn notify(group: &GroupName, key: &GroupName, answer: &Result<Answer, RequestError>, waiters: VecDeque<Queued>) {
    let mut listeners = 0;
    for queued in waiters {
        match queued {
            Queued::Listener { key: wanted, reply } if wanted == *key => {
                listeners += 1;
                reply.send(answer.clone());
            }
            other => other.into_reply().tell(Told::Again),
        }
    }
    if listeners > 0 {
        COUNTERS.executions_shared.inc_by(listeners);
        debug!(target: "group", event = "finished_notifying", process = %group.process(), %group, listeners);
    }
}

fn tell_all(waiters: VecDeque<Queued>, told: &Told) {
    for queued in waiters {
        queued.into_reply().tell(told.clone());
    }
}

/// What somebody is told who named a base that there is not.
pub(super) fn no_base(group: &GroupName) -> RequestError {
    RequestError::NotFound(format!(
        "no base {group} is held in memory; POST /processes/{}/base holds one",
        group.process()
    ))
}
