//! `when = "> 0.9"`: which values are bad.

use std::fmt;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    Different,
}

impl Comparison {
    /// Every comparison. Where one spelling begins another, the longer one is first.
    pub const ALL: [Self; 6] = [Self::AtLeast, Self::AtMost, Self::Equal, Self::Different, Self::Above, Self::Below];

    /// Its spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::Different => "!=",
        }
    }

    /// The comparison `b ? a` that says what `a ? b` says by this one.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Equal | Self::Different => self,
        }
    }
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// How the value is compared.
    pub comparison: Comparison,
    /// With what: a finite number.
    pub threshold: f64,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It begins with no comparison.
    #[error("it does not begin with >, >=, <, <=, == or !=")]
    NoComparison,
    /// What follows is no number.
    #[error("{0:?} is no finite number")]
    NoNumber(String),
}

impl Condition {
    /// Takes `text`: a comparison and a finite number, with or without blanks around them.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        let found = Comparison::ALL.into_iter().find_map(|comparison| {
            let number = text.strip_prefix(comparison.as_str())?;
            Some((comparison, number.trim()))
        });
        let (comparison, number) = found.ok_or(ConditionError::NoComparison)?;
        let refused = || ConditionError::NoNumber(number.chars().take(40).collect());
        Ok(Self { comparison, threshold: finite(number).ok_or_else(refused)? })
    }

    /// Whether it is true of `value`. Nothing is true of what is not a number.
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Above => value > self.threshold,
            Comparison::AtLeast => value >= self.threshold,
            Comparison::Below => value < self.threshold,
            Comparison::AtMost => value <= self.threshold,
            Comparison::Equal => value == self.threshold,
            Comparison::Different => !value.is_nan() && value != self.threshold,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), number(self.threshold))
    }
}

/// The finite number that `text` is in digits, with a sign, a fraction or an exponent where wanted.
pub(super) fn finite(text: &str) -> Option<f64> {
    let fits = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let number = text.bytes().all(fits).then(|| text.parse::<f64>().ok())?;
    number.filter(|number| number.is_finite())
}

/// `value` as a person reads it: never hundreds of digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let is_plain = !value.is_finite() || size == 0.0 || (1e-5..1e15).contains(&size);
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_comparison_is_true_where_it_says_so() {
        for (text, below, equal, above) in [
            ("> 1.5", false, false, true),
            (">=1.5", false, true, true),
            ("<\t1.5 ", true, false, false),
            ("<= +1.5", true, true, false),
            (" == 15e-1", false, true, false),
            ("!= 1.5", true, false, true),
        ] {
            let condition = Condition::parse(text).unwrap();
            let found = [1.4, 1.5, 1.6, f64::NAN].map(|value| condition.holds(value));
            assert_eq!(found, [below, equal, above, false], "{text}");
            assert_eq!(Condition::parse(&condition.to_string()), Ok(condition));
        }
    }

    #[test]
    fn what_is_no_condition_says_why() {
        for (text, why) in [
            ("", "it does not begin with >, >=, <, <=, == or !="),
            ("0.9", "it does not begin with >, >=, <, <=, == or !="),
            ("= 1", "it does not begin with >, >=, <, <=, == or !="),
            (">", "\"\" is no finite number"),
            ("> > 1", "\"> 1\" is no finite number"),
            (">> 1", "\"> 1\" is no finite number"),
            ("> 90%", "\"90%\" is no finite number"),
            ("> nan", "\"nan\" is no finite number"),
            ("> inf", "\"inf\" is no finite number"),
            ("> 1e999", "\"1e999\" is no finite number"),
            ("> 1 2", "\"1 2\" is no finite number"),
        ] {
            assert_eq!(Condition::parse(text).unwrap_err().to_string(), why, "{text}");
        }
    }

    #[test]
    fn a_mirrored_comparison_says_the_same_from_the_other_side() {
        for comparison in Comparison::ALL {
            for (left, right) in [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)] {
                let one = Condition { comparison, threshold: right }.holds(left);
                let other = Condition { comparison: comparison.mirrored(), threshold: left }.holds(right);
                assert_eq!(one, other, "{left} {} {right}", comparison.as_str());
            }
        }
    }

    proptest! {
        #[test]
        fn any_finite_number_comes_back(threshold in -1e300..1e300f64, at in 0..6usize) {
            let condition = Condition { comparison: Comparison::ALL[at], threshold };
            let text = condition.to_string();
            prop_assert_eq!(Condition::parse(&text), Ok(condition));
            prop_assert!(text.len() < 40, "{}", text);
        }

        #[test]
        fn any_text_is_a_condition_or_is_not(text in "[<>=!]{0,3} ?[0-9a-z.+-]{0,6}|.{0,20}") {
            if let Ok(condition) = Condition::parse(&text) {
                prop_assert!(condition.threshold.is_finite());
            }
        }
    }
}
