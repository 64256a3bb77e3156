//! The text format 0.0.4, which every Prometheus reads.

use std::fmt::{self, Write};

use super::Family;
use crate::metrics::Kind;

/// The families as text of version 0.0.4.
///
/// It differs from OpenMetrics where that is younger: `HELP` and `TYPE` of a counter and an info carry the name of their
/// samples, an info is a gauge, what is unknown is untyped, and there is neither `UNIT` nor `EOF`.
pub fn text_0_0_4(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        // Writing to a string cannot fail.
        let _ = write_family(&mut text, family);
    }
    text
}

fn write_family(text: &mut String, family: &Family) -> fmt::Result {
    let shown = family.shown();
    let kind = match family.kind {
        Kind::Info => "gauge",
        Kind::Unknown => "untyped",
        kind => kind.name(),
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    writeln!(text, "# HELP {shown} {help}\n# TYPE {shown} {kind}")?;
    for sample in &family.samples {
        write!(text, "{}{}", family.name, sample.suffix)?;
        if !sample.labels.is_empty() {
            write!(text, "{{{}}}", sample.labels)?;
        }
        writeln!(text, " {}", Number(sample.value))?;
    }
    Ok(())
}

/// A number as Prometheus writes it: whole ones without a point, and `+Inf`, `-Inf` and `NaN`.
pub(super) struct Number(pub(super) f64);

impl Number {
    /// The number if it is a whole one, and one that nothing was rounded to.
    pub(super) fn whole(&self) -> Option<i64> {
        /// Up to here every whole number is one of its own.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        (self.0.fract() == 0.0 && self.0.abs() <= EXACT).then_some(self.0 as i64)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => match self.whole() {
                Some(whole) => write!(f, "{whole}"),
                None => write!(f, "{value:?}"),
            },
        }
    }
}
