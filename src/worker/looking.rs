//! What became of an earlier send: one read of the instance, and the decision from that one read.
//!
//! Two reads would be a race (`facts/reliability.md` 2.3): the row can appear between them. Every row found by
//! `correlation_id` must really carry it, because an instance ignores a query part it does not understand and then
//! returns strangers (`facts/servicenow.md` 1.2).

use super::journey::Journey;
use super::stop::Stop;
use super::work::Work;
use crate::delivery::marker::same_words;
use crate::domain::sighting::JournalEntry;
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;
use crate::limits::{CLOCKS_APART, JOURNAL_ROWS_MAX, OPENING_WAIT, WRITE_REST};
use crate::mapping::{Operation, TicketPhase};
use crate::servicenow::journal::parse_history;
use crate::servicenow::wire::rows::Row;
use crate::telemetry::events::DuplicateTickets;

/// How the ticket stands when work on it begins.
#[derive(Debug)]
pub(super) enum Standing {
    /// There is none.
    New,
    /// There is one; this work is not applied to it yet.
    Known(Ticket),
    /// There is one and it carries this work's mark: done, whatever the answer was.
    Applied(Box<Row>),
    /// There is one, and whether this work was applied cannot be told: the instance does not keep our mark.
    CannotTell,
}

impl Journey<'_> {
    /// How the ticket stands before the first send of this work, or after an earlier send without a recorded end.
    pub(super) async fn standing(&self, work: &Work) -> Result<Standing, Stop> {
        if let Some(since) = work.sending_since {
            return self.standing_after_send(work, since).await;
        }
        match &work.memory.ticket {
            Some(ticket) => Ok(Standing::Known(ticket.clone())),
            None if self.bridge.goes_back() && self.bridge.mapping.has_opens() => {
                self.standing_beside_openings(work).await
            }
            None => self.standing_of_new(work).await,
        }
    }

    /// A customer's ticket that became this incident is its ticket, before it carries our keys: also for a send that
    /// was begun at it.
    pub(super) async fn place(&self, work: &mut Work) -> Result<(), Stop> {
        let may_be_linked = self.bridge.goes_back() && self.bridge.mapping.has_opens();
        if may_be_linked && work.memory.ticket.is_none() && work.subject.successor == 0 {
            let links = self.store.links_of(&self.claim.tenant, &self.claim.incident).await?;
            let linked = links.into_iter().find(|link: &Link| link.episode == work.subject.episode);
            work.memory.ticket = linked.map(|link| link.ticket);
        }
        Ok(())
    }

    /// A customer's ticket may just be becoming this incident: then there is a ticket soon.
    async fn standing_beside_openings(&self, work: &Work) -> Result<Standing, Stop> {
        // A managed service that is down names no incident for hours: then new incidents do not wait for it.
        let is_down = self.bridge.callback.as_ref().is_some_and(|callback| callback.standing().breaker != "closed");
        let patient = !is_down || self.now().since(work.accepted_at) < OPENING_WAIT;
        if patient && self.store.opening(&self.claim.tenant).await? {
            return Err(Stop::wait_until(self.now().plus(WRITE_REST)));
        }
        self.standing_of_new(work).await
    }

    async fn standing_of_new(&self, work: &Work) -> Result<Standing, Stop> {
        // Where our key is proved to be kept, a second POST cannot make a second ticket: no look-up is needed.
        if self.honours_sys_id() == Some(true) || !self.protections.look_up {
            return Ok(Standing::New);
        }
        let row = self.find_by_correlation(work).await?;
        Ok(row.map_or(Standing::New, |row| Standing::Known(self.ticket(&row))))
    }

    async fn standing_after_send(&self, work: &Work, since: Timestamp) -> Result<Standing, Stop> {
        let settled_at = since.plus(self.settle_time(work));
        if self.now() < settled_at {
            return Err(Stop::wait_until(settled_at));
        }
        if !self.protections.look_up {
            return Ok(work.memory.ticket.clone().map_or(Standing::New, Standing::Known));
        }
        let standing = self.look(work).await?;
        // Only a key makes a look decide at once. An update of a ticket that is already there may still land.
        let settled_at = since.plus(self.full_settle_time());
        match standing {
            Standing::Known(_) | Standing::CannotTell if self.now() < settled_at => Err(Stop::wait_until(settled_at)),
            standing => Ok(standing),
        }
    }

    /// One read, and what it says about this work.
    pub(super) async fn look(&self, work: &Work) -> Result<Standing, Stop> {
        if let Some(row) = self.made_before_the_link(work).await? {
            return self.judge(work, row).await;
        }
        let row = match work.adopts.as_ref().or(work.memory.ticket.as_ref()) {
            Some(ticket) => match self.find_by_sys_id(&ticket.sys_id).await? {
                Some(row) => Some(row),
                None => self.find_by_correlation(work).await?,
            },
            None if self.honours_sys_id() == Some(true) => self.find_by_sys_id(&work.identity.sys_id).await?,
            None => self.find_by_correlation(work).await?,
        };
        match row {
            Some(row) => self.judge(work, row).await,
            None if work.memory.ticket.is_some() => Err(Stop::ticket_missing()),
            None => Ok(Standing::New),
        }
    }

    /// The ticket of a create that was begun before a customer's ticket became the incident's: it carries the keys and what
    /// was sent, so it stays the incident's, and the customer's stands beside it. One read, and only for such a work.
    async fn made_before_the_link(&self, work: &Work) -> Result<Option<Row>, Stop> {
        let Some(linked) = work.memory.ticket.as_ref().filter(|_| self.claim.memory.ticket.is_none()) else {
            return Ok(None);
        };
        if work.sending_since.is_none() || work.adopts.is_some() {
            return Ok(None);
        }
        let made = if self.honours_sys_id() == Some(true) {
            self.find_by_sys_id(&work.identity.sys_id).await?
        } else {
            self.find_by_correlation(work).await?
        };
        Ok(made.filter(|row| row.sys_id != linked.sys_id))
    }

    /// Whether a row carries this work's mark. A closed ticket takes text and keeps no mark: then its journal says.
    async fn judge(&self, work: &Work, row: Row) -> Result<Standing, Stop> {
        let marked = row.get("correlation_display").unwrap_or_default();
        if self.protections.mark && marked == work.mark() {
            return Ok(Standing::Applied(Box::new(row)));
        }
        let ticket = self.ticket(&row);
        let is_over =
            row.get("state").is_some_and(|state| self.bridge.mapping.ticket_phase(state) == TicketPhase::Final);
        // A customer's ticket that was not given its keys yet may have no mark either.
        let is_bare = row.get("correlation_id").is_none_or(str::is_empty);
        if self.protections.mark && (is_over || is_bare) && work.has_journal(&self.bridge.mapping) {
            return self.judge_by_journal(work, row).await;
        }
        // Text must never be written twice. Where the mark cannot be trusted, a person decides.
        let trusted = !self.protections.mark || marked.starts_with("sg:");
        Ok(if work.has_journal(&self.bridge.mapping) && !trusted {
            Standing::CannotTell
        } else {
            Standing::Known(ticket)
        })
    }

    /// Whether an entry shows in the ticket as people see it, where the rows of its journal are hidden; or may.
    async fn shows(&self, row: &Row, is_it: impl Fn(&JournalEntry) -> bool) -> Result<bool, Stop> {
        let permit = self.permit_to_read().await?;
        let read = self.bridge.client.read_ticket(permit, (&self.bridge.table, &row.sys_id), &[], true).await;
        let read = read.map_err(|outcome| self.read_failed(outcome))?;
        let Some((comments, work_notes)) = read.and_then(|read| read.history) else { return Ok(true) };
        let shown = [("comments", comments), ("work_notes", work_notes)];
        Ok(shown.iter().any(|(element, text)| parse_history(element, text).iter().any(&is_it)))
    }

    /// Whether the text of this work stands in the ticket's journal, written since its sending began. A text that only
    /// shows where rows are hidden, or an equal one from just before, leaves it open.
    async fn judge_by_journal(&self, work: &Work, row: Row) -> Result<Standing, Stop> {
        let draft = self.draft(work, Operation::Update).await?;
        let Some((journal, text)) = &draft.journal else { return Ok(Standing::Known(self.ticket(&row))) };
        let since = work.sending_since.unwrap_or(self.claim.now);
        let reference = self.marker(work).mark(text);
        let permit = self.permit_to_read().await?;
        let tickets = [row.sys_id.clone()];
        let entries = self.bridge.client.journal_of(permit, &tickets, None, JOURNAL_ROWS_MAX).await;
        let entries = entries.map_err(|outcome| self.read_failed(outcome))?;
        let equal = |entry: &JournalEntry| entry.element == journal.as_str() && same_words(&entry.value, &reference);
        let at = |entry: &JournalEntry| entry.created_on.as_deref().and_then(Timestamp::parse_utc).unwrap_or_default();
        let mut written = entries.iter().map(|(_, entry)| entry).filter(|entry| equal(entry)).map(at);
        let (sure, maybe) = (since.plus(CLOCKS_APART), since.minus(CLOCKS_APART));
        Ok(match written.next_back() {
            Some(at) if at >= sure => Standing::Applied(Box::new(row)),
            None if entries.is_empty() && self.shows(&row, equal).await? => Standing::CannotTell,
            None => Standing::Known(self.ticket(&row)),
            Some(at) if at < maybe => Standing::Known(self.ticket(&row)),
            // Within what two clocks may differ: the only one of its words is this one, a second one may be the last.
            Some(_) if written.next_back().is_none() => Standing::Applied(Box::new(row)),
            Some(_) => Standing::CannotTell,
        })
    }

    async fn find_by_correlation(&self, work: &Work) -> Result<Option<Row>, Stop> {
        let correlation = &work.identity.correlation_id;
        let permit = self.permit_to_read().await?;
        let found = self.bridge.client.find_by_correlation(permit, &self.bridge.table, correlation).await;
        let rows = match found {
            Ok(rows) => rows,
            Err(outcome) => return Err(self.read_failed(outcome)),
        };
        if let Some(stranger) = rows.iter().find(|row| row.get("correlation_id") != Some(correlation.as_str())) {
            return Err(Stop::stranger(&stranger.number));
        }
        if rows.len() > 1 {
            let numbers: Vec<_> = rows.iter().map(|row| row.number.as_str()).collect();
            DuplicateTickets { tenant: &self.claim.tenant, incident: &self.claim.incident, tickets: &numbers }.emit();
        }
        Ok(rows.into_iter().next())
    }

    async fn find_by_sys_id(&self, sys_id: &crate::domain::id::SysId) -> Result<Option<Row>, Stop> {
        let permit = self.permit_to_read().await?;
        let found = self.bridge.client.find_by_sys_id(permit, &self.bridge.table, sys_id, &[]).await;
        found.map_err(|outcome| self.read_failed(outcome))
    }
}
