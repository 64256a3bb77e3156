//! What comes in and goes out as JSON.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::ApiError;
use crate::config::limits::LimitOverrides;
use crate::cron::{self, AtForm, CronError, Entry, EntryForm, Missed};
use crate::ids::{GroupName, MessageId, ProcessId, Slot};
use crate::process::worker::Status;
use crate::process::{Draft, Origin, Outcome, Tag};
use crate::units::{parse_duration, parse_size};

/// `Message in` of the contract.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct MessageIn {
    id: Option<String>,
    target: Option<String>,
    anchor: Option<String>,
    tags: Option<Tags>,
    data: Option<String>,
}

impl MessageIn {
    /// Reads a message from a body. An empty body is an empty message.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        read_json(body, "a message")
    }

    /// The message as `caller` wants it scheduled into `process`.
    pub fn into_draft(self, process: &ProcessId, caller: &str, now_ms: u64) -> Result<Draft, ApiError> {
        if let Some(target) = self.target
            && target != process.as_str()
        {
            return Err(ApiError::bad_request(format!("Target is {target:?}, but the path names {process}")));
        }
        let is_new = self.id.is_none();
        let id = match self.id {
            Some(id) => MessageId::parse(&id).map_err(|error| ApiError::bad_request(format!("Id: {error}")))?,
            None => MessageId::random(now_ms),
        };
        Ok(Draft {
            id,
            is_new,
            origin: Origin::Client,
            from: caller.to_owned(),
            owner: caller.to_owned(),
            anchor: self.anchor.unwrap_or_default(),
            tags: self.tags.unwrap_or_default().0,
            data: self.data.unwrap_or_default(),
            mark: None,
            push: None,
            cursor: None,
            closes_circle: false,
        })
    }
}

/// Reads JSON from a body; the error says where it goes wrong.
pub fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        ApiError::bad_request(format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let read = serde_json::from_str(text).map(|Object(value)| value);
    read.map_err(|error| ApiError::bad_request(format!("the body is not {what}: {error}")))
}

/// A `T` that comes as an object. Left to itself a struct would be taken from a list of its fields as well.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Object)
    }
}

/// Tags as a list of `{"name", "value"}` or as an object; values are texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<Tag>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

fn named<E: serde::de::Error>(tag: Tag) -> Result<Tag, E> {
    if tag.name.is_empty() { Err(E::custom("a tag has an empty name")) } else { Ok(tag) }
}

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tags as a list of {\"name\", \"value\"} or as an object, with texts as values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tags, A::Error> {
        let mut tags = Vec::new();
        while let Some(Object(tag)) = list.next_element::<Object<Tag>>()? {
            tags.push(named(tag)?);
        }
        Ok(Tags(tags))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tags, A::Error> {
        let mut tags = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object
                .next_value::<String>()
                .map_err(|error| A::Error::custom(format!("tag {name:?}: its value must be a text: {error}")))?;
            tags.push(named(Tag { name, value })?);
        }
        Ok(Tags(tags))
    }
}

/// The device that the body of `POST /processes` names, whatever else is in it.
#[derive(Debug, Deserialize)]
pub struct DeviceIn {
    /// Its kind.
    pub device: String,
}

/// The body of `POST /processes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessIn {
    /// Its id; made up where it is missing.
    pub id: Option<String>,
    /// The kind of its device.
    pub device: String,
    /// Its code as text.
    pub source: Option<String>,
    /// The id of a stored module.
    pub module: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Option<Tags>,
    /// Its own limits.
    #[serde(default)]
    pub limits: Option<Object<LimitsIn>>,
    /// What the clock sends it.
    #[serde(default)]
    pub cron: Option<Vec<Object<CronIn>>>,
}

impl ProcessIn {
    /// The cron entries of the list and those that its tags spell.
    pub fn cron_entries(&mut self) -> Result<Vec<Entry>, ApiError> {
        let forms = self.cron.take().unwrap_or_default().into_iter().enumerate();
        let entry = |(index, Object(form)): (usize, Object<CronIn>)| {
            form.read().map_err(|error| ApiError::bad_request(format!("cron[{index}]: {error}")))
        };
        let entries = forms.map(entry).collect::<Result<_, _>>()?;
        let tags = self.tags.as_ref().map(|tags| tags.0.as_slice()).unwrap_or_default();
        cron::of_process(entries, tags).map_err(|error| ApiError::bad_request(format!("cron: {error}")))
    }
}

