//! Canonical bytes as JSON. Keys 1..n make an array, an empty table `{}`, everything else an object in the order of keys.

use super::codec::{Item, Key, Malformed, Reader};
use super::native::step;

/// What becomes of values that JSON has no words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// They are errors: an output is read by programs.
    Strict,
    /// Bytes that are no UTF-8 become U+FFFD, numbers that are not finite `null`: a state is only looked at.
    Lossy,
}

/// Why there is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    /// It would be longer than allowed.
    #[error("it is too long")]
    TooLarge,
    /// This, at this place, has no JSON: `.rate is not a finite number`.
    #[error("{0}")]
    NoJson(String),
    /// The bytes are none of the encoder's.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Writes the value that `bytes` hold in at most `most` bytes of JSON.
pub(super) fn write(bytes: &[u8], strictness: Strictness, most: u64) -> Result<String, JsonError> {
    let reader = Reader::new(bytes)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let tables = tables(reader)?;
    let mut writer = Writer { out: String::new(), most, strictness, tables, way: Vec::new() };
    let mut cursor = Cursor { reader, table: 0 };
    let item = cursor.reader.step()?;
    writer.value(item, &mut cursor)?;
    Ok(writer.out)
}

/// What must be known of a table before it is written.
#[derive(Clone, Copy)]
struct Table {
    /// Where its contents begin.
    at: usize,
    /// Whether it has keys 1..n and no others.
    is_array: bool,
}

/// Every table in the order in which they begin.
fn tables(mut reader: Reader<'_>) -> Result<Vec<Table>, Malformed> {
    let mut tables: Vec<Table> = Vec::new();
    // The open tables, and whether their sequence has ended.
    let mut open: Vec<(usize, bool)> = Vec::new();
    loop {
        let item = reader.step()?;
        match (item, open.last_mut()) {
            (Item::End, Some((_, ended @ false))) => *ended = true,
            (Item::End, _) => {
                open.pop();
            }
            (_, Some((table, ended))) => {
                if let Some(table) = tables.get_mut(*table) {
                    table.is_array = !*ended;
                }
            }
            (_, None) => {}
        }
        if item == Item::Table {
            open.push((tables.len(), false));
            tables.push(Table { at: reader.at(), is_array: false });
        }
        if open.is_empty() {
            return Ok(tables);
        }
    }
}

/// A place in the bytes, and the number of the table that begins next.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    reader: Reader<'a>,
    table: usize,
}

struct Writer<'a> {
    out: String,
    most: usize,
    strictness: Strictness,
    tables: Vec<Table>,
    /// The keys that lead to the value being written.
    way: Vec<Key<'a>>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, item: Item<'a>, cursor: &mut Cursor<'a>) -> Result<(), JsonError> {
        match item {
            Item::Nil | Item::End => self.push("null"),
            Item::Boolean(boolean) => self.push(if boolean { "true" } else { "false" }),
            Item::Integer(integer) => self.push(&integer.to_string()),
            Item::Float(float) => self.float(float),
            Item::Text(text) => self.text(text),
            Item::Table => self.table(cursor),
            Item::Reference(table) => {
                let at = self.tables.get(table).map_or(usize::MAX, |table| table.at);
                self.table(&mut Cursor { reader: cursor.reader.seek(at), table })
            }
        }
    }

    /// Writes the table whose contents come next.
    fn table(&mut self, cursor: &mut Cursor<'a>) -> Result<(), JsonError> {
        let is_array = self.tables.get(cursor.table).is_some_and(|table| table.is_array);
        cursor.table += 1;
        let (open, close) = if is_array { ("[", "]") } else { ("{", "}") };
        self.push(open)?;
        let mut index = 0i64;
        loop {
            let item = cursor.reader.step()?;
            if item == Item::End {
                break;
            }
            index += 1;
            self.entry(Key::Integer(index), is_array, index == 1, item, cursor)?;
        }
        let mut is_first = index == 0;
        loop {
            let key = match cursor.reader.step()? {
                Item::Integer(key) => Key::Integer(key),
                Item::Float(key) => Key::Float(key),
                Item::Text(key) => Key::Text(key),
                Item::Boolean(key) => Key::Boolean(key),
                _ => break,
            };
            let item = cursor.reader.step()?;
            self.entry(key, false, is_first, item, cursor)?;
            is_first = false;
        }
        self.push(close)
    }

    fn entry(
        &mut self,
        key: Key<'a>,
        is_array: bool,
        is_first: bool,
        item: Item<'a>,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), JsonError> {
        if !is_first {
            self.push(",")?;
        }
        self.way.push(key);
        if !is_array {
            match key {
                Key::Text(text) => self.text(text)?,
                Key::Integer(key) => self.push(&format!("\"{key}\""))?,
                Key::Float(key) => self.push(&format!("\"{key:?}\""))?,
                Key::Boolean(key) => self.push(&format!("\"{key}\""))?,
            }
            self.push(":")?;
        }
        self.value(item, cursor)?;
        self.way.pop();
        Ok(())
    }

    fn float(&mut self, float: f64) -> Result<(), JsonError> {
        match serde_json::Number::from_f64(float) {
            Some(number) => self.push(&number.to_string()),
            None if self.strictness == Strictness::Lossy => self.push("null"),
            None => Err(self.no_json("is not a finite number")),
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), JsonError> {
        if self.out.len().saturating_add(text.len()) > self.most {
            return Err(JsonError::TooLarge);
        }
        let text = match (std::str::from_utf8(text), self.strictness) {
            (Ok(text), _) => text.into(),
            (Err(_), Strictness::Lossy) => String::from_utf8_lossy(text),
            (Err(_), Strictness::Strict) => return Err(self.no_json("is not UTF-8")),
        };
        let quoted = serde_json::to_string(&text).map_err(|error| JsonError::NoJson(error.to_string()))?;
        self.push(&quoted)
    }

    fn no_json(&self, what: &str) -> JsonError {
        let place: String = self.way.iter().map(|key| step(*key)).collect();
        JsonError::NoJson(format!("{place} {what}"))
    }

    fn push(&mut self, text: &str) -> Result<(), JsonError> {
        if self.out.len().saturating_add(text.len()) > self.most {
            return Err(JsonError::TooLarge);
        }
        self.out.push_str(text);
        Ok(())
    }
}
