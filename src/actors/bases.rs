//! States that are held in memory as bases, and what is tried on them: dry-runs and base lines.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::environment::Environment;
use super::group_registry::no_base;
use super::hub::{Hub, died_often, unexpected};
use super::messages::{BaseRequest, DropBase, Ended, Fork, Lookup, Members, Queued, Reply, ResolveOn, Told};
use super::registration::Registration;
use super::trials::{lost, refused_base, refused_trial};
use crate::device::crash::Call;
use crate::device::{BaseLoader, BaseState, Lane, Loading, Trial};
use crate::group::{Asked, BaseName, GroupStatus, Grouper, StateName};
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::worker::{Activity, Answer, Request, Status};
use crate::process::{Draft, Outcome, RequestError};

/// A dry-run on the latest state waits so long for slots that are being computed, so that it sees what was scheduled just
/// before. After that the state as it is will do.
const PATIENCE: Duration = Duration::from_millis(100);

/// What can be held as a base: the state after a slot.
#[derive(Clone)]
struct Wanted {
    process: ProcessId,
    slot: Slot,
    is_static: bool,
}

impl Wanted {
    fn name(&self) -> BaseName {
        let (process, state) = (self.process.clone(), StateName::AtSlot(self.slot));
        BaseName { process, state, is_line: !self.is_static }
    }

    fn group(&self) -> GroupName {
        Grouper::Default.group(&self.name(), None, false)
    }
}

impl Hub {
    /// The outcome that the message would have against the latest state, and that state's slot.
    pub async fn dry_run(&self, process: &ProcessId, draft: Draft) -> Result<(Slot, Arc<Outcome>), RequestError> {
        let (slot, status) = self.latest(process).await?;
        let _outward = self.enter_trials(process).await?;
        let base = Wanted { process: process.clone(), slot, is_static: true };
        let shared = self.meeting(&self.device_of(&status).grouper, &base.name(), &Asked::DryRun(&draft));
        // Where the device names the base alone, the base's own worker is where they meet.
        let answer = if shared.group == base.group() {
            self.try_on(base, draft).await?
        } else {
            let execute = |hub: Self| {
                let (base, draft) = (base.clone(), draft.clone());
                async move { hub.try_on(base, draft).await }
            };
            self.share(shared, execute).await?
        };
        match answer {
            Answer::Tried { slot, outcome, .. } => Ok((slot, outcome)),
            other => Err(unexpected(&other)),
        }
    }

    /// Holds the state after `slot`, the latest where none is named, in memory. Answered with the base's group. Where
    /// `is_static`, the base stays; else the result of each request becomes the base.
    pub async fn hold_base(
        &self,
        process: &ProcessId,
        slot: Option<Slot>,
        is_static: Option<bool>,
        timeout: Option<Duration>,
    ) -> Result<GroupName, RequestError> {
        let slot = match slot {
            Some(slot) => self.compute(process, Some(slot)).await?.slot,
            None => self.latest(process).await?.0,
        };
        let is_static = is_static.unwrap_or(self.options().static_worker);
        let timeout = timeout.unwrap_or(self.options().worker_timeout);
        let base = Wanted { process: process.clone(), slot, is_static };
        let group = base.group();
        match self.on_base(base, || BaseRequest::Hold { timeout }).await? {
            Answer::Held => Ok(group),
            other => Err(unexpected(&other)),
        }
    }

    /// The outcome of a message on a base that is held, and the base's name afterwards.
    pub async fn resolve_on(&self, group: &GroupName, draft: Draft) -> Result<(GroupName, Arc<Outcome>), RequestError> {
        if group.is_process() {
            // Its worker advances a log; no base goes by that name.
            return Err(no_base(group));
        }
        let _wait = self.enter(group)?;
        loop {
            let (reply, awaited) = Reply::channel();
            let wanted = BaseRequest::Resolve { draft: Box::new(draft.clone()), is_trial: false };
            let work = ResolveOn { group: group.clone(), wanted, reply, chain: self.forbidden() };
            self.registry(&group.process()).do_send(work);
            match awaited.hear().await {
                Told::Answer(answer) => match answer? {
                    Answer::Tried { group, outcome, .. } => return Ok((group, outcome)),
                    other => return Err(unexpected(&other)),
                },
                Told::Again => {}
                // A base that died is gone with its worker; there is nothing to resolve on again.
                Told::LeaderDied(reason) => return Err(RequestError::LeaderDied { group: group.clone(), reason }),
            }
        }
    }

