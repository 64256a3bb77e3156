//! Pages of cron results.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::outcome::RemoteOutcome;
use super::parts::{Fault, Part};

/// The longest cursor that is taken, in bytes. It goes into URLs and into the store.
const CURSOR: usize = 2_048;

/// Cron results in their order, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronPage {
    /// The results.
    pub results: Vec<CronResult>,
    /// Whether there are results after these. If so, there is at least one here to go on from.
    pub has_more: bool,
}

/// One cron result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronResult {
    /// Where it stands: the `from` of the page after it. Not empty, and of a page's results each has its own.
    pub cursor: String,
    /// The outcome itself.
    pub outcome: RemoteOutcome,
}

impl CronPage {
    /// Reads the page after the cursor `from`, of `limit` results at most. A page that would lead nowhere or in a circle is
    /// refused, as is one with anything in it that is not as it should be: a page is taken whole or not at all.
    pub(super) fn read(text: &str, from: Option<&str>, limit: usize) -> Result<Self, Fault> {
        let page = Part::whole(text)?;
        let [info, edges] = page.fields(["pageInfo", "edges"])?;
        let edges = edges.ok_or_else(|| page.fault("edges is missing"))?;
        let info = info.ok_or_else(|| page.fault("pageInfo is missing"))?;
        let [has_more] = info.fields(["hasNextPage"])?;
        let has_more = has_more.ok_or_else(|| info.fault("hasNextPage is missing"))?.flag()?;
        let rows = edges.items(limit)?;
        if has_more && rows.is_empty() {
            return Err(edges.fault("expected at least one item, as hasNextPage says that there are more, found none"));
        }
        let mut seen = HashMap::new();
        let mut results = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let [cursor, node] = row.fields(["cursor", "node"])?;
            let place = cursor.ok_or_else(|| row.fault("cursor is missing"))?;
            let cursor = read_cursor(&place, from)?;
            if let Some(earlier) = seen.insert(cursor.clone(), at) {
                return Err(place.fault(format!("{cursor:?} is the cursor of edges[{earlier}] as well")));
            }
            let node = node.ok_or_else(|| row.fault("node is missing"))?;
            results.push(CronResult { cursor, outcome: RemoteOutcome::read(&node)? });
        }
        Ok(Self { results, has_more })
    }
}

fn read_cursor(part: &Part<'_>, from: Option<&str>) -> Result<String, Fault> {
    let cursor = part.text()?;
    if cursor.is_empty() {
        return Err(part.fault("expected a cursor, found an empty text"));
    }
    if cursor.len() > CURSOR {
        return Err(part.fault(format!("expected a cursor of {CURSOR} bytes at most, found one of {}", cursor.len())));
    }
    if from == Some(cursor.as_str()) {
        return Err(part.fault(format!("{cursor:?} is the cursor that the page should begin after")));
    }
    Ok(cursor)
}
