//! Why a pattern function has no answer.

use super::fuel::Exhausted;

/// Why a pattern function has no answer. The texts of a bad pattern are Lua's, for scripts may look at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum PatternError {
    /// A limit, not an error that a script may catch.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// A limit too: what a substitution makes would outgrow the room that it was given.
    #[error("the substituted string would be longer than the {room} bytes that it has room for")]
    NoRoom { room: usize },
    #[error("malformed pattern (ends with '%')")]
    EndsWithEscape,
    #[error("malformed pattern (missing ']')")]
    OpenSet,
    #[error("malformed pattern (missing arguments to '%b')")]
    BalanceArguments,
    #[error("missing '[' after '%f' in pattern")]
    FrontierSet,
    #[error("unfinished capture")]
    UnfinishedCapture,
    #[error("invalid pattern capture")]
    UnopenedCapture,
    /// The number is the one that the pattern or the replacement names.
    #[error("invalid capture index %{0}")]
    CaptureIndex(usize),
    #[error("invalid use of '%' in replacement string")]
    ReplacementEscape,
    #[error("too many captures")]
    TooManyCaptures,
    #[error("pattern too complex")]
    TooComplex,
}

impl PatternError {
    /// Whether a limit ended the call rather than a fault of the pattern or the replacement.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Exhausted(_) | Self::NoRoom { .. })
    }
}
