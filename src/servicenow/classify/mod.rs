//! What an answer of ServiceNow means: one pure function, and the only place that looks at a status code of an instance.
//!
//! Owns: the table of `facts/reliability.md` 4.1, from (call, status, headers, body) to an [`Outcome`] or the rows;
//! [`crate::peer::waits`] reads the times it asks for, [`crate::peer::words`] shortens what it says. Never: does I/O, reads a clock, retries.
//! Fails: it cannot; what it does not know is [`Class::Unclear`], the class after which nothing is sent blindly.
//! Proved by: the table at the end of this file, one line per line of the facts.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

mod said;

#[cfg(test)]
mod tests;

use self::said::Words;
use super::wire::calls::CallKind;
use super::wire::rows::{Envelope, Row};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::Timestamp;
use crate::peer::fault::of_fault;
use crate::peer::message::{Answer, TransportFault};
use crate::peer::{waits, words};

/// The rows a call got, or what stands in their place.
///
/// A write and a read by `sys_id` get exactly one row, a list any number. Nothing but a readable row is a success.
pub fn classify(call: CallKind, now: Timestamp, reply: &Result<Answer, TransportFault>) -> Result<Vec<Row>, Outcome> {
    match reply {
        Err(fault) => Err(of_fault(fault)),
        Ok(answer) if (200..300).contains(&answer.status) => of_success(call, answer),
        Ok(answer) => of_refusal(call, now, answer),
    }
}

/// A `2xx` is a success only if its body proves it.
fn of_success(call: CallKind, answer: &Answer) -> Result<Vec<Row>, Outcome> {
    let unclear = |code: &'static str, instance_fault: bool| Outcome {
        status: Some(answer.status),
        instance_fault,
        ..Outcome::new(Class::Unclear, code)
    };
    match answer.status {
        // The session's queue was full and the call was dropped. Undocumented, so a create is looked up all the same.
        202 => {
            let class = if call.makes() { Class::Unclear } else { Class::NotProcessed };
            return Err(Outcome { class, ..unclear("http_202_dropped", false) });
        }
        // What was removed has nothing left to show.
        204 if call == CallKind::Delete => return Ok(Vec::new()),
        204 | 205 => return Err(unclear("http_204_without_body", false)),
        _ => {}
    }
    if answer.cut {
        return Err(unclear("answer_cut", true));
    }
    if words::is_html(answer) {
        return Err(unclear("html_instead_of_json", true).with_detail(words::title(&answer.body)));
    }
    let Some(envelope) = Envelope::read(&answer.body) else {
        return Err(unclear("not_json", true).with_detail(words::excerpt(&answer.body)));
    };
    match envelope {
        // A list cut short by ServiceNow's own time limit: rows first, then an error in the same object.
        Envelope { rows: Some(_), error: Some(said) } => {
            Err(unclear("partial_result", false).with_detail(Words::of(&said).text()))
        }
        Envelope { rows: None, error: Some(said) } => {
            Err(unclear("error_with_success_status", true).with_detail(Words::of(&said).text()))
        }
        Envelope { rows: None, error: None } => Err(unclear("no_result", true)),
        Envelope { rows: Some(rows), error: None } => {
            let count = rows.len();
            let keyed: Option<Vec<Row>> = rows.into_iter().collect();
            let single = count == 1 || call == CallKind::List;
            keyed.filter(|_| single).ok_or_else(|| unclear("no_sys_id", false))
        }
    }
}

/// Everything that is not a `2xx`.
fn of_refusal(call: CallKind, now: Timestamp, answer: &Answer) -> Result<Vec<Row>, Outcome> {
    let said = if words::is_html(answer) { None } else { Envelope::read(&answer.body).and_then(|body| body.error) };
    let words = said.as_ref().map(Words::of);
    let (class, code) = match answer.status {
        404 if call == CallKind::List && words.as_ref().is_some_and(|words| words.have("No Record found")) => {
            // How version 1 of the API says "no rows".
            return Ok(Vec::new());
        }
        429 => of_too_many(answer),
        status @ 400..=499 => of_client_error(call, status, words.as_ref()),
        status => of_other(call, status, words.as_ref()),
    };
    let detail = match (answer.status, &said) {
        (300..=399, _) => format!("to {}", words::host_of(answer.header("location").unwrap_or_default())),
        (_, Some(said)) => Words::of(said).text(),
        (_, None) if words::is_html(answer) => words::title(&answer.body),
        (_, None) => words::excerpt(&answer.body),
    };
    let not_before = if class == Class::Throttled {
        Some(waits::throttled_until(now, answer))
    } else {
        waits::retry_after(now, answer)
    };
    let counts = class != Class::Misconfigured && !(200..500).contains(&answer.status);
    Err(Outcome { class, code: code.into(), status: Some(answer.status), detail, not_before, instance_fault: counts })
}

