//! What outcomes send arrives: once, in order, whatever fails.

use std::time::Duration;

use super::posting::{sending, to};
use super::rig::{Rig, Settings, draft, id, moment, run, still, usual};
use crate::actors::LookRound;
use crate::client::tests::server::{Act, Server, answer};
use crate::config::limits::LimitOverrides;
use crate::config::{Config, RouteConfig};
use crate::device::fake::{ECHO, Manner, Wish};
use crate::ids::Slot;
use crate::process::{Draft, OutboxKey};
use crate::push::message_id;
use crate::store::faulty::Fault;

/// So many places in the queue, and in the outbox.
fn within(queue: u64, outbox: u64) -> LimitOverrides {
    LimitOverrides { queue: Some(queue), outbox: Some(outbox), ..LimitOverrides::default() }
}

/// Settings with these routes.
fn routed(routes: &[(&str, &Server)], attempts: u32) -> Settings {
    let route = |(target, server): &(&str, &Server)| RouteConfig { target: (*target).to_owned(), url: server.url("") };
    let mut config = Config { routes: routes.iter().map(route).collect(), ..Config::default() };
    (config.push.attempts, config.push.in_flight) = (attempts, 2);
    Settings { config, ..Settings::default() }
}

fn data(received: &[(String, String)]) -> Vec<&str> {
    received.iter().map(|(_, data)| data.as_str()).collect()
}

#[test]
fn messages_arrive_once_in_order_under_names_of_their_own() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        rig.wish(&a, &sending(&[("b", "1"), ("a", "self"), ("b", "2")])).await;
        // Its message to itself may have a slot by then.
        let third = rig.wish(&a, &sending(&[("b", "3")])).await;
        rig.quiet().await;
        assert_eq!(data(&rig.received(&b)), ["1", "2", "3"]);
        assert_eq!(rig.received(&a), [("a".to_owned(), "self".to_owned())]);
        let log = rig.log(&b);
        let (ids, chains): (Vec<_>, Vec<_>) =
            log.iter().skip(1).map(|entry| (entry.message.id.clone(), entry.push.clone().unwrap())).unzip();
        let key = |slot, index| OutboxKey { slot: Slot(slot), index };
        assert_eq!(ids, [key(1, 0), key(1, 2), key(third, 0)].map(|key| message_id(&a, key)));
        assert!(chains.iter().all(|chain| chain.depth == 1), "{chains:?}");
        assert_eq!(chains[0].root, rig.log(&a)[1].message.id);
        assert!(rig.letters().await.is_empty());
    });
}

#[test]
fn nothing_is_lost_or_doubled_whatever_fails() {
    for seed in 1..=6_u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = move |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        usual(async |mut rig: Rig| {
            rig.recover();
            let names = ["a", "b", "c"];
            for name in names {
                rig.process_within(name, "fake", within(4, 6)).await;
            }
            let mut expected: Vec<(String, String, String)> = Vec::new();
            for round in 0..25 {
                let from = names[roll(3) as usize];
                let mut wish = Wish::default();
                for number in 0..roll(5) {
                    let (target, text) = (names[roll(3) as usize], format!("{round}.{number}"));
                    wish.messages.push(to(target, &text));
                    expected.push((from.to_owned(), target.to_owned(), text));
                }
                match roll(8) {
                    0 => rig.faults.next([Fault::Before]),
                    1 => rig.faults.next([Fault::None, Fault::After]),
                    2 => rig.faults.next([Fault::None, Fault::None, Fault::Before]),
                    3 => rig.kill(&id(names[roll(3) as usize])).await,
                    4 => rig = rig.start_again().await,
                    5 => rig.wait(Duration::from_millis(300)).await,
                    6 => rig.unread_for_a_while(&mut roll).await,
                    _ => {}
                }
                rig.wish_until_taken(&id(from), &format!("{seed}.{round}"), &wish).await;
            }
            rig.faults.heal();
            rig.healthy().await;
            // What nobody woke is looked for.
            rig.wait(Duration::from_secs(61)).await;
            rig.quiet().await;
            for target in names {
                let received = rig.received(&id(target));
                for from in names {
                    let got: Vec<_> = received.iter().filter(|(by, _)| by == from).map(|(_, text)| text).collect();
                    let sent: Vec<_> = expected
                        .iter()
                        .filter(|(by, to, _)| by == from && to == target)
                        .map(|(_, _, text)| text)
                        .collect();
                    assert_eq!(got, sent, "seed {seed}: {from} to {target}");
                }
            }
            assert!(rig.letters().await.is_empty());
        });
    }
}

