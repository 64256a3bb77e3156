//! Requests that came through groups, and who would wait for itself by them.

use std::time::Duration;

use super::rig::{Rig, Settings, draft, moment, output, run, still, usual};
use crate::actors::Hub;
use crate::device::fake::Manner;
use crate::group::Chain;
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::RequestError;
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(3600);

/// What a call of the groups' own would ask by, innermost last.
fn behind(rig: &Rig, groups: &[&GroupName]) -> Hub {
    let chain = groups.iter().fold(Chain::default(), |chain, group| chain.then(group).unwrap());
    rig.hub.behind(chain)
}

fn of(process: &ProcessId) -> GroupName {
    GroupName::of_process(process)
}

/// Schedules a message that stays at the gate; afterwards slot 1 of each is being computed.
async fn held_at_slot_one(rig: &Rig, processes: &[&ProcessId]) {
    for (count, process) in processes.iter().enumerate() {
        rig.fakes.hold(process, Manner::Obeying);
        assert_eq!(rig.schedule(process, "x").await, Ok(1));
        rig.held(count + 1).await;
    }
}

type Computing = JoinHandle<Result<String, RequestError>>;

fn compute(hub: Hub, process: &ProcessId, slot: u64) -> Computing {
    let process = process.clone();
    actix_rt::spawn(async move { hub.compute(&process, Some(Slot(slot))).await.map(|computed| output(&computed)) })
}

fn is_circle<T>(answer: &Result<T, RequestError>) -> bool {
    matches!(answer, Err(RequestError::InfiniteRecursion { .. }))
}

#[test]
fn a_process_that_would_wait_for_itself_is_told_at_once_and_leaves_no_trace() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let group = of(&process);
        held_at_slot_one(&rig, &[&process]).await;
        let own = behind(&rig, &[&group]);
        for slot in [Some(Slot(1)), None] {
            assert!(is_circle(&still(own.compute(&process, slot)).await), "{slot:?}");
        }
        assert!(is_circle(&still(own.state(&process)).await));
        assert!(is_circle(&still(own.await_any(&process)).await));
        assert!(is_circle(&still(own.snapshot(&process)).await));
        assert!(is_circle(&still(own.schedule_and_wait(&process, draft("z"), LONG)).await));
        assert!(rig.hub.waits().is_empty());
        // What does not wait for the slot is answered.
        assert_eq!(still(own.compute(&process, Some(Slot(0)))).await.map(|computed| computed.slot), Ok(Slot(0)));
        assert_eq!(still(own.schedule(&process, draft("y"))).await, Ok(Slot(2)));
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&process, 2).await, "2", "no other message was left behind");
        rig.rest(&process).await;
        assert_eq!(rig.status(&process).await.scheduled, Slot(2));
        rig.nothing_left().await;
    });
}

#[test]
fn a_dry_run_of_a_process_on_itself_waits_for_nothing() {
    usual(async |rig| {
        let process = rig.process("a").await;
        held_at_slot_one(&rig, &[&process]).await;
        let own = behind(&rig, &[&of(&process)]);
        let asked = process.clone();
        let tried = actix_rt::spawn(async move { own.dry_run(&asked, draft("tried")).await.map(|(slot, _)| slot) });
        assert_eq!(rig.soon(tried).await, Ok(Slot(0)));
        rig.fakes.let_go();
        assert_eq!(rig.outcome(&process, 1).await, "1");
        rig.nothing_left().await;
    });
}

#[test]
fn a_circle_across_two_and_three_processes_is_told_where_it_would_close() {
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        usual(async |rig| {
            let mut processes = Vec::new();
            for name in names {
                processes.push(rig.process(name).await);
            }
            held_at_slot_one(&rig, &processes.iter().collect::<Vec<_>>()).await;
            let waiting: Vec<_> =
                processes.windows(2).map(|pair| compute(behind(&rig, &[&of(&pair[0])]), &pair[1], 1)).collect();
            while rig.hub.waits().len() < waiting.len() {
                moment().await;
            }
            let (first, last) = (&processes[0], processes.last().unwrap());
            let closing = behind(&rig, &[&of(last)]);
            assert!(is_circle(&still(closing.compute(first, Some(Slot(1)))).await));
            assert!(is_circle(&still(closing.state(first)).await));
            assert!(is_circle(&still(closing.schedule_and_wait(first, draft("z"), LONG)).await));
            assert!(waiting.iter().all(|one| !one.is_finished()));
            rig.fakes.let_go();
            for one in waiting {
                assert_eq!(still(one).await.unwrap(), Ok("1".to_owned()));
            }
            assert!(rig.hub.waits().is_empty());
            assert_eq!(still(closing.compute(first, Some(Slot(1)))).await.map(|computed| computed.slot), Ok(Slot(1)));
            assert_eq!(rig.status(first).await.scheduled, Slot(1));
            rig.nothing_left().await;
        });
    }
}

#[test]
fn the_whole_chain_counts() {
    usual(async |rig| {
        let (a, b, c) = (rig.process("a").await, rig.process("b").await, rig.process("c").await);
        held_at_slot_one(&rig, &[&a, &b, &c]).await;
        let own = behind(&rig, &[&of(&a), &of(&b)]);
        assert!(is_circle(&still(own.compute(&a, Some(Slot(1)))).await));
        assert!(is_circle(&still(own.compute(&b, Some(Slot(1)))).await));
        let waiting = compute(own, &c, 1);
        while rig.hub.waits().is_empty() {
            moment().await;
        }
        assert!(is_circle(&still(behind(&rig, &[&of(&c)]).compute(&a, Some(Slot(1)))).await));
        rig.fakes.let_go();
        assert_eq!(still(waiting).await.unwrap(), Ok("1".to_owned()));
        rig.nothing_left().await;
    });
}

