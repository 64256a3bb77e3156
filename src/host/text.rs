//! Names as the kernel keeps them: bytes that need not be text.

use std::fmt;
use std::sync::Arc;

/// Bytes from the kernel as text. What is not UTF-8 is replaced, and marked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    text: Arc<str>,
    lossy: bool,
}

impl Text {
    /// Takes `bytes`; each sequence that is not UTF-8 becomes U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: text.into(), lossy: false },
            Err(_) => Self { text: String::from_utf8_lossy(bytes).into(), lossy: true },
        }
    }

    /// The bytes before the first zero, as C keeps texts in an array.
    pub fn from_c(bytes: &[u8]) -> Self {
        Self::from_bytes(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether something of the original was replaced.
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.into(), lossy: false }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
