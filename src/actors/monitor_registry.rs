//! The actor that knows the monitors of its part of the shards and keeps them going.
//!
//! *Owns* who runs, and when to start again who died.
//! *Hears from* HTTP (`StartMonitor`, `StopMonitor`, `ListMonitors`), the hub (`WatchCron`), its monitors (`MonitorEnded`).
//! *Speaks to* its monitors and the store.
//! *Limits*: one monitor a process; [`MONITORS_MAX`] that were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext, Context, Handler, Message, ResponseActFuture, WrapFuture as _,
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::hub::Hub;
use super::keeping::keep;
use super::messages::Shutdown;
use super::monitor::{EndMonitor, Look, Monitor, MonitorEnded, Sight, first_sequence, name_of};
use super::sources::{LocalCron, Outside, Source};
use crate::client::Client;
use crate::client::compute_unit::ComputeUnit;
use crate::config::MonitorConfig;
use crate::ids::ProcessId;
use crate::metrics::{COUNTERS, GAUGES, Level};
use crate::process::{Durability, MonitorOrigin, MonitorRecord, MonitorSource, Record, RequestError};
use crate::supervise::Backoff;

/// So many monitors of one registry were asked for at most.
pub const MONITORS_MAX: usize = 100_000;
/// So many records are read in one go.
const PAGE: usize = 256;
/// A monitor that lived so long was well: when it dies it is started again as if for the first time.
const WELL_AFTER: Duration = Duration::from_secs(300);
/// What could not be read is read again after this time.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Pull what is due for a process from now on, also after a restart. Answered with whether that is new.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<bool, RequestError>")]
pub struct StartMonitor {
    /// The process.
    pub process: ProcessId,
    /// The time from one tick to the next; `None`: `default_cron_rate`.
    pub rate: Option<Duration>,
    /// After which result to begin; `None`: at the first.
    pub cursor: Option<String>,
    /// Where the results are.
    pub source: MonitorSource,
}

/// Pull no more, also after a restart. Answered with whether there was a monitor.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<bool, RequestError>")]
pub struct StopMonitor {
    /// The process.
    pub process: ProcessId,
}

/// The monitors that run, in order of their processes.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Vec<Sight>")]
pub struct ListMonitors;

/// A process has cron entries: it needs a monitor, unless somebody stopped it.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct WatchCron(pub ProcessId);

/// Start every monitor that is kept. Answered with how many.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "usize")]
pub struct TakeUpMonitors;

/// A monitor that runs, or died and is to be started again.
pub(super) struct Running {
    /// `None` while it waits to be started again.
    pub(super) address: Option<Addr<Monitor>>,
    source: Arc<dyn Source>,
    sight: Sight,
    incarnation: u64,
    since: Instant,
    restarts: Backoff,
    /// Whether a definition with cron entries came since it was started.
    is_defined_anew: bool,
    _counted: Level,
}

/// The actor that knows the monitors of its part of the shards.
pub struct MonitorRegistry {
    hub: Hub,
    client: Client,
    config: MonitorConfig,
    part: (usize, usize),
    pub(super) running: BTreeMap<ProcessId, Running>,
    /// Those that are just being started or stopped.
    changing: BTreeSet<ProcessId>,
    incarnations: u64,
}

impl MonitorRegistry {
    /// A registry of the monitors whose process's shard is `part.0` modulo `part.1`.
    pub fn new(hub: Hub, client: Client, config: MonitorConfig, part: (usize, usize)) -> Self {
        let (running, changing) = (BTreeMap::new(), BTreeSet::new());
        Self { hub, client, config, part, running, changing, incarnations: 0 }
    }

    fn source(&self, record: &MonitorRecord) -> Result<Arc<dyn Source>, RequestError> {
        match &record.source {
            MonitorSource::Local => {
                Ok(Arc::new(LocalCron::new(self.hub.environment().clone(), record.process.clone())))
            }
            MonitorSource::Url(url) => {
                let unit = ComputeUnit::new(self.client.clone(), url);
                let unit = unit.map_err(|error| RequestError::BadRequest(format!("source: {error}")))?;
                Ok(Arc::new(Outside::new(unit, record.process.clone())))
            }
        }
    }

