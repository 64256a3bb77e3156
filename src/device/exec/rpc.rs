//! JSON-RPC 2.0, one message a line: requests written, answers read. No I/O.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The code for a method that the program doesn't have.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;

/// So much of a line is shown to a person.
const SHOWN: usize = 200;

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request's number.
    pub id: u64,
    /// What came of it.
    pub result: Result<Box<RawValue>, RpcError>,
}

/// The program says that a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// JSON-RPC's code.
    pub code: i64,
    /// What it says to a person.
    pub message: String,
}

/// Why a line is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garbled {
    /// Something else altogether.
    #[error(
        "the program wrote {line:?} where an answer of JSON-RPC 2.0 was expected: {why}; standard output is for answers alone"
    )]
    #[expect(missing_docs, reason = "the text says it")]
    Line { line: String, why: String },
    /// It could make nothing of a request.
    #[error("the program could not read the request: {0}")]
    Unread(String),
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<ErrorObject<'a>>,
    #[serde(default)]
    method: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Tells `null` from a member that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The line of a request, its end included.
pub fn request<P: Serialize>(id: u64, method: &str, params: &P) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&Request { jsonrpc: "2.0", id, method, params })?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a line, without its end, as an answer.
pub fn answer(line: &[u8]) -> Result<Answer, Garbled> {
    let garbled = |why: &str| Garbled::Line { line: shown(line), why: why.to_owned() };
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(garbled("it is no object"));
    }
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| garbled(&error.to_string()))?;
    if read.jsonrpc != "2.0" {
        return Err(garbled("\"jsonrpc\" is not \"2.0\""));
    }
    if read.method.is_some() {
        return Err(garbled("it is a request, and the node takes none"));
    }
    let error = read.error.map(|error| RpcError { code: error.code, message: error.message.into_owned() });
    let result = match (read.result, error) {
        (Some(result), None) => Ok(result.to_owned()),
        (None, Some(error)) => Err(error),
        (None, None) => return Err(garbled("it has neither \"result\" nor \"error\"")),
        (Some(_), Some(_)) => return Err(garbled("it has both \"result\" and \"error\"")),
    };
    match (read.id.map(RawValue::get), result) {
        (None | Some("null"), Err(error)) => Err(Garbled::Unread(error.message)),
        (id, result) => match id.and_then(|id| id.parse().ok()) {
            Some(id) => Ok(Answer { id, result }),
            None => Err(garbled("its \"id\" is none that was asked")),
        },
    }
}

/// The beginning of a line, for a person.
pub(super) fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
    if line.len() > SHOWN { format!("{text}…") } else { text.into_owned() }
}
