//! Who waits for room in whose queue: processes that wait for each other in a circle would wait for ever.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::ProcessId;

/// So many pairs are remembered; for further ones no circle is found.
const MOST: usize = 65_536;

/// Sources whose messages found the queue of their target full, with these targets.
///
/// A process with a full outbox computes no more, so its queue stays full; where such processes send to each other, nobody
/// would ever make room. A message that closes such a circle may pass over the limit of the queue.
#[derive(Debug, Default)]
pub struct Congestion {
    waits: BTreeMap<ProcessId, BTreeSet<ProcessId>>,
    pairs: usize,
}

impl Congestion {
    /// The queue of `target` had no room for a message of `source`. Returns whether the target waits for the source as well,
    /// directly or through others; a process that sends to itself does.
    ///
    /// Takes at most as many steps as there are pairs.
    pub fn refused(&mut self, source: &ProcessId, target: &ProcessId) -> bool {
        let is_known = self.waits.get(source).is_some_and(|targets| targets.contains(target));
        if !is_known && self.pairs < MOST {
            self.waits.entry(source.clone()).or_default().insert(target.clone());
            self.pairs += 1;
        }
        self.leads(target, source)
    }

    /// No message of `source` waits for room at `target`.
    pub fn taken(&mut self, source: &ProcessId, target: &ProcessId) {
        let Some(targets) = self.waits.get_mut(source) else { return };
        self.pairs -= usize::from(targets.remove(target));
        if targets.is_empty() {
            self.waits.remove(source);
        }
    }

    /// `source` has nothing to deliver.
    pub fn idle(&mut self, source: &ProcessId) {
        self.pairs -= self.waits.remove(source).map_or(0, |targets| targets.len());
    }

    fn leads(&self, from: &ProcessId, to: &ProcessId) -> bool {
        let mut seen = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(process) = next.pop() {
            if process == to {
                return true;
            }
            next.extend(self.waits.get(process).into_iter().flatten().filter(|target| seen.insert(target)));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ProcessId {
        ProcessId::parse(name).unwrap()
    }

    #[test]
    fn who_waits_for_itself_is_a_circle_as_long_as_it_waits() {
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let mut congestion = Congestion::default();
        assert!(congestion.refused(&a, &a), "of itself");
        congestion.taken(&a, &a);
        assert!(!congestion.refused(&a, &b));
        assert!(!congestion.refused(&b, &c));
        assert!(congestion.refused(&c, &a), "through others");
        assert!(congestion.refused(&b, &c), "each of them is part of it");
        congestion.taken(&b, &c);
        assert!(!congestion.refused(&c, &a));
        assert!(congestion.refused(&b, &c));
        congestion.idle(&c);
        assert!(!congestion.refused(&b, &c));
        for process in [&a, &b] {
            congestion.idle(process);
        }
        assert_eq!((congestion.pairs, congestion.waits.len()), (0, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut congestion = Congestion::default();
        let hub = id("hub");
        for number in 0..MOST + 10 {
            congestion.refused(&id(&format!("p{number}")), &hub);
        }
        assert_eq!(congestion.pairs, MOST);
        congestion.idle(&id("p0"));
        assert!(!congestion.refused(&id(&format!("p{}", MOST + 1)), &hub));
        assert_eq!(congestion.pairs, MOST);
    }
}
