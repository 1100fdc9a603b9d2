//! The metrics recorder, rendered as text for Prometheus by whoever serves `/metrics`. It opens no port of its own.
//!
//! Owns: the recorder of this process. Never: names a metric (that is [`super::catalogue`]).
//! Fails: only if a stranger installed a recorder first. Proved by: the tests below.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::catalogue::{CATALOGUE, Kind};

/// What `install` and `local` can fail with.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The catalogue gives a histogram no buckets.
    #[error("could not set the buckets of a histogram")]
    Buckets(#[from] metrics_exporter_prometheus::BuildError),
    /// Another recorder is in place already.
    #[error("another metrics recorder is installed in this process")]
    Taken,
}

/// The recorder's reading side. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// The macros of `metrics` speak to one recorder per process, so there is one; later calls get the same.
static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    /// Installs the recorder of this process, or returns the one that is installed.
    pub fn install() -> Result<Self, MetricsError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let recorder = recorder()?;
        let metrics = Self(recorder.handle());
        ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
        describe();
        *installed = Some(metrics.clone());
        Ok(metrics)
    }

    /// Runs `work` with a recorder of its own, on this thread alone, and returns what it recorded, as text.
    pub fn local(work: impl FnOnce()) -> Result<String, MetricsError> {
        let recorder = recorder()?;
        ::metrics::with_local_recorder(&recorder, || {
            describe();
            work();
        });
        Ok(recorder.handle().render())
    }

    /// Everything recorded so far, in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds raw histogram samples into their buckets. Call it every few seconds: without it, samples pile up in
    /// memory until somebody asks for the metrics.
    pub fn fold_samples(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

fn recorder() -> Result<PrometheusRecorder, MetricsError> {
    let mut builder = PrometheusBuilder::new();
    for metric in CATALOGUE {
        if let Kind::Histogram { buckets } = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram { .. } => ::metrics::describe_histogram!(metric.name, metric.meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue;

    #[test]
    fn installing_twice_gives_the_same_recorder() {
        let first = Metrics::install().unwrap();
        let second = Metrics::install().unwrap();
        ::metrics::counter!(catalogue::SETTINGS_RELOADS, "outcome" => "twice").increment(1);
        assert!(first.render().contains("twice"));
        assert!(second.render().contains("twice"));
    }

    #[test]
    fn histograms_have_buckets_and_every_metric_a_help_line() {
        let text = Metrics::local(|| {
            ::metrics::histogram!(catalogue::STORE_COMMIT_SECONDS).record(0.003);
        })
        .unwrap();
        assert!(text.contains("# HELP snowgate_store_commit_seconds "), "{text}");
        assert!(text.contains("# TYPE snowgate_store_commit_seconds histogram"), "{text}");
        assert!(text.contains(r#"snowgate_store_commit_seconds_bucket{le="0.005"} 1"#), "{text}");
    }
}
