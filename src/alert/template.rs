//! Annotations: texts for a person, with places for what was measured.

use std::fmt;

use super::condition::number;
use crate::stats::Labels;

/// The longest template, in bytes.
const LONGEST: usize = 4096;

/// The longest text that a template becomes, in bytes.
const LONGEST_TEXT: usize = 16 << 10;

/// A named text about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, such as `summary`.
    pub name: String,
    /// Its text.
    pub text: Template,
}

/// A text in which `{{ $value }}` stands for the value and `{{ $labels.name }}` for a label, nothing where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value,
    Label(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder has no end.
    #[error("a {{{{ has no }}}} behind it")]
    Open,
    /// A placeholder of another kind.
    #[error("the placeholder {{{{{0}}}}} is outside the subset: known are {{{{ $value }}}} and {{{{ $labels.name }}}}")]
    Unknown(String),
    /// The text is too long.
    #[error("it is longer than 4096 bytes")]
    TooLong,
}

impl Template {
    /// Takes `source`, of at most 4096 bytes.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > LONGEST {
            return Err(TemplateError::TooLong);
        }
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((before, opened)) = rest.split_once("{{") {
            let (inside, after) = opened.split_once("}}").ok_or(TemplateError::Open)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(placeholder(inside)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// The text for a series with these labels and this value. At most 16 KiB; what is longer is cut.
    pub fn render(&self, labels: &Labels, value: Option<f64>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value => text.push_str(&value.map(number).unwrap_or_default()),
                Part::Label(name) => text.push_str(labels.get(name).unwrap_or_default()),
            }
            if text.len() > LONGEST_TEXT {
                text.truncate(text.floor_char_boundary(LONGEST_TEXT));
                break;
            }
        }
        text
    }

    /// Whether it holds a placeholder.
    pub fn has_placeholders(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Text(_)))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

fn placeholder(inside: &str) -> Result<Part, TemplateError> {
    let refused = || TemplateError::Unknown(inside.chars().take(40).collect());
    let inside = inside.trim();
    if inside == "$value" {
        return Ok(Part::Value);
    }
    let name = inside.strip_prefix("$labels.").ok_or_else(refused)?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(Part::Label(name.to_owned())) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn placeholders_stand_for_the_value_and_the_labels() {
        let labels = Labels::parse(r#"process="a b",host="{{ $value }}""#).unwrap();
        for (source, value, expected) in [
            ("", Some(1.0), ""),
            ("plain } { text", Some(1.0), "plain } { text"),
            ("{{ $value }} of {{$labels.process}}!", Some(0.25), "0.25 of a b!"),
            ("{{ $value }}{{ $value }}", Some(1e300), "1e3001e300"),
            ("[{{ $value }}]", None, "[]"),
            ("[{{ $labels.other }}]", None, "[]"),
            ("{{ $labels.host }}", Some(1.0), "{{ $value }}"),
        ] {
            let template = Template::parse(source).unwrap();
            assert_eq!(template.render(&labels, value), expected, "{source}");
            assert_eq!(template.to_string(), source);
            assert_eq!(template.has_placeholders(), source.contains("{{"), "{source}");
        }
    }

    #[test]
    fn what_is_outside_the_subset_is_refused_by_name() {
        for (source, why) in [
            ("a {{ b", "a {{ has no }} behind it"),
            (
                "{{ $value | humanize }}",
                "the placeholder {{ $value | humanize }} is outside the subset: known are {{ $value }} and \
                 {{ $labels.name }}",
            ),
            (
                "{{ .Value }}",
                "the placeholder {{ .Value }} is outside the subset: known are {{ $value }} and {{ $labels.name }}",
            ),
            (
                "{{ $labels.1 }}",
                "the placeholder {{ $labels.1 }} is outside the subset: known are {{ $value }} and {{ $labels.name }}",
            ),
        ] {
            assert_eq!(Template::parse(source).unwrap_err().to_string(), why);
        }
        assert_eq!(Template::parse(&"x".repeat(4097)), Err(TemplateError::TooLong));
    }

    #[test]
    fn what_a_template_becomes_is_bounded() {
        let labels = Labels::from_pairs([("a".to_owned(), "ä".repeat(500))]).unwrap();
        let text = Template::parse(&"{{$labels.a}}x".repeat(200)).unwrap().render(&labels, None);
        assert!((LONGEST_TEXT - 1..=LONGEST_TEXT).contains(&text.len()), "{}", text.len());
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_is_not(source in "([{} a-z.$]|\\$value|\\$labels\\.a|\\{\\{|\\}\\}){0,12}|.{0,40}") {
            if let Ok(template) = Template::parse(&source) {
                prop_assert!(template.has_placeholders() == source.contains("{{"));
            }
        }
    }
}
