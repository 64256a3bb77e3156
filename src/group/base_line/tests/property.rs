//! Whatever happens in whatever order, seen from outside and held against a plain list of who waits.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::group::Held;

/// One thing that happens. What can't happen at the time must do nothing.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody asks for the name that is held, or for another.
    Ask {
        other: Option<u8>,
        is_trial: bool,
    },
    /// One of those who asked leaves.
    Leave(prop::sample::Index),
    Ran {
        fails: bool,
        moved_to: Option<u8>,
    },
    Failed,
    Renamed {
        is_held: bool,
    },
    Stop(Stop),
}

fn event() -> impl Strategy<Value = Event> {
    let other = prop::option::weighted(0.2, 0u8..3);
    let stops = vec![Stop::Timeout, Stop::Evicted, Stop::Deleted, Stop::Shutdown];
    prop_oneof![
        48 => (other, any::<bool>()).prop_map(|(other, is_trial)| Event::Ask { other, is_trial }),
        8 => any::<prop::sample::Index>().prop_map(Event::Leave),
        24 => (prop::bool::weighted(0.15), prop::option::of(0u8..3))
            .prop_map(|(fails, moved_to)| Event::Ran { fails, moved_to }),
        4 => Just(Event::Failed),
        12 => prop::bool::weighted(0.15).prop_map(|is_held| Event::Renamed { is_held }),
        1 => prop::sample::select(stops).prop_map(Event::Stop),
    ]
}

/// Whose turn it is, and how far it got.
#[derive(Clone, Debug)]
struct Turn {
    asked: Wanted<usize, Asker>,
    keeps_result: bool,
    /// What the asker is to be told, once that is known.
    due: Option<Result<Resolved<String>, RequestError>>,
    /// The name that the shell is to hold before.
    renaming: Option<GroupName>,
}

/// What an onlooker knows.
struct World {
    line: Line,
    options: LineOptions,
    held: GroupName,
    /// Who has asked and not heard yet, but for the one whose turn it is; in order.
    open: VecDeque<Wanted<usize, Asker>>,
    turn: Option<Turn>,
    asked: usize,
    ended: usize,
    is_halted: bool,
    stopping: Option<Stop>,
    rename_due: Option<GroupName>,
    gone_due: Option<EndReason>,
    is_gone: bool,
}

impl World {
    fn new(options: LineOptions) -> Self {
        Self {
            line: Line::new(name(0), options),
            options,
            held: name(0),
            open: VecDeque::new(),
            turn: None,
            asked: 0,
            ended: 0,
            is_halted: false,
            stopping: None,
            rename_due: None,
            gone_due: None,
            is_gone: false,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { other, is_trial } => self.ask(other, is_trial),
            Event::Leave(index) => {
                let askers: Vec<_> = self.turn.iter().map(|turn| &turn.asked).chain(&self.open).collect();
                if !askers.is_empty() {
                    index.get(&askers).reply.is_gone.set(true);
                }
            }
            Event::Ran { fails, moved_to } => self.ran(fails, moved_to),
            Event::Failed => {
                if let Some(turn) = self.turn.as_mut().filter(|turn| turn.renaming.is_none()) {
                    turn.due = Some(Err(machine()));
                    self.gone_due = self.stopping.map(EndReason::Stopped);
                }
                self.line.failed(machine());
            }
            Event::Renamed { is_held } => self.renamed(is_held),
            Event::Stop(stop) => self.stop(stop),
        }
        self.look();
    }

    fn ask(&mut self, other: Option<u8>, is_trial: bool) {
        let group = other.map_or_else(|| self.held.clone(), name);
        let request = Wanted { group, is_trial, ..wanted(self.asked, 0) };
        self.asked += 1;
        self.open.push_back(request.clone());
        self.line.request(request);
    }

