//! The journals of the test ticket: one entry in each that the mapping writes, and whether it can be read again.
//!
//! Owns: both ways of reading, by rows and by text, and what the account's time zone and date format do to the text.
//! Fails: with findings. Proved by: `tests/it/live_check.rs`, the table here.

use super::codes;
use super::needs::JournalNeed;
use super::report::Findings;
use super::trial::{Made, Over, Trial};
use super::way;
use crate::delivery::outcome::Outcome;
use crate::domain::sighting::JournalEntry;
use crate::domain::time::Timestamp;
use crate::mapping::JournalField;
use crate::servicenow::journal::parse_history;
use crate::servicenow::tickets::TicketRead;

/// Rows of one page; a test ticket has three.
const ROWS: usize = 50;

impl Trial<'_> {
    pub(super) async fn journals(&self, made: &Made, findings: &mut Findings) -> Result<(), Over> {
        self.desk.tell("writing to its journals");
        let mut wrote: Vec<(JournalNeed, String)> = Vec::new();
        for need in self.needs.journals.iter().filter(|need| need.written) {
            let text = text_of(need.journal);
            let fields = vec![(need.journal.as_str().to_owned(), text.clone())];
            self.patch(made, &fields, (codes::UPDATE_REFUSED, "writing to a journal"), findings).await?;
            wrote.push((*need, text));
        }
        let shown = match self.shown(made).await {
            Ok(shown) => shown,
            Err(outcome) => {
                way::failed(&outcome, &self.needs.table, findings);
                return Ok(());
            }
        };
        if let Some(read) = &shown {
            zone(read, findings);
        }
        let rows = self.rows(made, findings).await;
        let text = shown.and_then(|read| read.history).unwrap_or_default();
        for entry in &wrote {
            self.judge_entry(entry, &rows, &text, findings);
        }
        self.judge_rows(&wrote, &rows, findings);
        Ok(())
    }

    async fn shown(&self, made: &Made) -> Result<Option<TicketRead>, Outcome> {
        let permit = self.desk.permit().await?;
        let columns = ["sys_created_on", "opened_at"];
        self.desk.client.read_ticket(permit, (&self.needs.table, &made.sys_id), &columns, true).await
    }

    async fn rows(&self, made: &Made, findings: &mut Findings) -> Vec<JournalEntry> {
        let ticket = [made.sys_id.clone()];
        let asked = match self.desk.permit().await {
            Ok(permit) => self.desk.client.journal_of(permit, &ticket, None, ROWS).await,
            Err(outcome) => Err(outcome),
        };
        match asked {
            Ok(rows) => rows.into_iter().map(|(_, entry)| entry).collect(),
            Err(outcome) if outcome.status == Some(403) || outcome.code == "lookup_untrusted" => {
                findings.warning(codes::JOURNAL_ROWS_HIDDEN, "sys_journal_field", way::said(&outcome));
                Vec::new()
            }
            Err(outcome) => {
                way::failed(&outcome, "sys_journal_field", findings);
                Vec::new()
            }
        }
    }

    fn judge_entry(
        &self,
        (need, wanted): &(JournalNeed, String),
        rows: &[JournalEntry],
        (comments, work_notes): &(String, String),
        findings: &mut Findings,
    ) {
        let name = need.journal.as_str();
        let text = match need.journal {
            JournalField::Comments => comments,
            JournalField::WorkNotes => work_notes,
        };
        let is_it = |entry: &JournalEntry| entry.element == name && entry.value.trim() == *wanted;
        let subject = self.subject(name);
        if rows.iter().any(is_it) || parse_history(name, text).iter().any(is_it) {
            let reading = if need.read { "written to and read" } else { "written to" };
            findings.note(codes::PROVED, &subject, format!("`{name}` can be {reading}"));
            return;
        }
        let elsewhere = rows.iter().find(|entry| entry.value.trim() == *wanted);
        let message = match elsewhere {
            Some(entry) => format!("what was written to `{name}` is in `{}`", entry.element),
            None => format!(
                "what was written to `{name}` cannot be seen: it was dropped, or is hidden from the integration user"
            ),
        };
        findings.error(codes::JOURNAL_LOST, &subject, message).at(Some(&self.spot("")));
    }

    fn judge_rows(&self, wrote: &[(JournalNeed, String)], rows: &[JournalEntry], findings: &mut Findings) {
        const TABLE: &str = "sys_journal_field";
        if wrote.is_empty() || findings.has(codes::JOURNAL_ROWS_HIDDEN, TABLE) {
            return;
        }
        if !rows.is_empty() {
            findings.note(codes::PROVED, TABLE, "the rows of journals can be read");
            return;
        }
        let message = "none of the ticket's entries is shown to us, though the ticket has some";
        if self.needs.journals.iter().any(|need| need.read) {
            findings.warning(codes::JOURNAL_ROWS_HIDDEN, TABLE, message);
        } else {
            let found = findings.note(codes::JOURNAL_ROWS_HIDDEN, TABLE, message);
            found.remedy("Nothing must be done: nothing that is written there leaves the tenant.");
        }
    }
}

fn text_of(journal: JournalField) -> String {
    match journal {
        JournalField::Comments => "Snowgate connection test: a comment.".to_owned(),
        JournalField::WorkNotes => "Snowgate connection test: a work note.".to_owned(),
    }
}

/// The account's zone and date format, seen by what a moment is and how it is shown.
fn zone(read: &TicketRead, findings: &mut Findings) {
    let cells = read.sighting.fields.iter().flatten();
    let moment = cells.filter(|(column, _)| ["sys_created_on", "opened_at"].contains(&column.as_str()));
    let Some((_, cell)) = moment.into_iter().find(|(_, cell)| !cell.value.is_empty()) else { return };
    match shown_as(&cell.value, cell.display.as_deref()) {
        Shown::Same => {
            findings.note(
                codes::PROVED,
                "sys_user",
                "the account's time zone is GMT, its date format the system's own",
            );
        }
        Shown::Shifted(minutes) => {
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            let sign = if minutes < 0 { '-' } else { '+' };
            let message = format!("moments are shown to the integration user in a zone of {sign}{hours:02}:{rest:02}");
            findings.warning(codes::TIME_ZONE, "sys_user.time_zone", message);
        }
        Shown::Otherwise => {
            let message = format!(
                "a moment is shown to the integration user as `{}`",
                cell.display.as_deref().unwrap_or_default()
            );
            findings.warning(codes::DATE_FORMAT, "sys_user.date_format", message);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Same,
    /// By so many minutes, in the system's own format.
    Shifted(i64),
    /// In another format; whether in another zone as well is not told.
    Otherwise,
}

fn shown_as(stored: &str, shown: Option<&str>) -> Shown {
    let Some(shown) = shown.filter(|shown| *shown != stored) else { return Shown::Same };
    match (Timestamp::parse_utc(stored), Timestamp::parse_utc(shown)) {
        (Some(stored), Some(shown)) => Shown::Shifted((shown.seconds() - stored.seconds()) / 60),
        (_, _) => Shown::Otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_seen_by_how_a_moment_is_shown() {
        let stored = "2026-11-22 06:00:00";
        assert_eq!(shown_as(stored, None), Shown::Same);
        assert_eq!(shown_as(stored, Some("2026-11-22 07:30:00")), Shown::Shifted(90));
        assert_eq!(shown_as(stored, Some("2026-11-21 22:00:00")), Shown::Shifted(-480));
        assert_eq!(shown_as(stored, Some("22/11/2026 06:00:00")), Shown::Otherwise);
    }
}
