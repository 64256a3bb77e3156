//! What can't be read, and what would be too much.

use std::fs;

use super::fake::{Fake, Process, SHELL, by_cmdline, by_exe, by_name, counts, cpu, group, rules};
use crate::host::usage::{HostGroups, Limits, OwnReader, Unread};

#[test]
fn what_may_not_be_read_is_counted_and_not_guessed() {
    let two = Process { pid: 101, ..SHELL };
    let three = Process { pid: 102, ..SHELL };
    let fake = Fake::new(&[SHELL, two, three]);
    fake.spoil(100, "fd");
    fake.spoil(101, "exe");
    fake.spoil(102, "stat");
    for (rule, expected, members) in [
        (by_name("sh"), Unread { processes: 1, descriptors: 1, ..Unread::default() }, 2),
        (by_exe("sh"), Unread { processes: 1, descriptors: 1, texts: 1, ..Unread::default() }, 1),
        (by_name("x"), Unread { processes: 1, ..Unread::default() }, 0),
    ] {
        let mut groups = fake.groups(&[("g", rule)], 9);
        for _ in 0..3 {
            let usage = groups.scan().unwrap();
            assert_eq!((usage.unread, counts(&usage)[0]), (expected, members));
            assert_eq!(group(&usage, "g").descriptors_unread, expected.descriptors);
        }
    }
}

#[test]
fn who_has_no_program_is_not_asked_for_it() {
    let fake = Fake::new(&[Process { name: b"kthreadd", memory: 0, ..SHELL }]);
    fake.spoil(100, "exe");
    fake.spoil(100, "cmdline");
    for (rule, members) in [(by_exe("."), 0), (by_cmdline("."), 0), (by_name("^kthreadd$"), 1)] {
        let usage = fake.groups(&[("g", rule)], 9).scan().unwrap();
        assert_eq!((usage.unread, counts(&usage)[0]), (Unread::default(), members));
    }
}

#[test]
fn who_can_not_be_read_for_a_while_is_not_counted_twice() {
    for spoilt in ["", "100 (sh) S", "no line at all"] {
        let process = Process { user: 40, ..SHELL };
        let fake = Fake::new(&[process]);
        let mut groups = fake.groups(&[("g", by_name("sh"))], 0);
        assert_eq!(cpu(&groups.scan().unwrap(), "g"), (40, 0));
        if spoilt.is_empty() {
            fake.spoil(100, "stat");
        } else {
            fs::write(fake.folder(100).join("stat"), spoilt).unwrap();
        }
        let usage = groups.scan().unwrap();
        assert_eq!((usage.unread.processes, counts(&usage), cpu(&usage, "g")), (1, vec![0], (40, 0)));
        if spoilt.is_empty() {
            fs::remove_dir(fake.folder(100).join("stat")).unwrap();
        }
        fake.put(&Process { user: 42, ..process });
        let usage = groups.scan().unwrap();
        assert_eq!((usage.unread.processes, counts(&usage), cpu(&usage, "g")), (0, vec![1], (42, 0)));
    }
}

#[test]
fn who_ends_between_the_list_and_the_look_is_no_lack() {
    let fake = Fake::new(&[SHELL]);
    fs::remove_file(fake.folder(100).join("stat")).unwrap();
    let usage = fake.groups(&[("g", by_name("sh"))], 9).scan().unwrap();
    assert_eq!((usage.processes, usage.unread), (0, Unread::default()));
}

#[test]
fn no_more_is_held_and_known_than_the_limits_allow() {
    let processes: Vec<Process> = (100..120).map(|pid| Process { pid, user: 1, ..SHELL }).collect();
    let fake = Fake::new(&processes);
    let mut groups = fake.limited(&[("g", by_name("sh"))], Limits { held: 5, processes: 15 });
    for _ in 0..3 {
        let usage = groups.scan().unwrap();
        assert_eq!((usage.held, usage.processes, usage.unread.beyond), (5, 15, 5));
        assert_eq!(cpu(&usage, "g"), (15, 0), "nobody is counted twice");
    }
    for process in &processes[..18] {
        fake.remove(process.pid);
    }
    groups.scan().unwrap();
    let usage = groups.scan().unwrap();
    assert_eq!((usage.held, usage.processes, usage.unread.beyond), (2, 2, 0), "room is given back");
}

#[test]
fn numbers_at_the_ends_of_their_range_break_nothing() {
    let most = u64::MAX;
    let large = Process { user: most, system: most, threads: most, start: most, pages: most, ..SHELL };
    let fake = Fake::new(&[large, Process { pid: u32::MAX, ..large }]);
    let mut groups = fake.groups(&[("g", by_name("sh"))], 9);
    for _ in 0..2 {
        let usage = groups.scan().unwrap();
        let group = group(&usage, "g");
        assert_eq!((group.processes, group.threads, group.resident_bytes), (2, most, most));
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proc");
    let limits = Limits { held: 1, processes: 1 };
    for error in [
        HostGroups::at(&path, rules(&[]), limits).unwrap_err().to_string(),
        OwnReader::at(&path).unwrap_err().to_string(),
    ] {
        assert!(error.contains(&path.display().to_string()) && error.contains("mount /proc"), "{error}");
    }
    // Nor is a folder without a process in it the daemon's.
    let error = OwnReader::at(folder.path()).unwrap().read().unwrap_err().to_string();
    assert!(error.starts_with("cannot read /proc/self/stat: "), "{error}");
}
