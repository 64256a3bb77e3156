//! From the bytes of a file to a state.

use std::io::Read as _;

use super::encode::bytes_of;
use super::format::{FormatError, Front, WINDOW_LOG};
use crate::ids::BlobHash;

/// The state that `file` holds. `base` is the state of the file that it stands on; a full one makes nothing of it.
///
/// Whatever the bytes are, it ends in a state of at most `limit` bytes or an error, without more memory than that, the length of
/// `file`, and a few MiB. A state is what was written if `base` is the right one; [`decode`] cannot know that.
pub fn decode(file: &[u8], base: Vec<u8>, limit: u64) -> Result<Vec<u8>, FormatError> {
    let (front, _, payload) = Front::parse(file)?;
    unpack(&front, payload, base, limit)
}

/// The state that a file with this front and payload holds; see [`decode`].
pub(super) fn unpack(front: &Front, payload: &[u8], base: Vec<u8>, limit: u64) -> Result<Vec<u8>, FormatError> {
    if front.length > limit {
        return Err(FormatError::Long { length: front.length, limit });
    }
    if (payload.len() as u64) < front.payload {
        return Err(FormatError::Short);
    }
    if payload.len() as u64 != front.payload || BlobHash::of(payload) != front.payload_hash {
        return Err(FormatError::Payload);
    }
    let mut state = if front.base.is_some() { base } else { Vec::new() };
    resize(&mut state, front.length)?;
    fill(front, payload, &mut state)?;
    Ok(state)
}

/// Makes `state` `length` bytes long; new ones are zeros.
fn resize(state: &mut Vec<u8>, length: u64) -> Result<(), FormatError> {
    let no_memory = FormatError::Memory(length);
    let length = usize::try_from(length).map_err(|_| no_memory.clone())?;
    state.try_reserve_exact(length.saturating_sub(state.len())).map_err(|_| no_memory)?;
    state.resize(length, 0);
    Ok(())
}

fn fill(front: &Front, payload: &[u8], state: &mut [u8]) -> Result<(), FormatError> {
    let failed = |error: std::io::Error| FormatError::Packing(error.to_string());
    let mut decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(failed)?.single_frame();
    decoder.window_log_max(WINDOW_LOG).map_err(failed)?;
    let length = state.len();
    for run in &front.runs {
        let outside = FormatError::Nonsense("it has pages beyond the end of its state");
        let place = state.get_mut(bytes_of(run, length)).ok_or(outside)?;
        if run.is_zeros {
            place.fill(0);
        } else {
            decoder.read_exact(place).map_err(failed)?;
        }
    }
    let is_over = decoder.read(&mut [0]).map_err(failed)? == 0;
    if is_over && decoder.finish().is_empty() {
        Ok(())
    } else {
        Err(FormatError::Nonsense("it has more pages than it says"))
    }
}
