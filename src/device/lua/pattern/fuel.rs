//! Gas: who gives it out, and the meter that counts steps and asks for it in blocks.

/// Gives out gas.
pub trait Fuel {
    /// Takes `gas` units. An error ends the call at once and for good.
    ///
    /// A running match asks at least once for every 64 steps, so this is also the place to look whether it should end for
    /// another reason. How the gas of a call is divided into requests is not part of the contract, its sum is.
    fn spend(&mut self, gas: u64) -> Result<(), Exhausted>;
}

/// There is no more gas, or [`Fuel`] has another reason to end the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gas is spent")]
pub struct Exhausted;

/// Steps that are counted before they are paid for.
const BLOCK: u64 = 64;

/// Counts steps. What is still owed at the end is paid by [`Meter::settle`].
pub(super) struct Meter<'f> {
    fuel: &'f mut dyn Fuel,
    owed: u64,
}

impl<'f> Meter<'f> {
    pub(super) fn new(fuel: &'f mut dyn Fuel) -> Self {
        Self { fuel, owed: 0 }
    }

    /// Counts a step, to be called before it is taken.
    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Exhausted> {
        self.owed += 1;
        if self.owed < BLOCK { Ok(()) } else { self.settle() }
    }

    /// Pays what is owed.
    pub(super) fn settle(&mut self) -> Result<(), Exhausted> {
        match std::mem::take(&mut self.owed) {
            0 => Ok(()),
            owed => self.fuel.spend(owed),
        }
    }

    /// Whether `text` begins with `prefix`. A step for every pair of bytes looked at.
    pub(super) fn starts_with(&mut self, text: &[u8], prefix: &[u8]) -> Result<bool, Exhausted> {
        if text.len() < prefix.len() {
            return Ok(false);
        }
        for (a, b) in text.iter().zip(prefix) {
            self.step()?;
            if a != b {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
