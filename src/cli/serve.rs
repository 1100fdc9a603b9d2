//! `snowgate serve`: the gateway, until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::check;
use super::print::Printer;
use super::{DONE, WRONG, runtime};
use crate::app::{Gateway, Parts};
use crate::limits::STOP_GRACE;
use crate::runtime::clock::SystemClock;
use crate::runtime::signals::{Hangups, Signals};
use crate::runtime::{failpoint, tasks};
use crate::settings::{CrashManner, Environment, LogFormat, Settings, codes};
use crate::store::audit::Actor;
use crate::telemetry::logging;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Log lines for people or for machines; the settings say it otherwise
    #[arg(long, value_enum)]
    log_format: Option<Form>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    Human,
    Json,
}

pub(super) fn run(
    config: &Path,
    arguments: &Arguments,
    printer: &Printer,
    environment: &Environment,
) -> anyhow::Result<u8> {
    let Some((parts, warnings)) = check::load_for_serving(config, printer, environment) else { return Ok(WRONG) };
    for warning in &warnings {
        printer.note(warning.headline());
    }
    let json = arguments
        .log_format
        .map_or(parts.prepared.settings.log.format == LogFormat::Json, |form| matches!(form, Form::Json));
    let format = if json { logging::LogFormat::Json } else { logging::LogFormat::Human };
    logging::init(format, &quieter(&parts.prepared.settings.log.filter)).context("cannot start logging")?;
    // Whoever reads the log later is to know as well.
    for warning in warnings.iter().filter(|warning| warning.code == codes::UNSIGNED_WEBHOOK) {
        tracing::warn!(code = warning.code, file = warning.file, "{}", warning.message);
    }
    prepare_to_die(&parts.prepared.settings);
    runtime()?.block_on(serve(parts))
}

/// Kill tests say where and how; a release build declines.
fn prepare_to_die(settings: &Settings) {
    if let Some(crash) = &settings.crash_at {
        let manner = match crash.manner {
            CrashManner::Abort => failpoint::Manner::Abort,
            CrashManner::Stop => failpoint::Manner::Stop,
            CrashManner::Panic => failpoint::Manner::Panic,
        };
        if !failpoint::arm(&crash.point, crash.pass, manner) {
            tracing::warn!("This build cannot die on purpose at {}", crash.point);
        }
    }
    if let Some(lease) = settings.lease
        && !failpoint::shorten_leases(lease)
    {
        tracing::warn!("This build cannot shorten its leases");
    }
}

/// The HTTP server tells of its threads at `info`; unless somebody asks for it, that is nobody's news.
fn quieter(filter: &str) -> String {
    if filter.contains("actix") { filter.to_owned() } else { format!("{filter},actix_server=warn") }
}

async fn serve(parts: Parts) -> anyhow::Result<u8> {
    // Before anybody can know that we serve, so that no early signal ends us the hard way.
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let mut hangups = Hangups::catch().context("cannot catch signals")?;
    let tenants = parts.prepared.tenants.len();
    let gateway = tokio::select! {
        started = Gateway::start(Parts { clock: Arc::new(SystemClock), ..parts }) => started?,
        // It may be waiting for a database, or for another replica that migrates: nothing was begun yet.
        caught = signals.next() => {
            tracing::info!(signal = %caught, "Stopped by {caught} before it served");
            return Ok(caught.exit_code());
        }
    };
    tracing::info!(
        public = gateway.public_url(),
        admin = gateway.admin_url(),
        tenants,
        "Serving {tenants} tenants on {}, operators on {}",
        gateway.public_url(),
        gateway.admin_url()
    );
    let stopper = gateway.stopper().clone();
    let reloader = gateway.reloader().clone();
    drop(tasks::spawn("hangups", async move {
        loop {
            hangups.next().await;
            tracing::info!("Reading the files after SIGHUP");
            // What came of it was told where it happened.
            drop(reloader.reload(Actor::gateway()).await);
        }
    }));
    tokio::select! {
        // A second signal means now: what is being sent is found again by the next start.
        caught = signals.drive(stopper, STOP_GRACE) => Ok(caught.exit_code()),
        drained = gateway.run_until_stopped(Gateway::ACCEPT_AFTER_STOP) => {
            match drained {
                Ok(()) => tracing::info!("Stopped; nothing was being sent, and what waits is on disk"),
                Err(still) => tracing::warn!("Stopped with unfinished work, which the next start looks after: {still}"),
            }
            Ok(DONE)
        }
    }
}
