//! Putting test tickets away: removed if the account may do that, which nothing needs; otherwise cancelled, or resolved.
//!
//! Owns: finding what an earlier test left behind, and that nothing but a test ticket is ever touched: its
//! `correlation_id` begins as only ours do. Never: deletes to find out what the account may delete elsewhere.
//! Fails: with the number of the ticket that a person must close. Proved by: `tests/it/live_check.rs`.

use super::codes;
use super::rehearsal::{self, TEST_TITLE};
use super::report::Findings;
use super::trial::{Made, Trial};
use super::way;
use crate::delivery::outcome::{Class, Outcome};
use crate::limits::CHECK_LEFT_OVERS_MAX;
use crate::mapping::{Operation, TicketPhase};
use crate::servicenow::wire::query::Query;
use crate::servicenow::wire::rows::Row;

/// What is written on a ticket that stays behind.
const GOODBYE: &str = "The connection test is over. This ticket may be deleted.";

/// What became of a ticket.
enum Put {
    /// It is gone.
    Removed,
    /// It stays, and is over.
    Closed,
}

impl Trial<'_> {
    /// Puts away what earlier tests left, before a new one begins.
    pub(super) async fn left_overs(&self, findings: &mut Findings) {
        self.desk.tell("looking for what an earlier test left");
        // That such a search is not possible is found by the test itself.
        let Ok(rows) = self.open_tests().await else { return };
        for row in rows {
            let made = Made { sys_id: row.sys_id.clone(), number: row.number.clone(), by: None };
            match self.put_away(&made).await {
                Ok(Put::Removed) => {
                    let message = format!("{} of an earlier test was removed", made.number);
                    findings.note(codes::LEFT_OVER, &self.needs.table, message);
                }
                Ok(Put::Closed) => {
                    let message = format!("{} of an earlier test was closed", made.number);
                    findings.note(codes::LEFT_OVER, &self.needs.table, message);
                }
                Err(outcome) => self.stays_open(&made, &outcome, findings),
            }
        }
    }

    /// Puts the ticket of this test away; also one whose making was cut off.
    pub(super) async fn tidy(&self, findings: &mut Findings) {
        let made = match self.ticket() {
            Some(made) => Some(made),
            None => self.made_unnoticed().await,
        };
        let Some(made) = made else { return self.tidy_unseen(findings).await };
        self.desk.tell("putting the test ticket away");
        let table = self.needs.table.as_str();
        match self.put_away(&made).await {
            Ok(Put::Removed) => {
                findings.note(codes::PROVED, table, format!("the test ticket {} was removed", made.number));
                let message = "the account deleted its test ticket; deliveries never delete";
                findings.warning(codes::CAN_DELETE, table, message);
            }
            Ok(Put::Closed) => {
                let message = format!("the test ticket {} may not be deleted, and stays behind closed", made.number);
                findings.note(codes::LEFT_CLOSED, table, message);
            }
            Err(outcome) if outcome.class == Class::Missing => {}
            Err(outcome) => self.stays_open(&made, &outcome, findings),
        }
    }

    /// An instance that hides what it made may have made the ticket all the same, under a key that nobody else has.
    async fn tidy_unseen(&self, findings: &mut Findings) {
        if !self.needs.sends_sys_id {
            return;
        }
        let Ok(permit) = self.desk.permit().await else { return };
        if self.desk.client.delete(permit, &self.needs.table, &self.keys.sys_id).await.is_ok() {
            findings.note(codes::PROVED, &self.needs.table, "a test ticket that could not be seen was removed");
        }
    }

    fn stays_open(&self, made: &Made, outcome: &Outcome, findings: &mut Findings) {
        let message = format!("the test ticket {} stays open: {}", made.number, way::said(outcome));
        findings.error(codes::LEFT_OPEN, &self.needs.table, message);
    }

    /// The ticket of this test, if it was made and nobody heard of it.
    async fn made_unnoticed(&self) -> Option<Made> {
        let row = match self.read_own().await {
            Some(row) => row,
            None => self.open_tests().await.ok()?.into_iter().next()?,
        };
        Some(Made { sys_id: row.sys_id, number: row.number, by: None })
    }

    async fn read_own(&self) -> Option<Row> {
        let permit = self.desk.permit().await.ok()?;
        self.desk.client.find_by_sys_id(permit, &self.needs.table, &self.keys.sys_id, &[]).await.ok().flatten()
    }

    /// Test tickets of this tenant that are open. An instance that ignores conditions returns others: they are left alone.
    async fn open_tests(&self) -> Result<Vec<Row>, Outcome> {
        const COLUMNS: [&str; 5] = ["number", "state", "correlation_id", "short_description", "active"];
        let open = || Query::new().begins_with("correlation_id", &self.prefix, false)?.is("active", "true");
        let permit = self.desk.permit().await?;
        let rows =
            self.desk.client.records(permit, (&self.needs.table, &COLUMNS), open(), CHECK_LEFT_OVERS_MAX).await?;
        let is_test = |row: &Row| {
            let ours = row.get("correlation_id").is_some_and(|key| key.starts_with(&self.prefix));
            let titled = row.get("short_description").is_none_or(|title| title.is_empty() || title == TEST_TITLE);
            let phase = self.mapping.ticket_phase(row.get("state").unwrap_or_default());
            ours && titled && phase == TicketPhase::Open
        };
        Ok(rows.into_iter().filter(is_test).collect())
    }

    async fn put_away(&self, made: &Made) -> Result<Put, Outcome> {
        let table = self.needs.table.as_str();
        let removed = match self.desk.permit().await {
            Ok(permit) => self.desk.client.delete(permit, table, &made.sys_id).await,
            Err(outcome) => Err(outcome),
        };
        if removed.is_ok() {
            return Ok(Put::Removed);
        }
        let permit = self.desk.permit().await?;
        let Some(row) = self.desk.client.find_by_sys_id(permit, table, &made.sys_id, &[]).await? else {
            return Ok(Put::Removed);
        };
        let mut refused = None;
        for change in [&self.rehearsal.cancelled, &self.rehearsal.resolved] {
            let mut unsaid = Findings::default();
            let draft = rehearsal::draft(self.mapping, change, Operation::Update, self.found, &mut unsaid);
            let mut fields: Vec<(String, String)> = draft
                .fields
                .iter()
                .filter(|field| !field.value.is_empty() && &*field.name != "short_description")
                .map(|field| (field.name.to_string(), field.value.clone()))
                .collect();
            fields.push(("work_notes".to_owned(), GOODBYE.to_owned()));
            let permit = self.desk.permit().await?;
            match self.desk.client.update(permit, (table, &made.sys_id), &fields, &["state"]).await {
                Ok(row) if self.is_over(&row) => return Ok(Put::Closed),
                Ok(_) => {}
                Err(outcome) => refused = Some(outcome),
            }
        }
        if self.is_over(&row) {
            return Ok(Put::Closed);
        }
        let why = "its state did not change";
        Err(refused.unwrap_or_else(|| Outcome::new(Class::Refused, "not_closed").with_detail(why)))
    }

    fn is_over(&self, row: &Row) -> bool {
        self.mapping.ticket_phase(row.get("state").unwrap_or_default()) != TicketPhase::Open
    }
}
