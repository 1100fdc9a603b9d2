//! What happens to the program itself: commits, reloads, and tasks that die.

use std::time::Duration;

use metrics::{counter, histogram};
use tracing::{error, info, trace};

use crate::telemetry::catalogue::{SETTINGS_RELOADS, STORE_COMMIT_ROWS, STORE_COMMIT_SECONDS, TASK_PANICS};

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

/// A reload of settings, tenants and mappings took effect.
#[derive(Debug)]
pub struct SettingsApplied {
    /// Tenants that are new.
    pub added: usize,
    /// Tenants that changed.
    pub changed: usize,
    /// Tenants that are gone.
    pub removed: usize,
}

impl SettingsApplied {
    /// Tells it.
    pub fn emit(self) {
        let Self { added, changed, removed } = self;
        counter!(SETTINGS_RELOADS, "outcome" => "applied").increment(1);
        info!(added, changed, removed, "Settings applied: {added} tenants added, {changed} changed, {removed} removed");
    }
}

/// A reload had errors and changed nothing.
#[derive(Debug)]
pub struct SettingsRefused<'a> {
    /// How many errors.
    pub errors: usize,
    /// The first of them, on one line, with its place.
    pub first: &'a str,
}

impl SettingsRefused<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { errors, first } = self;
        counter!(SETTINGS_RELOADS, "outcome" => "refused").increment(1);
        error!(
            event = "config_reload_failed",
            errors, "The new settings have {errors} errors and were not applied; the old ones stay. First: {first}"
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
            SettingsApplied { added: 1, changed: 0, removed: 0 }.emit();
            SettingsRefused { errors: 2, first: "config/snowgate.yaml:1:1 S002 not YAML" }.emit();
            SettingsRefused { errors: 1, first: "" }.emit();
        })
        .unwrap();
        assert!(text.contains(r#"snowgate_settings_reloads_total{outcome="applied"} 1"#), "{text}");
        assert!(text.contains(r#"snowgate_settings_reloads_total{outcome="refused"} 2"#), "{text}");
    }

    #[test]
    fn a_commit_tells_how_many_shared_it() {
        let text = Metrics::local(|| StoreCommitted { rows: 32, took: Duration::from_millis(4) }.emit()).unwrap();
        assert!(text.contains(r#"snowgate_store_commit_rows_bucket{le="16"} 0"#), "{text}");
        assert!(text.contains(r#"snowgate_store_commit_rows_bucket{le="32"} 1"#), "{text}");
    }
}
