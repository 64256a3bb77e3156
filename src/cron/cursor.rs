//! What was handled already.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::entry::EntryHash;
use super::error::{CronError, shown};
use crate::clock::Millis;

/// How far up to now the ticks of each entry were handled, and from where its intervals count.
///
/// As text: `cron1`, then for each entry `;hash,origin,handled`, in milliseconds, in the order of the hashes. An entry whose
/// cursor stood in the future has the two numbers of that cursor behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(super) marks: BTreeMap<EntryHash, Mark>,
}

/// One entry's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub place: Place,
    /// The place that a reset left, which lies in the future.
    pub parked: Option<Place>,
}

/// Everything up to `handled` is done; intervals count from `origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub origin: Millis,
    pub handled: Millis,
}

/// How far a cursor may be ahead of the clock before it is reset.
const MOST_AHEAD: Millis = 3_600_000;

/// What a cursor's text begins with.
const VERSION: &str = "cron1";

impl Mark {
    /// Of an entry that was never asked for.
    pub fn new(origin: Millis, handled: Millis) -> Self {
        Self { place: Place { origin, handled }, parked: None }
    }

    /// Copes with a clock that was set. A place up to an hour ahead of it waits. One further ahead is parked, and the entry
    /// goes on from now; when the clock has come to the parked place it goes on from there. So neither a wrong clock nor its
    /// correction stops an entry or floods it. Says whether a place was parked.
    pub fn follow(&mut self, now: Millis) -> bool {
        if let Some(parked) = self.parked.take_if(|parked| parked.handled <= now)
            && parked.handled > self.place.handled
        {
            self.place = parked;
        }
        let is_ahead = self.place.handled > now.saturating_add(MOST_AHEAD);
        if is_ahead {
            let left = self.place;
            self.parked = Some(self.parked.filter(|parked| parked.handled > left.handled).unwrap_or(left));
            self.place = Place { origin: left.origin.min(now), handled: now };
        }
        is_ahead
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        for (hash, mark) in &self.marks {
            write!(f, ";{hash},{},{}", mark.place.origin, mark.place.handled)?;
            if let Some(parked) = mark.parked {
                write!(f, ",{},{}", parked.origin, parked.handled)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let mut parts = text.split(';');
        if parts.next() != Some(VERSION) {
            return Err(refused(format!("it begins with {:?}, expected {VERSION:?}", shown(text))));
        }
        let mut cursor = Self::default();
        for part in parts {
            let (hash, mark) = read(part)?;
            if cursor.marks.insert(hash, mark).is_some() {
                return Err(refused(format!("entry {hash} comes twice")));
            }
        }
        Ok(cursor)
    }
}

fn read(part: &str) -> Result<(EntryHash, Mark), CronError> {
    let (hash, places) = part.split_once(',').unwrap_or((part, ""));
    let hash = hash.parse()?;
    let bad = || refused(format!("entry {hash} has {:?}, expected two or four numbers", shown(places)));
    let numbers: Vec<&str> = places.splitn(5, ',').collect();
    let number = |text: &str| text.parse::<Millis>().map_err(|_| bad());
    let place = |origin, handled| Ok(Place { origin: number(origin)?, handled: number(handled)? });
    let mark = match numbers[..] {
        [origin, handled] => Mark { place: place(origin, handled)?, parked: None },
        [origin, handled, parked_origin, parked] => {
            Mark { place: place(origin, handled)?, parked: Some(place(parked_origin, parked)?) }
        }
        _ => return Err(bad()),
    };
    Ok((hash, mark))
}

fn refused(reason: String) -> CronError {
    CronError::Cursor { reason }
}
