//! Delivering what is in the outboxes of many sources.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::gates::{Entered, Gates};
use super::lane::{Lane, Step};
use super::source::{Load, Room, Source};
use super::timers::Timers;
use super::{Effect, Failure, Found, Note, PushOptions, Target};
use crate::clock::Millis;
use crate::ids::ProcessId;
use crate::process::OutboxKey;

/// One lane of one source.
type LaneId = (ProcessId, Target);

/// What a timer is for.
#[derive(Debug)]
enum Due {
    /// Another attempt at a lane's first item.
    Attempt(LaneId),
    /// Another read of an outbox.
    Load(ProcessId),
    /// A source waited for room long enough.
    Patience(ProcessId),
}

/// What decides about the deliveries of many sources. Each source's items for one target form a lane: first in, first out, one
/// delivery under way at a time. A target that is slow, full or failing delays its own lanes only.
///
/// It knows no store, no network and no clock: events come in by its methods, effects are taken out with
/// [`take_effects`](Self::take_effects) after each. An event that nothing waits for is passed over. Times are milliseconds on any
/// clock that doesn't run backwards; a `jitter` is any number; it spreads the attempts of those that failed together. What does
/// not fit into memory stays in the store. A source with nothing left costs nothing.
#[derive(Debug)]
pub struct Pushing {
    options: PushOptions,
    sources: BTreeMap<ProcessId, Source>,
    gates: Gates<LaneId>,
    timers: Timers<Due>,
    /// Sources that want to be read.
    line: VecDeque<ProcessId>,
    /// How many are being read.
    loads: usize,
    /// The sum of the sources' places.
    places: usize,
    is_stopped: bool,
    effects: Vec<Effect>,
}

