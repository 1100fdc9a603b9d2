//! The order of system calls behind a receipt: the log is synced before anyone is told that a change is stored.

use std::process::Command;

use snowgate::domain::change::ChangeKind;
use snowgate::store::Store;

use crate::faults::proven;
use crate::harness::{CONTOSO, ManualClock, change, options};

const BEFORE: &str = "marker-before";
const AFTER: &str = "marker-after";

/// Runs under strace, in a directory of its own; the markers show in the trace as files that are opened.
#[tokio::test]
#[ignore = "the traced half of the test below"]
async fn traced_accept() {
    let store = Store::open("sqlite:traced.db", options(&ManualClock::new())).await.unwrap();
    std::fs::write(BEFORE, "").unwrap();
    store.accept(vec![change(1, CONTOSO, "MTR-1", ChangeKind::Opened)]).await.unwrap();
    std::fs::write(AFTER, "").unwrap();
}

#[test]
fn a_receipt_is_given_only_after_the_log_was_synced() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync,openat,open,pwrite64,write", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "sync_order::traced_accept"])
        .current_dir(directory.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    // Not every machine has strace or allows tracing; there the child leaves no second marker.
    if !status.is_ok_and(|status| status.success()) || !directory.path().join(AFTER).exists() {
        println!("skipped: strace is not available here");
        return;
    }
    let trace = std::fs::read_to_string(trace).unwrap();
    let at = |what: &str| trace.lines().position(|line| line.contains(what)).unwrap();
    let between: Vec<_> = trace.lines().skip(at(BEFORE)).take(at(AFTER) - at(BEFORE)).collect();
    let written = between.iter().rposition(|line| line.contains("pwrite64") && line.contains("traced.db-wal"));
    let synced = between.iter().rposition(|line| line.contains("sync(") && line.contains("traced.db-wal"));
    assert!(written.is_some() && synced > written, "the log is written, then synced, then the receipt:\n{between:#?}");
    proven(
        "F14",
        "a_receipt_is_given_only_after_the_log_was_synced",
        "strace of one accept: the log is written, then synced, and only then told",
    );
}