    fn start(&mut self, record: MonitorRecord, ctx: &mut Context<Self>) {
        let source = match self.source(&record) {
            Ok(source) => source,
            Err(error) => {
                warn!(target: "monitor", event = "monitor_error", process = %record.process,
                    monitor = name_of(&record.source), %error, "it cannot be started");
                return;
            }
        };
        self.run(record, source, Backoff::for_restarts(), ctx);
    }

    pub(super) fn run(
        &mut self,
        record: MonitorRecord,
        source: Arc<dyn Source>,
        restarts: Backoff,
        ctx: &mut Context<Self>,
    ) {
        self.incarnations += 1;
        let (incarnation, ended) = (self.incarnations, ctx.address().recipient());
        let process = record.process.clone();
        let sight = Sight::new(record, &self.config, self.hub.environment().clock.now_ms());
        let (hub, config) = (self.hub.clone(), self.config.clone());
        let monitor = Monitor::new(hub, config, source.clone(), sight.clone(), ended, incarnation);
        let (address, since) = (Some(monitor.start()), Instant::now());
        let counted = Level::new(&GAUGES.monitors, 1);
        let running =
            Running { address, source, sight, incarnation, since, restarts, is_defined_anew: false, _counted: counted };
        self.running.insert(process, running);
    }

    /// Starts a monitor that died, from where the store says that it stands.
    fn restart(&mut self, process: &ProcessId, incarnation: u64, ctx: &mut Context<Self>) {
        let Some(running) = self.running.get(process).filter(|running| running.incarnation == incarnation) else {
            return;
        };
        let last = running.sight.look().record.clone();
        let (source, restarts) = (running.source.clone(), running.restarts.clone());
        match self.hub.environment().store.monitor(process) {
            Ok(Some(record)) if !record.stopped => self.run(record, source, restarts, ctx),
            Ok(None) if last.origin == MonitorOrigin::Cron => self.run(last, source, restarts, ctx),
            Ok(_) => drop(self.running.remove(process)),
            Err(_) => self.restart_after(READ_AGAIN, process.clone(), incarnation, ctx),
        }
    }

    fn restart_after(&self, wait: Duration, process: ProcessId, incarnation: u64, ctx: &mut Context<Self>) {
        ctx.run_later(wait, move |registry, ctx| registry.restart(&process, incarnation, ctx));
    }

    /// Refuses where the monitor is just being started or stopped; else it is from now on.
    fn begin_change(&mut self, process: &ProcessId) -> Result<(), RequestError> {
        if self.changing.insert(process.clone()) {
            return Ok(());
        }
        let what = format!("the monitor of {process} is just being started or stopped");
        Err(RequestError::Overloaded { key: "monitor", what })
    }

    /// The record of a monitor that nobody asked for, which is not kept.
    fn cron_record(&self, process: &ProcessId) -> MonitorRecord {
        let now = self.hub.environment().clock.now_ms();
        MonitorRecord {
            process: process.clone(),
            rate: self.config.default_cron_rate,
            cursor: None,
            asked_from: None,
            source: MonitorSource::Local,
            sequence: first_sequence(now),
            started: now,
            origin: MonitorOrigin::Cron,
            stopped: false,
        }
    }

    fn is_mine(&self, process: &ProcessId) -> bool {
        usize::from(process.shard().0) % self.part.1 == self.part.0
    }
}

impl Actor for MonitorRegistry {
    type Context = Context<Self>;
}

impl Handler<StartMonitor> for MonitorRegistry {
    type Result = ResponseActFuture<Self, Result<bool, RequestError>>;

    fn handle(&mut self, start: StartMonitor, _: &mut Self::Context) -> Self::Result {
        let StartMonitor { process, rate, cursor, source } = start;
        let record = MonitorRecord {
            rate: rate.unwrap_or(self.config.default_cron_rate),
            asked_from: cursor.clone(),
            cursor,
            source,
            origin: MonitorOrigin::Request,
            ..self.cron_record(&process)
        };
        if let Err(refused) = self.may_start(&record) {
            return Box::pin(actix::fut::ready(refused));
        }
        if let Err(refused) = self.begin_change(&record.process) {
            return Box::pin(actix::fut::ready(Err(refused)));
        }
        let (store, kept) = (self.hub.environment().store.clone(), record.clone());
        let keeping = async move {
            let process = kept.process.clone();
            keep(&store, &process, vec![Record::Monitor(Box::new(kept))], Durability::Sync).await
        };
        Box::pin(keeping.into_actor(self).map(move |kept, registry, ctx| {
            registry.changing.remove(&record.process);
            kept?;
            // A definition may have brought one meanwhile. It ends: this one was asked for.
            if let Some(Running { address: Some(address), .. }) = registry.running.remove(&record.process) {
                address.do_send(EndMonitor);
            }
            registry.start(record, ctx);
            Ok(true)
        }))
    }
}

