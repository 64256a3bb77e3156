//! Bases that end, or never come to be: by death, a failed load, want of room, deletion, shutdown.

use std::time::Duration;

use super::inside::Kill;
use super::rig::{GIVE_UP_AFTER, Rig, Settings, Tried, id, moment, pass, run, still, usual};
use crate::device::fake::{Act, Asked, Manner};
use crate::group::GroupStatus;
use crate::ids::{GroupName, ProcessId};
use crate::process::RequestError;
use tokio::task::JoinHandle;

async fn hold(rig: &Rig, process: &ProcessId, is_static: bool) -> GroupName {
    still(rig.hub.hold_base(process, None, Some(is_static), None)).await.unwrap()
}

/// A dry-run that is loading, held in its call, and so many others in its mailbox.
async fn crowd(rig: &Rig, process: &ProcessId, manner: Manner, others: usize) -> Vec<JoinHandle<Tried>> {
    rig.fakes.hold(process, manner);
    let mut asking = vec![rig.try_out(process, "first")];
    rig.held(1).await;
    asking.extend((0..others).map(|number| rig.try_out(process, &number.to_string())));
    rig.until_groups(|groups| groups.iter().any(|group| group.queue == others as u64)).await;
    asking
}

fn one_worker(groups: &[GroupStatus]) -> bool {
    matches!(groups, [one] if one.leader == "base_worker" && one.queue == 0 && one.waiters == 0)
}

#[test]
fn a_message_that_brings_the_machine_to_a_fault_fails_alone() {
    for act in [Act::Fault("boom"), Act::Fail("boom"), Act::Panic("boom")] {
        usual(async |rig| {
            let process = rig.process("a").await;
            rig.fakes.plan(&process, 1, [act.clone()]);
            let mut asking = crowd(&rig, &process, Manner::Obeying, 5).await;
            rig.fakes.let_go();
            let first = still(asking.remove(0)).await.unwrap();
            let is_fault = matches!(act, Act::Fault(_));
            assert_eq!(first.is_err(), is_fault, "{first:?}");
            for one in asking {
                assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())), "{act:?}");
            }
            rig.until_groups(one_worker).await;
            rig.nothing_left().await;
        });
    }
}

#[test]
fn a_base_that_cannot_be_loaded_is_told_to_everybody() {
    usual(async |rig| {
        let process = rig.process_of("a", crate::device::fake::DICE).await;
        rig.ask(&process, "x").await.unwrap();
        rig.ask(&process, "y").await.unwrap();
        rig.ask(&process, "z").await.unwrap();
        rig.rest(&process).await;
        // What throws dice cannot be repeated, and of its states only the last two are kept.
        let held = (0..10).map(|_| rig.hub.hold_base(&process, Some(crate::ids::Slot(1)), Some(true), None));
        for one in still(futures_util::future::join_all(held)).await {
            let refused = one.unwrap_err();
            assert!(matches!(refused, RequestError::NotSupported(_)), "{refused:?}");
        }
        rig.nothing_left().await;
    });
}

#[test]
fn whoever_waits_at_a_base_worker_that_dies_is_answered_by_the_next() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, true).await;
        let asking = crowd(&rig, &process, Manner::Obeying, 20).await;
        let on_base = rig.resolve(&group, "gone");
        rig.until_groups(|groups| groups.iter().any(|status| status.group == group && status.queue == 21)).await;
        let created = rig.fakes.created().len();
        rig.kill_group(&group).await;
        for one in asking {
            assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
        }
        let refused = still(on_base).await.unwrap().unwrap_err();
        assert!(matches!(&refused, RequestError::LeaderDied { group: died, .. } if *died == group), "{refused:?}");
        assert_eq!(rig.fakes.created().len() - created, 1, "twenty-one who waited have one worker");
        rig.fakes.let_go();
        rig.until_groups(one_worker).await;
        rig.nothing_left().await;
    });
}

#[test]
fn a_device_that_kills_its_worker_when_it_comes_home_leaves_the_name_free() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, true).await;
        rig.fakes.plan(&process, 1, [Act::Poison]);
        // The thread that has the device answers; only then does it go home.
        assert_eq!(still(rig.resolve(&group, "x")).await.unwrap(), Ok((group.clone(), "1".to_owned())));
        rig.until_groups(<[_]>::is_empty).await;
        assert_eq!(hold(&rig, &process, true).await, group);
        assert_eq!(still(rig.resolve(&group, "x")).await.unwrap(), Ok((group, "1".to_owned())));
        rig.nothing_left().await;
    });
}

