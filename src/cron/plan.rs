//! All entries of a process, and which of their ticks are due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::cursor::{Cursor, Mark};
use super::entry::{Entry, EntryHash, Missed, check};
use super::error::CronError;
use super::interval::LAST;
use crate::clock::Millis;

/// The most ticks of one entry that are made up for where all missed ones are wanted.
const MOST_MISSED: u64 = 10_000;

/// How late a tick may be, in milliseconds, where missed ones are not wanted.
const GRACE: Millis = 60_000;

/// The entries of a process by the definition in force.
#[derive(Clone, Debug)]
pub struct Plan {
    entries: BTreeMap<EntryHash, Entry>,
    origin: Millis,
}

/// One due time of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick {
    /// When it is due, by the schedule. Never later than the time it was asked for.
    pub due: Millis,
    /// Whose tick it is.
    pub entry: EntryHash,
}

/// What there is to send, and where that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Due {
    /// What to send, by due time, then by entry.
    pub ticks: Vec<Tick>,
    /// The cursor to store once the ticks are scheduled. It knows the entries of the plan, no others.
    pub next_cursor: Cursor,
    /// The first due time that remains. It has passed already where the limit cut the ticks off.
    pub next_due: Option<Millis>,
    /// Missed ticks that were left out because their entries want it so.
    pub skipped: u64,
    /// Missed ticks that were left out because there were too many.
    pub capped: u64,
    /// Whether the cursor of some entry was more than an hour ahead of now, and was set to now. From here on the entry may
    /// have due times that it already had; their ids are the same.
    pub was_reset: bool,
}

impl Plan {
    /// A plan of `entries`, of which those that a cursor does not know begin at `origin`: the time of the definition's slot.
    /// At most 100 entries, no two of them equal.
    pub fn new(entries: Vec<Entry>, origin: Millis) -> Result<Self, CronError> {
        check(&entries)?;
        let entries = entries.into_iter().map(|entry| (entry.content_hash(), entry)).collect();
        Ok(Self { entries, origin })
    }

    /// The entry that a tick belongs to.
    pub fn entry(&self, hash: &EntryHash) -> Option<&Entry> {
        self.entries.get(hash)
    }

    /// Every entry with its name and its next due time by `cursor`, in the order of the names.
    pub fn entries<'p>(
        &'p self,
        cursor: &'p Cursor,
    ) -> impl Iterator<Item = (EntryHash, &'p Entry, Option<Millis>)> + 'p {
        self.entries.iter().map(|(hash, entry)| {
            let place = self.mark(cursor, *hash, entry).place;
            (*hash, entry, entry.next_after(place.origin, place.handled))
        })
    }

    /// What is due at `now` after what `cursor` knows, at most `limit` ticks (0 yields none and only looks).
    ///
    /// The same cursor, time and limit yield the same. A cursor that is up to an hour ahead of `now` yields nothing before
    /// the clock has caught up with it.
    pub fn due(&self, cursor: &Cursor, now: Millis, limit: usize) -> Due {
        let now = now.min(LAST);
        let mut due = Due {
            ticks: Vec::new(),
            next_cursor: Cursor::default(),
            next_due: None,
            skipped: 0,
            capped: 0,
            was_reset: false,
        };
        let mut coming = BinaryHeap::new();
        for (hash, entry) in &self.entries {
            let mut mark = self.mark(cursor, *hash, entry);
            due.was_reset |= mark.follow(now);
            let left_out = leave_out(entry, &mut mark, now);
            match entry.missed {
                Missed::All => due.capped += left_out,
                Missed::Latest | Missed::None => due.skipped += left_out,
            }
            coming.extend(next_tick(*hash, entry, &mark).map(Reverse));
            due.next_cursor.marks.insert(*hash, mark);
        }
        while due.ticks.len() < limit
            && let Some(Reverse(tick)) = coming.peek().copied().filter(|Reverse(tick)| tick.due <= now)
        {
            coming.pop();
            due.ticks.push(tick);
            if let (Some(mark), Some(entry)) =
                (due.next_cursor.marks.get_mut(&tick.entry), self.entries.get(&tick.entry))
            {
                mark.place.handled = tick.due;
                coming.extend(next_tick(tick.entry, entry, mark).map(Reverse));
            }
        }
        due.next_due = coming.peek().map(|Reverse(tick)| tick.due);
        due
    }

    /// The cursor with which the plan takes over from another one that stood at `cursor`: entries that both have keep
    /// their places, new ones begin at the origin, those that are gone are left out. No tick is passed over.
    pub fn adopt(&self, cursor: &Cursor) -> Cursor {
        let marks = self.entries.iter().map(|(hash, entry)| (*hash, self.mark(cursor, *hash, entry)));
        Cursor { marks: marks.collect() }
    }

    fn mark(&self, cursor: &Cursor, hash: EntryHash, entry: &Entry) -> Mark {
        cursor.marks.get(&hash).copied().unwrap_or_else(|| Mark::new(self.origin, entry.start(self.origin)))
    }
}

fn next_tick(hash: EntryHash, entry: &Entry, mark: &Mark) -> Option<Tick> {
    let due = entry.next_after(mark.place.origin, mark.place.handled)?;
    Some(Tick { due, entry: hash })
}

/// Moves the mark past those missed ticks that are not to be sent, and says how many they were.
fn leave_out(entry: &Entry, mark: &mut Mark, now: Millis) -> u64 {
    let next = |mark: &Mark| entry.next_after(mark.place.origin, mark.place.handled).filter(|due| *due <= now);
    if next(mark).is_none() {
        return 0;
    }
    let pending = entry.count(mark.place.origin, mark.place.handled, now);
    let most = if entry.missed == Missed::All { MOST_MISSED } else { 1 };
    if pending > most {
        mark.place.handled = keep_last(entry, mark, now, most);
    }
    let mut left_out = pending.saturating_sub(most);
    if entry.missed == Missed::None
        && let Some(last) = next(mark).filter(|last| *last < now.saturating_sub(GRACE))
    {
        mark.place.handled = last;
        left_out += 1;
    }
    left_out
}

/// The first time after which no more than `most` due times come up to `now`: the due time of the last tick that is left out.
///
/// Halving towards `now` makes each count about half as long as the one before.
fn keep_last(entry: &Entry, mark: &Mark, now: Millis, most: u64) -> Millis {
    let (mut too_early, mut found) = (mark.place.handled, now);
    while found - too_early > 1 {
        let middle = too_early + (found - too_early) / 2;
        if entry.count(mark.place.origin, middle, now) > most {
            too_early = middle;
        } else {
            found = middle;
        }
    }
    found
}
