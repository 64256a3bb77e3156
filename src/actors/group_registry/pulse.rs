//! Pings of workers, and workers that do not answer.

use actix::Handler;
use tracing::warn;

use super::{GroupRegistry, Leader, tell_all};
use crate::actors::messages::{Farewell, Told};
use crate::actors::pulse::{Answer, ForgetWorker, PingWorker};
use crate::group::Incarnation;
use crate::ids::GroupName;
use crate::metrics::COUNTERS;

/// Why askers of a forgotten worker ask again.
const DEAF: &str = "it takes no messages";

impl Handler<PingWorker> for GroupRegistry {
    type Result = Option<Incarnation>;

    fn handle(&mut self, PingWorker { process, pong }: PingWorker, _: &mut Self::Context) -> Self::Result {
        let group = GroupName::of_process(&process);
        let Leader::Process(worker) = &self.members.peek(&group)?.leader else { return None };
        worker.do_send(Answer(pong));
        self.members.incarnation(&group)
    }
}

impl Handler<ForgetWorker> for GroupRegistry {
    type Result = bool;

    fn handle(&mut self, ForgetWorker { process, incarnation }: ForgetWorker, ctx: &mut Self::Context) -> bool {
        let group = GroupName::of_process(&process);
        let Some((member, waiters)) = self.unregister(&group, incarnation, DEAF) else { return false };
        COUNTERS.leaders_died.inc();
        warn!(target: "group", event = "leader_died", %process, %group, reason = DEAF);
        if let Leader::Process(worker) = &member.leader {
            // Should it ever hear again.
            worker.do_send(Farewell);
        }
        tell_all(waiters, &Told::LeaderDied(DEAF.to_owned()));
        self.process_died(process, DEAF, ctx);
        self.fill_places(ctx);
        true
    }
}
