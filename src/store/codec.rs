//! How values are written: a version byte, then JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of values that this program writes.
const VERSION: u8 = 1;

/// Why bytes are not the value they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    /// Nothing at all.
    #[error("the value is empty")]
    Empty,
    /// Another version.
    #[error("the value has version {0}, this program reads {VERSION}")]
    Version(u8),
    /// Not the JSON that was expected.
    #[error("{0}")]
    Json(String),
}

/// The bytes of `value`. Fails only where a value has no JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(VERSION);
    serde_json::to_writer(&mut bytes, value).map_err(|error| CodecError::Json(error.to_string()))?;
    Ok(bytes)
}

/// The value of `bytes`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bytes {
        [] => Err(CodecError::Empty),
        [VERSION, json @ ..] => serde_json::from_slice(json).map_err(|error| CodecError::Json(error.to_string())),
        [version, ..] => Err(CodecError::Version(*version)),
    }
}

/// A value that only says that its key is there.
pub(super) fn present() -> Vec<u8> {
    vec![VERSION]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Slot;
    use crate::process::{Cause, Computed, Outcome};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn damaged_values_are_errors_never_panics(at in 0..60usize, bit in 0..8u8, cut in 0..60usize) {
            let value = Computed { slot: Slot(3), definition: Slot(0), cause: Cause::Success, outcome: Outcome::empty() };
            let whole = encode(&value).unwrap();
            prop_assert_eq!(decode::<Computed>(&whole), Ok(value));
            prop_assert!(decode::<Computed>(&whole[..cut]).is_err());
            let mut flipped = whole;
            flipped[at] ^= 1 << bit;
            // Some flips yield another value that is well-formed; none may do worse.
            let _ = decode::<Computed>(&flipped);
        }
    }

    #[test]
    fn another_version_is_told_apart() {
        assert_eq!(decode::<u8>(&[]), Err(CodecError::Empty));
        assert_eq!(decode::<u8>(&[9, b'1']), Err(CodecError::Version(9)));
    }
}
