//! The test ticket: made, read back, found again, changed, commented and resolved, as deliveries would do it.
//!
//! Owns: the order of the steps, and that what was made is known whatever happens in the middle, so that `tidy` can put it
//! away. Never: touches a ticket that it did not make. Fails: with findings; a step that cannot be done ends the trial.
//! Proved by: `tests/it/live_check.rs`, `tests/onboarding`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::codes::{self, Code};
use super::compare::{self, Compared};
use super::desk::Desk;
use super::dictionary::Dictionary;
use super::needs::Needs;
use super::rehearsal::{self, Found, Rehearsal, TEST_TITLE};
use super::report::{Findings, Spot};
use super::way;
use crate::delivery::identity::Identity;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::change::Change;
use crate::domain::id::SysId;
use crate::mapping::{Mapping, Operation, Recovery, TicketPhase, Write};
use crate::servicenow::tickets::Page;
use crate::servicenow::wire::rows::Row;

/// What every test ticket says of itself.
const NOTE: &str =
    "This ticket was made by `snowgate check --live` to try the connection. It is put away when the test is over.";
/// The mark of a test; it names no incident.
const MARK: &str = "sg:0:connectiontest";
const MARK_AGAIN: &str = "sg:1:connectiontest";
/// Tickets that may have changed in the second the test ticket was made.
const SWEPT_ROWS: usize = 50;

/// Column and value, as they go into the request.
type Fields = Vec<(String, String)>;

/// See the module's text.
pub(super) struct Trial<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) mapping: &'a Mapping,
    pub(super) needs: &'a Needs,
    pub(super) dictionary: &'a Dictionary,
    pub(super) rehearsal: &'a Rehearsal,
    pub(super) found: &'a Found,
    pub(super) keys: Identity,
    /// How the keys of all tests of this tenant begin.
    pub(super) prefix: String,
    /// The ticket, as soon as there is one.
    pub(super) made: Mutex<Option<Made>>,
}

/// The test ticket.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) sys_id: SysId,
    pub(super) number: String,
    /// Who the instance says made it.
    pub(super) by: Option<String>,
}

/// The trial cannot go on; why has been reported.
pub(super) struct Over;

