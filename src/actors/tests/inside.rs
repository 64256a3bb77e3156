//! What tests ask of registries and workers past their own messages: to die, and how they stand.

use actix::{ActorContext as _, Handler, Message};

use crate::actors::base_worker::BaseWorker;
use crate::actors::group_registry::Leader;
use crate::actors::{GroupRegistry, ProcessWorker};
use crate::ids::GroupName;

/// Kills the worker of this group by a panic in a handler.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Kill(pub(super) GroupName);

impl Handler<Kill> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, Kill(group): Kill, _: &mut Self::Context) {
        match self.members.peek(&group).map(|member| &member.leader) {
            Some(Leader::Process(worker)) => worker.do_send(Die),
            Some(Leader::Base(worker)) => worker.do_send(Die),
            Some(Leader::Execution) | None => {}
        }
    }
}

/// Ends the registry and its workers where they stand.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Crash;

impl Handler<Crash> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, _: Crash, ctx: &mut Self::Context) {
        for (_, member) in self.members.oldest_first() {
            match &member.leader {
                Leader::Process(worker) => worker.do_send(Die),
                Leader::Base(worker) => worker.do_send(Die),
                Leader::Execution => {}
            }
        }
        ctx.stop();
    }
}

/// How many workers a registry says are resident, how many there are, and how many requests wait for a place.
#[derive(Message)]
#[rtype(result = "(usize, usize, usize)")]
pub(super) struct Audit;

impl Handler<Audit> for GroupRegistry {
    type Result = actix::MessageResult<Audit>;

    fn handle(&mut self, _: Audit, _: &mut Self::Context) -> Self::Result {
        let workers = self.members.iter().filter(|member| !matches!(member.leader.leader, Leader::Execution)).count();
        actix::MessageResult((self.resident, workers, self.waiting.len()))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Die;

impl Handler<Die> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        std::panic::resume_unwind(Box::new("killed"));
    }
}

impl Handler<Die> for BaseWorker {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        std::panic::resume_unwind(Box::new("killed"));
    }
}

/// Asks the worker of this base whether its device is at home.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct AskHome(pub(super) GroupName, pub(super) tokio::sync::oneshot::Sender<bool>);

impl Handler<AskHome> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, asked: AskHome, _: &mut Self::Context) {
        if let Some(Leader::Base(worker)) = self.members.peek(&asked.0).map(|member| &member.leader) {
            worker.do_send(asked);
        }
    }
}

impl Handler<AskHome> for BaseWorker {
    type Result = ();

    fn handle(&mut self, AskHome(_, answer): AskHome, _: &mut Self::Context) {
        let _ = answer.send(self.is_home());
    }
}
