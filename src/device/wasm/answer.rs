//! What a module answers, in AO's shape.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::abi::Failure;
use crate::config::limits::{LimitKey, Limits};
use crate::device::sending::{Outbox, Refused};
use crate::process::{Assignment, Json, SentMessage, Spawn, Tag};

/// What everything that leaves with an answer may take beside its output, in bytes of text.
const ROOM: u64 = 64 << 20;
/// Escapes make a text at most so many times as long.
const ESCAPED: u64 = 6;
/// What a message's text may take beside its tags, data and anchor.
const BESIDE: u64 = 64 << 10;

/// The longest answer that is read, in bytes.
pub(super) fn longest(limits: &Limits) -> u64 {
    limits.output_size.saturating_add(ROOM)
}

/// The answer of a call that went well.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) output: Json,
    pub(super) outbox: Outbox,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    ok: Option<bool>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spawns: Option<&'a RawValue>,
    #[serde(borrow, default)]
    assignments: Option<&'a RawValue>,
}

/// A text, or a number or flag that stands for its text.
#[derive(Default)]
struct Text(String);

#[derive(Default)]
struct TagTexts(Vec<Tag>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Sent {
    target: Text,
    tags: TagTexts,
    data: Text,
    anchor: Text,
    device: Option<Text>,
    source: Option<Text>,
    module: Option<Text>,
}

#[derive(Deserialize)]
struct TagText {
    name: Text,
    #[serde(default)]
    value: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssignmentText {
    processes: Vec<String>,
    message: String,
}

/// Reads an answer.
pub(super) fn read(text: &str, limits: &Limits) -> Result<Answer, Failure> {
    let reply: Reply<'_> = parse(text, "the answer")?;
    let response = reply.response.map_or("null", RawValue::get);
    if reply.ok == Some(false) || response == "null" {
        return Err(Failure::Error(match response {
            "null" => "the answer has no response".to_owned(),
            response => words(response, limits),
        }));
    }
    let response: Response<'_> = parse(response, "the response")?;
    match response.error.map(RawValue::get) {
        None | Some("null" | "\"\"" | "false" | "[]" | "{}") => {}
        Some(error) => return Err(Failure::Error(words(error, limits))),
    }
    let output = response.output.map_or("null", RawValue::get);
    if output.len() as u64 > limits.output_size {
        return Err(Failure::Limit(LimitKey::OutputSize, None));
    }
    let output = Json::parse(output.to_owned()).map_err(|error| Failure::Error(format!("the output: {error}")))?;
    let mut outbox = Outbox::new(limits);
    let most = limits.message_size.saturating_mul(ESCAPED).saturating_add(BESIDE);
    each(response.messages, "a message", most, |sent: Sent| outbox.send(sent.into_message()))?;
    each(response.spawns, "a spawn", most, |sent: Sent| outbox.spawn(sent.into_spawn()))?;
    each(response.assignments, "an assignment", most, |one: AssignmentText| {
        outbox.assign(Assignment { processes: one.processes, message: one.message })
    })?;
    Ok(Answer { output, outbox })
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Error(format!("{what} is not what AO modules answer: {error}")))
}

/// What an error says, in as many bytes as an output may have.
fn words(error: &str, limits: &Limits) -> String {
    let mut text = serde_json::from_str::<String>(error).unwrap_or_else(|_| error.to_owned());
    let most = usize::try_from(limits.output_size).unwrap_or(usize::MAX);
    text.truncate(text.floor_char_boundary(most));
    text
}

/// Hands the elements of a list on, one by one. No list, and an empty object, which some languages cannot tell from an empty
/// list, have none.
fn each<T: for<'a> Deserialize<'a>>(
    list: Option<&RawValue>,
    what: &str,
    most: u64,
    mut take: impl FnMut(T) -> Result<(), Refused>,
) -> Result<(), Failure> {
    let Some(list) = list else { return Ok(()) };
    let mut failure = None;
    let mut take = |element: &RawValue| {
        if element.get().len() as u64 > most {
            failure = Some(Failure::Limit(LimitKey::MessageSize, None));
            return false;
        }
        let taken = parse(element.get(), what).and_then(|element| {
            take(element).map_err(|refused| match refused {
                Refused::Limit(key) => Failure::Limit(key, None),
                Refused::Bad(why) => Failure::Error(format!("{what}: {why}")),
            })
        });
        taken.map_err(|error| failure = Some(error)).is_ok()
    };
    let read = serde_json::Deserializer::from_str(list.get()).deserialize_any(Elements(&mut take));
    match (failure, read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(Failure::Error(format!("the list that {what} stands in is none: {error}"))),
    }
}

struct Elements<'f>(&'f mut dyn FnMut(&RawValue) -> bool);

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            if !(self.0)(element) {
                return Err(A::Error::custom("an element is refused"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        match object.next_entry::<IgnoredAny, IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("found an object, expected a list")),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Text, E> {
        Ok(Text(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
}

impl<'de> Deserialize<'de> for TagTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = TagTexts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags as a list of {\"name\", \"value\"} or as an object")
    }

    fn visit_unit<E>(self) -> Result<TagTexts, E> {
        Ok(TagTexts::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TagTexts, A::Error> {
        let mut tags = Vec::new();
        while let Some(TagText { name, value }) = list.next_element()? {
            tags.push(Tag { name: name.0, value: value.0 });
        }
        Ok(TagTexts(tags))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<TagTexts, A::Error> {
        let mut tags = Vec::new();
        while let Some((name, value)) = object.next_entry::<String, Text>()? {
            tags.push(Tag { name, value: value.0 });
        }
        Ok(TagTexts(tags))
    }
}

impl Sent {
    fn into_message(self) -> SentMessage {
        SentMessage { target: self.target.0, tags: self.tags.0, data: self.data.0, anchor: self.anchor.0 }
    }

    /// AO's spawns name no device, and their module by a tag.
    fn into_spawn(self) -> Spawn {
        let tag = |name: &str| self.tags.0.iter().find(|tag| tag.name == name).map(|tag| tag.value.clone());
        let source = self.source.map(|text| text.0);
        let module = self.module.map(|text| text.0);
        let module = if source.is_some() { module } else { module.or_else(|| tag("Module")) };
        let device = self.device.map_or_else(|| "wasm".to_owned(), |text| text.0);
        Spawn { device, source, module, tags: self.tags.0, data: self.data.0, anchor: self.anchor.0 }
    }
}
