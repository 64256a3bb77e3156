//! The line of requests on one base: whose turn it is, what is kept, under which name, when it ends.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::Held;
use crate::config::limits::LimitKey;
use crate::ids::GroupName;
use crate::process::RequestError;
use crate::process::worker::Waiting;

/// What is said of a line when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineOptions {
    /// Whether the base stays as it is; else the result of a request becomes the base.
    pub is_static: bool,
    /// Whether a base that could have moved on and failed instead takes no more requests (`error_strategy = "throw"`).
    pub halts_on_error: bool,
    /// So many requests wait at most, besides the one that has its turn.
    pub queue_max: usize,
}

/// A request: resolve `message` on the base that is named `group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<M, R> {
    /// The name of the base that is meant.
    pub group: GroupName,
    /// What is to be computed.
    pub message: M,
    /// Whether the base stays whatever comes of it.
    pub is_trial: bool,
    /// Where the answer goes.
    pub reply: R,
}

/// What came of a [`Run`](Effect::Run).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran<O> {
    /// For whoever asked.
    pub outcome: O,
    /// Set where the call failed: what everybody is told if the line halts for it.
    pub failure: Option<RequestError>,
    /// The name of the result as a base. Looked at only where the result was to be kept and the call succeeded.
    pub moved_to: Option<GroupName>,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<O> {
    /// The name of the base that the next request can be for: the result's where it was kept, else the one that was asked for.
    pub group: GroupName,
    /// What came of the request.
    pub outcome: O,
}

/// Why a line is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It had nothing to do for long enough.
    Timeout,
    /// Others need its place or its memory.
    Evicted,
    /// Somebody deleted the base.
    Deleted,
    /// The node stops.
    Shutdown,
}

impl Stop {
    /// Whether it only frees what is not used, so that work calls it off.
    pub fn is_mild(self) -> bool {
        matches!(self, Self::Timeout | Self::Evicted)
    }
}

/// Why a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was asked to.
    Stopped(Stop),
    /// Its base became equal to one that another line holds.
    Joined,
}

impl EndReason {
    /// The reason in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped(Stop::Timeout) => "timeout",
            Self::Stopped(Stop::Evicted) => "evicted",
            Self::Stopped(Stop::Deleted) => "deleted",
            Self::Stopped(Stop::Shutdown) => "shutdown",
            Self::Joined => "joined",
        }
    }
}

/// What the log tells a person of a line's steps, as far as no other effect shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The line takes no more requests.
    Halted {
        /// The base that stays as it is.
        group: GroupName,
        /// What everybody is told.
        error: RequestError,
    },
    /// A request was not computed because nobody waits for it any more.
    PassedOver {
        /// The base that it was for.
        group: GroupName,
    },
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<M, R, O> {
    /// Resolve `message` on a copy of the base; answered by exactly one of [`ran`](BaseLine::ran) and
    /// [`failed`](BaseLine::failed). Never a second one before that.
    Run {
        /// What is to be computed.
        message: M,
        /// Whether the result is to become the base if the call succeeds.
        keeps_result: bool,
    },
    /// Answer somebody.
    Answer(R, Result<Resolved<O>, RequestError>),
    /// Make the result of the last run the base and hold this name for it in place of the present one; answered by
    /// [`renamed`](BaseLine::renamed).
    Rename(GroupName),
    /// The line ended: free its name. Nothing but [`Again`](Self::Again) follows.
    Gone(EndReason),
    /// Nothing was done for this one, and nothing will be here: its name is to be looked up again.
    Again(Wanted<M, R>),
    /// Something worth a line in the log.
    Note(Note),
}

#[derive(Debug)]
enum Phase<R, O> {
    Resting,
    Running { reply: R, keeps_result: bool },
    Renaming { reply: R, outcome: O, to: GroupName },
    Gone,
}

