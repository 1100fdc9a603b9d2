//! How things stand, measured now and then: the version that runs, the room the store has, pauses that go on; and tickets
//! that should not be there twice.
//!
//! Most of these are metrics only, because nothing happened: a restart must not make a gauge forget what still holds.

use metrics::{counter, gauge};
use tracing::warn;

use super::label;
use crate::domain::id::{IncidentId, TenantId};
use crate::telemetry::catalogue::{BUILD, DUPLICATE_TICKETS, PAUSED, STORE_DISK_FREE, STORE_FILE_BYTES};

/// This version runs.
#[derive(Debug)]
pub struct VersionRuns {
    /// As Cargo.toml has it.
    pub version: &'static str,
}

impl VersionRuns {
    /// Tells it.
    pub fn emit(self) {
        gauge!(BUILD, "version" => self.version).set(1.0);
    }
}

/// How much room an embedded store takes, and has left.
#[derive(Debug)]
pub struct StoreRoom {
    /// Bytes of the database's file.
    pub database: u64,
    /// Bytes of its log of commits, which are copied into the file now and then.
    pub log: u64,
    /// Bytes left on the disk for who is not its administrator.
    pub free: u64,
}

impl StoreRoom {
    /// Tells it.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; exact up to 8 PiB")]
    pub fn emit(self) {
        let Self { database, log, free } = self;
        gauge!(STORE_FILE_BYTES, "file" => "database").set(database as f64);
        gauge!(STORE_FILE_BYTES, "file" => "log").set(log as f64);
        gauge!(STORE_DISK_FREE).set(free as f64);
    }
}

/// A tenant is paused, and was before: after a restart, or by another replica's word.
#[derive(Debug)]
pub struct TenantStaysPaused<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The reason's stable name.
    pub reason: &'a str,
}

impl TenantStaysPaused<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, reason } = self;
        gauge!(PAUSED, "tenant" => label(tenant), "reason" => reason.to_owned()).set(1.0);
    }
}

/// One incident has several tickets. We use the oldest and close none: which of them people work in, only they know.
#[derive(Debug)]
pub struct DuplicateTickets<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which incident.
    pub incident: &'a IncidentId,
    /// The tickets' numbers for people.
    pub tickets: &'a [&'a str],
}

impl DuplicateTickets<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, incident, tickets } = self;
        counter!(DUPLICATE_TICKETS, "tenant" => label(tenant)).increment(1);
        warn!(tenant.id = %tenant, incident.id = %incident, tickets = ?tickets,
            "Found {} tickets for one incident; the oldest is used, merge the others by hand", tickets.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_stands_is_told_without_an_event() {
        let (tenant, incident) = (TenantId::parse("contoso").unwrap(), IncidentId::parse("MTR-1").unwrap());
        let text = Metrics::local(|| {
            VersionRuns { version: "1.2.3" }.emit();
            StoreRoom { database: 4096, log: 8192, free: 1 << 30 }.emit();
            TenantStaysPaused { tenant: &tenant, reason: "operator" }.emit();
            DuplicateTickets { tenant: &tenant, incident: &incident, tickets: &["INC1", "INC2"] }.emit();
        })
        .unwrap();
        for line in [
            r#"snowgate_build_info{version="1.2.3"} 1"#,
            r#"snowgate_store_file_bytes{file="database"} 4096"#,
            r#"snowgate_store_file_bytes{file="log"} 8192"#,
            "snowgate_store_disk_free_bytes 1073741824",
            r#"snowgate_tenant_paused{tenant="contoso",reason="operator"} 1"#,
            r#"snowgate_duplicate_tickets_total{tenant="contoso"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
