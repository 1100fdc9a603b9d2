//! The rotating compare: linked tickets that are not over, a batch with every sweep, whatever their time stamps say.
//!
//! It finds what moved no time stamp, tickets that are gone, and what is due by the tenant's service levels.
//! Never: tells anybody anything itself. Fails: by ending where it is. Proved by: `tests/simulation`, `tests/it/back`.

use super::levels::Kept;
use super::sweep::{Cut, Sweep, raw};
use crate::delivery::record::Direction;
use crate::domain::id::SysId;
use crate::domain::sighting::Sighting;
use crate::domain::ticket::Link;
use crate::limits::{COMPARE_BATCH, SWEEP_ROWS};
use crate::mapping::TicketPhase;
use crate::telemetry::events::FirstResponses;

/// The column that says since when a ticket exists.
const OPENED_AT: &str = "opened_at";

impl Sweep<'_> {
    /// The next batch of linked tickets that are not over, whatever their time stamps say.
    pub(super) async fn compare_some(&mut self) -> Result<(), Cut> {
        let mut batch: Vec<Link> = Vec::new();
        let links = self.store.links_page(self.tenant, self.cursor.compared.as_ref(), SWEEP_ROWS).await?;
        let turned = links.len() < SWEEP_ROWS;
        let mut last = None;
        for link in links {
            last = Some(link.ticket.sys_id.clone());
            let seen = self.seen(&link.ticket.sys_id).await?;
            if self.bridge.mapping.ticket_phase(&seen.state) != TicketPhase::Final && !seen.gone {
                batch.push(link);
            }
            if batch.len() == COMPARE_BATCH {
                break;
            }
        }
        if !batch.is_empty() {
            self.compare_batch(&batch).await?;
        }
        let whole = turned && batch.len() < COMPARE_BATCH;
        self.cursor.compared = last.filter(|_| !whole);
        self.save().await
    }

    async fn compare_batch(&mut self, batch: &[Link]) -> Result<(), Cut> {
        let columns = self.columns();
        let columns: Vec<&str> = columns.iter().map(AsRef::as_ref).chain([OPENED_AT]).collect();
        let tickets: Vec<SysId> = batch.iter().map(|link| link.ticket.sys_id.clone()).collect();
        let permit = self.permit().await?;
        let rows = self.bridge.client.tickets_by_id(permit, &self.bridge.table, &tickets, &columns).await;
        // How long somebody was silent shows in the whole journal; what is new shows in its end.
        let recent = raw(self.lease.now.minus(self.bridge.compare_every.saturating_mul(2)));
        let since = self.bridge.service_levels.is_none().then_some(recent.as_str());
        let rows = rows.map_err(Cut::Instance)?;
        let missing = tickets.iter().filter(|ticket| !rows.iter().any(|row| row.sys_id == **ticket));
        // Deleted, or hidden from us: whoever reads one finds out, and a person hears of it once.
        let missing =
            missing.map(|ticket| Sighting { event: Some("missing".to_owned()), ..Sighting::hint(ticket.clone()) });
        self.accept(missing.map(|sighting| (sighting, true)).collect()).await?;
        let sightings = self.take(rows, since).await?;
        let (Some(levels), Some(user)) = (&self.bridge.service_levels, &self.user) else { return Ok(()) };
        let mut overdue = 0;
        for sighting in &sightings {
            let Some(link) = batch.iter().find(|link| link.ticket.sys_id == sighting.sys_id) else { continue };
            let state = sighting.fields.as_ref().and_then(|fields| fields.get("state"));
            if state.is_none_or(|state| self.bridge.mapping.ticket_phase(&state.value) != TicketPhase::Open) {
                continue;
            }
            let view = self.store.lane(self.tenant, Direction::ToServicenow, &link.incident).await?;
            let kept = Kept {
                tenant: self.tenant,
                levels,
                link,
                told: view.as_ref().and_then(|view| view.memory.told.as_ref()),
                sighting,
                journal: sighting.journal.as_deref().unwrap_or_default(),
                user,
                instance: &self.bridge.origin,
                now: self.lease.now,
            };
            let owed = kept.owed();
            overdue += usize::from(owed.first_response.is_some_and(|(_, late)| late));
            self.store.accept(owed.follows).await?;
        }
        FirstResponses { tenant: self.tenant, looked_at: sightings.len(), overdue }.emit();
        Ok(())
    }
}