    fn ran(&mut self, fails: bool, moved_to: Option<u8>) {
        let outcome = format!("outcome {}", self.asked);
        let result = Ran { failure: fails.then(halted), ..ran(&outcome, moved_to) };
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.renaming.is_none()) {
            let to = result.moved_to.clone().filter(|to| turn.keeps_result && !fails && *to != self.held);
            if fails && turn.keeps_result && self.options.halts_on_error {
                self.is_halted = true;
                turn.due = Some(Err(halted()));
            } else {
                let group = to.clone().unwrap_or_else(|| self.held.clone());
                turn.due = Some(Ok(Resolved { group, outcome }));
            }
            match self.stopping {
                Some(stop) => self.gone_due = Some(EndReason::Stopped(stop)),
                None => turn.renaming = to,
            }
            self.rename_due = turn.renaming.clone();
        }
        self.line.ran(result);
    }

    fn renamed(&mut self, is_held: bool) {
        if let Some(turn) = self.turn.as_mut()
            && let Some(to) = turn.renaming.take()
        {
            match (self.stopping, is_held) {
                (Some(stop), _) => self.gone_due = Some(EndReason::Stopped(stop)),
                (None, true) => self.gone_due = Some(EndReason::Joined),
                (None, false) => {}
            }
            if !is_held {
                self.held = to;
            }
        }
        self.line.renamed(if is_held { Err(Held) } else { Ok(()) });
    }

    fn stop(&mut self, stop: Stop) {
        let (is_idle, is_ending) = (self.turn.is_none(), self.is_gone || self.stopping.is_some());
        if !is_ending && is_idle {
            self.gone_due = Some(EndReason::Stopped(stop));
        } else if !is_ending && !stop.is_mild() {
            self.stopping = Some(stop);
        }
        assert_eq!(self.line.stop(stop), is_ending || is_idle || !stop.is_mild());
    }

    /// Checks each effect against what is known when it comes.
    fn look(&mut self) {
        for step in self.line.take_effects() {
            match step {
                Effect::Again(wanted) => {
                    assert!(self.is_gone, "{} was sent on by a line that goes on", wanted.reply.number);
                    assert_eq!(self.open.pop_front(), Some(wanted));
                    self.ended += 1;
                }
                step => {
                    assert!(!self.is_gone, "{step:?} from a line that is gone");
                    self.see(step);
                }
            }
        }
        if self.turn.is_none() {
            assert!(self.open.is_empty(), "{:?} wait and nothing runs", self.open);
        }
        assert_eq!((&self.gone_due, &self.rename_due), (&None, &None), "something should have happened");
        assert_eq!(self.line.is_gone(), self.is_gone);
        assert_eq!(self.line.is_idle(), self.turn.is_none() && !self.is_gone);
        assert_eq!(self.line.queue_len(), self.open.len());
        assert_eq!(*self.line.group(), self.held);
        let most = if self.stopping.is_some() { 0 } else { self.options.queue_max };
        assert!(self.open.len() <= most, "a line that must end keeps nobody waiting");
        assert_eq!(self.asked, self.ended + self.open.len() + usize::from(self.turn.is_some()));
    }

    fn see(&mut self, step: Step) {
        match step {
            Effect::Run { message, keeps_result } => {
                assert!(self.turn.is_none() && !self.is_halted && self.stopping.is_none());
                let asked = self.open.pop_front().unwrap();
                assert_eq!((message, &asked.group), (asked.message, &self.held), "the first one, on its base");
                assert!(!asked.reply.is_gone());
                assert_eq!(keeps_result, !self.options.is_static && !asked.is_trial);
                self.turn = Some(Turn { asked, keeps_result, due: None, renaming: None });
            }
            Effect::Answer(asker, answer) => self.hear(&asker, answer),
            Effect::Rename(to) => assert_eq!(self.rename_due.take(), Some(to)),
            Effect::Gone(reason) => {
                assert!(self.turn.is_none());
                assert_eq!(self.gone_due.take(), Some(reason));
                self.is_gone = true;
            }
            Effect::Note(Note::Halted { group, error }) => {
                assert!(self.is_halted);
                assert_eq!((group, error), (self.held.clone(), halted()));
            }
            Effect::Note(Note::PassedOver { .. }) => {}
            Effect::Again(_) => panic!("looked at before"),
        }
    }

    fn hear(&mut self, asker: &Asker, answer: Result<Resolved<String>, RequestError>) {
        self.ended += 1;
        if let Some(turn) = self.turn.take_if(|turn| turn.asked.reply.number == asker.number) {
            assert_eq!(turn.renaming, None, "the name is not held yet");
            return assert_eq!(turn.due, Some(answer));
        }
        let place = self.open.iter().position(|open| open.reply.number == asker.number);
        let place = place.expect("each is answered once");
        let open = self.open.remove(place).unwrap();
        let has_turn = self.turn.is_none() && place == 0 && self.stopping.is_none();
        match answer {
            Err(RequestError::Overloaded { key: "queue", what }) if what.contains("left") => {
                assert!(asker.is_gone());
            }
            Err(RequestError::Overloaded { key: "queue", .. }) => {
                assert!(self.turn.is_some() && place == self.open.len());
                assert_eq!(place, self.options.queue_max);
            }
            Err(RequestError::WrongGroup { asked, led }) => {
                assert!(has_turn);
                assert_ne!(open.group, self.held);
                assert_eq!((asked, led), (open.group, self.held.clone()));
            }
            Err(RequestError::Overloaded { .. }) => assert_eq!(self.stopping, Some(Stop::Shutdown)),
            Err(RequestError::NotFound(_)) => assert_eq!(self.stopping, Some(Stop::Deleted)),
            answer => {
                assert_eq!(answer, Err(halted()));
                assert!(self.is_halted && has_turn && open.group == self.held);
            }
        }
    }

    /// Lets everything that runs end.
    fn finish(&mut self) {
        while let Some(turn) = &self.turn {
            match turn.renaming {
                Some(_) => self.happen(Event::Renamed { is_held: false }),
                None => self.happen(Event::Ran { fails: false, moved_to: None }),
            }
        }
        assert_eq!(self.asked, self.ended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn whatever_happens_each_request_ends_once_and_in_its_turn(
        events in prop::collection::vec(event(), 0..120),
        (is_static, halts_on_error) in (prop::bool::weighted(0.25), prop::bool::weighted(0.25)),
        queue_max in 0usize..6,
    ) {
        let mut world = World::new(LineOptions { is_static, halts_on_error, queue_max });
        for event in events {
            world.happen(event);
        }
        world.finish();
    }
}
