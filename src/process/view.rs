//! A process's state as a client reads it.

use std::sync::Arc;

/// A state made readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateView {
    /// JSON text.
    Json(Arc<str>),
    /// Raw memory.
    Bytes(Arc<[u8]>),
}

impl StateView {
    /// The text, if that is what it is.
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Json(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }
}
