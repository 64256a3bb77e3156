//! One rule after the other: what the kernel tells, and what is told.

use std::time::Duration;

use super::world::{Room, exec, exit, fork, record, seen};
use crate::host::{Change, EventKind, HostPid, Seen};

/// What happens at which millisecond to whom, and what is told then.
type Story<'a> = &'a [(u64, u32, Change, &'a [&'a str])];

fn run(story: Story<'_>) -> Room {
    let mut room = Room::with_shell();
    for (at, pid, change, told) in story {
        room.see(*at, *pid, change.clone());
        assert_eq!(room.told(), *told, "after {change:?} of {pid} at {at}");
    }
    room
}

#[test]
fn a_fork_is_told_with_its_program() {
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, exec("true"), &["created 20 true exec"]),
        (102, 20, exit(0), &["destroyed 20 true exec code 0"]),
    ]);
}

#[test]
fn a_fork_that_ends_without_a_program_has_its_parents_name() {
    run(&[(100, 20, fork(10), &[]), (102, 20, exit(3), &["created 20 sh comm", "destroyed 20 sh comm code 3"])]);
}

#[test]
fn a_fork_that_starts_no_program_in_time_is_told_as_it_is_called_then() {
    let mut room = run(&[(100, 20, fork(10), &[]), (100, 21, fork(10), &[])]);
    room.shown = room.shown.with(seen(20, 100, "worker")).with(seen(21, 100, "sh"));
    room.tick(149);
    assert_eq!(room.told(), Vec::<String>::new());
    room.tick(150);
    assert_eq!(room.told(), ["created 20 worker comm", "created 21 sh comm"]);
    assert_eq!(room.tracker.next_due(), None);
}

#[test]
fn a_fork_that_has_not_had_its_turn_is_given_time() {
    let mut room = run(&[(100, 20, fork(10), &[]), (100, 21, fork(10), &[])]);
    let busy = |pid| Seen { busy: true, ..seen(pid, 100, "sh") };
    room.shown = room.shown.with(busy(20)).with(busy(21));
    room.tick(150);
    room.tick(599);
    assert_eq!(room.told(), Vec::<String>::new());
    room.see(600, 20, exec("true"));
    assert_eq!(room.told(), ["created 20 true exec"]);
    room.tick(700);
    assert_eq!(room.told(), ["created 21 sh comm"]);
}

#[test]
fn chains_of_programs_change_the_name() {
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, exec("env"), &["created 20 env exec"]),
        (102, 20, exec("true"), &["renamed 20 true exec from env"]),
        (103, 20, exec("true"), &[]),
        (104, 20, Change::Renamed("me".into()), &["renamed 20 me comm from true"]),
        (105, 20, exit(0), &["destroyed 20 me comm code 0"]),
    ]);
}

#[test]
fn a_name_given_before_the_program_starts_is_not_told_alone() {
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, Change::Renamed("(true)".into()), &[]),
        (102, 20, exec("true"), &["created 20 true exec"]),
    ]);
}

#[test]
fn a_program_that_ends_before_its_name_is_read_has_it_from_the_record() {
    let unread = || Change::Execed { name: None, exe: None };
    let with_record = Change::Exited { status: None, record: Some(record("quick")) };
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, unread(), &[]),
        (102, 20, with_record, &["created 20 quick taskstats", "destroyed 20 quick taskstats"]),
        (110, 21, fork(10), &[]),
        (111, 21, unread(), &[]),
        (112, 21, exit(0), &["created 21 unknown unknown", "destroyed 21 unknown unknown code 0"]),
    ]);
}

#[test]
fn one_that_has_just_gone_is_waited_for_once_more() {
    let mut room = run(&[(100, 20, fork(10), &[]), (101, 20, Change::Execed { name: None, exe: None }, &[])]);
    room.tick(160);
    assert_eq!(room.told(), Vec::<String>::new());
    room.tick(300);
    assert_eq!(room.told(), ["created 20 unknown unknown"]);
    room.see(301, 20, Change::Exited { status: None, record: Some(record("late")) });
    assert_eq!(room.told(), ["destroyed 20 late taskstats"]);
}