impl Rig {
    /// Reads fail for a while.
    async fn unread_for_a_while(&self, roll: &mut impl FnMut(u64) -> u64) {
        self.faults.fail_reads(true);
        self.wait(Duration::from_millis(50 * roll(10))).await;
        self.faults.fail_reads(false);
    }
}

#[test]
fn a_full_target_delays_its_own_pair_only() {
    usual(async |rig| {
        let (a, d) = (rig.process("a").await, rig.process("d").await);
        let b = rig.process_within("b", "fake", within(1, 10)).await;
        let c = rig.process("c").await;
        rig.fakes.hold(&b, Manner::Obeying);
        rig.wish(&a, &sending(&[("b", "1"), ("b", "2"), ("c", "1"), ("b", "3"), ("c", "2")])).await;
        rig.held(1).await;
        rig.wish(&d, &sending(&[("c", "3"), ("b", "4")])).await;
        rig.wait(Duration::from_secs(40)).await;
        assert_eq!(data(&rig.received(&c)).len(), 3);
        assert_eq!(data(&rig.received(&b)), ["1"]);
        rig.fakes.let_go();
        rig.quiet().await;
        let received = rig.received(&b);
        let of_a: Vec<_> = received.iter().filter(|(from, _)| from == "a").map(|(_, text)| text.as_str()).collect();
        assert_eq!((of_a, received.len()), (vec!["1", "2", "3"], 4));
        assert!(rig.letters().await.is_empty(), "what waits for room is not given up");
    });
}

#[test]
fn processes_that_fill_each_others_queues_go_on() {
    for circle in [&["a", "b"][..], &["a"], &["a", "b", "c"]] {
        usual(async |rig: Rig| {
            for name in circle {
                let process = rig.process_within(name, "fake", within(3, 2)).await;
                rig.fakes.hold(&process, Manner::Obeying);
            }
            let mut following = circle.iter().cycle().skip(1);
            for (number, name) in circle.iter().enumerate() {
                let next = following.next().unwrap();
                let wish = sending(&[(next, "1"), (next, "2"), (next, "3"), (next, "4")]);
                rig.wish(&id(name), &wish).await;
                rig.held(number + 1).await;
                rig.wish(&id(name), &wish).await;
                rig.wish(&id(name), &wish).await;
            }
            rig.fakes.let_go();
            rig.quiet().await;
            for name in circle {
                assert_eq!(data(&rig.received(&id(name))), ["1", "2", "3", "4"].repeat(3), "{name} of {circle:?}");
            }
            assert!(rig.letters().await.is_empty());
        });
    }
}

#[test]
fn targets_that_have_no_worker_and_get_none_hold_up_no_other() {
    usual(async |rig| {
        let mut wish = Wish::default();
        for number in 0..64 {
            rig.process(&format!("t{number}")).await;
            wish.messages.push(to(&format!("t{number}"), "x"));
        }
        wish.messages.push(to("busy", "late"));
        let (busy, a) = (rig.process("busy").await, rig.process("a").await);
        let rig = rig.restart(Settings { workers_max: 2, ..Settings::default() }).await;
        rig.fakes.hold(&busy, Manner::Obeying);
        rig.schedule(&busy, "x").await.unwrap();
        rig.held(1).await;
        rig.wish(&a, &wish).await;
        rig.until_so("it is computed", |rig| rig.stored(&a).len() == 2).await;
        // From now on no place is free. Until then others may have its place.
        rig.fakes.hold(&a, Manner::Obeying);
        let (hub, asked) = (rig.hub.clone(), a.clone());
        let asking = actix_rt::spawn(async move { hub.schedule(&asked, draft("x")).await });
        rig.soon(asking).await.unwrap();
        rig.held(2).await;
        rig.until_so("it has its turn", |rig| !rig.received(&busy).is_empty()).await;
        rig.fakes.let_go();
        rig.quiet().await;
        assert!(rig.log(&id("t63")).len() == 2 && rig.letters().await.is_empty());
    });
}

#[test]
fn a_source_that_is_paused_goes_on_when_its_outbox_has_room_though_nobody_asks() {
    // With one place among the workers the target has none until the source, which waits for it, makes room.
    for workers_max in [100, 1] {
        run(Settings { workers_max, ..Settings::default() }, async |rig| {
            let a = rig.process_within("a", "fake", within(100, 2)).await;
            let b = rig.process_within("b", "fake", within(2, 100)).await;
            for number in 0..8 {
                let (one, two) = (format!("{number}.0"), format!("{number}.1"));
                let asked = rig.hub.clone();
                let (process, text) = (a.clone(), sending(&[("b", &one), ("b", &two)]).data());
                let asking = actix_rt::spawn(async move { asked.schedule(&process, draft(&text)).await });
                rig.soon(asking).await.unwrap();
            }
            rig.quiet().await;
            let sent: Vec<_> = (0..8).flat_map(|number| [format!("{number}.0"), format!("{number}.1")]).collect();
            assert_eq!(data(&rig.received(&b)), sent, "{workers_max} places");
            assert!(rig.letters().await.is_empty());
        });
    }
}

