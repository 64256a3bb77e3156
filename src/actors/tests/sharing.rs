//! Equal requests that share an execution, and those who lead one and die.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::rig::{ATTEMPTS, Rig, Settings, Tried, draft, moment, pass, run, still, usual};
use crate::actors::messages::{Awaited, LeaderKind, Queued, Reply, Told};
use crate::actors::registration::{FindOrRegister, Resolution};
use crate::actors::sharing::Shared;
use crate::config::AwaitInProgress;
use crate::device::fake::{Asked, Manner};
use crate::group::{self, BaseName, Chain, Group, Grouper};
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::RequestError;
use crate::process::worker::Answer;

/// A name for equal executions of `process`.
fn name(process: &ProcessId) -> GroupName {
    GroupName::hashed(process, &[7; 32])
}

fn shared(process: &ProcessId) -> Shared {
    Shared { group: name(process), key: name(process), joins: true }
}

/// Asks the registry for a name, with a listener's ear.
async fn register(rig: &Rig, group: &GroupName) -> (Resolution, Awaited) {
    let (reply, awaited) = Reply::channel();
    let leader = Queued::Listener { key: group.clone(), reply };
    let asked = FindOrRegister { group: group.clone(), leader, chain: Some(Chain::default()) };
    (still(rig.registry.send(asked)).await.unwrap(), awaited)
}

#[test]
fn equal_requests_a_tenth_of_a_second_apart_share_one_execution() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Obeying);
        let first = rig.try_out(&process, "same");
        rig.held(1).await;
        pass(Duration::from_millis(100)).await;
        let second = rig.try_out(&process, "same");
        let groups = rig.until_groups(|groups| groups.iter().any(|group| group.waiters == 1)).await;
        assert!(groups.iter().all(|group| group.leader == "execution"), "{groups:?}");
        rig.fakes.let_go();
        for one in [first, second] {
            assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
        }
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1]);
        rig.nothing_left().await;
    });
}

#[test]
fn requests_that_differ_in_what_they_say_share_nothing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let mut other_sender = draft("x");
        other_sender.from = "somebody".to_owned();
        let hub = &rig.hub;
        let (one, other, third) = still(async {
            let other = hub.dry_run(&process, other_sender);
            tokio::join!(hub.dry_run(&process, draft("x")), other, hub.dry_run(&process, draft("y")))
        })
        .await;
        assert!(one.is_ok() && other.is_ok() && third.is_ok());
        assert_eq!(rig.fakes.slots(&process, Asked::DryRun), [1, 1, 1]);
    });
}

/// Names groups as the default does.
#[derive(Debug)]
struct AsDefault;

impl Group for AsDefault {
    fn group(&self, base: &BaseName, asked: Option<&group::Asked<'_>>) -> GroupName {
        Grouper::Default.group(base, asked, true)
    }
}

/// Names the base alone.
#[derive(Debug)]
struct ByBase;

impl Group for ByBase {
    fn group(&self, base: &BaseName, _: Option<&group::Asked<'_>>) -> GroupName {
        Grouper::Default.group(base, None, true)
    }
}

/// Has one name for everything.
#[derive(Debug)]
struct OneName;

impl Group for OneName {
    fn group(&self, base: &BaseName, _: Option<&group::Asked<'_>>) -> GroupName {
        name(&base.process)
    }
}

#[test]
fn which_equal_requests_join_is_for_the_operator_to_say() {
    use AwaitInProgress::{All, Named, None};
    let own = || Grouper::Own(Arc::new(AsDefault));
    for (which, grouper, executions) in [
        (All, Grouper::Default, 1),
        (All, Grouper::Process, 1),
        (All, own(), 1),
        (Named, Grouper::Default, 2),
        (Named, Grouper::Process, 2),
        (Named, own(), 1),
        (None, Grouper::Default, 2),
        (None, Grouper::Process, 2),
        (None, own(), 2),
    ] {
        let mut settings = Settings::default();
        settings.hub.await_inprogress = which;
        run(settings, async |rig| {
            rig.fakes.set_grouper(grouper.clone());
            let process = rig.process("a").await;
            rig.fakes.hold(&process, Manner::Obeying);
            let first = rig.try_out(&process, "same");
            rig.held(1).await;
            let second = rig.try_out(&process, "same");
            rig.until_groups(|groups| groups.iter().any(|group| group.queue + group.waiters > 0)).await;
            rig.fakes.let_go();
            for one in [first, second] {
                assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
            }
            let seen = rig.fakes.slots(&process, Asked::DryRun).len();
            assert_eq!(seen, executions, "{which:?} {grouper:?}");
            rig.nothing_left().await;
        });
    }
}

