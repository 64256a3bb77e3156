//! Who waits for whom, over the whole node: a wait that would close a circle is refused before it begins.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::Chain;
use crate::ids::GroupName;

#[cfg(test)]
mod tests;

/// Waiting would never end: the target is among those that wait, or waits for one of them itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("group {target} waits for the group that asks for it, directly or through others; it would wait for itself")]
pub struct Circle {
    /// The group that was asked for.
    pub target: GroupName,
}

/// Edges from each group to those it waits for, with how often it does. Holds no circle, and no group that waits for none.
#[derive(Debug, Default)]
pub struct WaitGraph {
    edges: HashMap<GroupName, HashMap<GroupName, usize>>,
}

impl WaitGraph {
    /// Lets each of `waiters` wait for `target` once more, unless that closes a circle; then nothing is added.
    ///
    /// Takes at most as many steps as there are edges.
    pub fn enter(&mut self, waiters: &[GroupName], target: &GroupName) -> Result<(), Circle> {
        // Whatever is added leads to the target, so a circle can only close over what the target waits for already.
        if self.reaches_any(target, waiters) {
            return Err(Circle { target: target.clone() });
        }
        for waiter in waiters {
            *self.edges.entry(waiter.clone()).or_default().entry(target.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// Takes back one [`WaitGraph::enter`] with the same arguments.
    pub fn leave(&mut self, waiters: &[GroupName], target: &GroupName) {
        for waiter in waiters {
            let Some(targets) = self.edges.get_mut(waiter) else { continue };
            if let Some(count) = targets.get_mut(target) {
                *count -= 1;
                if *count == 0 {
                    targets.remove(target);
                }
            }
            if targets.is_empty() {
                self.edges.remove(waiter);
            }
        }
    }

    /// The groups that wait for `target`, directly or through others; `most` at most, the nearest. Those that wait directly
    /// come last.
    ///
    /// Takes at most `most` steps for each edge.
    pub fn behind(&self, target: &GroupName, most: usize) -> Vec<GroupName> {
        let mut found: Vec<&GroupName> = Vec::new();
        let mut at = 0;
        let mut next = Some(target);
        while let Some(group) = next {
            let waits = self.edges.iter().filter(|(_, targets)| targets.contains_key(group));
            for (waiter, _) in waits {
                if found.len() < most && waiter != target && !found.contains(&waiter) {
                    found.push(waiter);
                }
            }
            next = found.get(at).copied();
            at += 1;
        }
        found.into_iter().rev().cloned().collect()
    }

    /// How many groups wait.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether no group waits.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    fn reaches_any(&self, from: &GroupName, goals: &[GroupName]) -> bool {
        let mut seen = HashSet::from([from]);
        let mut next = vec![from];
        while let Some(group) = next.pop() {
            if goals.contains(group) {
                return true;
            }
            let targets = self.edges.get(group).into_iter().flat_map(HashMap::keys);
            next.extend(targets.filter(|target| seen.insert(target)));
        }
        false
    }
}

/// The node's [`WaitGraph`], shared by everyone who lets groups wait. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WaitTable(Arc<Mutex<WaitGraph>>);

impl WaitTable {
    /// Every group of `chain` waits for `target` until the guard is dropped. Looking for a circle and adding are one step.
    ///
    /// With an empty chain nobody waits: nothing is looked for, added or locked.
    pub fn enter(&self, chain: &Chain, target: &GroupName) -> Result<WaitGuard, Circle> {
        if !chain.is_empty() {
            self.lock().enter(chain.groups(), target)?;
        }
        Ok(WaitGuard { table: self.clone(), chain: chain.clone(), target: target.clone() })
    }

    /// Who waits for `group`, directly or through others, as a chain that has room for one more; the nearest where they are
    /// too many.
    pub fn chain_to(&self, group: &GroupName) -> Chain {
        let behind = self.lock().behind(group, Chain::MAX - 1);
        behind.iter().try_fold(Chain::default(), |chain, group| chain.then(group)).unwrap_or_default()
    }

    /// How many groups wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no group waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, WaitGraph> {
        // The steps on the graph do not panic, so that whoever did under the lock left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait that lasts until this is dropped.
#[derive(Debug)]
#[must_use = "the wait ends when the guard is dropped"]
pub struct WaitGuard {
    table: WaitTable,
    chain: Chain,
    target: GroupName,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        if !self.chain.is_empty() {
            self.table.lock().leave(self.chain.groups(), &self.target);
        }
    }
}
