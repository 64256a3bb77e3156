//! The actor that delivers what outcomes send.
//!
//! *Owns* the [`Pushing`] that decides, for the sources of its part of the shards; two timers; the outcomes that were read last.
//! *Hears from* workers (`Push`), monitors (`Push`), the store and the deliveries that it began.
//! *Speaks to* the store, to processes through [`Delivery`], and to the worker of a source (`Delivered`).
//! *Limits*: those of [`PushOptions`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture as _};
use tracing::{debug, info, warn};

use super::delivery::Delivery;
use super::jitter::jitter;
use super::keeping::keep;
use super::messages::{Delivered, Shutdown};
use super::origins::{Content, Origins};
use crate::clock::Millis;
use crate::ids::{ProcessId, Slot};
use crate::metrics::{COUNTERS, GAUGES, Level};
use crate::process::{DeadLetter, Durability, Json, OutboxItem, OutboxKey, Record};
use crate::push::{Destination, Effect, Failure, Found, Note, PushOptions, Pushing, Target, message_id};
use crate::store::{ReadError, Store};

/// What the store did not do is tried again after this time.
const AGAIN: Duration = Duration::from_millis(500);
/// Outboxes of which nobody told are looked for so often.
const LOOK_ROUND: Duration = Duration::from_secs(60);
/// So many sources are found in one go.
const SOURCES: usize = 256;

/// To a pusher: there is something in the outbox of `source`.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Push {
    /// The source.
    pub source: ProcessId,
    /// Up to this slot everything is on disk; later items are not to be looked at yet.
    pub through: Slot,
}

/// To a pusher: look for outboxes of which nobody told. It does so by itself now and then. Answered when all are found.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct LookRound;

/// An item that is given up, and why.
struct Burial {
    source: ProcessId,
    key: OutboxKey,
    target: Target,
    error: String,
    attempts: u32,
}

/// The actor that delivers what outcomes send.
pub struct Pusher {
    delivery: Arc<Delivery>,
    /// Which of the pushers this is, and how many there are.
    part: (usize, usize),
    core: Pushing,
    /// Up to where the outbox of each source that is being served is on disk.
    through: HashMap<ProcessId, Slot>,
    origins: Origins,
    held: Level,
    timer: Option<SpawnHandle>,
    look_timer: Option<SpawnHandle>,
}

impl Pusher {
    /// The pusher of the sources whose shard is `part.0` modulo `part.1`.
    pub fn new(delivery: Arc<Delivery>, options: PushOptions, part: (usize, usize)) -> Self {
        let origins = Origins::new(delivery.hub.environment().store.clone());
        let core = Pushing::new(options);
        let held = Level::new(&GAUGES.outbox_items, 0);
        Self { delivery, part, core, through: HashMap::new(), origins, held, timer: None, look_timer: None }
    }

    fn now(&self) -> Millis {
        self.delivery.hub.environment().clock.now_ms()
    }

