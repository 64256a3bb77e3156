//! Names and numbers that identify things: processes, messages, slots, shards, epochs, blobs, groups.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// How many logical shards there are. Fixed in the store's format.
pub const SHARDS: usize = 256;

/// Why a text is not the name it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a process id.
    #[error("a process id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -, not {0:?}")]
    Process(String),
    /// Not a message id.
    #[error("a message id is 43 characters of base64url, not {0:?}")]
    Message(String),
    /// Not the name of a group.
    #[error("a group is named by a process id, or by one with ~ and 43 characters of base64url behind it, not {0:?}")]
    Group(String),
}

/// The longest part of a bad name that an error repeats.
const SHOWN: usize = 80;

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// The id of a process: 1 to 64 characters of `A-Za-z0-9_-`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessId(Arc<str>);

impl ProcessId {
    /// The longest id, in bytes.
    pub const MAX: usize = 64;

    /// Takes `text` as a process id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let fits = (1..=Self::MAX).contains(&text.len());
        if fits && text.bytes().all(is_url_safe) { Ok(Self(text.into())) } else { Err(IdError::Process(shown(text))) }
    }

    /// A new id: 43 characters of base64url, as AO's are.
    pub fn random(now_ms: u64) -> Self {
        Self(random_id(now_ms).into())
    }

    /// An id that is a function of `parts` alone: 43 characters of base64url.
    pub fn derived(parts: &[&[u8]]) -> Self {
        Self(derived_id(parts).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The logical shard that the process belongs to.
    pub fn shard(&self) -> Shard {
        Shard(blake3::hash(self.0.as_bytes()).as_bytes()[0])
    }
}

/// The id of a message: 43 characters of base64url, that is 256 bits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// The length of an id, in characters.
    pub const LEN: usize = 43;

    /// Takes `text` as a message id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() == Self::LEN && text.bytes().all(is_url_safe) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::Message(shown(text)))
        }
    }

    /// A new id. It begins with the time, so that ids made one after the other lie together in the store.
    pub fn random(now_ms: u64) -> Self {
        Self(random_id(now_ms).into())
    }

    /// An id that is a function of `parts` alone.
    pub fn derived(parts: &[&[u8]]) -> Self {
        Self(derived_id(parts).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// The hash of `parts` and of where they end, as 43 characters of base64url.
fn derived_id(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    URL_SAFE_NO_PAD.encode(hasher.finalize().as_bytes())
}

/// 48 bits of time and 208 of chance, as 43 characters of base64url.
fn random_id(now_ms: u64) -> String {
    let mut bytes = [0u8; 32];
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    if getrandom::fill(&mut bytes[6..]).is_err() {
        // The system has no entropy to give (before its start-up ends, say): a counter and the clock still make ids unique.
        static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let seed = [now_ms.to_le_bytes(), count.to_le_bytes(), u64::from(std::process::id()).to_le_bytes()].concat();
        bytes[6..].copy_from_slice(&blake3::hash(&seed).as_bytes()[..26]);
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

macro_rules! text_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}
text_id!(ProcessId);
text_id!(MessageId);

/// A place in a process's log, from 0. Slot 0 holds the process's own definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// The first slot of every log.
    pub const ZERO: Self = Self(0);

    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The slot after `last`, or the first one where there is none.
    #[must_use]
    pub fn after(last: Option<Self>) -> Self {
        last.map_or(Self::ZERO, Self::next)
    }

    /// The slot before this one.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the [`SHARDS`] logical shards, by hash of the process id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Shard(pub u8);

/// The number of one incarnation of a worker. The store takes records of a process from its newest epoch only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Epoch(pub u64);

/// The BLAKE3 hash that names a blob: a script's text, a module, a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// The name of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<BlobHash> for String {
    fn from(hash: BlobHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for BlobHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bytes = URL_SAFE_NO_PAD.decode(&text).map_err(|error| format!("not a blob hash: {error}"))?;
        bytes.try_into().map(Self).map_err(|_| "a blob hash has 32 bytes".to_owned())
    }
}

/// The name under which equal executions join: a process id, or `{process}~{hash}` with 256 bits as base64url. Whatever its
/// kind, a group lives in the shard of its process.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(into = "String")]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// The group of everything that advances `process`'s log: the process itself.
    pub fn of_process(process: &ProcessId) -> Self {
        Self(process.0.clone())
    }

    /// A group of equal executions that have to do with `process`.
    pub fn hashed(process: &ProcessId, hash: &[u8; 32]) -> Self {
        Self(format!("{process}~{}", URL_SAFE_NO_PAD.encode(hash)).into())
    }

    /// Takes `text` as the name of a group.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (process, hash) = text.split_once('~').map_or((text, None), |(process, hash)| (process, Some(hash)));
        let is_process = ProcessId::parse(process).is_ok();
        let is_hash = hash.is_none_or(|hash| MessageId::parse(hash).is_ok());
        if is_process && is_hash { Ok(Self(text.into())) } else { Err(IdError::Group(shown(text))) }
    }

    /// The process that it has to do with.
    pub fn process(&self) -> ProcessId {
        ProcessId(self.0.split_once('~').map_or_else(|| self.0.clone(), |(process, _)| process.into()))
    }

    /// Whether it is the group of everything that advances a process's log.
    pub fn is_process(&self) -> bool {
        !self.0.contains('~')
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<GroupName> for String {
    fn from(group: GroupName) -> Self {
        group.as_str().to_owned()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn process_ids_are_1_to_64_url_safe_characters() {
        for good in ["a", "counter", "A-Z_09", &"x".repeat(64)] {
            assert_eq!(ProcessId::parse(good).map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "ä", "a/b", "..", &"x".repeat(65)] {
            assert!(ProcessId::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn message_ids_are_43_url_safe_characters() {
        assert!(MessageId::parse(&"a".repeat(43)).is_ok());
        for bad in [String::new(), "a".repeat(42), "a".repeat(44), "+".repeat(43)] {
            assert!(MessageId::parse(&bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn groups_are_processes_or_hashes_that_belong_to_one() {
        let process = ProcessId::parse("counter").unwrap();
        let hashed = GroupName::hashed(&process, &[7; 32]);
        for group in [GroupName::of_process(&process), hashed.clone()] {
            assert_eq!(group.process(), process);
            assert_eq!(GroupName::parse(group.as_str()), Ok(group));
        }
        assert!(!hashed.is_process());
        let (hash, long) = ("a".repeat(43), "x".repeat(65));
        for bad in ["", "~", "a~", "a~b", &format!("~{hash}"), &format!("a~{hash}~{hash}"), &format!("{long}~{hash}")] {
            assert!(GroupName::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn made_ids_parse_and_differ() {
        let (a, b) = (MessageId::random(1), MessageId::random(1));
        assert_ne!(a, b);
        assert!(MessageId::parse(a.as_str()).is_ok());
        assert!(ProcessId::parse(ProcessId::random(7).as_str()).is_ok());
    }

    #[test]
    fn derived_ids_depend_on_where_parts_end() {
        assert_eq!(MessageId::derived(&[b"a", b"b"]), MessageId::derived(&[b"a", b"b"]));
        assert_ne!(MessageId::derived(&[b"a", b"b"]), MessageId::derived(&[b"ab", b""]));
    }

    proptest! {
        #[test]
        fn an_error_about_a_name_is_short(text in ".{0,2000}") {
            if let Err(error) = ProcessId::parse(&text) {
                prop_assert!(error.to_string().chars().count() < 1200);
            }
        }

        #[test]
        fn blob_hashes_survive_their_text(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(BlobHash::try_from(BlobHash(bytes).to_string()), Ok(BlobHash(bytes)));
        }
    }
}
