//! This machine's own `/proc`.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use tokio::time::Instant;

use super::fake::{by_cmdline, by_exe, counts, group, pattern, rules};
use crate::clock::Clock;
use crate::config::HostGroup;
use crate::host::usage::{HostGroups, Limits, OwnReader, Usage};

/// A child that sleeps until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    /// Sleeps for `seconds` that nobody else asks for.
    fn new(seconds: &str) -> Self {
        Self(Command::new("sleep").arg(seconds).stdin(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn until(groups: &mut HostGroups, mut is_there: impl FnMut(&Usage) -> bool) -> Usage {
    let began = Instant::now();
    loop {
        let usage = groups.scan().unwrap();
        if is_there(&usage) {
            return usage;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{usage:?}");
        std::thread::yield_now();
    }
}

/// Seconds for `sleep` that belong to this run and this test alone.
fn seconds(test: u32) -> String {
    format!("{}.{test}", 100_000 + std::process::id())
}

#[test]
fn a_child_is_found_and_its_end_is_seen() {
    for (held, test) in [(0, 1), (1000, 2)] {
        let seconds = seconds(test);
        let cmdline = format!("^sleep {}$", seconds.replace('.', "\\."));
        let all =
            HostGroup { match_name: Some(pattern("^sleep$")), match_exe: Some(pattern("/")), ..by_cmdline(&cmdline) };
        let limits = Limits { held, ..Limits::of_this_process() };
        let rules = rules(&[("ours", all), ("none", by_exe("^nowhere$"))]);
        let mut groups = HostGroups::at("/proc".as_ref(), rules, limits).unwrap();
        let before = groups.scan().unwrap();
        assert_eq!(counts(&before), [0, 0]);
        assert!(before.processes > 0 && before.cpu > Duration::ZERO);
        let child = Sleeper::new(&seconds);
        until(&mut groups, |usage| counts(usage) == [1, 0]);
        // Until it sleeps it has not yet all that it will have.
        let usage = until(&mut groups, |usage| group(usage, "ours").states.of('S') == 1);
        let ours = group(&usage, "ours");
        assert!(ours.resident_bytes > 0 && ours.threads == 1, "{ours:?}");
        for usage in [&usage, &groups.scan().unwrap()] {
            let open = std::fs::read_dir(format!("/proc/{}/fd", child.0.id())).unwrap().count();
            assert_eq!(group(usage, "ours").descriptors, u64::try_from(open).unwrap());
        }
        assert!(ours.oldest_start.unwrap().abs_diff(Clock::system().now_ms()) < 60_000, "{ours:?}");
        drop(child);
        let usage = groups.scan().unwrap();
        assert_eq!((counts(&usage), group(&usage, "ours").oldest_start), (vec![0, 0], None));
    }
}

#[test]
fn a_program_of_the_same_name_in_place_of_another_is_noticed() {
    // The shell starts itself anew in its own place, with other arguments and once it is told to.
    let mark = seconds(3);
    let script = format!("read a; exec /bin/sh -c 'read b' {mark}");
    let mut child = Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    let (first, second) = (format!("exec /bin/sh .* {mark}$"), format!("^/bin/sh -c read b {mark}$"));
    let mut groups =
        HostGroups::open(rules(&[("first", by_cmdline(&first)), ("second", by_cmdline(&second))])).unwrap();
    for _ in 0..2 {
        until(&mut groups, |usage| counts(usage) == [1, 0]);
    }
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    until(&mut groups, |usage| counts(usage) == [0, 1]);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(counts(&groups.scan().unwrap()), [0, 0]);
}

#[test]
fn programs_of_the_privileged_may_not_be_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root has privileges to lay down");
        return;
    }
    let seconds = seconds(4);
    let child = Sleeper::new(&seconds);
    let look = move || {
        let cmdline = format!("^sleep {seconds}$");
        let by_both = HostGroup { match_exe: Some(pattern("sleep")), ..by_cmdline(&cmdline) };
        let mut groups = HostGroups::open(rules(&[("guarded", by_both), ("open", by_cmdline(&cmdline))])).unwrap();
        until(&mut groups, |usage| counts(usage).contains(&1))
    };
    let usage = look();
    assert_eq!(counts(&usage), [1, 0]);
    // Capabilities belong to a thread: nobody else loses them.
    let bare = std::thread::spawn(move || {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        look()
    });
    let usage = bare.join().unwrap();
    assert_eq!(counts(&usage), [0, 1], "{usage:?}");
    assert!(usage.unread.texts > 0, "{usage:?}");
    drop(child);
}

#[test]
fn the_daemon_finds_itself() {
    let mut reader = OwnReader::open().unwrap();
    let own = reader.read().unwrap();
    assert_eq!(own.pid.0, std::process::id());
    assert!(own.resident_bytes > 1 << 20 && own.virtual_bytes > own.resident_bytes, "{own:?}");
    assert!(own.heap_used_bytes > 0 && own.heap_mapped_bytes > 0, "{own:?}");
    assert!(own.threads >= 2 && own.descriptors >= 3, "{own:?}");
    assert!(own.descriptors_max.is_none_or(|most| most >= own.descriptors), "{own:?}");
    let now = Clock::system().now_ms();
    let age = now.saturating_sub(own.start_time);
    let uptime = u64::try_from(own.uptime.as_millis()).unwrap();
    assert!(age.abs_diff(uptime) < 10_000, "{own:?} at {now}");
    let work = Instant::now();
    let later = loop {
        let later = reader.read().unwrap();
        if later.cpu_user + later.cpu_system > own.cpu_user + own.cpu_system {
            break later;
        }
        assert!(work.elapsed() < Duration::from_secs(60), "CPU time stands still");
    };
    assert!(later.cpu_user >= own.cpu_user && later.uptime > own.uptime);
    assert_eq!(later.start_time, own.start_time);
}
