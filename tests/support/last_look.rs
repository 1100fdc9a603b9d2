//! What must not be left when a test is over: work nobody declared, panics, errors, and secrets in the log.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// What a test says will be left.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) parked: u64,
    pub(crate) waiting: bool,
    pub(crate) closed: bool,
    pub(crate) panics: bool,
    pub(crate) errors: Vec<String>,
}

/// Everything that is left and was not declared, in words. Without an address the process is gone and only its log is read.
pub(crate) fn last_look(admin: Option<&str>, log: &Path, secrets: &[String], declared: &Declared) -> Vec<String> {
    let mut left = admin.filter(|_| !declared.closed).map(|address| work_left(address, declared)).unwrap_or_default();
    let log = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    left.extend(
        secrets.iter().filter(|secret| log.contains(secret.as_str())).map(|secret| format!("{secret} in the log")),
    );
    // What the files' check says to people comes before the log begins.
    for line in log.lines().skip_while(|line| !line.starts_with('{')) {
        let expected = declared.errors.iter().any(|text| line.contains(text));
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            left.push(format!("a line that is no JSON: {line}"));
            continue;
        };
        let panicked = record["message"].as_str().is_some_and(|text| text.to_lowercase().contains("panicked"));
        if (panicked && !declared.panics) || (record["level"] == "ERROR" && !panicked && !expected) {
            left.push(line.to_owned());
        }
    }
    left
}

fn work_left(address: &str, declared: &Declared) -> Vec<String> {
    let Some(tenants) = tenants(address) else { return vec!["an admin listener that does not answer".to_owned()] };
    let mut left = Vec::new();
    let mut parked = 0;
    for tenant in tenants["tenants"].as_array().map(Vec::as_slice).unwrap_or_default() {
        parked += tenant["parked"].as_u64().unwrap_or_default();
        if tenant["waiting"] != 0 && !declared.waiting {
            left.push(format!("work waiting: {tenant}"));
        }
    }
    if parked != declared.parked {
        left.push(format!("{parked} parked deliveries, {} were declared", declared.parked));
    }
    left
}

/// `GET /v1/tenants` without a runtime: this is called while a test's own may be ending.
fn tenants(address: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let request = format!("GET /v1/tenants HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