    /// Ends what leads a group: a base is dropped, the worker of a process stores a snapshot and stops.
    pub async fn drop_group(&self, group: &GroupName) -> Result<(), RequestError> {
        if group.is_process() {
            return self.stop_worker(&group.process()).await;
        }
        let (reply, awaited) = Reply::channel();
        self.registry(&group.process()).do_send(DropBase { group: group.clone(), reply });
        match awaited.hear().await {
            Told::Answer(answer) => answer.map(drop),
            // It went by itself meanwhile.
            Told::Again | Told::LeaderDied(_) => Ok(()),
        }
    }

    /// Every group that is led at present.
    pub async fn groups(&self) -> Vec<GroupStatus> {
        let asked =
            futures_util::future::join_all(self.registries().iter().map(|registry| registry.send(Members))).await;
        let mut groups: Vec<GroupStatus> = asked.into_iter().flatten().flatten().collect();
        groups.sort_by(|one, other| one.group.cmp(&other.group));
        groups
    }

    /// Who leads the group, if anyone does.
    pub async fn group(&self, group: &GroupName) -> Option<GroupStatus> {
        self.registry(&group.process()).send(Lookup(group.clone())).await.ok().flatten()
    }

    /// The slot of the latest state, and where the process stands.
    async fn latest(&self, process: &ProcessId) -> Result<(Slot, Status), RequestError> {
        let status = self.status(process).await?;
        let is_behind = status.computed < Some(status.scheduled) && status.activity != Activity::Halted;
        if is_behind && !self.is_behind(&GroupName::of_process(process)) {
            let caught_up = self.ask(process, |reply| Request::Compute { slot: Some(status.scheduled), reply });
            if let Ok(Ok(_)) = timeout(PATIENCE, caught_up).await {
                return Ok((status.scheduled, status));
            }
        }
        let status = if is_behind { self.status(process).await? } else { status };
        match status.computed {
            Some(slot) => Ok((slot, status)),
            // Without slot 0 there is no state at all.
            None => Ok((self.compute(process, Some(Slot::ZERO)).await?.slot, status)),
        }
    }

    /// Tries a message on a base that stays, by its worker if one is held or may be started.
    async fn try_on(&self, base: Wanted, draft: Draft) -> Result<Answer, RequestError> {
        if self.options().spawn_worker || self.group(&base.group()).await.is_some() {
            let wanted = || BaseRequest::Resolve { draft: Box::new(draft.clone()), is_trial: true };
            return self.on_base(base, wanted).await;
        }
        let state = self.load(&base).await?;
        let (_, answer) = stand(self.environment(), state, Some((base.group(), draft))).await?;
        answer.ok_or_else(lost)?
    }

    /// Has the base's worker serve a request. Without one, the request leads: it loads the base, is served, and leaves a
    /// worker behind.
    async fn on_base(&self, base: Wanted, wanted: impl Fn() -> BaseRequest) -> Result<Answer, RequestError> {
        let group = base.group();
        let _wait = self.enter(&group)?;
        let mut attempt = 0;
        loop {
            let (reply, awaited) = Reply::channel();
            let work = ResolveOn { group: group.clone(), wanted: wanted(), reply, chain: None };
            if let Some((registration, Queued::Work(work))) =
                self.find_or_register(group.clone(), Queued::Work(work)).await?
            {
                tokio::spawn(self.clone().lead_base(registration, work, base.clone()));
            }
            match awaited.hear().await {
                Told::Answer(answer) => return answer,
                Told::Again => {}
                Told::LeaderDied(reason) => {
                    attempt += 1;
                    warn!(target: "group", event = "resolving_again", process = %base.process, %group, attempt, reason);
                    if attempt == self.attempts() {
                        return Err(died_often(group, attempt, &reason));
                    }
                }
            }
        }
    }

