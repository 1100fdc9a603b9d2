//! Whose each ticket is: by its keys, which anybody can derive who knows deployment, tenant and incident.
//!
//! Owns: the step from a `correlation_id` to an incident. The mark says whose ticket it is where that fits, and is believed
//! only if the keys derived from it are the ticket's; else the records are asked, and at last all keys of all known incidents
//! are derived. Never: believes a mark. Fails: it cannot. Proved by: `tests`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::History;
use super::book::{Book, Named};
use super::shown::{EntryRow, Shown, TicketRow, moment, print_of};
use super::verdict::{Verdict, Verdicts};
use crate::delivery::identity::{Subject, derive, subject_of};
use crate::delivery::marker::{Marker, referenced};
use crate::domain::id::{IncidentId, SysId, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::CLOCKS_APART;

/// A ticket and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Owned<'h> {
    pub(super) subject: Subject,
    pub(super) ticket: &'h TicketRow,
    pub(super) shown: &'h Shown,
}

/// The tickets of each incident of each tenant.
#[derive(Debug)]
pub(super) struct Owners<'h> {
    pub(super) of: BTreeMap<(TenantId, IncidentId), Vec<Owned<'h>>>,
    history: &'h History,
    derived: OnceCell<BTreeMap<String, (TenantId, Subject)>>,
}

impl<'h> Owners<'h> {
    /// Finds out, and says what is at the wrong place or nobody's.
    pub(super) fn of(history: &'h History, verdicts: &mut Verdicts) -> Self {
        let mut owners = Self { of: BTreeMap::new(), history, derived: OnceCell::new() };
        for shown in history.instances.values() {
            verdicts.counts.tickets += shown.tickets.len() as u64;
            verdicts.counts.texts += shown.texts.values().map(Vec::len).sum::<usize>() as u64;
            for ticket in shown.tickets.values() {
                owners.place(shown, ticket, verdicts);
            }
            for entry in &shown.foreign {
                owners.place_text(shown, entry, verdicts);
            }
        }
        owners
    }

