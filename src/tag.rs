//! Names with texts, which describe processes and messages.

use serde::{Deserialize, Serialize};

/// A name and a text, as AO spells it: `{"name": …, "value": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The tag's name; not empty.
    pub name: String,
    /// The tag's text.
    pub value: String,
}

impl Tag {
    /// A tag of these two texts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// The bytes of `tags`, as limits count them.
pub fn tags_size(tags: &[Tag]) -> u64 {
    tags.iter().map(|tag| (tag.name.len() + tag.value.len()) as u64).sum()
}