#[test]
fn a_line_that_dies_while_its_name_changes_leaves_neither_name_behind() {
    usual(async |rig| {
        let process = rig.process("a").await;
        for steps in 0..40 {
            let group = hold(&rig, &process, false).await;
            rig.fakes.hold(&process, Manner::Obeying);
            let moving = rig.resolve(&group, "x");
            rig.held(1).await;
            rig.fakes.let_go();
            let killing = async {
                for _ in 0..steps {
                    tokio::task::yield_now().await;
                    rig.registry.do_send(Kill(group.clone()));
                }
                moving.await.unwrap()
            };
            match still(killing).await {
                Ok((moved, _)) => drop(still(rig.hub.drop_group(&moved)).await),
                Err(refused) => assert!(matches!(refused, RequestError::LeaderDied { .. }), "{refused:?}"),
            }
            rig.until_groups(<[_]>::is_empty).await;
        }
        rig.nothing_left().await;
    });
}

#[test]
fn where_no_place_is_free_every_dry_run_is_answered_once_all_the_same() {
    run(Settings { workers_max: 1, ..Settings::default() }, async |rig| {
        let process = rig.process("a").await;
        // The only place is busy.
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let asking: Vec<_> = (0..20).map(|number| rig.try_out(&process, &number.to_string())).collect();
        for one in asking {
            assert_eq!(rig.soon(one).await, Ok((0, "1".to_owned())));
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun).len(), 20, "each is computed once");
        assert_eq!(rig.groups().await, []);
        let hub = rig.hub.clone();
        let asked = process.clone();
        let held = rig.soon(actix_rt::spawn(async move { hub.hold_base(&asked, None, Some(true), None).await })).await;
        assert!(matches!(held, Err(RequestError::Overloaded { key: "workers_max", .. })), "{held:?}");
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&process, 1).await, "1");
        rig.nothing_left().await;
    });
}

#[test]
fn an_idle_worker_makes_room_for_a_base_that_somebody_asked_for() {
    run(Settings { workers_max: 2, ..Settings::default() }, async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let mut held = None;
        for _ in 0..3 {
            held = still(rig.hub.hold_base(&b, None, Some(true), None)).await.ok();
            if held.is_some() {
                break;
            }
            rig.gone(&a).await;
        }
        let group = held.expect("an idle worker makes room sooner or later");
        assert_eq!(still(rig.resolve(&group, "x")).await.unwrap(), Ok((group, "1".to_owned())));
        rig.nothing_left().await;
    });
}

#[test]
fn an_idle_base_makes_room_for_the_worker_of_a_process() {
    run(Settings { workers_max: 2, ..Settings::default() }, async |rig| {
        let a = rig.process("a").await;
        let group = hold(&rig, &a, true).await;
        rig.status(&a).await;
        rig.process("b").await;
        assert_eq!(rig.groups().await, []);
        let refused = still(rig.resolve(&group, "x")).await.unwrap().unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        rig.nothing_left().await;
    });
}

#[test]
fn a_base_counts_as_memory_and_makes_room_when_it_is_short() {
    run(Settings { total_memory: 100_000, ..Settings::default() }, async |rig| {
        for name in ["a", "b"] {
            rig.fakes.set_size(&id(name), 30_000);
        }
        let a = rig.process("a").await;
        let group = hold(&rig, &a, true).await;
        let held = rig.hub.environment().memory.held();
        assert!((60_000..100_000).contains(&held), "{held}");
        rig.status(&a).await;
        rig.fakes.set_size(&id("b"), 60_000);
        rig.process("b").await;
        rig.until_groups(<[_]>::is_empty).await;
        let refused = still(rig.resolve(&group, "x")).await.unwrap().unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        rig.nothing_left().await;
    });
}

