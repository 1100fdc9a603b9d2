//! Whether each incident's records left the traces that they say they left, each once and in order.
//!
//! Owns: one ticket for an incident and episode, one entry for a text, a mark that never goes back. Never: judges a field's
//! value, or a ticket that people deleted or took the key from. Fails: it cannot. Proved by: `tests`.

use std::collections::{BTreeMap, BTreeSet};

use super::attribution::{Owned, Owners, named_tickets};
use super::book::{Book, Line, Named, named};
use super::shown::{Shown, Text};
use super::verdict::{Verdict, Verdicts};
use crate::delivery::identity::write_of;
use crate::delivery::kind::{Kind, TicketKind};
use crate::domain::id::{IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::CLOCKS_APART;

/// One tenant, seen from both sides.
pub(super) struct Scene<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) book: &'a Book,
    pub(super) owners: &'a Owners<'a>,
    pub(super) since: Timestamp,
}

/// Judges every incident of a tenant whose instance was told of.
pub(super) fn judge(scene: &Scene<'_>, verdicts: &mut Verdicts) {
    let Some(shown) = scene.owners.home(scene.tenant) else { return };
    for (incident, lines) in scene.book.incidents() {
        let key = (scene.tenant.clone(), incident.clone());
        let tickets = scene.owners.of.get(&key).map(Vec::as_slice).unwrap_or_default();
        let case = Case { tenant: scene.tenant, incident, lines, tickets, shown, since: scene.since };
        case.tickets_are_there(verdicts);
        case.tickets_are_one(verdicts);
        case.marks_go_forward(verdicts);
        case.texts_are_there_once(scene.notes_of_files(tickets), verdicts);
    }
    scene.strangers(verdicts);
}

impl Scene<'_> {
    /// How many texts the copying of files may have left on these tickets.
    fn notes_of_files(&self, tickets: &[Owned<'_>]) -> usize {
        let names: BTreeSet<&str> = tickets.iter().map(|owned| owned.ticket.sys_id.as_str()).collect();
        let is_of =
            |incident: &IncidentId| incident.as_str().strip_prefix("files:").is_some_and(|id| names.contains(id));
        let lanes = self.book.incidents().filter(|(incident, _)| is_of(incident));
        lanes.map(|(_, lines)| lines.len()).sum()
    }

    /// Tickets of incidents that this tenant has no record of.
    fn strangers(&self, verdicts: &mut Verdicts) {
        let of_tenant = self.owners.of.iter().filter(|((tenant, _), _)| tenant == self.tenant);
        for ((_, incident), tickets) in of_tenant.filter(|((_, incident), _)| self.book.incident(incident).is_none()) {
            let young = |owned: &&Owned<'_>| owned.ticket.created().plus(CLOCKS_APART) >= self.since;
            for owned in tickets.iter().filter(young) {
                let of = Named { tenant: self.tenant, incident: incident.as_str(), event: String::new() };
                let found = format!("{} is its ticket, and nothing of it was ever accepted", owned.ticket.number);
                verdicts.add(of.is(
                    Verdict::Unexpected,
                    found,
                    "the store: was it restored from a backup, or replaced?",
                ));
            }
        }
    }
}

/// One incident: its records, and its tickets.
struct Case<'a> {
    tenant: &'a TenantId,
    incident: &'a IncidentId,
    lines: &'a [Line],
    tickets: &'a [Owned<'a>],
    shown: &'a Shown,
    since: Timestamp,
}

/// Records and entries with the same words.
#[derive(Default)]
struct Said<'a> {
    lines: Vec<&'a Line>,
    texts: Vec<(&'a Text, &'a str)>,
}