#[test]
fn an_end_whose_beginning_was_missed_is_told_whole_and_once() {
    run(&[
        (100, 20, exit(1), &["created 20 unknown unknown", "destroyed 20 unknown unknown code 1"]),
        (99, 20, fork(10), &[]),
        (99, 20, exec("old"), &[]),
        (101, 20, exit(1), &[]),
        (200, 20, fork(10), &[]),
        (201, 20, exec("new"), &["created 20 new exec"]),
    ]);
}

#[test]
fn a_number_taken_over_means_that_its_owner_ended() {
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, exec("one"), &["created 20 one exec"]),
        (9000, 20, fork(10), &["destroyed 20 one exec"]),
        (8999, 20, exit(0), &[]),
        (8999, 20, Change::Renamed("old".into()), &[]),
        (9001, 20, exec("two"), &["created 20 two exec"]),
        (9002, 20, exit(0), &["destroyed 20 two exec code 0"]),
    ]);
}

#[test]
fn a_program_whose_fork_was_missed_is_told() {
    run(&[(100, 20, exec("true"), &["created 20 true exec"]), (101, 20, exit(0), &["destroyed 20 true exec code 0"])]);
}

#[test]
fn threads_are_no_processes_and_keep_theirs_alive() {
    let ended = || Change::ThreadEnded { cpu: None };
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, exec("java"), &["created 20 java exec"]),
        (102, 20, Change::ThreadStarted, &[]),
        (103, 20, Change::ThreadStarted, &[]),
        (104, 20, ended(), &[]),
        (105, 20, exit(5), &[]),
        (106, 20, ended(), &["destroyed 20 java exec code 5"]),
    ]);
}

#[test]
fn a_thread_that_starts_a_program_goes_on_as_the_process() {
    run(&[
        (100, 20, fork(10), &[]),
        (101, 20, exec("one"), &["created 20 one exec"]),
        (102, 20, Change::ThreadStarted, &[]),
        (103, 20, exit(0), &[]),
        (104, 20, exec("two"), &["renamed 20 two exec from one"]),
        (105, 20, exit(7), &["destroyed 20 two exec code 7"]),
    ]);
}

#[test]
fn what_the_fork_takes_over_and_the_record_adds_is_told() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, Change::UidChanged(33));
    room.see(102, 20, exec("true"));
    room.see(103, 20, Change::ThreadStarted);
    room.see(104, 20, Change::ThreadEnded { cpu: Some(Duration::from_millis(30)) });
    room.see(107, 20, Change::Exited { status: None, record: Some(record("true")) });
    let [created, destroyed] = &room.events[..] else { panic!("{:?}", room.events) };
    assert_eq!((created.process.ppid, created.process.uid), (Some(HostPid(10)), Some(33)));
    assert_eq!(created.process.exe.as_ref().map(|exe| exe.as_str()), Some("/bin/true"));
    assert_eq!(created.process.start_time, Some(1_000_100));
    let EventKind::Destroyed(end) = &destroyed.kind else { panic!("{destroyed:?}") };
    assert_eq!(end.run_time, Some(Duration::from_millis(7)));
    assert_eq!(end.cpu_time, Some(Duration::from_millis(32)));
    assert_eq!(end.peak_rss, Some(4096));
}

#[test]
fn sums_are_not_told_after_a_loss() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.tracker.distrust_sums();
    room.see(107, 20, Change::Exited { status: None, record: Some(record("true")) });
    let Some(EventKind::Destroyed(end)) = room.events.last().map(|event| event.kind.clone()) else { panic!() };
    assert_eq!((end.cpu_time, end.peak_rss), (None, Some(4096)));
}
