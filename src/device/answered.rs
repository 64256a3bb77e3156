//! What those outside answer who compute, programs and other nodes, as an outcome.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::limits::{LimitKey, Limits};
use crate::device::sending::{Outbox, Refused};
use crate::process::{Assignment, Json, Outcome, SentMessage, Spawn, Tag};

/// A computed answer.
#[derive(Debug)]
pub struct Computed {
    /// The outcome, which has no error.
    pub outcome: Outcome,
    /// The state afterwards, where it was given along.
    pub state: Option<Box<RawValue>>,
}

/// Why an answer is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its own words, or what is wrong with its answer.
    Error(String, u64),
    /// It exceeds this limit.
    Limit(LimitKey),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Reply<'a> {
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    messages: Option<Vec<Message>>,
    spawns: Option<Vec<SpawnText>>,
    assignments: Option<Vec<Assignment>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    gas_used: u64,
    #[serde(borrow, deserialize_with = "present")]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Message {
    target: String,
    tags: Tags,
    data: String,
    anchor: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct SpawnText {
    device: String,
    source: Option<String>,
    module: Option<String>,
    tags: Tags,
    data: String,
    anchor: String,
}

/// Tags as a list or as an object.
#[derive(Default)]
struct Tags(Vec<Tag>);

/// `null` is a state, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Reads an answer under `limits`.
pub fn read(result: &RawValue, limits: &Limits) -> Result<Computed, Failure> {
    let wrong = |error: serde_json::Error| Failure::Error(format!("the answer is no outcome: {error}"), 0);
    if result.get().starts_with('[') {
        return Err(Failure::Error("the answer is no outcome: it is a list".to_owned(), 0));
    }
    let reply: Option<Reply<'_>> = serde_json::from_str(result.get()).map_err(wrong)?;
    let reply = reply.unwrap_or_default();
    let gas = reply.gas_used;
    if gas > limits.gas {
        return Err(Failure::Limit(LimitKey::Gas));
    }
    if let Some(error) = reply.error.filter(|error| error.get() != "null") {
        let text = serde_json::from_str::<String>(error.get()).unwrap_or_else(|_| error.get().to_owned());
        return Err(Failure::Error(words(text, limits), gas));
    }
    let output = reply.output.map_or("null", RawValue::get);
    if output.len() as u64 > limits.output_size {
        return Err(Failure::Limit(LimitKey::OutputSize));
    }
    let output = Json::parse(output.to_owned()).map_err(wrong)?;
    let refused = |refused| match refused {
        Refused::Limit(key) => Failure::Limit(key),
        Refused::Bad(why) => Failure::Error(format!("the outcome sends what cannot be sent: {why}"), gas),
    };
    let mut outbox = Outbox::new(limits);
    for Message { target, tags, data, anchor } in reply.messages.unwrap_or_default() {
        outbox.send(SentMessage { target, tags: tags.0, data, anchor }).map_err(refused)?;
    }
    for SpawnText { device, source, module, tags, data, anchor } in reply.spawns.unwrap_or_default() {
        outbox.spawn(Spawn { device, source, module, tags: tags.0, data, anchor }).map_err(refused)?;
    }
    for assignment in reply.assignments.unwrap_or_default() {
        outbox.assign(assignment).map_err(refused)?;
    }
    let Outbox { messages, spawns, assignments, .. } = outbox;
    let outcome = Outcome { output, messages, spawns, assignments, error: None, gas_used: gas };
    Ok(Computed { outcome, state: reply.state.map(ToOwned::to_owned) })
}

/// What an error says, in as many bytes as an output may have.
pub(in crate::device) fn words(mut text: String, limits: &Limits) -> String {
    let most = usize::try_from(limits.output_size).unwrap_or(usize::MAX);
    text.truncate(text.floor_char_boundary(most));
    if text.is_empty() { "it failed and said no more than that".to_owned() } else { text }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags: an object of texts, or a list of {\"name\", \"value\"}")
    }

    fn visit_unit<E>(self) -> Result<Tags, E> {
        Ok(Tags::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
        let mut tags = Vec::new();
        while let Some(tag) = list.next_element()? {
            tags.push(tag);
        }
        Ok(Tags(tags))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tags, A::Error> {
        let mut tags = Vec::new();
        while let Some((name, value)) = object.next_entry::<String, String>()? {
            tags.push(Tag { name, value });
        }
        Ok(Tags(tags))
    }
}
