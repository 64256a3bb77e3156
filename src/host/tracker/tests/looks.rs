//! What a look at `/proc` makes right.

use super::world::{Room, exec, exit, fork, ms, seen};
use crate::host::{Change, HostPid, Seen, Snapshot};

#[test]
fn the_first_look_is_marked() {
    let mut room = Room::new();
    room.shown = room.shown.with(seen(1, 0, "init")).with(Seen { zombie: true, ..seen(2, 0, "gone") });
    room.reconcile(500, true);
    assert_eq!(room.told(), ["initial 1 init snapshot"]);
    room.reconcile(600, false);
    assert_eq!(room.told(), Vec::<String>::new());
}

#[test]
fn a_look_adds_the_missed_and_takes_away_the_gone() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, exec("gone"));
    room.see(102, 21, fork(10));
    room.see(103, 21, exec("stays"));
    room.told();
    room.shown = room.shown.with(seen(21, 102, "stays")).with(seen(22, 104, "missed"));
    room.reconcile(1000, false);
    assert_eq!(room.told(), ["created 22 missed snapshot", "destroyed 20 gone exec"]);
    assert_eq!(room.living(), [10, 21, 22]);
}

#[test]
fn a_number_taken_over_unseen_is_two_processes() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, exec("one"));
    room.told();
    room.shown = room.shown.with(seen(20, 5000, "two"));
    room.reconcile(9000, false);
    assert_eq!(room.told(), ["destroyed 20 one exec", "created 20 two snapshot"]);
}

#[test]
fn what_the_kernel_tells_after_the_look_is_not_told_twice() {
    let mut room = Room::with_shell();
    room.shown = room.shown.with(seen(20, 101, "true"));
    room.reconcile(200, false);
    assert_eq!(room.told(), ["created 20 true snapshot"]);
    room.see(102, 20, fork(10));
    room.see(103, 20, exec("true"));
    room.see(104, 20, exit(0));
    assert_eq!(room.told(), ["destroyed 20 true exec code 0"]);
    room.see(100, 22, fork(10));
    room.shown.0.remove(&20);
    room.reconcile(300, false);
    assert_eq!(room.told(), ["created 22 sh comm", "destroyed 22 sh comm"]);
    room.see(250, 22, exit(0));
    assert_eq!(room.told(), Vec::<String>::new());
}

#[test]
fn a_look_while_one_is_about_to_start_a_program_waits_for_it() {
    let mut room = Room::with_shell();
    room.shown = room.shown.with(seen(20, 190, "sh"));
    room.reconcile(200, false);
    assert_eq!(room.told(), Vec::<String>::new());
    room.shown = room.shown.with(seen(20, 190, "true"));
    room.tick(250);
    assert_eq!(room.told(), ["created 20 true comm"]);
}

#[test]
fn names_change_by_looking_but_for_the_kernels_threads() {
    let mut room = Room::new();
    let worker = |name| Seen { kernel: true, ..seen(3, 0, name) };
    room.shown = room.shown.with(worker("kworker/0:1-events")).with(seen(4, 0, "old"));
    room.reconcile(100, true);
    room.told();
    room.shown = room.shown.with(worker("kworker/0:1")).with(seen(4, 0, "new"));
    room.reconcile(200, false);
    assert_eq!(room.told(), ["renamed 4 new snapshot from old"]);
}

#[test]
fn zombies_have_ended_unless_a_thread_goes_on() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, exec("one"));
    room.told();
    room.shown = room.shown.with(Seen { zombie: true, threads: 2, ..seen(20, 100, "one") });
    room.reconcile(200, false);
    assert_eq!(room.told(), Vec::<String>::new());
    room.shown = room.shown.with(Seen { zombie: true, ..seen(20, 100, "one") });
    room.reconcile(300, false);
    assert_eq!(room.told(), ["destroyed 20 one exec"]);
    room.reconcile(400, false);
    assert_eq!(room.told(), Vec::<String>::new());
}

#[test]
fn threads_that_go_on_without_their_first_are_asked_for_less_and_less() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, exec("one"));
    room.see(102, 20, Change::ThreadStarted);
    room.see(103, 20, exit(4));
    room.told();
    room.shown = room.shown.with(Seen { zombie: true, threads: 2, ..seen(20, 100, "one") });
    let mut asked = Vec::new();
    while let Some(due) = room.tracker.next_due().filter(|due| *due < ms(60_000)) {
        room.tick(due.0 / 1_000_000);
        asked.push(due);
    }
    assert_eq!(room.told(), Vec::<String>::new());
    assert!((40..100).contains(&asked.len()), "asked {} times", asked.len());
    room.shown.0.remove(&20);
    room.tick(70_000);
    assert_eq!(room.told(), ["destroyed 20 one exec code 4"]);
    assert_eq!(room.tracker.next_due(), None);
}

#[test]
fn who_is_not_shown_need_not_be_gone() {
    let mut room = Room::with_shell();
    room.see(100, 20, fork(10));
    room.see(101, 20, exec("hidden"));
    room.told();
    room.shown = room.shown.with(seen(20, 100, "hidden"));
    let hidden = Snapshot { began: ms(500), ended: ms(500), seen: Vec::new(), partial: true };
    room.tracker.reconcile(&hidden, false, &mut room.shown, &mut room.events);
    assert_eq!(room.told(), Vec::<String>::new());
    room.shown.0.remove(&20);
    room.tracker.reconcile(&hidden, false, &mut room.shown, &mut room.events);
    assert_eq!(room.told(), ["destroyed 20 hidden exec"]);
}

#[test]
fn details_are_known_only_of_the_same_process() {
    let room = Room::with_shell();
    assert!(room.tracker.knows(HostPid(10), ms(0)));
    assert!(!room.tracker.knows(HostPid(10), ms(5000)));
    assert!(!room.tracker.knows(HostPid(11), ms(0)));
}
