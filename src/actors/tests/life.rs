//! A worker's life: started on demand, idle, stopped, restored.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;

use super::rig::{MAX_IDLE, Settings, draft, id, pass, run, still, usual};
use crate::device::fake::Asked;
use crate::ids::Slot;
use crate::process::RequestError;
use crate::process::worker::Activity;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_worker_is_started_by_a_request_that_needs_one() {
    usual(async |rig| {
        let process = rig.process("a").await;
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        assert!(matches!(still(rig.hub.stop_worker(&process)).await, Err(RequestError::NotFound(_))));
        assert_eq!(rig.status(&process).await.activity, Activity::Idle, "a question starts nothing");
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        assert_ne!(rig.status(&process).await.activity, Activity::Idle);
    });
}

#[test]
fn what_there_is_no_process_for_starts_nothing() {
    usual(async |rig| {
        let refused = Err(RequestError::no_process(&id("nobody")));
        assert_eq!(rig.schedule(&id("nobody"), "x").await, refused);
        assert_eq!(still(rig.hub.wake(&id("nobody"))).await.err(), refused.err());
        assert_eq!(rig.fakes.created(), []);
    });
}

#[test]
fn a_thousand_requests_at_once_have_one_worker() {
    usual(async |rig| {
        let process = rig.process("a").await;
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        let before = rig.fakes.created().len();
        let asking = (0..1000).map(|number| {
            let (hub, process) = (rig.hub.clone(), process.clone());
            async move {
                let wait = Duration::from_secs(3600);
                hub.schedule_and_wait(&process, draft(&number.to_string()), wait).await.unwrap()
            }
        });
        let answers = still(join_all(asking)).await;
        let mut slots: Vec<u64> = answers.iter().map(|answer| answer.slot.0).collect();
        slots.sort_unstable();
        assert_eq!(slots, (1..=1000).collect::<Vec<_>>());
        for answer in &answers {
            let outcome = &answer.outcome.as_ref().unwrap().outcome;
            assert_eq!(outcome.output.as_str(), answer.slot.to_string(), "the n-th message is counted as the n-th");
        }
        assert_eq!(rig.fakes.created().len() - before, 1);
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), (1..=1000).collect::<Vec<_>>());
    });
}

#[test]
fn an_idle_worker_stores_a_snapshot_and_stops_when_its_time_is_over_and_not_before() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        rig.rest(&process).await;
        pass(MAX_IDLE - MILLISECOND).await;
        assert_eq!(rig.status(&process).await.activity, Activity::Active);
        assert_eq!(rig.fakes.slots(&process, Asked::Snapshot), [0u64; 0]);
        pass(2 * MILLISECOND).await;
        rig.gone(&process).await;
        assert_eq!(rig.status(&process).await.snapshot, Some(Slot(1)));
    });
}

#[test]
fn a_request_just_before_the_end_begins_the_idle_time_anew() {
    for request in ["message", "read", "dry-run"] {
        usual(async |rig| {
            let process = rig.process("a").await;
            pass(MAX_IDLE - MILLISECOND).await;
            match request {
                "message" => drop(rig.ask(&process, "x").await.unwrap()),
                "read" => drop(still(rig.hub.compute(&process, None)).await.unwrap()),
                _ => drop(still(rig.hub.dry_run(&process, draft("x"))).await.unwrap()),
            }
            rig.rest(&process).await;
            pass(MAX_IDLE - MILLISECOND).await;
            assert_eq!(rig.status(&process).await.activity, Activity::Active, "a {request} did not count");
            pass(2 * MILLISECOND).await;
            rig.gone(&process).await;
        });
    }
}

#[test]
fn questions_about_a_worker_keep_it_from_nothing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        for _ in 0..10 {
            pass(MAX_IDLE / 10).await;
            rig.status(&process).await;
        }
        pass(MILLISECOND).await;
        rig.gone(&process).await;
    });
}

