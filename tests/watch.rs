//! The watch on the real machine: children of this program, and what is told of them.
//!
//! What the machine or the privileges don't allow is skipped with a word on standard error; with `MAINSTAY_REQUIRE_ALL=1` a
//! test that is skipped although the machine could run it fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that meets what it does not expect ends there"
)]

#[path = "watch/children.rs"]
mod children;
#[path = "watch/helper.rs"]
mod helper;
#[path = "watch/lives.rs"]
mod lives;
#[path = "watch/names.rs"]
mod names;
#[path = "watch/privileges.rs"]
mod privileges;
#[path = "watch/resuming.rs"]
mod resuming;
#[path = "watch/stalled.rs"]
mod stalled;
#[path = "watch/watcher.rs"]
mod watcher;
