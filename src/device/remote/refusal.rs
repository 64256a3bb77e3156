//! What it means when somebody else has no outcome to give.

use crate::client::ClientError;
use crate::config::limits::LimitKey;
use crate::device::answered::Failure;

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There never will be one: this is the slot's.
    Failed(Failure),
    /// They have no such thing.
    NotSupported,
    /// It is nobody's fault but the machine's, or the operator's: to be tried again.
    Fault(String),
}

impl Refusal {
    /// The slot's error is this.
    pub(super) fn error(text: String) -> Self {
        Self::Failed(Failure::Error(text, 0))
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::TooLarge { .. } => Self::Failed(Failure::Limit(LimitKey::OutputSize)),
            ClientError::Status { code: 508, .. } => Self::error(format!("infinite_recursion: {text}")),
            ClientError::Status { code: 501, .. } => Self::NotSupported,
            // What is wrong with it stays wrong, whoever sends it and whenever.
            ClientError::Status { code: 400 | 413 | 414 | 422 | 431, .. } => Self::error(format!("refused: {text}")),
            _ => Self::Fault(text),
        }
    }
}
