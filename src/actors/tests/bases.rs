//! Bases while they live: loaded once, served in order, moved on and renamed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use super::rig::{Rig, Settings, WORKER_TIMEOUT, draft, moment, pass, run, still, usual};
use crate::actors::trials::PERMITS;
use crate::device::PoolOptions;
use crate::device::fake::{Act, Asked, Manner};
use crate::group::{BaseName, Grouper, StateName};
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::{ErrorStrategy, RequestError};

/// Holds a base, of the latest state where no slot is named.
async fn hold(rig: &Rig, process: &ProcessId, slot: Option<u64>, is_static: bool) -> GroupName {
    still(rig.hub.hold_base(process, slot.map(Slot), Some(is_static), None)).await.unwrap()
}

fn leaders(rig: &[crate::group::GroupStatus]) -> Vec<(&str, u64)> {
    rig.iter().map(|group| (group.leader.as_str(), group.queue)).collect()
}

#[test]
fn the_second_dry_run_on_a_state_loads_nothing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        rig.rest(&process).await;
        rig.fakes.plan(&process, 2, [Act::Look, Act::Look, Act::Look]);
        let (created, calls) = (rig.fakes.created().len(), rig.fakes.calls().len());
        assert_eq!(still(rig.try_out(&process, "one")).await.unwrap(), Ok((1, "2".to_owned())));
        assert_eq!(rig.fakes.created().len() - created, 1, "the first makes a device");
        let loaded: Vec<_> = rig.fakes.calls()[calls..].iter().map(|call| call.asked).collect();
        assert!(loaded.contains(&Asked::Restore), "{loaded:?}");
        let (created, calls) = (rig.fakes.created().len(), rig.fakes.calls().len());
        for data in ["two", "three"] {
            assert_eq!(still(rig.try_out(&process, data)).await.unwrap(), Ok((1, "2".to_owned())));
        }
        assert_eq!(rig.fakes.created().len(), created);
        let asked: Vec<_> = rig.fakes.calls()[calls..].iter().map(|call| call.asked).collect();
        assert_eq!(asked.iter().filter(|asked| **asked == Asked::DryRun).count(), 2);
        assert!(!asked.contains(&Asked::Restore) && !asked.contains(&Asked::Replay), "{asked:?}");
        rig.nothing_left().await;
    });
}

#[test]
fn a_base_stays_its_time_without_work_and_not_longer() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let margin = Duration::from_millis(10);
        let group = hold(&rig, &process, None, true).await;
        pass(WORKER_TIMEOUT - margin).await;
        assert_eq!(still(rig.resolve(&group, "x")).await.unwrap(), Ok((group.clone(), "1".to_owned())));
        // The answer comes from the thread that has the device; the time begins when the device is home.
        rig.until_home(&group).await;
        pass(WORKER_TIMEOUT - margin).await;
        assert_eq!(leaders(&rig.groups().await), [("base_worker", 0)], "work begins its time anew");
        pass(2 * margin).await;
        assert_eq!(rig.groups().await, []);
        let refused = still(rig.resolve(&group, "x")).await.unwrap().unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");

        let longer = 3 * WORKER_TIMEOUT;
        let held = still(rig.hub.hold_base(&process, None, Some(true), Some(longer))).await;
        assert_eq!(held.as_ref(), Ok(&group));
        pass(longer - margin).await;
        assert_eq!(rig.groups().await.len(), 1);
        assert_eq!(still(rig.hub.hold_base(&process, None, Some(true), Some(margin))).await, held);
        pass(2 * margin).await;
        assert_eq!(rig.groups().await, [], "whoever holds it anew says for how long");
        rig.nothing_left().await;
    });
}

#[test]
fn different_requests_through_one_static_worker_have_their_turns_one_after_the_other() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, None, true).await;
        let created = rig.fakes.created().len();
        let mut asking = Vec::new();
        rig.fakes.hold(&process, Manner::Obeying);
        for data in ["one", "two", "three"] {
            asking.push(rig.resolve(&group, data));
        }
        rig.held(1).await;
        rig.until_groups(|groups| leaders(groups) == [("base_worker", 2)]).await;
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1], "the others have not begun");
        rig.fakes.let_go();
        for one in asking {
            assert_eq!(still(one).await.unwrap(), Ok((group.clone(), "1".to_owned())));
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1, 1, 1]);
        assert_eq!(rig.fakes.created().len(), created);
        rig.nothing_left().await;
    });
}

