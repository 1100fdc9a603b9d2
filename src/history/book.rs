//! One tenant's side of the gateway: its receipts and records, and whether these agree among themselves.
//!
//! Owns: what is kept of a record. Never: looks at an instance. Fails: it cannot. Proved by: `tests`.

use std::collections::{BTreeMap, BTreeSet};

use super::records::{Certainty, Receipt, Recorded};
use super::shown::print_of;
use super::verdict::{Verdict, Verdicts, Violation};
use crate::delivery::identity::Subject;
use crate::delivery::kind::{Kind, TicketKind};
use crate::delivery::record::{Direction, Ending, State};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, SysId, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::{CLOCKS_APART, EVENTS_REMEMBERED, HISTORY_SUCCESSORS_TRIED};

/// Ends of a delivery that wrote to its ticket.
const WRITES: [&str; 4] = ["created", "updated", "adopted", "already_applied"];

/// What is kept of a record.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something else that a record says, and a million are kept")]
pub(super) struct Line {
    pub(super) id: DeliveryId,
    pub(super) event: EventKey,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) sequence: u64,
    pub(super) episode: Option<u32>,
    /// The ticket it ended at.
    pub(super) ticket: Option<SysId>,
    /// Whether it wrote to that ticket.
    pub(super) wrote: bool,
    /// Whether the instance said that it stored our mark otherwise.
    pub(super) keeps_mark: bool,
    /// Whether it said that it did not take our key: a ticket that was over before it became ours.
    pub(super) keeps_key: bool,
    /// A hash of its text, if it has one …
    pub(super) text: Option<u64>,
    /// … and whether that text must be in the ticket's journal; otherwise it may.
    pub(super) must_show: bool,
    accepted_at: Timestamp,
    ended_at: Option<Timestamp>,
    superseded_by: Option<DeliveryId>,
}

/// Lanes by direction and name.
type LaneName = (Direction, IncidentId);

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    receipts: BTreeMap<EventKey, Receipt>,
    /// Receipts for what no gateway can hold.
    misnamed: Vec<Receipt>,
    pub(super) lanes: BTreeMap<LaneName, Vec<Line>>,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl Book {
    pub(super) fn acknowledge(&mut self, receipt: Receipt) {
        let Some(key) = receipt.key() else {
            self.misnamed.push(receipt);
            return;
        };
        let known = self.receipts.entry(key).or_insert_with(|| receipt.clone());
        if receipt.certainty > known.certainty {
            *known = receipt;
        }
    }

    pub(super) fn record(&mut self, record: Recorded) {
        let times = [Some(record.accepted_at), record.ended_at];
        for at in times.into_iter().flatten() {
            self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
            self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        }
        let lane = self.lanes.entry((record.direction, record.incident.clone())).or_default();
        let newest = Line::of(record);
        // Exports come sorted, newest or oldest first.
        match lane.binary_search_by(|known| (known.sequence, &known.id).cmp(&(newest.sequence, &newest.id))) {
            Ok(at) => lane.splice(at..=at, [newest]).for_each(drop),
            Err(at) => lane.insert(at, newest),
        }
    }

    /// The moment from which on everything is on record, as far as the records can tell.
    pub(super) fn reaches_back_to(&self) -> Timestamp {
        let (oldest, newest) = (self.oldest.unwrap_or(Timestamp::NEVER), self.newest.unwrap_or(Timestamp::NEVER));
        oldest.max(newest.minus(EVENTS_REMEMBERED)).plus(CLOCKS_APART)
    }

    /// The lines of the way there, by incident.
    pub(super) fn incidents(&self) -> impl Iterator<Item = (&IncidentId, &Vec<Line>)> {
        let there = self.lanes.iter().filter(|((direction, _), _)| *direction == Direction::ToServicenow);
        there.map(|((_, incident), lines)| (incident, lines))
    }

    pub(super) fn incident(&self, incident: &IncidentId) -> Option<&Vec<Line>> {
        self.lanes.get(&(Direction::ToServicenow, incident.clone()))
    }

    /// Every ticket that an incident may have.
    pub(super) fn subjects(&self, incident: &IncidentId) -> Vec<Subject> {
        let said = self.incident(incident).into_iter().flatten().filter_map(|line| line.episode);
        let episodes: BTreeSet<u32> = said.chain([1]).collect();
        let successors = |episode| (0..HISTORY_SUCCESSORS_TRIED).map(move |successor| (episode, successor));
        let subject = |(episode, successor)| Subject { incident: incident.clone(), episode, successor };
        episodes.into_iter().flat_map(successors).map(subject).collect()
    }

    /// What receipts and records say of each other.
    pub(super) fn judge(&self, tenant: &TenantId, since: Timestamp, verdicts: &mut Verdicts) {
        self.count(verdicts);
        self.judge_receipts(tenant, verdicts);
        for ((direction, incident), lines) in &self.lanes {
            let lane = Lane { tenant, direction: *direction, incident, lines };
            lane.judge(since, verdicts);
        }
    }

    fn count(&self, verdicts: &mut Verdicts) {
        let counts = &mut verdicts.counts;
        for line in self.lanes.values().flatten() {
            counts.recorded += 1;
            match line.state {
                State::Waiting | State::Sending => counts.waiting += 1,
                State::Delivered => counts.delivered += 1,
                State::Superseded => counts.superseded += 1,
                State::Parked => counts.parked += 1,
                State::Dropped => counts.dropped += 1,
            }
        }
    }

    fn judge_receipts(&self, tenant: &TenantId, verdicts: &mut Verdicts) {
        let mut on_record: BTreeMap<&EventKey, Vec<(&IncidentId, &Line)>> = BTreeMap::new();
        for ((direction, incident), lines) in &self.lanes {
            let of_senders = |line: &&Line| *direction == Direction::ToServicenow && line.kind.change().is_some();
            for line in lines.iter().filter(of_senders) {
                on_record.entry(&line.event).or_default().push((incident, line));
            }
        }
        for (event, lines) in on_record.iter().filter(|(_, lines)| lines.len() > 1) {
            let places: Vec<_> = lines.iter().map(|(lane, line)| format!("{lane} #{}", line.sequence)).collect();
            let found = format!("one event, on record {} times: {}", lines.len(), places.join(", "));
            let incident = lines.first().map_or("", |(incident, _)| incident.as_str());
            let of = Named { tenant, incident, event: named(event, None) };
            verdicts.add(of.is(Verdict::Duplicated, found, "these records"));
        }
        for (event, receipt) in &self.receipts {
            let known = on_record.get(event).and_then(|lines| lines.first());
            judge_receipt((tenant, event), receipt, known.copied(), verdicts);
        }
        for receipt in self.misnamed.iter().filter(|receipt| receipt.certainty == Certainty::Stored) {
            let of = Named { tenant, incident: receipt.incident.as_str(), event: receipt.event.clone() };
            let found = "a receipt for an event without a name that could be stored".to_owned();
            verdicts.add(of.is(Verdict::Lost, found, "the sender's log"));
        }
        if self.receipts.is_empty() {
            return;
        }
        // The gateway's own are replays, which carry a source of its own.
        let nobodys = on_record.iter().filter(|(event, _)| !self.receipts.contains_key(**event));
        for (event, lines) in nobodys.filter(|(event, _)| !event.parts().0.starts_with("snowgate:")) {
            let Some((incident, line)) = lines.first() else { continue };
            let of = Named { tenant, incident: incident.as_str(), event: named(event, Some(line)) };
            let found = format!("on record as {}, and no sender sent it", line.state.as_str());
            verdicts.add(of.is(Verdict::Unexpected, found, "the senders' logs"));
        }
    }
}

