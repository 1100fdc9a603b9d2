//! One lane of the model and the events in it: what each write does to them, row by row.

use std::sync::Arc;

use crate::delivery::lane::LaneMemory;
use crate::delivery::record::{Attempt, Direction, Ending, State, Urgency};
use crate::domain::id::{IncidentId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;
use crate::limits::ATTEMPT_RECORDS_MAX;
use crate::store::contract::{NewDelivery, Settlement, Waiting};

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) tenant: TenantId,
    pub(super) direction: Direction,
    pub(super) incident: IncidentId,
    pub(super) head: u64,
    pub(super) due: Option<Timestamp>,
    pub(super) fence: u64,
    pub(super) leased_until: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) parked: bool,
    pub(super) memory: LaneMemory,
    pub(super) events: Vec<Event>,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) change: NewDelivery,
    pub(super) state: State,
    pub(super) accepted_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) sending_since: Option<Timestamp>,
    pub(super) ending: Option<Ending>,
    pub(super) attempts: Vec<Attempt>,
}

impl Lane {
    pub(super) fn new(change: &NewDelivery) -> Self {
        Self {
            tenant: change.tenant.clone(),
            direction: change.direction,
            incident: change.incident.clone(),
            head: 1,
            due: None,
            fence: 0,
            leased_until: None,
            attempts: 0,
            parked: false,
            memory: LaneMemory::default(),
            events: Vec::new(),
        }
    }

    pub(super) fn tail(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn waiting(&self) -> usize {
        usize::try_from(self.tail() + 1 - self.head).unwrap_or(usize::MAX)
    }

    pub(super) fn event(&self, sequence: u64) -> Option<&Event> {
        self.events.get(usize::try_from(sequence.checked_sub(1)?).ok()?)
    }

    pub(super) fn event_mut(&mut self, sequence: u64) -> Option<&mut Event> {
        self.events.get_mut(usize::try_from(sequence.checked_sub(1)?).ok()?)
    }

    pub(super) fn events_mut(&mut self, from: u64, upto: u64) -> impl Iterator<Item = &mut Event> {
        self.events.iter_mut().zip(1_u64..).filter(move |(_, at)| (from..=upto).contains(at)).map(|(event, _)| event)
    }

    /// What has not been settled yet: the head and what is behind it.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Event> {
        let from = usize::try_from(self.head - 1).unwrap_or(usize::MAX);
        self.events.iter().skip(from)
    }

    /// The most urgent of what waits decides when the lane gets its turn.
    pub(super) fn urgency(&self) -> Urgency {
        self.unsettled().map(|event| event.change.kind.urgency()).min().unwrap_or(Urgency::Low)
    }

    pub(super) fn lease_until(&mut self, until: Timestamp) {
        self.leased_until = Some(until);
        self.due = Some(until);
    }

    /// Ends what the settlement ends; answers what else is to be stored with it.
    pub(super) fn settle(&mut self, settlement: Settlement, now: Timestamp) -> (Vec<NewDelivery>, Option<Link>) {
        let Settlement { upto, state, ending, attempt, memory, follows, link } = settlement;
        let blocks = ending.parking.as_ref().is_some_and(|parking| parking.blocks);
        let by = self.event(upto).map(|last| last.change.id.clone());
        for event in self.events_mut(self.head, upto.saturating_sub(1)) {
            event.end(State::Superseded, Ending { superseded_by: by.clone(), ..Ending::default() }, now);
        }
        if let Some(event) = self.event_mut(upto) {
            event.end(state, ending, now);
            if let Some(attempt) = attempt {
                event.remember(attempt);
            }
        }
        self.memory = memory;
        self.attempts = 0;
        self.leased_until = None;
        self.parked = blocks;
        self.head = if blocks { upto } else { upto + 1 };
        self.due = (!blocks && self.head <= self.tail()).then_some(now);
        (follows, link)
    }

    pub(super) fn unpark(&mut self, now: Timestamp) {
        self.parked = false;
        self.attempts = 0;
        self.due = (self.head <= self.tail()).then_some(now);
    }
}

impl Event {
    pub(super) fn new(change: NewDelivery, now: Timestamp) -> Self {
        Self {
            change,
            state: State::Waiting,
            accepted_at: now,
            ended_at: None,
            sending_since: None,
            ending: None,
            attempts: Vec::new(),
        }
    }

    pub(super) fn end(&mut self, state: State, ending: Ending, now: Timestamp) {
        self.state = state;
        self.sending_since = None;
        self.ended_at = Some(now);
        self.ending = Some(ending);
    }

    pub(super) fn wake(&mut self) {
        self.state = State::Waiting;
        self.ended_at = None;
        self.ending = None;
    }

    /// Keeps the newest attempts; an old one says nothing new.
    pub(super) fn remember(&mut self, attempt: Attempt) {
        if self.attempts.len() == ATTEMPT_RECORDS_MAX {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }
}

pub(super) fn waiting((sequence, event): (u64, &Event)) -> Waiting {
    Waiting {
        id: event.change.id.clone(),
        event: event.change.event.clone(),
        sequence,
        kind: event.change.kind,
        body: Arc::clone(&event.change.body),
        accepted_at: event.accepted_at,
        sending_since: event.sending_since,
        is_echo: event.change.is_echo,
    }
}
