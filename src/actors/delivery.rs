//! How one item of an outbox is delivered: a message, a process that is asked for, a known message for another log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::code::code;
use super::hub::Hub;
use super::origins::Origin;
use crate::client::node::{Node, Undelivered};
use crate::client::{Client, ClientError};
use crate::config::PushConfig;
use crate::group::Chain;
use crate::ids::{MessageId, ProcessId};
use crate::process::worker::Define;
use crate::process::{
    Computed, Definition, DeviceKind, Draft, Entry, Json, Mark, MarkSource, Origin as Road, OutboxItem, OutboxKey,
    ProcessOrigin, PushChain, RequestError, Sent, SentMessage, Spawn, Specification, Tag,
};
use crate::push::chain::{self, ChainLimits, Refused};
use crate::push::{Congestion, Destination, Failure, Routes, child_id, message_id};
use crate::store::ReadError;
use crate::{config, cron};

/// A process of this node has so long to take a message; then another gets its turn, and it is asked again later.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How items are delivered. One per node.
pub struct Delivery {
    /// The way to the processes of this node.
    pub(super) hub: Hub,
    limits: ChainLimits,
    routes: Routes,
    /// The other nodes, by their URL.
    nodes: HashMap<String, Node>,
    spawning: Mutex<Pace>,
    /// Who waits for room in whose queue.
    congestion: Mutex<Congestion>,
    /// The dead letters that are being tried once more.
    pub(super) retried: Mutex<HashMap<MessageId, bool>>,
}

impl Delivery {
    /// Deliveries as the configuration wants them. The error names the route that cannot be used.
    pub fn new(hub: Hub, config: &config::Config, client: &Client) -> Result<Self, ClientError> {
        let PushConfig { max_depth, max_messages, .. } = config.push;
        let mut nodes = HashMap::new();
        for route in &config.routes {
            nodes.insert(route.url.clone(), Node::new(client.clone(), &route.url)?);
        }
        let routes = config.routes.iter().map(|route| (route.target.clone(), route.url.clone())).collect();
        let spawning = Mutex::new(Pace::new(config.limits.spawn_rate));
        let limits = ChainLimits { max_depth, max_messages };
        Ok(Self {
            hub,
            limits,
            routes: Routes::new(routes),
            nodes,
            spawning,
            congestion: Mutex::default(),
            retried: Mutex::default(),
        })
    }

    /// What a message inherits that comes from another node with the chain `given`.
    ///
    /// # Errors
    /// The chain is longer than it may be on this node.
    pub fn taken_over(&self, given: PushChain) -> Result<PushChain, Refused> {
        chain::taken_over(given, self.limits)
    }

    /// Where an item goes: a process of this node, or else the node that a route names. What has neither stays here, where it
    /// fails for good.
    pub fn destination(&self, item: &OutboxItem) -> Result<Destination, ReadError> {
        let target = item.target();
        if target.is_empty() {
            return Ok(Destination::Local);
        }
        if let Ok(target) = ProcessId::parse(target)
            && self.hub.environment().store.process(&target)?.is_some()
        {
            return Ok(Destination::Local);
        }
        Ok(self.routes.find(target).map_or(Destination::Local, |url| Destination::Remote(url.into())))
    }

    /// Delivers the item at `key` of the outbox of `source`, which the slot `origin` sends.
    pub(super) async fn deliver(
        &self,
        source: &ProcessId,
        key: OutboxKey,
        origin: &Origin,
        destination: &Destination,
    ) -> Result<(), Failure> {
        let Origin { entry, computed } = origin;
        let push = chain::of(entry.push.as_ref(), &entry.message.id, computed.sends(), key.index, self.limits);
        let push = push.map_err(|refused| final_failure(refused.to_string()))?;
        self.deliver_from(&Place { source, key, push, is_marked: true }, origin, destination).await
    }

    /// Delivers an item that was given up before. Others of its row have gone before it, so it is known by its id instead of
    /// its place, and it begins a chain of its own: somebody wants it to go on.
    pub(super) async fn deliver_again(
        &self,
        source: &ProcessId,
        key: OutboxKey,
        origin: &Origin,
        destination: &Destination,
    ) -> Result<(), Failure> {
        let push = chain::of(None, &message_id(source, key), 1, 0, self.limits);
        let push = push.map_err(|refused| final_failure(refused.to_string()))?;
        self.deliver_from(&Place { source, key, push, is_marked: false }, origin, destination).await
    }

