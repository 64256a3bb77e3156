//! Registrations against a plain list, under random interleavings of several askers.

use super::*;

const NAMES: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Somebody asks, on behalf of these groups, and waits if somebody leads.
    Ask(u8, Option<Vec<u8>>),
    /// Somebody waits without asking first.
    Push(u8),
    Find(u8),
    /// The leader is done: an answer for all who wait.
    Finish(u8),
    Die(u8),
    /// Leaders that are gone try to act on a name.
    ActDead(u8),
    /// One of those who ever waited goes away without a word.
    Cancel(prop::sample::Index),
    Sweep(u8),
    Replace(u8),
    Rename(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..NAMES;
    let chain = prop::option::of(prop::collection::vec(0..NAMES, 0..3));
    prop_oneof![
        8 => (number.clone(), chain).prop_map(|(number, chain)| Step::Ask(number, chain)),
        16 => number.clone().prop_map(Step::Push),
        2 => number.clone().prop_map(Step::Find),
        1 => number.clone().prop_map(Step::Finish),
        1 => number.clone().prop_map(Step::Die),
        2 => number.clone().prop_map(Step::ActDead),
        8 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        4 => number.clone().prop_map(Step::Sweep),
        1 => number.clone().prop_map(Step::Replace),
        2 => (number.clone(), number).prop_map(|(from, to)| Step::Rename(from, to)),
    ]
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    ToldOfDeath,
    GivenBack,
    WentAway,
}

struct Plain {
    number: u8,
    incarnation: Incarnation,
    waiters: Vec<u32>,
}

/// The registry beside the plain list.
#[derive(Default)]
struct World {
    names: Names,
    /// In order of use.
    plain: Vec<Plain>,
    dead: Vec<Incarnation>,
    /// How the wait of each waiter ended, by its number.
    ends: Vec<Option<End>>,
    gone: HashSet<u32>,
}

impl World {
    fn place(&self, number: u8) -> Option<usize> {
        self.plain.iter().position(|held| held.number == number)
    }

    fn incarnation(&self, number: u8) -> Option<Incarnation> {
        self.place(number).map(|place| self.plain[place].incarnation)
    }

    fn use_it(&mut self, number: u8) {
        if let Some(place) = self.place(number) {
            let used = self.plain.remove(place);
            self.plain.push(used);
        }
    }

