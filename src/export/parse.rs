//! Reads back what the registry's encoder writes.

use thiserror::Error;

use super::{Family, Sample};
use crate::metrics::Kind;
use crate::stats::Labels;

/// Why a text is not what the encoder writes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the metrics: {expected} is missing")]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
}

/// The families of an OpenMetrics text, in its order.
///
/// # Errors
/// The text is not as the encoder writes it: first `HELP`, `TYPE` and perhaps `UNIT` of a metric, then its samples without
/// timestamps, and at the end `# EOF`. Exemplars are passed over.
pub fn families(text: &str) -> Result<Vec<Family>, ParseError> {
    let mut families: Vec<Family> = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut count = 0;
    for (at, line) in lines.by_ref() {
        count = at + 1;
        if line == "# EOF" {
            return match lines.next() {
                None => Ok(families),
                Some((at, _)) => Err(ParseError { line: at + 1, expected: "the end" }),
            };
        }
        read(line, &mut families).map_err(|expected| ParseError { line: at + 1, expected })?;
    }
    Err(ParseError { line: count + 1, expected: "# EOF" })
}

fn read(line: &str, families: &mut Vec<Family>) -> Result<(), &'static str> {
    let Some(comment) = line.strip_prefix("# ") else {
        let family = families.last_mut().ok_or("the HELP of a metric")?;
        family.samples.push(sample(line, family)?);
        return Ok(());
    };
    let (word, rest) = comment.split_once(' ').ok_or("a HELP, TYPE or UNIT")?;
    let (name, said) = rest.split_once(' ').ok_or("a text behind the metric's name")?;
    if word == "HELP" {
        let (name, help) = (name.to_owned(), said.to_owned());
        families.push(Family { name, kind: Kind::Unknown, help, unit: None, samples: Vec::new() });
        return Ok(());
    }
    let family = families.last_mut().filter(|family| family.name == name).ok_or("the HELP of this metric")?;
    match word {
        "TYPE" => family.kind = Kind::parse(said).ok_or("a known type")?,
        "UNIT" => family.unit = Some(said.to_owned()),
        _ => return Err("a HELP, TYPE or UNIT"),
    }
    Ok(())
}

fn sample(line: &str, family: &Family) -> Result<Sample, &'static str> {
    let rest = line.strip_prefix(family.name.as_str()).ok_or("a sample of the metric above")?;
    let end = rest.find(['{', ' ']).ok_or("a value")?;
    let (suffix, rest) = rest.split_at(end);
    let fits = match family.kind {
        Kind::Histogram => ["_bucket", "_count", "_sum"].contains(&suffix),
        kind => kind.suffix() == suffix,
    };
    if !fits {
        return Err("a sample of the metric above");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => {
            let end = closing_brace(inner).ok_or("a closing brace")?;
            (Labels::parse(&inner[..end]).map_err(|_| "a right set of labels")?, &inner[end + 1..])
        }
        None => (Labels::default(), rest),
    };
    let rest = rest.strip_prefix(' ').ok_or("a blank before the value")?;
    let value = rest.split_once(' ').map_or(rest, |(value, _)| value);
    let value = value.parse().map_err(|_| "a number")?;
    Ok(Sample { suffix: suffix.to_owned(), labels, value })
}

/// Where the first brace outside quotes closes.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.bytes().position(|byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'}' => return !is_quoted,
            _ => {}
        }
        false
    })
}