    async fn deliver_from(&self, place: &Place<'_>, origin: &Origin, destination: &Destination) -> Result<(), Failure> {
        let (Place { source, key, .. }, Origin { entry, computed }) = (place, origin);
        let Some(sent) = computed.sent(key.index) else {
            return Err(final_failure(format!(
                "the outcome of slot {} sends nothing under number {}",
                key.slot, key.index
            )));
        };
        match sent {
            Sent::Message(message) => {
                let id = message_id(source, *key);
                match destination {
                    Destination::Local => self.schedule(place, &message.target, draft(id, source, message)).await,
                    Destination::Remote(url) => self.post(url, &id, message, &place.push).await,
                }
            }
            Sent::Spawn(spawn) => self.spawn(place, computed, spawn).await,
            Sent::Assignment { message, process } => {
                let found = self.known_message(source, entry, message).await?;
                match destination {
                    Destination::Local => self.schedule(place, process, found).await,
                    Destination::Remote(_) => Err(final_failure(format!(
                        "process {process} is not one of this node, and messages are assigned within a node only"
                    ))),
                }
            }
        }
    }

    /// Delivers a message of an outside process. It is known by its id: its result may be pulled twice.
    pub(super) async fn deliver_inline(
        &self,
        source: &ProcessId,
        item: &OutboxItem,
        destination: &Destination,
    ) -> Result<(), Failure> {
        let OutboxItem::Inline { message, id } = item else { return Ok(()) };
        let push = chain::of(None, id, 1, 0, self.limits).map_err(|refused| final_failure(refused.to_string()))?;
        match destination {
            Destination::Remote(url) => self.post(url, id, message, &push).await,
            Destination::Local => {
                let target = self.target(&message.target)?;
                let draft = Draft { push: Some(push), ..draft(id.clone(), source, message) };
                self.hand_over(source, &target, draft).await
            }
        }
    }

    fn target(&self, target: &str) -> Result<ProcessId, Failure> {
        let id = ProcessId::parse(target).map_err(|error| final_failure(format!("the target: {error}")))?;
        if self.hub.environment().store.process(&id).map_err(unread)?.is_some() {
            return Ok(id);
        }
        Err(final_failure(format!("there is no process {target} on this node, and no [[route]] for it")))
    }

    /// Schedules a message to a process of this node, once however often it is tried.
    async fn schedule(&self, place: &Place<'_>, target: &str, draft: Draft) -> Result<(), Failure> {
        let target = self.target(target)?;
        let draft =
            Draft { mark: place.mark(MarkSource::of_process(place.source)), push: Some(place.push.clone()), ..draft };
        self.hand_over(place.source, &target, draft).await
    }

    async fn hand_over(&self, source: &ProcessId, target: &ProcessId, draft: Draft) -> Result<(), Failure> {
        let taken = self.try_to_hand_over(target, &draft).await;
        let is_full = matches!(&taken, Err(Some(error)) if error.is_queue_full());
        let closes_circle = {
            let mut congestion = self.congestion.lock().unwrap_or_else(PoisonError::into_inner);
            if is_full {
                congestion.refused(source, target)
            } else {
                congestion.taken(source, target);
                false
            }
        };
        match taken {
            Err(_) if closes_circle => self.try_to_hand_over(target, &Draft { closes_circle, ..draft }).await,
            taken => taken,
        }
        .map_err(|error| error.map_or_else(|| no_answer(target), |error| refused(&error)))
    }

    /// The error is empty where no answer came in time.
    async fn try_to_hand_over(&self, target: &ProcessId, draft: &Draft) -> Result<(), Option<RequestError>> {
        match tokio::time::timeout(ANSWER_TIME, self.hub.deliver(target, draft)).await {
            Ok(taken) => taken.map(drop).map_err(Some),
            Err(_) => Err(None),
        }
    }

    /// `source` has nothing to deliver any more.
    pub(super) fn idle(&self, source: &ProcessId) {
        self.congestion.lock().unwrap_or_else(PoisonError::into_inner).idle(source);
    }

    /// The chain goes along, so that the other node does not begin it anew.
    async fn post(&self, url: &str, id: &MessageId, message: &SentMessage, push: &PushChain) -> Result<(), Failure> {
        let Some(node) = self.nodes.get(url) else {
            return Err(final_failure(format!("there is no route to {url} any more")));
        };
        match node.schedule(&message.target, id, message, &Chain::default(), Some(push)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_permanent() => Err(final_failure(error.to_string())),
            Err(error @ (Undelivered::Later { .. } | Undelivered::Target(_) | Undelivered::Refused(_))) => {
                Err(Failure::Later { reason: error.to_string(), counts: true })
            }
        }
    }