/// A cron entry: an [`EntryForm`] whose tags may be an object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CronIn {
    every: Option<String>,
    cron: Option<String>,
    timezone: Option<String>,
    at: Option<AtForm>,
    tags: Option<Tags>,
    data: Option<String>,
    missed: Option<Missed>,
}

impl CronIn {
    fn read(self) -> Result<Entry, CronError> {
        let Self { every, cron, timezone, at, tags, data, missed } = self;
        let (tags, data) = (tags.unwrap_or_default().0, data.unwrap_or_default());
        EntryForm { every, cron, timezone, at, tags, data, missed: missed.unwrap_or_default() }.try_into()
    }
}

/// A base that is to be held.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BaseIn {
    /// The slot after which it is the state; the latest where it is missing.
    pub slot: Option<Slot>,
    /// Whether it stays as it is; else the result of each request becomes the base.
    #[serde(rename = "static")]
    pub is_static: Option<bool>,
    timeout: Option<String>,
}

impl BaseIn {
    /// How long the base is held without work.
    pub fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let read = |text: &String| match parse_duration(text) {
            Ok(timeout) if timeout.is_zero() => Err(ApiError::bad_request("timeout: it must be longer than nothing")),
            Ok(timeout) => Ok(timeout),
            Err(error) => Err(ApiError::bad_request(format!("timeout: {error}"))),
        };
        self.timeout.as_ref().map(read).transpose()
    }
}

/// What came of a message that was resolved on a base.
#[derive(Debug, Serialize)]
pub struct ResolvedOut<'a> {
    /// The base's name afterwards.
    pub group: &'a GroupName,
    /// The outcome.
    pub outcome: &'a Outcome,
}

/// What a group monitor is on for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupIn {
    /// The name of the group; all where it is missing.
    pub group: Option<String>,
}

/// Limits as the configuration writes them: sizes and durations as texts, or plain numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsIn {
    pub compute_time: Option<String>,
    pub gas: Option<u64>,
    pub memory: Option<Size>,
    pub state_size: Option<Size>,
    pub output_size: Option<Size>,
    pub messages_per_outcome: Option<u64>,
    pub message_size: Option<Size>,
    pub queue: Option<u64>,
    pub outbox: Option<u64>,
}

/// A size: a number of bytes or a text such as `"64MiB"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Size {
    Bytes(u64),
    Text(String),
}

impl LimitsIn {
    /// The limits that are set. None may be 0.
    pub fn read(self) -> Result<LimitOverrides, ApiError> {
        let bad = |key: &str, why: String| ApiError::bad_request(format!("limits.{key}: {why}"));
        let positive = |key: &str, value: Option<u64>| match value {
            Some(0) => Err(bad(key, "found 0, expected at least 1".to_owned())),
            value => Ok(value),
        };
        let size = |key: &str, value: Option<Size>| {
            let bytes = match value {
                None => None,
                Some(Size::Bytes(bytes)) => Some(bytes),
                Some(Size::Text(text)) => Some(parse_size(&text).map_err(|error| bad(key, error.to_string()))?),
            };
            positive(key, bytes)
        };
        let compute_time = self.compute_time.map(|text| parse_duration(&text)).transpose();
        let compute_time = compute_time.map_err(|error| bad("compute_time", error.to_string()))?;
        if compute_time.is_some_and(|time| time.is_zero()) {
            return Err(bad("compute_time", "found 0s, expected more".to_owned()));
        }
        Ok(LimitOverrides {
            compute_time,
            gas: positive("gas", self.gas)?,
            memory: size("memory", self.memory)?,
            state_size: size("state_size", self.state_size)?,
            output_size: size("output_size", self.output_size)?,
            messages_per_outcome: positive("messages_per_outcome", self.messages_per_outcome)?,
            message_size: size("message_size", self.message_size)?,
            queue: positive("queue", self.queue)?,
            outbox: positive("outbox", self.outbox)?,
        })
    }
}

/// A page of the contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageOut<T> {
    page_info: PageInfo,
    edges: Vec<Edge<T>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

