//! The actor that looks again and again whether what it is told to look at is well.
//!
//! *Owns* a [`Health`] and a task for each check, and the [`HealthBoard`] that shows them.
//! *Hears from* its tasks (`Looked`, `Restarted`), the composition root (`ReloadHealth`, `Shutdown`).
//! *Speaks to* what it looks at, the log where something changed, and the hub where a worker is to be started again.
//! *Limits*: one look a check at a time, which ends with its `timeout`; one restart a check at a time.

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::health_board::HealthBoard;
use super::looks::Looker;
use crate::actors::hub::Hub;
use crate::actors::messages::Shutdown;
use crate::client::Client;
use crate::clock::Millis;
use crate::config::{CheckConfig, CheckTarget, HealthConfig};
use crate::supervise::{Change, Health, Restarts};
use crate::units::format_duration;

/// To the health checker: these are the checks from now on. One that keeps its name and target keeps its status.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ReloadHealth(pub HealthConfig);

/// From a task: a look is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Looked {
    task: u64,
    begun: Instant,
    result: Result<(), String>,
    /// What looks, unless it is lost.
    looker: Option<Looker>,
}

/// From a restart: it is over.
#[derive(Message, Debug)]
#[rtype(result = "()")]
struct Restarted {
    check: String,
    error: Option<String>,
}

/// The actor that looks whether all is well.
pub struct HealthChecker {
    hub: Hub,
    client: Client,
    board: HealthBoard,
    /// What it begins with.
    first: HealthConfig,
    checks: Vec<Watched>,
    /// The number of the task that was begun last.
    tasks: u64,
    began: Instant,
}

/// One check at work.
struct Watched {
    health: Health,
    /// When it began, or its last look did.
    since: Instant,
    task: u64,
    handle: AbortOnDrop,
    restarts: Restarts,
    is_restarting: bool,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HealthChecker {
    /// A checker that shows on `board` how things stand. It begins its checks when it is started.
    pub fn new(hub: Hub, client: Client, config: &HealthConfig, board: HealthBoard) -> Self {
        let now = hub.environment().clock.now_ms();
        let first: Vec<Health> = config.checks.iter().map(|check| Health::new(check.clone(), now)).collect();
        // Whoever asks before the actor runs sees them, too.
        board.show(first.iter());
        Self { hub, client, board, first: config.clone(), checks: Vec::new(), tasks: 0, began: Instant::now() }
    }

    fn now(&self) -> Millis {
        self.hub.environment().clock.now_ms()
    }

    fn looker(&self, check: &CheckConfig) -> Looker {
        Looker::new(self.hub.clone(), self.client.clone(), check)
    }

    /// Begins a task that waits until the next look is due, and looks.
    fn look_later(
        &mut self,
        check: &CheckConfig,
        due: Instant,
        looker: Looker,
        ctx: &Context<Self>,
    ) -> (u64, AbortOnDrop) {
        self.tasks += 1;
        let (task, time) = (self.tasks, check.timeout);
        let mut report = Report { task, checker: ctx.address(), begun: due, is_sent: false };
        let look = async move {
            let mut looker = looker;
            sleep(due.saturating_duration_since(Instant::now())).await;
            report.begun = Instant::now();
            let result = match timeout(time, looker.look()).await {
                Ok(result) => result,
                Err(_) => Err(format!("{} within {}", looker.late(), format_duration(time))),
            };
            report.send(result, Some(looker));
        };
        (task, AbortOnDrop(actix_rt::spawn(look)))
    }

    fn watch(&mut self, check: CheckConfig, ctx: &Context<Self>) -> Watched {
        let since = Instant::now();
        let looker = self.looker(&check);
        let (task, handle) = self.look_later(&check, since + check.initial_delay, looker, ctx);
        let health = Health::new(check, self.now());
        Watched { health, since, task, handle, restarts: Restarts::default(), is_restarting: false }
    }

    /// Goes on with a check that is configured otherwise now, but looks at the same.
    fn rewatch(&mut self, mut watched: Watched, check: CheckConfig, ctx: &Context<Self>) -> Watched {
        let is_same_pace = {
            let before = watched.health.check();
            before.interval == check.interval && before.timeout == check.timeout
        };
        watched.health.reload(check.clone());
        if !is_same_pace {
            let (due, looker) = (watched.since + watched.health.next_in(), self.looker(&check));
            (watched.task, watched.handle) = self.look_later(&check, due, looker, ctx);
        }
        watched
    }

    fn set_checks(&mut self, config: HealthConfig, ctx: &Context<Self>) {
        let mut before = std::mem::take(&mut self.checks);
        for check in config.checks {
            let is_this = |watched: &Watched| {
                let known = watched.health.check();
                known.name == check.name && known.target == check.target
            };
            let watched = match before.iter().position(is_this) {
                Some(at) => self.rewatch(before.swap_remove(at), check, ctx),
                None => self.watch(check, ctx),
            };
            self.checks.push(watched);
        }
        self.board.show(self.checks.iter().map(|watched| &watched.health));
    }

    /// Stops the worker that the check at `at` looks at, and starts another one, unless that was done a moment ago.
    fn restart(&mut self, at: usize, looker: &Looker, ctx: &Context<Self>) {
        let now = self.began.elapsed();
        let watched = &mut self.checks[at];
        let CheckTarget::Worker(process) = &watched.health.check().target else { return };
        if watched.is_restarting || !watched.restarts.may(now) {
            return;
        }
        watched.is_restarting = true;
        let (check, process, worker) = (watched.health.check().name.clone(), process.clone(), looker.worker);
        warn!(target: "health", event = "restarting_worker", check, %process, group = %process);
        let (hub, checker) = (self.hub.clone(), ctx.address());
        actix_rt::spawn(async move {
            let error = hub.restart_worker(&process, worker).await.err().map(|error| error.to_string());
            checker.do_send(Restarted { check, error });
        });
    }
}

impl Actor for HealthChecker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let first = std::mem::take(&mut self.first);
        self.set_checks(first, ctx);
    }
}