#[test]
fn a_worker_that_is_spawned_after_an_execution_serves_the_rest_in_order() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Obeying);
        let first = rig.try_out(&process, "first");
        rig.held(1).await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let rest: Vec<_> = (0..50)
            .map(|number| {
                let (tried, order) = (rig.try_out(&process, &format!("{number}")), order.clone());
                actix_rt::spawn(async move {
                    let answer = tried.await.unwrap();
                    order.borrow_mut().push(number);
                    answer
                })
            })
            .collect();
        let base = |groups: &[crate::group::GroupStatus]| groups.iter().any(|group| group.queue == 50);
        rig.until_groups(base).await;
        let created = rig.fakes.created().len();
        rig.fakes.let_go();
        for one in [first].into_iter().chain(rest) {
            assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
        }
        assert_eq!(*order.borrow(), (0..50).collect::<Vec<_>>());
        assert_eq!(rig.fakes.created().len(), created, "they have the device that the first one loaded");
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun).len(), 51, "each is served once");
        assert_eq!(leaders(&rig.groups().await), [("base_worker", 0)]);
        rig.nothing_left().await;
    });
}

#[test]
fn sixty_four_clients_go_round_through_one_static_worker() {
    const CLIENTS: usize = 64;
    const ROUNDS: usize = 20;
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, None, true).await;
        let created = rig.fakes.created().len();
        let served = Rc::new(RefCell::new(Vec::new()));
        // All of them wait before the first is served.
        rig.fakes.hold(&process, Manner::Obeying);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (hub, group, served) = (rig.hub.clone(), group.clone(), served.clone());
                actix_rt::spawn(async move {
                    for _ in 0..ROUNDS {
                        hub.resolve_on(&group, draft("same")).await.unwrap();
                        served.borrow_mut().push(client);
                    }
                })
            })
            .collect();
        rig.until_groups(|groups| leaders(groups) == [("base_worker", CLIENTS as u64 - 1)]).await;
        rig.fakes.let_go();
        for one in still(join_all(clients)).await {
            one.unwrap();
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun).len(), CLIENTS * ROUNDS, "every request goes through it");
        assert_eq!(rig.fakes.created().len(), created, "none goes beside it");
        let served = served.take();
        for round in served.chunks(CLIENTS) {
            assert_eq!(round, (0..CLIENTS).collect::<Vec<_>>(), "nobody is served twice while another waits");
        }
        rig.nothing_left().await;
    });
}

#[test]
fn a_line_moves_on_with_each_result_and_its_old_name_is_gone() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let first = hold(&rig, &process, None, false).await;
        let before = (rig.status(&process).await, rig.stored(&process), still(rig.hub.state(&process)).await);
        let mut names = vec![first];
        for number in 1..=3 {
            let last = names.last().unwrap();
            let (next, output) = still(rig.resolve(last, "x")).await.unwrap().unwrap();
            assert_eq!(output, number.to_string(), "on the result of the one before");
            assert!(!names.contains(&next));
            names.push(next);
        }
        for old in &names[..3] {
            let refused = still(rig.resolve(old, "x")).await.unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        }
        assert_eq!(rig.groups().await.iter().map(|group| &group.group).collect::<Vec<_>>(), [&names[3]]);
        let after = (rig.status(&process).await, rig.stored(&process), still(rig.hub.state(&process)).await);
        assert_eq!(before, after, "the log knows nothing of it");
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1, 2, 3]);
        // The name says all that there is to it.
        assert_ne!(names[3], Grouper::Default.group(&at(&process, 3), None, true));
        rig.nothing_left().await;
    });
}

fn at(process: &ProcessId, slot: u64) -> BaseName {
    BaseName { process: process.clone(), state: StateName::AtSlot(Slot(slot)), is_line: true }
}

#[test]
fn a_request_for_a_name_that_the_line_gave_up_is_not_computed() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, None, false).await;
        rig.fakes.hold(&process, Manner::Obeying);
        let first = rig.resolve(&group, "x");
        rig.held(1).await;
        let late: Vec<_> = (0..5).map(|_| rig.resolve(&group, "y")).collect();
        rig.until_groups(|groups| leaders(groups) == [("base_worker", 5)]).await;
        rig.fakes.let_go();
        let (moved, _) = still(first).await.unwrap().unwrap();
        for one in late {
            let refused = still(one).await.unwrap().unwrap_err();
            assert_eq!(refused, RequestError::WrongGroup { asked: group.clone(), led: moved.clone() });
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1]);
        rig.nothing_left().await;
    });
}

#[test]
fn equal_results_of_two_lines_join_under_one_name() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let start = hold(&rig, &process, None, false).await;
        let (joined, _) = still(rig.resolve(&start, "x")).await.unwrap().unwrap();
        assert_eq!(hold(&rig, &process, None, false).await, start);
        rig.fakes.hold(&process, Manner::Obeying);
        let second = rig.resolve(&start, "x");
        rig.held(1).await;
        let behind = rig.resolve(&start, "y");
        rig.until_groups(|groups| groups.iter().any(|group| group.queue == 1)).await;
        rig.fakes.let_go();
        assert_eq!(still(second).await.unwrap(), Ok((joined.clone(), "1".to_owned())));
        let refused = still(behind).await.unwrap().unwrap_err();
        assert_eq!(refused.code(), "not_found", "{refused:?}");
        let left = rig.until_groups(|groups| groups.len() == 1).await;
        assert_eq!(left[0].group, joined);
        let (_, output) = still(rig.resolve(&joined, "z")).await.unwrap().unwrap();
        assert_eq!(output, "2");
        rig.nothing_left().await;
    });
}

