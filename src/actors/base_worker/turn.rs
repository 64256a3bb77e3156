//! A stay of a base's device on a compute thread. The line still decides one request at a time; the thread asks it for the
//! next one itself, so that requests which wait ride along as long as the turn lasts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;
use tracing::{debug, warn};

use super::name_of;
use crate::actors::depth::Depth;
use crate::actors::environment::Environment;
use crate::actors::messages::Reply;
use crate::actors::trials::refused_trial;
use crate::clock::thread_cpu_time;
use crate::device::crash::Call;
use crate::device::{BaseState, Seat, Trial, Tried};
use crate::group::base_line::{BaseLine, Effect, Note, Ran, Resolved};
use crate::ids::{ProcessId, Slot};
use crate::process::worker::Answer;
use crate::process::{Draft, Outcome, RequestError};

type Tries = (Slot, Arc<Outcome>);
pub(super) type Line = BaseLine<Box<Draft>, Reply, Tries>;
pub(super) type LineEffect = Effect<Box<Draft>, Reply, Tries>;

/// The line of a base, shared by its worker and the compute thread that has its device. It is locked for a decision only.
pub(super) struct Desk {
    shared: Mutex<Shared>,
    depth: Arc<Depth>,
}

struct Shared {
    line: Line,
    /// Decided on a compute thread, to be carried out by the worker before anything that is decided later.
    due: Vec<LineEffect>,
}

/// A request whose turn it is.
pub(super) struct Run {
    pub(super) draft: Box<Draft>,
    pub(super) keeps_result: bool,
}

/// What a turn takes along.
pub(super) struct Turn {
    pub(super) environment: Arc<Environment>,
    /// Gone with the worker: whoever waits at one that dies is told at once, however long a call lasts.
    pub(super) desk: Weak<Desk>,
    /// Where the device stands, or is to stand.
    pub(super) base: Arc<BaseState>,
    /// `None`: it is to be made.
    pub(super) trial: Option<Trial>,
}

/// What a turn brings back.
pub(super) struct TurnOver {
    /// The device, unless it could not be made.
    pub(super) trial: Option<Trial>,
    /// Whether it held its thread for too long.
    pub(super) is_slow: bool,
}

impl Desk {
    /// A line whose depth is noted in `depth`.
    pub(super) fn new(line: Line, depth: Arc<Depth>) -> Self {
        Self { shared: Mutex::new(Shared { line, due: Vec::new() }), depth }
    }

    /// Looks at the line, or tells it something. Returns what it says to that, and all that is to be done by the worker.
    pub(super) fn decide<T>(&self, event: impl FnOnce(&mut Line) -> T) -> (T, Vec<LineEffect>) {
        let mut shared = self.lock();
        let said = event(&mut shared.line);
        let mut effects = std::mem::take(&mut shared.due);
        effects.append(&mut shared.line.take_effects());
        self.note_depth(&shared.line);
        (said, effects)
    }

    /// Whether nothing is to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().line.is_idle()
    }

    /// Tells the line what came of a request and answers whoever may be answered. Returns the next request if it `may_go_on`;
    /// everything else is left for the worker.
    fn ran(&self, process: &ProcessId, may_go_on: bool, event: impl FnOnce(&mut Line)) -> Option<Run> {
        let mut shared = self.lock();
        event(&mut shared.line);
        let is_for_now = |effect: &LineEffect| match effect {
            Effect::Answer(..) | Effect::Note(_) => true,
            Effect::Run { .. } => may_go_on,
            _ => false,
        };
        let (now, due): (Vec<_>, Vec<_>) = shared.line.take_effects().into_iter().partition(is_for_now);
        shared.due.extend(due);
        self.note_depth(&shared.line);
        drop(shared);
        let mut next = None;
        for effect in now {
            match effect {
                Effect::Answer(reply, answer) => tell(reply, answer),
                Effect::Note(note) => log(process, note),
                Effect::Run { message, keeps_result } => next = Some(Run { draft: message, keeps_result }),
                Effect::Rename(_) | Effect::Gone(_) | Effect::Again(_) => {}
            }
        }
        next
    }

    fn note_depth(&self, line: &Line) {
        let waiting = line.queue_len() as u64;
        self.depth.set(waiting, waiting + u64::from(!line.is_idle()));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The steps of a line do not panic, so that whoever did under the lock left it whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Serves `first` and those after it until nobody waits, the worker is needed, or the turn is over.
    pub(super) fn go(self, first: Run, seat: &dyn Seat) -> TurnOver {
        let Self { environment, desk, base, trial } = self;
        let length = environment.pool.turn();
        let (deadline, began) = (Instant::now() + length, thread_cpu_time());
        let (factory, interrupt) = (environment.factory.clone(), environment.trials.interrupt.clone());
        let process = base.process.clone();
        let _noting = environment.crashes.note(&process, Call::Trial, base.slot);
        let mut trial = match trial.map_or_else(|| Trial::open(factory, base, interrupt), Ok) {
            Ok(trial) => trial,
            Err(error) => {
                if let Some(desk) = desk.upgrade() {
                    desk.ran(&process, false, |line| line.failed(refused_trial(error)));
                }
                return TurnOver { trial: None, is_slow: false };
            }
        };
        let mut next = Some(first);
        while let Some(Run { draft, keeps_result }) = next {
            let slot = trial.base().slot;
            let tried = trial.resolve(draft.at(&process, environment.clock.now_ms()), keeps_result);
            let Some(desk) = desk.upgrade() else { break };
            next = desk.ran(&process, Instant::now() < deadline, |line| match tried {
                Ok(tried) => line.ran(ran(line, slot, tried)),
                Err(error) => line.failed(refused_trial(error)),
            });
        }
        // A thread that had to wait for its core, or that serves slow work anyway, says nothing against this base.
        let is_slow = seat.has_overrun() && thread_cpu_time().saturating_sub(began) > length;
        TurnOver { trial: Some(trial), is_slow }
    }
}

fn ran(line: &Line, slot: Slot, Tried { outcome, after, .. }: Tried) -> Ran<Tries> {
    let failure = outcome.error.clone();
    let failure = failure.map(|error| RequestError::BaseHalted { group: line.group().clone(), error });
    let moved_to = after.map(|base| name_of(&base, true));
    Ran { outcome: (slot, Arc::new(outcome)), failure, moved_to }
}

/// Answers somebody.
pub(super) fn tell(reply: Reply, answer: Result<Resolved<Tries>, RequestError>) {
    reply.send(answer.map(|resolved| {
        let (slot, outcome) = resolved.outcome;
        Answer::Tried { group: resolved.group, slot, outcome }
    }));
}

/// Writes a line's step into the log.
pub(super) fn log(process: &ProcessId, note: Note) {
    match note {
        Note::Halted { group, error } => warn!(target: "worker", event = "halted", %process, %group, %error),
        Note::PassedOver { group } => debug!(target: "group", event = "passed_over", %process, %group),
    }
}