#[test]
fn a_device_that_names_bases_alone_shares_no_reading_of_the_state_with_them() {
    usual(async |rig| {
        rig.fakes.set_grouper(Grouper::Own(Arc::new(ByBase)));
        let process = rig.process("a").await;
        assert_eq!(still(rig.try_out(&process, "x")).await.unwrap(), Ok((0, "1".to_owned())));
        let held = rig.groups().await;
        assert_eq!(held.iter().map(|group| group.leader.as_str()).collect::<Vec<_>>(), ["base_worker"]);
        assert_eq!(still(rig.hub.state(&process)).await.unwrap().as_json(), Some("[]"));
        assert_eq!(still(rig.try_out(&process, "y")).await.unwrap(), Ok((0, "1".to_owned())));
        rig.nothing_left().await;
    });
}

#[test]
fn different_requests_under_one_name_have_their_own_answers() {
    usual(async |rig| {
        rig.fakes.set_grouper(Grouper::Own(Arc::new(OneName)));
        let process = rig.process("a").await;
        let tried: Vec<_> = (0..20).map(|number| rig.try_out(&process, &format!("{}", number % 4))).collect();
        let state = still(rig.hub.state(&process)).await;
        assert_eq!(state.unwrap().as_json(), Some("[]"));
        for one in tried {
            assert_eq!(still(one).await.unwrap(), Ok((0, "1".to_owned())));
        }
        let executions = rig.fakes.slots(&process, Asked::DryRun).len();
        assert!((4..20).contains(&executions), "{executions}");
        rig.nothing_left().await;
    });
}

#[test]
fn readers_of_the_state_share_one_reading() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let reading: Vec<_> = (0..10)
            .map(|_| {
                let (hub, process) = (rig.hub.clone(), process.clone());
                actix_rt::spawn(async move { hub.state(&process).await })
            })
            .collect();
        rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 9).await;
        rig.fakes.let_go();
        for one in reading {
            assert_eq!(still(one).await.unwrap().unwrap().as_json(), Some(r#"["x"]"#));
        }
        rig.nothing_left().await;
    });
}

#[test]
fn without_process_workers_equal_requests_to_compute_meet_and_one_worker_advances_the_log() {
    for which in [AwaitInProgress::All, AwaitInProgress::Named, AwaitInProgress::None] {
        let mut settings = Settings::default();
        settings.options.process_workers = false;
        settings.hub.await_inprogress = which;
        run(settings, async |rig| {
            let process = rig.process("a").await;
            rig.gone(&process).await;
            rig.fakes.hold(&process, Manner::Obeying);
            assert_eq!(rig.schedule(&process, "x").await, Ok(1));
            assert_eq!(rig.schedule(&process, "y").await, Ok(2));
            rig.held(1).await;
            let created = rig.fakes.created().len();
            let asking: Vec<_> = (0..10)
                .map(|number| {
                    let (hub, process) = (rig.hub.clone(), process.clone());
                    let slot = (number % 2 == 0).then_some(Slot(2));
                    actix_rt::spawn(async move { hub.compute(&process, slot).await.map(|computed| computed.slot) })
                })
                .collect();
            let joins = which == AwaitInProgress::All;
            if joins {
                // The latest slot and the same slot by its number are one thing.
                rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 9).await;
            } else {
                rig.status(&process).await;
                assert_eq!(rig.groups().await, []);
            }
            rig.fakes.let_go();
            for one in asking {
                assert_eq!(still(one).await.unwrap(), Ok(Slot(2)), "{which:?}");
            }
            assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1, 2], "{which:?}");
            assert_eq!(rig.fakes.created().len(), created, "{which:?}");
            rig.nothing_left().await;
        });
    }
}

