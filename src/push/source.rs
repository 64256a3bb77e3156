//! What is known of one source's outbox, and which part of it is in memory.
//!
//! The outbox is scanned from its beginning to its *frontier*, behind which the scan goes on when there is something new. A lane
//! that is full passes its further items over and reads them later from where it stopped. Where there is no place for a further
//! target the scan pauses until there is. If none comes, it goes on, and targets that can't be delivered to now are *left behind*:
//! nothing of them is taken in until the next *lap*, a scan that starts over at the first item left behind. So items of one
//! target are always taken in in order, and a target that takes nothing keeps no place for long from one that does.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::lane::Lane;
use super::timers::TimerId;
use super::trouble::Trouble;
use super::{Destination, Found, PushOptions, Target};
use crate::clock::Millis;
use crate::process::OutboxKey;

/// Whether the outbox is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Nobody reads, nobody is about to.
    None,
    /// In line for a read.
    InLine,
    /// A read after that key is under way.
    UnderWay(Option<OutboxKey>),
    /// The last read failed; the next one is due later.
    Blocked(TimerId),
}

/// The room that a source has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The places that the other sources take.
    pub(super) others: usize,
    pub(super) options: PushOptions,
}

impl Room {
    /// Whether a source that takes `places` may take `more` besides.
    fn has(&self, places: usize, more: usize) -> bool {
        let fits_all = self.others.saturating_add(places).saturating_add(more) <= self.options.window_total;
        places.saturating_add(more) <= self.options.window.max(1) && (fits_all || places == 0)
    }

    /// The most items of one lane.
    fn depth(&self) -> usize {
        (self.options.window / 4).max(1)
    }

    /// So much room makes it worth while to read on.
    fn is_plenty(&self, places: usize) -> bool {
        self.has(places, self.depth())
    }
}

/// The targets for which there was no place.
#[derive(Debug)]
struct LeftBehind {
    /// Their items all lie after this key.
    after: Option<OutboxKey>,
    /// Hashes of the targets. Two with the same hash only wait for each other's lap.
    targets: HashSet<u64>,
}

/// What the scan does where there is no place for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// It will pause.
    Going,
    /// It did.
    Paused,
    /// It leaves that target behind, or another one that has a place and can't be delivered to now.
    Leaving,
    /// No more targets can be left behind: the next lap has to come.
    Full,
}

/// The scan waits so long for room before it leaves targets behind.
const PATIENCE: Millis = 1_000;

/// So long after a scan that left targets behind the next lap begins, room or not.
const LAP_AFTER: Millis = 5_000;

/// What a page brought.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Lanes that have a first item now and had none.
    pub(super) fresh: Vec<Target>,
    /// Lanes that are no longer: they gave their place away, to be found again in the next lap, or nothing is left for them.
    pub(super) gone: Vec<Lane>,
    /// Whether these were the first for which there was no place since there was place for all.
    pub(super) is_crowded: bool,
}

/// A source that has something to deliver, or may have.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) load: Load,
    pub(super) trouble: Trouble,
    /// When it goes on though there is no room.
    pub(super) patience: Option<TimerId>,
    /// What is being delivered.
    pub(super) under_way: BTreeMap<OutboxKey, Target>,
    lanes: BTreeMap<Target, Lane>,
    /// What is done and perhaps still in the store. Set where the removal is done but a read that began before is not.
    removing: BTreeMap<OutboxKey, bool>,
    /// The sum of the lanes' places.
    in_lanes: usize,
    frontier: Option<OutboxKey>,
    /// Whether there may be something after the frontier.
    has_more: bool,
    /// Whether something new came while the outbox was being read.
    has_news: bool,
    scan: Scan,
    left_behind: Option<LeftBehind>,
    was_crowded: bool,
}

