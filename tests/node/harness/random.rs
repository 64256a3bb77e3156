//! Random choices that can be repeated.

use std::time::Duration;

/// The seed of this run: that of `MAINSTAY_SEED`, else a new one. It is printed with the test that draws from it.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("MAINSTAY_SEED") {
        Ok(text) => text.parse().expect("MAINSTAY_SEED is a whole number"),
        Err(_) => getrandom::u64().expect("the system has random numbers"),
    };
    eprintln!("{test}: MAINSTAY_SEED={seed}");
    seed
}

/// A stream of numbers that its seed decides (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, for a task beside others.
    pub fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time from `least` up to `most` milliseconds.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }

    /// A message's id: 43 characters of base64url.
    pub fn message_id(&mut self) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..43).map(|_| char::from(ALPHABET[self.below(64) as usize])).collect()
    }
}