impl MonitorRegistry {
    /// Whether a monitor may be started as `wanted`; else what is answered: that it runs already, or why it may not.
    fn may_start(&self, wanted: &MonitorRecord) -> Result<(), Result<bool, RequestError>> {
        let process = &wanted.process;
        if let Some(running) = self.running.get(process) {
            let seen = running.sight.look();
            let is_same = seen.record.rate == wanted.rate
                && seen.record.source == wanted.source
                && (wanted.cursor.is_none()
                    || [&seen.record.asked_from, &seen.record.cursor].contains(&&wanted.cursor));
            let conflict = || {
                RequestError::Conflict(format!(
                    "process {process} has another monitor; DELETE /monitors/{process} ends it"
                ))
            };
            return Err(if is_same { Ok(false) } else { Err(conflict()) });
        }
        if self.running.len() >= MONITORS_MAX {
            let what = format!("{MONITORS_MAX} monitors run already");
            return Err(Err(RequestError::Overloaded { key: "monitors", what }));
        }
        let is_local = match self.hub.environment().store.process(process) {
            Ok(found) => found.is_some(),
            Err(error) => return Err(Err(RequestError::Store(error.to_string()))),
        };
        match (&wanted.source, is_local) {
            (MonitorSource::Local, false) => Err(Err(RequestError::no_process(process))),
            (MonitorSource::Local, true) if wanted.cursor.is_some() => Err(Err(RequestError::BadRequest(
                "cursor: that of a process of this node is kept with its log; leave it out".to_owned(),
            ))),
            (MonitorSource::Url(_), true) => Err(Err(RequestError::Conflict(format!(
                "process {process} is one of this node; results are pulled of processes elsewhere"
            )))),
            _ => self.source(wanted).map(drop).map_err(Err),
        }
    }
}

impl Handler<StopMonitor> for MonitorRegistry {
    type Result = ResponseActFuture<Self, Result<bool, RequestError>>;

    fn handle(&mut self, StopMonitor { process }: StopMonitor, _: &mut Self::Context) -> Self::Result {
        let store = self.hub.environment().store.clone();
        let sight = self.running.get(&process).map(|running| running.sight.clone());
        let record = match &sight {
            Some(sight) => Some(sight.look().record.clone()),
            // One that could not be started is kept all the same.
            None => store.monitor(&process).ok().flatten().filter(|record| !record.stopped),
        };
        let Some(record) = record else { return Box::pin(actix::fut::ready(Ok(false))) };
        if let Err(refused) = self.begin_change(&process) {
            return Box::pin(actix::fut::ready(Err(refused)));
        }
        // From here on it writes nothing that would bring the record back.
        let stopping = move |is_stopping| sight.iter().for_each(|sight| sight.set_stopping(is_stopping));
        stopping(true);
        let keeping = async move {
            // Cron entries stay in the definition: that they are not looked at is what is kept.
            let has_cron = matches!(store.cron_cursor(&record.process), Ok(Some(_)));
            let process = record.process.clone();
            let stopped = MonitorRecord { stopped: true, ..record };
            let change = if has_cron { Record::Monitor(Box::new(stopped)) } else { Record::DropMonitor };
            keep(&store, &process, vec![change], Durability::Sync).await
        };
        Box::pin(keeping.into_actor(self).map(move |kept, registry, _| {
            registry.changing.remove(&process);
            if let Err(error) = kept {
                stopping(false);
                return Err(error);
            }
            if let Some(Running { address: Some(address), .. }) = registry.running.remove(&process) {
                address.do_send(EndMonitor);
            }
            Ok(true)
        }))
    }
}