#[test]
fn a_source_without_room_keeps_what_waits_when_it_stops_and_goes_on_later() {
    usual(async |rig| {
        let a = rig.process_within("a", "fake", within(100, 2)).await;
        let b = rig.process_within("b", "fake", within(1, 100)).await;
        rig.fakes.hold(&b, Manner::Obeying);
        rig.wish(&a, &sending(&[("b", "1"), ("b", "2"), ("b", "3")])).await;
        rig.wish(&a, &sending(&[("b", "4")])).await;
        rig.held(1).await;
        let paused = rig.status(&a).await;
        assert!(paused.error.as_deref().is_some_and(|text| text.starts_with("limit outbox: ")), "{paused:?}");
        rig.kill(&a).await;
        rig.wait(Duration::from_secs(5)).await;
        let _ = still(rig.hub.stop_worker(&a)).await;
        rig.fakes.let_go();
        rig.quiet().await;
        assert_eq!(data(&rig.received(&b)), ["1", "2", "3", "4"]);
    });
}

#[test]
fn processes_without_process_workers_deliver_as_well() {
    let mut settings = Settings::default();
    settings.options.process_workers = false;
    run(settings, async |rig| {
        let a = rig.process_within("a", "fake", within(100, 2)).await;
        let b = rig.process_within("b", "fake", within(1, 100)).await;
        for text in ["1", "2", "3"] {
            rig.wish(&a, &sending(&[("b", text), ("b", text)])).await;
        }
        rig.quiet().await;
        assert_eq!(data(&rig.received(&b)), ["1", "1", "2", "2", "3", "3"]);
    });
}

#[test]
fn an_outbox_of_before_a_crash_is_found() {
    usual(async |rig| {
        let a = rig.process("a").await;
        let b = rig.process_within("b", "fake", within(1, 100)).await;
        rig.fakes.hold(&b, Manner::Obeying);
        rig.wish(&a, &sending(&[("b", "1"), ("b", "2"), ("b", "3")])).await;
        rig.held(1).await;
        rig.until_so("the first is scheduled", |rig| rig.received(&b).len() == 1).await;
        let rig = rig.start_again().await;
        rig.fakes.let_go();
        rig.until_so("it is computed", |rig| rig.stored(&b).len() == 1).await;
        still(rig.hub.wake(&b)).await.unwrap();
        for pusher in &rig.hub.environment().services.get().unwrap().pushers {
            still(pusher.send(LookRound)).await.unwrap();
        }
        rig.quiet().await;
        assert_eq!(data(&rig.received(&b)), ["1", "2", "3"]);
    });
}

#[test]
fn a_store_that_cannot_be_read_delays_and_gives_nothing_up() {
    usual(async |rig| {
        let a = rig.process("a").await;
        let b = rig.process_within("b", "fake", within(1, 100)).await;
        rig.fakes.hold(&b, Manner::Obeying);
        rig.wish(&a, &sending(&[("b", "1"), ("b", "2"), ("b", "3")])).await;
        rig.held(1).await;
        rig.until_so("the first is scheduled", |rig| rig.received(&b).len() == 1).await;
        rig.faults.fail_reads(true);
        rig.wait(Duration::from_secs(20)).await;
        rig.faults.fail_reads(false);
        rig.fakes.let_go();
        rig.quiet().await;
        assert_eq!(rig.letters().await, []);
        assert_eq!(data(&rig.received(&b)), ["1", "2", "3"]);
    });
}

#[test]
fn a_shutdown_in_the_middle_loses_nothing() {
    usual(async |rig| {
        let a = rig.process("a").await;
        let b = rig.process_within("b", "fake", within(2, 100)).await;
        let sent: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        let wish: Vec<_> = sent.iter().map(|text| ("b", text.as_str())).collect();
        rig.wish(&a, &sending(&wish)).await;
        rig.until_so("some are there", |rig| rig.received(&b).len() > 3).await;
        still(rig.hub.shutdown()).await;
        let before = rig.received(&b).len();
        rig.wait(Duration::from_secs(70)).await;
        assert_eq!(rig.received(&b).len(), before, "a node that stops delivers nothing");
        let rig = rig.start_again().await;
        rig.wait(Duration::from_secs(61)).await;
        rig.quiet().await;
        assert_eq!(data(&rig.received(&b)), sent);
    });
}

