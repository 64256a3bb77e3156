//! Processes that outcomes create, and messages that they put into other logs.

use std::time::Duration;

use super::posting::{child, sending, spawning};
use super::rig::{Rig, Settings, draft, moment, run, still, usual};
use crate::config::limits::LimitOverrides;
use crate::device::fake::{BROKEN, SPAWNER, Wish};
use crate::ids::{ProcessId, Slot};
use crate::process::{Assignment, Definition, OutboxKey, ProcessOrigin, Spawn, Tag};
use crate::push::child_id;
use crate::store::faulty::Fault;

/// The process that item `index` of `slot` creates.
fn child_of(parent: &ProcessId, slot: u64, index: u32) -> ProcessId {
    child_id(parent, OutboxKey { slot: Slot(slot), index })
}

fn exists(rig: &Rig, process: &ProcessId) -> bool {
    rig.store.process(process).unwrap().is_some()
}

fn definition(rig: &Rig, process: &ProcessId) -> Definition {
    serde_json::from_str(&rig.log(process)[0].message.data).unwrap()
}

/// The `Reference` of each note to `parent` that a child is there, by the child's id.
fn told(rig: &Rig, parent: &ProcessId) -> Vec<(String, String)> {
    let log = rig.log(parent);
    let notes = log.iter().filter(|entry| entry.message.tag("Action") == Some("Spawned"));
    let tag = |entry: &crate::process::Entry, name: &str| entry.message.tag(name).unwrap().to_owned();
    notes.map(|entry| (tag(entry, "Process"), tag(entry, "Reference"))).collect()
}

#[test]
fn a_child_gets_its_first_message_and_the_parent_its_id() {
    usual(async |rig| {
        let limits = LimitOverrides { gas: Some(7), queue: Some(20_000), ..LimitOverrides::default() };
        let a = rig.process_within("a", "fake", limits).await;
        rig.wish(&a, &spawning(vec![child("hello", "first"), child("", "second")])).await;
        rig.quiet().await;
        let children = [0, 1].map(|index| child_of(&a, 1, index));
        assert_eq!(rig.received(&children[0]), [("a".to_owned(), "hello".to_owned())]);
        assert_eq!(rig.received(&children[1]), []);
        let names = ["first", "second"];
        let expected: Vec<_> =
            children.iter().zip(names).map(|(child, name)| (child.to_string(), name.to_owned())).collect();
        assert_eq!(told(&rig, &a), expected);
        let limits = definition(&rig, &children[0]).limits;
        assert_eq!((limits.gas, limits.queue), (7, 10_000), "at most the parent's, and the node's");
        let record = rig.store.process(&children[0]).unwrap().unwrap();
        assert_eq!(record.origin, ProcessOrigin::Spawned);
        assert_eq!(rig.letters().await, []);
    });
}

#[test]
fn what_no_process_may_have_is_refused_for_good() {
    usual(async |rig| {
        let a = rig.process("a").await;
        let of = |device: &str| Spawn { device: device.to_owned(), ..child("", "") };
        let broken = Spawn { source: Some(BROKEN.to_owned()), ..child("", "") };
        let nothing = Spawn { source: None, ..child("", "") };
        let cron = Spawn { tags: vec![Tag::new("Cron-Interval", "soon")], ..child("", "") };
        let spawns = vec![of("exec"), of("remote"), of("cobol"), broken, nothing, cron, child("x", "good")];
        rig.wish(&a, &spawning(spawns)).await;
        rig.quiet().await;
        assert_eq!(rig.store.process_count(), 2);
        assert_eq!(told(&rig, &a).len(), 1);
        let mut letters = rig.letters().await;
        letters.sort_by_key(|letter| letter.index);
        let words = ["exec", "remote", "cobol", "line 1: it is broken", "source", "Cron-Interval"];
        assert_eq!(letters.len(), words.len());
        for (letter, word) in letters.iter().zip(words) {
            assert!(letter.error.contains(word), "{word}: {letter:?}");
        }
    });
}

#[test]
fn the_rate_of_spawning_delays() {
    let mut settings = Settings::default();
    settings.config.limits.spawn_rate = 2;
    run(settings, async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let began = tokio::time::Instant::now();
        rig.wish(&a, &spawning(vec![child("x", ""); 6])).await;
        rig.wish(&b, &spawning(vec![child("x", ""); 6])).await;
        rig.quiet().await;
        assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!((rig.store.process_count(), told(&rig, &a).len(), told(&rig, &b).len()), (14, 6, 6));
        assert_eq!(rig.letters().await, []);
    });
}

#[test]
fn the_most_processes_delay() {
    let mut settings = Settings::default();
    settings.hub.max_processes = 2;
    run(settings, async |rig| {
        let a = rig.process("a").await;
        rig.wish(&a, &spawning(vec![child("x", ""); 3])).await;
        rig.wait(Duration::from_secs(60)).await;
        assert_eq!((rig.store.process_count(), told(&rig, &a).len()), (2, 1));
        assert_eq!(rig.letters().await, []);
        let rig = rig.start_again().await;
        rig.wait(Duration::from_secs(61)).await;
        rig.quiet().await;
        assert_eq!((rig.store.process_count(), told(&rig, &a).len()), (4, 3));
    });
}