    /// Creates the process that an outcome asks for, hands it its first message, and tells the parent. Each step can be
    /// repeated.
    async fn spawn(&self, place: &Place<'_>, computed: &Computed, spawn: &Spawn) -> Result<(), Failure> {
        let child = child_id(place.source, place.key);
        self.create(&child, place.source, computed, spawn).await?;
        let (of_child, of_note) = chain::shared(&place.push);
        if !spawn.data.is_empty() {
            let id = MessageId::derived(&[b"first message", child.as_str().as_bytes()]);
            let first = SentMessage {
                target: child.to_string(),
                tags: spawn.tags.clone(),
                data: spawn.data.clone(),
                anchor: spawn.anchor.clone(),
            };
            // Not in its parent's row: messages of later slots may be there before it.
            let mark = Some(place.place_in(row("~first")?));
            let draft = Draft { mark, push: Some(of_child), ..draft(id, place.source, &first) };
            self.hand_over(place.source, &child, draft).await?;
        }
        let tag = |name: &str, value: &str| Tag::new(name, value);
        let told = SentMessage {
            target: place.source.to_string(),
            tags: vec![tag("Action", "Spawned"), tag("Process", child.as_str()), tag("Reference", &spawn.anchor)],
            data: String::new(),
            anchor: spawn.anchor.clone(),
        };
        let id = MessageId::derived(&[b"spawned", child.as_str().as_bytes()]);
        let draft = Draft { mark: place.mark(row("~spawned")?), push: Some(of_note), ..draft(id, &child, &told) };
        self.hand_over(place.source, place.source, draft).await
    }

    /// Creates `child`, unless it was created before: under whatever limits the node had then.
    async fn create(
        &self,
        child: &ProcessId,
        parent: &ProcessId,
        computed: &Computed,
        spawn: &Spawn,
    ) -> Result<(), Failure> {
        let store = &self.hub.environment().store;
        match store.process(child).map_err(unread)? {
            Some(record) if record.origin == ProcessOrigin::Spawned => {
                if store.cron_cursor(child).map_err(unread)?.is_some() {
                    self.hub.watch_cron(child);
                }
                return Ok(());
            }
            Some(_) => return Err(final_failure(format!("process {child} exists already and was not spawned"))),
            None => {}
        }
        self.may_spawn()?;
        let define = self.child(parent, computed, spawn).await?;
        match tokio::time::timeout(ANSWER_TIME, self.hub.define(child, define)).await {
            Ok(defined) => defined.map(drop).map_err(|error| refused(&error)),
            Err(_) => Err(no_answer(child)),
        }
    }

    /// What the child is to be. Its limits are at most its parent's.
    async fn child(&self, parent: &ProcessId, computed: &Computed, spawn: &Spawn) -> Result<Define, Failure> {
        let environment = self.hub.environment();
        if DeviceKind::OPERATOR_ONLY.contains(&spawn.device.as_str()) {
            return Err(refused(&RequestError::DeviceNotAllowed(spawn.device.clone())));
        }
        let Some(device) = DeviceKind::parse(&spawn.device) else {
            let known = DeviceKind::NAMES.join(", ");
            return Err(final_failure(format!("device {:?} is not known, only {known}", spawn.device)));
        };
        let source = code(environment, device, spawn.source.clone(), spawn.module.as_deref()).await;
        let source = source.map_err(|error| match error {
            RequestError::BadRequest(why) => final_failure(why),
            error => Failure::Later { reason: error.to_string(), counts: false },
        })?;
        let entry = environment.store.entry(parent, computed.definition);
        let entry = entry.map_err(unread)?;
        let of_parent = entry.and_then(|entry| serde_json::from_str::<Definition>(&entry.message.data).ok());
        let Some(of_parent) = of_parent else {
            return Err(final_failure(format!(
                "the definition of the parent, slot {}, is missing",
                computed.definition
            )));
        };
        let limits = of_parent.limits.at_most(&environment.defaults.limits);
        let cron = cron::of_process(Vec::new(), &spawn.tags).map_err(|error| final_failure(error.to_string()))?;
        let tags = spawn.tags.clone();
        let specification = Specification { tags, limits, cron, ..Specification::new(device, &source) };
        let definition = environment.resolve(&specification);
        Ok(Define { origin: ProcessOrigin::Spawned, definition, source, from: parent.to_string() })
    }

    /// So many processes a second are spawned; further ones wait.
    fn may_spawn(&self) -> Result<(), Failure> {
        let mut pace = self.spawning.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.take(Instant::now()) {
            return Ok(());
        }
        let reason = format!("limit spawn_rate: {} processes were created in the last second", pace.rate);
        Err(Failure::Later { reason, counts: false })
    }

