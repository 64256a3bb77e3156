//! How much is under way to one destination, and who waits for a turn.

use std::collections::BTreeMap;

use super::Destination;

/// The place of somebody who waits at a gate.
pub(super) type Ticket = u64;

/// Whether who came to a gate may go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Go,
    Wait(Ticket),
}

/// One gate for each destination; first come, first served. A gate that nobody uses costs nothing.
///
/// `T` is who goes through.
#[derive(Debug)]
pub(super) struct Gates<T> {
    local_max: usize,
    remote_max: usize,
    gates: BTreeMap<Destination, Gate<T>>,
    tickets: Ticket,
}

/// Somebody waits only while as many are under way as may be.
#[derive(Debug)]
struct Gate<T> {
    under_way: usize,
    waiting: BTreeMap<Ticket, T>,
}

impl<T> Gates<T> {
    /// Gates that let through so many at a time: for all local deliveries together, and for each remote destination.
    pub(super) fn new(local_max: usize, remote_max: usize) -> Self {
        Self { local_max: local_max.max(1), remote_max: remote_max.max(1), gates: BTreeMap::new(), tickets: 0 }
    }

    /// Whether somebody who comes now may go at once.
    pub(super) fn is_open(&self, to: &Destination) -> bool {
        self.gates.get(to).is_none_or(|gate| gate.under_way < self.max(to))
    }

    /// Somebody wants to go. Whoever goes must [`leave`](Self::leave); `who` is kept only if it has to wait.
    pub(super) fn enter(&mut self, to: &Destination, who: T) -> Entered {
        let max = self.max(to);
        let gate = self.gates.entry(to.clone()).or_insert_with(|| Gate { under_way: 0, waiting: BTreeMap::new() });
        if gate.under_way < max {
            gate.under_way += 1;
            return Entered::Go;
        }
        self.tickets = self.tickets.wrapping_add(1);
        gate.waiting.insert(self.tickets, who);
        Entered::Wait(self.tickets)
    }

    /// One that went is back. Returns who goes in its place.
    pub(super) fn leave(&mut self, to: &Destination) -> Option<T> {
        let gate = self.gates.get_mut(to)?;
        let next = gate.waiting.pop_first().map(|(_, who)| who);
        if next.is_none() {
            gate.under_way = gate.under_way.saturating_sub(1);
            if gate.under_way == 0 {
                self.gates.remove(to);
            }
        }
        next
    }

    /// Somebody who waits goes away.
    pub(super) fn give_up(&mut self, to: &Destination, ticket: Ticket) {
        if let Some(gate) = self.gates.get_mut(to) {
            gate.waiting.remove(&ticket);
        }
    }

    /// Everybody who waits goes away.
    pub(super) fn send_away(&mut self) {
        for gate in self.gates.values_mut() {
            gate.waiting.clear();
        }
    }

    /// How many are under way in all.
    pub(super) fn under_way(&self) -> usize {
        self.gates.values().map(|gate| gate.under_way).sum()
    }

    fn max(&self, to: &Destination) -> usize {
        match to {
            Destination::Local => self.local_max,
            Destination::Remote(_) => self.remote_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gate_serves_who_came_first_and_forgets_who_gave_up() {
        let (local, far) = (Destination::Local, Destination::Remote("far".into()));
        let mut gates = Gates::new(2, 1);
        assert_eq!([gates.enter(&local, 1), gates.enter(&local, 2)], [Entered::Go, Entered::Go]);
        assert!(!gates.is_open(&local) && gates.is_open(&far));
        let Entered::Wait(third) = gates.enter(&local, 3) else { panic!("three went at a time") };
        assert!(matches!(gates.enter(&local, 4), Entered::Wait(_)));
        assert!(matches!(gates.enter(&local, 5), Entered::Wait(_)));
        assert_eq!(gates.enter(&far, 6), Entered::Go);
        gates.give_up(&local, third);
        assert_eq!((gates.leave(&local), gates.leave(&local), gates.leave(&local)), (Some(4), Some(5), None));
        assert!(gates.is_open(&local));
        assert_eq!((gates.under_way(), gates.leave(&local), gates.leave(&far)), (2, None, None));
        assert!(gates.gates.is_empty(), "{gates:?}");
        assert_eq!(gates.leave(&local), None);
    }
}
