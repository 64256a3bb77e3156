//! What groups count, as processes come and go.

use proptest::prelude::*;

use super::fake::{Fake, Process, SHELL, by_name, counts, cpu, group, rules};
use crate::host::usage::Unread;

#[test]
fn members_are_added_up_and_who_has_none_reports_zero() {
    let fake = Fake::new(&[
        Process { pid: 1, name: b"init", descriptors: 9, ..SHELL },
        Process { pid: 7, user: 3, system: 1, threads: 2, start: 900, pages: 5, ..SHELL },
        Process { pid: 8, user: 4, system: 2, state: 'R', start: 800, descriptors: 0, ..SHELL },
        Process { pid: 9, state: 'Z', memory: 0, pages: 0, exe: "", cmdline: b"", ..SHELL },
        Process { pid: 10, state: 'Q', name: b"a b) (c\n\xff", ..SHELL },
    ]);
    let mut groups = fake.groups(
        &[("shells", by_name("^sh$")), ("odd", by_name("^a b\\) \\(c\\n\u{fffd}$")), ("none", by_name("^x$"))],
        0,
    );
    let usage = groups.scan().unwrap();
    assert_eq!((usage.processes, usage.held, usage.unread), (5, 0, Unread::default()));
    assert_eq!(counts(&usage), [3, 1, 0]);
    let shells = group(&usage, "shells");
    let page = u64::try_from(rustix::param::page_size()).unwrap();
    assert_eq!((cpu(&usage, "shells"), shells.resident_bytes), ((7, 3), 15 * page));
    assert_eq!((shells.threads, shells.descriptors, shells.descriptors_unread), (4, 6, 0));
    let states: String = shells.states.iter().filter(|(_, count)| *count > 0).map(|(letter, _)| letter).collect();
    assert_eq!((states.as_str(), shells.states.of('S')), ("RSZ", 1));
    assert_eq!(group(&usage, "odd").states.of('?'), 1);
    let tick = 1000 / rustix::param::clock_ticks_per_second();
    let age = |name: &str| group(&usage, name).oldest_start;
    assert_eq!(age("odd").unwrap() - age("shells").unwrap(), 200 * tick);
    let none = group(&usage, "none");
    let zero = crate::host::usage::GroupUsage { name: "none".into(), ..Default::default() };
    assert_eq!(*none, zero);
}

#[test]
fn the_first_group_that_fits_takes_the_process() {
    let fake = Fake::new(&[SHELL, Process { pid: 101, name: b"bash", ..SHELL }]);
    for (rules, expected) in [
        ([("all", by_name("sh")), ("bash", by_name("bash"))], [2, 0]),
        ([("bash", by_name("bash")), ("all", by_name("sh"))], [1, 1]),
    ] {
        assert_eq!(counts(&fake.groups(&rules, 9).scan().unwrap()), expected);
    }
}

#[test]
fn the_dead_leave_what_they_used_and_newcomers_bring_theirs() {
    // Both with descriptors that stay open and with files that are opened at each look.
    for held in [0, 100] {
        let fake = Fake::new(&[Process { user: 10, system: 1, ..SHELL }]);
        let mut groups = fake.groups(&[("g", by_name("sh"))], held);
        let mut seen = Vec::new();
        let mut look = |groups: &mut crate::host::usage::HostGroups| {
            let usage = groups.scan().unwrap();
            seen.push((counts(&usage)[0], cpu(&usage, "g"), group(&usage, "g").oldest_start.is_some()));
        };
        look(&mut groups);
        fake.put(&Process { user: 15, system: 2, ..SHELL });
        look(&mut groups);
        fake.put(&Process { pid: 200, user: 100, ..SHELL });
        look(&mut groups);
        fake.remove(100);
        look(&mut groups);
        fake.remove(200);
        look(&mut groups);
        // The number again, another process.
        fake.put(&Process { user: 1, system: 1, start: 5000, ..SHELL });
        look(&mut groups);
        look(&mut groups);
        let expected = [
            (1, (10, 1), true),
            (1, (15, 2), true),
            (2, (115, 2), true),
            (1, (115, 2), true),
            (0, (115, 2), false),
            (1, (116, 3), true),
            (1, (116, 3), true),
        ];
        assert_eq!(seen, expected, "held {held}");
    }
}