impl Trial<'_> {
    /// Everything but putting the ticket away.
    pub(super) async fn run(&self, findings: &mut Findings) -> Result<(), Over> {
        let (made, opening) = self.create(findings).await?;
        let updated_on = self.read_back(&made, &opening, findings).await?;
        self.find_by_key(&made, findings).await;
        self.sweep(&made, updated_on.as_deref(), findings).await;
        let written = self.update(&made, opening, findings).await?;
        self.journals(&made, findings).await?;
        self.files(&made, findings).await;
        self.resolve(&made, &written, findings).await
    }

    pub(super) fn ticket(&self) -> Option<Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_made(&self, row: &Row) -> Made {
        let made = Made {
            sys_id: row.sys_id.clone(),
            number: row.number.clone(),
            by: row.get("sys_created_by").filter(|by| !by.is_empty()).map(ToOwned::to_owned),
        };
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        made
    }

    async fn create(&self, findings: &mut Findings) -> Result<(Made, Fields), Over> {
        self.desk.tell("making a test ticket");
        let opening = self.opening(findings)?;
        let (table, keys) = (self.needs.table.as_str(), &self.keys);
        let asked = match self.desk.permit().await {
            Ok(permit) => self.desk.client.create(permit, table, &opening, &[]).await,
            Err(outcome) => Err(outcome),
        };
        let row = match asked {
            Ok(row) => row,
            Err(outcome) => {
                self.refused(&outcome, codes::CREATE_REFUSED, "making a ticket", findings);
                // Refused and made all the same, or made and the answer lost: deliveries would look as well.
                let row = self.read(&keys.sys_id, &[]).await.ok().flatten().ok_or(Over)?;
                let message = "although the instance refused it, the ticket was made: the integration user cannot read \
                               what it wrote";
                findings.error(codes::UNREADABLE, table, message);
                row
            }
        };
        let made = self.note_made(&row);
        let by = made.by.as_deref().map_or(String::new(), |by| format!(" by {by}"));
        findings.note(codes::PROVED, table, format!("a test ticket was made: {}{by}", made.number));
        if self.needs.sends_sys_id && row.sys_id != keys.sys_id {
            findings.warning(
                codes::SYS_ID_NOT_KEPT,
                &self.subject("sys_id"),
                "the ticket got another sys_id than ours",
            );
        } else if self.needs.sends_sys_id {
            findings.note(codes::PROVED, &self.subject("sys_id"), "our sys_id is honoured");
        }
        Ok((made, opening))
    }

    /// What is written to make the ticket: the mapping's own draft, our keys, and a word about what it is.
    fn opening(&self, findings: &mut Findings) -> Result<Fields, Over> {
        let draft = rehearsal::draft(self.mapping, &self.rehearsal.opened, Operation::Create, self.found, findings);
        if draft.fields.is_empty() {
            let message = "the mapping writes nothing for an incident that is opened, so no test ticket was made";
            findings.error(codes::CANNOT_MAP, &self.needs.table, message);
            return Err(Over);
        }
        let mut fields: Fields = draft
            .fields
            .iter()
            .filter(|field| !field.value.is_empty() && &*field.name != "short_description")
            .map(|field| (field.name.to_string(), field.value.clone()))
            .collect();
        fields.push(("short_description".to_owned(), TEST_TITLE.to_owned()));
        if fields.iter().all(|(name, _)| name != "work_notes") {
            fields.push(("work_notes".to_owned(), NOTE.to_owned()));
        }
        if self.needs.sends_sys_id {
            fields.push(("sys_id".to_owned(), self.keys.sys_id.to_string()));
        }
        fields.push(("correlation_id".to_owned(), self.keys.correlation_id.clone()));
        fields.push(("correlation_display".to_owned(), MARK.to_owned()));
        Ok(fields)
    }

    async fn read(&self, sys_id: &SysId, columns: &[&str]) -> Result<Option<Row>, Outcome> {
        let permit = self.desk.permit().await?;
        self.desk.client.find_by_sys_id(permit, &self.needs.table, sys_id, columns).await
    }

    /// Reads the ticket back and compares every field; gives when the instance says it was last changed.
    async fn read_back(&self, made: &Made, asked: &Fields, findings: &mut Findings) -> Result<Option<String>, Over> {
        self.desk.tell("reading it back");
        let read = self.needs.read.iter().map(|need| need.name.as_str());
        let columns: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).chain(read).collect();
        let row = match self.read(&made.sys_id, &columns).await {
            Ok(Some(row)) => row,
            Ok(None) => {
                let message = format!("the integration user made {} and cannot read it", made.number);
                findings.error(codes::UNREADABLE, &self.needs.table, message);
                return Err(Over);
            }
            Err(outcome) => {
                way::failed(&outcome, &self.needs.table, findings);
                return Err(Over);
            }
        };
        self.compare(asked, &row, "", findings);
        for need in self.needs.read.iter().filter(|need| row.get(&need.name).is_none() && !need.name.contains('.')) {
            let subject = self.subject(&need.name);
            let told = findings.has(codes::NO_COLUMN, &subject) || asked.iter().any(|(name, _)| *name == need.name);
            if !told {
                let message =
                    format!("`{}` does not come back: there is no such column, or it may not be read", need.name);
                findings.error(codes::UNREADABLE, &subject, message).at(need.spot.as_ref());
            }
        }
        Ok(row.get("sys_updated_on").map(ToOwned::to_owned))
    }

    fn compare(&self, asked: &Fields, row: &Row, when: &str, findings: &mut Findings) {
        let Self { needs, mapping, dictionary, .. } = self;
        compare::stored(&Compared { needs, mapping, dictionary, when }, asked, row, findings);
    }

    async fn find_by_key(&self, made: &Made, findings: &mut Findings) {
        self.desk.tell("finding it by its key");
        let (table, key) = (self.needs.table.as_str(), self.keys.correlation_id.as_str());
        let asked = match self.desk.permit().await {
            Ok(permit) => self.desk.client.find_by_correlation(permit, table, key).await,
            Err(outcome) => Err(outcome),
        };
        let subject = self.subject("correlation_id");
        match asked {
            Ok(rows) if rows.iter().any(|row| row.get("correlation_id") != Some(key)) => {
                let message =
                    "a search by correlation_id returned tickets without it: the instance ignored the condition";
                findings.error(codes::STRANGERS, &subject, message);
            }
            Ok(rows) if rows.iter().any(|row| row.sys_id == made.sys_id) => {
                findings.note(codes::PROVED, &subject, "the ticket is found by its correlation_id");
            }
            Ok(_) if findings.has(codes::CORRELATION_NOT_KEPT, &subject) => {}
            Ok(_) => {
                findings.error(
                    codes::NOT_FOUND_BY_KEY,
                    &subject,
                    "a search by correlation_id does not find the ticket",
                );
            }
            Err(outcome) if outcome.code == "http_403_query" => {
                findings.error(codes::NOT_FOUND_BY_KEY, &subject, way::said(&outcome));
            }
            Err(outcome) => way::failed(&outcome, &subject, findings),
        }
    }

    /// Whether a sweep would have found the ticket.
    async fn sweep(&self, made: &Made, updated_on: Option<&str>, findings: &mut Findings) {
        let Some(since) = updated_on.filter(|_| self.needs.goes_back) else { return };
        let page = Page {
            since,
            after: None,
            correlated_only: !self.mapping.has_opens(),
            columns: &[],
            rows_max: SWEPT_ROWS,
            skip: 0,
            count: false,
        };
        let asked = match self.desk.permit().await {
            Ok(permit) => self.desk.client.changed_since(permit, &self.needs.table, &page).await,
            Err(outcome) => Err(outcome),
        };
        let subject = self.subject("sys_updated_on");
        match asked {
            Ok(changed) if changed.sightings.iter().any(|seen| seen.sys_id == made.sys_id) => {
                findings.note(codes::PROVED, &subject, "what changed since a moment can be searched");
            }
            Ok(changed) if changed.sightings.len() >= SWEPT_ROWS => {}
            Ok(_) if findings.has(codes::CORRELATION_NOT_KEPT, &self.subject("correlation_id")) => {}
            Ok(_) => {
                let message = "a search for what changed since the ticket was made does not find it";
                findings.error(codes::NO_SWEEP, &subject, message);
            }
            Err(outcome) if outcome.code == "lookup_untrusted" => {
                findings.error(codes::STRANGERS, &subject, way::said(&outcome));
            }
            Err(outcome) if outcome.code == "http_403_query" => {
                findings.error(codes::NO_SWEEP, &subject, way::said(&outcome));
            }
            Err(outcome) => way::failed(&outcome, &subject, findings),
        }
    }

    /// Changes the ticket as an update of the incident would; gives everything that was written so far.
    async fn update(
        &self,
        made: &Made,
        opening: Fields,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, String>, Over> {
        self.desk.tell("changing it");
        let mut written: BTreeMap<String, String> = opening.into_iter().collect();
        let mut fields = self.changes(&self.rehearsal.updated, &written, findings);
        fields.push(("correlation_display".to_owned(), MARK_AGAIN.to_owned()));
        let row = self.patch(made, &fields, (codes::UPDATE_REFUSED, "changing the ticket"), findings).await?;
        self.compare(&fields, &row, "when it is changed, ", findings);
        findings.note(codes::PROVED, &self.needs.table, "the ticket can be changed");
        written.extend(fields);
        Ok(written)
    }

    /// The fields that a change writes: those whose value is another one than before, and those that insist.
    fn changes(&self, change: &Change, before: &BTreeMap<String, String>, findings: &mut Findings) -> Fields {
        let draft = rehearsal::draft(self.mapping, change, Operation::Update, self.found, findings);
        let is_news = |field: &&crate::mapping::DraftField| {
            let known = before.get(&*field.name);
            let never_set = field.value.is_empty() && known.is_none();
            let changed = known.is_none_or(|known| *known != field.value);
            field.write != Write::Create
                && &*field.name != "short_description"
                && !never_set
                && (changed || field.write == Write::Always)
        };
        draft.fields.iter().filter(is_news).map(|field| (field.name.to_string(), field.value.clone())).collect()
    }

    /// One PATCH of the test ticket.
    pub(super) async fn patch(
        &self,
        made: &Made,
        fields: &Fields,
        (code, what): (&'static Code, &str),
        findings: &mut Findings,
    ) -> Result<Row, Over> {
        let asked = match self.desk.permit().await {
            Ok(permit) => self.desk.client.update(permit, (&self.needs.table, &made.sys_id), fields, &["state"]).await,
            Err(outcome) => Err(outcome),
        };
        asked.map_err(|outcome| {
            self.refused(&outcome, code, what, findings);
            Over
        })
    }

    async fn resolve(
        &self,
        made: &Made,
        written: &BTreeMap<String, String>,
        findings: &mut Findings,
    ) -> Result<(), Over> {
        if self.mapping.policy().recovery != Recovery::Resolve {
            findings.note(
                codes::PROVED,
                &self.needs.table,
                "the mapping leaves resolving to people, so it was not tried",
            );
            return Ok(());
        }
        self.desk.tell("resolving it");
        let fields = self.changes(&self.rehearsal.resolved, written, findings);
        if fields.is_empty() {
            let message = "the mapping writes nothing for an incident that is resolved";
            findings.warning(codes::NOT_RESOLVED, &self.needs.table, message);
            return Ok(());
        }
        let row = self.patch(made, &fields, (codes::RESOLVE_REFUSED, "resolving the ticket"), findings).await?;
        let wanted = fields.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_str());
        let stored = row.get("state").unwrap_or_default();
        let spot = self.spot("state");
        match wanted {
            Some(wanted) if wanted != stored => {
                let message = format!("`state` was to become `{wanted}` and is `{stored}`");
                findings.error(codes::NOT_RESOLVED, &self.subject("state"), message).at(Some(&spot));
            }
            Some(_) if self.mapping.ticket_phase(stored) != TicketPhase::Open => {
                findings.note(codes::PROVED, &self.needs.table, "the ticket can be resolved");
            }
            Some(_) | None => {
                let message = format!("after it was resolved the ticket's `state` is `{stored}`, which is an open one");
                findings.error(codes::NOT_RESOLVED, &self.subject("state"), message).at(Some(&spot));
            }
        }
        let rest: Fields = fields.into_iter().filter(|(name, _)| name != "state").collect();
        self.compare(&rest, &row, "when it is resolved, ", findings);
        Ok(())
    }

    /// A write that was not done, and why.
    pub(super) fn refused(&self, outcome: &Outcome, code: &'static Code, what: &str, findings: &mut Findings) {
        let table = self.needs.table.as_str();
        let refused = matches!(outcome.class, Class::Refused | Class::RefusedPerhapsDone);
        if outcome.class == Class::Missing {
            findings.error(codes::VANISHED, table, format!("{what} failed: {}", way::said(outcome)));
        } else if refused {
            let spot = self.spot("");
            let found =
                findings.error(code, table, format!("{what} is refused: {}", way::said(outcome))).at(Some(&spot));
            if let Some(remedy) = compare::remedy_of_refusal(outcome, self.dictionary) {
                found.remedy(remedy);
            }
        } else {
            way::failed(outcome, table, findings);
        }
    }

    pub(super) fn subject(&self, column: &str) -> String {
        format!("{}.{column}", self.needs.table)
    }

    /// Where the mapping names a field, else where it begins to speak of tickets.
    pub(super) fn spot(&self, field: &str) -> Spot {
        let wants = self.mapping.wants();
        let place = wants.place_of(field).unwrap_or(wants.to_ticket);
        Spot::new(&wants.file, place)
    }
}
