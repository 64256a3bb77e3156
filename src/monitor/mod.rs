//! What a monitor decides: when to pull, how far, and when to try again.

mod rounds;

pub use rounds::{Page, Rest, Rounds, RoundsOptions, Tick};

#[cfg(test)]
mod tests;
