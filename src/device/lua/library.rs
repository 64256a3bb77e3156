//! Functions for the sandbox that are written in Rust: pattern matching, messages, the log.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlua::{AnyUserData, FromLuaMulti, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::pattern::{self, Capture, Exhausted, Found, Fuel, Matches, PatternError, Substitution};
use super::source;
use crate::config::limits::LimitKey;
use crate::device::budget::{Budget, End, Ended};
use crate::device::sending::{Outbox, Refused};
use crate::ids::{ProcessId, Slot};
use crate::process::{Assignment, SentMessage, Spawn, Tag};

/// The most that one call may print.
const LINES_MOST: u64 = 100;
/// The longest line, in bytes.
const LINE_MOST: usize = 8 << 10;

/// The running call, as callbacks see it.
#[derive(Debug)]
pub(super) struct Call {
    process: ProcessId,
    /// The slot, and what is sent from it. Nothing while the script loads.
    pub(super) slot: Option<Slot>,
    pub(super) outbox: Outbox,
    /// Whether what the script prints is logged.
    pub(super) prints: bool,
    lines: u64,
    /// What a text may take that is made outside of the script's memory, in bytes.
    pub(super) room: usize,
}

/// The running call, shared with callbacks.
#[derive(Clone, Debug)]
pub(super) struct SharedCall(Arc<Mutex<Call>>);

impl SharedCall {
    /// No call yet.
    pub(super) fn new(process: ProcessId) -> Self {
        let outbox = Outbox::default();
        Self(Arc::new(Mutex::new(Call { process, slot: None, outbox, prints: false, lines: 0, room: 0 })))
    }

    /// The call. No panic leaves it half changed.
    pub(super) fn get(&self) -> MutexGuard<'_, Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Logs a line that the script printed.
    fn print(&mut self, text: &[u8]) {
        self.lines += 1;
        if !self.prints || self.lines > LINES_MOST {
            return;
        }
        let text = String::from_utf8_lossy(text.get(..LINE_MOST).unwrap_or(text)).replace(['\n', '\r'], " ");
        let (process, slot) = (&self.process, self.slot.map(|slot| slot.0));
        tracing::info!(target: "compute", event = "print", %process, slot, text);
    }

    /// Says how many lines were not logged, and begins to count anew.
    pub(super) fn end_of_prints(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if self.prints && lines > LINES_MOST {
            let (process, slot) = (&self.process, self.slot.map(|slot| slot.0));
            let dropped = lines - LINES_MOST;
            tracing::warn!(target: "compute", event = "print_dropped", %process, slot, dropped);
        }
    }
}

/// Pattern functions spend the gas of the call.
struct Gas<'a>(&'a Budget);

impl Fuel for Gas<'_> {
    fn spend(&mut self, gas: u64) -> Result<(), Exhausted> {
        self.0.spend(gas).map_err(|Ended| Exhausted)
    }
}

/// The functions, by the names that the prelude uses.
pub(super) fn functions(lua: &Lua, budget: &Arc<Budget>, call: &SharedCall) -> mlua::Result<Table> {
    let host = Host { table: lua.create_table()?, lua, budget };
    patterns(&host)?;
    let room = call.clone();
    host.add("gsub", move |lua, budget, (text, pattern, by, most): (LuaString, LuaString, LuaString, i64)| {
        let room = room.get().room;
        substitute(lua, budget, room, [&text, &pattern, &by], most)
    })?;
    host.add("prepared", |lua, _, text: LuaString| match source::prepared(&text.as_bytes()) {
        Cow::Borrowed(_) => Ok(text.clone()),
        Cow::Owned(prepared) => lua.create_string(prepared),
    })?;
    messages(&host, call)?;
    Ok(host.table)
}

struct Host<'a> {
    table: Table,
    lua: &'a Lua,
    budget: &'a Arc<Budget>,
}

impl Host<'_> {
    /// Adds a function. Whatever fails in it beside what it returns is memory: arguments are checked in the prelude.
    fn add<A, R>(
        &self,
        name: &str,
        function: impl Fn(&Lua, &Budget, A) -> mlua::Result<R> + Send + 'static,
    ) -> mlua::Result<()>
    where
        A: FromLuaMulti,
        R: IntoLuaMulti,
    {
        let budget = self.budget.clone();
        let function = self.lua.create_function(move |lua, arguments: A| {
            function(lua, &budget, arguments).inspect_err(|error| {
                if matches!(error, mlua::Error::MemoryError(_)) {
                    budget.end(End::Limit(LimitKey::Memory));
                }
            })
        })?;
        self.table.raw_set(name, function)
    }
}

