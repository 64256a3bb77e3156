//! Whatever happens in whatever order, held against the model of the world.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::world::{Health, World};
use super::*;

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Event {
    /// Items for these targets are put into an outbox, and the pushing hears of it perhaps.
    Put {
        source: usize,
        targets: Vec<usize>,
        is_told: bool,
    },
    LookUp(usize),
    AnswerRead {
        index: usize,
        is_good: bool,
    },
    Deliver(usize),
    Remove(usize),
    Sleep,
    Health {
        target: usize,
        health: Health,
    },
    /// Answers that nobody waits for.
    Stray {
        source: usize,
        number: u64,
    },
}

const TARGETS: [&str; 12] = ["l0", "l1", "l2", "l3", "l4", "l5", "a0", "a1", "a2", "a3", "b0", "b1"];
const SOURCES: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    let healths = vec![Health::Good, Health::Ill { counts: true }, Health::Ill { counts: false }, Health::Gone];
    prop_oneof![
        6 => (0..SOURCES, prop::collection::vec(0..TARGETS.len(), 1..8), prop::bool::weighted(0.8))
            .prop_map(|(source, targets, is_told)| Event::Put { source, targets, is_told }),
        4 => any::<usize>().prop_map(Event::LookUp),
        10 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(index, is_good)| Event::AnswerRead { index, is_good }),
        12 => any::<usize>().prop_map(Event::Deliver),
        8 => any::<usize>().prop_map(Event::Remove),
        6 => Just(Event::Sleep),
        2 => (0..TARGETS.len(), prop::sample::select(healths)).prop_map(|(target, health)| Event::Health { target, health }),
        1 => (0..=SOURCES, 0u64..40).prop_map(|(source, number)| Event::Stray { source, number }),
    ]
}

fn options() -> impl Strategy<Value = PushOptions> {
    (1u32..4, 1usize..4, 1usize..4, 1usize..3, 1usize..6, 1usize..9, 1usize..14, 0usize..12).prop_map(
        |(attempts, in_flight, in_flight_local, loads, page, window, window_total, left_behind)| PushOptions {
            attempts,
            in_flight,
            in_flight_local,
            loads,
            page,
            window,
            window_total,
            left_behind,
        },
    )
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Put { source: number, targets, is_told } => {
            for target in targets {
                world.put(&source(number), TARGETS[target]);
            }
            if is_told {
                world.wake(&source(number));
            }
        }
        Event::LookUp(index) => world.look_up(index),
        Event::AnswerRead { index, is_good } => _ = world.answer_read(index, is_good),
        Event::Deliver(index) => _ = world.answer_delivery(index),
        Event::Remove(index) => _ = world.remove(index),
        Event::Sleep => _ = world.sleep(),
        Event::Health { target, health } => _ = world.health.insert(TARGETS[target].into(), health),
        Event::Stray { source: number, number: item } => {
            let (source, key) = (source(number), key(item));
            if world.deliveries.iter().all(|(s, k, _)| (s, k) != (&source, &key)) {
                world.pushing.delivered(&source, key, world.now);
                world.pushing.failed(&source, key, never(), 0, world.now);
                world.look();
            }
        }
    }
}

fn heal_and_end(world: &mut World) {
    world.health.clear();
    for source in world.store.keys().cloned().collect::<Vec<_>>() {
        world.wake(&source);
    }
    world.run_until(world.now + 10_000_000);
    world.assert_over();
}

/// One place for all sources: targets that never get well must not keep it from those that are.
#[test]
fn a_single_place_is_shared_with_targets_that_never_get_well() {
    let options = PushOptions {
        attempts: 3,
        in_flight: 2,
        in_flight_local: 1,
        loads: 1,
        page: 1,
        window: 1,
        window_total: 1,
        left_behind: TARGETS.len(),
    };
    let of_0 = [9, 8, 4, 8, 9, 1, 2, 8, 10, 9, 8, 9, 0, 8, 3, 9, 8];
    let of_1 = [0, 8, 10, 8, 1, 2];
    let of_2 = [9, 8, 3, 8, 9, 10, 8, 9, 1, 2];
    let mut world = World::new(options);
    for target in [1, 3] {
        world.health.insert(TARGETS[target].into(), Health::Ill { counts: false });
    }
    for target in [8, 9, 10] {
        world.health.insert(TARGETS[target].into(), Health::Ill { counts: true });
    }
    for (number, targets) in [&of_0[..], &of_1[..], &of_2[..]].into_iter().enumerate() {
        for target in targets {
            world.put(&source(number), TARGETS[*target]);
        }
        world.wake(&source(number));
    }
    world.run_until(world.now + 3_600_000);
    let left: BTreeSet<&str> = world.store.values().flatten().map(|(_, target)| &**target).collect();
    assert_eq!(left, BTreeSet::from(["l1", "l3"]));
    heal_and_end(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// The world checks at each step: order within each lane, nothing twice, one at a time for each lane, the limits.
    #[test]
    fn everything_ends_in_order_once_all_targets_are_well(
        options in options(),
        events in prop::collection::vec(event(), 1..250),
    ) {
        let mut world = World::new(options);
        for event in events {
            happen(&mut world, event);
        }
        heal_and_end(&mut world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Those that never get well hold up nobody else, however little room there is.
    #[test]
    fn a_target_that_is_well_gets_all_that_is_for_it(
        options in options(),
        puts in prop::collection::vec((0..SOURCES, 0..TARGETS.len()), 1..60),
        ill in prop::collection::vec(any::<Option<bool>>(), TARGETS.len()),
    ) {
        let mut world = World::new(PushOptions { left_behind: TARGETS.len(), ..options });
        for (target, ill) in TARGETS.iter().zip(&ill) {
            world.health.insert((*target).into(), ill.map_or(Health::Good, |counts| Health::Ill { counts }));
        }
        for (number, target) in puts {
            world.put(&source(number), TARGETS[target]);
        }
        for source in world.store.keys().cloned().collect::<Vec<_>>() {
            world.wake(&source);
        }
        world.run_until(world.now + 1_200_000);
        let is_waiting = |target: &Target| world.health[target] == Health::Ill { counts: false };
        let left: Vec<_> = world.store.values().flatten().filter(|(_, target)| !is_waiting(target)).collect();
        prop_assert!(left.is_empty(), "{:?} was left", left);
        heal_and_end(&mut world);
    }
}
