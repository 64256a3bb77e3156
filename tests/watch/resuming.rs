//! A watch that goes on from where another left off.

use std::collections::HashSet;
use std::sync::mpsc;

use mainstay::host::{BackendKind, EventKind, Filter, Report, resume};

use crate::children::{end, many, patient};
use crate::watcher::{LONG, Watcher, with};

#[test]
fn what_changed_while_nobody_watched_is_told_and_nothing_twice() {
    for backend in [BackendKind::Connector, BackendKind::Poll] {
        let Some(watcher) = Watcher::start(with(backend)) else { continue };
        let (stays, goes) = (patient(), patient());
        // Which of them is seen first under its last name is chance.
        let mut unnamed = HashSet::from([stays.id(), goes.id()]);
        watcher.wait_for(|event| {
            if event.process.name.as_str() == "sleep" {
                unnamed.remove(&event.process.pid.0);
            }
            unnamed.is_empty()
        });
        let (memory, counted) = (watcher.watch.memory(), watcher.watch.numbers().created);
        watcher.watch.stop();
        let (gone, comes) = (goes.id(), patient());
        end(goes);

        let (sender, reports) = mpsc::channel();
        let watch = resume(memory, with(backend), move |report| drop(sender.send(report))).unwrap();
        let (watched, mut told) = (HashSet::from([stays.id(), gone, comes.id()]), Vec::new());
        while told.len() < 2 {
            let Report::Event(event) = reports.recv_timeout(LONG).unwrap() else { continue };
            let is_renamed = matches!(event.kind, EventKind::Renamed { .. });
            if watched.contains(&event.process.pid.0) && !is_renamed {
                told.push((event.process.pid.0, event.kind));
            }
        }
        told.sort_by_key(|(pid, _)| *pid != gone);
        let [(first, EventKind::Destroyed(_)), (second, EventKind::Created { initial: false })] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((*first, *second), (gone, comes.id()));
        assert!(watch.numbers().created > counted, "it counts on");
        let living: Vec<u32> = watch.processes().iter().map(|process| process.pid.0).collect();
        assert!(living.contains(&stays.id()) && living.contains(&comes.id()) && !living.contains(&gone));

        watch.set_filter(Filter { uids: vec![u32::MAX], ..Filter::default() });
        assert!(watch.processes().is_empty(), "nobody passes");
        let short = many(5);
        watch.stop();
        let is_ours = |report: &Report| matches!(report, Report::Event(event) if short.contains(&event.process.pid.0));
        assert!(!reports.iter().any(|report| is_ours(&report)), "one that does not pass was told");
        end(stays);
        end(comes);
    }
}