fn patterns(host: &Host<'_>) -> mlua::Result<()> {
    host.add("find", |lua, budget, (text, pattern, init, plain): (LuaString, LuaString, i64, bool)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let Some(from) = start(init, text.len()) else { return nothing() };
        let gas = &mut Gas(budget);
        let found = (|| {
            if plain || !pattern::has_specials(&pattern, gas)? {
                pattern::find_plain(&text, &pattern, from, gas)
            } else {
                pattern::find(&text, &pattern, from, gas)
            }
        })();
        answer(lua, found, |found| {
            let mut values = span(found)?;
            push_captures(lua, &text, found.captures(), &mut values)?;
            Ok(values)
        })
    })?;
    host.add("match", |lua, budget, (text, pattern, init): (LuaString, LuaString, i64)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let Some(from) = start(init, text.len()) else { return nothing() };
        answer(lua, pattern::find(&text, &pattern, from, &mut Gas(budget)), |found| {
            let mut values = MultiValue::new();
            push_captures(lua, &text, found.values(), &mut values)?;
            Ok(values)
        })
    })?;
    host.add("matches", |lua, _, (text, init): (LuaString, Option<i64>)| {
        let matches = match init {
            // Beyond the end there is nothing to find.
            Some(init) => Matches::gmatch(start(init, text.as_bytes().len()).unwrap_or(usize::MAX)),
            None => Matches::gsub(),
        };
        lua.create_any_userdata(matches)
    })?;
    host.add("step", |lua, budget, (matches, text, pattern): (AnyUserData, LuaString, LuaString)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let found = matches.borrow_mut::<Matches>()?.next(&text, &pattern, &mut Gas(budget));
        answer(lua, found, |found| {
            let mut values = MultiValue::new();
            push_captures(lua, &text, found.values(), &mut values)?;
            Ok(values)
        })
    })?;
    host.add("step_replace", |lua, budget, (matches, text, pattern): (AnyUserData, LuaString, LuaString)| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let found = matches.borrow_mut::<Matches>()?.next(&text, &pattern, &mut Gas(budget));
        answer(lua, found, |found| {
            let mut values = span(found)?;
            push_captures(lua, &text, found.values(), &mut values)?;
            Ok(values)
        })
    })
}

