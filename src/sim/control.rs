//! The control face, `/_sim/…`: for people and tests that watch the simulator and make it misbehave.
//!
//! Owns: its few routes. Never: serves anyone but this machine. Fails: with a sentence, as `400`, `403` or `404`.
//! Proved by: `server`.
//!
//! `GET state`, `GET log`, `GET|PUT faults` (a plan as text or JSON), `POST outage` (`{"kind":"hang","seconds":30}`),
//! `DELETE outage`, `POST edit` (`{"user":…,"table":…,"sys_id":…,"fields":{…}}`: a person edits a record), `POST create`,
//! `POST act` (a person does something to a ticket), `POST|DELETE hide`, `POST jobs`, `PUT credentials`, `GET|POST|DELETE webhooks`,
//! `GET|PUT loss`, `POST pause`, `GET outbound`, `GET|POST|DELETE misconfigurations`, `POST reset`. `docs/simulator.md` shows their JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::acts::Act;
use super::control_outbound;
use super::errors::Refusal;
use super::fault_plan::FaultPlan;
use super::faults::Faults;
use super::message::{Request, Response};
use super::misconfiguration::Misconfiguration;
use super::shell::{OutageKind, Shell, lock};

/// Where the control face begins.
pub(super) const PREFIX: &str = "/_sim/";

const ROUTES: &str = "there are: state, log, faults, outage, create, edit, act, hide, jobs, credentials, webhooks, loss, pause, \
     outbound, misconfigurations, reset";

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
        ("POST", "create") => create(shell, &request.body, now),
        ("POST", "act") => act(shell, &request.body, now),
        ("POST" | "DELETE", "hide") => hide(shell, &request.body, request.method == "POST"),
        ("POST", "jobs") => jobs(shell, &request.body, now),
        ("PUT", "credentials") => credentials(shell, &request.body),
        ("GET", "webhooks") => Ok(control_outbound::webhooks(&lock(&shell.instance))),
        ("POST", "webhooks") => {
            read(&request.body).and_then(|body| control_outbound::subscribe(&mut lock(&shell.instance), &body))
        }
        ("DELETE", "webhooks") => {
            lock(&shell.instance).unsubscribe_all();
            Ok(json!({"webhooks": []}))
        }
        ("GET", "loss") => Ok(control_outbound::wire(&lock(&shell.instance))),
        ("PUT", "loss") => control_outbound::set_wire(&mut lock(&shell.instance), &request.body),
        ("POST", "pause") => pause(shell, &request.body, now),
        ("GET", "outbound") => Ok(control_outbound::calls(&lock(&shell.instance))),
        ("GET", "misconfigurations") => Ok(mistakes(shell)),
        ("POST", "misconfigurations") => misconfigure(shell, &request.body),
        ("DELETE", "misconfigurations") => {
            shell.reset(true);
            Ok(mistakes(shell))
        }
        ("POST", "reset") => {
            shell.reset(false);
            Ok(json!({"reset": true}))
        }
        _ => return problem(404, ROUTES),
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

fn read(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn text<'b>(body: &'b Value, name: &str) -> Result<&'b str, String> {
    body[name].as_str().ok_or_else(|| format!("`{name}` is a text"))
}

fn fields(body: &Value) -> Result<Vec<(&str, &str)>, String> {
    let fields = body["fields"].as_object().ok_or("`fields` is an object")?;
    Ok(fields.iter().filter_map(|(column, value)| value.as_str().map(|value| (column.as_str(), value))).collect())
}

/// What a person would read on the screen.
fn said(refusal: Refusal) -> String {
    refusal.detail.unwrap_or(refusal.message)
}

fn edit(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let body = read(body)?;
    let (user, table, sys_id) = (text(&body, "user")?, text(&body, "table")?, text(&body, "sys_id")?);
    let mut instance = lock(&shell.instance);
    if body["silently"] == json!(true) {
        let found = instance.edit_silently(table, sys_id, &fields(&body)?);
        found.then_some(()).ok_or_else(|| format!("{table} has no {sys_id}"))?;
    } else {
        instance.edit_as(user, table, sys_id, &fields(&body)?, now).map_err(said)?;
    }
    Ok(json!({"edited": sys_id}))
}

