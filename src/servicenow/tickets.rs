//! Reading tickets: one whole, several by key, and those that changed since a moment.
//!
//! Owns: what is asked for, so that one call brings both what is stored and what people see; and turning rows into
//! [`Sighting`]s. Never: decides what is new, or who did it (`sys_updated_by` names the last writer, not the author of
//! what we notice). Fails: with an [`Outcome`]; strangers in an answer are `lookup_untrusted`.
//! Proved by: the tests here, and `tests/servicenow.rs` against an instance.

use std::collections::BTreeMap;

use super::client::{Client, of_unsafe};
use super::walk::{behind, of_closed, place, untrusted};
use super::wire::calls::Call;
use super::wire::lists::{Listed, Rows};
use super::wire::query::{After, Query};
use super::wire::rows::Row;
use super::wire::text::UnsafeText;
use crate::delivery::identity::OUR_KEYS;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::id::SysId;
use crate::domain::sighting::{Cell, Sighting};
use crate::limits::{KEYS_IN_A_QUERY_MAX, MOVED_ROWS_SHARE};
use crate::peer::permit::Permit;

/// The columns that hold no value but the text of a journal.
const JOURNALS: [&str; 3] = ["comments", "work_notes", "comments_and_work_notes"];

/// A ticket, and the text of its journals if that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketRead {
    /// The ticket as it is.
    pub sighting: Sighting,
    /// The whole text of its comments and of its work notes, newest first: equal texts mean that nothing was written.
    /// `None` if it was not asked for, or may not be read.
    pub history: Option<(String, String)>,
}

/// One page of what changed.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Changed at this moment or later, raw, in UTC.
    pub since: &'a str,
    /// Behind the last row of the page before this one: its `sys_updated_on` and its key.
    pub after: Option<After<'a>>,
    /// Only tickets with a key of ours; otherwise also those without any key.
    pub correlated_only: bool,
    /// The columns wanted beside those that are always read.
    pub columns: &'a [&'a str],
    /// Rows of the page. Hidden rows count, so that a page may be short or empty although more follow.
    pub rows_max: usize,
    /// Hidden rows to pass over, for a page that came back empty although there are more.
    pub skip: usize,
    /// Whether to be told how many there are: costs the instance a count, and is worth asking of an empty page only.
    pub count: bool,
}

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The tickets, by the moment of their last change and then by key.
    pub sightings: Vec<Sighting>,
    /// How many there are from this page on, the hidden ones among them, if that was asked for and told.
    pub total: Option<u64>,
}

impl Client {
    /// Reads one ticket; `None` if it is not there, or hidden from us.
    pub async fn read_ticket(
        &self,
        permit: Permit,
        (table, sys_id): (&str, &SysId),
        columns: &[&str],
        history: bool,
    ) -> Result<Option<TicketRead>, Outcome> {
        let rows = match self.call(permit, &Call::ReadTicket { table, sys_id, columns, history }).await {
            Ok(rows) => rows,
            Err(outcome) if outcome.class == Class::Missing => return Ok(None),
            Err(outcome) => return Err(outcome),
        };
        match rows.into_iter().next() {
            Some(row) if row.sys_id == *sys_id => {
                Ok(Some(TicketRead { history: history_of(&row), sighting: sighting(table, row) }))
            }
            Some(row) => Err(untrusted(&format!("{} came instead of {sys_id}", row.sys_id))),
            None => Ok(None),
        }
    }