    /// Does what the core decided, until it has nothing more to say.
    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return self.held.set(self.core.places() as u64);
            }
            for effect in effects {
                self.carry_out_one(effect, ctx);
            }
        }
    }

    fn carry_out_one(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Load { source, after, limit } => self.load(&source, after, limit),
            Effect::Deliver { source, key, target, destination, attempt } => {
                debug!(target: "push", event = "pushing", %source, slot = key.slot.0, index = key.index, to = %target, attempt);
                self.deliver(source, key, target, destination, ctx);
            }
            Effect::Sent { source, key } => self.remove(source, key, vec![Record::Sent(key)], Durability::Lazy, ctx),
            Effect::Bury { source, key, target, error, attempts } => {
                self.bury(Burial { source, key, target, error, attempts }, ctx);
            }
            Effect::WakeAt(at) => {
                if let Some(timer) = self.timer.take() {
                    ctx.cancel_future(timer);
                }
                let wait = Duration::from_millis(at.saturating_sub(self.now()));
                self.timer = Some(ctx.run_later(wait, |pusher, ctx| {
                    pusher.timer = None;
                    let now = pusher.now();
                    pusher.core.tick(now);
                    pusher.carry_out(ctx);
                }));
            }
            Effect::Idle(source) => {
                self.through.remove(&source);
                self.origins.forget(&source);
                self.delivery.idle(&source);
            }
            Effect::Note(note) => log(&note),
        }
    }

    /// Reads a part of an outbox. A short read of what was written a moment ago, so it is done here.
    fn load(&mut self, source: &ProcessId, after: Option<OutboxKey>, limit: usize) {
        let through = self.through.get(source).copied().unwrap_or(Slot(u64::MAX));
        let now = self.now();
        match self.find(source, after, limit, through) {
            Ok((found, has_more)) => self.core.loaded(source, found, has_more, now),
            Err(error) => self.core.load_failed(source, error.to_string(), jitter(), now),
        }
    }

    /// What a part of an outbox holds, up to the slot `through`, and whether there may be more.
    fn find(
        &self,
        source: &ProcessId,
        after: Option<OutboxKey>,
        limit: usize,
        through: Slot,
    ) -> Result<(Vec<Found>, bool), ReadError> {
        let items = self.delivery.hub.environment().store.outbox(source, after, limit)?;
        let is_full = items.len() >= limit;
        let mut destinations: BTreeMap<Target, Destination> = BTreeMap::new();
        let mut found = Vec::with_capacity(items.len());
        // What is not on disk yet is told of when it is.
        for (key, item) in items.into_iter().take_while(|(key, _)| key.slot <= through) {
            let target: Target = item.target().into();
            let destination = match destinations.get(&target) {
                Some(destination) => destination.clone(),
                None => self.delivery.destination(&item)?,
            };
            destinations.insert(target.clone(), destination.clone());
            found.push(Found { key, target, destination });
        }
        let has_more = is_full && found.len() >= limit;
        Ok((found, has_more))
    }

    fn deliver(
        &mut self,
        source: ProcessId,
        key: OutboxKey,
        target: Target,
        destination: Destination,
        ctx: &mut Context<Self>,
    ) {
        let delivery = self.delivery.clone();
        let content = self.origins.find(&source, key);
        let of = source.clone();
        let delivering = async move {
            match content {
                Ok(Content::Outcome(origin)) => delivery.deliver(&of, key, &origin, &destination).await,
                Ok(Content::Inline(item)) => delivery.deliver_inline(&of, &item, &destination).await,
                Ok(Content::Missing) => {
                    let slot = key.slot;
                    Err(Failure::Final { reason: format!("slot {slot} of {of} is missing in the store") })
                }
                Err(error) => Err(Failure::Later { reason: error.to_string(), counts: false }),
            }
        };
        ctx.spawn(delivering.into_actor(self).map(move |result, pusher, ctx| {
            let now = pusher.now();
            match result {
                Ok(()) => {
                    COUNTERS.messages_pushed.inc();
                    info!(target: "push", event = "pushed", %source, slot = key.slot.0, index = key.index, to = %target);
                    pusher.core.delivered(&source, key, now);
                }
                Err(failure) => {
                    COUNTERS.pushes_failed.inc();
                    pusher.core.failed(&source, key, failure, jitter(), now);
                }
            }
            pusher.carry_out(ctx);
        }));
    }

    /// Makes a dead letter of an item, once its content can be read.
    fn bury(&mut self, burial: Burial, ctx: &mut Context<Self>) {
        let of_place = message_id(&burial.source, burial.key);
        let (id, message) = match self.origins.find(&burial.source, burial.key) {
            Ok(Content::Inline(OutboxItem::Inline { message, id })) => (id, super::delivery::shown_message(&message)),
            Ok(Content::Outcome(origin)) => (of_place, super::delivery::shown(&origin.computed, burial.key.index)),
            Ok(Content::Inline(_) | Content::Missing) => (of_place, Json::null()),
            Err(_) => {
                ctx.run_later(AGAIN, move |pusher, ctx| pusher.bury(burial, ctx));
                return;
            }
        };
        let Burial { source, key, target, error, attempts } = burial;
        COUNTERS.dead_letters.inc();
        warn!(target: "push", event = "dead_letter", %source, slot = key.slot.0, index = key.index, to = %target, error, attempts);
        let letter = DeadLetter {
            // Under this id its target knows it, if it has arrived in truth.
            id,
            source: source.clone(),
            slot: key.slot,
            index: key.index,
            target: target.to_string(),
            message,
            error,
            attempts,
            since: self.now(),
        };
        let records = vec![Record::DeadLetter(Box::new(letter)), Record::Sent(key)];
        self.remove(source, key, records, Durability::Sync, ctx);
    }

    /// Takes an item out of the outbox, trying until that is done.
    fn remove(
        &mut self,
        source: ProcessId,
        key: OutboxKey,
        records: Vec<Record>,
        durability: Durability,
        ctx: &mut Context<Self>,
    ) {
        let store = self.delivery.hub.environment().store.clone();
        let hub = self.delivery.hub.clone();
        let of = source.clone();
        let removing = async move {
            while let Err(error) = keep(&store, &of, records.clone(), durability).await {
                debug!(target: "push", event = "not_removed", source = %of, slot = key.slot.0, index = key.index, %error);
                tokio::time::sleep(AGAIN).await;
            }
            hub.tell_delivered(Delivered { process: of, items: 1 });
        };
        ctx.spawn(removing.into_actor(self).map(move |(), pusher, ctx| {
            let now = pusher.now();
            pusher.core.removed(&source, key, now);
            pusher.carry_out(ctx);
        }));
    }

    /// Arms the one timer by which outboxes are looked for.
    fn look_again_later(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.look_timer.take() {
            ctx.cancel_future(timer);
        }
        self.look_timer = Some(ctx.notify_later(LookRound, LOOK_ROUND));
    }
}

