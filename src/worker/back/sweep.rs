//! The sweep: asks an instance what changed since last time, so that a lost webhook costs latency only.
//!
//! Per tenant, one at a time over all replicas: pages of `(sys_updated_on, sys_id)` from a little before where the last
//! one ended, with the journals and files of what changed; and, a batch each time, a rotating compare of linked tickets,
//! which finds what moved no time stamp. What it finds becomes sightings in the tickets' own lanes, as if a webhook had
//! told it: the same comparison decides what is new. The cursor moves on only after a page is stored.
//!
//! Never: tells anybody anything itself; uses more than the share of calls that is kept for reading.
//! Fails: by ending where it is; the next one begins there. Proved by: `tests/simulation`, `tests/it/back`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tracing::{debug, error, warn};

use super::super::bridges::Bridge;
use super::super::dispatcher::Worker;
use super::news::same_user;
use super::outbox;
use crate::delivery::identity;
use crate::delivery::outcome::Outcome;
use crate::delivery::record::Direction;
use crate::delivery::seen::{Compared, Seen};
use crate::domain::id::{IncidentId, SysId, TenantId};
use crate::domain::sighting::{FileEntry, JournalEntry, Sighting};
use crate::domain::time::Timestamp;
use crate::limits::{
    COMPARE_BATCH, JOURNAL_ROWS_MAX, SWEEP_LEASE, SWEEP_OVERLAP, SWEEP_PAGES_MAX, SWEEP_POLL, SWEEP_ROWS,
    SWEEP_ROWS_MIN, SWEEP_START, SWEEPS_AT_ONCE,
};
use crate::mapping::TicketView;
use crate::peer::permit::Permit;
use crate::runtime::drain::Stop;
use crate::servicenow::tickets::Page;
use crate::store::{Accepted, Held, NewDelivery, Store, StoreError, SweepCursor, SweepLease};
use crate::telemetry::events::Swept;

/// What the client says of an answer that is larger than it reads.
const TOO_LONG: &str = "answer_cut";

/// Why a sweep ended before its end.
#[derive(Debug)]
pub(super) enum Cut {
    /// The instance did not answer as it should, or not now.
    Instance(Outcome),
    /// The tenant's pace has no call left for it now.
    Closed(String),
    /// Another replica sweeps this tenant.
    Lost,
    Store(StoreError),
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What one sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Tickets looked at.
    pub tickets: usize,
    /// Tickets with something that no webhook had told.
    pub drifted: usize,
}

