//! Plain data as bytes, one way only: equal data gives equal bytes.
//!
//! A version byte, then one value. A value is a tag and what belongs to it; a table is the values of its keys 1..n, an end
//! mark, its other keys with their values in order (numbers by value, then texts by bytes, then booleans), an end mark. A
//! table met again is a reference by the order of first visits, so that sharing survives. There are no cycles, and nothing
//! lies deeper than [`DEPTH_MOST`] tables.

use std::cmp::Ordering;

/// The first byte.
pub(super) const VERSION: u8 = 1;
/// How many tables may lie within each other.
pub(super) const DEPTH_MOST: u32 = 200;
/// The state of a process that has none yet: an empty table.
pub(super) const EMPTY: &[u8] = &[VERSION, tag::TABLE, tag::END, tag::END];

pub(super) mod tag {
    //! The first byte of each value.
    pub(in super::super) const END: u8 = 0;
    pub(in super::super) const NIL: u8 = 1;
    pub(in super::super) const FALSE: u8 = 2;
    pub(in super::super) const TRUE: u8 = 3;
    pub(in super::super) const INTEGER: u8 = 4;
    pub(in super::super) const FLOAT: u8 = 5;
    pub(in super::super) const TEXT: u8 = 6;
    pub(in super::super) const TABLE: u8 = 7;
    pub(in super::super) const REFERENCE: u8 = 8;
}

/// Why bytes are not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Written by another version.
    #[error("its format is {0:?}, this build reads {VERSION}")]
    Version(Option<u8>),
    /// Not what the writer writes.
    #[error("byte {at}: {what}")]
    At {
        /// Where, from 0.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// A table's key. Only these have an order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    /// An integer.
    Integer(i64),
    /// A float that is no integer's value, and no NaN.
    Float(f64),
    /// A text.
    Text(&'a [u8]),
    /// A boolean.
    Boolean(bool),
}

impl Key<'_> {
    /// The canonical order: numbers by value, then texts by bytes, then booleans.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Integer(a), Self::Float(b)) => integer_to_float(*a, *b),
            (Self::Float(a), Self::Integer(b)) => integer_to_float(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// A number that is less only where the key is less: most comparisons need no more.
    pub(super) fn rough(&self) -> u64 {
        let number = |float: f64| {
            let bits = float.to_bits();
            if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
        };
        let within = match self {
            // The rounding keeps the order, and a zero has no sign.
            Self::Integer(integer) => number(*integer as f64),
            Self::Float(float) => number(*float),
            Self::Text(text) => {
                let mut first = [0; 8];
                first.iter_mut().zip(*text).for_each(|(to, from)| *to = *from);
                u64::from_be_bytes(first)
            }
            Self::Boolean(boolean) => u64::from(*boolean) << 63,
        };
        within >> 2 | u64::from(self.rank()) << 62
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Float(_) => 0,
            Self::Text(_) => 1,
            Self::Boolean(_) => 2,
        }
    }
}

/// Compares by value without rounding the integer.
fn integer_to_float(integer: i64, float: f64) -> Ordering {
    /// The least float above every integer.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    if float >= ABOVE {
        return Ordering::Less;
    }
    if float < -ABOVE {
        return Ordering::Greater;
    }
    let floor = float.floor();
    // Within the bounds the conversion is exact.
    integer.cmp(&(floor as i64)).then(if float > floor { Ordering::Less } else { Ordering::Equal })
}

/// One step of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a [u8]),
    /// A table begins: its values 1..n, [`Item::End`], keys and values, [`Item::End`].
    Table,
    /// The table that was the n-th to begin, from 0.
    Reference(usize),
    End,
}

/// Reads a value step by step. It owns nothing and cannot fail on bytes that [`check`] has passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the value behind the version byte.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first() {
            Some(&VERSION) => Ok(Self { bytes, at: 1 }),
            other => Err(Malformed::Version(other.copied())),
        }
    }

    /// The same bytes, read from `at`.
    pub(super) fn seek(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next step.
    pub(super) fn step(&mut self) -> Result<Item<'a>, Malformed> {
        let at = self.at;
        Ok(match self.byte()? {
            tag::END => Item::End,
            tag::NIL => Item::Nil,
            tag::FALSE => Item::Boolean(false),
            tag::TRUE => Item::Boolean(true),
            tag::INTEGER => Item::Integer(unzigzag(self.number()?)),
            tag::FLOAT => {
                let bytes = self.take(8)?.try_into().map_err(|_| self.bad("a float is cut off"))?;
                Item::Float(f64::from_bits(u64::from_le_bytes(bytes)))
            }
            tag::TEXT => {
                let length = usize::try_from(self.number()?).map_err(|_| self.bad("a text is too long"))?;
                Item::Text(self.take(length)?)
            }
            tag::TABLE => Item::Table,
            tag::REFERENCE => {
                Item::Reference(usize::try_from(self.number()?).map_err(|_| self.bad("a reference leads nowhere"))?)
            }
            _ => return Err(Malformed::At { at, what: "no value begins with this byte" }),
        })
    }

    fn bad(&self, what: &'static str) -> Malformed {
        Malformed::At { at: self.at, what }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or(self.bad("the bytes end too early"))?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(self.bad("a length is too big"))?;
        let taken = self.bytes.get(self.at..end).ok_or(self.bad("the bytes end too early"))?;
        self.at = end;
        Ok(taken)
    }

    /// A number in groups of seven bits, lowest first, in as few bytes as it needs.
    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                return Err(self.bad("a number is too big"));
            }
            number |= group << shift;
            if byte & 0x80 == 0 {
                let shortest = group != 0 || shift == 0;
                return if shortest { Ok(number) } else { Err(self.bad("a number is longer than it needs to be")) };
            }
        }
        Err(self.bad("a number is too long"))
    }
}

