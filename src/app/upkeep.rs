//! What a gateway does beside its work: keeps the gauges true, forgets old records, and says how its peers stand.
//!
//! Owns: when these happen. Never: delivers. Fails: by trying again next time; work goes on meanwhile.
//! Proved by: `tests/it/operators.rs`; what may be forgotten, by `tests/store`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::delivery::record::{Direction, Urgency};
use crate::domain::id::TenantId;
use crate::http::Face;
use crate::http::standing::{PeerStanding, Standing, SweepStanding};
use crate::limits::{
    AUDIT_KEPT, AUDIT_TRIM_ROWS_MAX, BACKLOG_REPORT_EVERY, EVENTS_REMEMBERED, TRIM_DELIVERIES_MAX, TRIM_EVERY,
    TRIM_REST,
};
use crate::peer::pace;
use crate::runtime::drain::Stop;
use crate::store::{Backlog, StoreError, TenantStanding, sqlite};
use crate::telemetry::events::{
    OldestDue, RefreshTokenLives, SlotsInUse, StoreRoom, TenantResumed, TenantStaysPaused, VersionRuns, Waiting,
};
use crate::tenants::{Enabled, Registry};
use crate::worker::bridges::Standings;
use crate::worker::slots::{Slots, Use};

/// How a tenant's peers stand, in the form in which operators see it.
pub(super) fn standing(standings: Standings) -> Standing {
    let Standings { servicenow, callback, sweep } = standings;
    Standing {
        servicenow: peer(servicenow),
        callback: callback.map(peer),
        sweep: sweep.map(|(began, found)| SweepStanding::of(began.to_string(), found.tickets, found.drifted)),
    }
}

fn peer(standing: pace::Standing) -> PeerStanding {
    let pace::Standing { breaker, closed, in_flight, concurrency, hour_used, hour_calls } = standing;
    let closed_until = closed.as_ref().map(|closed| closed.until.to_string());
    let words = String::new();
    let peer = PeerStanding { words, breaker, closed_until, in_flight, concurrency, hour_used, hour_calls };
    peer.said(closed.as_ref().map(|closed| closed.reason.as_str()))
}

/// Takes over by whose word tenants are served, where their files leave it to operators; answers whether anything changed.
/// Whoever replaces the tenants calls this before it says whose work may be claimed.
pub(super) fn take_over_releases(standings: &[TenantStanding], registry: &Registry) -> bool {
    let released: HashSet<&TenantId> =
        standings.iter().filter(|standing| standing.is_released).map(|standing| &standing.tenant).collect();
    let mut changed = false;
    for tenant in registry.all() {
        if tenant.settings().enabled == Enabled::AfterCheck {
            changed |= tenant.set_released(released.contains(tenant.id()));
        }
    }
    changed
}

