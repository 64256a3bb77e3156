//! Whoever waits: for a slot, for any slot, for a turn, for a copy to be tried.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::rig::{MAX_IDLE, Settings, draft, moment, output, pass, run, still, usual};
use crate::device::PoolOptions;
use crate::device::fake::{Act, Asked, Manner};
use crate::ids::Slot;
use crate::process::{ErrorStrategy, RequestError};

#[test]
fn those_who_wait_for_a_slot_are_told_in_the_order_in_which_they_came() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let told = Rc::new(RefCell::new(Vec::new()));
        let waiting: Vec<_> = (0..100)
            .map(|number| {
                let (hub, process, told) = (rig.hub.clone(), process.clone(), told.clone());
                actix_rt::spawn(async move {
                    let computed = hub.compute(&process, Some(Slot(1))).await.unwrap();
                    told.borrow_mut().push((number, output(&computed)));
                })
            })
            .collect();
        // They have all asked once the question behind them is answered.
        rig.status(&process).await;
        assert_eq!(*told.borrow(), []);
        rig.fakes.let_go();
        for one in waiting {
            still(one).await.unwrap();
        }
        let expected: Vec<_> = (0..100).map(|number| (number, "1".to_owned())).collect();
        assert_eq!(*told.borrow(), expected);
    });
}

#[test]
fn those_who_wait_for_any_slot_hear_of_the_next() {
    usual(async |rig| {
        let process = rig.process("a").await;
        for slot in 1..=3 {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (hub, process) = (rig.hub.clone(), process.clone());
                    actix_rt::spawn(async move { hub.await_any(&process).await.unwrap().slot })
                })
                .collect();
            rig.status(&process).await;
            assert_eq!(rig.schedule(&process, "x").await, Ok(slot));
            for one in waiting {
                assert_eq!(still(one).await.unwrap(), Slot(slot));
            }
        }
    });
}

#[test]
fn those_who_wait_for_any_slot_outlive_workers() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let (hub, waited_for) = (rig.hub.clone(), process.clone());
        let waiting = actix_rt::spawn(async move { hub.await_any(&waited_for).await.unwrap().slot });
        pass(3 * MAX_IDLE).await;
        rig.kill(&process).await;
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        assert_eq!(still(waiting).await.unwrap(), Slot(1));
    });
}

#[test]
fn waiting_for_any_slot_of_a_process_at_rest_does_not_start_worker_after_worker() {
    let mut settings = Settings::default();
    settings.options.process_workers = false;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        rig.gone(&process).await;
        let first = rig.rival(&process).await;
        let (hub, waited_for) = (rig.hub.clone(), process.clone());
        let waiting = actix_rt::spawn(async move { hub.await_any(&waited_for).await.unwrap().slot });
        for _ in 0..50 {
            moment().await;
        }
        let epochs = rig.rival(&process).await.0 - first.0;
        assert!(epochs <= 3, "{epochs} claims in no time");
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        assert_eq!(still(waiting).await.unwrap(), Slot(1));
    });
}

#[test]
fn a_halt_is_told_at_once_to_those_at_the_slot_and_past_it() {
    let settings = Settings { error_strategy: ErrorStrategy::Throw, ..Settings::default() };
    run(settings, async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 2, [Act::Fail("boom")]);
        rig.fakes.hold(&process, Manner::Obeying);
        for slot in 1..=3 {
            assert_eq!(rig.schedule(&process, "x").await, Ok(slot));
        }
        rig.held(1).await;
        let waiting: Vec<_> = (1..=3)
            .map(|slot| {
                let (hub, process) = (rig.hub.clone(), process.clone());
                actix_rt::spawn(async move { hub.compute(&process, Some(Slot(slot))).await })
            })
            .collect();
        rig.status(&process).await;
        rig.fakes.let_go();
        let mut answers = Vec::new();
        for one in waiting {
            answers.push(still(one).await.unwrap());
        }
        assert_eq!(answers[0].as_ref().map(|computed| computed.slot), Ok(Slot(1)));
        let halted = RequestError::Halted { process: process.clone(), slot: Slot(2), error: "boom".to_owned() };
        assert_eq!(answers[1].as_ref().unwrap_err(), &halted);
        assert_eq!(answers[2].as_ref().unwrap_err(), &halted);
        // It stands still across workers, too, until it is resumed.
        still(rig.hub.stop_worker(&process)).await.unwrap();
        assert_eq!(still(rig.hub.compute(&process, None)).await.unwrap_err(), halted);
        assert_eq!(still(rig.hub.resume(&process, false)).await, Ok(Slot(2)));
        assert_eq!(rig.outcome(&process, 3).await, "3");
    });
}

