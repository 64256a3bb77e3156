use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

mod model;

fn name(number: u8) -> GroupName {
    GroupName::parse(&format!("p{number}")).unwrap()
}

fn chain(numbers: &[u8]) -> Chain {
    numbers.iter().fold(Chain::default(), |chain, number| chain.then(&name(*number)).unwrap())
}

type Names = Registrations<Incarnation, u32>;

fn register(names: &mut Names, number: u8) -> Incarnation {
    *names.register(name(number), |incarnation| incarnation).unwrap()
}

fn order(names: &Names) -> Vec<GroupName> {
    names.oldest_first().map(|(group, _)| group.clone()).collect()
}

#[test]
fn a_held_name_is_refused_and_a_freed_one_is_free_at_once() {
    let mut names = Names::default();
    let first = register(&mut names, 1);
    assert_eq!(names.register(name(1), |incarnation| incarnation), Err(Held));
    assert_eq!(names.unregister(&name(1), first), Some(Ended { leader: first, waiters: VecDeque::new() }));
    let second = register(&mut names, 1);
    assert_ne!(first, second);
    assert_eq!(names.unregister(&name(1), first), None, "a dead incarnation frees nobody else's name");
    assert_eq!(names.peek(&name(1)), Some(&second));
}

#[test]
fn whoever_was_left_alone_longest_comes_first() {
    let mut names = Names::default();
    for number in 0..3 {
        register(&mut names, number);
    }
    names.find(&name(0));
    assert_eq!(order(&names), [name(1), name(2), name(0)]);
    assert!(matches!(names.find_or_register(&name(1), None, |incarnation| incarnation), Found::Wait(_)));
    assert_eq!(order(&names), [name(2), name(0), name(1)]);
}

#[test]
fn of_ten_who_ask_for_a_name_one_leads_and_the_others_wait_for_it() {
    let mut names = Names::default();
    let mut leaders = Vec::new();
    for asker in 0..10 {
        match names.find_or_register(&name(1), Some(&Chain::default()), |incarnation| incarnation) {
            Found::Leader(incarnation) => leaders.push(incarnation),
            Found::Wait(leader) => {
                assert_eq!(leaders, [*leader]);
                names.push(&name(1), asker).unwrap();
            }
            Found::InfiniteRecursion => panic!("nobody was asked for twice"),
        }
    }
    let ended = names.unregister(&name(1), leaders[0]).unwrap();
    assert_eq!(ended.waiters, (1..10).collect::<VecDeque<_>>(), "first come first");
    assert!(names.is_empty() && names.waiters(&name(1)).is_none());
}

#[test]
fn a_leader_on_the_chain_is_not_waited_for() {
    let mut names = Names::default();
    let mut ask = |chain: Option<&Chain>| match names.find_or_register(&name(1), chain, |incarnation| incarnation) {
        Found::Leader(_) => "leader",
        Found::Wait(_) => "wait",
        Found::InfiniteRecursion => "recursion",
    };
    assert_eq!(ask(Some(&chain(&[2, 1, 3]))), "leader", "nobody leads yet");
    assert_eq!(ask(Some(&chain(&[2, 1, 3]))), "recursion");
    assert_eq!(ask(Some(&chain(&[2, 3]))), "wait");
    assert_eq!(ask(None), "wait", "recursion is allowed");
}

#[test]
fn nobody_waits_where_nobody_leads() {
    assert_eq!(Names::default().push(&name(1), 7), Err(7));
}

