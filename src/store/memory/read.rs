//! Reading the model: what a sender, an operator, a worker and the metrics see.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::lane::Event;
use super::{MemoryStore, Place, Tables};
use crate::delivery::kind::TicketKind;
use crate::delivery::record::{Delivery, Direction, State, Urgency};
use crate::domain::id::{DeliveryId, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::{Backlog, DeliveryPage, DeliveryQuery, LaneView, OldestDue, TenantRecord, TenantStanding};

impl MemoryStore {
    pub(in crate::store) fn tenant(&self, tenant: &TenantId) -> TenantRecord {
        let now = self.clock.now();
        let tables = self.tables();
        let Some(row) = tables.tenants.get(tenant) else { return TenantRecord::default() };
        TenantRecord {
            pause: tables.paused(tenant, now),
            learned: row.learned.clone(),
            check: row.check.clone(),
            release: row.release.clone(),
        }
    }

    pub(in crate::store) fn tenant_standings(&self) -> Vec<TenantStanding> {
        let now = self.clock.now();
        let tables = self.tables();
        let mut standings: Vec<TenantStanding> = tables
            .tenants
            .iter()
            .map(|(tenant, row)| TenantStanding {
                tenant: tenant.clone(),
                pause: row.pause.clone().filter(|pause| pause.until > now),
                is_released: row.release.is_some(),
            })
            .filter(|standing| standing.pause.is_some() || standing.is_released)
            .collect();
        standings.sort_by(|one, other| one.tenant.cmp(&other.tenant));
        standings
    }

    pub(in crate::store) fn backlog(&self) -> Vec<Backlog> {
        let tables = self.tables();
        let mut backlogs: BTreeMap<(&TenantId, Direction), Backlog> = BTreeMap::new();
        for (lane, event) in tables.lanes.iter().flat_map(|lane| lane.events.iter().map(move |event| (lane, event))) {
            let backlog = backlogs.entry((&lane.tenant, lane.direction)).or_insert_with(|| Backlog {
                tenant: lane.tenant.clone(),
                direction: lane.direction,
                waiting: 0,
                parked: 0,
                oldest: None,
            });
            if event.state == State::Parked {
                backlog.parked += 1;
            } else if !event.state.is_end() {
                backlog.waiting += 1;
                backlog.oldest = Some(backlog.oldest.map_or(event.accepted_at, |oldest| oldest.min(event.accepted_at)));
            }
        }
        backlogs.into_values().filter(|backlog| backlog.waiting + backlog.parked > 0).collect()
    }

    pub(in crate::store) fn oldest_due(&self) -> Vec<OldestDue> {
        let now = self.clock.now();
        let tables = self.tables();
        let mut oldest: BTreeMap<(Urgency, &TenantId), Timestamp> = BTreeMap::new();
        for lane in &tables.lanes {
            if let Some(due) = lane.due.filter(|due| *due <= now) {
                let since = oldest.entry((lane.urgency(), &lane.tenant)).or_insert(due);
                *since = (*since).min(due);
            }
        }
        let named = |((urgency, tenant), since): ((Urgency, &TenantId), Timestamp)| OldestDue {
            tenant: tenant.clone(),
            urgency,
            since,
        };
        oldest.into_iter().map(named).collect()
    }

    pub(in crate::store) fn lane(
        &self,
        tenant: &TenantId,
        direction: Direction,
        incident: &IncidentId,
    ) -> Option<LaneView> {
        let tables = self.tables();
        let lane = &tables.lanes[*tables.lane_of.get(&(tenant.clone(), direction, incident.clone()))?];
        Some(LaneView {
            memory: lane.memory.clone(),
            sending: lane.unsettled().any(|event| event.sending_since.is_some()),
            waiting: lane.unsettled().filter(|event| !event.state.is_end()).count() as u64,
        })
    }

    pub(in crate::store) fn opening(&self, tenant: &TenantId) -> bool {
        let tables = self.tables();
        let opens = |event: &Event| event.change.kind == TicketKind::Opened.into() && event.sending_since.is_some();
        tables.lanes.iter().filter(|lane| lane.tenant == *tenant).any(|lane| lane.events.iter().any(opens))
    }

    pub(in crate::store) fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Option<Delivery> {
        let tables = self.tables();
        tables.find(tenant, id).and_then(|place| tables.view(place))
    }

    pub(in crate::store) fn deliveries(&self, query: &DeliveryQuery) -> DeliveryPage {
        let tables = self.tables();
        let older = tables.by_id.iter().rev().filter(|(id, _)| query.before.as_ref().is_none_or(|before| *id < before));
        let wanted = older.map(|(_, place)| *place).filter(|(lane, sequence)| {
            let lane = &tables.lanes[*lane];
            lane.tenant == query.tenant
                && (query.incidents.is_empty() || query.incidents.contains(&lane.incident))
                && query.direction.is_none_or(|direction| direction == lane.direction)
                && lane.event(*sequence).is_some_and(|event| query.state.is_none_or(|state| state == event.state))
        });
        let mut deliveries: Vec<_> = wanted.take(query.limit + 1).filter_map(|place| tables.view(place)).collect();
        let more = deliveries.len() > query.limit;
        deliveries.truncate(query.limit);
        let next = if more { deliveries.last().map(|last| last.id.clone()) } else { None };
        DeliveryPage { deliveries, next }
    }
}

impl Tables {
    fn view(&self, (index, sequence): Place) -> Option<Delivery> {
        let lane = &self.lanes[index];
        let event = lane.event(sequence)?;
        Some(Delivery {
            id: event.change.id.clone(),
            tenant: lane.tenant.clone(),
            direction: lane.direction,
            incident: lane.incident.clone(),
            sequence,
            event: event.change.event.clone(),
            kind: event.change.kind,
            state: event.state,
            accepted_at: event.accepted_at,
            ended_at: event.ended_at,
            ending: event.ending.clone(),
            attempts: event.attempts.clone(),
            due: if event.state.is_end() { None } else { lane.due },
            body: RawValue::from_string(event.change.body.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        })
    }
}