#[test]
fn a_worker_is_restored_from_the_newest_snapshot_and_replays_what_lies_behind_it() {
    usual(async |rig| {
        let process = rig.process("a").await;
        for data in ["1", "2", "3"] {
            rig.ask(&process, data).await.unwrap();
        }
        assert_eq!(still(rig.hub.snapshot(&process)).await, Ok(Slot(3)));
        for data in ["4", "5"] {
            rig.ask(&process, data).await.unwrap();
        }
        rig.rest(&process).await;
        let state = still(rig.hub.state(&process)).await.unwrap();
        // Unlike one that stops, a worker that dies leaves no snapshot.
        rig.kill(&process).await;
        assert_eq!(rig.ask(&process, "6").await.unwrap(), "6");
        assert_eq!(rig.fakes.slots(&process, Asked::Restore), [3]);
        assert_eq!(rig.fakes.slots(&process, Asked::Replay), [4, 5]);
        let later = still(rig.hub.state(&process)).await.unwrap();
        let expected = state.as_json().unwrap().replace(']', ",\"6\"]");
        assert_eq!(later.as_json(), Some(&*expected));
    });
}

#[test]
fn a_damaged_snapshot_makes_way_for_the_one_before() {
    usual(async |rig| {
        let process = rig.process("a").await;
        // Big enough to be a file.
        let big = "x".repeat(100_000);
        for slot in 1..=2 {
            rig.ask(&process, &big).await.unwrap();
            assert_eq!(still(rig.hub.snapshot(&process)).await, Ok(Slot(slot)));
        }
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        let folder = rig.folder.path().join("snapshots");
        let folders = fs::read_dir(folder).unwrap().map(|folder| folder.unwrap().path());
        let files: Vec<_> =
            folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 2);
        let newest = files.iter().find(|file| file.file_name().to_str().unwrap().starts_with("a-2-")).unwrap();
        let mut bytes = fs::read(newest.path()).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(newest.path(), bytes).unwrap();
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "3");
        assert_eq!(rig.fakes.slots(&process, Asked::Restore), [1]);
        assert_eq!(rig.fakes.slots(&process, Asked::Replay), [2]);
    });
}

#[test]
fn without_any_good_snapshot_the_whole_log_is_replayed() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let big = "x".repeat(100_000);
        rig.ask(&process, &big).await.unwrap();
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        fs::remove_dir_all(rig.folder.path().join("snapshots")).unwrap();
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "2");
        assert_eq!(rig.fakes.slots(&process, Asked::Replay), [1]);
    });
}

#[test]
fn a_snapshot_is_taken_at_least_so_often() {
    let mut settings = Settings::default();
    settings.options.cache_frequency = 10;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        for number in 0..35 {
            rig.ask(&process, &number.to_string()).await.unwrap();
        }
        rig.rest(&process).await;
        let taken = rig.fakes.slots(&process, Asked::Snapshot);
        assert_eq!(taken.len(), 3, "{taken:?}");
        assert!(taken.iter().zip(taken.iter().skip(1)).all(|(one, next)| next - one <= 10), "{taken:?}");
    });
}

#[test]
fn without_process_workers_each_worker_ends_with_its_work_and_nothing_is_lost() {
    let mut settings = Settings::default();
    settings.options.process_workers = false;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        rig.gone(&process).await;
        for number in 1..=5 {
            assert_eq!(rig.ask(&process, "x").await.unwrap(), number.to_string());
            rig.gone(&process).await;
        }
        // Slot 0 was computed by a worker of its own.
        assert_eq!(rig.fakes.created().len(), 6);
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 2, 3, 4, 5]);
        assert_eq!(rig.fakes.slots(&process, Asked::Replay), [0u64; 0], "each worker leaves a snapshot to the next");
    });
}

#[test]
fn a_new_engine_version_becomes_a_definition_slot_and_the_state_stays() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        still(rig.hub.stop_worker(&process)).await.unwrap();
        rig.gone(&process).await;
        rig.fakes.upgrade();
        assert_eq!(rig.schedule(&process, "y").await, Ok(3));
        assert_eq!(rig.outcome(&process, 3).await, "2");
        assert_eq!(rig.status(&process).await.definition, Slot(2));
    });
}