impl Worker {
    /// Sweeps every tenant when it is due, until a stop is requested.
    pub async fn sweep(self, stop: Stop) {
        // When each is worth asking for again: the lease is the store's to give, and is not asked for in vain. With another
        // interval the old answer says nothing.
        let mut next: HashMap<TenantId, (Duration, Timestamp)> = HashMap::new();
        while !stop.is_requested() {
            let now = self.clock.now();
            let mut tenants = self.bridges.swept();
            let served: HashMap<_, _> = tenants.iter().cloned().collect();
            next.retain(|tenant, (every, _)| served.get(tenant) == Some(every));
            tenants.retain(|(tenant, _)| next.get(tenant).is_none_or(|(_, at)| *at <= now));
            let sweeps = stream::iter(tenants).map(|(tenant, every)| self.sweep_reported(tenant, every));
            let all = sweeps.buffer_unordered(SWEEPS_AT_ONCE).for_each(|(tenant, every, at)| {
                next.insert(tenant, (every, at));
                std::future::ready(())
            });
            tokio::select! {
                () = stop.requested() => return,
                () = all => {}
            }
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(SWEEP_POLL) => {}
            }
        }
    }

    /// Sweeps one tenant if it is due, and says when it is worth trying again.
    async fn sweep_reported(&self, tenant: TenantId, every: Duration) -> (TenantId, Duration, Timestamp) {
        let begun = self.clock.now();
        let again = match self.sweep_tenant(&tenant).await {
            Ok(Some(_)) => every,
            // Another replica swept it, or it is swept too recently: it may be due sooner than our own next turn, or that
            // one dies, and is followed when its lease ends.
            Ok(None) => (every / 4).min(SWEEP_LEASE),
            Err(failed) => {
                error!(tenant.id = %tenant, error = %failed, "Cannot sweep: {failed}");
                every / 4
            }
        };
        (tenant, every, begun.plus(again))
    }

    /// Sweeps one tenant if it is due; `None` if it is not, or somebody else does.
    pub async fn sweep_tenant(&self, tenant: &TenantId) -> Result<Option<Found>, StoreError> {
        let Some(bridge) = self.bridges.of(tenant).filter(|bridge| bridge.goes_back()) else { return Ok(None) };
        let leased = self.store.lease_sweep(tenant, &self.owner, bridge.sweep_every, SWEEP_LEASE).await?;
        let Some(lease) = leased else { return Ok(None) };
        let begun = self.clock.now();
        let user = bridge.user.as_deref().map(str::to_owned).or(bridge.learned(&self.store).await?.user);
        let mut sweep = Sweep {
            store: &self.store,
            bridge: &bridge,
            tenant,
            cursor: lease.cursor.clone(),
            lease,
            user,
            found: Found::default(),
            stored: 0,
        };
        let ended = Box::pin(sweep.run()).await;
        let Sweep { cursor, lease, found, stored, .. } = sweep;
        let took = self.clock.now().since(begun);
        if stored > 0 {
            self.accepted.one();
        }
        match ended {
            Ok(()) => {}
            Err(Cut::Store(failed)) => return Err(failed),
            Err(Cut::Lost) => return Ok(None),
            Err(Cut::Closed(why)) => debug!(tenant.id = %tenant, "The sweep goes on next time: {why}"),
            Err(Cut::Instance(outcome)) => {
                warn!(tenant.id = %tenant, reason = outcome.code, "The sweep goes on next time: {}: {}",
                    outcome.code, outcome.detail);
            }
        }
        // Whatever cut it short: the next one begins where this one ended, at its time.
        let held = self.store.finish_sweep(&lease, &cursor).await?;
        if !held.is_yes() {
            debug!(tenant.id = %tenant, "Another replica took the sweep over");
        }
        bridge.note_sweep(begun, found);
        Swept { tenant, tickets: found.tickets, drifted: found.drifted, took }.emit();
        Ok(Some(found))
    }
}

pub(super) struct Sweep<'a> {
    pub(super) store: &'a Store,
    pub(super) bridge: &'a Arc<Bridge>,
    pub(super) tenant: &'a TenantId,
    pub(super) cursor: SweepCursor,
    pub(super) lease: SweepLease,
    pub(super) user: Option<String>,
    pub(super) found: Found,
    /// Sightings that were put into lanes.
    pub(super) stored: usize,
}

