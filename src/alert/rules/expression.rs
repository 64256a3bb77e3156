//! The subset of PromQL that alerts are written in: one series or a function of its last minutes, compared with a number.
//!
//! ```text
//! expression = value comparison number | number comparison value | "(" expression ")"
//! value      = selector | function "(" selector "[" duration "]" ")"
//!            | "quantile_over_time" "(" quantile "," selector "[" duration "]" ")" | "(" value ")"
//! selector   = metric [ "{" [ label "=" text { "," label "=" text } [ "," ] ] "}" ]
//! ```

use std::time::Duration;

use super::duration;
use super::lexer::{Outside, Spot, Word, words};
use super::yaml::brief;
use crate::alert::condition::{Comparison, Condition, finite};
use crate::alert::rule::{Rule, is_metric_name};
use crate::stats::{Selector, Stat};

/// What is expected of an expression, in words.
pub(super) const EXPECTED: &str = "a metric with labels, or a function of it over a range, compared with a number, such \
     as rate(requests_total{job=\"a\"}[5m]) > 3";

/// The longest expression, in bytes.
const LONGEST: usize = 4096;

/// The most brackets around a value.
const DEEPEST: usize = 16;

/// The functions over a range, and what they are here.
const FUNCTIONS: [(&str, Stat); 11] = [
    ("rate", Stat::Rate),
    ("increase", Stat::Increase),
    ("delta", Stat::Delta),
    ("deriv", Stat::Slope),
    ("avg_over_time", Stat::Mean),
    ("min_over_time", Stat::Min),
    ("max_over_time", Stat::Max),
    ("sum_over_time", Stat::Sum),
    ("count_over_time", Stat::Count),
    ("stddev_over_time", Stat::StdDev),
    ("last_over_time", Stat::Last),
];

/// The function with two parameters.
const QUANTILE: &str = "quantile_over_time";

/// What makes one value of many.
const AGGREGATIONS: [&str; 15] = [
    "sum",
    "min",
    "max",
    "avg",
    "group",
    "stddev",
    "stdvar",
    "count",
    "count_values",
    "bottomk",
    "topk",
    "quantile",
    "limitk",
    "limit_ratio",
    "mad",
];

/// What is looked at, how, and what of it is bad.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    pub(super) metric: String,
    pub(super) labels: Selector,
    pub(super) stat: Stat,
    pub(super) range: Duration,
    pub(super) condition: Condition,
}

/// Takes `text` as an expression of the subset.
pub(super) fn parse(text: &str) -> Result<Expression, Outside> {
    if text.len() > LONGEST {
        return Err(Outside { offset: 0, what: format!("an expression of more than {LONGEST} bytes") });
    }
    let mut parser = Parser { spots: words(text)?, at: 0 };
    let expression = parser.expression(0)?;
    parser.end()?;
    Ok(expression)
}

/// The value side of an expression.
struct Measure {
    metric: String,
    labels: Selector,
    stat: Stat,
    range: Duration,
}

struct Parser {
    spots: Vec<Spot>,
    at: usize,
}

impl Parser {
    fn word(&self) -> &Word {
        self.spots.get(self.at).map_or(&Word::End, |spot| &spot.word)
    }

    fn after(&self) -> &Word {
        self.spots.get(self.at + 1).map_or(&Word::End, |spot| &spot.word)
    }

    fn offset(&self) -> usize {
        self.spots.get(self.at).or(self.spots.last()).map_or(0, |spot| spot.offset)
    }

    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, Outside> {
        Err(Outside { offset: self.offset(), what: what.into() })
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let takes = *self.word() == Word::Sign(sign);
        self.at += usize::from(takes);
        takes
    }

    fn needs(&mut self, sign: &'static str) -> Result<(), Outside> {
        if self.takes(sign) { Ok(()) } else { self.refuse(format!("{} where {sign} belongs", self.shown())) }
    }

    /// The word at hand, for a person.
    fn shown(&self) -> String {
        match self.word() {
            Word::Name(text) | Word::Number(text) => brief(text),
            Word::Text(text) => brief(&format!("{text:?}")),
            Word::Sign(sign) => (*sign).to_owned(),
            Word::End => "the end".to_owned(),
        }
    }

