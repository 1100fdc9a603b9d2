//! What the head of a lane asks for: the changes that go as one call, and the fields still to be written. Pure.

use serde::{Deserialize, Serialize};

use crate::delivery::identity::{self, Identity, Subject};
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::lane::{LaneMemory, fold};
use crate::delivery::marker::Marker;
use crate::delivery::seen::Ours;
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::{DeliveryId, TenantId};
use crate::domain::incident::Incident;
use crate::domain::print::print;
use crate::domain::ticket::Ticket;
use crate::domain::time::Timestamp;
use crate::mapping::{Draft, DraftField, Mapping, Write};
use crate::servicenow::differences::respelled;
use crate::servicenow::wire::rows::Row;
use crate::store::{Claim, Waiting};

/// The work at the head of a claimed lane.
#[derive(Debug)]
pub(super) struct Work {
    /// The change to apply: the last of a fold, its incident completed by everything told before.
    pub(super) change: Change,
    /// The last sequence it covers.
    pub(super) upto: u64,
    /// The delivery that ends as delivered; earlier ones of a fold end as superseded by it.
    pub(super) delivery: DeliveryId,
    /// How many deliveries it covers.
    pub(super) folded: usize,
    /// When the first of them was accepted.
    pub(super) accepted_at: Timestamp,
    /// When an earlier owner began to send it, if one did.
    pub(super) sending_since: Option<Timestamp>,
    /// What the lane remembers; a new episode starts with nothing but what was told.
    pub(super) memory: LaneMemory,
    /// Which ticket it is about.
    pub(super) subject: Subject,
    /// The keys of that ticket.
    pub(super) identity: Identity,
    /// Whether the event itself, not only what was told before, says that the incident goes on.
    pub(super) says_open: bool,
    /// Whether the event itself says a state: then it is written also where people set another one since.
    pub(super) says_state: bool,
    /// A customer's own ticket that becomes the incident's, when that is all that is to be done.
    pub(super) adopts: Option<Ticket>,
}

/// The body of a `ticket.adopt`: a customer's ticket that became an incident.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Adoption {
    pub(super) ticket: Ticket,
}

/// Why a stored change cannot be read back: the record is damaged or from a newer program.
#[derive(Debug, thiserror::Error)]
#[error("the stored event cannot be read: {0}")]
pub(super) struct Unreadable(String);

impl Work {
    /// Reads the head of the claim and everything that folds with it, at most this many.
    pub(super) fn of(claim: &Claim, deployment_key: &str, most: usize) -> Result<Self, Unreadable> {
        let first = claim.waiting.first().ok_or_else(|| Unreadable("a claim without work".to_owned()))?;
        if first.kind == Kind::Ticket(TicketKind::Adopt) {
            return Self::adopting(claim, first, deployment_key);
        }
        let changes = together(claim, most)?;
        let says_open = changes.iter().any(says_open);
        let says_state = changes.iter().any(|change| change.incident.state.is_some());
        let last = claim.waiting.get(changes.len().saturating_sub(1)).unwrap_or(first);
        let folded = changes.len();
        let mut memory = claim.memory.clone();
        let mut newest = None;
        for mut change in changes {
            memory = continued(memory, &change);
            let told = memory.told_with(&change.incident);
            memory.told = Some(told.clone());
            change.incident = told;
            newest = Some(change);
        }
        let change = newest.ok_or_else(|| Unreadable("a claim without work".to_owned()))?;
        let episode = change.incident.episode.unwrap_or(1);
        let subject = Subject { incident: claim.incident.clone(), episode, successor: memory.successors };
        Ok(Self {
            identity: identity::derive(deployment_key, &claim.tenant, &subject),
            subject,
            says_open,
            says_state,
            adopts: None,
            upto: last.sequence,
            delivery: last.id.clone(),
            accepted_at: first.accepted_at,
            sending_since: first.sending_since,
            folded,
            memory,
            change,
        })
    }