/// `429` has two meanings: a rule counted us (it says until when), or a node's queue is full (it says nothing).
fn of_too_many(answer: &Answer) -> (Class, Code) {
    let counted = answer.headers.contains_key("retry-after")
        || answer.headers.keys().any(|name| name.as_str().starts_with("x-ratelimit-"));
    if counted {
        (Class::Throttled, Code::Fixed("http_429_rate_limit"))
    } else {
        (Class::Crowded, Code::Fixed("http_429_busy"))
    }
}

fn of_client_error(call: CallKind, status: u16, words: Option<&Words<'_>>) -> (Class, Code) {
    // A create that is refused may be the key refusing a second ticket, or a row made before something else failed.
    let refused = if call.makes() { Class::RefusedPerhapsDone } else { Class::Refused };
    match status {
        400 => of_bad_request(refused, words),
        401 => (Class::Unauthorized, Code::Fixed("http_401")),
        403 => of_forbidden(call, words),
        404 => match (call, words) {
            (
                CallKind::Update | CallKind::ReadOne | CallKind::Upload | CallKind::Download | CallKind::Delete,
                Some(_),
            ) => (Class::Missing, Code::Fixed("http_404_no_record")),
            (CallKind::Create | CallKind::List, Some(_)) => (Class::Misconfigured, Code::Fixed("http_404_no_table")),
            // Not the Table API's own answer: a wrong address, or something in front of the instance.
            (_, None) => (Class::Misconfigured, Code::Fixed("http_404_not_servicenow")),
        },
        405 | 406 | 411 | 414 | 415 | 421 | 426 | 431 | 494 => (Class::Defect, Code::Status(status)),
        407 => (Class::NotProcessed, Code::Fixed("egress_proxy_failed")),
        408 => (Class::Unclear, Code::Status(status)),
        409 | 412 if !call.makes() => (Class::Unclear, Code::Status(status)),
        410 => (Class::Misconfigured, Code::Status(status)),
        413 => (Class::Refused, Code::Status(status)),
        423..=425 => (Class::NotProcessed, Code::Status(status)),
        _ => (refused, Code::Status(status)),
    }
}

fn of_bad_request(refused: Class, words: Option<&Words<'_>>) -> (Class, Code) {
    let have = |text: &str| words.is_some_and(|words| words.have(text));
    if have("Invalid table") || have("does not exist") {
        (Class::Misconfigured, Code::Fixed("http_400_invalid_table"))
    } else if have("does not represent any resource") {
        (Class::Misconfigured, Code::Fixed("http_400_no_such_api"))
    } else if have("Rejected large REST payload") {
        (Class::Refused, Code::Fixed("http_400_too_large"))
    } else {
        (refused, Code::Fixed("http_400"))
    }
}

/// `403` by its words (`facts/servicenow.md` 1.7). A write may have been done and only its answer be unreadable.
fn of_forbidden(call: CallKind, words: Option<&Words<'_>>) -> (Class, Code) {
    let reading = call.reads();
    let refused = if reading { Class::Refused } else { Class::RefusedPerhapsDone };
    // Without an envelope it is an address filter in front of the instance, and the same for every call.
    let Some(words) = words else { return (Class::Misconfigured, Code::Fixed("http_403_blocked")) };
    let of_user = if reading { Class::Misconfigured } else { refused };
    let known = [
        ("Data Policy Exception", refused, "http_403_data_policy"),
        ("aborted by Business Rule", refused, "http_403_business_rule"),
        ("ACL Exception", refused, "http_403_acl"),
        ("Failed API level ACL", of_user, "http_403_api_acl"),
        ("User Not Authorized", of_user, "http_403_api_acl"),
        ("Insufficient rights to query", of_user, "http_403_query"),
        ("Error during insert", refused, "http_403_insert_failed"),
        ("Unique Key violation", refused, "http_403_insert_failed"),
    ];
    known
        .into_iter()
        .find(|(text, ..)| words.have(text))
        .map_or((refused, Code::Fixed("http_403")), |(_, class, code)| (class, Code::Fixed(code)))
}

/// Redirects, server errors, and numbers nobody defined.
fn of_other(call: CallKind, status: u16, words: Option<&Words<'_>>) -> (Class, Code) {
    match status {
        // Never followed: an instance's pages redirect to a login, and our credentials stay where they belong.
        300..=399 => (Class::Misconfigured, Code::Fixed("redirected")),
        500 if words.is_some_and(|words| words.have("Transaction cancelled")) => {
            (Class::Unclear, Code::Fixed("http_500_cancelled"))
        }
        501 | 505 | 511 => (Class::Misconfigured, Code::Status(status)),
        503 if !call.makes() => (Class::NotProcessed, Code::Status(status)),
        _ => (Class::Unclear, Code::Status(status)),
    }
}

/// A stable code: a word of its own, or `http_` and the status.
#[derive(Clone, Copy)]
enum Code {
    Fixed(&'static str),
    Status(u16),
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        match code {
            Code::Fixed(word) => word.to_owned(),
            Code::Status(status) => format!("http_{status}"),
        }
    }
}