/// What decides for one base. Requests have their turn one after the other, in the order in which they came, whoever asks; each
/// ends in exactly one [`Answer`](Effect::Answer) or [`Again`](Effect::Again). It knows no device, no thread and no clock:
/// events come in by its methods, effects are taken out with [`take_effects`](Self::take_effects) after each. An event that
/// nothing waits for is passed over.
///
/// `M` is a message, `R` where an answer goes, `O` an outcome.
#[derive(Debug)]
pub struct BaseLine<M, R, O> {
    group: GroupName,
    options: LineOptions,
    phase: Phase<R, O>,
    /// Empty while it rests.
    waiting: VecDeque<Wanted<M, R>>,
    halted: Option<RequestError>,
    /// The line ends when what runs is answered.
    stopping: Option<Stop>,
    /// So many more are refused before a full queue is looked through again.
    refusals_before_sweep: usize,
    effects: Vec<Effect<M, R, O>>,
}

/// A full queue is looked through for those who left once for every such part of it that was refused.
const SWEEP_PART: usize = 16;

impl<M, R: Waiting, O> BaseLine<M, R, O> {
    /// A line that rests and holds the name `group`.
    pub fn new(group: GroupName, options: LineOptions) -> Self {
        Self {
            group,
            options,
            phase: Phase::Resting,
            waiting: VecDeque::new(),
            halted: None,
            stopping: None,
            refusals_before_sweep: 0,
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last call, in order.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect<M, R, O>> {
        std::mem::take(&mut self.effects)
    }

    /// The name that it holds, or held last.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// How many wait for their turn.
    pub fn queue_len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it has nothing to do. A line that halted has not.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Resting)
    }

    /// Whether it ended.
    pub fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Takes a request. Whether the base is the one that is meant shows when its turn comes.
    pub fn request(&mut self, wanted: Wanted<M, R>) {
        if self.is_gone() {
            self.effects.push(Effect::Again(wanted));
        } else if let Some(stop) = self.stopping {
            self.refuse_for(stop, wanted.reply);
        } else if !self.is_idle() && self.is_full() {
            let error = self.queue_full();
            self.answer(wanted.reply, Err(error));
        } else {
            self.waiting.push_back(wanted);
            self.advance();
        }
    }

    /// Takes what came of the run.
    pub fn ran(&mut self, ran: Ran<O>) {
        let Some((reply, keeps_result)) = self.take_running() else { return };
        let Ran { outcome, failure, moved_to } = ran;
        let moved_to = moved_to.filter(|name| keeps_result && failure.is_none() && *name != self.group);
        match (failure, moved_to) {
            (Some(error), _) if keeps_result && self.options.halts_on_error => {
                self.effects.push(Effect::Note(Note::Halted { group: self.group.clone(), error: error.clone() }));
                self.halted = Some(error.clone());
                self.answer(reply, Err(error));
            }
            // A line that is about to end takes no new name.
            (None, Some(to)) if self.stopping.is_none() => {
                self.effects.push(Effect::Rename(to.clone()));
                self.phase = Phase::Renaming { reply, outcome, to };
                return;
            }
            (_, moved_to) => {
                let group = moved_to.unwrap_or_else(|| self.group.clone());
                self.answer(reply, Ok(Resolved { group, outcome }));
            }
        }
        self.turn_over();
    }

    /// The machine failed: nothing came of the run, and the base is as before.
    pub fn failed(&mut self, error: RequestError) {
        let Some((reply, _)) = self.take_running() else { return };
        self.answer(reply, Err(error));
        self.turn_over();
    }

