//! What stands behind the question mark.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::error::ApiError;
use crate::ids::{GroupName, MessageId, ProcessId, Slot};
use crate::process::{Order, PageQuery};
use crate::stats::Selector;
use crate::units::parse_duration;

/// Rows of a page where no limit is given.
const LIMIT: usize = 25;
/// The most rows of a page.
const LIMIT_MAX: usize = 1000;
/// A page of big records ends early, after so many bytes.
const PAGE_BYTES: u64 = 16 << 20;

/// The parameters that any call may take, each as the text that came. Unknown ones are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    sort: Option<String>,
    slot: Option<String>,
    wait: Option<String>,
    skip: Option<String>,
    execute: Option<String>,
    group: Option<String>,
    metric: Option<String>,
    labels: Option<String>,
    range: Option<String>,
}

fn number<T: FromStr>(name: &str, text: Option<&str>, expected: &str) -> Result<Option<T>, ApiError> {
    let parse = |text: &str| {
        text.parse().map_err(|_| ApiError::bad_request(format!("{name}: found {text:?}, expected {expected}")))
    };
    text.map(parse).transpose()
}

impl Query {
    /// Reads a query string.
    pub fn read(text: &str) -> Result<Self, ApiError> {
        let query = actix_web::web::Query::<Self>::from_query(text);
        query.map(actix_web::web::Query::into_inner).map_err(|error| ApiError::bad_request(format!("query: {error}")))
    }

    /// `slot`.
    pub fn slot(&self) -> Result<Option<Slot>, ApiError> {
        Ok(number("slot", self.slot.as_deref(), "a slot, a whole number from 0")?.map(Slot))
    }

    /// `wait`, a duration.
    pub fn wait(&self) -> Result<Option<Duration>, ApiError> {
        let read =
            |text: &String| parse_duration(text).map_err(|error| ApiError::bad_request(format!("wait: {error}")));
        self.wait.as_ref().map(read).transpose()
    }

    /// `metric`, which must be there.
    pub fn metric(&self) -> Result<String, ApiError> {
        match self.metric.as_deref() {
            None | Some("") => Err(ApiError::bad_request("metric: found nothing, expected the name of a metric")),
            Some(metric) => Ok(metric.to_owned()),
        }
    }

    /// `labels`, such as `a="x",b="y"`.
    pub fn selector(&self) -> Result<Selector, ApiError> {
        let read = |text| Selector::parse(text).map_err(|error| ApiError::bad_request(format!("labels: {error}")));
        self.labels.as_deref().map_or_else(|| Ok(Selector::default()), read)
    }

    /// `range`, a duration.
    pub fn range(&self) -> Result<Option<Duration>, ApiError> {
        let read =
            |text: &String| parse_duration(text).map_err(|error| ApiError::bad_request(format!("range: {error}")));
        self.range.as_ref().map(read).transpose()
    }

    /// `from`, as the id of a message.
    pub fn after_message(&self) -> Result<Option<MessageId>, ApiError> {
        Ok(self.from.as_deref().map(MessageId::parse).transpose()?)
    }

    /// `group`.
    pub fn group(&self) -> Result<Option<GroupName>, ApiError> {
        Ok(self.group.as_deref().map(GroupName::parse).transpose()?)
    }

    /// `skip`.
    pub fn skip(&self) -> Result<bool, ApiError> {
        Ok(number("skip", self.skip.as_deref(), "true or false")?.unwrap_or(false))
    }

    /// `execute`.
    pub fn execute(&self) -> Result<bool, ApiError> {
        Ok(number("execute", self.execute.as_deref(), "true or false")?.unwrap_or(false))
    }

    /// `limit`.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let limit = number("limit", self.limit.as_deref(), "a whole number from 1 to 1000")?.unwrap_or(LIMIT);
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(ApiError::bad_request(format!("limit: found {limit}, expected a whole number from 1 to {LIMIT_MAX}")))
        }
    }

    /// `from` where the cursor is a process id.
    pub fn after_process(&self) -> Result<Option<ProcessId>, ApiError> {
        Ok(self.from.as_deref().map(ProcessId::parse).transpose()?)
    }

    /// A page of slots: `from` exclusive, `to` inclusive, seen in the direction of `sort`. `None`: it can only be empty.
    pub fn page(&self) -> Result<Option<PageQuery>, ApiError> {
        let slot = "a cursor of this list, a whole number from 0";
        let from: Option<u64> = number("from", self.from.as_deref(), slot)?;
        let to: Option<u64> = number("to", self.to.as_deref(), slot)?;
        let order = match self.sort.as_deref() {
            None => Order::Ascending,
            Some(text) if text.eq_ignore_ascii_case("asc") => Order::Ascending,
            Some(text) if text.eq_ignore_ascii_case("desc") => Order::Descending,
            Some(text) => return Err(ApiError::bad_request(format!("sort: found {text:?}, expected ASC or DESC"))),
        };
        let range = match order {
            Order::Ascending => from.map_or(Some(0), |from| from.checked_add(1)).zip(Some(to.unwrap_or(u64::MAX))),
            Order::Descending => Some(to.unwrap_or(0)).zip(from.map_or(Some(u64::MAX), |from| from.checked_sub(1))),
        };
        let limit = self.limit()?;
        let range = range.filter(|(first, last)| first <= last);
        Ok(range.map(|(first, last)| PageQuery {
            first: Slot(first),
            last: Slot(last),
            limit,
            bytes: PAGE_BYTES,
            order,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(query: &str) -> Option<(u64, u64)> {
        Query::read(query).unwrap().page().unwrap().map(|page| (page.first.0, page.last.0))
    }

    #[test]
    fn from_is_left_out_and_to_is_kept_in_either_direction() {
        assert_eq!(slots(""), Some((0, u64::MAX)));
        assert_eq!(slots("from=3&to=7"), Some((4, 7)));
        assert_eq!(slots("from=7&to=3&sort=DESC"), Some((3, 6)));
        assert_eq!(slots("sort=DESC"), Some((0, u64::MAX)));
        assert_eq!(slots("from=0&sort=DESC"), None);
        assert_eq!(slots("from=7&to=7"), None);
        assert_eq!(slots("from=18446744073709551615"), None);
    }

    #[test]
    fn what_is_no_cursor_or_limit_is_refused() {
        for bad in ["from=-1", "from=x", "limit=0", "limit=1001", "sort=up", "to=1.5"] {
            assert!(Query::read(bad).unwrap().page().is_err(), "{bad} was taken");
        }
        assert!(Query::read("slot=-1").unwrap().slot().is_err());
        assert!(Query::read("wait=5").unwrap().wait().is_err());
        assert!(Query::read("unknown=5").is_err());
    }
}