/// One row of a page.
#[derive(Debug, Serialize)]
pub struct Edge<T> {
    cursor: String,
    node: T,
}

impl<T> PageOut<T> {
    /// A page of rows with their cursors.
    pub fn new(rows: impl IntoIterator<Item = (String, T)>, has_next_page: bool) -> Self {
        let edges = rows.into_iter().map(|(cursor, node)| Edge { cursor, node }).collect();
        Self { page_info: PageInfo { has_next_page }, edges }
    }
}

/// Where a process stands.
#[derive(Debug, Serialize)]
pub struct ProcessOut {
    id: ProcessId,
    device: &'static str,
    origin: &'static str,
    definition_slot: Slot,
    scheduled_slot: Slot,
    computed_slot: Option<Slot>,
    snapshot_slot: Option<Slot>,
    status: &'static str,
    queue: u64,
    error: Option<String>,
}

impl ProcessOut {
    /// The status of `id` as the contract shows it.
    pub fn new(id: ProcessId, status: Status) -> Self {
        Self {
            id,
            device: status.device.as_str(),
            origin: status.origin.as_str(),
            definition_slot: status.definition,
            scheduled_slot: status.scheduled,
            computed_slot: status.computed,
            snapshot_slot: status.snapshot,
            status: status.activity.as_str(),
            queue: status.queue,
            error: status.error,
        }
    }
}

/// The answer to `schedule`.
#[derive(Debug, Serialize)]
pub struct ScheduledOut<'a> {
    pub id: &'a MessageId,
    pub process: &'a ProcessId,
    pub slot: Slot,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a Outcome>,
}

/// The answer to `compute`, `now` and `dry-run`.
#[derive(Debug, Serialize)]
pub struct ComputedOut<'a> {
    pub process: &'a ProcessId,
    pub slot: Slot,
    pub outcome: &'a Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        MessageIn::read(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn tags_are_a_list_or_an_object_of_texts() {
        let list = MessageIn::read(br#"{"Tags":[{"name":"a","value":"1"},{"name":"a","value":"2"}]}"#).unwrap();
        let expected = Tags(vec![Tag::new("a", "1"), Tag::new("a", "2")]);
        assert_eq!(list.tags, Some(expected));
        let object = MessageIn::read(br#"{"Tags":{"b":"1","a":"2"}}"#).unwrap();
        assert_eq!(object.tags, Some(Tags(vec![Tag::new("b", "1"), Tag::new("a", "2")])));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, part) in [
            (r#"{"Tags":{"n":5}}"#, "tag \"n\": its value must be a text"),
            (r#"{"Tags":[{"value":"x"}]}"#, "missing field `name`"),
            (r#"{"Tags":[{"name":"","value":"x"}]}"#, "empty name"),
            (r#"{"Tags":"x"}"#, "Tags as a list"),
            (r#"{"Data":5}"#, "expected a string"),
            (r#"{"Dta":"x"}"#, "unknown field `Dta`"),
            (r#"{"Data":"#, "EOF"),
            ("[]", "the body is not a message"),
        ] {
            let said = refusal(body);
            assert!(said.contains(part), "{body} is refused with {said:?}");
        }
        assert!(refusal(&"[".repeat(100_000)).starts_with("bad_request: "));
    }

    #[test]
    fn a_message_for_another_process_is_refused() {
        let process = ProcessId::parse("a").unwrap();
        let message = MessageIn::read(br#"{"Target":"b"}"#).unwrap();
        assert!(message.into_draft(&process, "local", 0).is_err());
    }

    #[test]
    fn limits_take_the_units_of_the_configuration() {
        let limits: LimitsIn =
            serde_json::from_str(r#"{"compute_time":"2s","memory":"1MiB","state_size":5,"gas":7}"#).unwrap();
        let limits = limits.read().unwrap();
        assert_eq!(limits.compute_time, Some(std::time::Duration::from_secs(2)));
        assert_eq!((limits.memory, limits.state_size, limits.gas), (Some(1 << 20), Some(5), Some(7)));
        for bad in [r#"{"gas":0}"#, r#"{"memory":"1 potato"}"#, r#"{"compute_time":"0s"}"#] {
            assert!(serde_json::from_str::<LimitsIn>(bad).unwrap().read().is_err(), "{bad} was taken");
        }
    }
}
