//! The rounds of one monitor. A round begins with a tick and takes page after page until there is no more.

use std::time::Duration;

use crate::clock::Millis;

/// After an error the next round begins after this time, twice as long after each further error.
const FIRST_WAIT: Millis = 500;
/// The longest wait after an error.
const LONGEST_WAIT: Millis = 300_000;
/// An error is logged at most so often.
const LOG_PERIOD: Millis = 60_000;
/// A round that takes longer is ended; the rest is for the next one.
pub(super) const LONGEST_ROUND: Millis = 60_000;

/// How a monitor goes its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundsOptions {
    /// The longest time from one round to the next where nothing fails.
    pub rate: Duration,
    /// The most pages of a round.
    pub pages_per_tick: usize,
}

/// What a tick comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Tick {
    /// A round begins: pull a page.
    Pull,
    /// The last round is still going on.
    Skip,
    /// It is not time yet: the source failed a moment ago.
    Wait,
}

/// What a page was, once all of it was pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its results.
    pub results: u64,
    /// Whether the source has more.
    pub has_more: bool,
    /// Whether the cursor moved.
    pub has_moved: bool,
    /// When the source will have something, as far as it knows.
    pub next_due: Option<Millis>,
}

/// What comes after a page or an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rest {
    /// Pull the next page at once.
    Pull,
    /// The round is over; the next tick is due then.
    Until(Millis),
}

/// The rounds of one monitor. It knows no clock and no source: times come in, decisions go out.
#[derive(Clone, Debug)]
pub struct Rounds {
    options: RoundsOptions,
    /// When the round that goes on began, and its pages.
    round: Option<(Millis, usize)>,
    /// Errors since the last page that came.
    errors: u32,
    /// No round begins before.
    not_before: Millis,
    logged: Option<Millis>,
    /// When the last round began.
    pub last_tick: Option<Millis>,
    /// What went wrong last, if nothing went right since.
    pub last_error: Option<String>,
    /// Rounds that began.
    pub ticks: u64,
    /// Ticks that came while a round was going on.
    pub skipped: u64,
    /// Results that were pushed.
    pub pushed: u64,
    /// When the next tick is due.
    pub next_due: Millis,
}

impl Rounds {
    /// A monitor that was just started, whose first tick is due at once.
    pub fn new(options: RoundsOptions, now: Millis) -> Self {
        Self {
            options,
            round: None,
            errors: 0,
            not_before: 0,
            logged: None,
            last_tick: None,
            last_error: None,
            ticks: 0,
            skipped: 0,
            pushed: 0,
            next_due: now,
        }
    }

    fn rate(&self) -> Millis {
        u64::try_from(self.options.rate.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// A tick came.
    pub fn tick(&mut self, now: Millis) -> Tick {
        if self.round.is_some() {
            self.skipped += 1;
            return Tick::Skip;
        }
        // A wait that reaches further than any wait does is one of a clock that was set back since.
        if now < self.not_before && self.not_before - now <= LONGEST_WAIT * 2 {
            return Tick::Wait;
        }
        self.round = Some((now, 0));
        self.last_tick = Some(now);
        self.ticks += 1;
        Tick::Pull
    }

    /// A page came and all of it was pushed.
    pub fn page(&mut self, now: Millis, page: Page) -> Rest {
        let Some((began, pages)) = self.round else { return self.rest(now, page.next_due) };
        self.pushed += page.results;
        self.errors = 0;
        self.last_error = None;
        let pages = pages + 1;
        self.round = Some((began, pages));
        // A source that says that there is more and gives nothing would be asked for ever.
        let goes_on = page.has_more && page.has_moved;
        let is_late = now.saturating_sub(began) >= LONGEST_ROUND;
        if goes_on && pages < self.options.pages_per_tick && !is_late {
            return Rest::Pull;
        }
        self.rest(now, page.next_due)
    }

    /// The source, or pushing, failed. `jitter` is any number; it spreads those that failed together. Says when the next
    /// round begins, and whether the log has not heard of an error for long enough.
    pub fn failed(&mut self, now: Millis, error: String, jitter: u64) -> (Rest, bool) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.errors.min(20)).min(LONGEST_WAIT);
        self.errors = self.errors.saturating_add(1);
        // Between the wait and half of it more.
        self.not_before = now.saturating_add(wait).saturating_add(jitter % (wait / 2 + 1));
        self.last_error = Some(error);
        self.round = None;
        self.next_due = self.not_before;
        let is_told = self.logged.is_some_and(|logged| now >= logged && now - logged < LOG_PERIOD);
        if !is_told {
            self.logged = Some(now);
        }
        (Rest::Until(self.not_before), !is_told)
    }

    /// Whether a round goes on.
    pub fn is_pulling(&self) -> bool {
        self.round.is_some()
    }

    /// The next tick is due when the source says, and after `rate` at the latest. Where it is due already, at once.
    fn rest(&mut self, now: Millis, next_due: Option<Millis>) -> Rest {
        self.round = None;
        let latest = now.saturating_add(self.rate());
        self.next_due = next_due.map_or(latest, |due| due.clamp(now, latest));
        Rest::Until(self.next_due)
    }
}
