//! Which ticket belongs to which incident, as the model keeps it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::MemoryStore;
use crate::domain::id::{IncidentId, SysId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;

/// The links of all tenants.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<(TenantId, SysId), Found>);

#[derive(Debug)]
struct Found {
    link: Link,
    /// When the ticket was first known.
    at: Timestamp,
}

impl Links {
    /// Keeps a link: the newest word about a ticket counts, but saying no number takes none away.
    pub(super) fn keep(&mut self, tenant: &TenantId, mut link: Link, now: Timestamp) {
        let key = (tenant.clone(), link.ticket.sys_id.clone());
        let before = self.0.remove(&key);
        let at = before.as_ref().map_or(now, |found| found.at);
        if let Some(before) = before.filter(|_| link.ticket.number.is_empty()) {
            link.ticket.number = before.link.ticket.number;
        }
        self.0.insert(key, Found { link, at });
    }
}

impl MemoryStore {
    pub(in crate::store) fn link(&self, tenant: &TenantId, ticket: &SysId) -> Option<Link> {
        let tables = self.tables();
        tables.links.0.get(&(tenant.clone(), ticket.clone())).map(|found| found.link.clone())
    }

    pub(in crate::store) fn links_of(&self, tenant: &TenantId, incident: &IncidentId) -> Vec<Link> {
        let tables = self.tables();
        let of_incident =
            |((of, _), found): &(&(TenantId, SysId), &Found)| of == tenant && found.link.incident == *incident;
        let mut found: Vec<_> = tables.links.0.iter().filter(of_incident).map(|(_, found)| found).collect();
        found.sort_by_key(|found| Reverse((found.link.episode, found.at, found.link.ticket.sys_id.clone())));
        found.into_iter().map(|found| found.link.clone()).collect()
    }

    pub(in crate::store) fn links_page(&self, tenant: &TenantId, after: Option<&SysId>, limit: usize) -> Vec<Link> {
        let tables = self.tables();
        let first = after.cloned().unwrap_or_else(|| SysId::from_bits(0));
        let from = if after.is_some() { Bound::Excluded } else { Bound::Included }((tenant.clone(), first));
        let behind = tables.links.0.range((from, Bound::Unbounded)).take_while(|((of, _), _)| of == tenant);
        behind.take(limit).map(|(_, found)| found.link.clone()).collect()
    }
}
