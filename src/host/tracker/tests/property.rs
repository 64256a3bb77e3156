//! A machine that does anything: with and without losses the map is right in the end, and nobody is told of twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{Room, exec, exit, fork, seen};
use crate::host::{Change, EventKind, HostEvent};

#[derive(Clone, Debug)]
enum Deed {
    Fork(usize),
    Exec(usize),
    Rename(usize),
    StartThread(usize),
    EndThread(usize),
    Exit(usize),
    Wait,
}

/// A deed, and whether the kernel's word about it is lost.
fn deeds(losses: f64) -> impl Strategy<Value = Vec<(Deed, bool)>> {
    let who = 0usize..8;
    let deed = prop_oneof![
        4 => who.clone().prop_map(Deed::Fork),
        3 => who.clone().prop_map(Deed::Exec),
        1 => who.clone().prop_map(Deed::Rename),
        1 => who.clone().prop_map(Deed::StartThread),
        1 => who.clone().prop_map(Deed::EndThread),
        3 => who.prop_map(Deed::Exit),
        1 => Just(Deed::Wait),
    ];
    proptest::collection::vec((deed, proptest::bool::weighted(losses)), 0..120)
}

/// The machine as it is: who lives, since when, under which name, with how many threads.
struct Machine {
    room: Room,
    living: BTreeMap<u32, (u64, String, u32)>,
    now: u64,
    /// Each start of a process that the tracker was told of.
    begun: usize,
    ended: usize,
}

impl Machine {
    fn new() -> Self {
        let living = [(10, (0, "sh".to_owned(), 1))].into();
        Self { room: Room::with_shell(), living, now: 100, begun: 0, ended: 0 }
    }

    fn choose(&self, who: usize) -> Option<u32> {
        self.living.keys().filter(|pid| **pid != 10).nth(who % self.living.len().max(1)).copied()
    }

    fn act(&mut self, deed: &Deed, is_lost: bool) {
        // Far enough apart that no number is taken over within the tick that /proc rounds to.
        self.now += 2000;
        let told = match deed {
            Deed::Fork(parent) => {
                // Few numbers, so that they are taken over again and again.
                let Some(pid) = (20..26).find(|pid| !self.living.contains_key(pid)) else { return };
                let parent = self.choose(*parent).unwrap_or(10);
                let name = self.living[&parent].1.clone();
                self.living.insert(pid, (self.now, name, 1));
                self.begun += usize::from(!is_lost);
                Some((pid, fork(parent)))
            }
            Deed::Exec(who) => self.change(*who, |process| {
                process.1 = format!("exec{}", process.1.len() % 3);
                process.2 = 1;
                exec(&process.1)
            }),
            Deed::Rename(who) => self.change(*who, |process| {
                process.1 = "renamed".to_owned();
                Change::Renamed("renamed".into())
            }),
            Deed::StartThread(who) => self.change(*who, |process| {
                process.2 += 1;
                Change::ThreadStarted
            }),
            Deed::EndThread(who) => {
                let has_more = self.choose(*who).is_some_and(|pid| self.living[&pid].2 > 1);
                if !has_more {
                    return;
                }
                self.change(*who, |process| {
                    process.2 -= 1;
                    Change::ThreadEnded { cpu: None }
                })
            }
            Deed::Exit(who) => self.choose(*who).map(|pid| {
                let (_, _, threads) = self.living.remove(&pid).unwrap_or_default();
                for _ in 1..threads {
                    self.room.see(self.now, pid, Change::ThreadEnded { cpu: None });
                }
                self.ended += usize::from(!is_lost);
                (pid, exit(0))
            }),
            Deed::Wait => None,
        };
        self.show();
        if let Some((pid, change)) = told.filter(|_| !is_lost) {
            self.room.see(self.now, pid, change);
        }
        if matches!(deed, Deed::Wait) {
            self.room.tick(self.now);
        }
    }

    fn change(&mut self, who: usize, change: impl FnOnce(&mut (u64, String, u32)) -> Change) -> Option<(u32, Change)> {
        let pid = self.choose(who)?;
        let process = self.living.get_mut(&pid)?;
        Some((pid, change(process)))
    }

    fn show(&mut self) {
        self.room.shown.0.clear();
        for (pid, (start, name, threads)) in &self.living {
            self.room.shown.0.insert(*pid, crate::host::Seen { threads: *threads, ..seen(*pid, *start, name) });
        }
    }

    fn settle(&mut self) {
        self.now += 10_000;
        self.show();
        self.room.tick(self.now);
        self.room.tick(self.now + 10_000);
    }

    fn count(&self, of: impl Fn(&EventKind) -> bool) -> usize {
        self.room.events.iter().filter(|event| of(&event.kind)).count()
    }
}

/// Each creation once, each end once and after it; the living are those created and not destroyed.
fn living_by(events: &[HostEvent]) -> Result<BTreeSet<u32>, TestCaseError> {
    let mut living = BTreeSet::from([10]);
    for event in events {
        let pid = event.process.pid.0;
        match event.kind {
            EventKind::Created { .. } => prop_assert!(living.insert(pid), "{} created twice", pid),
            EventKind::Renamed { .. } => prop_assert!(living.contains(&pid), "{} renamed while dead", pid),
            EventKind::Destroyed(_) => prop_assert!(living.remove(&pid), "{} destroyed while dead", pid),
        }
    }
    Ok(living)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn without_losses_everyone_is_told_of_under_the_right_name(deeds in deeds(0.0)) {
        let mut machine = Machine::new();
        for (deed, is_lost) in &deeds {
            machine.act(deed, *is_lost);
        }
        machine.settle();
        let created = machine.count(|kind| matches!(kind, EventKind::Created { .. }));
        let destroyed = machine.count(|kind| matches!(kind, EventKind::Destroyed(_)));
        prop_assert_eq!((created, destroyed), (machine.begun, machine.ended));
        let names: BTreeMap<u32, String> =
            machine.room.tracker.processes().map(|one| (one.pid.0, one.name.to_string())).collect();
        let expected: BTreeMap<u32, String> =
            machine.living.iter().map(|(pid, (_, name, _))| (*pid, name.clone())).collect();
        prop_assert_eq!(names, expected);
        prop_assert_eq!(living_by(&machine.room.events)?, machine.living.keys().copied().collect());
    }

    #[test]
    fn after_losses_a_look_makes_the_map_right(deeds in deeds(0.3)) {
        let mut machine = Machine::new();
        for (deed, is_lost) in &deeds {
            machine.act(deed, *is_lost);
        }
        machine.now += 10_000;
        machine.show();
        machine.room.reconcile(machine.now, false);
        machine.settle();
        let living: BTreeSet<u32> = machine.living.keys().copied().collect();
        prop_assert_eq!(living_by(&machine.room.events)?, living.clone());
        prop_assert_eq!(machine.room.living(), living.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(machine.room.tracker.next_due(), None, "something is waited for that never comes");
        machine.room.events.clear();
        machine.room.reconcile(machine.now + 20_000, false);
        prop_assert!(machine.room.events.is_empty(), "a second look told {:?}", machine.room.events);
    }
}
