//! An outcome as compute units send it.

use super::parts::{Fault, Part};
use crate::process::{Json, SentMessage, Tag};

/// The most messages, spawns or assignments that an outcome may hold, and the most tags of a message.
const MOST: usize = 100_000;

/// What a compute unit says came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOutcome {
    /// What the handler returned; `null` where there is nothing.
    pub output: Json,
    /// Messages to push, in order.
    pub messages: Vec<SentMessage>,
    /// How many processes it asks for.
    pub spawns: usize,
    /// How many assignments it asks for.
    pub assignments: usize,
    /// What went wrong: a text as it is, anything else as its JSON. An empty text is no error.
    pub error: Option<String>,
    /// The gas that the unit says it took.
    pub gas_used: Option<u64>,
}

impl RemoteOutcome {
    /// Reads an outcome. `Messages` may be missing only where `Error` says why; `Spawns`, `Assignments`, `Output` and `GasUsed`
    /// may be missing or null.
    pub(super) fn read(part: &Part<'_>) -> Result<Self, Fault> {
        let names = ["Output", "Messages", "Spawns", "Assignments", "Error", "GasUsed"];
        let [output, messages, spawns, assignments, error, gas_used] =
            part.fields(names)?.map(|field| field.filter(|field| !field.is_null()));
        let error = error.map(|error| error.text().unwrap_or_else(|_| error.json().to_owned()));
        let error = error.filter(|error| !error.is_empty());
        let messages = match messages {
            Some(messages) => messages.items(MOST)?.iter().map(message).collect::<Result<_, _>>()?,
            None if error.is_some() => Vec::new(),
            None => return Err(part.fault("Messages is missing, and no Error says why")),
        };
        let count = |list: Option<Part<'_>>| list.map_or(Ok(0), |list| list.items(MOST).map(|items| items.len()));
        let output = output.map_or_else(
            || Ok(Json::null()),
            |output| Json::parse(output.json().to_owned()).map_err(|error| output.fault(error.to_string())),
        )?;
        let gas_used = gas_used.map(|gas| gas.count()).transpose()?;
        Ok(Self { output, messages, spawns: count(spawns)?, assignments: count(assignments)?, error, gas_used })
    }
}

/// A message. `Tags`, `Data` and `Anchor` may be missing or null, which is no tags and the empty text. Where a number or a truth
/// value stands for a text, it becomes the text that it is written as.
fn message(part: &Part<'_>) -> Result<SentMessage, Fault> {
    let [target, tags, data, anchor] = part.fields(["Target", "Tags", "Data", "Anchor"])?;
    let target = target.ok_or_else(|| part.fault("Target is missing"))?.text()?;
    let loose = |field: Option<Part<'_>>| field.map_or(Ok(None), |field| field.loose_text());
    Ok(SentMessage {
        target,
        tags: tags.filter(|tags| !tags.is_null()).map_or_else(|| Ok(Vec::new()), |tags| read_tags(&tags))?,
        data: loose(data)?.unwrap_or_default(),
        anchor: loose(anchor)?.unwrap_or_default(),
    })
}

/// Tags as a list of `{"name", "value"}` or as an object.
fn read_tags(part: &Part<'_>) -> Result<Vec<Tag>, Fault> {
    match part.json().as_bytes().first() {
        Some(b'[') => part.items(MOST)?.iter().map(listed_tag).collect(),
        Some(b'{') => part.entries(MOST)?.into_iter().map(|(name, value)| tag(part, name, &value)).collect(),
        _ => Err(part.unexpected("a list or an object of tags")),
    }
}

fn listed_tag(part: &Part<'_>) -> Result<Tag, Fault> {
    let [name, value] = part.fields(["name", "value"])?;
    let name = name.ok_or_else(|| part.fault("name is missing"))?.text()?;
    let value = value.ok_or_else(|| part.fault("value is missing"))?;
    tag(part, name, &value)
}

fn tag(part: &Part<'_>, name: String, value: &Part<'_>) -> Result<Tag, Fault> {
    if name.is_empty() {
        return Err(part.fault("a tag has an empty name"));
    }
    let text = value.loose_text()?;
    Ok(Tag { name, value: text.ok_or_else(|| value.unexpected("a text or a number"))? })
}