    /// The message of the source's log that has this id.
    async fn known_message(&self, source: &ProcessId, entry: &Entry, message: &str) -> Result<Draft, Failure> {
        // Most often it is the one that is being handled.
        if entry.message.id.as_str() == message {
            return Ok(assigned(entry.clone()));
        }
        let id = MessageId::parse(message).map_err(|error| final_failure(format!("the assigned message: {error}")))?;
        let store = &self.hub.environment().store;
        let roads = [Road::Client, Road::Push, Road::Cron, Road::Watch, Road::Alert];
        for road in roads {
            if let Some(known) = store.known_id(source, road, &id).map_err(unread)?
                && let Some(entry) = store.entry(source, known.slot).map_err(unread)?
            {
                return Ok(assigned(entry));
            }
        }
        Err(final_failure(format!("message {message} is not known in the log of {source}, so it cannot be assigned")))
    }
}

/// Where an item stands, and what it inherits.
struct Place<'a> {
    source: &'a ProcessId,
    key: OutboxKey,
    push: PushChain,
    /// Whether it is delivered in the order of its row.
    is_marked: bool,
}

impl Place<'_> {
    /// The place in a row, where it is delivered in order.
    fn mark(&self, row: MarkSource) -> Option<Mark> {
        self.is_marked.then(|| self.place_in(row))
    }

    fn place_in(&self, source: MarkSource) -> Mark {
        Mark { source, position: (self.key.slot.0, u64::from(self.key.index)) }
    }
}

/// A row that is no process's.
fn row(name: &str) -> Result<MarkSource, Failure> {
    MarkSource::parse(name).map_err(|error| final_failure(error.to_string()))
}

fn draft(id: MessageId, from: &ProcessId, message: &SentMessage) -> Draft {
    Draft {
        id,
        is_new: false,
        origin: Road::Push,
        from: from.to_string(),
        owner: from.to_string(),
        anchor: message.anchor.clone(),
        tags: message.tags.clone(),
        data: message.data.clone(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

/// A message for another log: as it was, under its own id.
fn assigned(entry: Entry) -> Draft {
    Draft { origin: Road::Push, mark: None, push: None, ..entry.into_draft() }
}

pub(super) fn final_failure(reason: String) -> Failure {
    Failure::Final { reason }
}

/// The store can't be read at present.
pub(super) fn unread(error: ReadError) -> Failure {
    Failure::Later { reason: error.to_string(), counts: false }
}

/// Whether it was taken is not known; taken twice it is not.
pub(super) fn no_answer(process: &ProcessId) -> Failure {
    let reason = format!("process {process} did not answer within {} s; it is asked again", ANSWER_TIME.as_secs());
    Failure::Later { reason, counts: false }
}

/// What a refusal by a process of this node means for a delivery.
pub(super) fn refused(error: &RequestError) -> Failure {
    let reason = error.to_string();
    match error {
        RequestError::BadRequest(_)
        | RequestError::DeviceNotAllowed(_)
        | RequestError::NotFound(_)
        | RequestError::SlotOutOfRange { .. }
        | RequestError::SlotNotComputed { .. }
        | RequestError::IdReused(_)
        | RequestError::Conflict(_)
        | RequestError::TooLarge { .. }
        | RequestError::NotSupported(_)
        | RequestError::InfiniteRecursion { .. }
        | RequestError::WrongGroup { .. } => Failure::Final { reason },
        // It will take messages again: when there is room, when an operator resumed it, when the disk is back.
        RequestError::Overloaded { .. }
        | RequestError::Deadline(_)
        | RequestError::CutOff { .. }
        | RequestError::Halted { .. }
        | RequestError::BaseHalted { .. }
        | RequestError::Unknown(_)
        | RequestError::Store(_)
        | RequestError::LeaderDied { .. } => Failure::Later { reason, counts: false },
        RequestError::Internal(_) => Failure::Later { reason, counts: true },
    }
}

/// An item as a dead letter shows it.
pub(super) fn shown(computed: &Computed, index: u32) -> Json {
    match computed.sent(index) {
        Some(Sent::Message(message)) => shown_message(message),
        Some(Sent::Spawn(spawn)) => {
            serde_json::to_value(spawn).map_or_else(|_| Json::null(), |value| Json::from(&value))
        }
        Some(Sent::Assignment { message, process }) => {
            Json::from(&json!({ "Processes": [process], "Message": message }))
        }
        None => Json::null(),
    }
}

/// A message as a dead letter shows it.
pub(super) fn shown_message(message: &SentMessage) -> Json {
    serde_json::to_value(message).map_or_else(|_| Json::null(), |value| Json::from(&value))
}

/// So many a second, with as many at once.
struct Pace {
    rate: u32,
    left: f64,
    since: Instant,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { rate, left: f64::from(rate), since: Instant::now() }
    }

    fn take(&mut self, now: Instant) -> bool {
        let rate = f64::from(self.rate);
        let gained = now.saturating_duration_since(self.since).as_secs_f64() * rate;
        self.left = (self.left + gained).min(rate);
        self.since = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}
