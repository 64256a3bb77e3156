//! A module that was rewritten does what it did: Node.js, which knows the old form of exceptions, runs the original, and both
//! come to the same.
//!
//! `.ci/tools` fetches Node.js and the modules. Where they are missing the tests say so and pass, unless `MAINSTAY_REQUIRE_ALL`
//! is set.

mod aos;
mod old_form;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file below the folder of fetched packages, if it is there.
fn package(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules").join(path);
    if found.exists() {
        return Some(found);
    }
    let must = std::env::var_os("MAINSTAY_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!must, "MAINSTAY_REQUIRE_ALL is set, but there is no {}; .ci/tools fetches it", found.display());
    println!("SKIPPED: there is no {}; .ci/tools fetches it", found.display());
    None
}

/// The lines that a script prints, which is run with this argument.
fn lines_of(node: &Path, script: &str, argument: &Path) -> Vec<String> {
    let ran = Command::new(node)
        .args(["--experimental-wasm-memory64", "--experimental-wasm-type-reflection", "--input-type=module", "--eval"])
        .args([script, "--"])
        .arg(argument)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}
