//! Lives from beginning to end.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use mainstay::host::{BackendKind, EventKind, ExitStatus, NameSource, Options, Report};
use tokio::time::Instant;

use crate::children::{end, many, only, patient};
use crate::watcher::{LONG, Watcher, requires_all, skip, with, words};

#[test]
fn every_short_life_is_told_from_beginning_to_end() {
    let Some(watcher) = Watcher::connector() else { return };
    let pids = many(600);
    let told = watcher.until_gone(&pids);
    let numbers = watcher.watch.numbers();
    assert_eq!(numbers.lost, 0, "{numbers:?}");
    for (pid, events) in &told {
        let [first, between @ .., last] = &events[..] else { panic!("{pid}: {events:?}") };
        let EventKind::Destroyed(end) = &last.kind else { panic!("{pid}: {events:?}") };
        assert!(matches!(first.kind, EventKind::Created { initial: false }), "{pid}: {events:?}");
        // Who has to wait very long for a turn is told without its program, and renamed.
        assert!(between.iter().all(|event| matches!(event.kind, EventKind::Renamed { .. })), "{pid}: {events:?}");
        assert_eq!(end.status, Some(ExitStatus::Code(0)));
        let process = &last.process;
        assert_eq!(process.ppid.map(|pid| pid.0), Some(std::process::id()));
        assert!(process.start_time.is_some() && end.run_time.is_some());
        if watcher.watch.lacks().is_empty() {
            assert_eq!(process.name.as_str(), "true", "{pid}");
            assert!(end.peak_rss.is_some_and(|bytes| bytes > 0) && end.cpu_time.is_some(), "{end:?}");
        }
    }
    assert_eq!(told.len(), pids.len());
    assert!(
        watcher.watch.processes().iter().all(|process| !pids.contains(&process.pid.0)),
        "someone dead is in the map"
    );
}

#[test]
fn the_living_are_in_the_map_with_their_details() {
    let before = patient();
    let Some(watcher) = Watcher::connector() else { return end(before) };
    let after = patient();
    let pids = [before.id(), after.id()];
    watcher.wait_for(|event| event.process.pid.0 == after.id());
    let processes = watcher.watch.processes();
    let found: Vec<_> = processes.iter().filter(|process| pids.contains(&process.pid.0)).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for process in found {
        assert_eq!(process.name.as_str(), "sleep");
        assert!(process.exe.as_ref().is_some_and(|exe| exe.as_str().ends_with("sleep")), "{process:?}");
        assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    }
    let pids = pids.into_iter().collect();
    end(before);
    end(after);
    for events in watcher.until_gone(&pids).values() {
        let Some(EventKind::Destroyed(end)) = events.last().map(|event| &event.kind) else { panic!("{events:?}") };
        assert_eq!(end.status, Some(ExitStatus::Signal(9)));
    }
}

#[test]
fn threads_are_not_told() {
    let Some(watcher) = Watcher::connector() else { return };
    let barrier = Arc::new(Barrier::new(50));
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            std::thread::spawn(move || {
                barrier.wait();
                u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap()
            })
        })
        .collect();
    let mut numbers: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    numbers.push(std::process::id());
    let marker = many(2);
    let mut left = marker.len();
    while left > 0 {
        let Report::Event(event) = watcher.reports.recv_timeout(LONG).unwrap() else { continue };
        let is_end = matches!(event.kind, EventKind::Destroyed(_));
        assert!(!numbers.contains(&event.process.pid.0), "a thread was told: {event:?}");
        left -= usize::from(is_end && marker.contains(&event.process.pid.0));
    }
}

#[test]
fn a_zombie_has_ended_once() {
    let options = Options { rescan: Duration::from_millis(20), ..with(BackendKind::Connector) };
    let Some(watcher) = Watcher::start(options) else { return };
    let mut zombie = Command::new("/bin/true").spawn().unwrap();
    watcher.until_gone(&only(&zombie));
    let looks = watcher.watch.numbers().rescans;
    // Each of these makes the desk turn, and with it the looks that are due.
    while watcher.watch.numbers().rescans < looks + 3 {
        let child = Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        end_quietly(child);
        let event = watcher.wait_for(|event| event.process.pid.0 == pid || event.process.pid.0 == zombie.id());
        assert_ne!(event.process.pid.0, zombie.id(), "told again: {event:?}");
    }
    zombie.wait().unwrap();
}

