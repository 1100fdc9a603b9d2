//! What the tenant promised about time, carried out: reminders, closing what the customer left, and late first answers.
//!
//! Everything is read off the ticket itself, its journal and dates, at the rotating compare; so any replica comes to the
//! same answer, and the ids of what follows keep two of them from doing it twice. A reminder and a close are events of
//! the incident like any other: the mapping writes them, order and exactly-once hold. Never: keeps a timer.
//! Fails: it cannot; what cannot be read is not closed. Proved by: the tests here and `tests/it/back`.

use serde_json::json;

use super::news::same_user;
use super::outbox;
use crate::callback::event::Event;
use crate::delivery::kind::TicketKind;
use crate::delivery::record::Direction;
use crate::domain::change::ChangeKind;
use crate::domain::id::TenantId;
use crate::domain::incident::{Incident, Owner, State};
use crate::domain::sighting::{JournalEntry, Sighting};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;
use crate::service_levels::{Activity, Due, ServiceLevels};
use crate::store::NewDelivery;

/// How every reminder begins: by it, and by its author, a reminder is known again on the ticket.
const REMINDER: &str = "Reminder:";

/// A linked ticket that is not over, and what is known around it.
pub(super) struct Kept<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) levels: &'a ServiceLevels,
    pub(super) link: &'a Link,
    /// The incident as the managed service told it.
    pub(super) told: Option<&'a Incident>,
    pub(super) sighting: &'a Sighting,
    /// Everything public that was written on it.
    pub(super) journal: &'a [JournalEntry],
    /// Who we are there; without that nobody knows who was silent.
    pub(super) user: &'a str,
    pub(super) instance: &'a str,
    pub(super) now: Timestamp,
}

/// What is due on one ticket.
#[derive(Debug, Default)]
pub(super) struct Owed {
    pub(super) follows: Vec<NewDelivery>,
    /// When the first answer is due, and whether that is past; `None` if somebody answered.
    pub(super) first_response: Option<(Timestamp, bool)>,
}

impl Kept<'_> {
    /// What is due now.
    pub(super) fn owed(&self) -> Owed {
        let mut owed = Owed::default();
        let Some(activity) = self.activity() else { return owed };
        for due in self.levels.judge(&activity, self.now) {
            match due {
                Due::FirstResponse { due, overdue } => owed.first_response = Some((due, overdue)),
                Due::Remind { since, closes_at } => owed.follows.push(self.reminder(since, closes_at)),
                Due::Close { since } => owed.follows.extend(self.close(since)),
            }
        }
        owed
    }

    /// What the ticket itself says of who did what when. `None` if it does not say when it was opened.
    fn activity(&self) -> Option<Activity> {
        let opened = self.sighting.fields.as_ref().and_then(|fields| fields.get("opened_at"))?;
        let opened_at = Timestamp::parse_utc(&opened.value)?;
        let at = |entry: &JournalEntry| entry.created_on.as_deref().and_then(Timestamp::parse_utc);
        let is_ours = |entry: &&JournalEntry| same_user(Some(self.user), entry.created_by.as_deref());
        let is_reminder = |entry: &&JournalEntry| entry.value.trim_start().starts_with(REMINDER);
        let ours = || self.journal.iter().filter(is_ours);
        let customer = self.journal.iter().filter(|entry| !is_ours(entry)).filter_map(at).max();
        let waits = |told: &Incident| {
            told.state == Some(State::NeedsCustomerAction)
                || (told.state.is_none() && told.owner == Some(Owner::Customer))
        };
        Some(Activity {
            opened_at,
            last_customer_activity: customer.unwrap_or(opened_at),
            waits_since: ours().filter(|entry| !is_reminder(entry)).filter_map(at).max(),
            reminded_at: ours().filter(is_reminder).filter_map(at).max(),
            first_response_at: ours().filter_map(at).min(),
            origin: self.told.and_then(|told| told.origin),
            waits_for_customer: self.told.is_some_and(waits),
            is_open: true,
        })
    }

    fn reminder(&self, since: Timestamp, closes_at: Timestamp) -> NewDelivery {
        let text = format!(
            "{REMINDER} nothing was heard from you since {}. Without an answer this is closed after {} (UTC).",
            since.raw_utc(),
            closes_at.raw_utc()
        );
        let data = json!({
            "incident": {"id": self.link.incident},
            "message": {"text": text, "visibility": "public", "author": {"party": "automation"}},
        });
        self.event(ChangeKind::MessageAdded, &format!("reminder-{}", since.millis()), &data)
    }

    /// The incident ends at both sides: in ServiceNow as the mapping resolves it, and told to the managed service.
    fn close(&self, since: Timestamp) -> [NewDelivery; 2] {
        let notes = format!("Closed: nothing was heard from the customer since {} (UTC).", since.raw_utc());
        let resolution = json!({"code": "inactivity", "notes": notes});
        let data = json!({"incident": {"id": self.link.incident, "state": "resolved", "resolution": resolution}});
        let resolved = self.event(ChangeKind::Resolved, &format!("inactive-{}", since.millis()), &data);
        let id = format!("{}-inactive-{}", self.link.ticket.sys_id, since.millis());
        let told = json!({
            "incident": {"id": self.link.incident, "episode": self.link.episode},
            "ticket": outbox::ticket_json(&self.link.ticket, self.instance, self.sighting.version),
            "changes": {"state": "resolved", "resolution": resolution},
        });
        let event = Event::new(self.tenant, TicketKind::Changed, id, self.now, told);
        let event = event.about(self.link.incident.as_str());
        let outbox = outbox::into_ticket(self.tenant, &self.link.ticket.sys_id, self.now);
        [resolved, outbox.callback(TicketKind::Changed, &event)]
    }

    fn event(&self, kind: ChangeKind, what: &str, data: &serde_json::Value) -> NewDelivery {
        let (lane, id) = (self.link.incident.clone(), format!("{}-{what}", self.link.ticket.sys_id));
        let outbox = outbox::Outbox { tenant: self.tenant, direction: Direction::ToServicenow, lane, now: self.now };
        outbox.follow(kind.into(), &id, data.to_string())
    }
}