impl Actor for Pusher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look_again_later(ctx);
    }
}

impl Handler<Push> for Pusher {
    type Result = ();

    fn handle(&mut self, Push { source, through }: Push, ctx: &mut Self::Context) {
        let known = self.through.entry(source.clone()).or_insert(through);
        *known = through.max(*known);
        let now = self.now();
        self.core.wake(&source, now);
        self.carry_out(ctx);
    }
}

impl Handler<Shutdown> for Pusher {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.core.stop();
        self.carry_out(ctx);
    }
}

impl Handler<LookRound> for Pusher {
    type Result = actix::ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: LookRound, ctx: &mut Self::Context) -> Self::Result {
        let (store, (part, parts)) = (self.delivery.hub.environment().store.clone(), self.part);
        let address = ctx.address();
        self.look_again_later(ctx);
        let looking = async move {
            let mut after: Option<ProcessId> = None;
            loop {
                let (reader, last) = (store.clone(), after.clone());
                let is_mine = move |source: &ProcessId| usize::from(source.shard().0) % parts == part;
                let page = tokio::task::spawn_blocking(move || look(&reader, last.as_ref(), is_mine)).await;
                let Ok(Ok((found, Some(last)))) = page else { return };
                after = Some(last);
                found.into_iter().for_each(|push| address.do_send(push));
            }
        };
        Box::pin(looking.into_actor(self))
    }
}

/// Some of the outboxes that have something in them, after that of `after`: those that are mine, and which was the last of all.
fn look(
    store: &Store,
    after: Option<&ProcessId>,
    is_mine: impl Fn(&ProcessId) -> bool,
) -> Result<(Vec<Push>, Option<ProcessId>), ReadError> {
    let sources = store.outbox_sources(after, SOURCES)?;
    let (mut found, last) = (Vec::new(), sources.last().cloned());
    for source in sources.into_iter().filter(is_mine) {
        // Only what was on disk when it was found: a worker tells of the rest. Outside processes have no log here.
        let through = match store.head(&source)? {
            Some(head) => head.computed,
            None => Some(Slot(u64::MAX)),
        };
        found.extend(through.map(|through| Push { source, through }));
    }
    Ok((found, last))
}

fn log(note: &Note) {
    match note {
        Note::Failing { source, target, reason, failures, next } => {
            warn!(target: "push", event = "push_failing", %source, to = %target, reason, failures, next);
        }
        Note::Recovered { source, target, failures } => {
            info!(target: "push", event = "push_recovered", %source, to = %target, failures);
        }
        Note::LoadFailing { source, reason, failures, next } => {
            warn!(target: "push", event = "outbox_unread", %source, reason, failures, next);
        }
        Note::Crowded { source } => {
            warn!(target: "push", event = "push_crowded", %source, "it has more targets than fit in memory");
        }
    }
}