fn judge_receipt(
    (tenant, event): (&TenantId, &EventKey),
    receipt: &Receipt,
    known: Option<(&IncidentId, &Line)>,
    verdicts: &mut Verdicts,
) {
    let counts = &mut verdicts.counts;
    counts.acknowledged += u64::from(receipt.certainty == Certainty::Stored);
    let of = Named { tenant, incident: receipt.incident.as_str(), event: named(event, known.map(|(_, line)| line)) };
    match (receipt.certainty, known) {
        (Certainty::Stored, None) => {
            let receipt = receipt.delivery.as_ref().map_or_else(|| "no id".to_owned(), ToString::to_string);
            let found = format!("its sender holds a receipt ({receipt}), and it is not on record");
            verdicts.add(of.is(Verdict::Lost, found, "the store: was it restored from a backup, or replaced?"));
        }
        (Certainty::Stored, Some((incident, line))) => {
            let promised = receipt.delivery.as_ref().unwrap_or(&line.id);
            if *promised != line.id || *incident != receipt.incident {
                let found =
                    format!("the receipt says {} {promised}, the record {incident} {}", receipt.incident, line.id);
                verdicts.add(of.is(Verdict::Unexpected, found, "both"));
            }
        }
        (Certainty::Unclear, Some(_)) => counts.unclear_recorded += 1,
        (Certainty::Unclear, None) => counts.unclear_absent += 1,
        (Certainty::Refused, Some((_, line))) => {
            let found = format!("it was refused, and is on record as {}", line.state.as_str());
            verdicts.add(of.is(Verdict::Unexpected, found, "the sender's log"));
        }
        (Certainty::Refused, None) => {}
    }
}

