//! Exports, a line at a time.
//!
//! Owns: telling lines apart. A gateway's line is a record, a page of records (as `snowgate deliveries list --json` prints), or
//! a receipt; an instance's line is a row of a ticket table, of `sys_journal_field` or of `sys_audit_delete`, or an answer of
//! the Table API with many of them under `result` (or under `records`, as `JSONv2` names them). Never: guesses. Fails: with
//! [`BadLine`]. Proved by: `tests` and `tests/cli/verify_history.rs`.

use serde::Deserialize;
use serde_json::Value;

use super::History;
use super::records::{Receipt, Recorded};
use super::shown::{EntryRow, Shown, TicketRow};
use crate::limits::HISTORY_LINE_BYTES_MAX;

/// A line that is not what an export holds.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// No export has such lines.
    #[error("the line is longer than {HISTORY_LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the line is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON of something else.
    #[error("the line is no {wanted}: {why}")]
    NotThat {
        /// What was looked for.
        wanted: &'static str,
        /// What is missing.
        why: serde_json::Error,
    },
    /// None of the rows there are.
    #[error("the line is no row of a ticket, of `sys_journal_field` or of `sys_audit_delete`: it has no `sys_id`")]
    NoRow,
}

fn json(line: &str) -> Result<Value, BadLine> {
    if line.len() > HISTORY_LINE_BYTES_MAX {
        return Err(BadLine::TooLong);
    }
    serde_json::from_str(line).map_err(BadLine::NotJson)
}

fn read<T: for<'de> Deserialize<'de>>(value: Value, wanted: &'static str) -> Result<T, BadLine> {
    serde_json::from_value(value).map_err(|why| BadLine::NotThat { wanted, why })
}

/// The list under this name, taken out of a page.
fn list_in(value: &mut Value, name: &str) -> Option<Vec<Value>> {
    match value.get_mut(name)?.take() {
        Value::Array(list) => Some(list),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

pub(super) fn of_gateway(history: &mut History, line: &str) -> Result<(), BadLine> {
    if line.trim().is_empty() {
        return Ok(());
    }
    let mut value = json(line)?;
    if let Some(page) = list_in(&mut value, "deliveries") {
        return page.into_iter().try_for_each(|record| record_in(history, record));
    }
    if value.get("certainty").is_some() {
        history.acknowledged(read::<Receipt>(value, "receipt")?);
        return Ok(());
    }
    record_in(history, value)
}

fn record_in(history: &mut History, value: Value) -> Result<(), BadLine> {
    history.recorded(read::<Recorded>(value, "record of a delivery")?);
    Ok(())
}

pub(super) fn of_instance(shown: &mut Shown, line: &str) -> Result<(), BadLine> {
    if line.trim().is_empty() {
        return Ok(());
    }
    let mut value = json(line)?;
    for name in ["result", "records"] {
        if let Some(rows) = list_in(&mut value, name) {
            return rows.into_iter().try_for_each(|row| row_in(shown, row));
        }
    }
    row_in(shown, value)
}

/// Journal rows name their record under `element_id`, deleted ones under `documentkey`; the rest are tickets.
fn row_in(shown: &mut Shown, value: Value) -> Result<(), BadLine> {
    if let Some(gone) = value.get("documentkey").and_then(Value::as_str) {
        shown.gone(gone);
    } else if value.get("element_id").is_some() {
        shown.entry(read::<EntryRow>(value, "row of sys_journal_field")?);
    } else if value.get("sys_id").is_some() {
        shown.ticket(read::<TicketRow>(value, "row of a ticket")?);
    } else {
        return Err(BadLine::NoRow);
    }
    Ok(())
}
