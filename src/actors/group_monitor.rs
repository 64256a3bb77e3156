//! The actor that reports on groups.
//!
//! *Owns* the last [`Report`] of each thing that it watches: one group, or all.
//! *Hears from* HTTP (`StartGroupMonitor`, `StopGroupMonitor`).
//! *Speaks to* the hub, each second, and to the log where something changed.
//! *Limits*: [`WATCHED_MAX`] groups that are watched by name, [`LINES`] lines a report.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture as _};
use tracing::info;

use super::hub::Hub;
use crate::group::{Changes, GroupStatus, Report};
use crate::ids::GroupName;
use crate::process::RequestError;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// So many groups are watched by name.
const WATCHED_MAX: usize = 100;
/// So many groups have a line of their own in a report.
const LINES: usize = 100;

/// Report on a group from now on, or on all. Answered with what is led at present.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<Vec<GroupStatus>, RequestError>")]
pub struct StartGroupMonitor {
    /// The group; `None`: all.
    pub group: Option<GroupName>,
}

/// Report no more on a group, or on all. Answered with whether it was reported on.
#[derive(Message, Clone, Debug)]
#[rtype(result = "bool")]
pub struct StopGroupMonitor {
    /// The group; `None`: all.
    pub group: Option<GroupName>,
}

/// The actor that reports on groups.
pub struct GroupMonitor {
    hub: Hub,
    watched: BTreeMap<Option<GroupName>, Report>,
    is_ticking: bool,
}

impl GroupMonitor {
    /// A monitor that watches nothing yet, or all groups.
    pub fn new(hub: Hub, watches_all: bool) -> Self {
        let watched = watches_all.then(|| (None, Report::default()));
        Self { hub, watched: watched.into_iter().collect(), is_ticking: false }
    }
}

impl Actor for GroupMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.tick(ctx);
    }
}

impl Handler<StartGroupMonitor> for GroupMonitor {
    type Result = ResponseFuture<Result<Vec<GroupStatus>, RequestError>>;

    fn handle(&mut self, StartGroupMonitor { group }: StartGroupMonitor, ctx: &mut Self::Context) -> Self::Result {
        let by_name = self.watched.keys().flatten().count();
        if group.is_some() && by_name >= WATCHED_MAX && !self.watched.contains_key(&group) {
            let what = format!("{WATCHED_MAX} groups are watched by name already");
            return Box::pin(async { Err(RequestError::Overloaded { key: "group_monitor", what }) });
        }
        self.watched.entry(group.clone()).or_default();
        if !self.is_ticking {
            self.tick(ctx);
        }
        let hub = self.hub.clone();
        Box::pin(async move { Ok(look(&hub, group).await) })
    }
}

impl Handler<StopGroupMonitor> for GroupMonitor {
    type Result = bool;

    fn handle(&mut self, StopGroupMonitor { group }: StopGroupMonitor, _: &mut Self::Context) -> bool {
        self.watched.remove(&group).is_some()
    }
}

impl GroupMonitor {
    /// Looks at everything that is watched, and again after a period, as long as something is.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.is_ticking = !self.watched.is_empty();
        if !self.is_ticking {
            return;
        }
        let (hub, watched) = (self.hub.clone(), self.watched.keys().cloned().collect::<Vec<_>>());
        let looking = async move {
            let mut seen = Vec::with_capacity(watched.len());
            for group in watched {
                let groups = look(&hub, group.clone()).await;
                seen.push((group, groups));
            }
            seen
        };
        ctx.spawn(looking.into_actor(self).map(|seen, monitor, ctx| {
            for (group, groups) in seen {
                let count = groups.len();
                let changes = monitor.watched.get_mut(&group).and_then(|report| report.update(groups));
                if let Some(changes) = changes {
                    tell(group.as_ref(), count, &changes);
                }
            }
            ctx.run_later(PERIOD, Self::tick);
        }));
    }
}

async fn look(hub: &Hub, group: Option<GroupName>) -> Vec<GroupStatus> {
    match group {
        Some(group) => hub.group(&group).await.into_iter().collect(),
        None => hub.groups().await,
    }
}

/// The report: how many there are and what changed, then a line for each that did.
fn tell(watched: Option<&GroupName>, groups: usize, changes: &Changes) {
    let (appeared, vanished, changed) = (changes.appeared.len(), changes.vanished.len(), changes.changed.len());
    info!(target: "group", event = "group_report", watched = watched.map_or("all", GroupName::as_str), groups, appeared,
        vanished, changed);
    let present = changes.appeared.iter().chain(changes.changed.iter().map(|(_, now)| now));
    for status in present.take(LINES) {
        info!(target: "group", event = "group_status", group = %status.group, leader = status.leader,
            queue = status.queue, waiters = status.waiters);
    }
    for status in changes.vanished.iter().take(LINES) {
        info!(target: "group", event = "group_gone", group = %status.group, leader = status.leader);
    }
}
