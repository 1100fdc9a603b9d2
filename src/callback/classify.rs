//! What an answer of the managed service means: one pure function, and the only place that looks at its status codes.
//!
//! Owns: the callback line of `facts/reliability.md` 4.1: a receiver drops what it has seen before, so nothing is ever
//! unclear; what is not surely done is sent again. Never: does I/O, reads a clock. Fails: it cannot.
//! Proved by: the table at the end of this file, and `tests/callback.rs` over real sockets.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

use serde::Deserialize;

use crate::delivery::outcome::{Class, Outcome};
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;
use crate::limits::CALLBACK_WORDS_BYTES_MAX;
use crate::peer::fault::of_repeatable;
use crate::peer::message::{Answer, TransportFault};
use crate::peer::{waits, words};

/// What the managed service says to a callback that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The incident that a customer's ticket has become there; asked for by `ticket.opened` alone.
    pub incident: Option<IncidentId>,
}

/// What a reply means.
pub fn classify(now: Timestamp, reply: &Result<Answer, TransportFault>) -> Result<Answered, Outcome> {
    let answer = match reply {
        Err(fault) => return Err(of_repeatable(fault)),
        Ok(answer) => answer,
    };
    match answer.status {
        200..=299 if is_page(answer) => Err(of_page(answer)),
        200..=299 => Ok(answered(answer)),
        409 | 422 if says_duplicate(answer) => Ok(answered(answer)),
        status => Err(of_refusal(now, status, answer)),
    }
}

fn of_refusal(now: Timestamp, status: u16, answer: &Answer) -> Outcome {
    let (class, code) = match status {
        // Never followed: a signed event goes where the tenant's file says, and nowhere else.
        300..=399 => (Class::Misconfigured, "redirected"),
        401 => (Class::Unauthorized, "http_401"),
        403 => (Class::Misconfigured, "callback_forbidden"),
        407 => (Class::NotProcessed, "egress_proxy_failed"),
        408 | 423..=425 => (Class::NotProcessed, ""),
        410 => (Class::Misconfigured, "callback_gone"),
        429 => (Class::Throttled, "http_429_rate_limit"),
        400..=499 => (Class::Refused, ""),
        // Something in between that does not speak for the receiver: a captive portal, a proxy of another age.
        501 | 505 | 511 => (Class::Misconfigured, ""),
        _ => (Class::NotProcessed, ""),
    };
    let not_before = if class == Class::Throttled {
        Some(waits::throttled_until(now, answer))
    } else {
        waits::retry_after(now, answer)
    };
    let code = if code.is_empty() { format!("http_{status}") } else { code.to_owned() };
    let instance_fault = class == Class::NotProcessed && status != 407;
    Outcome { class, code, status: Some(status), detail: said(answer), not_before, instance_fault }
}

/// What it means that a file of the managed service did not come. It is this one file's matter: the place it lies at is
/// not the receiver, so nothing here pauses a tenant or counts against the receiver.
pub fn of_no_file(now: Timestamp, reply: &Result<Answer, TransportFault>) -> Outcome {
    let answer = match reply {
        Err(fault) => {
            let lost = of_repeatable(fault);
            let class = if lost.class == Class::Misconfigured { Class::Refused } else { lost.class };
            return Outcome { class, instance_fault: false, ..lost };
        }
        Ok(answer) => answer,
    };
    let (class, code) = match answer.status {
        300..=399 => (Class::Refused, "file_redirected"),
        401 | 403 => (Class::Refused, "file_forbidden"),
        404 | 410 => (Class::Refused, "file_gone"),
        407 => (Class::NotProcessed, "egress_proxy_failed"),
        408 | 423..=425 | 429 => (Class::NotProcessed, "file_not_now"),
        400..=499 => (Class::Refused, "file_refused"),
        _ => (Class::NotProcessed, "file_not_now"),
    };
    let not_before = waits::retry_after(now, answer);
    Outcome { not_before, status: Some(answer.status), ..Outcome::new(class, code).with_detail(said(answer)) }
}

