//! Where a process is computed that is not computed here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::kind;
use super::process::Source;
use super::push::address;
use super::reader::Table;

/// What computes a process elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteKind {
    /// A node like this one, whose process of the same id gets the messages.
    #[default]
    Mainstay,
    /// A compute unit of AO, which is asked for the results of messages that its scheduler knows.
    Ao,
}

impl RemoteKind {
    /// The kind's name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainstay => "mainstay",
            Self::Ao => "ao",
        }
    }
}

/// Where a process is computed. As JSON it is the source of its definition, so that another place is another definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// The address of the node or the compute unit, behind which paths are put.
    pub url: String,
    /// Which of them it is.
    pub kind: RemoteKind,
}

impl Remote {
    /// Reads the keys of a process that are about where it is computed. The path of the source is the address.
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Source> {
        let url = table.required("url", address());
        let kinds = kind::one_of(&[RemoteKind::Mainstay, RemoteKind::Ao], RemoteKind::as_str);
        let kind = table.or("kind", RemoteKind::default(), kinds);
        let remote = Self { url: url?, kind };
        let text = serde_json::to_vec(&remote).ok()?;
        Some(Source { path: PathBuf::from(remote.url), text: text.into() })
    }
}