    fn end(&mut self, waiter: u32, end: End) {
        let before = self.ends[waiter as usize].replace(end);
        assert_eq!(before, None, "waiter {waiter} ends twice");
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Ask(number, chain) => self.ask(number, chain),
            Step::Push(number) => self.push(number),
            Step::Find(number) => {
                assert_eq!(self.names.find(&name(number)).copied(), self.incarnation(number));
                self.use_it(number);
            }
            Step::Finish(number) => self.finish(number, End::Answered),
            Step::Die(number) => self.finish(number, End::ToldOfDeath),
            Step::ActDead(number) => self.act_dead(number),
            Step::Cancel(_) if self.ends.is_empty() => {}
            Step::Cancel(which) => drop(self.gone.insert(which.index(self.ends.len()) as u32)),
            Step::Sweep(number) => self.sweep(number),
            Step::Replace(number) => self.replace(number),
            Step::Rename(from, to) => self.rename(from, to),
        }
    }

    fn ask(&mut self, number: u8, groups: Option<Vec<u8>>) {
        let held = self.incarnation(number);
        let is_on_chain = groups.as_ref().is_some_and(|groups| groups.contains(&number));
        let chain = groups.as_deref().map(chain);
        match self.names.find_or_register(&name(number), chain.as_ref(), |incarnation| incarnation) {
            Found::Leader(incarnation) => {
                assert_eq!(held, None, "two lead");
                assert!(!self.dead.contains(&incarnation));
                self.plain.push(Plain { number, incarnation, waiters: Vec::new() });
            }
            Found::Wait(leader) => {
                assert_eq!((Some(*leader), is_on_chain), (held, false));
                self.use_it(number);
                self.push(number);
            }
            Found::InfiniteRecursion => assert!(held.is_some() && is_on_chain),
        }
    }

    fn push(&mut self, number: u8) {
        let waiter = self.ends.len() as u32;
        self.ends.push(None);
        let pushed = self.names.push(&name(number), waiter);
        match self.place(number) {
            Some(place) => {
                assert_eq!(pushed, Ok(()));
                self.plain[place].waiters.push(waiter);
            }
            None => {
                assert_eq!(pushed, Err(waiter));
                self.end(waiter, End::GivenBack);
            }
        }
    }

    fn finish(&mut self, number: u8, end: End) {
        let Some(place) = self.place(number) else { return };
        let Plain { incarnation, waiters, .. } = self.plain.remove(place);
        let ended = self.names.unregister(&name(number), incarnation).unwrap();
        assert_eq!((ended.leader, ended.waiters), (incarnation, VecDeque::from(waiters.clone())));
        assert_eq!(self.names.peek(&name(number)), None, "the name is free at once");
        self.dead.push(incarnation);
        for waiter in waiters {
            self.end(waiter, if self.gone.contains(&waiter) { End::WentAway } else { end });
        }
    }

    fn act_dead(&mut self, number: u8) {
        for incarnation in &self.dead {
            assert_eq!(self.names.unregister(&name(number), *incarnation), None);
            assert_eq!(self.names.replace(&name(number), *incarnation, |incarnation| incarnation), None);
            assert_eq!(self.names.rename(&name(number), *incarnation, name(0)), Err(NotRenamed::Gone));
        }
    }

    fn sweep(&mut self, number: u8) {
        let forgotten = self.names.sweep(&name(number), |waiter| self.gone.contains(waiter));
        let Some(place) = self.place(number) else { return assert_eq!(forgotten, 0) };
        let left: Vec<u32> = self.names.waiters(&name(number)).unwrap().iter().copied().collect();
        let before = std::mem::replace(&mut self.plain[place].waiters, left.clone());
        let waits = |waiter: &&u32| !self.gone.contains(*waiter);
        assert!(before.iter().filter(waits).eq(left.iter().filter(waits)), "one was forgotten who still waits");
        assert_eq!(before.len() - left.len(), forgotten);
        assert!(forgotten == 0 || left.iter().all(|waiter| waits(&waiter)), "one who is gone was overlooked");
        for waiter in before.into_iter().filter(|waiter| !left.contains(waiter)) {
            self.end(waiter, End::WentAway);
        }
    }

    fn replace(&mut self, number: u8) {
        let Some(place) = self.place(number) else { return };
        let old = self.plain[place].incarnation;
        let (incarnation, waiters) = self.names.replace(&name(number), old, |incarnation| incarnation).unwrap();
        assert_eq!(waiters, VecDeque::from(self.plain[place].waiters.clone()));
        assert_eq!(self.names.peek(&name(number)), Some(&incarnation));
        self.dead.push(old);
        self.plain[place].incarnation = incarnation;
        self.use_it(number);
        // Those who waited are handed on to the new leader in their order.
        for waiter in waiters {
            self.names.push(&name(number), waiter).unwrap();
        }
    }

    fn rename(&mut self, from: u8, to: u8) {
        let Some(place) = self.place(from) else { return };
        let renamed = self.names.rename(&name(from), self.plain[place].incarnation, name(to));
        if from != to && self.place(to).is_some() {
            return assert_eq!(renamed, Err(NotRenamed::Held));
        }
        assert_eq!(renamed, Ok(()));
        self.plain[place].number = to;
    }

    fn check(&self) {
        let order: Vec<_> = self.names.oldest_first().map(|(group, leader)| (group.clone(), *leader)).collect();
        assert_eq!(order, self.plain.iter().map(|held| (name(held.number), held.incarnation)).collect::<Vec<_>>());
        assert_eq!((self.names.len(), self.names.by_use.len()), (self.plain.len(), self.plain.len()));
        assert_eq!(self.names.iter().count(), self.plain.len());
        for member in self.names.iter() {
            let held = self.plain.iter().find(|held| name(held.number) == *member.group).unwrap();
            assert_eq!((*member.leader, member.incarnation), (held.incarnation, held.incarnation));
            assert!(member.waiters.iter().eq(&held.waiters));
            assert_eq!(self.names.waiters(member.group), Some(member.waiters));
            assert!(
                held.waiters.iter().all(|waiter| self.ends[*waiter as usize].is_none()),
                "a wait that ended goes on"
            );
        }
    }
}

proptest! {
    #[test]
    fn every_name_has_one_leader_and_every_wait_one_end(steps in prop::collection::vec(step(), 0..300)) {
        let mut world = World::default();
        for step in steps {
            world.run(step);
            world.check();
        }
        for number in 0..NAMES {
            world.finish(number, End::Answered);
        }
        world.check();
        prop_assert!(world.names.is_empty() && world.names.by_use.is_empty());
        prop_assert!(world.ends.iter().all(Option::is_some), "a wait never ended");
    }
}