#[test]
fn two_that_answer_each_other_for_ever_are_stopped_with_a_record() {
    for (max_depth, max_messages, limit) in [(5, 1_000, "push.max_depth"), (1_000, 5, "push.max_messages")] {
        let mut settings = Settings::default();
        (settings.config.push.max_depth, settings.config.push.max_messages) = (max_depth, max_messages);
        run(settings, async |rig| {
            let starter = rig.process("starter").await;
            let (a, b) = (rig.process_of("a", ECHO).await, rig.process_of("b", ECHO).await);
            // `b` is to think that `a` wrote.
            let first = Draft { from: "a".to_owned(), ..draft("go") };
            still(rig.hub.schedule(&b, first)).await.unwrap();
            rig.quiet().await;
            assert_eq!(rig.received(&a).len() + rig.received(&b).len(), 5);
            let letters = rig.letters().await;
            assert_eq!(letters.len(), 1);
            let root = rig.log(&b)[1].message.id.clone();
            assert!(letters[0].error.starts_with(&format!("limit {limit}: ")), "{:?}", letters[0]);
            assert!(letters[0].error.contains(root.as_str()), "{:?}", letters[0]);
            assert_eq!((letters[0].attempts, rig.received(&starter).len()), (1, 0));
        });
    }
}

#[test]
fn a_slow_node_delays_no_other_and_takes_no_more_at_a_time_than_it_may() {
    with_nodes(&[vec![vec![Act::Hold]], vec![vec![Act::Send(answer(202, &[], "{}"))]]], 20, async |rig, servers| {
        let a = rig.process("a").await;
        let b = rig.process("b").await;
        let mut wish = Wish::default();
        for number in 0..6 {
            wish.messages.push(to(&format!("n0-{number}"), "x"));
            wish.messages.push(to(&format!("n1-{number}"), "x"));
        }
        wish.messages.push(to("b", "x"));
        rig.wish(&a, &wish).await;
        still(async {
            while servers[1].seen().len() < 6 || rig.received(&b).is_empty() || servers[0].seen().len() < 2 {
                moment().await;
            }
        })
        .await;
        assert_eq!(servers[0].seen().len(), 2, "no more than may be are under way");
        assert!(rig.letters().await.is_empty());
    });
}

#[test]
fn another_node_is_tried_again_under_the_same_name_and_at_last_given_up() {
    let busy = vec![Act::Send(answer(503, &[], r#"{"error":{"code":"overloaded","message":"full"}}"#))];
    let taken = vec![Act::Send(answer(202, &[], "{}"))];
    let refused = vec![Act::Send(answer(400, &[], r#"{"error":{"code":"bad_request","message":"no"}}"#))];
    let scripts = [vec![busy.clone(), busy.clone(), taken], vec![busy], vec![refused]];
    with_nodes(&scripts, 3, async |rig, servers| {
        let a = rig.process("a").await;
        rig.wish(&a, &sending(&[("n0-x", "1"), ("n1-x", "2"), ("n2-x", "3")])).await;
        rig.quiet().await;
        let ids = |server: &Server| {
            let of = |body: &str| {
                serde_json::from_str::<serde_json::Value>(body).unwrap()["Id"].as_str().unwrap().to_owned()
            };
            server.seen().iter().map(|seen| of(&seen.body)).collect::<Vec<_>>()
        };
        let names = [0, 1, 2].map(|index| {
            let key = OutboxKey { slot: Slot(1), index };
            message_id(&a, key).to_string()
        });
        assert_eq!(ids(&servers[0]), vec![names[0].clone(); 3]);
        assert_eq!(ids(&servers[1]), vec![names[1].clone(); 3]);
        assert_eq!(ids(&servers[2]), vec![names[2].clone()]);
        let mut letters = rig.letters().await;
        letters.sort_by_key(|letter| letter.index);
        let shown: Vec<_> = letters.iter().map(|letter| (letter.target.as_str(), letter.attempts)).collect();
        assert_eq!(shown, [("n1-x", 3), ("n2-x", 1)]);
        assert!(letters[0].error.contains("limit push.attempts: 3 attempts"), "{}", letters[0].error);
    });
}

/// Runs `test` on a node with a route to each of the servers that play these scripts, for targets `n0-*`, `n1-*` and so on.
fn with_nodes(scripts: &[Vec<Vec<Act>>], attempts: u32, test: impl AsyncFnOnce(Rig, Vec<Server>)) {
    usual(async |rig| {
        let mut servers = Vec::new();
        for script in scripts {
            servers.push(still(Server::play(script.clone())).await);
        }
        let targets: Vec<String> = (0..servers.len()).map(|number| format!("n{number}-*")).collect();
        let routes: Vec<_> = targets.iter().map(String::as_str).zip(&servers).collect();
        let settings = routed(&routes, attempts);
        let rig = rig.restart(settings).await;
        test(rig, servers).await;
    });
}