    /// The name that was asked for is held now, or another line holds it with an equal base. Whoever caused it is told that
    /// name either way, as it is served there.
    pub fn renamed(&mut self, result: Result<(), Held>) {
        let (reply, outcome, to) = match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Renaming { reply, outcome, to } => (reply, outcome, to),
            other => return self.phase = other,
        };
        self.answer(reply, Ok(Resolved { group: to.clone(), outcome }));
        match (result, self.stopping) {
            (Ok(()), _) => {
                self.group = to;
                self.turn_over();
            }
            (Err(Held), None) => self.end(EndReason::Joined),
            (Err(Held), Some(stop)) => self.end(EndReason::Stopped(stop)),
        }
    }

    /// Asks the line to end. A mild reason ends it only where it is idle. Else those who wait are refused at once, and what runs
    /// is still answered before the line ends; a base that it yields is lost, as nobody holds it then.
    ///
    /// Returns whether the line ends, now or when its run is answered, or ended before.
    pub fn stop(&mut self, stop: Stop) -> bool {
        if self.is_gone() || self.stopping.is_some() {
            return true;
        }
        if self.is_idle() {
            self.end(EndReason::Stopped(stop));
            return true;
        }
        if stop.is_mild() {
            return false;
        }
        self.stopping = Some(stop);
        for wanted in std::mem::take(&mut self.waiting) {
            self.refuse_for(stop, wanted.reply);
        }
        true
    }

    /// Gives those who wait their turn, until one runs or none is left.
    fn advance(&mut self) {
        while self.is_idle()
            && let Some(wanted) = self.waiting.pop_front()
        {
            if wanted.reply.is_gone() {
                self.pass_over(wanted);
            } else if wanted.group != self.group {
                let error = RequestError::WrongGroup { asked: wanted.group, led: self.group.clone() };
                self.answer(wanted.reply, Err(error));
            } else if let Some(error) = self.halted.clone() {
                self.answer(wanted.reply, Err(error));
            } else {
                let keeps_result = !self.options.is_static && !wanted.is_trial;
                self.phase = Phase::Running { reply: wanted.reply, keeps_result };
                self.effects.push(Effect::Run { message: wanted.message, keeps_result });
            }
        }
    }

    /// The one whose turn it was is answered.
    fn turn_over(&mut self) {
        match self.stopping {
            Some(stop) => self.end(EndReason::Stopped(stop)),
            None => self.advance(),
        }
    }

    /// The name is given up before those who are left look for it again.
    fn end(&mut self, reason: EndReason) {
        self.phase = Phase::Gone;
        self.effects.push(Effect::Gone(reason));
        self.effects.extend(std::mem::take(&mut self.waiting).into_iter().map(Effect::Again));
    }

    /// Whether nobody else may wait. Those who left make room.
    fn is_full(&mut self) -> bool {
        if self.waiting.len() < self.options.queue_max {
            return false;
        }
        if let Some(left) = self.refusals_before_sweep.checked_sub(1) {
            self.refusals_before_sweep = left;
            return true;
        }
        self.refusals_before_sweep = self.options.queue_max / SWEEP_PART;
        for wanted in std::mem::take(&mut self.waiting) {
            if wanted.reply.is_gone() {
                self.pass_over(wanted);
            } else {
                self.waiting.push_back(wanted);
            }
        }
        self.waiting.len() >= self.options.queue_max
    }

    fn take_running(&mut self) -> Option<(R, bool)> {
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Running { reply, keeps_result } => Some((reply, keeps_result)),
            other => {
                self.phase = other;
                None
            }
        }
    }

    fn pass_over(&mut self, wanted: Wanted<M, R>) {
        let what = "whoever asked left before the turn came; nothing was computed".to_owned();
        self.answer(wanted.reply, Err(RequestError::Overloaded { key: LimitKey::Queue.as_str(), what }));
        self.effects.push(Effect::Note(Note::PassedOver { group: wanted.group }));
    }

    fn refuse_for(&mut self, stop: Stop, reply: R) {
        // A mild reason refuses nobody.
        let error = if stop == Stop::Shutdown {
            RequestError::node_stops()
        } else {
            RequestError::NotFound(format!(
                "base {} was deleted before the turn came; nothing was computed; POST /processes/{}/base makes a new one",
                self.group,
                self.group.process()
            ))
        };
        self.answer(reply, Err(error));
    }

    fn queue_full(&self) -> RequestError {
        RequestError::Overloaded {
            key: LimitKey::Queue.as_str(),
            what: format!("{} requests on base {} wait for their turn already", self.waiting.len(), self.group),
        }
    }

    fn answer(&mut self, reply: R, answer: Result<Resolved<O>, RequestError>) {
        self.effects.push(Effect::Answer(reply, answer));
    }
}