/// Appends a number as [`Reader`] reads it.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends an integer.
pub(super) fn write_integer(out: &mut Vec<u8>, integer: i64) {
    out.push(tag::INTEGER);
    write_number(out, zigzag(integer));
}

/// Appends a float, bit by bit.
pub(super) fn write_float(out: &mut Vec<u8>, float: f64) {
    out.push(tag::FLOAT);
    out.extend_from_slice(&float.to_bits().to_le_bytes());
}

/// Appends a text.
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(tag::TEXT);
    write_number(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn zigzag(integer: i64) -> u64 {
    ((integer << 1) ^ (integer >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What [`check`] learns of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether it is a table.
    pub(super) table: bool,
    /// Whether some table is referred to.
    pub(super) shared: bool,
    /// Its bytes, those of a table counted each time that it is referred to.
    pub(super) size: u64,
}

/// Looks whether `bytes` are one value as the writer writes it, to the last byte.
pub(super) fn check(bytes: &[u8]) -> Result<Shape, Malformed> {
    let mut check = Check { reader: Reader::new(bytes)?, tables: Vec::new(), shared: false };
    let table = bytes.get(1) == Some(&tag::TABLE);
    let item = check.reader.step()?;
    let measure = check.value(item, 0)?;
    if check.reader.at() != bytes.len() {
        return Err(check.reader.bad("something follows the value"));
    }
    Ok(Shape { table, shared: check.shared, size: measure.size.saturating_add(1) })
}

/// Size in bytes with references unfolded, and how many tables lie within each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) size: u64,
    pub(super) height: u32,
}

struct Check<'a> {
    reader: Reader<'a>,
    /// The tables that began, in order; `None` while one is open.
    tables: Vec<Option<Measure>>,
    shared: bool,
}

impl<'a> Check<'a> {
    fn value(&mut self, item: Item<'a>, depth: u32) -> Result<Measure, Malformed> {
        let size = |item: Item<'_>| match item {
            Item::Integer(integer) => 1 + number_length(zigzag(integer)),
            Item::Float(_) => 9,
            Item::Text(text) => 1 + number_length(text.len() as u64) + text.len() as u64,
            _ => 1,
        };
        match item {
            Item::Table => self.table(depth),
            Item::Reference(to) => {
                let measure = self.tables.get(to).copied().flatten();
                let measure = measure.ok_or(self.reader.bad("a reference leads nowhere"))?;
                if depth + measure.height > DEPTH_MOST {
                    return Err(self.reader.bad("tables lie too deep"));
                }
                self.shared = true;
                Ok(measure)
            }
            Item::Nil if depth > 0 => Err(self.reader.bad("a table holds nil")),
            Item::End => Err(self.reader.bad("a value is missing")),
            scalar => Ok(Measure { size: size(scalar), height: 0 }),
        }
    }

    fn table(&mut self, depth: u32) -> Result<Measure, Malformed> {
        if depth >= DEPTH_MOST {
            return Err(self.reader.bad("tables lie too deep"));
        }
        let index = self.tables.len();
        self.tables.push(None);
        let mut whole = Measure { size: 3, height: 0 };
        let mut take = |measure: Measure| {
            whole.size = whole.size.saturating_add(measure.size);
            whole.height = whole.height.max(measure.height);
        };
        let mut sequence = 0i64;
        loop {
            match self.reader.step()? {
                Item::End => break,
                item => take(self.value(item, depth + 1)?),
            }
            sequence += 1;
        }
        let mut last: Option<Key<'_>> = None;
        loop {
            let item = self.reader.step()?;
            let key = match item {
                Item::End => break,
                Item::Integer(key) if !(1..=sequence + 1).contains(&key) => Key::Integer(key),
                Item::Float(key) if !key.is_nan() && !is_integer(key) => Key::Float(key),
                Item::Text(key) => Key::Text(key),
                Item::Boolean(key) => Key::Boolean(key),
                _ => return Err(self.reader.bad("this is no key")),
            };
            if last.is_some_and(|last| last.compare(&key) != Ordering::Less) {
                return Err(self.reader.bad("keys are out of order"));
            }
            last = Some(key);
            take(self.value(item, depth + 1)?);
            let item = self.reader.step()?;
            take(self.value(item, depth + 1)?);
        }
        whole.height += 1;
        if let Some(table) = self.tables.get_mut(index) {
            *table = Some(whole);
        }
        Ok(whole)
    }
}