#[test]
fn a_new_name_is_held_by_the_same_incarnation_with_its_waiters() {
    let mut names = Names::default();
    let (first, other) = (register(&mut names, 1), register(&mut names, 2));
    names.push(&name(1), 7).unwrap();
    assert_eq!(names.rename(&name(1), first, name(2)), Err(NotRenamed::Held));
    assert_eq!(names.rename(&name(1), other, name(3)), Err(NotRenamed::Gone));
    assert_eq!(names.rename(&name(4), first, name(3)), Err(NotRenamed::Gone));
    assert_eq!(names.rename(&name(1), first, name(1)), Ok(()));
    assert_eq!(names.rename(&name(1), first, name(3)), Ok(()));
    assert_eq!(order(&names), [name(3), name(2)], "a new name is no use");
    assert_eq!(names.unregister(&name(1), first), None);
    assert_eq!(names.unregister(&name(3), first), Some(Ended { leader: first, waiters: VecDeque::from([7]) }));
}

#[test]
fn a_successor_holds_the_name_and_gets_the_waiters() {
    let mut names = Names::default();
    let first = register(&mut names, 1);
    register(&mut names, 2);
    for waiter in 0..3 {
        names.push(&name(1), waiter).unwrap();
    }
    let (second, waiters) = names.replace(&name(1), first, |incarnation| incarnation).unwrap();
    assert_ne!(first, second);
    assert_eq!((waiters, names.peek(&name(1))), (VecDeque::from([0, 1, 2]), Some(&second)));
    assert_eq!(names.waiters(&name(1)), Some(&VecDeque::new()));
    assert_eq!(order(&names), [name(2), name(1)]);
    assert_eq!(names.replace(&name(1), first, |incarnation| incarnation), None);
    assert_eq!(names.replace(&name(3), second, |incarnation| incarnation), None);
}

#[test]
fn a_leader_that_cannot_be_made_leaves_everything_as_it_was() {
    let mut names = Names::default();
    let first = register(&mut names, 1);
    names.push(&name(1), 7).unwrap();
    let attempts: [fn(&mut Names, Incarnation); 3] = [
        |names, _| assert!(names.register(name(2), |_| panic!("no leader")).is_err()),
        |names, _| drop(names.find_or_register(&name(2), None, |_| panic!("no leader"))),
        |names, first| drop(names.replace(&name(1), first, |_| panic!("no leader"))),
    ];
    for attempt in attempts {
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attempt(&mut names, first)));
        assert!(failed.is_err());
        assert_eq!(order(&names), [name(1)]);
        assert_eq!((names.peek(&name(1)), names.peek(&name(2))), (Some(&first), None));
    }
    assert_eq!(names.unregister(&name(1), first).unwrap().waiters, [7]);
}

#[test]
fn a_mailbox_of_those_who_went_away_does_not_grow() {
    let mut names = Names::default();
    register(&mut names, 1);
    let mut looked_at = 0_u64;
    for waiter in 0..10_000 {
        let count = std::cell::Cell::new(0);
        names.sweep(&name(1), |waiter| {
            count.set(count.get() + 1);
            waiter % 1000 != 0
        });
        looked_at += count.get();
        names.push(&name(1), waiter).unwrap();
        assert!(names.waiters(&name(1)).unwrap().len() <= 32);
    }
    assert!(looked_at < 40_000, "{looked_at} looks for 10000 waiters");
    let left = names.waiters(&name(1)).unwrap().iter().filter(|waiter| *waiter % 1000 == 0).copied();
    assert_eq!(left.collect::<Vec<_>>(), (0..10).map(|number| number * 1000).collect::<Vec<_>>());
}

#[test]
fn nobody_who_still_waits_is_forgotten_or_looked_at_for_each_who_comes() {
    let mut names = Names::default();
    register(&mut names, 1);
    let looked_at = std::cell::Cell::new(0_u64);
    for waiter in 0..10_000 {
        let forgotten = names.sweep(&name(1), |_| {
            looked_at.set(looked_at.get() + 1);
            false
        });
        assert_eq!(forgotten, 0);
        names.push(&name(1), waiter).unwrap();
    }
    assert!(names.waiters(&name(1)).unwrap().iter().copied().eq(0..10_000));
    assert!(looked_at.get() <= 20_000, "{} looks for 10000 waiters", looked_at.get());
    assert_eq!(names.sweep(&name(2), |_| true), 0);
}