impl Handler<ListMonitors> for MonitorRegistry {
    type Result = Vec<Sight>;

    fn handle(&mut self, _: ListMonitors, _: &mut Self::Context) -> Self::Result {
        self.running.values().map(|running| running.sight.clone()).collect()
    }
}

impl Handler<WatchCron> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, WatchCron(process): WatchCron, ctx: &mut Self::Context) {
        if let Some(running) = self.running.get_mut(&process) {
            running.is_defined_anew = true;
            running.address.iter().for_each(|monitor| monitor.do_send(Look));
            return;
        }
        if self.changing.contains(&process) {
            // Whatever becomes of it is known then.
            ctx.notify_later(WatchCron(process), READ_AGAIN);
            return;
        }
        match self.hub.environment().store.monitor(&process) {
            Ok(Some(record)) if record.stopped => {
                info!(target: "monitor", event = "monitor_stopped", %process, monitor = name_of(&record.source),
                    "it was stopped; POST /monitors starts it");
            }
            Ok(Some(record)) => self.start(record, ctx),
            Ok(None) => {
                let record = self.cron_record(&process);
                self.start(record, ctx);
            }
            Err(error) => {
                warn!(target: "monitor", event = "monitor_error", %process, monitor = "local", %error, "it is read again");
                ctx.notify_later(WatchCron(process), READ_AGAIN);
            }
        }
    }
}

impl Handler<TakeUpMonitors> for MonitorRegistry {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, _: TakeUpMonitors, _: &mut Self::Context) -> Self::Result {
        let store = self.hub.environment().store.clone();
        let reading = async move {
            let read = move || -> Result<(Vec<ProcessId>, Vec<MonitorRecord>), crate::store::ReadError> {
                let (mut cron, mut kept) = (Vec::new(), Vec::new());
                let mut after: Option<ProcessId> = None;
                loop {
                    let page = store.cron_processes(after.as_ref(), PAGE)?;
                    let Some(last) = page.last() else { break };
                    after = Some(last.clone());
                    cron.extend(page);
                }
                let mut after: Option<ProcessId> = None;
                loop {
                    let page = store.monitors(after.as_ref(), PAGE)?;
                    let Some(last) = page.last() else { break };
                    after = Some(last.process.clone());
                    kept.extend(page);
                }
                Ok((cron, kept))
            };
            tokio::task::spawn_blocking(read).await
        };
        Box::pin(reading.into_actor(self).map(|read, registry, ctx| {
            let (cron, kept) = match read {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => {
                    warn!(target: "monitor", event = "monitors_unread", %error, "they are read again");
                    ctx.notify_later(TakeUpMonitors, READ_AGAIN);
                    return 0;
                }
                Err(_) => return 0,
            };
            for record in kept {
                let is_free = !registry.running.contains_key(&record.process);
                if registry.is_mine(&record.process) && is_free && !record.stopped {
                    registry.start(record, ctx);
                }
            }
            for process in cron {
                if registry.is_mine(&process) {
                    ctx.address().do_send(WatchCron(process));
                }
            }
            registry.running.len()
        }))
    }
}

impl Handler<Shutdown> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        for (_, running) in std::mem::take(&mut self.running) {
            running.address.iter().for_each(|monitor| monitor.do_send(EndMonitor));
        }
    }
}

impl Handler<MonitorEnded> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, ended: MonitorEnded, ctx: &mut Self::Context) {
        let MonitorEnded { process, incarnation, is_over } = ended;
        let Some(running) = self.running.get_mut(&process).filter(|running| running.incarnation == incarnation) else {
            return;
        };
        if is_over {
            let is_defined_anew = running.is_defined_anew;
            self.running.remove(&process);
            if is_defined_anew {
                // It may have ended by what it read before.
                ctx.notify(WatchCron(process));
            }
            return;
        }
        COUNTERS.monitors_died.inc();
        running.address = None;
        if running.since.elapsed() >= WELL_AFTER {
            running.restarts.reset();
        }
        let wait = running.restarts.wait();
        warn!(target: "monitor", event = "monitor_died", %process, monitor = name_of(&running.sight.look().record.source),
            wait = ?wait, "it is started again");
        self.restart_after(wait, process, incarnation, ctx);
    }
}