fn end_quietly(mut child: std::process::Child) {
    child.wait().unwrap();
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    let Some(watcher) = Watcher::connector() else { return };
    for _ in 0..200 {
        let first = Command::new("/bin/true").spawn().unwrap();
        let pid = first.id();
        end_quietly(first);
        if let Err(error) = fs::write(LAST, (pid - 1).to_string()) {
            return skip(&format!("cannot write {LAST}: {error}"));
        }
        let second = Command::new("/bin/false").spawn().unwrap();
        let again = second.id();
        end_quietly(second);
        if again != pid {
            continue;
        }
        let mut ends = Vec::new();
        while ends.len() < 2 {
            let is_ours = |event: &mainstay::host::HostEvent| event.process.pid.0 == pid;
            let event = watcher.wait_for(is_ours);
            if let EventKind::Destroyed(end) = event.kind {
                ends.push(end.status);
            }
        }
        return assert_eq!(ends, [Some(ExitStatus::Code(0)), Some(ExitStatus::Code(1))]);
    }
    assert!(!requires_all(), "no number could be used again in 200 tries");
    skip("no number could be used again in 200 tries: others start too many processes");
}

#[test]
fn polling_tells_of_those_that_live_long_enough() {
    let options = Options { poll_interval: Duration::from_millis(20), ..with(BackendKind::Poll) };
    let Some(watcher) = Watcher::start(options) else { return };
    let children: Vec<_> = (0..10).map(|_| patient()).collect();
    let pids: std::collections::HashSet<u32> = children.iter().map(std::process::Child::id).collect();
    let mut left = pids.clone();
    while !left.is_empty() {
        let event = watcher.wait_for(|event| pids.contains(&event.process.pid.0));
        assert!(matches!(event.kind, EventKind::Created { initial: false } | EventKind::Renamed { .. }), "{event:?}");
        if event.process.name.as_str() == "sleep" {
            left.remove(&event.process.pid.0);
        }
    }
    children.into_iter().for_each(end);
    let told = watcher.until_gone(&pids);
    assert!(told.values().all(|events| events.len() == 1), "{told:?}");
}

#[test]
fn a_stop_is_quick_and_the_last_word() {
    for backend in [BackendKind::Connector, BackendKind::Poll] {
        let Some(watcher) = Watcher::start(with(backend)) else { continue };
        let began = Instant::now();
        watcher.watch.stop();
        // Ten times what it may take.
        assert!(began.elapsed() < Duration::from_secs(1), "{backend:?} took {:?}", began.elapsed());
        let last = watcher.reports.iter().last();
        assert!(matches!(last, Some(Report::Ended { error: None })), "{last:?}");
    }
}

#[test]
fn a_sink_that_panics_is_told_and_harms_nobody_else() {
    let (sender, reports) = std::sync::mpsc::channel();
    let sink = move |report| match report {
        Report::Ended { error } => drop(sender.send(error.map(|error| error.to_string()))),
        _ => panic!("on purpose"),
    };
    let Ok(_watch) = mainstay::host::start(with(BackendKind::Auto), sink) else { return skip("nothing to watch with") };
    let error = reports.recv_timeout(LONG).unwrap();
    assert!(error.as_ref().is_some_and(|error| error.contains("on purpose")), "{error:?}");
}

#[test]
fn a_program_that_starts_another_is_renamed() {
    let Some(watcher) = Watcher::connector() else { return };
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read go; exec /usr/bin/env cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pids = only(&child);
    let created = watcher.wait_for(|event| pids.contains(&event.process.pid.0));
    assert_eq!((created.process.name.as_str(), created.process.name_source), ("sh", NameSource::Exec));
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    watcher.wait_for(|event| pids.contains(&event.process.pid.0) && event.process.name.as_str() == "cat");
    drop(child.stdin.take());
    let told = words(&watcher.until_gone(&pids)[&child.id()]);
    assert_eq!(told, ["destroyed cat"]);
    child.wait().unwrap();
}
