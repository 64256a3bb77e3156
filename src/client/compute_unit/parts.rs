//! Taking JSON apart piece by piece: each piece is looked at where it stands, so that an error can say where it is, and what
//! nobody asks for takes no memory.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What is wrong with an answer, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Fault {
    /// The place, such as `edges[3].node.Messages[0].Tags`.
    pub place: String,
    /// What was found there and what should be.
    pub problem: String,
}

/// A piece of JSON and its place in the answer.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    json: &'a RawValue,
    place: String,
}

impl<'a> Part<'a> {
    /// The whole of an answer. Fails where it is no JSON at all.
    pub fn whole(text: &'a str) -> Result<Self, Fault> {
        let place = "the answer".to_owned();
        match serde_json::from_str(text) {
            Ok(json) => Ok(Self { json, place }),
            Err(error) => Err(Fault { place, problem: error.to_string() }),
        }
    }

    /// Says that `problem` is here.
    pub fn fault(&self, problem: impl Into<String>) -> Fault {
        Fault { place: self.place.clone(), problem: problem.into() }
    }

    /// The piece as it is written.
    pub fn json(&self) -> &'a str {
        self.json.get()
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.json() == "null"
    }

    /// Says that the piece should be `expected`.
    pub fn unexpected(&self, expected: &str) -> Fault {
        self.fault(format!("expected {expected}, found {}", self.kind()))
    }

    fn kind(&self) -> &'static str {
        match self.json().as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a text",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// What an object has under `names`; whatever else it has is passed over.
    pub fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Self>; N], Fault> {
        if !self.json().starts_with('{') {
            return Err(self.unexpected("an object"));
        }
        let values = serde_json::Deserializer::from_str(self.json()).deserialize_map(Fields(names));
        let values = values.map_err(|error| self.fault(error.to_string()))?;
        let mut at = 0;
        Ok(values.map(|value| {
            at += 1;
            value.map(|json| Self { json, place: self.within(names[at - 1]) })
        }))
    }

    fn within(&self, name: &str) -> String {
        if self.place == "the answer" { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// The items of a list that has `most` at most.
    pub fn items(&self, most: usize) -> Result<Vec<Self>, Fault> {
        if !self.json().starts_with('[') {
            return Err(self.unexpected("a list"));
        }
        let items = serde_json::Deserializer::from_str(self.json()).deserialize_seq(Items(most));
        let items = items.map_err(|error| self.fault(error.to_string()))?;
        if items.len() > most {
            return Err(self.fault(format!("expected {most} items at most, found more")));
        }
        let placed = |(at, json)| Self { json, place: format!("{}[{at}]", self.place) };
        Ok(items.into_iter().enumerate().map(placed).collect())
    }

    /// The names and values of an object that has `most` at most, in their order.
    pub fn entries(&self, most: usize) -> Result<Vec<(String, Self)>, Fault> {
        let entries = serde_json::Deserializer::from_str(self.json()).deserialize_map(Entries(most));
        let entries = entries.map_err(|error| self.fault(error.to_string()))?;
        if entries.len() > most {
            return Err(self.fault(format!("expected {most} entries at most, found more")));
        }
        let placed = |(name, json)| {
            let place = format!("{}[{name:?}]", self.place);
            (name, Self { json, place })
        };
        Ok(entries.into_iter().map(placed).collect())
    }

    /// A text, and nothing that could be taken for one.
    pub fn text(&self) -> Result<String, Fault> {
        self.read("a text", '"')
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Result<bool, Fault> {
        match self.json() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// A natural number.
    pub fn count(&self) -> Result<u64, Fault> {
        self.json().parse().map_err(|_| self.unexpected("a natural number"))
    }

    /// A text, or something that scripts write where a text is meant: a number with the digits it has, `true` or `false` as
    /// that word, `null` as no text.
    pub fn loose_text(&self) -> Result<Option<String>, Fault> {
        match self.json().as_bytes().first() {
            Some(b'"') => self.text().map(Some),
            Some(b'{' | b'[') => Err(self.unexpected("a text or a number")),
            Some(b'n') => Ok(None),
            _ => Ok(Some(self.json().to_owned())),
        }
    }

    fn read<T: Deserialize<'a>>(&self, expected: &str, first: char) -> Result<T, Fault> {
        if !self.json().starts_with(first) {
            return Err(self.unexpected(expected));
        }
        serde_json::from_str(self.json()).map_err(|error| self.fault(error.to_string()))
    }
}

/// Reads what an object has under some names. A name that comes twice is an error.
struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(place) = object.next_key_seed(Known(&self.0))? {
            match place {
                None => drop(object.next_value::<IgnoredAny>()?),
                Some(at) if values[at].is_some() => {
                    return Err(serde::de::Error::custom(format!("{} is there twice", self.0[at])));
                }
                Some(at) => values[at] = Some(object.next_value()?),
            }
        }
        Ok(values)
    }
}

/// Reads a name as its place among those that are known.
struct Known<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Known<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Keeps the items of a list, and of too long a list one too many.
struct Items(usize);

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() <= self.0
            && let Some(item) = list.next_element()?
        {
            items.push(item);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

/// Keeps the entries of an object, and of too long an object one too many.
struct Entries(usize);

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() <= self.0
            && let Some(entry) = object.next_entry()?
        {
            entries.push(entry);
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(entries)
    }
}
