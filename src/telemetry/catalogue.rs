//! Every metric the program has: name, type, labels, meaning. What is not listed here must not be recorded.
//!
//! Owns: the names. Never: records. Labels are bounded by the configuration (tenants, senders) or by our own code
//! (reasons, classes, codes); a record's id is never a label.
//! Fails: it cannot. Proved by: the tests below, which hold names to the conventions and the documentation to this table.

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name, with `snowgate_`, its base unit, and `_total` if it counts.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The labels, in the order in which they are documented.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub meaning: &'static str,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts samples by size.
    Histogram {
        /// Upper bounds.
        buckets: &'static [f64],
    },
}

/// A disk commit takes 0.2 ms on a quiet disk and half a second on a sick one.
const COMMIT_BUCKETS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// A group commit carries from one to a few hundred rows.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// A Table API call takes 0.1 to 2 s when all is well and up to the time-out when it is not. Few, since per tenant.
const CALL_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// From receipt to ticket: a second when all is well, days after an outage. Few, since per tenant.
const DELIVERY_BUCKETS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0, 86_400.0];

macro_rules! metrics {
    ($($const:ident = $name:literal $kind:expr, [$($label:literal),*], $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $const: &str = $name;)*
        /// The whole catalogue, in the order of the documentation.
        pub const CATALOGUE: &[Metric] =
            &[$(Metric { name: $name, kind: $kind, labels: &[$($label),*], meaning: $meaning }),*];
    };
}

