//! What happens to the program itself: commits, reloads, and tasks that die.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{error, info, trace};

use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::NAMES_TOLD_MAX;
use crate::telemetry::catalogue::{
    SETTINGS_CURRENT, SETTINGS_LOADED_AT, SETTINGS_RELOADS, STORE_COMMIT_ROWS, STORE_COMMIT_SECONDS, TASK_PANICS,
};

/// The store made a batch durable.
#[derive(Debug)]
pub struct StoreCommitted {
    /// How many operations shared the commit.
    pub rows: u32,
    /// How long it took, the sync included.
    pub took: Duration,
}

impl StoreCommitted {
    /// Tells it.
    pub fn emit(self) {
        let Self { rows, took } = self;
        histogram!(STORE_COMMIT_ROWS).record(f64::from(rows));
        histogram!(STORE_COMMIT_SECONDS).record(took);
        trace!(rows, took_secs = took.as_secs_f64(), "Committed {rows} operations");
    }
}

/// The configuration that was just read is the one that runs.
#[derive(Debug)]
pub struct SettingsApplied<'a> {
    /// Tenants that are new.
    pub added: &'a [TenantId],
    /// Tenants that changed.
    pub changed: &'a [TenantId],
    /// Tenants that are gone.
    pub removed: &'a [TenantId],
    /// When it was read.
    pub at: Timestamp,
}

impl SettingsApplied<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { added, changed, removed, .. } = self;
        counter!(SETTINGS_RELOADS, "outcome" => "applied").increment(1);
        self.measure();
        info!(
            added = added.len(),
            changed = changed.len(),
            removed = removed.len(),
            "Settings applied: {}, {}, {}",
            named(added, "added"),
            named(changed, "changed"),
            named(removed, "removed")
        );
    }

    /// Moves the gauges alone, for a start and for files that were written anew and say the same.
    pub fn measure(&self) {
        gauge!(SETTINGS_CURRENT).set(1.0);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        gauge!(SETTINGS_LOADED_AT).set(self.at.seconds() as f64);
    }
}

/// `2 tenants changed (contoso, fabrikam)`.
fn named(tenants: &[TenantId], what: &str) -> String {
    let names: Vec<&str> = tenants.iter().take(NAMES_TOLD_MAX).map(TenantId::as_str).collect();
    let more = if tenants.len() > names.len() { ", …" } else { "" };
    match tenants.len() {
        0 => format!("none {what}"),
        1 => format!("1 tenant {what} ({})", names.join("")),
        count => format!("{count} tenants {what} ({}{more})", names.join(", ")),
    }
}

/// A reload had errors and changed nothing.
#[derive(Debug)]
pub struct SettingsRefused<'a> {
    /// How many errors.
    pub errors: usize,
    /// The first of them, on one line, with their places.
    pub first: &'a str,
}

impl SettingsRefused<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { errors, first } = self;
        counter!(SETTINGS_RELOADS, "outcome" => "refused").increment(1);
        gauge!(SETTINGS_CURRENT).set(0.0);
        let noun = if errors == 1 { "error" } else { "errors" };
        error!(
            event = "config_reload_failed",
            errors, "The new settings have {errors} {noun} and were not applied; the old ones stay. First: {first}"
        );
    }
}

/// A task or thread of ours ended in a panic.
#[derive(Debug)]
pub struct TaskPanicked {
    /// Its name.
    pub task: &'static str,
}

impl TaskPanicked {
    /// Tells it. Where it happened is in the line that the panic hook wrote just before.
    pub fn emit(self) {
        let Self { task } = self;
        counter!(TASK_PANICS, "task" => task).increment(1);
        error!(task, "Task {task} panicked; this is a defect");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn applied_and_refused_reloads_are_told_apart() {
        let text = Metrics::local(|| {
            let contoso = [TenantId::parse("contoso").unwrap()];
            let at = Timestamp::from_millis(1_700_000_000_000);
            SettingsApplied { added: &contoso, changed: &[], removed: &[], at }.emit();
            SettingsRefused { errors: 2, first: "config/snowgate.yaml:1:1 S002 not YAML" }.emit();
            SettingsRefused { errors: 1, first: "" }.emit();
        })
        .unwrap();
        assert!(text.contains(r#"snowgate_settings_reloads_total{outcome="applied"} 1"#), "{text}");
        assert!(text.contains(r#"snowgate_settings_reloads_total{outcome="refused"} 2"#), "{text}");
        assert!(text.contains("snowgate_settings_last_reload_successful 0"), "{text}");
        assert!(text.contains("snowgate_settings_last_reload_success_timestamp_seconds 1700000000"), "{text}");
    }

    #[test]
    fn a_change_of_many_tenants_names_some_of_them() {
        let tenants: Vec<_> = (10..60).map(|number| TenantId::parse(&format!("t{number}")).unwrap()).collect();
        let said = named(&tenants, "changed");
        assert!(said.starts_with("50 tenants changed (t10, t11,") && said.ends_with("t29, …)"), "{said}");
        assert_eq!(
            (named(&[], "added").as_str(), named(&tenants[..1], "removed").as_str()),
            ("none added", "1 tenant removed (t10)")
        );
    }

    #[test]
    fn a_commit_tells_how_many_shared_it() {
        let text = Metrics::local(|| StoreCommitted { rows: 32, took: Duration::from_millis(4) }.emit()).unwrap();
        assert!(text.contains(r#"snowgate_store_commit_rows_bucket{le="16"} 0"#), "{text}");
        assert!(text.contains(r#"snowgate_store_commit_rows_bucket{le="32"} 1"#), "{text}");
    }
}
