//! Bytes in, lines out, and never more bytes held than a line may have.

use std::collections::VecDeque;

/// A line that is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {0} bytes")]
pub struct TooLong(pub usize);

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: VecDeque<u8>,
    /// So many of them are known to hold no end of a line.
    searched: usize,
}

impl Lines {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next line, without its end; `None`: there is none yet. A line of more than `most` bytes is an error even
    /// before it ends. Empty lines are passed over.
    pub fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let end = self.bytes.range(self.searched..).position(|byte| *byte == b'\n').map(|at| at + self.searched);
            let Some(end) = end else {
                self.searched = self.bytes.len();
                return if self.searched > most { Err(TooLong(most)) } else { Ok(None) };
            };
            if end > most {
                return Err(TooLong(most));
            }
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            self.searched = 0;
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
    }

    /// What came after the last line's end.
    pub fn rest(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.bytes).into()
    }
}
