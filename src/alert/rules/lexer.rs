//! An expression as a list of words.

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name, which may hold colons.
    Name(String),
    /// Digits and what goes with them: a number or a duration, as it stands there.
    Number(String),
    /// What stands in quotes, its escapes resolved.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end.
    End,
}

/// A word and how many characters precede it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) word: Word,
    pub(super) offset: usize,
}

/// What in an expression is outside the subset, and how many characters precede it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outside {
    pub(super) offset: usize,
    pub(super) what: String,
}

/// Where one sign begins another, the longer one is first.
const SIGNS: [&str; 26] = [
    "==", "!=", ">=", "<=", "=~", "!~", ">", "<", "=", "(", ")", "{", "}", "[", "]", ",", "+", "-", "*", "/", "%", "^",
    "@", ":", "$", "!",
];

/// The words of `text`, with [`Word::End`] as the last.
pub(super) fn words(text: &str) -> Result<Vec<Spot>, Outside> {
    let chars: Vec<char> = text.chars().collect();
    let (mut spots, mut at) = (Vec::new(), 0);
    while let Some(first) = chars.get(at) {
        if first.is_whitespace() {
            at += 1;
        } else if *first == '#' {
            at += length(&chars[at..], |c| c != '\n');
        } else {
            let (word, length) = word(&chars[at..]).map_err(|what| Outside { offset: at, what })?;
            spots.push(Spot { word, offset: at });
            at += length;
        }
    }
    spots.push(Spot { word: Word::End, offset: chars.len() });
    Ok(spots)
}

/// The word that `chars` begin with, and its length.
fn word(chars: &[char]) -> Result<(Word, usize), String> {
    let first = chars.first().copied().unwrap_or_default();
    let text = |length: usize| chars.iter().take(length).collect::<String>();
    if first.is_ascii_alphabetic() || first == '_' {
        let length = length(chars, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        return Ok((Word::Name(text(length)), length));
    }
    if first.is_ascii_digit() || first == '.' {
        let length = number(chars);
        return Ok((Word::Number(text(length)), length));
    }
    if matches!(first, '"' | '\'' | '`') {
        return quoted(chars, first);
    }
    let sign = SIGNS.into_iter().find(|sign| sign.chars().eq(chars.iter().take(sign.len()).copied()));
    sign.map(|sign| (Word::Sign(sign), sign.len())).ok_or_else(|| format!("the character {first:?}"))
}

fn length(chars: &[char], fits: impl Fn(char) -> bool) -> usize {
    chars.iter().take_while(|c| fits(**c)).count()
}

/// How long the number is that `chars` begin with: digits, letters, points, and the sign of an exponent.
fn number(chars: &[char]) -> usize {
    let mut before = ' ';
    let fits = |c: &char| {
        let is_exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        before = *c;
        c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || is_exponent_sign
    };
    chars.iter().map_while(|c| Some(c).copied()).take_while(fits).count()
}

fn quoted(chars: &[char], quote: char) -> Result<(Word, usize), String> {
    let mut text = String::new();
    let mut rest = chars.iter().copied().enumerate().skip(1);
    while let Some((at, c)) = rest.next() {
        match c {
            c if c == quote => return Ok((Word::Text(text), at + 1)),
            '\\' if quote != '`' => match rest.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                Some((_, c)) => return Err(format!("the escape \\{c} in a text")),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err("a text without its closing quote".to_owned())
}