#[test]
fn waits_that_merely_meet_are_no_circle() {
    usual(async |rig| {
        let (a, b, c) = (rig.process("a").await, rig.process("b").await, rig.process("c").await);
        held_at_slot_one(&rig, &[&a, &b, &c]).await;
        let waiting = [
            compute(behind(&rig, &[&of(&a)]), &c, 1),
            compute(behind(&rig, &[&of(&b)]), &c, 1),
            compute(behind(&rig, &[&of(&a)]), &b, 1),
            compute(behind(&rig, &[&of(&a)]), &b, 1),
            compute(rig.hub.clone(), &a, 1),
        ];
        while rig.hub.waits().len() < 2 {
            moment().await;
        }
        rig.fakes.let_go();
        for one in waiting {
            assert_eq!(still(one).await.unwrap(), Ok("1".to_owned()));
        }
        rig.nothing_left().await;
    });
}

#[test]
fn a_wait_that_is_given_up_is_forgotten() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        held_at_slot_one(&rig, &[&a, &b]).await;
        let (to_b, to_a) = (behind(&rig, &[&of(&a)]), behind(&rig, &[&of(&b)]));
        let waiting = compute(to_b, &b, 1);
        while rig.hub.waits().is_empty() {
            moment().await;
        }
        assert!(is_circle(&still(to_a.compute(&a, Some(Slot(1)))).await));
        waiting.abort();
        assert!(still(waiting).await.is_err());
        assert!(rig.hub.waits().is_empty());
        let other = compute(to_a, &a, 1);
        while rig.hub.waits().is_empty() {
            moment().await;
        }
        rig.fakes.let_go();
        assert_eq!(still(other).await.unwrap(), Ok("1".to_owned()));
        rig.nothing_left().await;
    });
}

#[test]
fn bases_that_would_wait_for_each_other_are_told() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let mut groups = Vec::new();
        for (count, process) in [&a, &b].into_iter().enumerate() {
            let group = still(rig.hub.hold_base(process, None, Some(true), None)).await.unwrap();
            rig.fakes.hold(process, Manner::Obeying);
            drop(rig.resolve(&group, "busy"));
            rig.held(count + 1).await;
            groups.push(group);
        }
        let (of_a, of_b) = (behind(&rig, &[&groups[0]]), behind(&rig, &[&groups[1]]));
        assert!(is_circle(&still(of_a.resolve_on(&groups[0], draft("x"))).await));
        assert!(is_circle(&still(of_a.dry_run(&a, draft("x"))).await));
        assert!(is_circle(&still(of_a.hold_base(&a, None, Some(true), None)).await));
        // One waits for the other's turn by a dry-run, which needs the very worker that holds its base.
        let asked = b.clone();
        let waiting = actix_rt::spawn(async move { of_a.dry_run(&asked, draft("x")).await.map(|(slot, _)| slot) });
        rig.until_groups(|all| all.iter().any(|status| status.group == groups[1] && status.queue == 1)).await;
        assert!(is_circle(&still(of_b.resolve_on(&groups[0], draft("x"))).await));
        assert!(is_circle(&still(of_b.dry_run(&a, draft("x"))).await));
        rig.fakes.let_go();
        assert_eq!(still(waiting).await.unwrap(), Ok(Slot(0)));
        rig.nothing_left().await;
    });
}

#[test]
fn whoever_joins_an_execution_waits_for_what_it_waits_for() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        held_at_slot_one(&rig, &[&a]).await;
        let base = still(rig.hub.hold_base(&b, None, Some(true), None)).await.unwrap();
        rig.fakes.hold(&b, Manner::Obeying);
        let busy = rig.resolve(&base, "busy");
        rig.held(2).await;
        // Somebody whom nobody waits for leads, and the call of process a joins.
        let leading = rig.try_out(&b, "same");
        rig.until_groups(|all| all.iter().any(|status| status.group == base && status.queue == 1)).await;
        let (of_a, of_base, asked) = (behind(&rig, &[&of(&a)]), behind(&rig, &[&base]), b.clone());
        let joining = actix_rt::spawn(async move { of_a.dry_run(&asked, draft("same")).await.map(|(slot, _)| slot) });
        rig.until_groups(|all| all.iter().any(|status| status.leader == "execution" && status.waiters == 1)).await;
        assert!(
            is_circle(&still(of_base.compute(&a, Some(Slot(1)))).await),
            "the base would wait for who waits for it"
        );
        rig.fakes.let_go();
        assert_eq!(still(joining).await.unwrap(), Ok(Slot(0)));
        assert!(still(busy).await.unwrap().is_ok() && still(leading).await.unwrap().is_ok());
        assert!(rig.hub.waits().is_empty());
        rig.nothing_left().await;
    });
}

#[test]
fn where_it_is_allowed_a_request_waits_for_itself_and_another_may_end_that() {
    let mut settings = Settings::default();
    settings.hub.allow_infinite = true;
    run(settings, async |rig| {
        let process = rig.process("a").await;
        held_at_slot_one(&rig, &[&process]).await;
        let own = behind(&rig, &[&of(&process)]);
        let waiting = compute(own.clone(), &process, 1);
        let scheduled = {
            let (own, process) = (own.clone(), process.clone());
            actix_rt::spawn(async move { own.schedule_and_wait(&process, draft("y"), LONG).await })
        };
        rig.until(&process, |status| status.scheduled == Slot(2)).await;
        assert!(!waiting.is_finished());
        rig.fakes.let_go();
        assert_eq!(still(waiting).await.unwrap(), Ok("1".to_owned()));
        assert_eq!(still(scheduled).await.unwrap().unwrap().slot, Slot(2));
        rig.nothing_left().await;
    });
}
