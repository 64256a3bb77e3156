//! The rules one by one.

use super::world::{Health, World};
use super::*;

/// A pushing of one source that has found items for these targets; the first has key 0.
fn loaded(options: PushOptions, targets: &[&str]) -> Pushing {
    let mut pushing = Pushing::new(options);
    pushing.wake(&source(0), 0);
    let found = (0..).zip(targets).map(|(number, target)| Found {
        key: key(number),
        target: (*target).into(),
        destination: world::destination(target),
    });
    pushing.loaded(&source(0), found.collect(), false, 0);
    pushing
}

/// What is to be done, in short.
fn taken(pushing: &mut Pushing) -> Vec<String> {
    let number = |key: OutboxKey| key.slot.0 * 3 + u64::from(key.index);
    let short = |effect| match effect {
        Effect::Load { after, .. } => format!("load after {:?}", after.map(number)),
        Effect::Deliver { key, target, attempt, .. } => {
            format!("deliver {} to {target}, attempt {attempt}", number(key))
        }
        Effect::Sent { key, .. } => format!("sent {}", number(key)),
        Effect::Bury { key, error, attempts, .. } => format!("bury {} after {attempts}: {error}", number(key)),
        Effect::WakeAt(at) => format!("wake at {at}"),
        Effect::Idle(source) => format!("idle {source}"),
        Effect::Note(Note::Failing { target, failures, .. }) => format!("{target} failing {failures}"),
        Effect::Note(Note::Recovered { target, failures, .. }) => format!("{target} recovered {failures}"),
        Effect::Note(Note::LoadFailing { failures, .. }) => format!("load failing {failures}"),
        Effect::Note(Note::Crowded { .. }) => "crowded".to_owned(),
    };
    pushing.take_effects().into_iter().map(short).collect()
}

#[test]
fn a_lane_delivers_one_after_the_other_and_is_forgotten_when_all_is_removed() {
    let mut pushing = loaded(PushOptions::default(), &["l0", "l0", "l1"]);
    let first = ["load after None", "deliver 0 to l0, attempt 1", "deliver 2 to l1, attempt 1"];
    assert_eq!(taken(&mut pushing), first);
    pushing.delivered(&source(0), key(0), 1);
    assert_eq!(taken(&mut pushing), ["sent 0", "deliver 1 to l0, attempt 1"]);
    for number in [1, 2] {
        pushing.delivered(&source(0), key(number), 2);
    }
    assert_eq!(taken(&mut pushing), ["sent 1", "sent 2"]);
    for number in [0, 1, 2] {
        assert_eq!(pushing.sources(), 1);
        pushing.removed(&source(0), key(number), 3);
    }
    assert_eq!((taken(&mut pushing), pushing.sources()), (vec!["idle source-0".to_owned()], 0));
    pushing.wake(&source(0), 4);
    assert_eq!(taken(&mut pushing), ["load after None"]);
}

#[test]
fn what_fails_for_now_is_tried_again_later_and_only_its_own_lane_waits() {
    let mut pushing = loaded(PushOptions::default(), &["l0", "l0", "l1"]);
    taken(&mut pushing).clear();
    pushing.failed(&source(0), key(0), later(false), u16::MAX, 1_000);
    assert_eq!(taken(&mut pushing), ["l0 failing 1", "wake at 1100"]);
    pushing.delivered(&source(0), key(2), 1_010);
    assert_eq!(taken(&mut pushing), ["sent 2"]);
    pushing.tick(1_099);
    assert_eq!(taken(&mut pushing), [""; 0]);
    pushing.tick(1_100);
    assert_eq!(taken(&mut pushing), ["deliver 0 to l0, attempt 2"]);
    pushing.failed(&source(0), key(0), later(false), u16::MAX, 2_000);
    assert_eq!(taken(&mut pushing), ["wake at 2200"]);
    pushing.tick(2_200);
    pushing.delivered(&source(0), key(0), 2_201);
    let healed = ["deliver 0 to l0, attempt 3", "l0 recovered 2", "sent 0", "load after Some(0)"];
    assert_eq!(taken(&mut pushing), healed);
}

#[test]
fn attempts_that_count_end_in_a_burial_and_others_never_do() {
    for (counts, buried) in [(true, true), (false, false)] {
        let mut pushing = loaded(PushOptions { attempts: 3, ..PushOptions::default() }, &["a0"]);
        let mut now = 0;
        let mut effects = Vec::new();
        for _ in 0..1000 {
            pushing.failed(&source(0), key(0), later(counts), 0, now);
            now += 60_000;
            pushing.tick(now);
            effects.extend(taken(&mut pushing));
        }
        let burials: Vec<_> = effects.iter().filter(|effect| effect.starts_with("bury")).collect();
        if buried {
            assert_eq!(burials, ["bury 0 after 3: no; limit push.attempts: 3 attempts were made"]);
        } else {
            assert_eq!(burials, [""; 0]);
            let noted: Vec<_> = effects.iter().filter(|effect| effect.contains("failing")).take(3).collect();
            assert_eq!(noted, ["a0 failing 1", "a0 failing 10", "a0 failing 20"]);
        }
    }
}

