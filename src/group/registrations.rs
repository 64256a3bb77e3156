//! Who is registered under which name, and who waits there.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::chain::Chain;
use crate::ids::GroupName;

#[cfg(test)]
mod tests;

/// The number of one registration; no two are alike within a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(u64);

/// The names of one registry. At most one leader `L` holds a name at any time, and who was found or registered last is
/// known, so that the one that was left alone longest can be asked to go.
///
/// A leader that has no mailbox of its own gets one here: the waiters `W` of its name, first come first. How many may wait
/// is for the caller to limit; those who went away without a word are forgotten by [`Registrations::sweep`].
#[derive(Debug)]
pub struct Registrations<L, W = ()> {
    by_name: HashMap<GroupName, Registration<L, W>>,
    by_use: BTreeMap<u64, GroupName>,
    numbers: Numbers,
}

/// The numbers that were given out last.
#[derive(Debug, Default)]
struct Numbers {
    uses: u64,
    incarnations: u64,
}

#[derive(Debug)]
struct Registration<L, W> {
    leader: L,
    incarnation: Incarnation,
    last_use: u64,
    waiters: VecDeque<W>,
    /// The mailbox is looked through when it holds this many.
    sweep_at: usize,
}

/// A mailbox with fewer waiters is not looked through for those who are gone.
const SWEEP_MIN: usize = 16;

/// Whom a request for a name found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Found<'a, L> {
    /// Nobody: the name is the asker's own from now on.
    Leader(Incarnation),
    /// Somebody to wait for.
    Wait(&'a L),
    /// Somebody who waits for the asker already.
    InfiniteRecursion,
}

/// What is left of a registration that is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "somebody may wait"]
pub struct Ended<L, W> {
    /// Who led.
    pub leader: L,
    /// Who waited, first come first.
    pub waiters: VecDeque<W>,
}

/// A registration as it stands.
#[derive(Debug)]
pub struct Member<'a, L, W> {
    /// Its name.
    pub group: &'a GroupName,
    /// Its number.
    pub incarnation: Incarnation,
    /// Who leads.
    pub leader: &'a L,
    /// Who waits, first come first.
    pub waiters: &'a VecDeque<W>,
}

/// The name is held by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is held")]
pub struct Held;

/// Why a registration keeps its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRenamed {
    /// The new name is held by somebody else.
    #[error("the new name is held")]
    Held,
    /// The registration is over.
    #[error("the old name is not held by this incarnation any more")]
    Gone,
}

impl<L, W> Default for Registrations<L, W> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), by_use: BTreeMap::new(), numbers: Numbers::default() }
    }
}

impl<L, W> Registrations<L, W> {
    /// How many names are held.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no name is held.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Who holds `name`. Counts as a use of it.
    pub fn find(&mut self, name: &GroupName) -> Option<&L> {
        let registration = self.by_name.get_mut(name)?;
        Some(registration.used(&mut self.numbers, &mut self.by_use))
    }

    /// Who holds `name`, without using it.
    pub fn peek(&self, name: &GroupName) -> Option<&L> {
        self.by_name.get(name).map(|registration| &registration.leader)
    }

    /// Which registration holds `name`.
    pub fn incarnation(&self, name: &GroupName) -> Option<Incarnation> {
        self.by_name.get(name).map(|registration| registration.incarnation)
    }

    /// Gives `name` to the leader that `make` makes with its incarnation.
    pub fn register(&mut self, name: GroupName, make: impl FnOnce(Incarnation) -> L) -> Result<&L, Held> {
        let Entry::Vacant(free) = self.by_name.entry(name) else { return Err(Held) };
        let registration = self.numbers.registration(make);
        self.by_use.insert(registration.last_use, free.key().clone());
        Ok(&free.insert(registration).leader)
    }

