//! Lua's pattern functions as calls with a list of values for an answer: with the module's own matcher, and in real Lua.

use mlua::{Function, Lua, MultiValue};

use super::super::{
    Capture, Fuel, Matches, PatternError, Substitution, find as find_pattern, find_plain, has_specials,
};

/// A call of a pattern function. Places are counted from 1, as in Lua.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Find {
        from: usize,
        plain: bool,
    },
    Match {
        from: usize,
    },
    /// All matches: for each the number of its values, then these.
    Gmatch {
        from: usize,
    },
    Gsub {
        replacement: Vec<u8>,
        most: Option<usize>,
    },
    /// With a function that joins its arguments by commas and passes over every second match.
    GsubFunction,
    /// With a table that has every key in angle brackets.
    GsubTable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nil,
    Integer(usize),
    Text(Vec<u8>),
}

pub(super) type Answer = Result<Vec<Value>, PatternError>;

impl Call {
    /// The answer of the module's own matcher.
    pub(super) fn own(&self, subject: &[u8], pattern: &[u8], fuel: &mut dyn Fuel) -> Answer {
        match self {
            Self::Find { from, plain } => find(subject, pattern, *from, *plain, fuel),
            Self::Match { from } => match find_pattern(subject, pattern, from - 1, fuel)? {
                None => Ok(vec![Value::Nil]),
                Some(found) => found.values().map(|capture| Ok(value(subject, capture?))).collect(),
            },
            Self::Gmatch { from } => gmatch(subject, pattern, *from, fuel),
            Self::Gsub { replacement, most } => {
                gsub(subject, pattern, *most, fuel, |found, out, fuel| out.expand(found, replacement, fuel))
            }
            Self::GsubFunction => {
                let mut odd = false;
                gsub(subject, pattern, None, fuel, |found, out, fuel| {
                    let values = found.values().map(|capture| Ok(text(value(subject, capture?))));
                    let joined = values.collect::<Result<Vec<_>, PatternError>>()?.join(&b","[..]);
                    odd = !odd;
                    if odd { out.replace(found, &joined, fuel) } else { Ok(()) }
                })
            }
            Self::GsubTable => gsub(subject, pattern, None, fuel, |found, out, fuel| {
                let key = text(value(subject, found.first()?));
                out.replace(found, &[b"<", &key[..], b">"].concat(), fuel)
            }),
        }
    }
}

fn find(subject: &[u8], pattern: &[u8], from: usize, plain: bool, fuel: &mut dyn Fuel) -> Answer {
    let found = if plain || !has_specials(pattern, fuel)? {
        find_plain(subject, pattern, from - 1, fuel)?
    } else {
        find_pattern(subject, pattern, from - 1, fuel)?
    };
    let Some(found) = found else { return Ok(vec![Value::Nil]) };
    let mut answer = vec![Value::Integer(found.span.start + 1), Value::Integer(found.span.end)];
    for capture in found.captures() {
        answer.push(value(subject, capture?));
    }
    Ok(answer)
}

fn gmatch(subject: &[u8], pattern: &[u8], from: usize, fuel: &mut dyn Fuel) -> Answer {
    let (mut matches, mut answer) = (Matches::gmatch(from - 1), Vec::new());
    while let Some(found) = matches.next(subject, pattern, fuel)? {
        answer.push(Value::Integer(found.values().count()));
        for capture in found.values() {
            answer.push(value(subject, capture?));
        }
    }
    Ok(answer)
}