#[test]
fn a_failure_halts_a_line_where_errors_are_thrown_and_else_is_an_answer() {
    for (error_strategy, halts) in [(ErrorStrategy::Throw, true), (ErrorStrategy::Ignore, false)] {
        run(Settings { error_strategy, ..Settings::default() }, async |rig| {
            let process = rig.process("a").await;
            let group = hold(&rig, &process, None, false).await;
            rig.fakes.plan(&process, 1, [Act::Fail("boom")]);
            let failed = still(rig.resolve(&group, "x")).await.unwrap();
            if !halts {
                assert_eq!(failed, Ok((group.clone(), "boom".to_owned())));
                assert!(still(rig.resolve(&group, "y")).await.unwrap().is_ok());
                return rig.nothing_left().await;
            }
            let halted = RequestError::BaseHalted { group: group.clone(), error: "boom".to_owned() };
            assert_eq!(failed, Err(halted.clone()));
            assert_eq!(still(rig.resolve(&group, "y")).await.unwrap(), Err(halted));
            assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1]);
            assert_eq!(rig.ask(&process, "z").await.unwrap(), "1", "the process is not halted");
            assert_eq!(still(rig.hub.drop_group(&group)).await, Ok(()));
            assert_eq!(rig.groups().await, []);
            rig.nothing_left().await;
        });
    }
}

#[test]
fn trials_that_hang_keep_no_process_from_computing() {
    let pool = PoolOptions { threads: 2, threads_max: 64, turn: Duration::from_millis(10) };
    run(Settings { pool, ..Settings::default() }, async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let mut asking = Vec::new();
        // Each state has a worker of its own, so that they all run at once as far as they may.
        for slot in 1..=40 {
            rig.ask(&a, "x").await.unwrap();
            rig.rest(&a).await;
            let group = hold(&rig, &a, None, true).await;
            asking.push((slot + 1, group));
        }
        for _ in 0..40 {
            rig.fakes.hold(&a, Manner::Obeying);
        }
        let asking: Vec<_> =
            asking.into_iter().map(|(count, group)| (count, rig.resolve(&group, "tried"), group)).collect();
        rig.held(PERMITS).await;
        assert_eq!(rig.ask(&b, "y").await.unwrap(), "1");
        assert!(!rig.fakes.wait_until_held(PERMITS + 1, Duration::ZERO), "others wait for their permits");
        rig.fakes.let_go();
        for (count, one, group) in asking {
            assert_eq!(still(one).await.unwrap(), Ok((group, count.to_string())));
        }
        rig.nothing_left().await;
    });
}

#[test]
fn askers_who_leave_do_not_let_others_in_beyond_the_permits() {
    let pool = PoolOptions { threads: 2, threads_max: 64, turn: Duration::from_millis(10) };
    let mut settings = Settings { pool, ..Settings::default() };
    settings.hub.spawn_worker = false;
    settings.hub.await_inprogress = crate::config::AwaitInProgress::None;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        for _ in 0..2 * PERMITS {
            rig.fakes.hold(&process, Manner::Stubborn);
        }
        let first: Vec<_> = (0..PERMITS).map(|_| rig.try_out(&process, "x")).collect();
        rig.held(PERMITS).await;
        for one in &first {
            one.abort();
        }
        let second: Vec<_> = (0..PERMITS).map(|_| rig.try_out(&process, "x")).collect();
        rig.status(&process).await;
        for _ in 0..50 {
            moment().await;
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun).len(), PERMITS, "their calls still run");
        rig.fakes.let_go();
        for one in second {
            assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
        }
        rig.nothing_left().await;
    });
}

#[test]
fn without_spawned_workers_a_dry_run_uses_the_worker_that_is_held_and_leaves_none() {
    let mut settings = Settings::default();
    settings.hub.spawn_worker = false;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        assert_eq!(still(rig.try_out(&process, "x")).await.unwrap(), Ok((0, "1".to_owned())));
        assert_eq!(rig.groups().await, []);
        let group = hold(&rig, &process, None, true).await;
        let created = rig.fakes.created().len();
        assert_eq!(still(rig.try_out(&process, "y")).await.unwrap(), Ok((0, "1".to_owned())));
        assert_eq!(rig.fakes.created().len(), created);
        assert_eq!(still(rig.hub.drop_group(&group)).await, Ok(()));
        rig.nothing_left().await;
    });
}
