//! Tests of the whole: known answers, real Lua as the judge, and gas.

mod against_lua;
mod calls;
mod gas;
mod known;
mod strings;

use super::{Exhausted, Fuel};

/// Gives out as much gas as it has and counts what it gave.
struct Tank {
    left: u64,
    spent: u64,
}

impl Tank {
    fn of(left: u64) -> Self {
        Self { left, spent: 0 }
    }

    fn full() -> Self {
        Self::of(u64::MAX)
    }
}

impl Fuel for Tank {
    fn spend(&mut self, gas: u64) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(gas).ok_or(Exhausted)?;
        self.spent += gas;
        Ok(())
    }
}