metrics! {
    ACCEPTED = "snowgate_changes_accepted_total" Kind::Counter, ["tenant", "direction"],
        "Changes that are durably stored and acknowledged.";
    DUPLICATES = "snowgate_changes_duplicate_total" Kind::Counter, ["tenant", "direction"],
        "Changes that had been accepted before and were acknowledged with the first receipt.";
    SWEPT = "snowgate_sweep_tickets_total" Kind::Counter, ["tenant"],
        "Tickets that sweeps looked at.";
    DRIFT = "snowgate_sweep_drift_total" Kind::Counter, ["tenant"],
        "Tickets in which a sweep found what no webhook had told: zero while the webhooks work.";
    SWEEP_SECONDS = "snowgate_sweep_seconds" Kind::Histogram { buckets: DELIVERY_BUCKETS }, ["tenant"],
        "How long a sweep took.";
    FIRST_RESPONSES_OVERDUE = "snowgate_first_responses_overdue" Kind::Gauge, ["tenant"],
        "Open tickets of the last compared batch whose first answer is late by the tenant's service levels.";
    CALLBACKS = "snowgate_callbacks_total" Kind::Counter, ["tenant", "class"],
        "Calls to the managed service, by how the answer was classified.";
    CALLBACK_SECONDS = "snowgate_callback_seconds" Kind::Histogram { buckets: CALL_BUCKETS }, ["tenant", "class"],
        "How long calls to the managed service took.";
    REFUSED = "snowgate_requests_refused_total" Kind::Counter, ["tenant", "code"],
        "Requests answered with an error of ours; `tenant` is empty unless the sender was authenticated.";
    WEBHOOKS_READ = "snowgate_webhooks_read_total" Kind::Counter, ["tenant", "form"],
        "Webhooks of ServiceNow by what their body was: `snapshot`, `hint`, `flat`, or `salvaged` from one that is broken.";
    AUTHENTICATED = "snowgate_sender_credentials_total" Kind::Counter, ["tenant", "sender", "credential"],
        "Requests by the credential that proved them; shows when the old one of a rotation is no longer used.";
    FAILURE_BURSTS = "snowgate_sender_failure_bursts_total" Kind::Counter, [],
        "Addresses that were held off because they failed to prove who they are again and again; the log names them.";
    ISSUER_KEYS = "snowgate_issuer_key_fetches_total" Kind::Counter, ["issuer", "outcome"],
        "Fetches of the keys of OAuth issuers, by outcome: `fetched` or `failed`.";
    ECHOES = "snowgate_echoes_cut_total" Kind::Counter, ["tenant", "how"],
        "Our own writes that came back as changes and were not sent on.";
    DELIVERED = "snowgate_deliveries_delivered_total" Kind::Counter, ["tenant", "direction"],
        "Deliveries that reached the other side.";
    DELIVERY_SECONDS = "snowgate_delivery_seconds" Kind::Histogram { buckets: DELIVERY_BUCKETS }, ["tenant", "direction"],
        "Seconds from the acceptance of a change until it reached the other side.";
    PARKED = "snowgate_deliveries_parked_total" Kind::Counter, ["tenant", "direction", "reason"],
        "Deliveries that were put aside for a person.";
    RETRIED = "snowgate_deliveries_retried_total" Kind::Counter, ["tenant", "direction", "reason"],
        "Attempts that ended with a later retry.";
    FOLDED = "snowgate_deliveries_folded_total" Kind::Counter, ["tenant"],
        "Deliveries whose field updates were carried by a later one.";
    FIELDS_DROPPED = "snowgate_fields_dropped_total" Kind::Counter, ["tenant", "reason"],
        "Fields that were asked for and not stored as asked.";
    OLDEST_WAITING = "snowgate_oldest_waiting_seconds" Kind::Gauge, ["tenant", "direction"],
        "Age in seconds of the oldest delivery that is waiting; 0 when none is.";
    BACKLOG = "snowgate_backlog_deliveries" Kind::Gauge, ["tenant", "direction"],
        "Deliveries that are waiting.";
    OLDEST_DUE = "snowgate_oldest_due_seconds" Kind::Gauge, ["tenant", "class"],
        "How long the longest waiting lane that may be claimed has been due, by the urgency of what waits in it: `high`, `normal` or `low`; 0 when none is.";
    SLOTS = "snowgate_worker_slots" Kind::Gauge, ["use"],
        "Slots of this replica's worker: `all`, those `held` by a lane, of these `slow` by lanes of slow tenants, and `slow_max` that those may hold.";
    SLOW_TENANTS = "snowgate_slow_tenants" Kind::Gauge, [],
        "Tenants of which more than one in twenty lanes held a slot for over 10 s; together they hold at most a quarter of the slots.";
    SHED = "snowgate_requests_shed_total" Kind::Counter, ["reason"],
        "Requests refused before any work was done for them, to be sent again: `starting`, `store_slow`, `crowded`, `store_full`, `tenant_full` or `tenant_crowded`.";
    PARKED_NOW = "snowgate_parked_deliveries" Kind::Gauge, ["tenant", "direction"],
        "Deliveries that are parked and wait for a person.";
    DUPLICATE_TICKETS = "snowgate_duplicate_tickets_total" Kind::Counter, ["tenant"],
        "Looks that found more than one ticket for one incident; the log names them.";
    CALLS = "snowgate_servicenow_calls_total" Kind::Counter, ["tenant", "class"],
        "Calls to ServiceNow by how the answer was classified.";
    CALL_SECONDS = "snowgate_servicenow_call_seconds" Kind::Histogram { buckets: CALL_BUCKETS }, ["tenant", "class"],
        "Seconds a call to ServiceNow took, by how the answer was classified.";
    TOKENS = "snowgate_token_fetches_total" Kind::Counter, ["tenant", "outcome", "key_version"],
        "Access tokens asked for, by outcome, with the `current` or the `next` credentials.";
    CREDENTIALS_TURNED = "snowgate_credentials_turned_total" Kind::Counter, ["tenant", "key_version"],
        "Changes from one version of the credentials to the other, `current` or `next`, because one was refused.";
    REFRESH_TOKEN_EXPIRES = "snowgate_refresh_token_expires_seconds" Kind::Gauge, ["tenant"],
        "Seconds until the refresh token ends, where the tenant's file says when it was obtained; 0 when it has ended, NaN when there is none any more.";
    BREAKER = "snowgate_breaker_state" Kind::Gauge, ["tenant"],
        "The tenant's circuit breaker: 0 closed, 1 half open, 2 open.";
    PAUSED = "snowgate_tenant_paused" Kind::Gauge, ["tenant", "reason"],
        "1 while the tenant is paused for this reason, otherwise 0.";
    STORE_COMMIT_SECONDS = "snowgate_store_commit_seconds" Kind::Histogram { buckets: COMMIT_BUCKETS }, [],
        "Seconds one durable commit took.";
    STORE_COMMIT_ROWS = "snowgate_store_commit_rows" Kind::Histogram { buckets: BATCH_BUCKETS }, [],
        "Operations that shared one durable commit.";
    STORE_FILE_BYTES = "snowgate_store_file_bytes" Kind::Gauge, ["file"],
        "Size of the embedded store: its `database`, and its `log` of commits that are not copied into it yet.";
    STORE_DISK_FREE = "snowgate_store_disk_free_bytes" Kind::Gauge, [],
        "Room left on the disk of the embedded store; below a twentieth of the disk (256 MiB to 2 GiB) nothing is accepted.";
    SETTINGS_RELOADS = "snowgate_settings_reloads_total" Kind::Counter, ["outcome"],
        "Reloads of settings, tenants and mappings: `applied`, or `refused` because of errors.";
    SETTINGS_CURRENT = "snowgate_settings_last_reload_successful" Kind::Gauge, [],
        "1 while the gateway runs with the files as they were last read, 0 while they have errors and older ones stay.";
    SETTINGS_LOADED_AT = "snowgate_settings_last_reload_success_timestamp_seconds" Kind::Gauge, [],
        "When the configuration that is running was read, in seconds since 1970.";
    TASK_PANICS = "snowgate_task_panics_total" Kind::Counter, ["task"],
        "Tasks and threads of ours that ended in a panic; every one is a defect.";
    BUILD = "snowgate_build_info" Kind::Gauge, ["version"],
        "1, with the version that runs.";
}

/// The table of the documentation, as Markdown.
pub fn markdown() -> String {
    let rows: Vec<String> = CATALOGUE.iter().map(row).collect();
    format!("| metric | type | labels | meaning |\n|---|---|---|---|\n{}", rows.concat())
}

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram { .. } => "histogram",
    };
    let labels = if metric.labels.is_empty() { "–".to_owned() } else { format!("`{}`", metric.labels.join("` `")) };
    format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for metric in CATALOGUE {
            let name = metric.name;
            assert!(name.starts_with("snowgate_"), "{name}");
            assert_eq!(matches!(metric.kind, Kind::Counter), name.ends_with("_total"), "{name}");
            assert!(!name.contains("_ms") && !name.contains("_millis"), "{name}: base units only");
            for record in ["incident", "delivery", "ticket", "path", "url", "id"] {
                assert!(!metric.labels.contains(&record), "{name}: a record is no label");
            }
        }
    }

    #[test]
    fn the_documentation_holds_this_very_table() {
        let page = include_str!("../../docs/telemetry.md");
        assert!(page.contains(&markdown()), "docs/telemetry.md must contain:\n{}", markdown());
    }
}
