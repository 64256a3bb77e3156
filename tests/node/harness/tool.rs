//! Other programs that the node is tested with.

use std::path::{Path, PathBuf};

use super::leave_out;

/// The path of a program that `.ci/tools` fetches, or that is on `PATH`. `None`, loudly, where there is none.
pub fn tool(name: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(fetched).chain(std::env::split_paths(&path)).map(|folder| folder.join(name));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        leave_out(&format!("there is no {name}; .ci/tools fetches it"));
    }
    found
}