    fn adopting(claim: &Claim, first: &Waiting, deployment_key: &str) -> Result<Self, Unreadable> {
        let Adoption { ticket } = serde_json::from_str(&first.body).map_err(|error| Unreadable(error.to_string()))?;
        let memory = claim.memory.clone();
        let incident = memory.told_with(&Incident::new(claim.incident.clone()));
        let episode = incident.episode.unwrap_or(1);
        let subject = Subject { incident: claim.incident.clone(), episode, successor: memory.successors };
        let change = Change { kind: ChangeKind::Updated, incident, message: None, escalation: None, attachment: None };
        Ok(Self {
            identity: identity::derive(deployment_key, &claim.tenant, &subject),
            subject,
            upto: first.sequence,
            delivery: first.id.clone(),
            accepted_at: first.accepted_at,
            sending_since: first.sending_since,
            folded: 1,
            memory,
            change,
            says_open: false,
            says_state: false,
            adopts: Some(ticket),
        })
    }

    /// The same work for the next ticket of the episode: nothing is known of that one, but what was told of the incident.
    pub(super) fn succeeding(&self, deployment_key: &str, tenant: &TenantId) -> Self {
        let successors = self.memory.successors + 1;
        let subject = Subject { successor: successors, ..self.subject.clone() };
        let memory = LaneMemory { told: self.memory.told.clone(), successors, ..LaneMemory::default() };
        Self {
            identity: identity::derive(deployment_key, tenant, &subject),
            subject,
            memory,
            change: self.change.clone(),
            delivery: self.delivery.clone(),
            adopts: None,
            ..*self
        }
    }

    /// What this work writes to `correlation_display`.
    pub(super) fn mark(&self) -> String {
        identity::mark(self.upto, &self.delivery, &self.subject)
    }

    /// Whether it carries text that must never be written twice.
    pub(super) fn has_journal(&self, mapping: &Mapping) -> bool {
        // A quiet recovery writes its word as a comment.
        let kind = self.change.kind;
        self.change.message.is_some() || kind == ChangeKind::Resolved || mapping.notes(kind)
    }
}

/// The changes that go as one call. What was begun as one call stays one, so that its mark keeps its meaning.
fn together(claim: &Claim, most: usize) -> Result<Vec<Change>, Unreadable> {
    let waiting = claim.waiting.get(..most).unwrap_or(&claim.waiting);
    // An echo is never sent, so nothing folds with it.
    let alone = waiting.iter().position(|delivery| delivery.is_echo || delivery.kind.change().is_none());
    let waiting = alone.map_or(waiting, |at| waiting.get(..at.max(1)).unwrap_or(waiting));
    let begun = waiting.iter().take_while(|delivery| delivery.sending_since.is_some()).count();
    let parsed = waiting.iter().map(|delivery| {
        let Some(kind) = delivery.kind.change() else {
            return Err(Unreadable(format!("`{}` is no event of an incident", delivery.kind)));
        };
        let read = Change::from_slice(kind, Some(claim.incident.clone()), delivery.body.as_bytes());
        read.map_err(|faults| Unreadable(faults.first().map_or_else(String::new, ToString::to_string)))
    });
    if begun > 0 {
        return parsed.take(begun).collect();
    }
    let mut changes = Vec::new();
    for change in parsed {
        let change = match change {
            Ok(change) => change,
            // A good head goes on; what cannot be read is parked when it is the head itself.
            Err(unreadable) if changes.is_empty() => return Err(unreadable),
            Err(_) => break,
        };
        let plain = change.folds();
        changes.push(change);
        if !plain {
            break;
        }
    }
    let count = fold(changes.iter().map(Change::folds));
    changes.truncate(count);
    Ok(changes)
}

/// Whether an event says by itself that the incident goes on.
fn says_open(change: &Change) -> bool {
    let reopening = matches!(change.kind, ChangeKind::Opened | ChangeKind::Reopened | ChangeKind::Escalated);
    reopening || change.incident.state.is_some_and(|state| !state.is_finished())
}

/// A new episode of an incident is a new ticket: what was remembered of the old one no longer holds.
fn continued(memory: LaneMemory, change: &Change) -> LaneMemory {
    let told = memory.told.as_ref().and_then(|told| told.episode);
    let new_episode = change.incident.episode.is_some_and(|said| told.unwrap_or(1) != said);
    if !new_episode || memory.told.is_none() {
        return memory;
    }
    // Who raised it does not change with the times it comes back.
    let told = memory.told.as_ref().map(|told| {
        let mut raised = Incident::new(told.id.clone());
        raised.origin = told.origin;
        raised.origin_raw.clone_from(&told.origin_raw);
        raised
    });
    LaneMemory { told, ..LaneMemory::default() }
}