    /// Who holds `name`, which counts as a use of it; where nobody does, the leader that `make` makes with its incarnation
    /// holds it from now on. One step: of all who ask for a free name one becomes the leader.
    ///
    /// With a `chain`, a leader whose group is on it is not to be waited for. `None` allows the recursion.
    pub fn find_or_register(
        &mut self,
        name: &GroupName,
        chain: Option<&Chain>,
        make: impl FnOnce(Incarnation) -> L,
    ) -> Found<'_, L> {
        match self.by_name.entry(name.clone()) {
            Entry::Vacant(free) => {
                let registration = self.numbers.registration(make);
                self.by_use.insert(registration.last_use, name.clone());
                Found::Leader(free.insert(registration).incarnation)
            }
            Entry::Occupied(_) if chain.is_some_and(|chain| chain.contains(name)) => Found::InfiniteRecursion,
            Entry::Occupied(held) => Found::Wait(held.into_mut().used(&mut self.numbers, &mut self.by_use)),
        }
    }

    /// Lets `waiter` wait for the leader of `name`, behind those who wait already. Where nobody leads it is given back.
    pub fn push(&mut self, name: &GroupName, waiter: W) -> Result<(), W> {
        match self.by_name.get_mut(name) {
            Some(registration) => {
                registration.waiters.push_back(waiter);
                Ok(())
            }
            None => Err(waiter),
        }
    }

    /// Forgets who is gone from the mailbox of `name`, once it has doubled since it was last looked through; says how many.
    ///
    /// Called before each push it costs a constant time in the mean, and a mailbox never holds more than the larger of 16 and
    /// twice those who were still there when it was last looked through.
    pub fn sweep(&mut self, name: &GroupName, is_gone: impl Fn(&W) -> bool) -> usize {
        let Some(registration) = self.by_name.get_mut(name) else { return 0 };
        let before = registration.waiters.len();
        if before < registration.sweep_at {
            return 0;
        }
        registration.waiters.retain(|waiter| !is_gone(waiter));
        let after = registration.waiters.len();
        registration.sweep_at = SWEEP_MIN.max(after.saturating_mul(2));
        before - after
    }

    /// Frees `name` at once if this incarnation holds it.
    pub fn unregister(&mut self, name: &GroupName, incarnation: Incarnation) -> Option<Ended<L, W>> {
        let Entry::Occupied(held) = self.by_name.entry(name.clone()) else { return None };
        if held.get().incarnation != incarnation {
            return None;
        }
        let Registration { leader, last_use, waiters, .. } = held.remove();
        self.by_use.remove(&last_use);
        Some(Ended { leader, waiters })
    }

    /// Moves this incarnation, with its leader and waiters, from one name to another in one step.
    pub fn rename(&mut self, from: &GroupName, incarnation: Incarnation, to: GroupName) -> Result<(), NotRenamed> {
        let held = self.by_name.get(from).ok_or(NotRenamed::Gone)?;
        if held.incarnation != incarnation {
            return Err(NotRenamed::Gone);
        }
        if *from == to {
            return Ok(());
        }
        if self.by_name.contains_key(&to) {
            return Err(NotRenamed::Held);
        }
        let moved = self.by_name.remove(from).ok_or(NotRenamed::Gone)?;
        self.by_use.insert(moved.last_use, to.clone());
        self.by_name.insert(to, moved);
        Ok(())
    }

    /// Another leader, which `make` makes with its incarnation, takes `name` over from this incarnation: there is no moment
    /// without one. Counts as a use. Those who waited are handed out, first come first, to be given to the new leader.
    #[must_use = "somebody may wait"]
    pub fn replace(
        &mut self,
        name: &GroupName,
        incarnation: Incarnation,
        make: impl FnOnce(Incarnation) -> L,
    ) -> Option<(Incarnation, VecDeque<W>)> {
        self.by_name.get(name).filter(|held| held.incarnation == incarnation)?;
        let successor = self.numbers.registration(make);
        let (incarnation, last_use) = (successor.incarnation, successor.last_use);
        let replaced = self.by_name.insert(name.clone(), successor)?;
        self.by_use.remove(&replaced.last_use);
        self.by_use.insert(last_use, name.clone());
        Some((incarnation, replaced.waiters))
    }

    /// Who waits for the leader of `name`, first come first.
    pub fn waiters(&self, name: &GroupName) -> Option<&VecDeque<W>> {
        self.by_name.get(name).map(|registration| &registration.waiters)
    }

    /// Every leader, the one that was left alone longest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = (&GroupName, &L)> {
        self.by_use.values().filter_map(|name| Some((name, self.peek(name)?)))
    }

    /// Every registration, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_, L, W>> {
        self.by_name.iter().map(|(group, Registration { leader, incarnation, waiters, .. })| Member {
            group,
            incarnation: *incarnation,
            leader,
            waiters,
        })
    }
}

impl Numbers {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn registration<L, W>(&mut self, make: impl FnOnce(Incarnation) -> L) -> Registration<L, W> {
        self.incarnations += 1;
        let incarnation = Incarnation(self.incarnations);
        let last_use = self.next_use();
        let waiters = VecDeque::new();
        Registration { leader: make(incarnation), incarnation, last_use, waiters, sweep_at: SWEEP_MIN }
    }
}

impl<L, W> Registration<L, W> {
    fn used(&mut self, numbers: &mut Numbers, by_use: &mut BTreeMap<u64, GroupName>) -> &L {
        let this_use = numbers.next_use();
        if let Some(name) = by_use.remove(&self.last_use) {
            by_use.insert(this_use, name);
        }
        self.last_use = this_use;
        &self.leader
    }
}
