//! The first moments of a program: its host process waits until the guardian knows it, limits itself, and becomes the
//! program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The byte on standard input that lets it go on.
pub(super) const GO: u8 = b'\n';

/// Files that a program may open unless it asks for more.
const FILES: u64 = 1024;

/// Becomes `program` once the node says so on standard input; returns if that can't be. `data` is the most memory that
/// it may write to, in bytes, beyond which the system refuses.
pub fn run(data: u64, program: &[OsString]) -> io::Error {
    match wait() {
        Ok(true) => {}
        // The node is gone.
        Ok(false) => return io::ErrorKind::UnexpectedEof.into(),
        Err(error) => return error,
    }
    let Some((program, arguments)) = program.split_first() else { return io::ErrorKind::InvalidInput.into() };
    if let Err(error) = limit(data) {
        return error;
    }
    Command::new(program).args(arguments).exec()
}

/// Reads the one byte and nothing behind it, which is for the program.
fn wait() -> io::Result<bool> {
    let mut byte = [0];
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(io::stdin(), &mut byte))? == 1 && byte[0] == GO)
}

fn limit(data: u64) -> io::Result<()> {
    lower(Resource::Data, data)?;
    lower(Resource::Core, 0)?;
    let files = getrlimit(Resource::Nofile);
    let current = Some(files.current.map_or(FILES, |current| current.min(FILES)));
    Ok(setrlimit(Resource::Nofile, Rlimit { current, ..files })?)
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })?)
}