impl Source {
    /// A source of which nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            load: Load::None,
            trouble: Trouble::none(),
            patience: None,
            under_way: BTreeMap::new(),
            lanes: BTreeMap::new(),
            removing: BTreeMap::new(),
            in_lanes: 0,
            frontier: None,
            has_more: true,
            has_news: false,
            scan: Scan::Going,
            left_behind: None,
            was_crowded: false,
        }
    }

    /// The places that it takes.
    pub(super) fn places(&self) -> usize {
        self.in_lanes + self.removing.len()
    }

    pub(super) fn lane_mut(&mut self, target: &str) -> Option<&mut Lane> {
        self.lanes.get_mut(target)
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        let is_read = self.load == Load::None && !self.has_more && self.left_behind.is_none();
        is_read && self.lanes.is_empty() && self.removing.is_empty()
    }

    /// There is something new in its outbox.
    pub(super) fn has_new(&mut self) {
        self.has_more = true;
        self.has_news = true;
    }

    /// The first item of a lane is done; what is left to do is its removal.
    pub(super) fn pop(&mut self, target: &str) {
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let places = lane.places();
        if let Some(key) = lane.pop() {
            self.removing.insert(key, false);
        }
        if lane.is_over() {
            self.lanes.remove(target);
            self.in_lanes -= places;
        } else {
            self.in_lanes -= places - lane.places();
        }
    }

    /// The lane leaves all but its first item to the store.
    pub(super) fn give_back(&mut self, target: &str) {
        if let Some(lane) = self.lanes.get_mut(target) {
            self.in_lanes -= lane.give_back();
        }
    }

    /// The item is no longer in the store.
    pub(super) fn removed(&mut self, key: OutboxKey) {
        if !matches!(self.load, Load::UnderWay(_)) {
            self.removing.remove(&key);
        } else if let Some(is_done) = self.removing.get_mut(&key) {
            *is_done = true;
        }
    }

    /// After which key the next read has to begin, if one is of use.
    pub(super) fn next_load(&self, room: Room) -> Option<Option<OutboxKey>> {
        let places = self.places();
        let goes_on = self.has_more && matches!(self.scan, Scan::Going | Scan::Leaving);
        let half = (room.depth() / 2).max(1);
        let is_roomy = room.has(places, half);
        let wants_more = |lane: &Lane| match lane.len() {
            _ if !lane.has_more() => false,
            // Its place is its own. What is about to be removed makes room for more than one item.
            0 => is_roomy || self.removing.is_empty(),
            items => is_roomy && items < half && !lane.is_blocked(),
        };
        let lanes = self.lanes.values().filter(|lane| wants_more(lane)).map(|lane| Some(lane.upto()));
        lanes.chain(goes_on.then_some(self.frontier)).min()
    }

    /// A read begins. Returns the key after which.
    pub(super) fn begin_load(&mut self, room: Room) -> Option<Option<OutboxKey>> {
        let after = self.next_load(room);
        self.load = after.map_or(Load::None, Load::UnderWay);
        self.has_news = false;
        after
    }

    /// A read is over. Returns the key after which it began.
    pub(super) fn end_load(&mut self) -> Option<Option<OutboxKey>> {
        let Load::UnderWay(after) = self.load else { return None };
        self.load = Load::None;
        Some(after)
    }

    /// What was removed from the store can no longer be found by a read.
    pub(super) fn forget_removed(&mut self) {
        self.removing.retain(|_, is_done| !*is_done);
    }

    /// How long it waits for room, in milliseconds, if it does.
    pub(super) fn patience(&self) -> Option<Millis> {
        match self.scan {
            Scan::Paused => Some(PATIENCE),
            _ => self.awaits_lap().then_some(LAP_AFTER),
        }
    }

    /// Goes on if it waits for room and there is some.
    pub(super) fn use_room(&mut self, room: Room) {
        if self.load == Load::None && self.patience().is_some() && room.is_plenty(self.places()) {
            self.go_on(Scan::Going);
        }
    }

    /// Goes on if it waits for room: it waited long enough. While the outbox is being read it has to wait on.
    pub(super) fn lose_patience(&mut self) {
        if self.load == Load::None && self.patience().is_some() {
            self.go_on(Scan::Leaving);
        }
    }

    /// Goes on as `scan`, or starts over at the first of those left behind.
    fn go_on(&mut self, scan: Scan) {
        if !self.awaits_lap() {
            self.scan = scan;
            return;
        }
        self.frontier = self.left_behind.take().and_then(|left| left.after);
        self.has_more = true;
        self.scan = Scan::Going;
    }

    /// Whether targets were left behind and the scan is over.
    fn awaits_lap(&self) -> bool {
        self.left_behind.is_some() && (!self.has_more || self.scan == Scan::Full)
    }

    /// Takes in what a read after `after` found. `is_open` tells whether a delivery to a destination could begin at once.
    pub(super) fn take_page(
        &mut self,
        after: Option<OutboxKey>,
        items: Vec<Found>,
        has_more: bool,
        room: Room,
        is_open: impl Fn(&Destination) -> bool,
    ) -> Taken {
        let reaches = after <= self.frontier;
        let has_more = has_more && !items.is_empty();
        let mut page = Page { after, seen: after, reaches, room, refused: BTreeSet::new(), taken: Taken::default() };
        let mut stops = false;
        for found in items {
            let key = found.key;
            if Some(key) <= page.seen {
                continue;
            }
            if !self.removing.contains_key(&key) && !self.take(found, &mut page, &is_open) {
                // It lies beyond the frontier, and nothing that the store still holds lies between.
                page.seen = page.seen.max(self.frontier);
                stops = true;
                break;
            }
            page.seen = Some(key);
        }
        self.end_page(&mut page, has_more || stops);
        page.taken
    }

    /// Whether a place that a lane has may be used for another item. If too many places are taken, what is to be removed goes first.
    fn can_refill(&self, room: Room) -> bool {
        room.has(self.places(), 0) || self.removing.is_empty()
    }

    /// Takes in one item or passes it over. False where the scan can't go on.
    fn take(&mut self, found: Found, page: &mut Page, is_open: &impl Fn(&Destination) -> bool) -> bool {
        let places = self.places();
        let can_refill = self.can_refill(page.room);
        let Some(lane) = self.lanes.get_mut(&found.target) else {
            // Whatever lies before the frontier and has no lane was left behind.
            return !(page.reaches && Some(found.key) > self.frontier) || self.open_lane(found, page, is_open);
        };
        let is_new = found.key > lane.upto() && page.covers(lane) && !page.refused.contains(&found.target);
        if !is_new {
            return true;
        }
        let was_empty = lane.len() == 0;
        let fits = if was_empty {
            can_refill
        } else {
            !lane.is_blocked() && lane.len() < page.room.depth() && page.room.has(places, 1)
        };
        if fits {
            self.in_lanes -= lane.places();
            lane.push(found.key);
            self.in_lanes += lane.places();
            if was_empty {
                page.taken.fresh.push(found.target);
            }
        } else {
            lane.pass_over_after(page.seen);
            page.refused.insert(found.target);
        }
        true
    }

    /// Makes a lane of the first item of a target, or leaves the target behind. False where the scan stops instead.
    fn open_lane(&mut self, found: Found, page: &mut Page, is_open: &impl Fn(&Destination) -> bool) -> bool {
        let name = name_of(&found.target);
        if self.left_behind.as_ref().is_some_and(|left| left.targets.contains(&name)) {
            return true;
        }
        let mut trouble = Trouble::none();
        if !page.room.has(self.places(), 1) && !self.shorten_a_lane(page) {
            let is_leaving = self.scan == Scan::Leaving && self.can_refill(page.room);
            let can_go = is_open(&found.destination);
            match self.forgettable(can_go).filter(|_| is_leaving) {
                Some(target) => match self.forget(&target, page) {
                    Some(forgotten) => trouble = forgotten,
                    None => return false,
                },
                None if is_leaving && !can_go && found.destination != Destination::Local => {
                    return self.leave_behind(name, page.seen, page);
                }
                None => {
                    self.scan = Scan::Paused;
                    return false;
                }
            }
        }
        let lane = Lane::new(found.destination, found.key, page.seen, trouble);
        self.in_lanes += lane.places();
        self.lanes.insert(found.target.clone(), lane);
        page.taken.fresh.push(found.target);
        true
    }

    /// Makes room: a lane with several items keeps the first.
    fn shorten_a_lane(&mut self, page: &mut Page) -> bool {
        let Some((target, lane)) = self.lanes.iter_mut().find(|(_, lane)| lane.len() > 1) else { return false };
        self.in_lanes -= lane.give_back();
        page.refused.insert(target.clone());
        true
    }

    /// A lane that can be forgotten for one that has something to deliver: one that is blocked, or one that waits for its turn where
    /// the other one need not.
    fn forgettable(&self, can_go: bool) -> Option<Target> {
        let mut lanes = self.lanes.iter().filter(|(_, lane)| lane.is_forgettable());
        let waiting = lanes.clone().find(|_| can_go);
        lanes.find(|(_, lane)| lane.is_blocked()).or(waiting).map(|(target, _)| target.clone())
    }

    /// Makes room: a lane that can't deliver now is left behind. Returns how patient the one that takes its place has to be, lest
    /// those that never succeed, by taking turns, be tried more often than by staying; nothing where no more targets can be
    /// remembered.
    fn forget(&mut self, target: &str, page: &mut Page) -> Option<Trouble> {
        let done = self.lanes.get(target).and_then(Lane::done);
        if !self.leave_behind(name_of(target), done, page) {
            return None;
        }
        let lane = self.lanes.remove(target)?;
        self.in_lanes -= lane.places();
        let trouble = lane.trouble.passed_on();
        page.taken.gone.push(lane);
        Some(trouble)
    }

    /// Remembers that something of this target lies after `after`. False where no more targets can be remembered.
    fn leave_behind(&mut self, name: u64, after: Option<OutboxKey>, page: &mut Page) -> bool {
        let max = page.room.options.left_behind;
        let left = self.left_behind.get_or_insert_with(|| LeftBehind { after, targets: HashSet::new() });
        if left.targets.len() >= max {
            self.scan = Scan::Full;
            return false;
        }
        left.targets.insert(name);
        left.after = left.after.min(after);
        page.taken.is_crowded |= !std::mem::replace(&mut self.was_crowded, true);
        true
    }

    /// Draws the conclusions: how far the outbox and each lane are known now.
    fn end_page(&mut self, page: &mut Page, has_more: bool) {
        if page.reaches {
            let is_beyond = page.seen >= self.frontier;
            self.frontier = self.frontier.max(page.seen);
            self.has_more = self.has_news || (has_more && (is_beyond || self.has_more));
        }
        if self.left_behind.is_none() && !self.has_more {
            (self.scan, self.was_crowded) = (Scan::Going, false);
        }
        for (target, lane) in &mut self.lanes {
            if lane.has_more() && page.covers(lane) && !page.refused.contains(target) {
                lane.saw(page.seen);
                if !has_more || (page.reaches && Some(lane.upto()) >= self.frontier) {
                    lane.has_no_more();
                }
            }
        }
        for (_, lane) in self.lanes.extract_if(.., |_, lane| lane.is_over()) {
            self.in_lanes -= lane.places();
            page.taken.gone.push(lane);
        }
    }

    /// For how many things it has a timer.
    #[cfg(test)]
    pub(super) fn timers(&self) -> usize {
        let lanes = self.lanes.values().filter(|lane| lane.is_blocked()).count();
        lanes + usize::from(matches!(self.load, Load::Blocked(_))) + usize::from(self.patience.is_some())
    }
}

/// A page while it is taken in.
struct Page {
    /// It holds all there is from here
    after: Option<OutboxKey>,
    /// to here.
    seen: Option<OutboxKey>,
    /// Whether it goes on where the scan stopped, or begins before.
    reaches: bool,
    room: Room,
    /// Lanes that nothing more may be added to, as an item of theirs in this page was passed over.
    refused: BTreeSet<Target>,
    taken: Taken,
}

impl Page {
    /// Whether nothing of the lane lies between what it knows and the page.
    fn covers(&self, lane: &Lane) -> bool {
        Some(lane.upto()) >= self.after || (!lane.has_more() && self.reaches)
    }
}

fn name_of(target: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    hasher.finish()
}