#[test]
fn a_slot_that_is_passed_over_is_not_computed_any_more() {
    let settings = Settings { error_strategy: ErrorStrategy::Throw, ..Settings::default() };
    run(settings, async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, [Act::Fail("boom")]);
        for slot in 1..=3 {
            assert_eq!(rig.schedule(&process, "x").await, Ok(slot));
        }
        assert!(still(rig.hub.compute(&process, Some(Slot(3)))).await.is_err());
        // The skip is on its way to the store when the slots behind it could be computed already.
        rig.faults.hold();
        let (hub, skipped) = (rig.hub.clone(), process.clone());
        let skipping = actix_rt::spawn(async move { hub.resume(&skipped, true).await });
        let faults = rig.faults.clone();
        tokio::task::spawn_blocking(move || faults.wait_until_held()).await.unwrap();
        for _ in 0..10 {
            moment().await;
        }
        rig.faults.let_go();
        assert_eq!(still(skipping).await.unwrap(), Ok(Slot(1)));
        assert_eq!(rig.outcome(&process, 1).await, "skipped: boom");
        assert_eq!(rig.outcome(&process, 3).await, "2");
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 2, 3]);
    });
}

#[test]
fn a_dry_run_leaves_log_and_state_alone() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        rig.rest(&process).await;
        let before = (rig.status(&process).await, still(rig.hub.state(&process)).await, rig.stored(&process));
        for _ in 0..3 {
            let (slot, outcome) = still(rig.hub.dry_run(&process, draft("tried"))).await.unwrap();
            assert_eq!((slot, outcome.output.as_str()), (Slot(1), "2"));
        }
        let after = (rig.status(&process).await, still(rig.hub.state(&process)).await, rig.stored(&process));
        assert_eq!(before, after);
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [2, 2, 2]);
    });
}

#[test]
fn a_dry_run_does_not_wait_for_a_worker_that_is_busy() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Stubborn);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let (hub, tried) = (rig.hub.clone(), process.clone());
        let trying = actix_rt::spawn(async move { hub.dry_run(&tried, draft("tried")).await });
        // It waits for a moment in case the slot is about to be done, twice: for the slot and for the state.
        pass(Duration::from_millis(300)).await;
        let (slot, outcome) = rig.soon(trying).await.unwrap();
        assert_eq!((slot, outcome.output.as_str()), (Slot(0), "1"));
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&process, 1).await, "1");
    });
}

#[test]
fn two_busy_processes_take_turns_on_one_thread() {
    let turn = Duration::from_millis(50);
    let pool = PoolOptions { threads: 1, threads_max: 1, turn };
    run(Settings { pool, ..Settings::default() }, async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        // Each call takes its whole turn and not so long that it overruns.
        for slot in 1..=8 {
            rig.fakes.plan(&a, slot, [Act::TakeAfter(turn)]);
            rig.fakes.plan(&b, slot, [Act::TakeAfter(turn)]);
        }
        for slot in 1..=8 {
            assert_eq!(rig.schedule(&a, "x").await, Ok(slot));
            assert_eq!(rig.schedule(&b, "x").await, Ok(slot));
        }
        rig.outcome(&a, 8).await;
        rig.outcome(&b, 8).await;
        let calls = rig.fakes.calls();
        let (mut of_a, mut of_b) = (0i32, 0i32);
        for call in calls.iter().filter(|call| call.asked == Asked::Compute) {
            if call.process == a {
                of_a += 1
            } else {
                of_b += 1
            }
            let is_one_done = of_a.max(of_b) == 8;
            assert!(is_one_done || (of_a - of_b).abs() <= 3, "after {of_a} calls of one the other had {of_b}");
        }
        assert_eq!((of_a, of_b), (8, 8));
    });
}
