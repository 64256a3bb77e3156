//! `[[alert]]`: which series are looked at, what of them is bad, and who is told how often.

use std::time::Duration;

use super::condition::Condition;
use super::template::Annotation;
use crate::stats::{Labels, MAX_NAME, Selector, Stat};

/// The receiver that is always there: the log.
pub const LOG: &str = "log";

/// What becomes of an alert whose series is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The same as with a value that is good.
    #[default]
    Resolve,
    /// It stays as it is until there is a value again.
    Keep,
}

impl OnMissing {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Resolve, Self::Keep];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Keep => "keep",
        }
    }
}

/// When somebody is to be told what.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name. Rules of rule files may share one.
    pub name: String,
    /// The metric whose series are looked at.
    pub metric: String,
    /// Which of them.
    pub labels: Selector,
    /// What of their samples is looked at.
    pub stat: Stat,
    /// How far back samples count.
    pub range: Duration,
    /// Which values are bad.
    pub condition: Condition,
    /// How long a value must be bad before the alert fires (`for`).
    pub hold: Duration,
    /// How long it fires on after the last bad value.
    pub keep_firing_for: Duration,
    /// How often it is told again while it fires.
    pub cooldown: Duration,
    /// How bad that is: `warning`, `critical`, or whatever the receivers know.
    pub severity: String,
    /// Labels that its alerts have besides those of the series; they win over these.
    pub own_labels: Labels,
    /// Texts for a person.
    pub annotations: Vec<Annotation>,
    /// Who is told, by name.
    pub receivers: Vec<String>,
    /// What becomes of an alert whose series is gone.
    pub on_missing: OnMissing,
}

impl Rule {
    /// How far back samples count where a rule doesn't say: so far back is the newest sample looked for.
    pub const DEFAULT_RANGE: Duration = Duration::from_secs(5 * 60);

    /// How often a firing alert is told again where its rule doesn't say.
    pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(60);

    /// How bad an alert is where its rule doesn't say.
    pub const DEFAULT_SEVERITY: &str = "warning";

    /// The most annotations of a rule.
    pub const MOST_ANNOTATIONS: usize = 32;

    /// Whether an alert of `other` is an alert of this rule: it goes by the same name, severity and labels, and looks at
    /// the same in the same way. How long it waits, who is told, how often and in which words may differ.
    pub fn continues(&self, other: &Self) -> bool {
        self.name == other.name
            && self.metric == other.metric
            && self.labels == other.labels
            && self.stat == other.stat
            && self.range == other.range
            && self.condition == other.condition
            && self.severity == other.severity
            && self.own_labels == other.own_labels
    }
}

/// Whether a metric can be called that.
pub fn is_metric_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(fits)
}

/// Whether an alert, an annotation or a severity can be called that.
pub(super) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
}