#[test]
fn a_thousand_equal_dry_runs_are_one_execution_a_hundred_times_over() {
    const CLIENTS: usize = 1_000;
    usual(async |rig| {
        let process = rig.process("a").await;
        for round in 1..=100 {
            rig.fakes.hold(&process, Manner::Obeying);
            let asking: Vec<_> = (0..CLIENTS).map(|_| rig.try_out(&process, "same")).collect();
            rig.until_groups(|groups| groups.iter().any(|group| group.waiters == CLIENTS as u64 - 1)).await;
            rig.fakes.let_go();
            for one in still(join_all(asking)).await {
                assert_eq!(one.unwrap(), Ok((0, "1".to_owned())));
            }
            assert_eq!(rig.fakes.slots(&process, Asked::DryRun).len(), round);
        }
        rig.nothing_left().await;
    });
}

#[test]
fn of_ten_who_register_at_once_one_leads_and_a_dead_ones_name_is_free_at_once() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = name(&process);
        for _ in 0..3 {
            let asked = join_all((0..10).map(|_| register(&rig, &group))).await;
            let mut leaders = Vec::new();
            let mut waiting = Vec::new();
            for (resolution, awaited) in asked {
                match resolution {
                    Resolution::Leader(registration, queued) => leaders.push((registration, queued, awaited)),
                    Resolution::Wait(kind) => {
                        assert_eq!(kind, LeaderKind::Execution);
                        waiting.push(awaited);
                    }
                    Resolution::InfiniteRecursion => panic!("nobody waits for itself"),
                }
            }
            assert_eq!((leaders.len(), waiting.len()), (1, 9));
            drop(leaders);
            // Asked at once, behind nothing but the news of the death.
            let (next, awaited) = register(&rig, &group).await;
            assert!(matches!(next, Resolution::Leader(..)), "{next:?}");
            for one in waiting {
                let told = still(one.hear()).await;
                assert!(matches!(&told, Told::LeaderDied(reason) if reason == "dropped"), "{told:?}");
            }
            drop((next, awaited));
        }
        rig.nothing_left().await;
    });
}

#[test]
fn an_answer_of_leadership_that_nobody_hears_leaves_the_name_free() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = name(&process);
        let (reply, _awaited) = Reply::channel();
        let leader = Queued::Listener { key: group.clone(), reply };
        rig.registry.do_send(FindOrRegister { group: group.clone(), leader, chain: None });
        let (next, _) = register(&rig, &group).await;
        assert!(!matches!(next, Resolution::InfiniteRecursion));
        drop(next);
        let (next, _) = register(&rig, &group).await;
        assert!(matches!(next, Resolution::Leader(..)), "{next:?}");
        drop(next);
        rig.nothing_left().await;
    });
}

/// What an execution of a test does in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answers,
    Panics,
}

/// Starts `clients` equal requests whose executions pass `gate` and then do their deed. Executions are counted.
fn share_among(
    rig: &Rig,
    process: &ProcessId,
    clients: usize,
    gate: &Arc<Notify>,
    deeds: fn(usize) -> Deed,
) -> (Arc<AtomicUsize>, Vec<tokio::task::JoinHandle<Result<Answer, RequestError>>>) {
    let executions = Arc::new(AtomicUsize::new(0));
    let asking = (0..clients).map(|_| {
        let (hub, process, executions, gate) = (rig.hub.clone(), process.clone(), executions.clone(), gate.clone());
        actix_rt::spawn(async move {
            let execute = |_| {
                let (executions, gate) = (executions.clone(), gate.clone());
                async move {
                    let number = executions.fetch_add(1, Ordering::Relaxed);
                    gate.notified().await;
                    match deeds(number) {
                        Deed::Answers => Ok(Answer::Done),
                        Deed::Panics => std::panic::resume_unwind(Box::new("killed")),
                    }
                }
            };
            hub.share(shared(&process), execute).await
        })
    });
    let asking = asking.collect();
    (executions, asking)
}