    /// Loads the base, serves the request that leads, and hands the base over to a worker for those that came meanwhile.
    async fn lead_base(self, mut registration: Registration, work: ResolveOn, base: Wanted) {
        let ResolveOn { group, wanted, reply, chain } = work;
        let (draft, hold) = match wanted {
            BaseRequest::Resolve { draft, .. } => (Some((group.clone(), *draft)), None),
            BaseRequest::Hold { timeout } => (None, Some(timeout)),
        };
        let stood = match self.load(&base).await {
            Ok(state) => stand(self.environment(), state, draft).await,
            Err(error) => Err(error),
        };
        let (trial, answer) = match stood {
            Ok(stood) => stood,
            Err(error) => {
                reply.send(Err(error.clone()));
                return registration.end(Ended::Failed(error));
            }
        };
        let work = match (answer, hold) {
            (Some(answer), _) => {
                reply.send(answer);
                None
            }
            (None, hold) => {
                hold.map(|timeout| ResolveOn { group, wanted: BaseRequest::Hold { timeout }, reply, chain })
            }
        };
        let timeout = hold.unwrap_or(self.options().worker_timeout);
        let fork = Fork { trial, is_static: base.is_static, timeout, work };
        registration.end(Ended::Forked(Box::new(fork)));
    }

    /// The base's state: from the process's worker if it has it at hand, else from the store.
    async fn load(&self, base: &Wanted) -> Result<Arc<BaseState>, RequestError> {
        let Wanted { process, slot, .. } = base;
        let environment = self.environment().clone();
        let status = self.status(process).await?;
        if status.activity != Activity::Idle {
            let at_hand = timeout(PATIENCE, self.ask(process, |reply| Request::Base { reply })).await;
            if let Ok(Ok(Answer::Base(found))) = at_hand
                && found.slot == *slot
            {
                let (env, process) = (environment.clone(), process.clone());
                let read = move |_: &dyn crate::device::Seat| BaseState::read(&env.store, &process, &found);
                let read = environment.trials.run(&environment.pool, Lane::Regular, read).await;
                return read.ok_or_else(lost)?.map(Arc::new).map_err(refused_base);
            }
            self.settle(process).await?;
        }
        let (factory, log) = (environment.factory.clone(), Arc::new(environment.store.clone()));
        let interrupt = environment.trials.interrupt.clone();
        let loader = BaseLoader::new(process.clone(), *slot, factory, log, interrupt);
        let mut loader = loader.with_crashes(environment.crashes.clone());
        loop {
            let lane = if loader.is_slow() { Lane::Slow } else { Lane::Regular };
            let turn = environment.pool.turn();
            let job = move |seat: &dyn crate::device::Seat| {
                let mut loader = loader;
                let loading = loader.turn(turn, seat);
                (loader, loading)
            };
            let (back, loading) = environment.trials.run(&environment.pool, lane, job).await.ok_or_else(lost)?;
            loader = back;
            match loading.map_err(refused_base)? {
                Loading::Done(state) => return Ok(state),
                Loading::More => {}
            }
        }
    }
}

/// Makes a device that stands at `state`, and tries a message on it if there is one.
async fn stand(
    environment: &Arc<Environment>,
    state: Arc<BaseState>,
    draft: Option<(GroupName, Draft)>,
) -> Result<(Trial, Option<Result<Answer, RequestError>>), RequestError> {
    let slot = state.slot;
    let lane = Lane::of(Some(state.definition.specification.device), false);
    let message = draft.map(|(group, draft)| (group, draft.at(&state.process, environment.clock.now_ms())));
    let (factory, interrupt) = (environment.factory.clone(), environment.trials.interrupt.clone());
    let crashes = environment.crashes.clone();
    let job = move |_: &dyn crate::device::Seat| {
        let _noting = crashes.note(&state.process, Call::Trial, state.slot);
        let mut trial = Trial::open(factory, state, interrupt)?;
        // What the message comes to is for its sender; the trial stands at the base in any case.
        let answer = message.map(|(group, message)| match trial.resolve(message, false) {
            Ok(tried) => Ok(Answer::Tried { group, slot, outcome: Arc::new(tried.outcome) }),
            Err(error) => Err(refused_trial(error)),
        });
        Ok((trial, answer))
    };
    let stood = environment.trials.run(&environment.pool, lane, job).await;
    stood.ok_or_else(lost)?.map_err(refused_trial)
}
