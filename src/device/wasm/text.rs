//! What a module is told, as JSON in AO's shape.

use serde::Serialize;

use crate::ids::{BlobHash, ProcessId};
use crate::process::{Entry, Origin, Tag};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MessageText<'a> {
    id: &'a str,
    owner: &'a str,
    from: &'a str,
    target: &'a str,
    anchor: &'a str,
    tags: &'a [Tag],
    data: &'a str,
    module: &'a str,
    #[serde(rename = "Block-Height")]
    block_height: u64,
    timestamp: u64,
    nonce: u64,
    epoch: u64,
    cron: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnvironmentText<'a> {
    process: ProcessText<'a>,
    module: ModuleText<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessText<'a> {
    id: &'a str,
    owner: &'a str,
    tags: &'a [Tag],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ModuleText<'a> {
    id: &'a str,
    tags: &'a [Tag],
}

/// The message of an entry. There are no blocks here, so their height is always 0; `Nonce` is the slot.
pub(super) fn message(entry: &Entry, module: &BlobHash) -> Result<String, serde_json::Error> {
    let message = &entry.message;
    text(entry, message.id.as_str(), &message.tags, &message.data, module)
}

/// The process itself as its first message, by which a module learns who owns it.
pub(super) fn process(
    entry: &Entry,
    process: &ProcessId,
    tags: &[Tag],
    module: &BlobHash,
) -> Result<String, serde_json::Error> {
    text(entry, process.as_str(), tags, "", module)
}

fn text(entry: &Entry, id: &str, tags: &[Tag], data: &str, module: &BlobHash) -> Result<String, serde_json::Error> {
    let message = &entry.message;
    serde_json::to_string(&MessageText {
        id,
        owner: &message.owner,
        from: &message.from,
        target: &message.target,
        anchor: &message.anchor,
        tags,
        data,
        module: &module.to_string(),
        block_height: 0,
        timestamp: message.timestamp,
        nonce: entry.slot.0,
        epoch: 0,
        cron: entry.origin == Origin::Cron,
    })
}

/// The tags of a process as AO spells them: its own, and what it is where they do not say it.
pub(super) fn process_tags(own: &[Tag], module: &BlobHash) -> Vec<Tag> {
    let mut tags = own.to_vec();
    for (name, value) in [("Type", "Process"), ("Module", &module.to_string())] {
        if !own.iter().any(|tag| tag.name == name) {
            tags.push(Tag::new(name, value));
        }
    }
    tags
}

/// What a process is.
pub(super) fn environment(
    process: &ProcessId,
    owner: &str,
    tags: &[Tag],
    module: &BlobHash,
) -> Result<String, serde_json::Error> {
    serde_json::to_string(&EnvironmentText {
        process: ProcessText { id: process.as_str(), owner, tags },
        module: ModuleText { id: &module.to_string(), tags: &[] },
    })
}