impl Pushing {
    /// Nothing to deliver yet.
    pub fn new(options: PushOptions) -> Self {
        Self {
            options,
            sources: BTreeMap::new(),
            gates: Gates::new(options.in_flight_local, options.in_flight),
            timers: Timers::new(),
            line: VecDeque::new(),
            loads: 0,
            places: 0,
            is_stopped: false,
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last call, in order.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.effects.extend(self.timers.announce().map(Effect::WakeAt));
        std::mem::take(&mut self.effects)
    }

    /// How many sources have something to deliver, or may have.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// How many places are taken; see [`PushOptions::window_total`].
    pub fn places(&self) -> usize {
        self.places
    }

    /// How many deliveries are under way.
    pub fn in_flight(&self) -> usize {
        self.gates.under_way()
    }

    /// There is something in the outbox of `source`, or something new: with keys after all that were there before.
    pub fn wake(&mut self, source: &ProcessId, now: Millis) {
        if !self.is_stopped {
            self.sources.entry(source.clone()).or_insert_with(Source::new).has_new();
            self.settle(source, now);
        }
    }

    /// A read is done: it found `items`, in order, and there may be further ones behind them.
    pub fn loaded(&mut self, source: &ProcessId, items: Vec<Found>, has_more: bool, now: Millis) {
        let Some(after) = self.end_load(source) else { return };
        let room = self.room(source);
        let Some(one) = self.sources.get_mut(source).filter(|_| !self.is_stopped) else { return };
        let before = one.places();
        one.trouble.end();
        let taken = one.take_page(after, items, has_more, room, |to| self.gates.is_open(to));
        one.forget_removed();
        self.places = (self.places + one.places()).saturating_sub(before);
        if taken.is_crowded {
            self.effects.push(Effect::Note(Note::Crowded { source: source.clone() }));
        }
        for lane in taken.gone {
            self.let_go(&lane);
        }
        for target in taken.fresh {
            self.start((source.clone(), target));
        }
        self.settle(source, now);
    }

    /// The outbox could not be read.
    pub fn load_failed(&mut self, source: &ProcessId, reason: String, jitter: u16, now: Millis) {
        if self.end_load(source).is_none() || self.is_stopped {
            return;
        }
        self.change(source, Source::forget_removed);
        let Some(one) = self.sources.get_mut(source) else { return };
        let next = now.saturating_add(one.trouble.grow(jitter));
        one.load = Load::Blocked(self.timers.set(next, Due::Load(source.clone())));
        if let Some(failures) = one.trouble.noted() {
            self.effects.push(Effect::Note(Note::LoadFailing { source: source.clone(), reason, failures, next }));
        }
        self.settle(source, now);
    }

    /// An item was delivered.
    pub fn delivered(&mut self, source: &ProcessId, key: OutboxKey, now: Millis) {
        let Some((target, lane)) = self.end_delivery(source, key) else { return };
        let failures = lane.trouble.end();
        if failures > 0 {
            let note = Note::Recovered { source: source.clone(), target: target.clone(), failures };
            self.effects.push(Effect::Note(note));
        }
        self.effects.push(Effect::Sent { source: source.clone(), key });
        self.pop(source, &target);
        self.start((source.clone(), target));
        self.settle(source, now);
    }

    /// An attempt at an item failed.
    pub fn failed(&mut self, source: &ProcessId, key: OutboxKey, failure: Failure, jitter: u16, now: Millis) {
        let attempts = self.options.attempts;
        let Some((target, lane)) = self.end_delivery(source, key) else { return };
        lane.tries = lane.tries.saturating_add(1);
        let (reason, counts) = match failure {
            Failure::Final { reason } => {
                lane.trouble.end();
                self.bury(source, key, &target, reason);
                self.start((source.clone(), target));
                return self.settle(source, now);
            }
            Failure::Later { reason, counts } => (reason, counts),
        };
        lane.counted = lane.counted.saturating_add(u32::from(counts));
        let is_last = lane.counted >= attempts.max(1);
        let next = now.saturating_add(lane.trouble.grow(jitter));
        if let Some(failures) = lane.trouble.noted() {
            let (source, target, reason) = (source.clone(), target.clone(), reason.clone());
            self.effects.push(Effect::Note(Note::Failing { source, target, reason, failures, next }));
        }
        if is_last {
            self.bury(source, key, &target, format!("{reason}; limit push.attempts: {attempts} attempts were made"));
        }
        self.block((source.clone(), target), next);
        self.settle(source, now);
    }

    /// An item that was delivered or buried is no longer in the store.
    pub fn removed(&mut self, source: &ProcessId, key: OutboxKey, now: Millis) {
        self.change(source, |one| one.removed(key));
        self.settle(source, now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Millis) {
        while let Some((timer, due)) = self.timers.take(now) {
            match due {
                Due::Attempt(id) => {
                    if let Some(lane) = self.lane(&id).filter(|lane| lane.step == Step::Blocked(timer)) {
                        lane.step = Step::Resting;
                        self.start(id);
                    }
                }
                Due::Load(source) => {
                    if let Some(one) = self.sources.get_mut(&source) {
                        one.load = Load::None;
                    }
                    self.settle(&source, now);
                }
                Due::Patience(source) => {
                    if let Some(one) = self.sources.get_mut(&source) {
                        one.patience = None;
                        one.lose_patience();
                    }
                    self.settle(&source, now);
                }
            }
        }
    }

    /// Begins nothing any more: no delivery, no read. What is under way can still be answered.
    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.gates.send_away();
        self.timers.clear();
        self.line.clear();
    }

    /// Changes what a source holds.
    fn change(&mut self, source: &ProcessId, act: impl FnOnce(&mut Source)) {
        if let Some(one) = self.sources.get_mut(source) {
            let before = one.places();
            act(one);
            self.places = (self.places + one.places()).saturating_sub(before);
        }
    }

    /// The read of a source is over. Returns after which key it began.
    fn end_load(&mut self, source: &ProcessId) -> Option<Option<OutboxKey>> {
        let after = self.sources.get_mut(source)?.end_load()?;
        self.loads = self.loads.saturating_sub(1);
        Some(after)
    }

    /// The delivery of an item is over: another may go in its place.
    fn end_delivery(&mut self, source: &ProcessId, key: OutboxKey) -> Option<(Target, &mut Lane)> {
        let one = self.sources.get_mut(source)?;
        let target = one.under_way.remove(&key)?;
        let lane = one.lane_mut(&target)?;
        lane.step = Step::Resting;
        if let Some(next) = self.gates.leave(&lane.destination.clone()) {
            self.deliver(&next);
        }
        let lane = self.sources.get_mut(source)?.lane_mut(&target)?;
        Some((target, lane))
    }

    /// Has the first item of a lane delivered as soon as it is its turn.
    fn start(&mut self, id: LaneId) {
        if self.is_stopped {
            return;
        }
        let Some(lane) = self.sources.get_mut(&id.0).and_then(|one| one.lane_mut(&id.1)) else { return };
        if lane.step != Step::Resting || lane.len() == 0 {
            return;
        }
        match self.gates.enter(&lane.destination, id.clone()) {
            Entered::Go => self.deliver(&id),
            Entered::Wait(ticket) => lane.step = Step::Waiting(ticket),
        }
    }

    fn deliver(&mut self, (source, target): &LaneId) {
        let Some(one) = self.sources.get_mut(source) else { return };
        let Some(lane) = one.lane_mut(target) else { return };
        let Some(key) = lane.first() else { return };
        lane.step = Step::UnderWay;
        let (destination, attempt) = (lane.destination.clone(), lane.tries.saturating_add(1));
        one.under_way.insert(key, target.clone());
        let (source, target) = (source.clone(), target.clone());
        self.effects.push(Effect::Deliver { source, key, target, destination, attempt });
    }

    fn bury(&mut self, source: &ProcessId, key: OutboxKey, target: &Target, error: String) {
        let attempts = self.lane(&(source.clone(), target.clone())).map_or(0, |lane| lane.tries);
        let target = target.clone();
        self.effects.push(Effect::Bury { source: source.clone(), key, target: target.clone(), error, attempts });
        self.pop(source, &target);
    }

    fn pop(&mut self, source: &ProcessId, target: &str) {
        self.change(source, |one| one.pop(target));
    }

    /// Nothing of a lane is tried until then, and all but its first item is left to the store.
    fn block(&mut self, id: LaneId, until: Millis) {
        if self.is_stopped {
            return;
        }
        self.change(&id.0, |one| one.give_back(&id.1));
        if let Some(lane) = self.sources.get_mut(&id.0).and_then(|one| one.lane_mut(&id.1)) {
            lane.step = Step::Blocked(self.timers.set(until, Due::Attempt(id)));
        }
    }

    /// A lane is gone: nobody waits for it any more.
    fn let_go(&mut self, lane: &Lane) {
        match lane.step {
            Step::Blocked(timer) => self.timers.cancel(timer),
            Step::Waiting(ticket) => self.gates.give_up(&lane.destination, ticket),
            Step::Resting | Step::UnderWay => {}
        }
    }

    /// After whatever happened to a source: has it read if that is of use, lets it wait for room, or forgets it.
    fn settle(&mut self, source: &ProcessId, now: Millis) {
        let room = self.room(source);
        if let Some(one) = self.sources.get_mut(source).filter(|_| !self.is_stopped) {
            one.use_room(room);
            if one.load == Load::None && one.next_load(room).is_some() {
                one.load = Load::InLine;
                self.line.push_back(source.clone());
            }
            match (one.patience(), one.patience) {
                (Some(wait), None) => {
                    let due = Due::Patience(source.clone());
                    one.patience = Some(self.timers.set(now.saturating_add(wait), due));
                }
                (None, Some(timer)) => {
                    self.timers.cancel(timer);
                    one.patience = None;
                }
                _ => {}
            }
            if one.is_over() {
                self.sources.remove(source);
                self.effects.push(Effect::Idle(source.clone()));
            }
        }
        self.read();
    }

    /// Reads the outboxes of those in line, as many at a time as may be.
    fn read(&mut self) {
        while !self.is_stopped
            && self.loads < self.options.loads.max(1)
            && let Some(source) = self.line.pop_front()
        {
            let room = self.room(&source);
            let Some(one) = self.sources.get_mut(&source) else { continue };
            if let Some(after) = one.begin_load(room) {
                self.loads += 1;
                self.effects.push(Effect::Load { source, after, limit: self.options.page.max(1) });
            }
        }
    }

    fn room(&self, source: &ProcessId) -> Room {
        let own = self.sources.get(source).map_or(0, Source::places);
        Room { others: self.places.saturating_sub(own), options: self.options }
    }

    fn lane(&mut self, (source, target): &LaneId) -> Option<&mut Lane> {
        self.sources.get_mut(source)?.lane_mut(target)
    }
}