impl Handler<ReloadHealth> for HealthChecker {
    type Result = ();

    fn handle(&mut self, ReloadHealth(config): ReloadHealth, ctx: &mut Self::Context) {
        self.set_checks(config, ctx);
    }
}

impl Handler<Looked> for HealthChecker {
    type Result = ();

    fn handle(&mut self, looked: Looked, ctx: &mut Self::Context) {
        let Looked { task, begun, result, looker } = looked;
        // The task of a check that is no more, or that was begun anew, has nothing to say.
        let Some(at) = self.checks.iter().position(|watched| watched.task == task) else { return };
        let now = self.now();
        let watched = &mut self.checks[at];
        let verdict = watched.health.record(now, result.as_ref().copied().map_err(String::as_str));
        self.board.update(&watched.health);
        if let Some(change) = &verdict.change {
            tell(&watched.health, change);
        }
        watched.since = begun;
        let (check, due) = (watched.health.check().clone(), begun + watched.health.next_in());
        let looker = looker.unwrap_or_else(|| self.looker(&check));
        if verdict.restart {
            self.restart(at, &looker, ctx);
        }
        let (task, handle) = self.look_later(&check, due, looker, ctx);
        let watched = &mut self.checks[at];
        (watched.task, watched.handle) = (task, handle);
    }
}

impl Handler<Restarted> for HealthChecker {
    type Result = ();

    fn handle(&mut self, Restarted { check, error }: Restarted, _: &mut Self::Context) {
        if let Some(error) = error {
            warn!(target: "health", event = "restart_failed", check, error);
        }
        let same = self.checks.iter_mut().find(|watched| watched.health.check().name == check);
        if let Some(watched) = same {
            watched.is_restarting = false;
        }
    }
}

impl Handler<Shutdown> for HealthChecker {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.checks.clear();
        ctx.stop();
    }
}

/// Brings the result of a look home, whatever happens to its task.
struct Report {
    task: u64,
    checker: Addr<HealthChecker>,
    begun: Instant,
    is_sent: bool,
}

impl Report {
    fn send(&mut self, result: Result<(), String>, looker: Option<Looker>) {
        if !std::mem::replace(&mut self.is_sent, true) {
            self.checker.do_send(Looked { task: self.task, begun: self.begun, result, looker });
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.send(Err("the look ended early".to_owned()), None);
    }
}

fn tell(health: &Health, change: &Change) {
    let (check, view) = (health.check(), health.view());
    match change {
        Change::Healthy => info!(target: "health", event = "healthy", check = check.name, kind = view.kind),
        Change::Unhealthy { error } => warn!(target: "health", event = "unhealthy", check = check.name,
            kind = view.kind, error, failures = view.failures, critical = check.critical),
    }
}
