//! Methods of the contract that this engine does not have yet: each says so.
#![expect(
    clippy::unused_async,
    clippy::unused_self,
    clippy::needless_pass_by_value,
    reason = "the contract's signatures"
)]

use std::time::Duration;

use super::PostgresStore;
use crate::delivery::record::{Delivery, Direction};
use crate::domain::id::{DeliveryId, IncidentId, SysId, TenantId};
use crate::domain::ticket::Link;
use crate::domain::time::Timestamp;
use crate::store::audit::{Actor, AuditEnds, AuditEntry, AuditHead, AuditPage, AuditQuery, Hash};
use crate::store::contract::{
    Backlog, DeliveryPage, DeliveryQuery, Held, LaneView, Learned, Pause, Replayed, StoreError, SweepCursor,
    SweepLease, TenantRecord,
};
use crate::store::life_cycle::{CheckRecord, Released};

fn unfinished() -> StoreError {
    StoreError::Unavailable("PostgreSQL cannot do this yet".to_owned())
}

impl PostgresStore {
    pub(in crate::store) async fn record_check(
        &self,
        _tenant: &TenantId,
        _check: CheckRecord,
    ) -> Result<(), StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn release(
        &self,
        _tenant: &TenantId,
        _digest: Hash,
        _force: bool,
        _by: Actor,
    ) -> Result<Released, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn withdraw(&self, _tenant: &TenantId, _by: Actor) -> Result<bool, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn audit(&self, _entry: &AuditEntry) -> Result<AuditHead, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn audit_page(&self, _query: &AuditQuery) -> Result<AuditPage, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn audit_ends(&self) -> Result<AuditEnds, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn trim_audit(&self, _keep: Duration, _most: usize) -> Result<usize, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn link(&self, _tenant: &TenantId, _ticket: &SysId) -> Result<Option<Link>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn links_of(
        &self,
        _tenant: &TenantId,
        _incident: &IncidentId,
    ) -> Result<Vec<Link>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn links_page(
        &self,
        _tenant: &TenantId,
        _after: Option<&SysId>,
        _limit: usize,
    ) -> Result<Vec<Link>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn lane(
        &self,
        _tenant: &TenantId,
        _direction: Direction,
        _incident: &IncidentId,
    ) -> Result<Option<LaneView>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn opening(&self, _tenant: &TenantId) -> Result<bool, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn lease_sweep(
        &self,
        _tenant: &TenantId,
        _owner: &str,
        _every: Duration,
        _lease_for: Duration,
    ) -> Result<Option<SweepLease>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn save_sweep(
        &self,
        _lease: &SweepLease,
        _cursor: &SweepCursor,
        _lease_for: Duration,
    ) -> Result<Held<()>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn finish_sweep(
        &self,
        _lease: &SweepLease,
        _cursor: &SweepCursor,
    ) -> Result<Held<()>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn delivery(
        &self,
        _tenant: &TenantId,
        _id: &DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn deliveries(&self, _query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn replay(
        &self,
        _tenant: &TenantId,
        _id: &DeliveryId,
        _new: DeliveryId,
        _by: Actor,
    ) -> Result<Replayed, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn drop_parked(
        &self,
        _tenant: &TenantId,
        _id: &DeliveryId,
        _by: Actor,
    ) -> Result<Replayed, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn trim(&self, _before: Timestamp, _most: usize) -> Result<usize, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn pause_tenant(&self, _tenant: &TenantId, _pause: Pause) -> Result<(), StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn pause_by(
        &self,
        _tenant: &TenantId,
        _pause: Pause,
        _by: Actor,
    ) -> Result<(), StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn resume_tenant(&self, _tenant: &TenantId) -> Result<(), StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn resume_unless(
        &self,
        _tenant: &TenantId,
        _codes: &[&str],
    ) -> Result<Option<Pause>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn resume_by(
        &self,
        _tenant: &TenantId,
        _by: Actor,
    ) -> Result<Option<Pause>, StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn learn(&self, _tenant: &TenantId, _learned: Learned) -> Result<(), StoreError> {
        Err(unfinished())
    }

    pub(in crate::store) async fn tenant(&self, _tenant: &TenantId) -> Result<TenantRecord, StoreError> {
        Err(unfinished())
    }
}
