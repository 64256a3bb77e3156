//! What the host's processes use, read from `/proc`: the daemon itself, and groups of others by name.
//!
//! [`OwnReader`] tells of the daemon, [`HostGroups`] of every group that a
//! [`HostGroup`](crate::config::HostGroup) describes. Both block: a process that
//! hangs in the kernel can keep whoever reads its command line waiting, so they belong to a thread of their own.

mod boot;
mod error;
mod figures;
mod folder;
mod groups;
mod image;
mod own;
mod rule;

pub use error::UsageError;
pub use figures::{GroupUsage, States, Unread, Usage};
pub use groups::{HostGroups, Limits};
pub use own::{Own, OwnReader};

#[cfg(test)]
mod tests;
