//! What a token endpoint answers, judged and tidied before the `oauth2` crate reads it.
//!
//! Real endpoints send `expires_in` as text, leave `token_type` out, answer a hibernation page with `200`, and say
//! `access_denied` to everything (`facts/servicenow.md` 4.1). The crate is strict, so its food is cut here.

use serde_json::{Map, Value};

use super::super::message::{Answer, TransportFault};
use super::super::{fault, waits, words};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::Timestamp;

/// A tidy token answer as JSON, or what stands in its place.
pub fn tidy(now: Timestamp, reply: Result<Answer, TransportFault>) -> Result<Vec<u8>, Outcome> {
    let answer = reply.map_err(|fault| of_fault(&fault))?;
    let outcome = |class, code: String, instance_fault| Outcome {
        status: Some(answer.status),
        instance_fault,
        not_before: waits::retry_after(now, &answer),
        ..Outcome::new(class, code)
    };
    let failed = |code: &str| outcome(Class::NotProcessed, format!("token_{code}"), true);
    let json = || serde_json::from_slice::<Map<String, Value>>(&answer.body).ok();
    match answer.status {
        200..=299 if answer.cut => Err(failed("answer_cut")),
        200..=299 if words::is_html(&answer) => {
            Err(failed("html_instead_of_json").with_detail(words::title(&answer.body)))
        }
        200..=299 => match json() {
            None => Err(failed("not_json")),
            Some(said) if said.get("access_token").and_then(Value::as_str).is_some_and(|token| !token.is_empty()) => {
                tidied(said)
            }
            Some(said) => {
                Err(outcome(Class::Unauthorized, "token_refused".to_owned(), false).with_detail(reason(&said)))
            }
        },
        400 | 401 | 403 => {
            let why = json().map_or_else(String::new, |said| reason(&said));
            Err(outcome(Class::Unauthorized, "token_refused".to_owned(), false).with_detail(why))
        }
        300..=399 => {
            let host = words::host_of(answer.header("location").unwrap_or_default());
            Err(outcome(Class::Misconfigured, "token_redirected".to_owned(), false).with_detail(format!("to {host}")))
        }
        429 => Err(Outcome {
            not_before: Some(waits::throttled_until(now, &answer)),
            ..outcome(Class::Throttled, "token_http_429".to_owned(), false)
        }),
        status @ 400..=499 => Err(outcome(Class::Misconfigured, format!("token_http_{status}"), false)),
        status => Err(failed(&format!("http_{status}"))),
    }
}

/// The call itself was not sent, and asking for a token again does no harm: nothing here is ever unclear.
fn of_fault(fault: &TransportFault) -> Outcome {
    let outcome = fault::of_repeatable(fault);
    Outcome { code: format!("token_{}", outcome.code), ..outcome }
}

/// Keeps what is needed, in the shapes the standard prescribes.
fn tidied(mut said: Map<String, Value>) -> Result<Vec<u8>, Outcome> {
    let bearer = match said.get("token_type") {
        None | Some(Value::Null) => true,
        Some(Value::String(kind)) => kind.is_empty() || kind.eq_ignore_ascii_case("bearer"),
        Some(_) => false,
    };
    if !bearer {
        return Err(Outcome::new(Class::Misconfigured, "token_type_unknown"));
    }
    let seconds = match said.get("expires_in") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let mut tidy = Map::new();
    tidy.insert("token_type".to_owned(), "Bearer".into());
    for field in ["access_token", "refresh_token"] {
        if let Some(Value::String(text)) = said.remove(field) {
            tidy.insert(field.to_owned(), text.into());
        }
    }
    if let Some(seconds) = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is bounded later")]
        tidy.insert("expires_in".to_owned(), (seconds as u64).into());
    }
    serde_json::to_vec(&tidy).map_err(|_| Outcome::new(Class::Defect, "token_untidy"))
}

/// `error` and `error_description`, whatever their shapes.
fn reason(said: &Map<String, Value>) -> String {
    let text = |field| said.get(field).and_then(Value::as_str).unwrap_or_default();
    words::clean(&format!("{} {}", text("error"), text("error_description")))
}

#[cfg(test)]
mod tests {
    use super::super::super::message::{FaultKind, HeaderMap, HeaderValue};
    use super::*;

    fn check(status: u16, kind: &'static str, body: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        let answer = Answer { status, headers, body: body.as_bytes().to_vec(), cut: false };
        let said = match tidy(Timestamp::EPOCH, Ok(answer)) {
            Ok(body) => String::from_utf8(body).unwrap(),
            Err(outcome) => format!("{} {} {}", outcome.class.as_str(), outcome.code, outcome.detail),
        };
        assert_eq!(said.trim_end(), expected, "{status} {body}");
    }

    const JSON: &str = "application/json;charset=UTF-8";

    #[test]
    fn every_shape_of_a_token_becomes_the_standard_one() {
        let full = r#"{"token_type":"Bearer","access_token":"t","expires_in":1799}"#;
        for (body, expected) in [
            (r#"{"access_token":"t","scope":"useraccount","token_type":"Bearer","expires_in":1799}"#, full),
            (r#"{"access_token":"t","expires_in":"1799","token_type":"bearer"}"#, full),
            (r#"{"access_token":"t","expires_in":" 1799.9 "}"#, full),
            (r#"{"access_token":"t","scope":["a"],"expires_in":-1}"#, r#"{"token_type":"Bearer","access_token":"t"}"#),
            (r#"{"access_token":"t","expires_in":"soon"}"#, r#"{"token_type":"Bearer","access_token":"t"}"#),
            (
                r#"{"access_token":"t","refresh_token":"r"}"#,
                r#"{"token_type":"Bearer","access_token":"t","refresh_token":"r"}"#,
            ),
        ] {
            check(200, JSON, body, expected);
        }
    }

    #[test]
    fn everything_else_is_told_apart() {
        let denied = r#"{"error_description":"access_denied","error":"server_error"}"#;
        for (status, kind, body, expected) in [
            (401, JSON, denied, "unauthorized token_refused server_error access_denied"),
            (400, JSON, r#"{"error":"invalid_client"}"#, "unauthorized token_refused invalid_client"),
            (403, "text/html", "<html>", "unauthorized token_refused"),
            (200, JSON, denied, "unauthorized token_refused server_error access_denied"),
            (200, JSON, r#"{"access_token":""}"#, "unauthorized token_refused"),
            (
                200,
                "text/html",
                "<title>Instance Hibernating page</title>",
                "not_processed token_html_instead_of_json Instance Hibernating page",
            ),
            (200, JSON, "", "not_processed token_not_json"),
            (200, JSON, r#"{"access_token":"t","token_type":"mac"}"#, "misconfigured token_type_unknown"),
            (302, "text/html", "", "misconfigured token_redirected to nowhere"),
            (404, JSON, "{}", "misconfigured token_http_404"),
            (429, JSON, "", "throttled token_http_429"),
            (503, "text/html", "<html>", "not_processed token_http_503"),
        ] {
            check(status, kind, body, expected);
        }
    }

    #[test]
    fn a_token_that_did_not_come_leaves_the_call_unsent() {
        for kind in [FaultKind::Timeout { sent: true }, FaultKind::Reset { sent: true }, FaultKind::Protocol] {
            let outcome = tidy(Timestamp::EPOCH, Err(TransportFault::new(kind, ""))).unwrap_err();
            assert_eq!(outcome.class, Class::NotProcessed, "{kind:?}");
        }
    }
}
