//! Which series of a metric are meant.

use std::fmt;

use super::labels::{self, LabelError, Labels};

/// Pairs of label and value, which a series must have all; it may have others besides.
///
/// An empty value asks for series that lack the label. Without any pair it takes every series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<(String, String)>);

impl Selector {
    /// Reads `a="x",b="y"` as [`Labels::parse`] does.
    ///
    /// # Errors
    /// The text is not written so, or a pair cannot be that of a label.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        Self::from_pairs(labels::parse_pairs(text)?)
    }

    /// A selector of these pairs, in any order.
    ///
    /// # Errors
    /// As with [`Labels::from_pairs`].
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, LabelError> {
        Ok(Self(labels::checked(pairs)?.into_iter().collect()))
    }

    /// Whether a series with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.iter().all(|(name, value)| labels.get(name).unwrap_or_default() == value)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Writes `a="x",b="y"`, which [`Selector::parse`] reads.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        labels::write_pairs(f, self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_asks_for_every_pair_and_for_nothing_else() {
        let labels = Labels::parse(r#"job="a",process="p1""#).unwrap();
        for (text, expected) in [
            ("", true),
            (r#"job="a""#, true),
            (r#"process="p1",job="a""#, true),
            (r#"job="b""#, false),
            (r#"job="a",process="p2""#, false),
            (r#"job="a",zone="x""#, false),
            (r#"zone="""#, true),
            (r#"job="""#, false),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{text}");
            assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
        }
        assert_eq!(Selector::parse(r#"a="x",a="""#), Err(LabelError::Twice { name: "a".into() }));
    }
}