    fn end(&self) -> Result<(), Outside> {
        match self.word() {
            Word::End => Ok(()),
            _ => self.refuse(self.operator().unwrap_or_else(|| format!("{} behind the comparison", self.shown()))),
        }
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, Outside> {
        if *self.word() == Word::Sign("(") && self.holds_comparison() {
            if depth == DEEPEST {
                return self.refuse("more than 16 brackets");
            }
            self.at += 1;
            let inner = self.expression(depth + 1)?;
            if let Some(operator) = self.operator() {
                return self.refuse(operator);
            }
            self.needs(")")?;
            return Ok(inner);
        }
        if self.begins_number() {
            let threshold = self.number()?;
            let comparison = self.comparison()?.mirrored();
            if self.begins_number() {
                return self.refuse("a comparison of two numbers");
            }
            let measure = self.measure(0)?;
            return Ok(expression(measure, Condition { comparison, threshold }));
        }
        let measure = self.measure(0)?;
        let comparison = self.comparison()?;
        if !self.begins_number() {
            return self.refuse(format!("a comparison with {} instead of a number", self.shown()));
        }
        Ok(expression(measure, Condition { comparison, threshold: self.number()? }))
    }

    /// Whether there is a comparison within the bracket that opens here, but for those in braces.
    fn holds_comparison(&self) -> bool {
        let mut level = 0usize;
        for spot in self.spots.iter().skip(self.at) {
            match spot.word {
                Word::Sign("(" | "{") => level += 1,
                Word::Sign(")" | "}") if level <= 1 => return false,
                Word::Sign(")" | "}") => level -= 1,
                Word::Sign(">" | ">=" | "<" | "<=" | "==") => return true,
                Word::Sign("!=") if level == 1 => return true,
                _ => {}
            }
        }
        false
    }

    fn begins_number(&self) -> bool {
        match self.word() {
            Word::Number(_) => true,
            Word::Sign("-" | "+") => matches!(self.after(), Word::Number(_)),
            _ => false,
        }
    }

    fn number(&mut self) -> Result<f64, Outside> {
        let is_negative = self.takes("-");
        if !is_negative {
            self.takes("+");
        }
        let Word::Number(text) = self.word() else { return self.refuse(format!("{} as a number", self.shown())) };
        let Some(number) = finite(text) else {
            return self.refuse(format!("the number {}", brief(text)));
        };
        self.at += 1;
        Ok(if is_negative { -number } else { number })
    }

    fn comparison(&mut self) -> Result<Comparison, Outside> {
        let found = match self.word() {
            Word::Sign(sign) => Comparison::ALL.into_iter().find(|comparison| comparison.as_str() == *sign),
            Word::End => return self.refuse("no comparison"),
            _ => None,
        };
        let Some(comparison) = found else {
            return self
                .refuse(self.operator().unwrap_or_else(|| format!("{} where a comparison belongs", self.shown())));
        };
        self.at += 1;
        match self.word() {
            Word::Name(name) if name == "bool" => self.refuse("the modifier bool"),
            _ => Ok(comparison),
        }
    }

    fn measure(&mut self, depth: usize) -> Result<Measure, Outside> {
        if depth > DEEPEST {
            return self.refuse("more than 16 brackets");
        }
        if self.takes("(") {
            let measure = self.measure(depth + 1)?;
            if let Some(operator) = self.operator() {
                return self.refuse(operator);
            }
            self.needs(")")?;
            return Ok(measure);
        }
        let measure = match (self.word().clone(), self.after()) {
            (Word::Name(name), Word::Sign("(")) => self.function(&name)?,
            (Word::Name(name), _) if AGGREGATIONS.contains(&name.as_str()) && self.is_aggregation() => {
                return self.refuse(format!("the aggregation {name}"));
            }
            _ => {
                let (metric, labels) = self.selector()?;
                if *self.word() == Word::Sign("[") {
                    return self.refuse("a range without a function");
                }
                Measure { metric, labels, stat: Stat::Last, range: Rule::DEFAULT_RANGE }
            }
        };
        match self.modifier() {
            Some(modifier) => self.refuse(modifier),
            None => Ok(measure),
        }
    }

    /// Whether the name at hand is followed by `by` or `without`.
    fn is_aggregation(&self) -> bool {
        matches!(self.after(), Word::Name(name) if name == "by" || name == "without")
    }

    /// `function(selector[range])`.
    fn function(&mut self, name: &str) -> Result<Measure, Outside> {
        if AGGREGATIONS.contains(&name) {
            return self.refuse(format!("the aggregation {name}"));
        }
        let known = FUNCTIONS.iter().find(|(function, _)| *function == name).map(|(_, stat)| *stat);
        if known.is_none() && name != QUANTILE {
            return self.refuse(format!("the function {}", brief(name)));
        }
        self.at += 2;
        let stat = match known {
            Some(stat) => stat,
            None => self.quantile()?,
        };
        if matches!(self.after(), Word::Sign("(")) {
            return self.refuse(format!("{}(…) within {name}(…)", self.shown()));
        }
        let (metric, labels) = self.selector()?;
        if !self.takes("[") {
            return self.refuse(format!("{name}(…) without a range such as [5m]"));
        }
        let range = match self.word() {
            Word::Number(text) => duration::parse(text).filter(|range| !range.is_zero()),
            _ => None,
        };
        let Some(range) = range else {
            return self.refuse(format!("the range [{}]", self.shown()));
        };
        self.at += 1;
        if *self.word() == Word::Sign(":") {
            return self.refuse("a subquery ([…:…])");
        }
        self.needs("]")?;
        if let Some(modifier) = self.modifier() {
            return self.refuse(modifier);
        }
        self.needs(")")?;
        Ok(Measure { metric, labels, stat, range })
    }

    /// The first parameter of [`QUANTILE`] with its comma.
    fn quantile(&mut self) -> Result<Stat, Outside> {
        let start = self.at;
        let quantile = self.number()?;
        let known = [(0.5, Stat::P50), (0.95, Stat::P95), (0.99, Stat::P99)];
        let Some((_, stat)) = known.into_iter().find(|(known, _)| *known == quantile) else {
            self.at = start;
            return self.refuse(format!("the quantile {quantile}; known are 0.5, 0.95 and 0.99"));
        };
        self.needs(",")?;
        Ok(stat)
    }

    /// `metric{label="value",…}`.
    fn selector(&mut self) -> Result<(String, Selector), Outside> {
        let Word::Name(metric) = self.word().clone() else {
            return self.refuse(match self.word() {
                Word::Sign("{") => "a selector without the name of a metric".to_owned(),
                Word::Sign("-" | "+") => "a sign in front of a value".to_owned(),
                _ => format!("{} where a metric belongs", self.shown()),
            });
        };
        if !is_metric_name(&metric) {
            return self.refuse(format!("the name {} of a metric", brief(&metric)));
        }
        let start = self.at;
        self.at += 1;
        let mut pairs = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                pairs.push(self.matcher()?);
                if !self.takes(",") {
                    self.needs("}")?;
                    break;
                }
            }
        }
        match Selector::from_pairs(pairs) {
            Ok(labels) => Ok((metric, labels)),
            Err(error) => {
                self.at = start;
                self.refuse(format!("labels that can be none ({error})"))
            }
        }
    }

    fn matcher(&mut self) -> Result<(String, String), Outside> {
        let Word::Name(label) = self.word().clone() else {
            return self.refuse(format!("{} where a label belongs", self.shown()));
        };
        self.at += 1;
        if let Word::Sign(sign @ ("!=" | "=~" | "!~")) = *self.word() {
            return self.refuse(format!("the matcher {sign}; labels are matched by = alone"));
        }
        self.needs("=")?;
        let Word::Text(value) = self.word().clone() else {
            return self.refuse(format!("{} where the text of a label belongs", self.shown()));
        };
        self.at += 1;
        Ok((label, value))
    }

    /// What looks at another time.
    fn modifier(&self) -> Option<String> {
        match self.word() {
            Word::Name(name) if name == "offset" => Some("the modifier offset".to_owned()),
            Word::Sign("@") => Some("the modifier @".to_owned()),
            _ => None,
        }
    }

    /// The operator at hand, where it is one that joins values.
    fn operator(&self) -> Option<String> {
        match self.word() {
            Word::Name(name) if matches!(name.as_str(), "and" | "or" | "unless") => {
                Some(format!("the operator {name}"))
            }
            Word::Name(name) if name == "atan2" => Some("arithmetic (atan2)".to_owned()),
            Word::Sign(sign @ ("+" | "-" | "*" | "/" | "%" | "^")) => Some(format!("arithmetic ({sign})")),
            Word::Sign(sign @ (">" | ">=" | "<" | "<=" | "==" | "!=")) => Some(format!("a second comparison ({sign})")),
            _ => None,
        }
    }
}

fn expression(measure: Measure, condition: Condition) -> Expression {
    let Measure { metric, labels, stat, range } = measure;
    Expression { metric, labels, stat, range, condition }
}
