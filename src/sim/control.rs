//! The control face, `/_sim/…`: for people and tests that watch the simulator and make it misbehave.
//!
//! Owns: its few routes. Never: serves anyone but this machine. Fails: with a sentence, as `400`, `403` or `404`.
//! Proved by: `server`.
//!
//! `GET state`, `GET log`, `GET|PUT faults` (a plan as text or JSON), `POST outage` (`{"kind":"hang","seconds":30}`),
//! `DELETE outage`, `POST edit` (`{"user":…,"table":…,"sys_id":…,"fields":{…}}`: a person edits a record), `POST reset`.

use std::time::Duration;

use serde_json::{Value, json};

use super::fault_plan::FaultPlan;
use super::faults::Faults;
use super::message::{Request, Response};
use super::shell::{OutageKind, Shell, lock};

/// Where the control face begins.
pub(super) const PREFIX: &str = "/_sim/";

/// Answers a control call; `now` is milliseconds since the epoch.
pub(super) fn answer(shell: &Shell, request: &Request, now: i64) -> Response {
    let route = request.path.strip_prefix(PREFIX).unwrap_or_default();
    let done = match (request.method.as_str(), route) {
        ("GET", "state") => Ok(lock(&shell.instance).state()),
        ("GET", "log") => {
            Ok(json!({"calls": lock(&shell.log).calls().map(super::call_log::Call::json).collect::<Vec<_>>()}))
        }
        ("GET", "faults") => Ok(faults(shell)),
        ("PUT", "faults") => put_faults(shell, &request.body),
        ("POST", "outage") => begin_outage(shell, &request.body),
        ("DELETE", "outage") => {
            shell.end_outage();
            Ok(json!({"outage": null}))
        }
        ("POST", "edit") => edit(shell, &request.body, now),
        ("POST", "reset") => {
            shell.reset();
            Ok(json!({"reset": true}))
        }
        _ => return problem(404, "there are: state, log, faults, outage, edit, reset"),
    };
    match done {
        Ok(body) => Response::json(200, &body),
        Err(text) => problem(400, &text),
    }
}

/// A refusal of the control face.
pub(super) fn problem(status: u16, text: &str) -> Response {
    Response::json(status, &json!({"problem": text}))
}

fn faults(shell: &Shell) -> Value {
    let faults = lock(&shell.faults);
    json!({"plan": faults.plan().to_string(), "struck": faults.struck()})
}

fn put_faults(shell: &Shell, body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let plan = match serde_json::from_str::<Value>(&text) {
        Ok(value) => FaultPlan::from_json(&value),
        Err(_) => FaultPlan::parse(text.trim()),
    };
    let plan = plan.map_err(|error| error.to_string())?;
    *lock(&shell.faults) = Faults::new(plan);
    Ok(faults(shell))
}

fn begin_outage(shell: &Shell, body: &[u8]) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let kind = body["kind"].as_str().and_then(OutageKind::parse);
    let kind = kind.ok_or("`kind` is connect, http_503, hang or html")?;
    let seconds = body["seconds"].as_u64().ok_or("`seconds` is a whole number")?;
    // A day is longer than any test; it also keeps the end inside the clock's range.
    let seconds = seconds.min(86_400);
    shell.begin_outage(kind, Duration::from_secs(seconds));
    Ok(json!({"outage": body["kind"], "seconds": seconds}))
}

fn edit(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |name: &str| body[name].as_str().ok_or_else(|| format!("`{name}` is a text"));
    let fields = body["fields"].as_object().ok_or("`fields` is an object")?;
    let fields: Vec<(&str, &str)> =
        fields.iter().filter_map(|(column, value)| value.as_str().map(|value| (column.as_str(), value))).collect();
    let (user, table, sys_id) = (text("user")?, text("table")?, text("sys_id")?);
    let edited = lock(&shell.instance).edit_as(user, table, sys_id, &fields, now);
    edited.map_err(|refusal| refusal.detail.unwrap_or(refusal.message))?;
    Ok(json!({"edited": sys_id}))
}