/// Forgets what ended long ago, a little at a time, so that work never waits for it.
pub(super) async fn forget(face: Face, stop: Stop) {
    while !stop.is_requested() {
        let rest = match face.store.trim(face.clock.now().minus(EVENTS_REMEMBERED), TRIM_DELIVERIES_MAX).await {
            // A full batch: there is more.
            Ok(gone) if gone >= TRIM_DELIVERIES_MAX => TRIM_REST,
            Ok(_) => TRIM_EVERY,
            Err(failed) => {
                tracing::warn!(error = %failed, "Cannot forget old records: {failed}");
                TRIM_EVERY
            }
        };
        if let Err(failed) = face.store.trim_audit(AUDIT_KEPT, AUDIT_TRIM_ROWS_MAX).await {
            tracing::warn!(error = %failed, "Cannot trim the audit log: {failed}");
        }
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Keeps the gauges of what waits and who is paused true; they are read from the store, so that none can drift.
pub(super) async fn report_backlog(face: Face, slots: Slots, stop: Stop) {
    let mut reported = Reported::default();
    VersionRuns { version: env!("CARGO_PKG_VERSION") }.emit();
    while !stop.is_requested() {
        if let Err(failed) = report_once(&face, &mut reported).await {
            tracing::warn!(error = %failed, "Cannot read the backlog: {failed}");
        }
        report_slots(&slots);
        face.metrics.fold_samples();
        tokio::select! {
            () = stop.requested() => {}
            () = tokio::time::sleep(BACKLOG_REPORT_EVERY) => {}
        }
    }
}

fn report_slots(slots: &Slots) {
    let Use { all, held, slow, slow_max, slow_tenants } = slots.in_use();
    SlotsInUse { all, held, slow, slow_max, slow_tenants }.emit();
}

/// How long what may be claimed has been due. Who was told of once is told of again when nothing is due any more.
async fn report_due(face: &Face, told: &mut BTreeSet<(TenantId, Urgency)>) -> Result<(), StoreError> {
    let oldest = face.store.oldest_due().await?;
    let now = face.clock.now();
    let mut ages: HashMap<(TenantId, Urgency), Duration> =
        told.iter().map(|due| (due.clone(), Duration::ZERO)).collect();
    ages.extend(oldest.into_iter().map(|due| ((due.tenant, due.urgency), now.since(due.since))));
    for ((tenant, urgency), age) in &ages {
        OldestDue { tenant, class: urgency.as_str(), age: *age }.emit();
    }
    told.extend(ages.into_keys());
    Ok(())
}

/// Whoever was reported once goes on being reported, so that no gauge of what has changed or gone stays as it was.
#[derive(Default)]
struct Reported {
    tenants: BTreeSet<TenantId>,
    /// Those that tell, or told, the managed service of their tickets.
    backwards: BTreeSet<TenantId>,
    paused: HashMap<TenantId, String>,
    refresh_tokens: BTreeSet<TenantId>,
    due: BTreeSet<(TenantId, Urgency)>,
}

async fn report_once(face: &Face, reported: &mut Reported) -> Result<(), StoreError> {
    // Another replica may have taken an operator's word.
    let turn = face.serving.turn().await;
    let standings = face.store.tenant_standings().await?;
    if take_over_releases(&standings, &face.registry) {
        turn.tell().await?;
    }
    drop(turn);
    let Reported { tenants, backwards, paused, refresh_tokens, due } = reported;
    let backlog = face.store.backlog().await?;
    face.pressure.measured(&backlog);
    report_due(face, due).await?;
    let now = face.clock.now();
    let present = face.registry.all();
    let present = present.iter().map(|tenant| tenant.id()).chain(backlog.iter().map(|waits| &waits.tenant));
    tenants.extend(present.cloned());
    let waits: HashMap<(&TenantId, Direction), &Backlog> =
        backlog.iter().map(|waits| ((&waits.tenant, waits.direction), waits)).collect();
    let mut pauses: HashMap<TenantId, String> =
        standings.into_iter().filter_map(|standing| Some((standing.tenant, standing.pause?.code))).collect();
    for id in tenants.iter() {
        let tenant = face.registry.find(id);
        // Series cost memory: a tenant without a way back has none for it, unless something was left from when it had one.
        if waits.contains_key(&(id, Direction::ToService))
            || tenant.as_ref().is_some_and(|tenant| tenant.settings().callback.is_some())
        {
            backwards.insert(id.clone());
        }
        let is_told = |direction: &Direction| match direction {
            Direction::ToServicenow => true,
            Direction::ToService => backwards.contains(id),
        };
        for direction in [Direction::ToServicenow, Direction::ToService].into_iter().filter(is_told) {
            let waits = waits.get(&(id, direction));
            Waiting {
                tenant: id,
                direction: direction.as_str(),
                backlog: waits.map_or(0, |waits| waits.waiting),
                parked: waits.map_or(0, |waits| waits.parked),
                oldest: waits.and_then(|waits| waits.oldest).map_or(Duration::ZERO, |oldest| now.since(oldest)),
            }
            .emit();
        }
        let ends = tenant.and_then(|tenant| tenant.settings().servicenow.auth.refresh_token_ends());
        if ends.is_some() {
            refresh_tokens.insert(id.clone());
        }
        if refresh_tokens.contains(id) {
            RefreshTokenLives { tenant: id, left: ends.map(|ends| ends.since(now)) }.emit();
        }
        // A pause that ran out by itself has nobody to say so.
        let pause = pauses.remove(id);
        let before = paused.remove(id);
        if let Some(over) = before.filter(|before| Some(before) != pause.as_ref()) {
            TenantResumed { tenant: id, reason: &over }.emit();
        }
        if let Some(code) = pause {
            // Whoever paused it said so in its own process, and perhaps before a restart.
            TenantStaysPaused { tenant: id, reason: &code }.emit();
            paused.insert(id.clone(), code);
        }
    }
    if let Some(sqlite::Room { database, log, free }) = face.store.room() {
        StoreRoom { database, log, free }.emit();
    }
    Ok(())
}