    /// Where this tenant's tickets are shown; `None` if its instance was not told of.
    pub(super) fn home(&self, tenant: &TenantId) -> Option<&'h Shown> {
        self.history.instances.values().find(|shown| shown.tenants().contains(tenant))
    }

    fn place(&mut self, shown: &'h Shown, ticket: &'h TicketRow, verdicts: &mut Verdicts) {
        let Some((tenant, subject)) = self.owner(shown, ticket) else {
            self.is_nobodys(shown, ticket, verdicts);
            return;
        };
        if shown.tenants().contains(&tenant) {
            let owned = Owned { subject, ticket, shown };
            self.of.entry((tenant, owned.subject.incident.clone())).or_default().push(owned);
            return;
        }
        let here = names(shown);
        let found = format!("{} carries its keys and is in the instance of {here}", ticket.number);
        let of = Named { tenant: &tenant, incident: subject.incident.as_str(), event: String::new() };
        let look = format!("the files of both tenants: do they name the same instance? {} must go", ticket.number);
        verdicts.add(of.is(Verdict::CrossTenant, found, look));
    }

    fn owner(&self, shown: &Shown, ticket: &TicketRow) -> Option<(TenantId, Subject)> {
        let key = self.history.deployment_key.as_str();
        let fits =
            |tenant: &TenantId, subject: &Subject| derive(key, tenant, subject).correlation_id == ticket.correlation_id;
        if let Some(subject) = subject_of(&ticket.correlation_display) {
            let others = self.history.books.keys().filter(|tenant| !shown.tenants().contains(tenant));
            let owner = shown.tenants().iter().chain(others).find(|tenant| fits(tenant, &subject));
            if let Some(tenant) = owner {
                return Some((tenant.clone(), subject));
            }
        }
        self.derived.get_or_init(|| self.derive_all()).get(&ticket.correlation_id).cloned()
    }

    /// The keys of every incident on record.
    fn derive_all(&self) -> BTreeMap<String, (TenantId, Subject)> {
        let books = self.history.books.iter();
        let incidents =
            books.flat_map(|(tenant, book)| book.incidents().map(move |(incident, _)| (tenant, book, incident)));
        let subjects = incidents.flat_map(|(tenant, book, incident)| {
            book.subjects(incident).into_iter().map(move |subject| (tenant, subject))
        });
        let keyed = subjects.map(|(tenant, subject)| {
            let key = derive(&self.history.deployment_key, tenant, &subject).correlation_id;
            (key, (tenant.clone(), subject))
        });
        keyed.collect()
    }

    /// A ticket of ours that belongs to no incident on record: old, or never accepted.
    fn is_nobodys(&self, shown: &Shown, ticket: &TicketRow, verdicts: &mut Verdicts) {
        let Some(tenant) = shown.tenants().first() else { return };
        let book = self.history.books.get(tenant);
        let since = self.history.since.or_else(|| book.map(Book::reaches_back_to)).unwrap_or(Timestamp::NEVER);
        if moment(&ticket.sys_created_on).plus(CLOCKS_APART) < since {
            return;
        }
        let incident =
            subject_of(&ticket.correlation_display).map_or(String::new(), |subject| subject.incident.to_string());
        let of = Named { tenant, incident: &incident, event: String::new() };
        let (number, key) = (&ticket.number, &ticket.correlation_id);
        let found = format!("{number} carries the key {key}, and no incident on record has it");
        verdicts.add(of.is(Verdict::Unexpected, found, "the ticket: does another deployment use this instance?"));
    }

    /// A text under a reference that is not this ticket's. People copy texts; we do not.
    fn place_text(&self, shown: &Shown, entry: &EntryRow, verdicts: &mut Verdicts) {
        if !shown.is_us(&entry.sys_created_by) {
            return;
        }
        let Some((tenant, incident)) = self.writer(entry) else {
            verdicts.counts.unjudged += 1;
            return;
        };
        let number = shown.tickets.get(&entry.element_id).map_or(entry.element_id.as_str(), |ticket| &ticket.number);
        let of = Named { tenant, incident: incident.as_str(), event: String::new() };
        let (verdict, place) = if shown.tenants().contains(tenant) {
            (Verdict::Unexpected, "a ticket that is not its own".to_owned())
        } else {
            (Verdict::CrossTenant, format!("the instance of {}", names(shown)))
        };
        let found = format!("a text of it is on {number}, {place}");
        verdicts.add(of.is(verdict, found, format!("the journal entry {}", entry.sys_id)));
    }

    /// Whose text it is, by its words and then by its reference.
    fn writer(&self, entry: &EntryRow) -> Option<(&'h TenantId, &'h IncidentId)> {
        let print = referenced(&entry.value).map(print_of)?;
        let books = self.history.books.iter();
        let lanes =
            books.flat_map(|(tenant, book)| book.incidents().map(move |(incident, lines)| (tenant, incident, lines)));
        let said = lanes.filter(|(_, _, lines)| lines.iter().any(|line| line.text == Some(print)));
        let mut derived = said.map(|(tenant, incident, _)| (tenant, incident));
        derived.find(|(tenant, incident)| self.wrote(tenant, incident, entry))
    }

    fn wrote(&self, tenant: &TenantId, incident: &IncidentId, entry: &EntryRow) -> bool {
        let deployment_key = self.history.deployment_key.as_str();
        let derived = self.derived.get_or_init(|| self.derive_all());
        let its_own = derived.iter().filter(|(_, (owner, subject))| owner == tenant && subject.incident == *incident);
        its_own.into_iter().any(|(key, _)| Marker { deployment_key, tenant, correlation_id: key }.is_ours(&entry.value))
    }
}

fn names(shown: &Shown) -> String {
    shown.tenants().iter().map(TenantId::as_str).collect::<Vec<_>>().join(", ")
}

/// The tickets that these records name.
pub(super) fn named_tickets(lines: &[super::book::Line]) -> BTreeMap<&SysId, u64> {
    let mut tickets = BTreeMap::new();
    for ticket in lines.iter().filter(|line| line.wrote).filter_map(|line| line.ticket.as_ref()) {
        *tickets.entry(ticket).or_default() += 1;
    }
    tickets
}
