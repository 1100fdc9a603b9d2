//! Checks against instances: one at a time per tenant in a gateway, with the very client that deliveries use; from the
//! command line with a client of its own.
//!
//! Owns: that a check runs to its end although whoever ordered it went away: it has a test ticket to put away.
//! Never: decides what a check does (that is `onboarding`). Fails: into the report. Proved by: `tests/it/live_check.rs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::{StartError, spool, surroundings};
use crate::domain::id::TenantId;
use crate::domain::time::SharedClock;
use crate::http::{Checking, LiveChecks};
use crate::limits::LIVE_CHECK_CALLS_PER_SECOND;
use crate::mapping::{SourceFile, compile};
use crate::onboarding::LiveCheck;
use crate::onboarding::facts;
use crate::onboarding::report::{LiveFinding, LiveReport, Severity};
use crate::runtime::tasks;
use crate::servicenow::client::Client;
use crate::settings::{Settings, TenantSettings};
use crate::store::Store;
use crate::store::audit::{Actor, AuditAction, AuditEntry};
use crate::store::life_cycle::CheckRecord;
use crate::tenants::{Registry, Tenant};
use crate::worker::bridges::Bridges;

/// What a gateway's checks need.
struct Checks {
    bridges: Arc<Bridges>,
    registry: Arc<Registry>,
    store: Store,
    deployment_key: Arc<str>,
    clock: SharedClock,
    running: Mutex<BTreeSet<TenantId>>,
}

/// The checks as the admin listener orders them.
pub(super) fn orders(
    bridges: &Arc<Bridges>,
    registry: &Arc<Registry>,
    store: &Store,
    settings: &Settings,
    clock: &SharedClock,
) -> LiveChecks {
    let checks = Arc::new(Checks {
        bridges: Arc::clone(bridges),
        registry: Arc::clone(registry),
        store: store.clone(),
        deployment_key: Arc::from(settings.deployment_key.as_str()),
        clock: Arc::clone(clock),
        running: Mutex::default(),
    });
    Arc::new(move |id, ticket, by| Checks::order(&checks, id, ticket, by))
}

impl Checks {
    fn order(self: &Arc<Self>, id: &TenantId, ticket: bool, by: Actor) -> Checking {
        let (Some(tenant), Some(client)) = (self.registry.find(id), self.bridges.client_of(id)) else {
            return Checking::Unknown;
        };
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
            return Checking::Busy;
        }
        let turn = Turn { checks: Arc::clone(self), tenant: id.clone() };
        let checks = Arc::clone(self);
        let task: JoinHandle<serde_json::Value> = tasks::spawn("live check", async move {
            let turn = turn;
            let live = LiveCheck {
                client: &client,
                tenant: &tenant,
                deployment_key: &checks.deployment_key,
                clock: &checks.clock,
                ticket,
                progress: &|what| tracing::debug!(tenant.id = %turn.tenant, "Check: {what}"),
            };
            let report = live.run().await;
            checks.record(&tenant, (ticket, by), &report).await;
            serde_json::to_value(&report).unwrap_or_default()
        });
        Checking::UnderWay(task)
    }

    /// What the life cycle of a tenant (draft, tested, enabled) goes by. A check that made no ticket has not seen whether the
    /// account may write, so it is only on record.
    async fn record(&self, tenant: &Tenant, (ticket, by): (bool, Actor), report: &LiveReport) {
        let (id, passed) = (tenant.id(), report.passed);
        let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
        tracing::info!(tenant.id = %id, passed, errors, warnings, "Checked the instance of {id}: {errors} errors, {warnings} warnings");
        let recorded = if ticket {
            let findings = report.findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect();
            let check = CheckRecord { digest: *tenant.check_digest(), passed, findings, by };
            self.store.record_check(id, check).await
        } else {
            let entry = AuditEntry::new(by, AuditAction::Checked).of(id).noting("without a test ticket");
            self.store.audit(entry).await.map(drop)
        };
        if let Err(failed) = recorded {
            tracing::error!(error = %failed, tenant.id = %id, "Cannot record the check of {id}: {failed}");
        }
    }
}

/// A tenant's turn; whatever becomes of the check, the next one may begin afterwards.
struct Turn {
    checks: Arc<Checks>,
    tenant: TenantId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.checks.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tenant);
    }
}

/// Checks one tenant's instance without a gateway.
pub async fn check_live(
    settings: &Settings,
    tenant: &Tenant,
    clock: &SharedClock,
    ticket: bool,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Option<LiveReport>, StartError> {
    let Some((tenant, client)) = alone(settings, paced(tenant), clock)? else { return Ok(None) };
    let deployment_key = &settings.deployment_key;
    let live = LiveCheck { client: &client, tenant: &tenant, deployment_key, clock, ticket, progress };
    Ok(Some(live.run().await))
}

/// Drafts a mapping for a table of a tenant's instance; the tenant needs none yet. `None` instead of the text, and a finding
/// that says why, if the instance does not tell enough.
pub async fn draft_mapping(
    settings: &Settings,
    tenant: TenantSettings,
    (table, name): (&str, &str),
    clock: &SharedClock,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(Option<String>, Vec<LiveFinding>), StartError> {
    let (Some(mapping), _) = compile(&SourceFile::new("none", NO_MAPPING)) else { return Ok((None, Vec::new())) };
    let tenant = Tenant::new(tenant, Arc::new(mapping), [0; 32]);
    let Some((tenant, client)) = alone(settings, paced(&tenant), clock)? else { return Ok((None, Vec::new())) };
    let (facts, findings) = facts::gather(&client, &tenant, table, clock, progress).await;
    Ok((facts.map(|facts| facts.draft(name)), findings))
}

/// A tenant is served with a mapping; this one stands in for the one that is yet to be written, and nothing is mapped by it.
const NO_MAPPING: &str =
    "version: 1\nname: none\ntarget: {table: incident}\nto_ticket: {fields: {short_description: none}}\n";

/// One tenant, and its client, without a gateway.
fn alone(
    settings: &Settings,
    tenant: Tenant,
    clock: &SharedClock,
) -> Result<Option<(Arc<Tenant>, Client)>, StartError> {
    let registry = Arc::new(Registry::default());
    let id = tenant.id().clone();
    registry.replace(vec![tenant]);
    let bridges = Bridges::new(Arc::clone(&registry), surroundings(settings, spool()?, Arc::clone(clock))?);
    Ok(registry.find(&id).zip(bridges.client_of(&id)))
}

/// The same tenant at the pace of a command line.
fn paced(tenant: &Tenant) -> Tenant {
    let mut settings = tenant.settings().clone();
    let limits = &mut settings.servicenow.limits;
    limits.calls_per_second = limits.calls_per_second.min(LIVE_CHECK_CALLS_PER_SECOND);
    Tenant::new(settings, Arc::clone(tenant.mapping()), [0; 32])
}
