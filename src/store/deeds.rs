//! What the audit log says of each thing that the store does by somebody's word: the same in every engine.
//!
//! Never: writes it. Fails: it cannot. Proved by: `tests/store`, part `audit`.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::audit::{Actor, AuditAction, AuditEntry, AuditHead, Hash};
use super::contract::Pause;
use super::life_cycle::{CheckRecord, Release};
use crate::domain::id::{DeliveryId, TenantId};
use crate::domain::time::Timestamp;
use crate::limits::{AUDIT_KEPT_MIN, AUDIT_TRIM_SLACK};

pub(super) fn paused(tenant: &TenantId, before: Option<&Pause>, after: Option<&Pause>, by: Actor) -> AuditEntry {
    let until = after.map_or_else(String::new, |pause| format!("until {}: {}", pause.until, pause.reason));
    changed(by, AuditAction::Paused, tenant, before, after).noting(until)
}

pub(super) fn resumed(tenant: &TenantId, before: Option<&Pause>, by: Actor) -> AuditEntry {
    let ended = before.map_or_else(|| "was not paused".to_owned(), |pause| pause.code.clone());
    changed(by, AuditAction::Resumed, tenant, before, None).noting(ended)
}

fn changed(
    by: Actor,
    action: AuditAction,
    tenant: &TenantId,
    before: Option<&Pause>,
    after: Option<&Pause>,
) -> AuditEntry {
    AuditEntry::new(by, action).of(tenant).changing(before.map(fingerprint), after.map(fingerprint))
}

/// The hashes are of the event's content: proof of what was sent again.
pub(super) fn replayed(tenant: &TenantId, id: &DeliveryId, done: &DeliveryId, body: Hash, by: Actor) -> AuditEntry {
    let entry = AuditEntry::new(by, AuditAction::Replayed).of(tenant).to(id.as_str());
    let entry = entry.changing(Some(body), Some(body));
    if id == done { entry } else { entry.noting(format!("as {done}")) }
}

pub(super) fn dropped(tenant: &TenantId, id: &DeliveryId, body: Hash, by: Actor) -> AuditEntry {
    AuditEntry::new(by, AuditAction::Dropped).of(tenant).to(id.as_str()).changing(Some(body), None)
}

pub(super) fn checked(tenant: &TenantId, before: Option<Hash>, check: &CheckRecord) -> AuditEntry {
    let CheckRecord { digest, passed, findings, by } = check;
    let entry = AuditEntry::new(by.clone(), AuditAction::Checked).of(tenant).changing(before, Some(*digest));
    let verdict = if *passed { "passed" } else { "failed" };
    entry.noting(format!("{verdict}, {} findings", findings.len()))
}

pub(super) fn released(
    tenant: &TenantId,
    before: Option<&Release>,
    digest: Hash,
    forced: bool,
    by: Actor,
) -> AuditEntry {
    let action = if forced { AuditAction::EnabledUntested } else { AuditAction::Enabled };
    AuditEntry::new(by, action).of(tenant).changing(before.map(|release| release.digest), Some(digest))
}

pub(super) fn withdrawn(tenant: &TenantId, before: Option<&Release>, by: Actor) -> AuditEntry {
    let entry = AuditEntry::new(by, AuditAction::Disabled).of(tenant);
    entry.changing(before.map(|release| release.digest), None)
}

pub(super) fn trimmed(last: &AuditHead, rows: u64) -> AuditEntry {
    let entry = AuditEntry::new(Actor::gateway(), AuditAction::Trimmed).to(last.sequence.to_string());
    entry.changing(None, Some(last.hash)).noting(format!("{rows} rows"))
}

/// Rows from before this moment may go, if the oldest is from before the second one.
pub(super) fn trims(now: Timestamp, keep: std::time::Duration) -> (Timestamp, Timestamp) {
    let before = now.minus(keep.max(AUDIT_KEPT_MIN));
    (before, before.minus(AUDIT_TRIM_SLACK))
}

fn fingerprint<T: Serialize>(value: &T) -> Hash {
    // A pause is three plain values: writing it as JSON cannot fail.
    Sha256::digest(serde_json::to_string(value).unwrap_or_default()).into()
}