/// Lua's place in a text, which may count from its end, as an offset; `None` beyond the end.
fn start(init: i64, length: usize) -> Option<usize> {
    let from = match usize::try_from(init) {
        Ok(init) => init.saturating_sub(1),
        Err(_) => length.saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    (from <= length).then_some(from)
}

fn nothing() -> mlua::Result<MultiValue> {
    Ok([Value::Nil].into_iter().collect())
}

/// Why a callback has no values: a bad pattern, which the script may catch, or something that ends the call.
enum Failure {
    Pattern(PatternError),
    Lua(mlua::Error),
}

impl From<PatternError> for Failure {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// What a match gives the script; `nil` where there is none, `false` and a text where the pattern is bad.
fn answer(
    lua: &Lua,
    found: Result<Option<Found>, PatternError>,
    values: impl FnOnce(&Found) -> Result<MultiValue, Failure>,
) -> mlua::Result<MultiValue> {
    let values = match found {
        Ok(None) => return nothing(),
        Ok(Some(found)) => values(&found),
        Err(error) => Err(Failure::Pattern(error)),
    };
    values.or_else(|failure| refusal(lua, failure))
}

fn refusal(lua: &Lua, failure: Failure) -> mlua::Result<MultiValue> {
    match failure {
        Failure::Lua(error) => Err(error),
        Failure::Pattern(PatternError::Exhausted(_)) => Err(mlua::Error::external(Ended)),
        Failure::Pattern(PatternError::NoRoom { .. }) => Err(mlua::Error::MemoryError("no room".to_owned())),
        Failure::Pattern(error) => {
            Ok([Value::Boolean(false), Value::String(lua.create_string(error.to_string())?)].into_iter().collect())
        }
    }
}

fn span(found: &Found) -> Result<MultiValue, Failure> {
    let place = |at: usize| Value::Integer(i64::try_from(at).unwrap_or(i64::MAX));
    Ok([place(found.span.start.saturating_add(1)), place(found.span.end)].into_iter().collect())
}

fn push_captures(
    lua: &Lua,
    text: &[u8],
    captures: impl Iterator<Item = Result<Capture, PatternError>>,
    values: &mut MultiValue,
) -> Result<(), Failure> {
    for capture in captures {
        values.push_back(match capture? {
            Capture::Span(span) => Value::String(lua.create_string(text.get(span).unwrap_or_default())?),
            Capture::Position(at) => Value::Integer(i64::try_from(at).unwrap_or(i64::MAX)),
        });
    }
    Ok(())
}

/// `string.gsub` with a text: the result and how often it was replaced.
fn substitute(
    lua: &Lua,
    budget: &Budget,
    room: usize,
    [text, pattern, by]: [&LuaString; 3],
    most: i64,
) -> mlua::Result<MultiValue> {
    let (bytes, pattern, by) = (text.as_bytes(), pattern.as_bytes(), by.as_bytes());
    let gas = &mut Gas(budget);
    let mut count = 0;
    let replaced = (|| {
        let (mut matches, mut result) = (Matches::gsub(), Substitution::new(&bytes, room));
        while count < most {
            let Some(found) = matches.next(&bytes, &pattern, gas)? else { break };
            result.expand(&found, &by, gas)?;
            count += 1;
        }
        result.finish(gas)
    })();
    match replaced {
        Ok(Some(replaced)) => {
            Ok([Value::String(lua.create_string(replaced)?), Value::Integer(count)].into_iter().collect())
        }
        Ok(None) => Ok([Value::String(text.clone()), Value::Integer(count)].into_iter().collect()),
        Err(error) => refusal(lua, Failure::Pattern(error)),
    }
}

fn messages(host: &Host<'_>, call: &SharedCall) -> mlua::Result<()> {
    let shared = call.clone();
    host.add("print", move |_, budget, text: LuaString| {
        budget.spend(text.as_bytes().len() as u64).map_err(mlua::Error::external)?;
        shared.get().print(&text.as_bytes());
        Ok(())
    })?;
    let shared = call.clone();
    host.add("send", move |_, budget, (target, data, anchor, tags): (LuaString, LuaString, LuaString, Table)| {
        leave(budget, &shared, || {
            let (target, data) = (utf8(&target, "Target")?, utf8(&data, "Data")?);
            let message = SentMessage { target, data, anchor: utf8(&anchor, "Anchor")?, tags: tag_list(&tags)? };
            Ok(|outbox: &mut Outbox| outbox.send(message))
        })
    })?;
    let shared = call.clone();
    type Spawned = (LuaString, Option<LuaString>, Option<LuaString>, LuaString, LuaString, Table);
    host.add("spawn", move |_, budget, (device, source, module, data, anchor, tags): Spawned| {
        leave(budget, &shared, || {
            let spawn = Spawn {
                device: utf8(&device, "Device")?,
                source: source.map(|source| utf8(&source, "Source")).transpose()?,
                module: module.map(|module| utf8(&module, "Module")).transpose()?,
                tags: tag_list(&tags)?,
                data: utf8(&data, "Data")?,
                anchor: utf8(&anchor, "Anchor")?,
            };
            Ok(|outbox: &mut Outbox| outbox.spawn(spawn))
        })
    })?;
    let shared = call.clone();
    host.add("assign", move |_, budget, (processes, message): (Table, LuaString)| {
        leave(budget, &shared, || {
            let processes = texts(&processes)?.iter().map(|id| utf8(id, "Processes")).collect::<Result<_, _>>()?;
            let assignment = Assignment { processes, message: utf8(&message, "Message")? };
            Ok(|outbox: &mut Outbox| outbox.assign(assignment))
        })
    })
}

/// Puts something into the outbox. The answer is a text where it is not what it should be; a limit ends the call.
fn leave<F: FnOnce(&mut Outbox) -> Result<(), Refused>>(
    budget: &Budget,
    call: &SharedCall,
    make: impl FnOnce() -> Result<F, Refused>,
) -> mlua::Result<Option<String>> {
    let mut call = call.get();
    if call.slot.is_none() {
        return Ok(Some("there is no call while the script loads".to_owned()));
    }
    match make().and_then(|put| put(&mut call.outbox)) {
        Ok(()) => Ok(None),
        Err(Refused::Bad(text)) => Ok(Some(text)),
        Err(Refused::Limit(key)) => Err(mlua::Error::external(budget.end(End::Limit(key)))),
    }
}

fn utf8(text: &LuaString, what: &str) -> Result<String, Refused> {
    text.to_str().map(|text| text.to_owned()).map_err(|_| Refused::Bad(format!("{what} is not UTF-8")))
}

fn texts(list: &Table) -> Result<Vec<LuaString>, Refused> {
    let bad = |error: mlua::Error| Refused::Bad(error.to_string());
    (1..=list.raw_len()).map(|index| list.raw_get(index).map_err(bad)).collect()
}

/// A list of names and texts in turn.
fn tag_list(list: &Table) -> Result<Vec<Tag>, Refused> {
    let tag = |pair: &[LuaString]| match pair {
        [name, value] => {
            let name = utf8(name, "a tag's name")?;
            let value = utf8(value, &name)?;
            Ok(Tag { name, value })
        }
        _ => Err(Refused::Bad("a tag has no text".to_owned())),
    };
    texts(list)?.chunks(2).map(tag).collect()
}