#[test]
fn a_number_that_changes_hands_between_two_looks_is_another_process() {
    for held in [0, 100] {
        let fake = Fake::new(&[Process { user: 50, ..SHELL }]);
        let mut groups = fake.groups(&[("sh", by_name("^sh$")), ("ls", by_name("^ls$"))], held);
        assert_eq!(counts(&groups.scan().unwrap()), [1, 0]);
        fake.remove(100);
        fake.put(&Process { user: 7, name: b"ls", start: 2000, ..SHELL });
        let usage = groups.scan().unwrap();
        assert_eq!(
            (counts(&usage), cpu(&usage, "sh"), cpu(&usage, "ls")),
            (vec![0, 1], (50, 0), (7, 0)),
            "held {held}"
        );
        fake.remove(100);
        fake.put(&Process { user: 9, name: b"ls", start: 3000, ..SHELL });
        let usage = groups.scan().unwrap();
        assert_eq!((counts(&usage), cpu(&usage, "ls")), (vec![0, 1], (16, 0)), "held {held}");
    }
}

#[test]
fn other_rules_keep_the_counters_of_the_names_they_keep() {
    let fake = Fake::new(&[Process { user: 10, ..SHELL }]);
    let mut groups = fake.groups(&[("a", by_name("sh")), ("b", by_name("x"))], 9);
    groups.scan().unwrap();
    groups.replace(rules(&[("c", by_name("s")), ("a", by_name("sh"))]));
    fake.put(&Process { user: 13, ..SHELL });
    let usage = groups.scan().unwrap();
    assert_eq!((counts(&usage), cpu(&usage, "c"), cpu(&usage, "a")), (vec![1, 0], (3, 0), (10, 0)));
    groups.replace(Vec::new());
    assert_eq!(groups.scan().unwrap().groups, []);
}

/// What happens to one of four numbers between two looks.
#[derive(Clone, Debug)]
enum Step {
    Work { user: u64, system: u64 },
    Die,
    Exec { name: &'static [u8] },
    Look,
}

fn steps() -> impl Strategy<Value = Vec<(u32, Step)>> {
    let names = prop::sample::select(vec![&b"sh"[..], b"ls", b"other"]);
    let step = prop_oneof![
        (0u64..50, 0u64..50).prop_map(|(user, system)| Step::Work { user, system }),
        Just(Step::Die),
        names.prop_map(|name| Step::Exec { name }),
        Just(Step::Look),
        Just(Step::Look),
    ];
    prop::collection::vec((0u32..4, step), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Counters never fall, none is counted twice, and nothing is lost of what was there to be seen at a look.
    #[test]
    fn counters_are_what_a_plain_account_says(steps in steps(), held in 0usize..6) {
        let fake = Fake::new(&[]);
        let mut groups = fake.groups(&[("sh", by_name("^sh$")), ("ls", by_name("^ls$"))], held);
        let mut living: [Option<(Process, u64)>; 4] = [None; 4];
        let (mut account, mut births) = ([0u64; 2], 1000);
        for (place, step) in steps.into_iter().chain([(0, Step::Look)]) {
            let slot = &mut living[place as usize];
            let pid = 100 + place;
            match step {
                Step::Work { user, system } => {
                    births += 1;
                    let (process, _) = slot.get_or_insert((Process { pid, start: births, descriptors: 0, ..SHELL }, 0));
                    process.user += user;
                    process.system += system;
                    fake.put(process);
                }
                Step::Die => if slot.take().is_some() { fake.remove(pid) },
                Step::Exec { name } => if let Some((process, _)) = slot {
                    process.name = name;
                    fake.put(process);
                },
                Step::Look => {
                    for (process, counted) in living.iter_mut().flatten() {
                        let used = process.user + process.system;
                        if let Some(place) = [&b"sh"[..], b"ls"].iter().position(|name| *name == process.name) {
                            account[place] += used - *counted;
                        }
                        *counted = used;
                    }
                    let usage = groups.scan().unwrap();
                    let counted = ["sh", "ls"].map(|name| { let (user, system) = cpu(&usage, name); user + system });
                    prop_assert_eq!(counted, account.map(u128::from));
                    prop_assert!(usage.held as usize <= held, "{} held", usage.held);
                    prop_assert_eq!(usage.processes as usize, living.iter().flatten().count());
                }
            }
        }
    }
}
