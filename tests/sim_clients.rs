//! The simulator against clients we did not write: `ServiceNow`'s own `PySNC`, and `pysnow`, both unchanged, over https.
//!
//! Owns: starting the simulator and the scripts in `tests/clients`. Never: skips; without Python it fails with the line to run.
//! What it proves: that the simulator's answers are those of the platform as other people's code understands them.

use std::path::{Path, PathBuf};
use std::process::Command;

use snowgate::sim::server::{Options, start};

/// The interpreter with the pinned clients: `SNOWGATE_TEST_PYTHON`, or the one that `scripts/test-python.sh` makes.
fn python() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting of the program")]
    let named = std::env::var("SNOWGATE_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/python"));
    assert!(python.exists(), "no Python with the test clients at {}; run ./scripts/test-python.sh", python.display());
    python
}

async fn check(script: &str, last_line: &str) {
    let python = python();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let simulator = start(Options { tls_ca_file: Some(ca.clone()), ..Options::default() }).expect("a free port");
    let mut command = Command::new(python);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script))
        .arg(simulator.url())
        .env("REQUESTS_CA_BUNDLE", &ca)
        // Loopback only, whatever proxy the machine has.
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run.await.expect("the script's thread lives").expect("Python starts");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let calls = simulator.calls();
    assert!(
        output.status.success() && said.trim_end().ends_with(last_line),
        "{script} said:\n{said}\n{complained}\nits last calls: {:#?}",
        calls.iter().rev().take(3).collect::<Vec<_>>()
    );
    simulator.stop().await;
}

#[tokio::test]
async fn servicenows_own_client_works_unchanged() {
    check("with_pysnc.py", "pysnc agrees").await;
}

#[tokio::test]
async fn pysnow_works_unchanged() {
    check("with_pysnow.py", "pysnow agrees").await;
}
