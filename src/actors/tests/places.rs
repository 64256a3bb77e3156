//! Places and memory among resident workers, and the end of all of them.

use std::time::Duration;

use futures_util::future::join_all;

use super::rig::{ATTEMPTS, GIVE_UP_AFTER, Rig, Settings, draft, id, moment, pass, run, still, usual};
use crate::device::fake::{Asked, Manner};
use crate::ids::{ProcessId, Slot};
use crate::process::RequestError;
use crate::process::worker::Activity;

/// The processes that have a worker.
async fn resident(rig: &Rig, processes: &[&ProcessId]) -> Vec<String> {
    let mut resident = Vec::new();
    for process in processes {
        if rig.status(process).await.activity != Activity::Idle {
            resident.push(process.to_string());
        }
    }
    resident
}

#[test]
fn a_place_is_made_by_the_idle_worker_that_was_used_least_recently() {
    run(Settings { workers_max: 3, ..Settings::default() }, async |rig| {
        let (a, b, c) = (rig.process("a").await, rig.process("b").await, rig.process("c").await);
        rig.ask(&a, "x").await.unwrap();
        rig.rest(&a).await;
        // Asking where each stands counts as a use as well; the order of uses is b, c, a again afterwards.
        for process in [&b, &c, &a] {
            rig.status(process).await;
        }
        let d = rig.process("d").await;
        rig.gone(&b).await;
        assert_eq!(resident(&rig, &[&a, &b, &c, &d]).await, ["a", "c", "d"]);
        assert_eq!(rig.status(&b).await.snapshot, Some(Slot(0)), "it left a snapshot");
        // Places are made in rounds.
        pass(Duration::from_millis(20)).await;
        assert_eq!(rig.ask(&b, "y").await.unwrap(), "1");
    });
}

#[test]
fn a_busy_worker_keeps_its_place_and_an_idle_one_makes_room_though_it_was_used_later() {
    run(Settings { workers_max: 2, ..Settings::default() }, async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        rig.fakes.hold(&a, Manner::Obeying);
        assert_eq!(rig.schedule(&a, "x").await, Ok(1));
        rig.held(1).await;
        rig.status(&b).await;
        let c = rig.process("c").await;
        rig.gone(&b).await;
        assert_eq!(resident(&rig, &[&a, &b, &c]).await, ["a", "c"]);
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&a, 1).await, "1");
        assert_eq!(rig.fakes.slots(&a, Asked::Compute), [1], "it was not interrupted");
    });
}

#[test]
fn requests_beyond_all_places_wait_for_one() {
    run(Settings { workers_max: 2, ..Settings::default() }, async |rig| {
        let mut processes = Vec::new();
        for number in 0..6 {
            processes.push(rig.process(&format!("p{number}")).await);
            pass(Duration::from_millis(20)).await;
        }
        let asking: Vec<_> = (0..60)
            .map(|number| {
                let (hub, process) = (rig.hub.clone(), processes[number % 6].clone());
                actix_rt::spawn(async move { hub.schedule(&process, draft("x")).await })
            })
            .collect();
        for one in asking {
            rig.soon(one).await.unwrap();
        }
        for process in &processes {
            let (hub, process) = (rig.hub.clone(), process.clone());
            let outcome = rig.soon(actix_rt::spawn(async move { hub.compute(&process, Some(Slot(10))).await })).await;
            assert_eq!(outcome.unwrap().outcome.output.as_str(), "10");
        }
    });
}

#[test]
fn those_who_wait_for_a_place_for_one_process_get_it_together() {
    run(Settings { workers_max: 1, ..Settings::default() }, async |rig| {
        let (b, a) = (rig.process("b").await, rig.process("a").await);
        rig.fakes.hold(&a, Manner::Obeying);
        assert_eq!(rig.schedule(&a, "x").await, Ok(1));
        rig.held(1).await;
        let asking: Vec<_> = (0..3)
            .map(|_| {
                let (hub, b) = (rig.hub.clone(), b.clone());
                actix_rt::spawn(async move { hub.schedule(&b, draft("x")).await })
            })
            .collect();
        rig.status(&a).await;
        rig.fakes.let_go();
        // The new worker is kept busy by the first of them.
        rig.fakes.hold(&b, Manner::Obeying);
        for (one, slot) in asking.into_iter().zip(1..) {
            assert_eq!(rig.soon(one).await, Ok(Slot(slot)));
        }
        rig.fakes.let_go();
    });
}