#[test]
fn when_a_leader_is_killed_in_the_middle_one_of_those_who_wait_leads_and_all_are_answered() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let gate = Arc::new(Notify::new());
        let deeds = |number| if number == 0 { Deed::Panics } else { Deed::Answers };
        let (executions, asking) = share_among(&rig, &process, 100, &gate, deeds);
        for _ in 0..2 {
            rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 99).await;
            gate.notify_one();
            moment().await;
        }
        for one in asking {
            assert_eq!(still(one).await.unwrap(), Ok(Answer::Done));
        }
        assert_eq!(executions.load(Ordering::Relaxed), 2);
        rig.nothing_left().await;
    });
}

#[test]
fn after_so_many_dead_leaders_everybody_is_told_what_died_and_why() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let gate = Arc::new(Notify::new());
        let (executions, asking) = share_among(&rig, &process, 20, &gate, |_| Deed::Panics);
        for attempt in 1..=ATTEMPTS as usize {
            rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 19).await;
            assert_eq!(executions.load(Ordering::Relaxed), attempt);
            gate.notify_one();
            moment().await;
        }
        for one in asking {
            let refused = still(one).await.unwrap().unwrap_err();
            let RequestError::LeaderDied { group, reason } = &refused else { panic!("{refused:?}") };
            assert_eq!(group, &name(&process));
            assert!(reason.contains("5 in a row") && reason.contains("resolve_attempts"), "{reason}");
        }
        assert_eq!(executions.load(Ordering::Relaxed), ATTEMPTS as usize);
        rig.nothing_left().await;
    });
}

#[test]
fn the_first_to_wait_is_told_first_and_those_who_left_cost_nothing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let gate = Arc::new(Notify::new());
        let executions = Arc::new(AtomicUsize::new(0));
        let told = Rc::new(RefCell::new(Vec::new()));
        let asking: Vec<_> = (0..200)
            .map(|number| {
                let (hub, process, told) = (rig.hub.clone(), process.clone(), told.clone());
                let (executions, gate) = (executions.clone(), gate.clone());
                actix_rt::spawn(async move {
                    let execute = |_| {
                        let (executions, gate) = (executions.clone(), gate.clone());
                        async move {
                            executions.fetch_add(1, Ordering::Relaxed);
                            gate.notified().await;
                            Ok(Answer::Done)
                        }
                    };
                    hub.share(shared(&process), execute).await.unwrap();
                    told.borrow_mut().push(number);
                })
            })
            .collect();
        rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 199).await;
        // The leader's own asker is among those who leave.
        for one in asking.iter().step_by(2) {
            one.abort();
        }
        rig.until_groups(|groups| groups.len() == 1 && groups[0].waiters == 100).await;
        gate.notify_one();
        let ended = still(join_all(asking)).await;
        assert_eq!(ended.iter().filter(|one| one.is_ok()).count(), 100);
        assert_eq!(*told.borrow(), (0..200).skip(1).step_by(2).collect::<Vec<_>>());
        assert_eq!(executions.load(Ordering::Relaxed), 1);
        rig.nothing_left().await;
    });
}

#[test]
fn ten_thousand_wait_for_one_slot_and_half_of_them_leave() {
    const CLIENTS: usize = 10_000;
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let told = Rc::new(RefCell::new(Vec::new()));
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (hub, process, told) = (rig.hub.clone(), process.clone(), told.clone());
                actix_rt::spawn(async move {
                    hub.compute(&process, Some(Slot(1))).await.unwrap();
                    told.borrow_mut().push(number);
                })
            })
            .collect();
        rig.status(&process).await;
        for one in asking.iter().skip(1).step_by(2) {
            one.abort();
        }
        rig.fakes.let_go();
        still(join_all(asking)).await;
        assert_eq!(*told.borrow(), (0..CLIENTS).step_by(2).collect::<Vec<_>>());
        assert_eq!(rig.fakes.slots(&process, Asked::Compute), [1]);
        rig.nothing_left().await;
    });
}

#[test]
fn an_execution_that_waits_for_ever_does_not_keep_others_from_their_names() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let stuck = actix_rt::spawn(async move { hub.share(shared(&asked), |_| pending()).await });
        rig.until_groups(|groups| groups.len() == 1).await;
        let tried: Tried = still(rig.try_out(&process, "x")).await.unwrap();
        assert_eq!(tried, Ok((0, "1".to_owned())));
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "1");
        stuck.abort();
    });
}