fn number_length(number: u64) -> u64 {
    u64::from((64 - number.leading_zeros()).div_ceil(7).max(1))
}

/// Whether a float has the value of an integer, so that Lua keeps the integer as the key.
fn is_integer(float: f64) -> bool {
    float.floor() == float && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_and_floats_are_ordered_by_value() {
        let ordered = [
            Key::Float(f64::NEG_INFINITY),
            Key::Integer(i64::MIN),
            Key::Float(-1.5),
            Key::Integer(-1),
            Key::Integer(0),
            Key::Float(0.5),
            Key::Integer(1),
            Key::Integer(i64::MAX - 1),
            Key::Integer(i64::MAX),
            Key::Float(9_223_372_036_854_775_808.0),
            Key::Float(f64::INFINITY),
            Key::Text(b""),
            Key::Text(b"10"),
            Key::Text(b"9"),
            Key::Text(b"\xff"),
            Key::Boolean(false),
            Key::Boolean(true),
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} and {b:?}");
                assert!(a.rough() == b.rough() || (a.rough() < b.rough()) == (i < j), "roughly {a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn what_is_not_written_so_is_not_read() {
        let table = |inner: &[u8]| [&[VERSION, tag::TABLE], inner].concat();
        let bad: &[(&[u8], Vec<u8>)] = &[
            (b"nothing", vec![]),
            (b"another version", vec![9, tag::NIL]),
            (b"no value", vec![VERSION]),
            (b"an end alone", vec![VERSION, tag::END]),
            (b"more than a value", vec![VERSION, tag::NIL, tag::NIL]),
            (b"a long number", vec![VERSION, tag::INTEGER, 0x80, 0]),
            (b"a huge text", [&[VERSION, tag::TEXT], &[0xff; 9][..], &[1]].concat()),
            (b"an open table", table(&[tag::END])),
            (b"nil in a table", table(&[tag::NIL, tag::END, tag::END])),
            (b"a reference to itself", table(&[tag::REFERENCE, 0, tag::END, tag::END])),
            (b"a key of the sequence", table(&[tag::END, tag::INTEGER, 2, tag::TRUE, tag::END])),
            (b"keys out of order", table(&[tag::END, tag::TRUE, tag::TRUE, tag::FALSE, tag::TRUE, tag::END])),
            (b"a key twice", table(&[tag::END, tag::TRUE, tag::TRUE, tag::TRUE, tag::TRUE, tag::END])),
            (b"a table as key", table(&[tag::END, tag::TABLE, 0, 0, tag::TRUE, tag::END])),
            (b"too deep", [vec![VERSION], vec![tag::TABLE; 201], vec![tag::END; 402]].concat()),
        ];
        for (what, bytes) in bad {
            assert!(check(bytes).is_err(), "{} was read", String::from_utf8_lossy(what));
        }
        assert_eq!(check(EMPTY), Ok(Shape { table: true, shared: false, size: 4 }));
        let deep = [vec![VERSION], vec![tag::TABLE; 200], vec![tag::END; 400]].concat();
        assert!(check(&deep).is_ok());
    }

    #[test]
    fn shared_tables_count_each_time() {
        // Each table holds the one before twice: 2^n bytes in n tables.
        let mut bytes = vec![VERSION, tag::TABLE, tag::TABLE, tag::END, tag::END];
        for index in 1..100u8 {
            bytes.extend([tag::TABLE, tag::REFERENCE, index, tag::REFERENCE, index, tag::END, tag::END]);
        }
        bytes.extend([tag::END, tag::END]);
        assert_eq!(check(&bytes).map(|shape| shape.size), Ok(u64::MAX));
    }

    proptest! {
        #[test]
        fn numbers_survive(integer in any::<i64>(), float in any::<f64>()) {
            let mut out = vec![VERSION];
            write_integer(&mut out, integer);
            prop_assert_eq!(check(&out).map(|shape| shape.size), Ok(out.len() as u64));
            let mut reader = Reader::new(&out)?;
            prop_assert_eq!(reader.step(), Ok(Item::Integer(integer)));
            let mut out = vec![VERSION];
            write_float(&mut out, float);
            let Ok(Item::Float(read)) = Reader::new(&out)?.step() else { panic!("no float") };
            prop_assert_eq!(read.to_bits(), float.to_bits());
        }

        #[test]
        fn any_bytes_are_refused_or_read_to_their_end(bytes in proptest::collection::vec(0u8..12, 0..60)) {
            let bytes = [&[VERSION], &bytes[..]].concat();
            if let Ok(shape) = check(&bytes) {
                prop_assert!(shape.shared || shape.size == bytes.len() as u64);
            }
        }
    }
}
