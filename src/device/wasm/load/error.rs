//! Why a module is not taken.

use wasmparser::BinaryReaderError;

/// Why a module is not taken. Offsets count its bytes from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is too long.
    #[error("the module has {size} bytes, and may have {most}")]
    #[expect(missing_docs, reason = "the text says it")]
    TooLarge { size: usize, most: usize },
    /// It is no valid module.
    #[error("not a valid WebAssembly module: {message}, at byte {offset}{}", in_function(*function))]
    #[expect(missing_docs, reason = "the text says it")]
    Invalid { message: String, offset: u64, function: Option<u32> },
    /// It wants something that is not there.
    #[error("import {index}, {module}.{name}: {why}")]
    #[expect(missing_docs, reason = "the text says it")]
    Import { index: usize, module: String, name: String, why: &'static str },
    /// It lacks what a process needs.
    #[error(
        "the module has no {what}; an AO module exports `memory`, `malloc(size)` and `handle(message, environment)`"
    )]
    #[expect(missing_docs, reason = "the text says it")]
    Missing { what: &'static str },
    /// Something is there, in a shape that cannot be used.
    #[error("export {name}: {why}")]
    #[expect(missing_docs, reason = "the text says it")]
    Export { name: String, why: String },
    /// It uses something whose effect a snapshot would not hold, or that the device does not serve.
    #[error("{what}, at byte {offset}{}", in_function(*function))]
    #[expect(missing_docs, reason = "the text says it")]
    NotSupported { what: String, offset: u64, function: Option<u32> },
    /// It cannot be put together again.
    #[error("the module cannot be rewritten: {0}")]
    Rewrite(String),
}

fn in_function(function: Option<u32>) -> String {
    function.map(|index| format!(", in function {index}")).unwrap_or_default()
}

impl From<BinaryReaderError> for LoadError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid { message: error.message().to_owned(), offset: error.offset() as u64, function: None }
    }
}

impl LoadError {
    /// The same error, with the function that it was met in.
    pub(super) fn within(self, index: u32) -> Self {
        match self {
            Self::Invalid { message, offset, function: None } => {
                Self::Invalid { message, offset, function: Some(index) }
            }
            Self::NotSupported { what, offset, function: None } => {
                Self::NotSupported { what, offset, function: Some(index) }
            }
            other => other,
        }
    }
}
