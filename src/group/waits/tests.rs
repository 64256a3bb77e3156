use std::sync::{Barrier, mpsc};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const GROUPS: u8 = 6;

fn name(number: u8) -> GroupName {
    GroupName::parse(&format!("p{number}")).unwrap()
}

fn chain(numbers: &[u8]) -> Chain {
    numbers.iter().fold(Chain::default(), |chain, number| chain.then(&name(*number)).unwrap())
}

#[test]
fn a_circle_is_refused_however_long_it_is() {
    let table = WaitTable::default();
    let guards: Vec<_> = (0..100).map(|number| table.enter(&chain(&[number]), &name(number + 1)).unwrap()).collect();
    for number in 0..=100 {
        let refused = table.enter(&chain(&[100]), &name(number)).unwrap_err();
        assert_eq!(refused, Circle { target: name(number) });
    }
    assert_eq!(table.len(), 100, "what was refused added nothing");
    drop(guards);
    assert!(table.is_empty());
    assert!(table.enter(&chain(&[100]), &name(0)).is_ok());
}

#[test]
fn a_group_that_is_on_the_chain_is_refused() {
    let table = WaitTable::default();
    assert!(table.enter(&chain(&[1, 2, 3]), &name(2)).is_err());
    assert!(table.is_empty());
}

#[test]
fn every_group_of_a_chain_waits() {
    let table = WaitTable::default();
    let _guard = table.enter(&chain(&[1, 2]), &name(3)).unwrap();
    for number in [1, 2] {
        assert!(table.enter(&chain(&[3]), &name(number)).is_err());
    }
}

#[test]
fn a_wait_that_was_begun_twice_lasts_until_both_are_over() {
    let table = WaitTable::default();
    let first = table.enter(&chain(&[1]), &name(2)).unwrap();
    let second = table.enter(&chain(&[1]), &name(2)).unwrap();
    drop(first);
    assert!(table.enter(&chain(&[2]), &name(1)).is_err());
    drop(second);
    assert!(table.enter(&chain(&[2]), &name(1)).is_ok());
}

#[test]
fn an_empty_chain_takes_no_lock() {
    let table = WaitTable::default();
    let held = table.lock();
    let (sender, receiver) = mpsc::channel();
    let other = table.clone();
    std::thread::spawn(move || {
        drop(other.enter(&Chain::default(), &name(1)).unwrap());
        sender.send(()).unwrap();
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok(()));
    assert!(held.is_empty());
}

#[test]
fn one_of_two_that_would_wait_for_each_other_is_refused() {
    for _ in 0..200 {
        let (table, start) = (WaitTable::default(), Barrier::new(2));
        let enter = |waiter: u8, target: u8| {
            start.wait();
            table.enter(&chain(&[waiter]), &name(target))
        };
        // The guards outlive both attempts.
        let entered = std::thread::scope(|scope| {
            let other = scope.spawn(|| enter(2, 1));
            [enter(1, 2), other.join().unwrap()]
        });
        assert_eq!(entered.iter().filter(|entered| entered.is_ok()).count(), 1);
        drop(entered);
        assert!(table.is_empty());
    }
}

#[test]
fn a_panic_under_the_lock_stops_nobody() {
    let table = WaitTable::default();
    let guard = table.enter(&chain(&[1]), &name(2)).unwrap();
    let other = table.clone();
    let panicked = std::thread::spawn(move || {
        let _held = other.0.lock();
        panic!("under the lock");
    });
    assert!(panicked.join().is_err());
    assert!(table.enter(&chain(&[2]), &name(1)).is_err());
    drop(guard);
    assert!(table.is_empty());
}

/// Whether the edges hold a circle: what nobody leads to any more is taken away until nothing changes.
fn has_circle(edges: &[(u8, u8)]) -> bool {
    let mut left = edges.to_vec();
    loop {
        let before = left.len();
        let targets: HashSet<u8> = left.iter().map(|(_, target)| *target).collect();
        left.retain(|(waiter, _)| targets.contains(waiter));
        if left.len() == before {
            return !left.is_empty();
        }
    }
}

fn edges_of(table: &WaitTable) -> Vec<(GroupName, GroupName)> {
    let graph = table.lock();
    let edges = graph.edges.iter().flat_map(|(waiter, targets)| {
        assert!(!targets.is_empty(), "{waiter} is left behind");
        targets.iter().flat_map(move |(target, count)| {
            assert!(*count > 0, "{target} is left behind");
            std::iter::repeat_n((waiter.clone(), target.clone()), *count)
        })
    });
    let mut edges: Vec<_> = edges.collect();
    edges.sort();
    edges
}

#[derive(Clone, Debug)]
enum Step {
    Enter(Vec<u8>, u8),
    Drop(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop::collection::vec(0..GROUPS, 0..3), 0..GROUPS).prop_map(|(chain, target)| Step::Enter(chain, target)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_list_of_edges(steps in prop::collection::vec(step(), 0..60)) {
        let table = WaitTable::default();
        let mut waits: Vec<(WaitGuard, Vec<(u8, u8)>)> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(waiters, target) => {
                    let added: Vec<_> = waiters.iter().map(|waiter| (*waiter, target)).collect();
                    let with: Vec<_> = waits.iter().flat_map(|(_, edges)| edges).chain(&added).copied().collect();
                    let entered = table.enter(&chain(&waiters), &name(target));
                    prop_assert_eq!(entered.is_err(), has_circle(&with), "{:?} for {}", waiters, target);
                    waits.extend(entered.ok().map(|guard| (guard, added)));
                }
                Step::Drop(_) if waits.is_empty() => {}
                Step::Drop(which) => drop(waits.swap_remove(which.index(waits.len()))),
            }
            let plain = waits.iter().flat_map(|(_, edges)| edges);
            let mut plain: Vec<_> = plain.map(|(waiter, target)| (name(*waiter), name(*target))).collect();
            plain.sort();
            prop_assert_eq!(edges_of(&table), plain);
        }
        waits.clear();
        prop_assert!(table.is_empty());
    }
}
