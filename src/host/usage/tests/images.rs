//! Which program a process runs, and who is asked about it when.

use super::fake::{Fake, Process, SHELL, by_cmdline, by_exe, by_name, counts, cpu};

/// The flag of a fork that has started no program.
const FORKED: u64 = 0x40;

#[test]
fn a_process_that_starts_another_program_changes_its_group() {
    let rules = [("ls", by_exe("/ls$")), ("long", by_cmdline("^sh -l")), ("sh", by_name("^sh$"))];
    let before = Process { user: 5, flags: FORKED, ..SHELL };
    for (after, expected) in [
        // By another name.
        (Process { name: b"ls", exe: "/bin/ls", ..before }, [1, 0, 0]),
        (Process { name: b"x", exe: "/bin/x", ..before }, [0, 0, 0]),
        // By the same name, seen from the flag and from the addresses.
        (Process { flags: 0, cmdline: b"sh\0-l\0", ..before }, [0, 1, 0]),
        (Process { stack: 78, exe: "/opt/ls", ..before }, [1, 0, 0]),
        (Process { stack: 0, exe: "/opt/ls", ..before }, [1, 0, 0]),
        // Nothing tells of another program, so nobody looks.
        (Process { exe: "/opt/ls", ..before }, [0, 0, 1]),
    ] {
        let fake = Fake::new(&[before]);
        let mut groups = fake.groups(&rules, 9);
        for _ in 0..2 {
            assert_eq!(counts(&groups.scan().unwrap()), [0, 0, 1]);
        }
        fake.put(&Process { user: 8, ..after });
        for _ in 0..2 {
            let usage = groups.scan().unwrap();
            assert_eq!(counts(&usage), expected, "{after:?}");
            let used: u128 = ["ls", "long"].map(|name| cpu(&usage, name).0).iter().sum();
            assert_eq!(used, if expected[..2] == [0, 0] { 0 } else { 3 }, "{after:?}");
        }
    }
}

#[test]
fn a_newcomer_is_looked_at_once_more_and_then_left_alone() {
    let titled = Process { cmdline: b"worker: 1\0\0\0\0", ..SHELL };
    let rules = [("workers", by_cmdline("^worker: .$")), ("sh", by_name("sh"))];
    for (looks_before_title, expected) in [(0, [1, 0]), (1, [1, 0]), (2, [0, 1]), (3, [0, 1])] {
        let fake = Fake::new(&[SHELL]);
        let mut groups = fake.groups(&rules, 9);
        for _ in 0..looks_before_title {
            assert_eq!(counts(&groups.scan().unwrap()), [0, 1]);
        }
        fake.put(&titled);
        for _ in 0..3 {
            assert_eq!(counts(&groups.scan().unwrap()), expected, "title after {looks_before_title} looks");
        }
    }
}

#[test]
fn the_dying_keep_their_group() {
    let fake = Fake::new(&[SHELL]);
    let mut groups = fake.groups(&[("g", by_exe("/sh$"))], 9);
    for _ in 0..2 {
        groups.scan().unwrap();
    }
    fake.put(&Process { state: 'Z', user: 9, memory: 0, stack: 0, exe: "", cmdline: b"", ..SHELL });
    let usage = groups.scan().unwrap();
    assert_eq!((counts(&usage), cpu(&usage, "g")), (vec![1], (9, 0)));
}

#[test]
fn texts_are_seen_as_documented() {
    let process = |exe, cmdline| Process { exe, cmdline, ..SHELL };
    for (patterns, process, fits) in [
        (by_cmdline("^sh -c a b$"), process("", b"sh\0-c\0a b\0"), true),
        (by_cmdline("^sh  x$"), process("", b"sh\0\0x\0"), true),
        (by_cmdline("^.*$"), process("/bin/sh", b""), false),
        (by_cmdline("^a\u{fffd}b$"), process("", b"a\xffb\0"), true),
        (by_cmdline("(?s)^a.b$"), process("", b"a\nb"), true),
        (by_cmdline("ä"), process("", "sh\0-ä\0".as_bytes()), true),
        (by_exe("^/bin/sh$"), process("/bin/sh", b""), true),
        (by_exe("^/bin/sh$"), process("/bin/sh (deleted)", b""), true),
        (by_exe("^.*$"), process("", b"sh\0"), false),
        (by_exe("^sh"), process("/bin/sh", b""), false),
    ] {
        let fake = Fake::new(&[process]);
        let usage = fake.groups(&[("g", patterns.clone())], 9).scan().unwrap();
        assert_eq!(counts(&usage) == [1], fits, "{patterns:?} {process:?}");
        assert_eq!(usage.unread.texts, 0);
    }
}

#[test]
fn a_very_long_command_line_is_read_to_its_limit() {
    let long: &'static [u8] = Box::leak([vec![b'a'; 20_000], b"z".to_vec()].concat().into_boxed_slice());
    let fake = Fake::new(&[Process { cmdline: long, ..SHELL }]);
    let mut groups = fake.groups(&[("end", by_cmdline("z$")), ("whole", by_cmdline("^aaaa+$"))], 9);
    assert_eq!(counts(&groups.scan().unwrap()), [0, 1]);
}
