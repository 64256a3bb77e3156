//! Workers that take no messages any more.

use actix::{AsyncContext as _, Handler, Message, WrapFuture as _};

use super::rig::Rig;
use crate::actors::group_registry::Leader;
use crate::actors::{GroupRegistry, ProcessWorker};
use crate::ids::{GroupName, ProcessId};

#[derive(Message)]
#[rtype(result = "()")]
struct Freeze(GroupName);

impl Handler<Freeze> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, freeze: Freeze, _: &mut Self::Context) {
        if let Some(Leader::Process(worker)) = self.members.peek(&freeze.0).map(|member| &member.leader) {
            worker.do_send(freeze);
        }
    }
}

impl Handler<Freeze> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, _: Freeze, ctx: &mut Self::Context) {
        ctx.wait(std::future::pending::<()>().into_actor(self));
    }
}

/// The worker of `process` takes no messages any more.
pub(super) async fn freeze(rig: &Rig, process: &ProcessId) {
    rig.registry.send(Freeze(GroupName::of_process(process))).await.unwrap();
}
