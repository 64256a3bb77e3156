//! Where what was computed again is not what is stored, in words.
//!
//! Each text names the place, then both values: `Output.count: stored 3, recomputed 4`. Whatever the values are, it is short.

use serde::Serialize;
use serde_json::Value;

use super::outcome::Outcome;

/// Longer values are shown by a part of so many characters.
const SHOWN: usize = 60;
/// So many characters before the first difference are part of it.
const BEFORE: usize = 20;
/// Longer keys of objects are cut.
const KEY: usize = 40;
/// Longer paths lose their end.
const PATH: usize = 160;
/// JSON of more bytes is compared as text: looking into it would take many times its memory.
const LOOKED_INTO: usize = 1 << 20;

/// The first field in which the outcomes differ, and how.
pub fn outcome_difference(stored: &Outcome, recomputed: &Outcome) -> Option<String> {
    let Outcome { output, messages, spawns, assignments, error, gas_used } = recomputed;
    let error = || (stored.error != *error).then(|| error_difference(stored.error.as_deref(), error.as_deref()));
    let output =
        || (stored.output != *output).then(|| json_difference("Output", stored.output.as_str(), output.as_str()));
    let gas = || {
        let stored = stored.gas_used;
        (stored != *gas_used).then(|| format!("GasUsed: stored {stored}, recomputed {gas_used}"))
    };
    error()
        .or_else(output)
        .or_else(|| list_difference("Messages", &stored.messages, messages))
        .or_else(|| list_difference("Spawns", &stored.spawns, spawns))
        .or_else(|| list_difference("Assignments", &stored.assignments, assignments))
        .or_else(gas)
}

/// How two texts of JSON differ that are not the same text; `name` is what they are called.
pub fn json_difference(name: &str, stored: &str, recomputed: &str) -> String {
    let read = |text: &str| (text.len() <= LOOKED_INTO).then(|| serde_json::from_str::<Value>(text).ok()).flatten();
    let inside = read(stored).zip(read(recomputed)).and_then(|(one, other)| value_difference(name, &one, &other));
    inside.unwrap_or_else(|| {
        let (one, other) = parts(stored, recomputed);
        format!("{}: stored {one}, recomputed {other}", cut(name, PATH))
    })
}

/// The first byte in which two states differ; their lengths, where one begins with the other.
pub fn bytes_difference(stored: &[u8], recomputed: &[u8]) -> Option<String> {
    if stored == recomputed {
        return None;
    }
    let sizes = match (stored.len(), recomputed.len()) {
        (stored, recomputed) if stored == recomputed => format!("{stored} bytes"),
        (stored, recomputed) => format!("{stored} bytes stored, {recomputed} recomputed"),
    };
    let first = stored.iter().zip(recomputed).position(|(one, other)| one != other);
    Some(match first {
        Some(first) => format!("byte {first} of {sizes}"),
        None => format!("{sizes}, the same as far as both go"),
    })
}

fn error_difference(stored: Option<&str>, recomputed: Option<&str>) -> String {
    let (one, other) = match (stored, recomputed) {
        (Some(one), Some(other)) => parts(one, other),
        (one, other) => (quoted(one), quoted(other)),
    };
    format!("Error: stored {one}, recomputed {other}")
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("{:?}", cut(text, SHOWN)))
}

fn list_difference<T: PartialEq + Serialize>(name: &str, stored: &[T], recomputed: &[T]) -> Option<String> {
    if let Some(first) = stored.iter().zip(recomputed).position(|(one, other)| one != other) {
        let path = format!("{name}[{first}]");
        let value = |item: &T| serde_json::to_value(item).unwrap_or_default();
        let inside = value_difference(&path, &value(&stored[first]), &value(&recomputed[first]));
        return Some(inside.unwrap_or(path));
    }
    let (one, other) = (stored.len(), recomputed.len());
    (one != other).then(|| format!("{name}: {one} of them stored, {other} recomputed"))
}

/// The first place below `path` at which the values differ, and what is there. The depth of values that were read from text
/// is limited by who read them.
fn value_difference(path: &str, stored: &Value, recomputed: &Value) -> Option<String> {
    if stored == recomputed {
        return None;
    }
    let deeper = match (stored, recomputed) {
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .map(|(key, value)| (key, Some(value), other.get(key)))
            .chain(other.iter().filter(|(key, _)| !one.contains_key(*key)).map(|(key, value)| (key, None, Some(value))))
            .find(|(_, one, other)| one != other)
            .map(|(key, one, other)| (format!("{path}.{}", cut(key, KEY)), one, other)),
        (Value::Array(one), Value::Array(other)) => {
            let length = one.len().max(other.len());
            let first = (0..length).find(|index| one.get(*index) != other.get(*index));
            first.map(|index| (format!("{path}[{index}]"), one.get(index), other.get(index)))
        }
        _ => None,
    };
    Some(match deeper {
        Some((path, Some(one), Some(other))) => value_difference(&path, one, other).unwrap_or(path),
        Some((path, one, other)) => shown_difference(&path, one, other),
        None => shown_difference(path, Some(stored), Some(recomputed)),
    })
}

fn shown_difference(path: &str, stored: Option<&Value>, recomputed: Option<&Value>) -> String {
    let (one, other) = match (stored, recomputed) {
        (Some(Value::String(one)), Some(Value::String(other))) => parts(one, other),
        (one, other) => (shown(one), shown(other)),
    };
    format!("{}: stored {one}, recomputed {other}", cut(path, PATH))
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => quoted(Some(text)),
        Some(Value::Array(items)) => format!("a list of {}", items.len()),
        Some(Value::Object(items)) => format!("an object of {}", items.len()),
        Some(plain) => cut(&plain.to_string(), SHOWN),
    }
}

/// Both texts, quoted, each by the part around the first difference if it is long.
fn parts(one: &str, other: &str) -> (String, String) {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let from = if one.chars().count().max(other.chars().count()) <= SHOWN { 0 } else { same.saturating_sub(BEFORE) };
    let part = |text: &str| {
        let (before, rest) = (if from > 0 { "…" } else { "" }, text.chars().skip(from).take(SHOWN + 1));
        format!("{:?}", format!("{before}{}", cut(&rest.collect::<String>(), SHOWN)))
    };
    (part(one), part(other))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