#[test]
fn a_base_that_is_deleted_answers_what_runs_and_refuses_what_waits() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, false).await;
        rig.fakes.hold(&process, Manner::Obeying);
        let running = rig.resolve(&group, "x");
        rig.held(1).await;
        let waiting: Vec<_> = (0..5).map(|_| rig.resolve(&group, "y")).collect();
        rig.until_groups(|groups| groups.iter().any(|status| status.queue == 5)).await;
        assert_eq!(still(rig.hub.drop_group(&group)).await, Ok(()));
        for one in waiting {
            let refused = still(one).await.unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        }
        rig.fakes.let_go();
        let (_, output) = still(running).await.unwrap().unwrap();
        assert_eq!(output, "1");
        rig.until_groups(<[_]>::is_empty).await;
        let refused = still(rig.hub.drop_group(&group)).await.unwrap_err();
        assert!(matches!(refused, RequestError::NotFound(_)), "{refused:?}");
        rig.nothing_left().await;
    });
}

#[test]
fn a_dry_run_whose_base_is_deleted_while_it_waits_is_told_and_the_next_has_a_new_one() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = hold(&rig, &process, true).await;
        rig.fakes.hold(&process, Manner::Obeying);
        let running = rig.resolve(&group, "x");
        rig.held(1).await;
        let tried = rig.try_out(&process, "tried");
        rig.until_groups(|groups| groups.iter().any(|status| status.queue == 1)).await;
        assert_eq!(still(rig.hub.drop_group(&group)).await, Ok(()));
        rig.fakes.let_go();
        assert!(still(running).await.unwrap().is_ok());
        let refused = still(tried).await.unwrap().unwrap_err();
        assert!(matches!(&refused, RequestError::NotFound(text) if text.contains("deleted")), "{refused:?}");
        rig.until_groups(<[_]>::is_empty).await;
        assert_eq!(still(rig.try_out(&process, "tried")).await.unwrap(), Ok((0, "1".to_owned())));
        rig.nothing_left().await;
    });
}

#[test]
fn at_the_end_everybody_at_a_base_is_answered() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let group = hold(&rig, &a, false).await;
        rig.fakes.hold(&a, Manner::Obeying);
        let mut on_base = vec![rig.resolve(&group, "x")];
        rig.held(1).await;
        on_base.extend((0..5).map(|_| rig.resolve(&group, "y")));
        rig.fakes.hold(&b, Manner::Obeying);
        let mut loading = vec![rig.try_out(&b, "first")];
        rig.held(2).await;
        loading.extend((0..5).map(|number| rig.try_out(&b, &number.to_string())));
        loading.push(rig.try_out(&b, "first"));
        rig.until_groups(|groups| groups.iter().filter(|status| status.queue == 5).count() == 2).await;
        still(rig.hub.shutdown()).await;
        for one in on_base {
            let refused = still(one).await.unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::Overloaded { key: "shutdown_grace", .. }), "{refused:?}");
        }
        for one in loading {
            let refused = still(one).await.unwrap().unwrap_err();
            assert!(matches!(refused, RequestError::Overloaded { key: "shutdown_grace", .. }), "{refused:?}");
        }
        assert_eq!(rig.groups().await, []);
        let refused = still(rig.try_out(&a, "late")).await.unwrap().unwrap_err();
        assert!(matches!(refused, RequestError::Overloaded { .. }), "{refused:?}");
        rig.nothing_left().await;
    });
}

#[test]
fn at_the_end_a_trial_that_does_not_come_back_is_given_up() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let group = hold(&rig, &a, true).await;
        rig.fakes.hold(&a, Manner::Stubborn);
        let on_base = rig.resolve(&group, "x");
        rig.held(1).await;
        rig.fakes.hold(&b, Manner::Stubborn);
        let loading = rig.try_out(&b, "y");
        rig.held(2).await;
        let hub = rig.hub.clone();
        let stopping = actix_rt::spawn(async move { hub.shutdown().await });
        pass(GIVE_UP_AFTER / 2).await;
        assert!(!stopping.is_finished());
        pass(GIVE_UP_AFTER).await;
        for _ in 0..100 {
            moment().await;
            pass(Duration::from_millis(10)).await;
        }
        let has_stopped = stopping.is_finished();
        rig.fakes.let_go();
        assert!(has_stopped, "the node does not wait for ever");
        assert!(still(on_base).await.unwrap().is_err() && still(loading).await.unwrap().is_err());
    });
}
