//! Chance, for what must not happen everywhere at once.

/// A number that spreads those who failed together. 0 where the system has no chance to give.
pub(super) fn jitter() -> u16 {
    let mut bytes = [0; 2];
    // Without chance they come together, which costs time and nothing else.
    getrandom::fill(&mut bytes).map_or(0, |()| u16::from_le_bytes(bytes))
}