impl<'a> Case<'a> {
    fn tickets_are_there(&self, verdicts: &mut Verdicts) {
        for (ticket, writes) in named_tickets(self.lines) {
            if self.shown.tickets.contains_key(ticket.as_str()) {
                continue;
            }
            let keyless = |line: &Line| line.ticket.as_ref() == Some(ticket) && !line.keeps_key;
            if self.shown.is_beyond(ticket.as_str()) || self.lines.iter().any(keyless) {
                verdicts.counts.unjudged += 1;
                continue;
            }
            let found = format!(
                "{writes} of its deliveries ended at the ticket {ticket}, which is not there or has no key of ours"
            );
            let look = "`sys_audit_delete` of the instance: if people deleted it, put that row into the export";
            verdicts.add(self.itself().is(Verdict::Lost, found, look));
        }
    }

    fn tickets_are_one(&self, verdicts: &mut Verdicts) {
        let mut by_subject: BTreeMap<(u32, u32), Vec<&Owned<'_>>> = BTreeMap::new();
        for owned in self.tickets {
            by_subject.entry((owned.subject.episode, owned.subject.successor)).or_default().push(owned);
        }
        for ((episode, _), tickets) in by_subject.into_iter().filter(|(_, tickets)| tickets.len() > 1) {
            let made = |owned: &&Owned<'_>| format!("{} by {}", owned.ticket.number, owned.ticket.sys_created_by);
            let list = tickets.iter().map(made).collect::<Vec<_>>().join(", ");
            let found = format!("{} tickets for episode {episode}: {list}", tickets.len());
            verdicts.add(self.itself().is(
                Verdict::Duplicated,
                found,
                "these tickets: keep the oldest, and merge the others",
            ));
        }
    }

    /// The mark on a ticket is that of the last write to it.
    fn marks_go_forward(&self, verdicts: &mut Verdicts) {
        for owned in self.tickets {
            let ticket = owned.ticket;
            let Some((sequence, tail)) = write_of(&ticket.correlation_display) else { continue };
            let here = |line: &&Line| line.wrote && line.ticket.as_ref().is_some_and(|at| at.as_str() == ticket.sys_id);
            let marks = |line: &&Line| line.keeps_mark && line.kind != Kind::Ticket(TicketKind::Attach);
            let last = self.lines.iter().rev().filter(here).find(marks);
            // What is over takes texts, and keeps the mark it had.
            let over = ticket.active == "false";
            if let Some(last) = last.filter(|last| last.sequence > sequence && !over) {
                let found =
                    format!("{} carries the mark of #{sequence}, and this one was applied after it", ticket.number);
                verdicts.add(self.of(last).is(
                    Verdict::Reordered,
                    found,
                    "the ticket's history: an older write landed late",
                ));
            }
            let known = self.lines.iter().any(|line| line.sequence == sequence && line.id.as_str().ends_with(tail));
            let newest = self.lines.last().map_or(0, |line| line.sequence);
            let young = ticket.created().plus(CLOCKS_APART) >= self.since || sequence > newest;
            if !known && young {
                let found =
                    format!("{} carries the mark of a write #{sequence} ({tail}) that is not on record", ticket.number);
                verdicts.add(self.itself().is(Verdict::Unexpected, found, "the store, and the ticket's history"));
            }
        }
    }

