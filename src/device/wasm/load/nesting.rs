//! How deep blocks may nest.
//!
//! Compilers take a time that grows with the square of it, and more where it is loops: some thousand loops in loops, a few KiB of
//! code, keep one busy for minutes, and nobody can interrupt it. What compilers of other languages make stays far below: `switch`es nest
//! some hundred blocks, loops nest a dozen.

use wasmparser::Operator;

const BLOCKS_MOST: usize = 1000;
const LOOPS_MOST: usize = 100;

/// The blocks around a place in a function.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// Whether each is a loop.
    blocks: Vec<bool>,
    loops: usize,
}

impl Nesting {
    /// Goes on behind `operator`. An error says what is too deep.
    pub(super) fn pass(&mut self, operator: &Operator<'_>) -> Result<(), String> {
        match operator {
            Operator::Block { .. } | Operator::If { .. } | Operator::Try { .. } | Operator::TryTable { .. } => {
                self.blocks.push(false);
            }
            Operator::Loop { .. } => {
                self.blocks.push(true);
                self.loops += 1;
            }
            Operator::End | Operator::Delegate { .. } => {
                // The last end is the function's.
                self.loops -= usize::from(self.blocks.pop() == Some(true));
            }
            _ => {}
        }
        if self.blocks.len() > BLOCKS_MOST {
            return Err(format!("blocks nest more than {BLOCKS_MOST} deep"));
        }
        if self.loops > LOOPS_MOST {
            return Err(format!("loops nest more than {LOOPS_MOST} deep"));
        }
        Ok(())
    }
}
