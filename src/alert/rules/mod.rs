//! Rule files as Prometheus has them, in a subset whose rules are [`Rule`](super::Rule)s. What is outside of it is refused by
//! name.

mod duration;
mod expression;
mod file;
mod lexer;
mod problem;
#[cfg(test)]
mod tests;
mod yaml;

pub use file::{MOST_RULES, parse};
pub use problem::{At, RuleProblem};