/// Column and value, as they go into the request.
pub(super) type Fields = Vec<(String, String)>;

/// The fields of a new ticket: everything mapped that has a value, and the keys under which it is found again.
pub(super) fn fields_to_create(work: &Work, draft: &Draft, marker: &Marker<'_>, sends_sys_id: bool) -> Fields {
    let mut fields: Fields = draft.fields.iter().filter(|field| !field.value.is_empty()).map(pair).collect();
    fields.extend(journal(draft, marker));
    if sends_sys_id {
        fields.push(("sys_id".to_owned(), work.identity.sys_id.to_string()));
    }
    fields.push(("correlation_id".to_owned(), work.identity.correlation_id.clone()));
    fields.push(("correlation_display".to_owned(), work.mark()));
    fields
}

/// The fields an update writes: those that insist, those whose mapped value changed since we last wrote it unless the
/// ticket already holds it, the message, and the mark. Empty if there is nothing to write.
pub(super) fn fields_to_update(
    work: &Work,
    draft: &Draft,
    marker: &Marker<'_>,
    holds: impl Fn(&str, &str) -> bool,
) -> Fields {
    let wanted = |field: &&DraftField| {
        let is_due = field.is_due(work.memory.written.get(&*field.name).map(String::as_str));
        is_due && (field.write == Write::Always || !holds(&field.name, &field.value))
    };
    let mut fields: Fields = draft.fields.iter().filter(wanted).map(pair).collect();
    fields.extend(journal(draft, marker));
    if !fields.is_empty() {
        fields.push(("correlation_display".to_owned(), work.mark()));
    }
    fields
}

/// Remembers what was written, so that it is not written again unless its mapped value changes.
pub(super) fn remember_written(memory: &mut LaneMemory, draft: &Draft) {
    for field in &draft.fields {
        if !field.value.is_empty() || memory.written.contains_key(&*field.name) {
            memory.written.insert(field.name.to_string(), field.hash());
        }
    }
}

/// Columns that an instance sets by itself when a ticket's state is written.
const FOLLOW_STATE: [&str; 6] = ["resolved_at", "resolved_by", "closed_at", "closed_by", "active", "incident_state"];

/// Those of the columns that the instance sets because of this write: what they then hold is our doing as well.
pub(super) fn set_beside<'c>(asked: &Fields, columns: &[&'c str]) -> Vec<&'c str> {
    let writes_state = asked.iter().any(|(field, _)| field == "state");
    columns.iter().copied().filter(|column| writes_state && FOLLOW_STATE.contains(column)).collect()
}

/// Remembers what our write left in the columns that the way back reads, and at which version of the ticket: none of it
/// is news when it is seen. What the instance cut or respelled counts as it stands; what it refused does not, so that
/// the managed service hears how the ticket really is. A new ticket's other columns are as its own rules made them, and
/// so are those that follow a state that we wrote.
pub(super) fn remember_ours(memory: &mut LaneMemory, columns: &[&str], asked: &Fields, row: &Row, created: bool) {
    let Some(version) = row.get("sys_mod_count").and_then(|count| count.parse().ok()) else { return };
    let beside = set_beside(asked, columns);
    for column in columns {
        let wanted = asked.iter().rev().find(|(field, _)| field == column).map(|(_, value)| value.as_str());
        let value = match (wanted, row.get(column)) {
            (Some(wanted), Some(stored)) if respelled(wanted, stored) => stored,
            (Some(wanted), _) => wanted,
            (None, Some(stored)) if created || beside.contains(column) => stored,
            (None, _) => continue,
        };
        memory.ours.insert((*column).to_owned(), Ours { value: print(value), version });
    }
}

fn pair(field: &DraftField) -> (String, String) {
    (field.name.to_string(), field.value.clone())
}

fn journal(draft: &Draft, marker: &Marker<'_>) -> Option<(String, String)> {
    let (field, text) = draft.journal.as_ref()?;
    Some((field.as_str().to_owned(), marker.mark(text)))
}
