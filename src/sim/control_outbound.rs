//! The control face's part for outbound calls: subscribe, watch, and spoil the wire.
//!
//! Owns: the JSON of subscriptions, wires and outbound calls. Never: shows a secret. Fails: with a sentence, as `400`.
//! Proved by: `tests/calling`.

use serde_json::{Value, json};

use super::instance::Instance;
use super::outbound::{Backoff, CallState, Payload, Retry, SignatureForm, WebhookRule, Wire};

/// `{"url":…,"secret":…}` and what differs from the rule of a careful admin.
pub(super) fn subscribe(instance: &mut Instance, body: &Value) -> Result<Value, String> {
    let rule = rule(body)?;
    let id = instance.subscribe(rule).map_err(|error| error.to_string())?;
    Ok(json!({"webhook": id}))
}

fn rule(body: &Value) -> Result<WebhookRule, String> {
    let text = |name: &str| body[name].as_str().ok_or_else(|| format!("`{name}` is a text"));
    let maybe = |name: &str| body[name].as_str().map(str::to_owned);
    let usual = WebhookRule::new(text("url")?, text("secret")?);
    let payload = match body["form"].as_str() {
        None => usual.payload,
        Some(word) => Payload::parse(word).ok_or("`form` is snapshot, hint, flat or bad-escaping")?,
    };
    let signature = match body["signature"].as_str() {
        None | Some("base64") => SignatureForm::Base64,
        Some("hex") => SignatureForm::Hex,
        Some(_) => return Err("`signature` is base64 or hex".to_owned()),
    };
    Ok(WebhookRule {
        table: maybe("table").unwrap_or_else(|| usual.table.clone()),
        columns: names(&body["columns"]),
        payload,
        fields: names(&body["fields"]),
        skip_user: maybe("skip_user"),
        attachments: body["attachments"].as_bool().unwrap_or(usual.attachments),
        instance_name: maybe("instance_name").unwrap_or_else(|| usual.instance_name.clone()),
        retry: retry(&body["retry"])?,
        signature,
        delay_ms_max: body["delay_ms_max"].as_u64().unwrap_or(usual.delay_ms_max),
        ..usual
    })
}

fn names(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// `null`, or `{"count":3,"wait_secs":1,"backoff":"retry_after"}`.
fn retry(value: &Value) -> Result<Retry, String> {
    if value.is_null() {
        return Ok(Retry::None);
    }
    let number = |name: &str| value[name].as_u64().and_then(|number| u32::try_from(number).ok());
    let backoff = match value["backoff"].as_str() {
        None | Some("fixed") => Backoff::Fixed,
        Some("exponential") => Backoff::Exponential,
        Some("retry_after") => Backoff::RetryAfter,
        Some(_) => return Err("`backoff` is fixed, exponential or retry_after".to_owned()),
    };
    let count = number("count").ok_or("`retry.count` is a whole number")?;
    Ok(Retry::Flow { count, wait_secs: number("wait_secs").unwrap_or(1), backoff })
}

/// The subscriptions, without their secrets.
pub(super) fn webhooks(instance: &Instance) -> Value {
    let shown = |(id, rule): (u32, &WebhookRule)| {
        json!({
            "webhook": id, "url": rule.url, "table": rule.table, "columns": rule.columns, "form": rule.payload.word(),
            "skip_user": rule.skip_user, "attachments": rule.attachments, "instance_name": rule.instance_name,
            "retries": match rule.retry { Retry::None => 0, Retry::Flow { count, .. } => count },
            "delay_ms_max": rule.delay_ms_max,
        })
    };
    json!({"webhooks": instance.subscriptions().map(shown).collect::<Vec<_>>()})
}

/// What the wire does.
pub(super) fn wire(instance: &Instance) -> Value {
    let Wire { drop_percent, repeat_percent, reorder_percent, hold_ms_max, seed, silent } = instance.wire();
    json!({
        "drop": drop_percent, "repeat": repeat_percent, "reorder": reorder_percent, "hold_ms": hold_ms_max,
        "seed": seed, "silent": silent,
    })
}

/// A wire as text (`drop=5,silent`) or as JSON (`{"drop":5,"silent":true}`).
pub(super) fn set_wire(instance: &mut Instance, body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let text = match serde_json::from_str::<Value>(&text) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(parts)) => {
            let part = |(name, value): (&String, &Value)| match value {
                Value::Bool(yes) => yes.then(|| name.clone()),
                value => Some(format!("{name}={value}")),
            };
            parts.iter().filter_map(part).collect::<Vec<_>>().join(",")
        }
        Ok(_) => return Err("a wire is a text or an object".to_owned()),
        Err(_) => text.trim().to_owned(),
    };
    let parsed = Wire::parse(&text).map_err(|error| error.to_string())?;
    instance.set_wire(parsed);
    Ok(wire(instance))
}

/// The calls with their ends, and how many jobs wait.
pub(super) fn calls(instance: &Instance) -> Value {
    let calls: Vec<Value> = instance
        .outbound_calls()
        .map(|call| {
            let (state, status) = match &call.state {
                CallState::Sent => ("sent", None),
                CallState::Answered(status) => ("answered", Some(*status)),
                CallState::Failed(_) => ("failed", None),
                CallState::Dropped => ("dropped", None),
            };
            json!({
                "id": call.id, "at": call.at, "webhook": call.subscription, "url": call.url, "table": call.table,
                "sys_id": call.sys_id, "event": call.event, "attempt": call.attempt, "repeated": call.repeated,
                "state": state, "status": status,
            })
        })
        .collect();
    json!({"waiting": instance.jobs_waiting(), "overflowed": instance.jobs_overflowed(), "calls": calls})
}