/// A page where an answer should be is somebody else's success: a login, a parked name, a proxy's greeting.
fn of_page(answer: &Answer) -> Outcome {
    Outcome {
        status: Some(answer.status),
        instance_fault: true,
        ..Outcome::new(Class::NotProcessed, "html_instead_of_json").with_detail(words::title(&answer.body))
    }
}

/// Whether the body is a page. Its media type says little: frameworks send a bare `ok` as `text/html`.
fn is_page(answer: &Answer) -> bool {
    let start = answer.body.trim_ascii_start();
    let begins = |word: &[u8]| start.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Whether a refusal says that the event has been there before.
fn says_duplicate(answer: &Answer) -> bool {
    let start = answer.body.get(..CALLBACK_WORDS_BYTES_MAX).unwrap_or(&answer.body);
    start.windows(b"duplicate".len()).any(|word| word.eq_ignore_ascii_case(b"duplicate"))
}

/// Whatever else an answer says is nobody's business.
fn answered(answer: &Answer) -> Answered {
    #[derive(Deserialize)]
    struct Said {
        incident: Incident,
    }
    #[derive(Deserialize)]
    struct Incident {
        id: IncidentId,
    }
    let said: Option<Said> = if answer.cut { None } else { serde_json::from_slice(&answer.body).ok() };
    Answered { incident: said.map(|said| said.incident.id) }
}

/// What a refusal says, for people.
fn said(answer: &Answer) -> String {
    match answer.status {
        300..=399 => format!("to {}", words::host_of(answer.header("location").unwrap_or_default())),
        _ if words::is_html(answer) => words::title(&answer.body),
        _ => words::excerpt(&answer.body),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::message::{FaultKind, HeaderMap, HeaderName, HeaderValue};

    /// 2026-11-22T06:00:00Z.
    const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Answer { status, headers: map, body: body.as_bytes().to_vec(), cut: false }
    }

    /// `class code [+wait in seconds] [fault] [| detail]`.
    fn check(answer: Answer, expected: &str) {
        let reply = Ok(answer);
        let said = match classify(NOW, &reply) {
            Ok(Answered { incident: None }) => "done".to_owned(),
            Ok(Answered { incident: Some(id) }) => format!("done {id}"),
            Err(outcome) => {
                let wait = outcome.not_before.map_or_else(String::new, |at| format!(" +{}", at.since(NOW).as_secs()));
                let fault = if outcome.instance_fault { " fault" } else { "" };
                let detail = if outcome.detail.is_empty() { String::new() } else { format!(" | {}", outcome.detail) };
                format!("{} {}{wait}{fault}{detail}", outcome.class.as_str(), outcome.code)
            }
        };
        assert_eq!(said, expected, "{reply:?}");
    }

    #[test]
    fn each_status_has_its_meaning() {
        let html = ("content-type", "text/html");
        let moved = ("location", "https://evil.example/steal?token=1");
        for (status, headers, body, expected) in [
            (200, vec![], "", "done"),
            (200, vec![html], "ok", "done"),
            (202, vec![], "whatever", "done"),
            (204, vec![], "", "done"),
            (
                200,
                vec![html],
                " <!DOCTYPE html><title>Log in</title>",
                "not_processed html_instead_of_json fault | Log in",
            ),
            (409, vec![], r#"{"error":"Duplicate event"}"#, "done"),
            (422, vec![], "already seen: DUPLICATE", "done"),
            (409, vec![], "conflict", "refused http_409 | conflict"),
            (422, vec![], "no such incident", "refused http_422 | no such incident"),
            (302, vec![moved], "", "misconfigured redirected | to evil.example"),
            (308, vec![], "", "misconfigured redirected | to nowhere"),
            (400, vec![], "bad", "refused http_400 | bad"),
            (401, vec![], "", "unauthorized http_401"),
            (403, vec![], "", "misconfigured callback_forbidden"),
            (404, vec![html], "<html><title>Not found</title>", "refused http_404 | Not found"),
            (407, vec![], "", "not_processed egress_proxy_failed"),
            (408, vec![], "", "not_processed http_408 fault"),
            (410, vec![], "", "misconfigured callback_gone"),
            (413, vec![], "", "refused http_413"),
            (415, vec![], "", "refused http_415"),
            (418, vec![], "", "refused http_418"),
            (425, vec![], "", "not_processed http_425 fault"),
            (429, vec![("retry-after", "120")], "", "throttled http_429_rate_limit +120"),
            (429, vec![], "", "throttled http_429_rate_limit +60"),
            (500, vec![], "", "not_processed http_500 fault"),
            (501, vec![], "", "misconfigured http_501"),
            (502, vec![html], "<title>Bad gateway</title>", "not_processed http_502 fault | Bad gateway"),
            (503, vec![("retry-after", "30")], "", "not_processed http_503 +30 fault"),
            (503, vec![], "", "not_processed http_503 fault"),
            (504, vec![], "", "not_processed http_504 fault"),
            (522, vec![], "", "not_processed http_522 fault"),
            (999, vec![], "", "not_processed http_999 fault"),
        ] {
            check(reply(status, &headers, body), expected);
        }
    }

    #[test]
    fn an_incident_is_read_only_where_it_is_said_plainly() {
        for (status, body, expected) in [
            (200, r#"{"incident":{"id":"MTR-9","more":1},"other":[]}"#, "done MTR-9"),
            (409, r#"{"error":"duplicate","incident":{"id":"MTR-9"}}"#, "done MTR-9"),
            (200, r#"{"incident":{"id":""}}"#, "done"),
            (200, r#"{"incident":"MTR-9"}"#, "done"),
            (200, r#"{"incident":{"id":7}}"#, "done"),
            (200, r#"{"incident":{"id":"MTR-9"}"#, "done"),
        ] {
            check(reply(status, &[], body), expected);
        }
        let mut cut = reply(200, &[], r#"{"incident":{"id":"MTR-9"}}"#);
        cut.cut = true;
        check(cut, "done");
    }

    #[test]
    fn a_duplicate_is_named_at_the_beginning_or_not_at_all() {
        let far = format!("{}duplicate", " ".repeat(CALLBACK_WORDS_BYTES_MAX));
        check(reply(409, &[], &far), "refused http_409");
    }

    #[test]
    fn nothing_that_was_lost_is_unclear() {
        for kind in
            [FaultKind::Timeout { sent: true }, FaultKind::Reset { sent: true }, FaultKind::Protocol, FaultKind::Dns]
        {
            let outcome = classify(NOW, &Err(TransportFault::new(kind, ""))).unwrap_err();
            assert_eq!((outcome.class, outcome.instance_fault), (Class::NotProcessed, true), "{kind:?}");
        }
        let forbidden = classify(NOW, &Err(TransportFault::new(FaultKind::ForbiddenAddress, ""))).unwrap_err();
        assert_eq!(forbidden.class, Class::Misconfigured);
    }

    #[test]
    fn a_file_that_does_not_come_is_its_own_matter() {
        for (status, expected) in [
            (302, "refused file_redirected"),
            (401, "refused file_forbidden"),
            (403, "refused file_forbidden"),
            (404, "refused file_gone"),
            (418, "refused file_refused"),
            (429, "not_processed file_not_now"),
            (204, "not_processed file_not_now"),
            (503, "not_processed file_not_now"),
        ] {
            let outcome = of_no_file(NOW, &Ok(reply(status, &[], "")));
            assert_eq!(format!("{} {}", outcome.class.as_str(), outcome.code), expected, "{status}");
            assert!(!outcome.instance_fault, "{status}");
        }
    }

    #[test]
    fn a_wait_is_never_cut_short() {
        let outcome =
            classify(NOW, &Ok(reply(503, &[("retry-after", "Sun, 22 Nov 2026 06:10:00 GMT")], ""))).unwrap_err();
        assert_eq!(outcome.not_before, Some(NOW.plus(Duration::from_mins(10))));
    }
}