    /// Reads one page of the tickets that changed. Whoever goes on from its last row sees each ticket that changes
    /// while reading again later, and misses none.
    pub async fn changed_since(&self, permit: Permit, table: &str, page: &Page<'_>) -> Result<Changed, Outcome> {
        let query = changed(page).map_err(|refusal| of_unsafe(&refusal))?;
        let Page { since, after, columns, rows_max, skip, count, correlated_only } = *page;
        let rows = Rows { of: Listed::Tickets(table, columns), query: &query, rows_max, skip, count };
        let listing = self.list(permit, &Call::Rows(rows)).await?;
        behind(&listing.rows, UPDATED, since, after)?;
        if !listing.rows.iter().all(|row| is_wanted(row, correlated_only)) {
            return Err(untrusted("tickets with another correlation_id came back"));
        }
        let rows = in_place(listing.rows).ok_or_else(|| untrusted("tickets came in no order"))?;
        let sightings = rows.into_iter().map(|row| sighting(table, row)).collect();
        Ok(Changed { sightings, total: listing.total.filter(|_| count) })
    }

    /// Reads tickets by key; those that are not there, or hidden, are missing. Many keys take several calls.
    pub async fn tickets_by_id(
        &self,
        permit: Permit,
        table: &str,
        tickets: &[SysId],
        columns: &[&str],
    ) -> Result<Vec<Sighting>, Outcome> {
        let mut found = Vec::with_capacity(tickets.len());
        let mut paid = Some(permit);
        for some in tickets.chunks(KEYS_IN_A_QUERY_MAX) {
            let permit = self.paid_or_new(&mut paid).await?;
            let query = Query::new().refers_to("sys_id", some);
            let of = Listed::Tickets(table, columns);
            let rows = Rows { of, query: &query, rows_max: some.len(), skip: 0, count: false };
            let rows = self.call(permit, &Call::Rows(rows)).await?;
            if !rows.iter().all(|row| some.contains(&row.sys_id)) {
                return Err(untrusted("tickets came that were not asked for by sys_id"));
            }
            found.extend(rows.into_iter().map(|row| sighting(table, row)));
        }
        Ok(found)
    }

    /// The permit that is there already, once; then a new one for each further call.
    pub(super) async fn paid_or_new(&self, paid: &mut Option<Permit>) -> Result<Permit, Outcome> {
        match paid.take() {
            Some(permit) => Ok(permit),
            None => self.permit_to_read().await.map_err(|closed| of_closed(&closed)),
        }
    }
}

/// The column by which a sweep goes.
const UPDATED: &str = "sys_updated_on";

fn changed(page: &Page<'_>) -> Result<Query, UnsafeText> {
    let query = Query::new().since(UPDATED, page.since, page.after)?;
    Ok(query.begins_with("correlation_id", OUR_KEYS, !page.correlated_only)?.walk(UPDATED))
}

fn is_wanted(row: &Row, correlated_only: bool) -> bool {
    row.get("correlation_id").is_some_and(|key| {
        let ours = key.get(..OUR_KEYS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_KEYS));
        ours || (key.is_empty() && !correlated_only)
    })
}

/// Rows in the order asked for. An instance looks for rows first and reads them afterwards: one that changes in between
/// shows a later moment than its neighbours. It is left out, for the walk meets it again behind them, and going on from
/// it would pass over what stands between. `None` if that is true of more than a few: then they are in no order at all.
fn in_place(rows: Vec<Row>) -> Option<Vec<Row>> {
    let count = rows.len();
    let mut kept: Vec<Row> = Vec::with_capacity(count);
    for row in rows.into_iter().rev() {
        if kept.last().is_none_or(|next| place(&row, UPDATED) < place(next, UPDATED)) {
            kept.push(row);
        }
    }
    kept.reverse();
    let moved = count - kept.len();
    (moved <= count / MOVED_ROWS_SHARE + 1).then_some(kept)
}

/// The text of both journals, if at least one of them came back.
fn history_of(row: &Row) -> Option<(String, String)> {
    let text = |journal: &str| row.displays.get(journal).or_else(|| row.fields.get(journal)).cloned();
    match (text("comments"), text("work_notes")) {
        (None, None) => None,
        (comments, work_notes) => Some((comments.unwrap_or_default(), work_notes.unwrap_or_default())),
    }
}

