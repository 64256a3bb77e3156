//! Which program a process runs, as far as the line of its figures tells.

use crate::host::line::Line;

/// What changes when a process starts another program.
///
/// The name tells most of it. A program of the same name is told from the one before by the flag that a fork loses with its
/// first program, and by the addresses of code, stack and arguments, which the kernel draws anew for each program. Those
/// addresses are shown to root and to the process's own user; for others a second program of the same name stays unnoticed.
#[derive(Debug)]
pub(super) struct Image {
    name: Box<[u8]>,
    is_fork: bool,
    places: [u64; 4],
}

impl Image {
    pub(super) fn of(line: &Line<'_>) -> Self {
        Self { name: line.name.into(), is_fork: line.is_fork, places: line.places }
    }

    /// Whether the line still shows this program.
    pub(super) fn is_in(&self, line: &Line<'_>) -> bool {
        // Who is ending has given up its memory and the addresses with it, and starts no program any more.
        let is_ending = line.virtual_bytes == 0;
        *self.name == *line.name && (is_ending || (self.is_fork, self.places) == (line.is_fork, line.places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_noticed_and_an_end_is_none() {
        let shell = Line { name: b"sh", is_fork: true, virtual_bytes: 4096, places: [1, 2, 3, 4], ..Line::default() };
        let image = Image::of(&shell);
        for (line, is_same) in [
            (shell, true),
            (Line { state: b'R', user: 7, resident_pages: 3, ..shell }, true),
            (Line { name: b"ls", ..shell }, false),
            (Line { name: b"sh ", ..shell }, false),
            (Line { is_fork: false, ..shell }, false),
            (Line { places: [1, 2, 3, 5], ..shell }, false),
            (Line { places: [0; 4], ..shell }, false),
            (Line { places: [0; 4], virtual_bytes: 0, state: b'Z', ..shell }, true),
            (Line { name: b"ls", virtual_bytes: 0, ..shell }, false),
        ] {
            assert_eq!(image.is_in(&line), is_same, "{line:?}");
        }
    }
}