impl Line {
    fn of(record: Recorded) -> Self {
        let Ending { ticket, differences, left_out, how, parking: _, superseded_by } =
            record.ending.unwrap_or_default();
        let text = record.body.pointer("/message/text").and_then(serde_json::Value::as_str);
        let text = text.filter(|text| !text.trim().is_empty() && record.kind.change().is_some());
        let episode = record.body.pointer("/incident/episode").and_then(serde_json::Value::as_u64);
        let wrote = record.state == State::Delivered && WRITES.contains(&how.as_str());
        let differs = |field: &str| differences.iter().any(|difference| difference.field == field);
        let told_elsewhere = differs("comments") || differs("work_notes");
        let left_out = left_out.iter().any(|what| what.starts_with("message"));
        Self {
            must_show: text.is_some() && wrote && !told_elsewhere && !left_out,
            text: text.map(print_of),
            id: record.id,
            event: record.event,
            kind: record.kind,
            state: record.state,
            sequence: record.sequence,
            episode: episode.and_then(|episode| u32::try_from(episode).ok()),
            ticket: ticket.map(|ticket| ticket.sys_id),
            wrote,
            keeps_mark: !differs("correlation_display"),
            keeps_key: !differs("correlation_id"),
            accepted_at: record.accepted_at,
            ended_at: record.ended_at,
            superseded_by,
        }
    }

    /// Whether the mapping may have written a text of its own for it.
    pub(super) fn may_note(&self) -> bool {
        match self.kind {
            Kind::Incident(_) => true,
            Kind::Ticket(kind) => matches!(kind, TicketKind::Attach | TicketKind::Adopt),
        }
    }
}

/// The records of one lane.
struct Lane<'a> {
    tenant: &'a TenantId,
    direction: Direction,
    incident: &'a IncidentId,
    lines: &'a [Line],
}

impl Lane<'_> {
    /// Its places are dense, its ends are in order, and what was superseded names something later.
    fn judge(&self, since: Timestamp, verdicts: &mut Verdicts) {
        for (before, line) in self.lines.iter().zip(self.lines.iter().skip(1)) {
            if before.sequence == line.sequence {
                let found = format!("two records have the place #{}: {} and {}", line.sequence, before.id, line.id);
                verdicts.add(self.of(line).is(Verdict::Duplicated, found, "the store"));
            } else if before.sequence + 1 != line.sequence && before.accepted_at >= since {
                let (from, to) = (before.sequence + 1, line.sequence - 1);
                let found = format!("the lane's places #{from} to #{to} were given, and are not on record");
                verdicts.add(self.of(line).is(Verdict::Lost, found, "the store"));
            }
        }
        self.judge_ends(verdicts);
        let superseded = self.lines.iter().filter(|line| line.state == State::Superseded);
        for line in superseded {
            let later = |by: &DeliveryId| self.lines.iter().find(|other| other.id == *by);
            let by = line.superseded_by.as_ref();
            if by.and_then(later).is_none_or(|other| other.sequence <= line.sequence) {
                let by = by.map_or("nothing", DeliveryId::as_str);
                let found = format!("superseded by {by}, which is no later delivery of its lane");
                verdicts.add(self.of(line).is(Verdict::Lost, found, "the record"));
            }
        }
    }

    fn judge_ends(&self, verdicts: &mut Verdicts) {
        let mut last: Option<(&Line, Timestamp)> = None;
        for line in self.lines.iter().filter(|line| line.state == State::Delivered) {
            let Some(ended) = line.ended_at else { continue };
            if let Some((before, earlier)) = last.filter(|(_, earlier)| *earlier > ended) {
                let place = before.sequence;
                let found =
                    format!("ended at {ended}, before #{place}, which was accepted earlier and ended at {earlier}");
                verdicts.add(self.of(line).is(Verdict::Reordered, found, "both records"));
            }
            last = Some((line, ended));
        }
    }

    fn of(&self, line: &Line) -> Named<'_> {
        let way = if self.direction == Direction::ToServicenow { "" } else { "back, " };
        let event = format!("{way}{}", named(&line.event, Some(line)));
        Named { tenant: self.tenant, incident: self.incident.as_str(), event }
    }
}

/// What a violation is about.
pub(super) struct Named<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) incident: &'a str,
    pub(super) event: String,
}

impl Named<'_> {
    pub(super) fn is(&self, verdict: Verdict, found: String, look: impl Into<String>) -> Violation {
        Violation {
            verdict,
            tenant: self.tenant.clone(),
            incident: self.incident.to_owned(),
            event: self.event.clone(),
            found,
            look: look.into(),
        }
    }
}

/// An event in words: its source and id, and its place and delivery if it is on record.
pub(super) fn named(event: &EventKey, line: Option<&Line>) -> String {
    let (source, id) = event.parts();
    line.map_or_else(|| format!("{source} {id}"), |line| format!("{source} {id} (#{}, {})", line.sequence, line.id))
}