/// A row as a sighting; a journal's text is no column's value.
fn sighting(table: &str, row: Row) -> Sighting {
    let told = |field: &str| row.get(field).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let mut seen = Sighting {
        table: Some(table.to_owned()),
        number: told("number"),
        correlation_id: told("correlation_id"),
        correlation_display: told("correlation_display"),
        version: row.get("sys_mod_count").and_then(|text| text.trim().parse().ok()),
        updated_on: told(UPDATED),
        ..Sighting::hint(row.sys_id.clone())
    };
    let Row { fields, mut displays, .. } = row;
    let cells = fields.into_iter().filter(|(column, _)| !JOURNALS.contains(&column.as_str()));
    let cells: BTreeMap<_, _> = cells
        .map(|(column, value)| {
            let display = displays.remove(&column);
            (column, Cell { value, display })
        })
        .collect();
    seen.fields = Some(cells);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servicenow::wire::rows::Envelope;

    fn rows(json: &str) -> Vec<Row> {
        Envelope::read(json.as_bytes()).unwrap().rows.unwrap().into_iter().flatten().collect()
    }

    const ROW: &str = r#"{"result":[{"sys_id":{"value":"00000000000000000000000000000007"},"number":{"value":"INC1"},
        "state":{"value":"2","display_value":"In Progress"},"correlation_id":{"value":""},"sys_mod_count":{"value":"7"},
        "sys_updated_on":{"value":"2026-11-22 06:00:00","display_value":"22/11/2026 07:00:00"},
        "sys_created_by":{"value":"snowgate"},"comments":{"value":"","display_value":"said"},"work_notes":{"value":""}}]}"#;

    #[test]
    fn a_row_becomes_a_sighting_that_names_no_actor() {
        let row = rows(ROW).remove(0);
        assert_eq!(history_of(&row), Some(("said".to_owned(), String::new())));
        let seen = sighting("incident", row);
        assert_eq!((seen.version, seen.updated_on.as_deref()), (Some(7), Some("2026-11-22 06:00:00")));
        assert_eq!((seen.number.as_deref(), seen.correlation_id.as_deref()), (Some("INC1"), None));
        assert_eq!((seen.actor, seen.journal), (None, None));
        let fields = seen.fields.unwrap();
        assert_eq!(fields["state"], Cell { value: "2".to_owned(), display: Some("In Progress".to_owned()) });
        assert!(!fields.contains_key("comments") && fields.contains_key("sys_created_by"));
    }

    #[test]
    fn a_row_that_changes_while_it_is_read_is_left_for_later() {
        let of = |seconds: &[u32]| {
            let one = |second| ROW.replace("06:00:00", &format!("06:00:{second:02}"));
            in_place(seconds.iter().map(|second| rows(&one(second)).remove(0)).collect())
        };
        let moments = |rows: Vec<Row>| {
            let second = |row: &Row| row.get(UPDATED).unwrap().rsplit(':').next().unwrap().parse::<u32>().unwrap();
            rows.iter().map(second).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]).map(moments), Some(vec![]));
        assert_eq!(of(&[1, 2, 3]).map(moments), Some(vec![1, 2, 3]));
        assert_eq!(of(&[1, 9, 3, 4]).map(moments), Some(vec![1, 3, 4]));
        assert_eq!(of(&[9, 8, 7, 6, 5, 4, 3, 2]), None);
    }

    #[test]
    fn only_tickets_with_our_keys_or_without_any_are_wanted() {
        let of = |key: &str| rows(&ROW.replace(r#""correlation_id":{"value":""}"#, key)).remove(0);
        for (key, correlated_only, wanted) in [
            (r#""correlation_id":"sg1-abc""#, true, true),
            (r#""correlation_id":"SG1-abc""#, true, true),
            (r#""correlation_id":"""#, true, false),
            (r#""correlation_id":"""#, false, true),
            (r#""correlation_id":"jira-7""#, false, false),
            (r#""other":"""#, false, false),
        ] {
            assert_eq!(is_wanted(&of(key), correlated_only), wanted, "{key} {correlated_only}");
        }
    }
}
