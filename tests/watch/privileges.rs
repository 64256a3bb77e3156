//! What this machine offers, and what is left without privileges.

use std::collections::HashSet;

use mainstay::host::{BackendKind, EventKind, Options};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::children::{end, many, patient};
use crate::watcher::{Watcher, is_root, requires_all, skip, with};

#[test]
fn what_is_found_here_is_said() {
    let effective = capabilities(None).map(|sets| sets.effective);
    eprintln!("privileges: user {}, {effective:?}", rustix::process::getuid().as_raw());
    for backend in [BackendKind::Auto, BackendKind::Connector, BackendKind::Poll] {
        let Some(watcher) = Watcher::start(Options { realtime: true, ..with(backend) }) else { continue };
        let watch = &watcher.watch;
        eprintln!("{}: {} runs, because {}", backend.as_str(), watch.backend().as_str(), watch.reason());
        for lack in watch.lacks() {
            eprintln!("  without {}: {}", lack.what, lack.why);
            assert!(!lack.why.is_empty());
        }
        let is_whole = watch.backend() == BackendKind::Connector && watch.lacks().is_empty();
        let must_be_whole = is_root() && requires_all() && backend != BackendKind::Poll;
        assert!(is_whole || !must_be_whole, "root lacks {:?}", watch.lacks());
    }
}

#[test]
fn without_privileges_what_works_is_used_and_the_rest_is_told() {
    let none = CapabilitySet::empty();
    // Capabilities belong to a thread and those it starts: nobody else loses them.
    let bare = std::thread::spawn(move || {
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        set_capabilities(None, sets).unwrap();
        let Some(watcher) = Watcher::start(Options { realtime: true, ..with(BackendKind::Auto) }) else {
            return skip("nothing can be watched without privileges");
        };
        let lacks: Vec<&str> = watcher.watch.lacks().iter().map(|lack| lack.what).collect();
        eprintln!("{}: {lacks:?}", watcher.watch.backend().as_str());
        assert!(!lacks.is_empty(), "nothing is lacking");
        let distinct: HashSet<_> = lacks.iter().collect();
        assert_eq!(distinct.len(), lacks.len(), "a lack is told twice: {lacks:?}");
        let child = patient();
        let pid = child.id();
        let has_program = |event: &mainstay::host::HostEvent| event.process.name.as_str() == "sleep";
        watcher.wait_for(|event| event.process.pid.0 == pid && has_program(event));
        end(child);
        let told = watcher.until_gone(&HashSet::from([pid]));
        assert!(matches!(told[&pid].last().map(|event| &event.kind), Some(EventKind::Destroyed(_))));
        if watcher.watch.backend() == BackendKind::Connector {
            let pids = many(20);
            assert_eq!(watcher.until_gone(&pids).len(), pids.len());
        }
    });
    bare.join().unwrap();
}