impl Sweep<'_> {
    async fn run(&mut self) -> Result<(), Cut> {
        self.changed().await?;
        self.compare_some().await
    }

    /// Everything that changed since a little before the last page that was stored.
    async fn changed(&mut self) -> Result<(), Cut> {
        let since = self.begin_of(&self.cursor.updated_on);
        let columns = self.columns();
        let columns: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
        let mut after: Option<(String, SysId)> = None;
        let (mut skip, mut rows_max) = (0, SWEEP_ROWS);
        for _ in 0..SWEEP_PAGES_MAX {
            let page = Page {
                since: &since,
                after: after.as_ref().map(|(updated_on, sys_id)| (updated_on.as_str(), sys_id)),
                correlated_only: !self.bridge.mapping.has_opens(),
                columns: &columns,
                rows_max,
                skip,
                count: true,
            };
            let permit = self.permit().await?;
            let client = &self.bridge.client;
            let changed = match client.changed_since(permit, &self.bridge.table, &page).await {
                Ok(changed) => changed,
                // Long texts make a page larger than an answer may be; half of it is read again.
                Err(outcome) if outcome.code == TOO_LONG && rows_max > SWEEP_ROWS_MIN => {
                    rows_max /= 2;
                    continue;
                }
                Err(outcome) => return Err(Cut::Instance(outcome)),
            };
            // Rows that are hidden from us count in the total: a short page, even an empty one, may not be the last.
            let (shown, reach) = (changed.sightings.len(), u64::try_from(skip + rows_max).unwrap_or(u64::MAX));
            let more = changed.total.map_or(shown >= rows_max, |total| total > reach);
            skip = if shown == 0 { skip + rows_max } else { 0 };
            // The last row may be one that moved there while the page was read: going on from it would pass over what
            // stands between.
            let from_end = usize::from(more && shown > 1);
            let last = changed.sightings.iter().rev().nth(from_end);
            let last = last.and_then(|row| Some((row.updated_on.clone()?, row.sys_id.clone())));
            self.take(changed.sightings, Some(&since)).await?;
            if let Some((updated_on, sys_id)) = last {
                // A ticket that changes while it is read moves to the end: what lies before it was not read yet. And the
                // overlap lies behind where the last sweep came to.
                let reached = (&updated_on).min(&raw(self.lease.now)).clone();
                self.cursor.updated_on = reached.max(std::mem::take(&mut self.cursor.updated_on));
                self.save().await?;
                after = Some((updated_on, sys_id));
            }
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Stores what is not known yet of these tickets, with what was written on them since then; gives those that concern
    /// us, with what was written.
    pub(super) async fn take(&mut self, rows: Vec<Sighting>, since: Option<&str>) -> Result<Vec<Sighting>, Cut> {
        self.found.tickets += rows.len();
        let rows = self.of_interest(rows).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for batch in rows.chunks(COMPARE_BATCH) {
            let journals = self.journals(batch, since).await?;
            let files = self.files(batch, since).await?;
            // No row of any journal: there is none, or they are hidden. Then the tickets are read, which shows the texts.
            let hidden = journals.is_empty() && self.bridge.mapping.tells_messages();
            let mut news = Vec::new();
            for (row, seen) in batch {
                let sighting = with_entries(row, &journals, &files);
                let missed = self.is_missed(&sighting, seen).await?;
                let kept = missed.map(|missed| (as_kept(&sighting, hidden), missed));
                news.extend(kept);
                taken.push(sighting);
            }
            self.accept(news).await?;
        }
        Ok(taken)
    }

    /// Tickets that are linked, carry a key of ours, or open an incident.
    async fn of_interest(&self, rows: Vec<Sighting>) -> Result<Vec<(Sighting, Seen)>, StoreError> {
        let mut kept = Vec::new();
        for row in rows {
            let seen = self.seen(&row.sys_id).await?;
            let keyed = row.correlation_id.as_deref().is_some_and(identity::is_ours);
            if keyed || seen.opened || self.store.link(self.tenant, &row.sys_id).await?.is_some() || self.opens(&row) {
                kept.push((row, seen));
            }
        }
        Ok(kept)
    }

    fn opens(&self, row: &Sighting) -> bool {
        // What cannot be decided is shown to the comparison, which parks it for whoever keeps the mapping.
        self.bridge.mapping.opens(&TicketView::of(row)).unwrap_or(true)
    }

    /// The files that were added to these tickets, if any leave at all.
    async fn files(&self, batch: &[(Sighting, Seen)], since: Option<&str>) -> Result<Vec<(SysId, FileEntry)>, Cut> {
        if batch.is_empty() || self.bridge.mapping.attachments_back().is_none() {
            return Ok(Vec::new());
        }
        let tickets: Vec<SysId> = batch.iter().map(|(row, _)| row.sys_id.clone()).collect();
        let permit = self.permit().await?;
        let files = self.bridge.client.attachments_of_many(permit, &self.bridge.table, &tickets, since).await;
        files.map_err(Cut::Instance)
    }

    async fn journals(
        &self,
        batch: &[(Sighting, Seen)],
        since: Option<&str>,
    ) -> Result<Vec<(SysId, JournalEntry)>, Cut> {
        if batch.is_empty() || !self.bridge.mapping.tells_messages() {
            return Ok(Vec::new());
        }
        let tickets: Vec<SysId> = batch.iter().map(|(row, _)| row.sys_id.clone()).collect();
        let permit = self.permit().await?;
        let rows = self.bridge.client.journal_of(permit, &tickets, since, JOURNAL_ROWS_MAX).await;
        let mut rows = rows.map_err(Cut::Instance)?;
        rows.retain(|(_, entry)| self.bridge.mapping.entry_leaves_as(&entry.element).is_some());
        Ok(rows)
    }

    /// Whether a webhook should have told what is new in a sighting; `None` if nothing is.
    async fn is_missed(&self, sighting: &Sighting, seen: &Seen) -> Result<Option<bool>, StoreError> {
        if self.has_new_entries(sighting, seen) {
            return Ok(Some(true));
        }
        let newer = sighting.version.is_none_or(|version| seen.is_newer(version));
        if !newer && !self.moved_silently(sighting, seen) {
            return Ok(None);
        }
        self.is_theirs(sighting, seen).await.map(Some)
    }

    /// Whether somebody wrote or attached what was not seen and is not our own.
    fn has_new_entries(&self, sighting: &Sighting, seen: &Seen) -> bool {
        let ours = |by: Option<&str>| same_user(self.user.as_deref(), by);
        let written = sighting.journal.iter().flatten().any(|entry| {
            let key = entry.sys_id.as_ref().map(SysId::as_str).unwrap_or_default();
            let made_at = entry.created_on.as_deref().unwrap_or_default();
            !ours(entry.created_by.as_deref()) && !seen.entries.has(made_at, key)
        });
        let attached = sighting.attachments.iter().flatten().any(|file| {
            let made_at = file.created_on.as_deref().unwrap_or_default();
            !ours(file.created_by.as_deref()) && !seen.files.has(made_at, file.sys_id.as_str())
        });
        written || attached
    }

    fn moved_silently(&self, sighting: &Sighting, seen: &Seen) -> bool {
        let cells = sighting.fields.iter().flatten();
        let read =
            cells.filter(|(column, _)| self.bridge.mapping.ticket_columns().iter().any(|read| **read == **column));
        let cells = read.map(|(column, cell)| (column.as_str(), cell.value.as_str()));
        sighting.version.is_some_and(|version| seen.moved_silently(version, cells))
    }

    /// Whether columns changed otherwise than by us: only then a webhook was missed, as the rule is silent about us.
    async fn is_theirs(&self, sighting: &Sighting, seen: &Seen) -> Result<bool, StoreError> {
        let Some(link) = self.store.link(self.tenant, &sighting.sys_id).await? else { return Ok(true) };
        let view = self.store.lane(self.tenant, Direction::ToServicenow, &link.incident).await?.unwrap_or_default();
        let columns = self.bridge.mapping.ticket_columns();
        let mut fields =
            sighting.fields.iter().flatten().filter(|(name, _)| columns.iter().any(|read| **read == ***name));
        let version = sighting.version.unwrap_or(u64::MAX);
        Ok(fields.any(|(name, cell)| {
            seen.compare(name, &cell.value, version, view.memory.ours.get(name)) == Compared::Changed
        }))
    }

    /// Puts sightings into their tickets' lanes; each with whether a webhook should have told it.
    pub(super) async fn accept(&mut self, sightings: Vec<(Sighting, bool)>) -> Result<(), StoreError> {
        if sightings.is_empty() {
            return Ok(());
        }
        let deliveries = sightings.iter().map(|(sighting, _)| delivery(self.tenant, sighting, self.lease.now));
        let deliveries: Vec<NewDelivery> = deliveries.collect();
        let mut stands = self.store.accept(deliveries.clone()).await?;
        let is_taken = |stand: &Accepted| matches!(stand, Accepted::Stored(_) | Accepted::Repeat(_));
        if !stands.iter().all(is_taken) {
            stands = self.accept_each(deliveries).await?;
        }
        let new = stands.iter().zip(&sightings).filter(|(stand, _)| matches!(stand, Accepted::Stored(_)));
        for (_, (_, missed)) in new {
            self.stored += 1;
            self.found.drifted += usize::from(*missed);
        }
        Ok(())
    }

    /// One by one: a ticket that cannot be taken, because its lane is full, must not keep the others out.
    async fn accept_each(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Accepted>, StoreError> {
        let mut stands = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let lane = delivery.incident.clone();
            let stand = self.store.accept(vec![delivery]).await?.into_iter().next().unwrap_or(Accepted::NotStored);
            if stand == Accepted::LaneFull {
                warn!(tenant.id = %self.tenant, incident.id = %lane, "The lane of {lane} is full; a later sweep finds what is new");
            }
            stands.push(stand);
        }
        Ok(stands)
    }

    pub(super) async fn seen(&self, ticket: &SysId) -> Result<Seen, StoreError> {
        let lane = IncidentId::lane_of_ticket(ticket);
        let view = self.store.lane(self.tenant, Direction::ToService, &lane).await?;
        Ok(view.and_then(|view| view.memory.seen).map(|seen| *seen).unwrap_or_default())
    }

    pub(super) async fn permit(&self) -> Result<Permit, Cut> {
        self.bridge.client.permit_to_read().await.map_err(|closed| Cut::Closed(closed.reason))
    }

    pub(super) async fn save(&self) -> Result<(), Cut> {
        match self.store.save_sweep(&self.lease, &self.cursor, SWEEP_LEASE).await? {
            Held::Yes(()) => Ok(()),
            Held::Lost => Err(Cut::Lost),
        }
    }

    pub(super) fn columns(&self) -> Vec<Arc<str>> {
        self.bridge.mapping.ticket_columns().to_vec()
    }

    /// A little before where the last one ended, because time stamps are given before a commit, in whole seconds.
    fn begin_of(&self, cursor: &str) -> String {
        let from = Timestamp::parse_utc(cursor).unwrap_or_else(|| self.lease.now.minus(SWEEP_START));
        raw(from.minus(SWEEP_OVERLAP))
    }
}

/// A ticket with what was written on it and attached to it.
fn with_entries(row: &Sighting, journals: &[(SysId, JournalEntry)], files: &[(SysId, FileEntry)]) -> Sighting {
    let written = journals.iter().filter(|(ticket, _)| *ticket == row.sys_id).map(|(_, entry)| entry.clone());
    let attached = files.iter().filter(|(ticket, _)| *ticket == row.sys_id).map(|(_, file)| file.clone());
    let (journal, attachments) = (Some(written.collect()), Some(attached.collect()));
    Sighting { journal, attachments, ..row.clone() }
}

/// What goes into the ticket's lane. Where journals may be hidden, a hint: whoever compares it reads the ticket. Its
/// version keeps two states of it apart.
fn as_kept(sighting: &Sighting, hidden: bool) -> Sighting {
    let whole = sighting.clone();
    if hidden { Sighting { fields: None, journal: None, ..whole } } else { whole }
}

/// A sighting of a sweep, under a key made of what it says: the same state found twice is one delivery.
fn delivery(tenant: &TenantId, sighting: &Sighting, now: Timestamp) -> NewDelivery {
    let print = Sha256::digest(sighting.to_stored())
        .iter()
        .take(16)
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    outbox::look_again(tenant, sighting, &format!("{}-{print}", sighting.sys_id), now)
}

/// A moment as ServiceNow writes it.
pub(super) fn raw(moment: Timestamp) -> String {
    moment.raw_utc()
}