#[test]
fn a_process_that_spawns_its_like_for_ever_is_stopped() {
    for (max_depth, max_messages) in [(64, 12), (4, 10_000)] {
        let mut settings = Settings::default();
        (settings.config.push.max_depth, settings.config.push.max_messages) = (max_depth, max_messages);
        run(settings, async |rig| {
            let a = rig.process_of("a", SPAWNER).await;
            rig.schedule(&a, "go").await.unwrap();
            rig.quiet().await;
            let children = rig.store.process_count() - 1;
            assert!(children <= max_messages, "{children} children");
            assert!(children >= u64::from(max_depth).min(4), "{children} children");
            assert!(!rig.letters().await.is_empty());
        });
    }
}

#[test]
fn a_spawn_that_fails_half_way_is_done_once() {
    for fault in [Fault::Before, Fault::After] {
        for position in 0..7 {
            usual(async |rig| {
                rig.recover();
                let a = rig.process("a").await;
                rig.faults.next(std::iter::repeat_n(Fault::None, position).chain([fault]));
                rig.wish_until_taken(&a, "spawn", &spawning(vec![child("hello", "r")])).await;
                rig.until_so("the store is back", |rig| rig.store.is_healthy().is_ok()).await;
                let rig = if position % 2 == 0 { rig } else { rig.start_again().await };
                rig.wait(Duration::from_secs(61)).await;
                rig.quiet().await;
                let child = child_of(&a, 1, 0);
                assert_eq!(rig.received(&child), [("a".to_owned(), "hello".to_owned())], "{fault:?} {position}");
                assert_eq!(told(&rig, &a), [(child.to_string(), "r".to_owned())], "{fault:?} {position}");
                assert_eq!(rig.letters().await, []);
            });
        }
    }
}

#[test]
fn a_spawn_that_other_limits_interrupt_goes_on_under_them() {
    usual(async |rig| {
        let a = rig.process("a").await;
        rig.faults.hold();
        let (hub, asked) = (rig.hub.clone(), a.clone());
        let data = spawning(vec![child("hello", "r")]).data();
        let asking = actix_rt::spawn(async move { hub.schedule(&asked, draft(&data)).await });
        let child = child_of(&a, 1, 0);
        // One write after the other, up to the child's definition.
        while !exists(&rig, &child) {
            rig.faults.let_go();
            rig.some_time().await;
            rig.faults.hold();
        }
        assert!(rig.soon(asking).await.is_ok());
        rig.faults.let_go();
        let mut settings = Settings::default();
        settings.limits.gas = 5;
        let rig = rig.restart(settings).await;
        rig.recover();
        rig.wait(Duration::from_secs(61)).await;
        rig.quiet().await;
        assert_eq!(rig.letters().await, []);
        assert_eq!(rig.received(&child).len(), 1);
        assert_eq!(told(&rig, &a).len(), 1);
    });
}

#[test]
fn a_message_that_overtakes_the_first_one_does_not_replace_it() {
    usual(async |rig| {
        let limits = LimitOverrides { queue: Some(1), ..LimitOverrides::default() };
        let a = rig.process_within("a", "fake", limits).await;
        let child_is = child_of(&a, 1, 0);
        rig.wish(&a, &spawning(vec![child("hello", "r")])).await;
        // The child has no room while its definition is not computed.
        still(async {
            while !exists(&rig, &child_is) {
                moment().await;
            }
        })
        .await;
        rig.rest(&a).await;
        rig.until(&child_is, |status| status.queue == 0).await;
        rig.wish(&a, &sending(&[(child_is.as_str(), "later")])).await;
        rig.quiet().await;
        let mut received = rig.received(&child_is);
        received.sort();
        assert_eq!(received, [("a".to_owned(), "hello".to_owned()), ("a".to_owned(), "later".to_owned())]);
    });
}

#[test]
fn cron_tags_of_a_child_tick() {
    usual(async |rig| {
        let a = rig.process("a").await;
        let tags = vec![Tag::new("Cron-Interval", "10-seconds"), Tag::new("Cron-Tag-Action", "Tick")];
        rig.wish(&a, &spawning(vec![Spawn { tags, ..child("", "r") }])).await;
        rig.quiet().await;
        let child = child_of(&a, 1, 0);
        rig.wait(Duration::from_secs(35)).await;
        let log = rig.log(&child);
        let ticks = log.iter().filter(|entry| entry.origin == crate::process::Origin::Cron);
        assert!(ticks.clone().count() >= 2, "{log:?}");
        assert!(ticks.clone().all(|entry| entry.message.tag("Action") == Some("Tick")), "{log:?}");
    });
}

#[test]
fn a_known_message_is_put_into_other_logs_as_it_was() {
    usual(async |rig| {
        let (a, b, c) = (rig.process("a").await, rig.process("b").await, rig.process("c").await);
        let known = still(rig.hub.schedule(&a, draft("known"))).await.unwrap();
        let known = rig.log(&a)[usize::try_from(known.0).unwrap()].message.id.clone();
        let assign = |to: &[&str], message: &str| Assignment {
            processes: to.iter().map(|one| (*one).to_owned()).collect(),
            message: message.to_owned(),
        };
        let wish = Wish {
            assignments: vec![assign(&["b", "c"], known.as_str()), assign(&["b"], "no id at all")],
            ..Wish::default()
        };
        rig.wish(&a, &wish).await;
        rig.quiet().await;
        for process in [&b, &c] {
            let log = rig.log(process);
            assert_eq!(log.len(), 2, "{process}");
            let message = &log[1].message;
            assert_eq!((&message.id, message.from.as_str(), message.data.as_str()), (&known, "local", "known"));
            assert_eq!(log[1].push.as_ref().map(|chain| chain.depth), Some(1));
        }
        let letters = rig.letters().await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].target, "b");
    });
}
