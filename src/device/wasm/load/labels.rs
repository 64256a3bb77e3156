//! The nesting of a function's blocks, before and after it is rewritten.

/// Where a block stands among the labels of the rewritten function. Positions count from the outermost label, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The position of the label that branches to this block lead to.
    pub(super) label: u32,
    /// How many labels enclose what follows the block.
    pub(super) outside: u32,
    /// What the block is.
    pub(super) kind: FrameKind,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// The function, or a block that has nothing to do with the old form.
    Plain,
    /// A `try`, by its number within the function.
    Try {
        /// Its number.
        number: usize,
        /// The clause that one is in: 0 is its body.
        clause: usize,
    },
}

/// The blocks that enclose a place, the function first, and how many labels that makes in the rewritten function.
#[derive(Debug)]
pub(super) struct Labels {
    frames: Vec<Frame>,
    /// For each of them, who gets what is thrown within it: the innermost `try`, at it or around it, whose body one is in.
    catchers: Vec<Option<usize>>,
    /// Labels that enclose the place.
    pub(super) depth: u32,
}

impl Labels {
    /// The beginning of a function.
    pub(super) fn new() -> Self {
        Self { frames: vec![Frame { label: 0, outside: 0, kind: FrameKind::Plain }], catchers: vec![None], depth: 1 }
    }

    /// Enters a block whose only label is its own.
    pub(super) fn enter(&mut self) {
        self.push(Frame { label: self.depth, outside: self.depth, kind: FrameKind::Plain });
        self.depth += 1;
    }

    /// Enters a block of any shape; the caller counts its labels.
    pub(super) fn push(&mut self, frame: Frame) {
        let catcher = match frame.kind {
            FrameKind::Try { number, clause: 0 } => Some(number),
            _ => self.catchers.last().copied().flatten(),
        };
        self.catchers.push(catcher);
        self.frames.push(frame);
    }

    /// Leaves the innermost block, all of whose labels end.
    pub(super) fn leave(&mut self) -> Option<Frame> {
        let frame = self.frames.pop()?;
        self.catchers.pop();
        self.depth = frame.outside;
        Some(frame)
    }

    /// The innermost block.
    pub(super) fn innermost(&self) -> Option<Frame> {
        self.frames.last().copied()
    }

    /// Enters the next clause of the innermost block, which must be a `try`: the frame as it is then.
    pub(super) fn next_clause(&mut self) -> Option<Frame> {
        let [.., around, own] = &mut self.catchers[..] else { return None };
        let frame = self.frames.last_mut()?;
        let FrameKind::Try { clause, .. } = &mut frame.kind else { return None };
        *clause += 1;
        *own = *around;
        Some(*frame)
    }

    /// The block that an old label of this relative depth names.
    pub(super) fn named(&self, relative: u32) -> Option<&Frame> {
        let index = self.frames.len().checked_sub(relative as usize + 1)?;
        self.frames.get(index)
    }

    /// Who gets what is thrown at the block named so. None: the caller of the function.
    pub(super) fn catcher(&self, relative: u32) -> Option<usize> {
        let index = self.catchers.len().checked_sub(relative as usize + 1)?;
        self.catchers.get(index).copied().flatten()
    }

    /// The relative depth, at present, of the label at this position.
    pub(super) fn relative(&self, position: u32) -> u32 {
        self.depth.saturating_sub(position + 1)
    }

    /// What an old relative depth is in the rewritten function.
    pub(super) fn renamed(&self, relative: u32) -> Option<u32> {
        self.named(relative).map(|frame| self.relative(frame.label))
    }
}
