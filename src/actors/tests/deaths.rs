//! Workers that die, devices that panic, machines that fail.

use std::time::Duration;

use super::rig::{ATTEMPTS, Settings, draft, moment, output, pass, run, still, usual};
use crate::config::limits::LimitKey;
use crate::device::PoolOptions;
use crate::device::fake::{Act, Asked, Manner};
use crate::ids::{GroupName, Slot};
use crate::process::{Cause, RequestError};

#[test]
fn whoever_waits_at_a_worker_that_dies_is_answered_by_the_next() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, [Act::Poison]);
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let (hub, process) = (rig.hub.clone(), process.clone());
                actix_rt::spawn(async move { output(&hub.compute(&process, Some(Slot(1))).await.unwrap()) })
            })
            .collect();
        rig.status(&process).await;
        let before = rig.fakes.created().len();
        rig.fakes.let_go();
        for one in waiting {
            assert_eq!(still(one).await.unwrap(), "1");
        }
        assert_eq!(rig.fakes.created().len() - before, 1, "ten who waited have one worker");
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1], "the first outcome died with its worker");
    });
}

#[test]
fn a_message_whose_worker_dies_before_the_answer_has_one_slot() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.faults.hold();
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let asking = actix_rt::spawn(async move { hub.schedule(&asked, draft("x")).await });
        let faults = rig.faults.clone();
        tokio::task::spawn_blocking(move || faults.wait_until_held()).await.unwrap();
        rig.kill(&process).await;
        rig.faults.let_go();
        assert_eq!(still(asking).await.unwrap(), Ok(Slot(1)));
        assert_eq!(rig.schedule(&process, "y").await, Ok(2));
    });
}

#[test]
fn after_so_many_deaths_the_asker_is_told() {
    usual(async |rig| {
        let process = rig.process("a").await;
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        rig.fakes.poison_engine(ATTEMPTS as usize);
        let refused = rig.schedule(&process, "x").await.unwrap_err();
        let RequestError::LeaderDied { group, reason } = &refused else { panic!("{refused:?}") };
        assert_eq!(group, &GroupName::of_process(&process));
        assert!(reason.contains("5 in a row") && reason.contains("resolve_attempts") && reason.ends_with("panic"));
        assert_eq!(rig.schedule(&process, "x").await, Ok(1), "the name is free and the next worker lives");
    });
}

#[test]
fn one_death_less_is_not_noticed() {
    usual(async |rig| {
        let process = rig.process("a").await;
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        rig.fakes.poison_engine(ATTEMPTS as usize - 1);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
    });
}

#[test]
fn what_a_dead_worker_left_is_taken_up_though_nobody_asks() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, [Act::Poison]);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.gone(&process).await;
        assert_eq!(rig.status(&process).await.computed, Some(Slot(0)));
        pass(Duration::from_millis(200)).await;
        rig.until(&process, |status| status.computed == Some(Slot(1))).await;
    });
}

#[test]
fn a_device_that_panics_yields_an_outcome_and_the_next_slot_is_computed() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        rig.fakes.plan(&process, 2, [Act::Panic("boom")]);
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "panic: boom");
        assert_eq!(rig.ask(&process, "z").await.unwrap(), "2", "the state is that before the panic");
        rig.rest(&process).await;
        let stored = rig.store.computed(&process, Slot(2)).unwrap().unwrap();
        assert_eq!(stored.cause, Cause::Panic);
        // What comes after the panic comes from a new device, and replay passes over the slot.
        still(rig.hub.stop_worker(&process)).await.unwrap();
        assert_eq!(rig.ask(&process, "z").await.unwrap(), "3");
    });
}

#[test]
fn a_failing_handler_and_a_limit_leave_the_state_of_the_slot_before() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, [Act::Fail("no")]);
        rig.fakes.plan(&process, 2, [Act::Exceed(LimitKey::Gas)]);
        assert_eq!(rig.ask(&process, "x").await.unwrap(), "no");
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "limit gas: it is told to exceed it");
        assert_eq!(rig.ask(&process, "z").await.unwrap(), "1");
        assert_eq!(still(rig.hub.state(&process)).await.unwrap().as_json(), Some(r#"["z"]"#));
    });
}

#[test]
fn a_resume_ends_the_pause_after_a_fault_and_the_next_pause_is_whole() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, ["first", "second"].map(Act::Fault));
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.until(&process, |status| status.error.as_deref() == Some("first")).await;
        pass(Duration::from_millis(50)).await;
        assert_eq!(still(rig.hub.resume(&process, false)).await, Ok(Slot(1)));
        rig.until(&process, |status| status.error.as_deref() == Some("second")).await;
        pass(Duration::from_millis(75)).await;
        moment().await;
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1], "the pause that was cut short ends no other");
        pass(Duration::from_millis(26)).await;
        rig.rest(&process).await;
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1, 1]);
    });
}

#[test]
fn a_slot_that_the_machine_fails_at_is_skipped_while_it_is_tried_again() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.plan(&process, 1, ["first", "second"].map(Act::Fault));
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.until(&process, |status| status.error.as_deref() == Some("first")).await;
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(still(rig.hub.resume(&process, false)).await, Ok(Slot(1)));
        rig.held(1).await;
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let skipping = actix_rt::spawn(async move { hub.resume(&asked, true).await });
        moment().await;
        assert!(!skipping.is_finished(), "it may still succeed");
        rig.fakes.let_go();
        assert_eq!(rig.soon(skipping).await, Ok(Slot(1)));
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "1");
        let skipped = still(rig.hub.compute(&process, Some(Slot(1)))).await.unwrap();
        assert_eq!(skipped.outcome.error.as_deref(), Some("skipped: second"));
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1, 2]);
    });
}

#[test]
fn a_fault_of_the_machine_is_tried_again_after_longer_and_longer_waits() {
    // Each turn goes one slot, so that the way to the slot that fails takes many.
    let pool = PoolOptions { threads: 1, threads_max: 2, turn: Duration::from_micros(1) };
    run(Settings { pool, ..Settings::default() }, async |rig| {
        let process = rig.process("a").await;
        for _ in 1..=5 {
            rig.ask(&process, "x").await.unwrap();
        }
        let before = rig.fakes.slots(&process, Asked::Compute).len();
        let faults = ["first", "second", "third"];
        rig.fakes.plan(&process, 6, faults.map(Act::Fault));
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let hour = Duration::from_secs(3600);
        let waiting = actix_rt::spawn(async move { hub.schedule_and_wait(&asked, draft("x"), hour).await });
        for (tries, (fault, wait)) in faults.into_iter().zip([100, 200, 400]).enumerate() {
            rig.until(&process, |status| status.error.as_deref() == Some(fault)).await;
            pass(Duration::from_millis(wait - 50)).await;
            moment().await;
            assert_eq!(rig.fakes.slots(&process, Asked::Compute).len(), before + tries + 1, "it was tried too early");
            assert!(!waiting.is_finished());
            pass(Duration::from_millis(51)).await;
        }
        let answer = still(waiting).await.unwrap().unwrap();
        assert_eq!(output(&answer.outcome.unwrap()), "6");
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 2, 3, 4, 5, 6, 6, 6, 6]);
        assert_eq!(rig.status(&process).await.error, None);
    });
}
