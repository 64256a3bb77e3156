//! Two workers of one process: whatever ends the first while its device computes, it never commits beside its successor.

use actix_rt::task::JoinHandle;

use super::rig::{GIVE_UP_AFTER, Rig, draft, moment, pass, still, usual};
use crate::device::fake::{Act, Asked, DICE, Manner};
use crate::ids::{ProcessId, Slot};
use crate::process::RequestError;
use crate::process::worker::Activity;

/// A process whose outputs tell which call made them, with slot 1 at the gate and somebody who waits for it.
async fn computing(rig: &Rig, manner: Manner) -> (ProcessId, JoinHandle<Result<String, RequestError>>) {
    let process = rig.process_of("a", DICE).await;
    rig.fakes.hold(&process, manner);
    assert_eq!(rig.schedule(&process, "x").await, Ok(1));
    rig.held(1).await;
    let (hub, asked) = (rig.hub.clone(), process.clone());
    let waiting = actix_rt::spawn(async move {
        hub.compute(&asked, Some(Slot(1))).await.map(|computed| super::rig::output(&computed))
    });
    rig.status(&process).await;
    (process, waiting)
}

/// The call at the gate goes on, too late. Its number is the next; nothing else comes of it.
async fn too_late(rig: &Rig, process: &ProcessId, stored: &[(u64, String)]) {
    rig.rest(process).await;
    assert_eq!(rig.stored(process), stored);
    rig.fakes.let_go();
    // The number that the late call took tells that it has ended.
    let slot = stored.len() as u64;
    let mut last = rig.ask(process, "y").await.unwrap();
    let mut expected = stored.to_vec();
    expected.push((slot, last.clone()));
    while last.parse::<usize>().unwrap() < expected.len() {
        moment().await;
        last = rig.ask(process, "y").await.unwrap();
        expected.push((expected.len() as u64, last.clone()));
    }
    rig.rest(process).await;
    assert_eq!(rig.stored(process), expected);
}

fn outcomes(outputs: &[&str]) -> Vec<(u64, String)> {
    (0..).zip(outputs.iter().map(|output| (*output).to_owned())).collect()
}

#[test]
fn a_worker_that_is_stopped_and_given_up_commits_nothing_later() {
    usual(async |rig| {
        let (process, waiting) = computing(&rig, Manner::Stubborn).await;
        let (hub, stopped) = (rig.hub.clone(), process.clone());
        let stopping = actix_rt::spawn(async move { hub.stop_worker(&stopped).await });
        pass(GIVE_UP_AFTER / 2).await;
        moment().await;
        assert!(!stopping.is_finished(), "it is waited for");
        pass(GIVE_UP_AFTER).await;
        assert_eq!(still(stopping).await.unwrap(), Ok(()));
        assert_eq!(still(waiting).await.unwrap(), Ok("1".to_owned()), "the successor answers");
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1]);
        too_late(&rig, &process, &outcomes(&["null", "1"])).await;
    });
}

#[test]
fn a_worker_that_is_stopped_while_its_device_obeys_hands_its_work_over() {
    usual(async |rig| {
        let (process, waiting) = computing(&rig, Manner::Obeying).await;
        // No time passes: the call ends by the interruption.
        still(rig.hub.stop_worker(&process)).await.unwrap();
        assert_eq!(still(waiting).await.unwrap(), Ok("1".to_owned()));
        rig.rest(&process).await;
        assert_eq!(rig.stored(&process), outcomes(&["null", "1"]));
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 1]);
    });
}

#[test]
fn a_worker_that_is_killed_commits_nothing_later() {
    usual(async |rig| {
        let (process, waiting) = computing(&rig, Manner::Stubborn).await;
        rig.kill(&process).await;
        assert_eq!(still(waiting).await.unwrap(), Ok("1".to_owned()), "the successor answers");
        too_late(&rig, &process, &outcomes(&["null", "1"])).await;
    });
}

#[test]
fn a_worker_whose_process_another_has_claimed_is_fenced_off() {
    usual(async |rig| {
        let (process, waiting) = computing(&rig, Manner::Stubborn).await;
        rig.rival(&process).await;
        rig.fakes.let_go();
        // Its outcome, number 1, is refused by the store; the one who waits hears of the next worker's.
        assert_eq!(still(waiting).await.unwrap(), Ok("2".to_owned()));
        rig.rest(&process).await;
        assert_eq!(rig.stored(&process), outcomes(&["null", "2"]));
    });
}

#[test]
fn a_message_that_was_fenced_off_has_its_slot_from_the_next_worker() {
    usual(async |rig| {
        let process = rig.process("a").await;
        for slot in 1..=5 {
            rig.rival(&process).await;
            assert_eq!(rig.schedule(&process, "x").await, Ok(slot));
            assert_eq!(rig.outcome(&process, slot).await, slot.to_string());
        }
    });
}

#[test]
fn a_worker_that_others_want_the_place_of_stays_while_it_computes() {
    let settings = super::rig::Settings { workers_max: 1, ..Default::default() };
    super::rig::run(settings, async |rig| {
        let other = rig.process_of("b", DICE).await;
        let process = rig.process_of("a", DICE).await;
        rig.fakes.hold(&process, Manner::Stubborn);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let (hub, asked) = (rig.hub.clone(), other.clone());
        let asking = actix_rt::spawn(async move { hub.schedule(&asked, draft("x")).await });
        pass(2 * GIVE_UP_AFTER).await;
        assert_eq!(rig.status(&process).await.activity, Activity::Computing);
        assert!(!asking.is_finished());
        rig.fakes.let_go();
        assert_eq!(rig.soon(asking).await, Ok(Slot(1)));
        assert_eq!(rig.stored(&process), outcomes(&["null", "1"]));
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1]);
    });
}

#[test]
fn a_slot_that_faults_while_another_claims_has_one_outcome() {
    usual(async |rig| {
        let process = rig.process_of("a", DICE).await;
        rig.fakes.plan(&process, 1, [Act::Fault("no disk")]);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.until(&process, |status| status.error.is_some()).await;
        rig.rival(&process).await;
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let waiting = actix_rt::spawn(async move { hub.compute(&asked, Some(Slot(1))).await });
        rig.soon(waiting).await.unwrap();
        rig.rest(&process).await;
        assert_eq!(rig.stored(&process), outcomes(&["null", "2"]));
    });
}
