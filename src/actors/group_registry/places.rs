//! Places among the resident workers, and who makes room for whom.

use std::collections::HashSet;
use std::time::Duration;

use actix::{ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, WrapFuture as _};

use super::{GroupRegistry, Leader, Member};
use crate::actors::base_worker::BaseWorker;
use crate::actors::messages::{Evict, Squeeze};
use crate::actors::process_worker::ProcessWorker;
use crate::ids::GroupName;

/// Requests that wait for a place among the resident workers.
pub(super) const WAITING_MAX: usize = 4096;
/// So many workers are asked to go, one after the other, before others have their say.
const EVICTIONS: usize = 32;
/// While places or memory are wanted, workers are asked again after this time.
const EVICT_AGAIN: Duration = Duration::from_millis(10);

impl Handler<Squeeze> for GroupRegistry {
    type Result = ();

    fn handle(&mut self, _: Squeeze, ctx: &mut Self::Context) {
        self.evict(ctx);
    }
}

/// A worker that can be asked to go.
enum Resident {
    Process(Addr<ProcessWorker>),
    Base(Addr<BaseWorker>),
}

impl Resident {
    fn of(leader: &Leader) -> Option<Self> {
        match leader {
            Leader::Process(worker) => Some(Self::Process(worker.clone())),
            Leader::Base(worker) => Some(Self::Base(worker.clone())),
            Leader::Execution => None,
        }
    }

    /// Whether it goes. `None`: it is gone already.
    async fn evict(&self) -> Option<bool> {
        let answer = match self {
            Self::Process(worker) => worker.send(Evict).await,
            Self::Base(worker) => worker.send(Evict).await,
        };
        answer.ok()
    }
}

impl GroupRegistry {
    /// Free places go to those who waited longest.
    pub(super) fn fill_places(&mut self, ctx: &mut Context<Self>) {
        while self.resident < self.environment.workers_max
            && let Some(resolve) = self.waiting.pop_front()
        {
            self.handle(resolve, ctx);
        }
        if let Some(listeners) = &mut self.on_empty
            && self.members.is_empty()
        {
            for listener in listeners.drain(..) {
                let _ = listener.send(());
            }
        }
    }

    /// How many workers should go: for requests that wait for their places, for a base to come, or to free memory. A base is
    /// looked out for once.
    fn take_wanted(&mut self) -> usize {
        let for_base = std::mem::take(&mut self.is_place_wanted) && self.resident >= self.environment.workers_max;
        let for_any = for_base || self.environment.memory.is_exceeded();
        self.waiting.len().max(usize::from(for_any))
    }

    /// Asks workers to go, the one that was left alone longest first, until as many as are wanted do. Looks again as long
    /// as some are wanted.
    pub(super) fn evict(&mut self, ctx: &mut Context<Self>) {
        if self.is_evicting {
            return;
        }
        // Those who said before that they go may have found work since, and are asked again.
        let asked_before = std::mem::take(&mut self.leaving);
        let wanted = self.take_wanted();
        if wanted == 0 {
            return;
        }
        self.is_evicting = true;
        let resident = |group: &GroupName, member: &Member| Some((group.clone(), Resident::of(&member.leader)?));
        let others = self.members.oldest_first().filter(|(group, _)| !asked_before.contains(*group));
        let others = others.filter_map(|(group, member)| resident(group, member)).take(EVICTIONS);
        let before = asked_before.iter().filter_map(|group| resident(group, self.members.peek(group)?));
        let asked: Vec<_> = before.chain(others).collect();
        let asking = async move {
            let (mut leaving, mut busy) = (HashSet::new(), Vec::new());
            for (group, worker) in asked {
                if leaving.len() == wanted {
                    break;
                }
                match worker.evict().await {
                    Some(true) => drop(leaving.insert(group)),
                    Some(false) => busy.push(group),
                    None => {}
                }
            }
            (leaving, busy)
        };
        let answered = asking.into_actor(self).map(|(leaving, busy), registry, ctx| {
            registry.leaving = leaving;
            for group in busy {
                // It is in use, so that others are asked before it the next time.
                registry.members.find(&group);
            }
            ctx.run_later(EVICT_AGAIN, |registry, ctx| {
                registry.is_evicting = false;
                registry.evict(ctx);
            });
        });
        ctx.spawn(answered);
    }
}
