//! The instance through its only door: requests in, responses out. Each test is a table of calls.
//!
//! Sources of the expected answers are named where the behaviour is; here they are only held to.

mod access;
mod calling;
mod describing;
mod files;
mod misconfigured;
mod outbound;
mod people;
mod reading;
mod sweeping;
mod writing;

use serde_json::Value;

use super::instance::{Instance, Options};
use super::message::{Request, Response};
use super::switches::Switches;

/// 2026-11-22 06:00:00 UTC, on the hour.
const NOW: i64 = 1_795_327_200_000;
const TABLE: &str = "/api/now/table/incident";
const CHOSEN: &str = "0123456789abcdef0123456789abcdef";

fn instance(switches: Switches) -> Instance {
    Instance::new(Options { switches, ..Options::default() })
}

/// `snowgate:snowgate`.
fn signed(method: &str, target: &str) -> Request {
    Request::new(method, target).with_header("Authorization", "Basic c25vd2dhdGU6c25vd2dhdGU=")
}

fn send(instance: &mut Instance, method: &str, target: &str, body: &Value) -> Response {
    let request = signed(method, target);
    let request = if body.is_null() { request } else { request.with_json(body) };
    instance.handle(&request, NOW)
}

/// The one place that reads answers: status, and the JSON at a pointer.
fn check(instance: &mut Instance, call: (&str, &str, Value), status: u16, expected: &[(&str, Value)]) {
    let (method, target, body) = call;
    let response = send(instance, method, target, &body);
    let value = response.value().unwrap_or_default();
    assert_eq!(response.status, status, "{method} {target}: {value}");
    for (pointer, wanted) in expected {
        assert_eq!(value.pointer(pointer).unwrap_or(&Value::Null), wanted, "{method} {target} {pointer}: {value}");
    }
}

fn create(instance: &mut Instance, body: &Value) -> String {
    let response = send(instance, "POST", TABLE, body);
    let value = response.value().expect("json");
    assert_eq!(response.status, 201, "{value}");
    value.pointer("/result/sys_id").and_then(Value::as_str).expect("a sys_id").to_owned()
}
