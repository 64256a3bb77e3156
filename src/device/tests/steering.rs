//! Trials of fakes, held and killed.

use std::sync::Arc;
use std::time::Duration;

use super::log::{MemoryLog, message, process};
use crate::device::fake::{Act, Asked, Fakes, Manner};
use crate::device::{BaseState, Interrupt, Trial, TrialError};
use crate::ids::Slot;
use crate::process::ErrorStrategy;
use crate::process::worker::Base;

const PATIENCE: Duration = Duration::from_secs(30);

fn trial(fakes: &Fakes, interrupt: &Interrupt) -> Trial {
    let log = MemoryLog::default();
    log.define("code", ErrorStrategy::Ignore);
    let snapshot = b"[3,[\"a\",\"b\",\"c\"]]".as_slice().into();
    let base = Base { slot: Slot(3), definition: Slot::ZERO, snapshot };
    let base = Arc::new(BaseState::read(&log, &process(), &base).unwrap());
    Trial::open(Arc::new(fakes.clone()), base, interrupt.clone()).unwrap()
}

#[test]
fn a_held_trial_ends_when_it_is_interrupted_or_let_go() {
    for (manner, is_interrupted) in [(Manner::Obeying, true), (Manner::Stubborn, false)] {
        let (fakes, interrupt) = (Fakes::default(), Interrupt::default());
        let mut trial = trial(&fakes, &interrupt);
        fakes.hold(&process(), manner);
        let trying = std::thread::spawn(move || trial.resolve(message(1, "d"), false));
        assert!(fakes.wait_until_held(1, PATIENCE));
        assert_eq!(fakes.slots(&process(), Asked::DryRun), [4]);
        if is_interrupted {
            interrupt.raise();
        } else {
            fakes.let_go();
        }
        let tried = trying.join().unwrap().map(|tried| tried.outcome.output.as_str().to_owned());
        let expected = if is_interrupted { Err(TrialError::Interrupted) } else { Ok("4".to_owned()) };
        assert_eq!(tried, expected, "{manner:?}");
    }
}

#[test]
fn plans_of_a_slot_are_taken_by_trials_in_order() {
    let (fakes, interrupt) = (Fakes::default(), Interrupt::default());
    let mut trial = trial(&fakes, &interrupt);
    fakes.plan(&process(), 4, [Act::Fail("first"), Act::Look]);
    let mut errors = Vec::new();
    for number in 0..3 {
        errors.push(trial.resolve(message(number, "d"), false).unwrap().outcome.error);
    }
    assert_eq!(errors, [Some("first".to_owned()), None, None]);
}