#[test]
fn what_fails_for_good_is_buried_at_once_and_the_next_goes() {
    let mut pushing = loaded(PushOptions::default(), &["a0", "a0"]);
    taken(&mut pushing).clear();
    pushing.failed(&source(0), key(0), never(), 0, 1);
    assert_eq!(taken(&mut pushing), ["bury 0 after 1: never", "deliver 1 to a0, attempt 1"]);
}

#[test]
fn a_destination_serves_who_came_first_and_holds_up_no_other() {
    let options = PushOptions { in_flight: 2, ..PushOptions::default() };
    let mut pushing = loaded(options, &["a0", "a0", "a1", "a2", "a3", "b0", "l0"]);
    let started: Vec<_> = taken(&mut pushing).drain(1..).collect();
    let now = ["deliver 0 to a0", "deliver 2 to a1", "deliver 5 to b0", "deliver 6 to l0"];
    assert_eq!(started, now.map(|one| format!("{one}, attempt 1")));
    pushing.delivered(&source(0), key(0), 1);
    pushing.failed(&source(0), key(2), later(true), 0, 1);
    pushing.delivered(&source(0), key(3), 1);
    let delivered: Vec<_> = taken(&mut pushing).into_iter().filter(|effect| effect.starts_with("deliver")).collect();
    let then = ["deliver 3 to a2", "deliver 4 to a3", "deliver 1 to a0"];
    assert_eq!(delivered, then.map(|one| format!("{one}, attempt 1")));
}

#[test]
fn after_a_stop_nothing_begins_and_what_is_under_way_is_still_taken() {
    let mut pushing = loaded(PushOptions { in_flight: 1, ..PushOptions::default() }, &["a0", "a0", "a1", "l0", "l0"]);
    pushing.wake(&source(1), 0);
    taken(&mut pushing).clear();
    pushing.stop();
    pushing.delivered(&source(0), key(0), 1);
    pushing.failed(&source(0), key(3), later(false), 0, 1);
    pushing.loaded(&source(1), Vec::new(), true, 1);
    pushing.wake(&source(2), 1);
    pushing.removed(&source(0), key(0), 2);
    pushing.tick(100_000);
    assert_eq!(taken(&mut pushing), ["sent 0", "l0 failing 1"]);
    assert_eq!(pushing.in_flight(), 0);
}

#[test]
fn a_read_that_failed_is_tried_again_later() {
    let mut pushing = Pushing::new(PushOptions::default());
    pushing.wake(&source(0), 0);
    pushing.load_failed(&source(0), "disk".to_owned(), u16::MAX, 0);
    assert_eq!(taken(&mut pushing), ["load after None", "load failing 1", "wake at 100"]);
    pushing.wake(&source(0), 50);
    assert_eq!(taken(&mut pushing), [""; 0]);
    pushing.tick(100);
    pushing.loaded(&source(0), Vec::new(), false, 101);
    assert_eq!(taken(&mut pushing), ["load after None", "idle source-0"]);
}

/// Puts items for `targets` into one outbox and runs for `time` milliseconds.
fn run(options: PushOptions, targets: impl Iterator<Item = String>, time: Millis) -> World {
    let mut world = World::new(options);
    for target in targets {
        if target.contains("dead") {
            world.health.insert(target.as_str().into(), Health::Ill { counts: false });
        }
        world.put(&source(0), &target);
    }
    world.wake(&source(0));
    world.run_until(world.now + time);
    world
}

fn left_for(world: &World, word: &str) -> usize {
    world.store.values().flatten().filter(|(_, target)| target.contains(word)).count()
}

#[test]
fn ten_thousand_items_for_a_dead_target_do_not_hold_up_the_one_behind_them() {
    let dead = (0..10_000).map(|_| "l-dead".to_owned());
    let world = run(PushOptions::default(), dead.chain(["l-well".to_owned()]), 0);
    assert_eq!((left_for(&world, "well"), left_for(&world, "dead")), (0, 10_000));
    assert!(world.most_places <= PushOptions::default().window / 2, "{} places", world.most_places);
    assert_eq!(world.pushing.places(), 1);
    assert!(world.found <= 10_001 + PushOptions::default().page, "{} items were read", world.found);
}

#[test]
fn more_dead_targets_than_there_is_room_for_do_not_hold_up_the_one_behind_them() {
    let options = PushOptions { window: 64, page: 32, in_flight_local: 8, ..PushOptions::default() };
    let dead = (0..300).map(|number| format!("l-dead-{number}"));
    let world = run(options, dead.chain(["l-well".to_owned()]), 60_000);
    assert_eq!((left_for(&world, "well"), left_for(&world, "dead")), (0, 300));
    assert!(world.most_places <= options.window + 1, "{} places", world.most_places);
}

#[test]
fn what_all_goes_well_is_read_a_few_times_at_most_and_without_waiting() {
    let many = |count: usize| (0..3_000).map(move |number| format!("l-{}", number % count));
    for count in [1, 10, 500, 3_000] {
        let world = run(PushOptions::default(), many(count), 0);
        world.assert_over();
        assert!(world.found <= 12_000, "{} items were read for {count} targets", world.found);
    }
}