fn create(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let body = read(body)?;
    let (user, table) = (text(&body, "user")?, text(&body, "table")?);
    let sys_id = lock(&shell.instance).create_as(user, table, &fields(&body)?, now).map_err(said)?;
    Ok(json!({"created": sys_id}))
}

fn act(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let body = read(body)?;
    let (user, sys_id, act) = (text(&body, "user")?, text(&body, "sys_id")?, Act::from_json(&body)?);
    lock(&shell.instance).act_as(user, sys_id, &act, now).map_err(said)?;
    Ok(json!({"done": body["act"], "sys_id": sys_id}))
}

fn hide(shell: &Shell, body: &[u8], hidden: bool) -> Result<Value, String> {
    let body = read(body)?;
    let (table, sys_id) = (text(&body, "table")?, text(&body, "sys_id")?);
    let mut instance = lock(&shell.instance);
    if hidden {
        instance.hide(table, sys_id);
    } else {
        instance.unhide(table, sys_id);
    }
    Ok(json!({"hidden": hidden, "sys_id": sys_id}))
}

/// What is set up wrongly, and what could be.
fn mistakes(shell: &Shell) -> Value {
    let instance = lock(&shell.instance);
    let made: Vec<String> = instance.mistakes().iter().map(ToString::to_string).collect();
    let known = Misconfiguration::KNOWN.iter().copied().flatten();
    let known: Vec<Value> =
        known.map(|known| json!({"name": known.name, "example": known.example, "says": known.says})).collect();
    json!({"misconfigurations": made, "known": known})
}

/// One `name=value` a line, as text.
fn misconfigure(shell: &Shell, body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let wanted: Vec<Misconfiguration> = lines.map(Misconfiguration::parse).collect::<Result<_, _>>()?;
    let mut instance = lock(&shell.instance);
    for mistake in &wanted {
        instance.misconfigure(mistake)?;
    }
    Ok(json!({"misconfigurations": instance.mistakes().iter().map(ToString::to_string).collect::<Vec<_>>()}))
}

/// An administrator replaces what callers sign in with.
fn credentials(shell: &Shell, body: &[u8]) -> Result<Value, String> {
    let body = read(body)?;
    let given = body.as_object().ok_or("an object is expected")?;
    let mut instance = lock(&shell.instance);
    let user = instance.credentials.username.clone();
    for (name, value) in given {
        match (name.as_str(), value.as_str(), value.as_bool()) {
            ("client_secret", Some(secret), _) => instance.set_client_secret(secret),
            ("password", Some(password), _) => instance.set_password(password),
            ("add_api_key", Some(key), _) => instance.add_api_key(key, &user, i64::MAX),
            ("remove_api_key", Some(key), _) => instance.remove_api_key(key),
            ("map_certificate", Some(sha256), _) => instance.map_certificate(sha256, &user),
            ("drop_tokens", _, Some(true)) => instance.drop_tokens(),
            _ => {
                return Err(format!(
                    "`{name}` is none of client_secret, password, add_api_key, remove_api_key, map_certificate (texts) and \
                     drop_tokens (true)"
                ));
            }
        }
    }
    Ok(json!({"changed": given.keys().collect::<Vec<_>>()}))
}

/// Outbound jobs wait; zero seconds lets them go.
fn pause(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let seconds = read(body)?["seconds"].as_i64().ok_or("`seconds` is a whole number")?;
    lock(&shell.instance).pause_jobs_until(now.saturating_add(seconds.saturating_mul(1_000)));
    Ok(json!({"paused_seconds": seconds}))
}

/// Scheduled jobs, now or so many days from now.
fn jobs(shell: &Shell, body: &[u8], now: i64) -> Result<Value, String> {
    let days = if body.is_empty() { 0 } else { read(body)?["in_days"].as_i64().unwrap_or(0) };
    let at = now.saturating_add(days.saturating_mul(86_400_000));
    Ok(json!({"closed": lock(&shell.instance).run_jobs(at)}))
}