    fn texts_are_there_once(&self, notes_of_files: usize, verdicts: &mut Verdicts) {
        let mut said: BTreeMap<u64, Said<'a>> = BTreeMap::new();
        for line in self.lines {
            if let Some(text) = line.text {
                said.entry(text).or_default().lines.push(line);
            }
        }
        let of_ticket = |owned: &'a Owned<'a>| {
            let texts = owned.shown.texts.get(&owned.ticket.sys_id).into_iter().flatten();
            texts.map(|text| (text, owned.ticket.number.as_str()))
        };
        let mut own = Vec::new();
        for (text, number) in self.tickets.iter().flat_map(of_ticket) {
            let group = text.prints.iter().find(|print| said.contains_key(print));
            match group.and_then(|print| said.get_mut(print)) {
                Some(group) => group.texts.push((text, number)),
                None if text.at.plus(CLOCKS_APART) >= self.since && self.shown.is_us(&text.by) => {
                    own.push((text, number));
                }
                None => {}
            }
        }
        let mut missing = Vec::new();
        let mut pairs = Vec::new();
        for group in said.values_mut() {
            self.compare(group, &mut missing, &mut pairs, verdicts);
        }
        self.texts_are_in_order(pairs, verdicts);
        // A mapping may say a text in its own words.
        let reworded = missing.len().min(own.len());
        for line in missing.into_iter().skip(reworded) {
            let ticket = line.ticket.as_ref().map_or("nothing", |ticket| ticket.as_str());
            let found = format!("recorded as written to {ticket}, whose journal does not have its text");
            verdicts.add(self.of(line).is(Verdict::Lost, found, "the ticket's journal"));
        }
        let allowed = self.lines.iter().filter(|line| line.may_note() && line.text.is_none()).count() + notes_of_files;
        self.own_words(own.get(reworded..).unwrap_or_default(), allowed, verdicts);
    }

    /// As many entries as records, for one text. What others copied is no second writing of ours, but proves the first.
    fn compare(
        &self,
        group: &mut Said<'a>,
        missing: &mut Vec<&'a Line>,
        pairs: &mut Vec<(&'a Line, Timestamp)>,
        verdicts: &mut Verdicts,
    ) {
        let here =
            |line: &&&Line| line.ticket.as_ref().is_some_and(|ticket| self.shown.tickets.contains_key(ticket.as_str()));
        let must: Vec<&Line> = group.lines.iter().filter(|line| line.must_show && here(line)).copied().collect();
        missing.extend(must.iter().skip(group.texts.len()));
        group.texts.retain(|(text, _)| self.shown.is_us(&text.by));
        group.texts.sort_by_key(|(text, _)| text.at);
        let found = group.texts.len();
        if must.len() == found {
            pairs.extend(must.iter().copied().zip(group.texts.iter().map(|(text, _)| text.at)));
        }
        let (Some(line), true) = (group.lines.last(), found > group.lines.len()) else { return };
        let entries: Vec<_> = group.texts.iter().map(|(text, number)| format!("{} on {number}", text.sys_id)).collect();
        let said = format!("accepted {} times, and written {found} times: {}", group.lines.len(), entries.join(", "));
        verdicts.add(self.of(line).is(Verdict::Duplicated, said, "these journal entries"));
    }

    fn texts_are_in_order(&self, mut pairs: Vec<(&'a Line, Timestamp)>, verdicts: &mut Verdicts) {
        pairs.sort_by_key(|(line, _)| line.sequence);
        for ((before, earlier), (line, at)) in
            pairs.iter().zip(pairs.iter().skip(1)).filter(|((_, one), (_, two))| two < one)
        {
            let found =
                format!("its text is of {at}, and that of #{}, which goes before it, of {earlier}", before.sequence);
            verdicts.add(self.of(line).is(Verdict::Reordered, found, "the ticket's journal"));
        }
    }

    /// Texts of ours that no event says: the mapping's own words.
    fn own_words(&self, own: &[(&Text, &str)], allowed: usize, verdicts: &mut Verdicts) {
        let mut known = BTreeSet::new();
        for (text, number) in own.iter().skip(allowed) {
            let again = own.iter().filter(|(other, _)| other.prints.first() == text.prints.first()).count() > 1;
            let verdict = if again { Verdict::Duplicated } else { Verdict::Unexpected };
            let found = format!("{number} has a text of ours ({}) that nothing accepted accounts for", text.sys_id);
            if known.insert(&text.sys_id) {
                verdicts.add(self.itself().is(verdict, found, "the journal entry"));
            }
        }
    }

    fn itself(&self) -> Named<'_> {
        Named { tenant: self.tenant, incident: self.incident.as_str(), event: String::new() }
    }

    fn of(&self, line: &Line) -> Named<'_> {
        Named { event: named(&line.event, Some(line)), ..self.itself() }
    }
}
