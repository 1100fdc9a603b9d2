//! Walking through rows that keep changing: by time and key, page by page, never by offset (`facts/servicenow.md` 8.14 to
//! 8.17).
//!
//! Only for moments that never change, such as when something was written; `tickets` goes by one that does.
//!
//! Owns: going on until everything was seen, and disbelief: an instance drops a part of a query that it does not
//! understand and runs the rest, so rows that were not asked for, or come in another order, mean that nothing of the
//! answer counts. Never: decides what rows mean. Fails: `lookup_untrusted` for such rows, `list_too_long` at the bound.
//! Proved by: `tests/servicenow.rs`, with hidden rows, ties within a second and instances that ignore conditions.

use super::client::{Client, of_unsafe};
use super::wire::calls::Call;
use super::wire::lists::{Listed, Rows};
use super::wire::query::{After, Query};
use super::wire::rows::Row;
use super::wire::text::UnsafeText;
use crate::delivery::outcome::{Class, Outcome};
use crate::limits::READ_PAGES_MAX;
use crate::peer::pace::Closed;
use crate::peer::permit::Permit;

/// What one walk reads.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) of: Listed<'a>,
    /// The column of moments by which it goes.
    pub(super) by: &'static str,
    /// Where it begins.
    pub(super) since: &'a str,
    /// Rows of one page.
    pub(super) rows_max: usize,
}

impl Client {
    /// Reads all rows of a walk. `query` makes its conditions but for those of time and order.
    ///
    /// The first page is paid by `permit`, each further one by a permit of its own. The count tells of rows that are
    /// hidden from us: the limit is applied before the access rules, so a short page is not the last one.
    pub(super) async fn walk(
        &self,
        mut permit: Permit,
        walk: Walk<'_>,
        query: &(dyn Fn() -> Result<Query, UnsafeText> + Sync),
    ) -> Result<Vec<Row>, Outcome> {
        let Walk { of, by, since, rows_max } = walk;
        let mut found: Vec<Row> = Vec::new();
        let mut skip = 0;
        for _ in 0..READ_PAGES_MAX {
            let after = found.last().and_then(|row| Some((row.get(by)?, &row.sys_id)));
            let page = query().and_then(|query| query.since(by, since, after));
            let page = page.map_err(|refusal| of_unsafe(&refusal))?.walk(by);
            let rows = Rows { of, query: &page, rows_max, skip, count: true };
            let listing = self.list(permit, &Call::Rows(rows)).await?;
            behind(&listing.rows, by, since, after)?;
            if !listing.rows.is_sorted_by_key(|row| place(row, by)) {
                return Err(untrusted(&format!("rows came in another order than that of {by}")));
            }
            let shown = listing.rows.len();
            let more = match listing.total {
                Some(total) => total > u64::try_from(skip + rows_max).unwrap_or(u64::MAX),
                None => shown >= rows_max,
            };
            // Behind a page of nothing but hidden rows there is no row to go on from.
            skip = if shown == 0 { skip + rows_max } else { 0 };
            found.extend(listing.rows);
            if !more {
                return Ok(found);
            }
            permit = self.permit_to_read().await.map_err(|closed| of_closed(&closed))?;
        }
        let why = format!("after {READ_PAGES_MAX} pages of {rows_max} there are still more");
        Err(Outcome::new(Class::Refused, "list_too_long").with_detail(why))
    }
}

/// Whether rows are those that were asked for: each has its moment, and is behind the place where the page begins.
pub(super) fn behind(rows: &[Row], by: &str, since: &str, after: Option<After<'_>>) -> Result<(), Outcome> {
    let begin = after.map(|(moment, key)| (moment, key.as_str()));
    for row in rows {
        let Some((moment, key)) = place(row, by) else {
            return Err(untrusted(&format!("{by} did not come back")));
        };
        if moment < since || begin.is_some_and(|begin| (moment, key) <= begin) {
            return Err(untrusted(&format!("rows came that are before the {by} asked for")));
        }
    }
    Ok(())
}

/// Where a row stands in a walk.
pub(super) fn place<'r>(row: &'r Row, by: &str) -> Option<(&'r str, &'r str)> {
    Some((row.get(by).filter(|moment| !moment.is_empty())?, row.sys_id.as_str()))
}

/// Rows came that were not asked for: no answer of this instance's queries can be believed.
pub(super) fn untrusted(what: &str) -> Outcome {
    let why = format!("{what}: a part of a query was ignored, or a column may not be read or queried");
    Outcome::new(Class::Misconfigured, "lookup_untrusted").with_detail(why)
}

/// A further call may not begin yet; what was read so far is read again later.
pub(super) fn of_closed(closed: &Closed) -> Outcome {
    Outcome {
        not_before: Some(closed.until),
        ..Outcome::new(Class::Crowded, closed.code).with_detail(closed.reason.as_str())
    }
}