#[test]
fn too_many_requests_that_wait_for_a_place_are_refused() {
    run(Settings { workers_max: 1, ..Settings::default() }, async |rig| {
        let (b, a) = (rig.process("b").await, rig.process("a").await);
        rig.fakes.hold(&a, Manner::Obeying);
        assert_eq!(rig.schedule(&a, "x").await, Ok(1));
        rig.held(1).await;
        let waiting: Vec<_> = (0..4096)
            .map(|_| {
                let (hub, b) = (rig.hub.clone(), b.clone());
                actix_rt::spawn(async move { hub.wake(&b).await })
            })
            .collect();
        rig.status(&a).await;
        let refused = rig.schedule(&b, "x").await.unwrap_err();
        assert!(matches!(refused, RequestError::Overloaded { key: "workers_max", .. }), "{refused:?}");
        still(rig.hub.shutdown()).await;
        for answer in still(join_all(waiting)).await {
            assert!(answer.unwrap().is_err());
        }
    });
}

#[test]
fn memory_is_made_free_by_the_idle_worker_that_was_used_least_recently() {
    run(Settings { total_memory: 1_000, ..Settings::default() }, async |rig| {
        for name in ["a", "b", "c"] {
            rig.fakes.set_size(&id(name), 400);
        }
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        assert_eq!(rig.hub.environment().memory.held(), 800);
        assert_eq!(resident(&rig, &[&a, &b]).await, ["a", "b"]);
        let c = rig.process("c").await;
        rig.gone(&a).await;
        assert_eq!(resident(&rig, &[&a, &b, &c]).await, ["b", "c"]);
        rig.until(&a, |_| rig.hub.environment().memory.held() == 800).await;
    });
}

#[test]
fn the_memory_of_a_worker_that_dies_is_counted_no_more() {
    usual(async |rig| {
        rig.fakes.set_size(&id("a"), 400);
        let process = rig.process("a").await;
        assert_eq!(rig.hub.environment().memory.held(), 400);
        rig.kill(&process).await;
        rig.gone(&process).await;
        assert_eq!(rig.hub.environment().memory.held(), 0);
    });
}

#[test]
fn at_the_end_everything_is_interrupted_stored_and_answered() {
    usual(async |rig| {
        let (idle, busy) = (rig.process("idle").await, rig.process("busy").await);
        rig.ask(&idle, "x").await.unwrap();
        rig.rest(&idle).await;
        rig.ask(&busy, "x").await.unwrap();
        rig.rest(&busy).await;
        rig.fakes.hold(&busy, Manner::Obeying);
        assert_eq!(rig.schedule(&busy, "y").await, Ok(2));
        rig.held(1).await;
        let (hub, asked) = (rig.hub.clone(), busy.clone());
        let outcome = actix_rt::spawn(async move { hub.compute(&asked, Some(Slot(2))).await.map(drop) });
        let (hub, asked) = (rig.hub.clone(), busy.clone());
        let any = actix_rt::spawn(async move { hub.await_any(&asked).await.map(drop) });
        let (hub, asked) = (rig.hub.clone(), busy.clone());
        let state = actix_rt::spawn(async move { hub.state(&asked).await.map(drop) });
        rig.status(&busy).await;
        still(rig.hub.shutdown()).await;
        for asking in [outcome, any, state] {
            let refused = still(asking).await.unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::Overloaded { .. }), "{refused:?}");
        }
        for process in [&idle, &busy] {
            let head = rig.store.head(process).unwrap().unwrap();
            assert_eq!(head.snapshot.map(|snapshot| snapshot.slot), Some(Slot(1)), "{process}");
        }
        assert_eq!(rig.stored(&busy).len(), 2, "what was interrupted has no outcome");
        let refused = rig.schedule(&busy, "z").await.unwrap_err();
        assert!(matches!(refused, RequestError::Overloaded { .. }), "{refused:?}");
        still(rig.hub.shutdown()).await;
    });
}

#[test]
fn at_the_end_a_device_that_does_not_come_back_is_given_up() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Stubborn);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let waiting = actix_rt::spawn(async move { hub.compute(&asked, None).await.map(drop) });
        let hub = rig.hub.clone();
        let stopping = actix_rt::spawn(async move { hub.shutdown().await });
        pass(GIVE_UP_AFTER / 2).await;
        assert!(!stopping.is_finished());
        pass(GIVE_UP_AFTER).await;
        rig.soon(stopping).await;
        assert!(still(waiting).await.unwrap().is_err());
        rig.fakes.let_go();
        for _ in 0..20 {
            moment().await;
        }
        assert_eq!(rig.stored(&process), [(0, "null".to_owned())], "its outcome comes too late");
    });
}

#[test]
fn at_the_end_workers_that_die_keep_nobody_waiting() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Stubborn);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let hub = rig.hub.clone();
        let stopping = actix_rt::spawn(async move { hub.shutdown().await });
        rig.status(&process).await;
        for _ in 0..ATTEMPTS {
            rig.kill(&process).await;
        }
        pass(Duration::from_millis(1)).await;
        still(stopping).await.unwrap();
        rig.fakes.let_go();
    });
}
