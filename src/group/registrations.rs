//! Who is registered under which name.

use std::collections::{BTreeMap, HashMap};

use crate::ids::GroupName;

/// The number of one registration; no two are alike within a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(u64);

/// The names of one registry. At most one registrant holds a name at any time, and who was found or registered last is
/// known, so that the one that was left alone longest can be asked to go.
#[derive(Debug)]
pub struct Registrations<A> {
    by_name: HashMap<GroupName, Registration<A>>,
    by_use: BTreeMap<u64, GroupName>,
    uses: u64,
    incarnations: u64,
}

#[derive(Debug)]
struct Registration<A> {
    registrant: A,
    incarnation: Incarnation,
    last_use: u64,
}

/// The name is held by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is held")]
pub struct Held;

impl<A> Default for Registrations<A> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), by_use: BTreeMap::new(), uses: 0, incarnations: 0 }
    }
}

impl<A> Registrations<A> {
    /// How many names are held.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Who holds `name`. Counts as a use of it.
    pub fn find(&mut self, name: &GroupName) -> Option<&A> {
        self.uses += 1;
        let registration = self.by_name.get_mut(name)?;
        self.by_use.remove(&registration.last_use);
        self.by_use.insert(self.uses, name.clone());
        registration.last_use = self.uses;
        Some(&registration.registrant)
    }

    /// Who holds `name`, without using it.
    pub fn peek(&self, name: &GroupName) -> Option<&A> {
        self.by_name.get(name).map(|registration| &registration.registrant)
    }

    /// Gives `name` to the registrant that `make` makes with its incarnation.
    pub fn register(&mut self, name: GroupName, make: impl FnOnce(Incarnation) -> A) -> Result<&A, Held> {
        if self.by_name.contains_key(&name) {
            return Err(Held);
        }
        self.uses += 1;
        self.incarnations += 1;
        let incarnation = Incarnation(self.incarnations);
        let registration = Registration { registrant: make(incarnation), incarnation, last_use: self.uses };
        self.by_use.insert(self.uses, name.clone());
        Ok(&self.by_name.entry(name).insert_entry(registration).into_mut().registrant)
    }

    /// Frees `name` if this incarnation holds it.
    pub fn unregister(&mut self, name: &GroupName, incarnation: Incarnation) -> Option<A> {
        self.by_name.get(name).filter(|registration| registration.incarnation == incarnation)?;
        let registration = self.by_name.remove(name)?;
        self.by_use.remove(&registration.last_use);
        Some(registration.registrant)
    }

    /// Every registrant, the one that was left alone longest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = (&GroupName, &A)> {
        self.by_use.values().filter_map(|name| Some((name, self.peek(name)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProcessId;
    use proptest::prelude::*;

    fn name(number: u8) -> GroupName {
        GroupName::of_process(&ProcessId::parse(&format!("p{number}")).unwrap())
    }

    #[test]
    fn a_held_name_is_refused_and_a_freed_one_is_free_at_once() {
        let mut names = Registrations::default();
        let first = *names.register(name(1), |incarnation| incarnation).unwrap();
        assert_eq!(names.register(name(1), |incarnation| incarnation), Err(Held));
        assert_eq!(names.unregister(&name(1), first), Some(first));
        let second = *names.register(name(1), |incarnation| incarnation).unwrap();
        assert_ne!(first, second);
        assert_eq!(names.unregister(&name(1), first), None, "a dead incarnation frees nobody else's name");
        assert_eq!(names.peek(&name(1)), Some(&second));
    }

    #[test]
    fn whoever_was_left_alone_longest_comes_first() {
        let mut names = Registrations::default();
        for number in 0..3 {
            names.register(name(number), |_| number).unwrap();
        }
        names.find(&name(0));
        assert_eq!(names.oldest_first().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Find(u8),
        Register(u8),
        Unregister(u8),
        UnregisterOld(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        (0u8..4, 0u8..6).prop_map(|(kind, number)| match kind {
            0 => Step::Find(number),
            1 => Step::Register(number),
            2 => Step::Unregister(number),
            _ => Step::UnregisterOld(number),
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec(step(), 0..200)) {
            let mut names = Registrations::default();
            // The plain list is in order of use.
            let mut plain: Vec<(u8, Incarnation)> = Vec::new();
            let mut dead: Vec<(u8, Incarnation)> = Vec::new();
            for step in steps {
                match step {
                    Step::Find(number) => {
                        let found = names.find(&name(number)).copied();
                        let place = plain.iter().position(|(held, _)| *held == number);
                        prop_assert_eq!(found, place.map(|place| plain[place].1));
                        if let Some(place) = place {
                            let used = plain.remove(place);
                            plain.push(used);
                        }
                    }
                    Step::Register(number) => {
                        let is_held = plain.iter().any(|(held, _)| *held == number);
                        let made = names.register(name(number), |incarnation| incarnation).copied();
                        prop_assert_eq!(made.is_err(), is_held);
                        plain.extend(made.ok().map(|incarnation| (number, incarnation)));
                    }
                    Step::Unregister(number) => {
                        if let Some(place) = plain.iter().position(|(held, _)| *held == number) {
                            let (_, incarnation) = plain.remove(place);
                            prop_assert_eq!(names.unregister(&name(number), incarnation), Some(incarnation));
                            dead.push((number, incarnation));
                        }
                    }
                    Step::UnregisterOld(number) => {
                        for (_, incarnation) in dead.iter().filter(|(held, _)| *held == number) {
                            prop_assert_eq!(names.unregister(&name(number), *incarnation), None);
                        }
                    }
                }
                let order: Vec<Incarnation> = names.oldest_first().map(|(_, held)| *held).collect();
                prop_assert_eq!(order, plain.iter().map(|(_, held)| *held).collect::<Vec<_>>());
                prop_assert_eq!(names.len(), plain.len());
            }
        }
    }
}