fn gsub(
    subject: &[u8],
    pattern: &[u8],
    most: Option<usize>,
    fuel: &mut dyn Fuel,
    mut replace: impl FnMut(&super::super::Found, &mut Substitution<'_>, &mut dyn Fuel) -> Result<(), PatternError>,
) -> Answer {
    let (mut matches, mut out) = (Matches::gsub(), Substitution::new(subject, usize::MAX));
    let mut count = 0;
    while most.is_none_or(|most| count < most) {
        let Some(found) = matches.next(subject, pattern, fuel)? else { break };
        count += 1;
        replace(&found, &mut out, fuel)?;
    }
    let text = out.finish(fuel)?.unwrap_or_else(|| subject.to_vec());
    Ok(vec![Value::Text(text), Value::Integer(count)])
}

fn value(subject: &[u8], capture: Capture) -> Value {
    match capture {
        Capture::Span(span) => Value::Text(subject[span].to_vec()),
        Capture::Position(at) => Value::Integer(at),
    }
}

fn text(value: Value) -> Vec<u8> {
    match value {
        Value::Nil => b"nil".to_vec(),
        Value::Integer(integer) => integer.to_string().into_bytes(),
        Value::Text(text) => text,
    }
}

/// A real Lua that answers the same calls.
pub(super) struct RealLua {
    lua: Lua,
    call: Function,
}

impl RealLua {
    pub(super) fn new() -> Self {
        let lua = Lua::new();
        let call = lua.load(CALLS).set_name("=calls").eval().unwrap();
        Self { lua, call }
    }

    /// The answer, or the text of the error without the line it names.
    pub(super) fn answer(&self, call: &Call, subject: &[u8], pattern: &[u8]) -> Result<Vec<Value>, String> {
        let text = |bytes: &[u8]| mlua::Value::String(self.lua.create_string(bytes).unwrap());
        let integer = |integer: usize| mlua::Value::Integer(integer as i64);
        let nil = mlua::Value::Nil;
        let (name, a, b) = match call {
            Call::Find { from, plain } => ("find", integer(*from), mlua::Value::Boolean(*plain)),
            Call::Match { from } => ("match", integer(*from), nil),
            Call::Gmatch { from } => ("gmatch", integer(*from), nil),
            Call::Gsub { replacement, most } => ("gsub", text(replacement), most.map_or(nil, integer)),
            Call::GsubFunction => ("gsub_function", nil.clone(), nil),
            Call::GsubTable => ("gsub_table", nil.clone(), nil),
        };
        let mut answer: MultiValue = self.call.call((name, text(subject), text(pattern), a, b)).unwrap();
        let good = answer.pop_front().unwrap() == mlua::Value::Boolean(true);
        let values = answer.into_iter().map(|value| match value {
            mlua::Value::Nil => Value::Nil,
            mlua::Value::Integer(integer) => Value::Integer(usize::try_from(integer).unwrap()),
            mlua::Value::String(text) => Value::Text(text.as_bytes().to_vec()),
            other => panic!("an answer with a {}", other.type_name()),
        });
        let values: Vec<_> = values.collect();
        match &values[..] {
            _ if good => Ok(values),
            [Value::Text(error)] => {
                let error = String::from_utf8_lossy(error);
                let at_line = error.strip_prefix("calls:").and_then(|rest| rest.split_once(": "));
                Err(at_line.map_or(&error[..], |(_, text)| text).to_owned())
            }
            _ => panic!("an error that is no text: {values:?}"),
        }
    }
}

const CALLS: &str = r#"
local calls = { find = string.find, match = string.match, gsub = string.gsub }

function calls.gmatch(subject, pattern, from)
    local all = {}
    local step = string.gmatch(subject, pattern, from)
    while true do
        local values = table.pack(step())
        if values.n == 0 then
            return table.unpack(all)
        end
        table.insert(all, values.n)
        table.move(values, 1, values.n, #all + 1, all)
    end
end

function calls.gsub_function(subject, pattern)
    local odd = false
    return string.gsub(subject, pattern, function(...)
        odd = not odd
        return odd and table.concat({ ... }, ",")
    end)
end

function calls.gsub_table(subject, pattern)
    return string.gsub(subject, pattern, setmetatable({}, {
        __index = function(_, key) return "<" .. key .. ">" end,
    }))
end

return function(name, ...)
    return pcall(calls[name], ...)
end
"#;
