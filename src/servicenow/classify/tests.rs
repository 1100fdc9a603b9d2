//! The table of `facts/reliability.md` 4.1 as a table: one line for each of its lines, and for each call that differs.

use super::*;
use crate::peer::message::{FaultKind, HeaderMap, HeaderName, HeaderValue};

const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
const JSON: &str = "application/json;charset=UTF-8";
const ROW: &str = r#"{"result":{"sys_id":"699ec6375df7c9b27e8f0009f87025b7","number":"INC1"}}"#;
const ROWS: &str = r#"{"result":[{"sys_id":"699ec6375df7c9b27e8f0009f87025b7"}]}"#;
const PAGE: &str = "<html><head><title>Instance Hibernating page</title></head>private</html>";

use CallKind::{Create, List, ReadOne, Update};

fn answer(status: u16, kind: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let mut map = HeaderMap::new();
    if !kind.is_empty() {
        map.insert("content-type", HeaderValue::from_str(kind).unwrap());
    }
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    Answer { status, headers: map, body: body.as_bytes().to_vec(), cut: false }
}

/// `done`, or the class, the code, and `!` if the breaker counts it.
fn said(call: CallKind, reply: &Result<Answer, TransportFault>) -> String {
    match classify(call, NOW, reply) {
        Ok(rows) => format!("done {}", rows.len()),
        Err(outcome) => {
            let counted = if outcome.instance_fault { " !" } else { "" };
            format!("{} {}{counted}", outcome.class.as_str(), outcome.code)
        }
    }
}

fn check(call: CallKind, status: u16, kind: &str, body: &str, expected: &str) {
    assert_eq!(said(call, &Ok(answer(status, kind, &[], body))), expected, "{call:?} {status} {kind} {body}");
}

fn envelope(message: &str, detail: &str) -> String {
    serde_json::json!({"error": {"message": message, "detail": detail}, "status": "failure"}).to_string()
}

#[test]
fn a_success_is_believed_only_with_a_readable_row() {
    for (call, status, kind, body, expected) in [
        (Create, 201, JSON, ROW, "done 1"),
        (Create, 200, JSON, ROW, "done 1"),
        (Update, 200, JSON, ROW, "done 1"),
        (ReadOne, 200, JSON, ROW, "done 1"),
        (List, 200, JSON, ROWS, "done 1"),
        (List, 200, JSON, r#"{"result":[]}"#, "done 0"),
        (Create, 201, "", ROW, "done 1"),
        (Create, 201, JSON, r#"{"result":[]}"#, "unclear no_sys_id"),
        (Create, 201, JSON, r#"{"result":{"number":"INC1"}}"#, "unclear no_sys_id"),
        (Create, 201, JSON, r#"{"result":{"sys_id":"1; drop"}}"#, "unclear no_sys_id"),
        (List, 200, JSON, r#"{"result":[{"name":"x"}]}"#, "unclear no_sys_id"),
        (Create, 200, "text/html", PAGE, "unclear html_instead_of_json !"),
        (Update, 200, "text/html;charset=UTF-8", ROW, "unclear html_instead_of_json !"),
        (List, 200, JSON, PAGE, "unclear html_instead_of_json !"),
        (Create, 201, JSON, "", "unclear not_json !"),
        (Create, 201, JSON, r#"{"result":{"sys_id":"#, "unclear not_json !"),
        (Create, 201, JSON, "\u{1f}\u{8b}zipped", "unclear not_json !"),
        (Create, 200, JSON, "{}", "unclear no_result !"),
        (Create, 200, JSON, &envelope("x", "y"), "unclear error_with_success_status !"),
        (
            List,
            200,
            JSON,
            r#"{"result":[{"sys_id":"699ec6375df7c9b27e8f0009f87025b7"}],"error":{"message":"Transaction cancelled"}}"#,
            "unclear partial_result",
        ),
        (Create, 202, "", "", "unclear http_202_dropped"),
        (Update, 202, "", "", "not_processed http_202_dropped"),
        (List, 202, "", "", "not_processed http_202_dropped"),
        (Create, 204, "", "", "unclear http_204_without_body"),
        (Update, 204, "", "", "unclear http_204_without_body"),
    ] {
        check(call, status, kind, body, expected);
    }
}

#[test]
fn a_cut_success_is_no_success_whatever_was_read() {
    for body in [ROW, r#"{"result":{"#] {
        let reply = Ok(Answer { cut: true, ..answer(201, JSON, &[], body) });
        assert_eq!(said(Create, &reply), "unclear answer_cut !");
    }
}

#[test]
fn refusals_are_told_apart_by_their_words() {
    let policy = "Data Policy Exception: \n\tThe following fields are mandatory: Resolution code, Close notes";
    let rule = "Operation against file 'incident' was aborted by Business Rule 'Guard^abc'. Business Rule Stack:Guard";
    let query = "Insufficient rights to query records";
    for (call, message, detail, expected) in [
        (Update, "Operation Failed", policy, "refused_perhaps_done http_403_data_policy"),
        (Create, "Operation Failed", policy, "refused_perhaps_done http_403_data_policy"),
        (Create, "Operation Failed", rule, "refused_perhaps_done http_403_business_rule"),
        (
            Create,
            "Operation Failed",
            "ACL Exception Insert Failed due to security constraints",
            "refused_perhaps_done http_403_acl",
        ),
        (ReadOne, "Operation Failed", "ACL Exception", "refused http_403_acl"),
        (Create, "User Not Authorized", "Failed API level ACL Validation", "refused_perhaps_done http_403_api_acl"),
        (List, "User Not Authorized", "Failed API level ACL Validation", "misconfigured http_403_api_acl"),
        (List, query, "", "misconfigured http_403_query"),
        (
            Create,
            "Operation Failed",
            "Error during insert of incident (INC1)",
            "refused_perhaps_done http_403_insert_failed",
        ),
        (Create, "x", "Unique Key violation detected by database", "refused_perhaps_done http_403_insert_failed"),
        (Update, "x", "y", "refused_perhaps_done http_403"),
        (ReadOne, "x", "y", "refused http_403"),
    ] {
        check(call, 403, JSON, &envelope(message, detail), expected);
    }
    check(Create, 403, "text/html", "<title>Access restricted</title>", "misconfigured http_403_blocked");
    check(Update, 403, "", "", "misconfigured http_403_blocked");
}

#[test]
fn each_client_error_has_its_meaning() {
    let none = envelope("No Record found", "Record doesn't exist or ACL restricts the record retrieval");
    for (call, status, body, expected) in [
        (Create, 400, envelope("x", ""), "refused_perhaps_done http_400"),
        (Update, 400, envelope("x", ""), "refused http_400"),
        (Create, 400, envelope("Invalid table x", ""), "misconfigured http_400_invalid_table"),
        (
            List,
            400,
            envelope("Requested URI does not represent any resource", ""),
            "misconfigured http_400_no_such_api",
        ),
        (
            Create,
            400,
            envelope("Exception while reading request", "Rejected large REST payload"),
            "refused http_400_too_large",
        ),
        (Create, 401, envelope("User Not Authenticated", ""), "unauthorized http_401"),
        (Create, 401, PAGE.to_owned(), "unauthorized http_401"),
        (Update, 404, none.clone(), "missing http_404_no_record"),
        (ReadOne, 404, none.clone(), "missing http_404_no_record"),
        (List, 404, none.clone(), "done 0"),
        (List, 404, envelope("x", ""), "misconfigured http_404_no_table"),
        (Create, 404, none, "misconfigured http_404_no_table"),
        (Update, 404, PAGE.to_owned(), "misconfigured http_404_not_servicenow"),
        (Create, 405, String::new(), "defect http_405"),
        (Create, 406, String::new(), "defect http_406"),
        (Create, 415, String::new(), "defect http_415"),
        (Create, 411, String::new(), "defect http_411"),
        (Create, 414, String::new(), "defect http_414"),
        (Create, 426, String::new(), "defect http_426"),
        (Create, 421, String::new(), "defect http_421"),
        (Create, 431, String::new(), "defect http_431"),
        (Create, 494, String::new(), "defect http_494"),
        (Create, 407, String::new(), "not_processed egress_proxy_failed"),
        (Create, 408, String::new(), "unclear http_408"),
        (Create, 425, String::new(), "not_processed http_425"),
        (Create, 409, String::new(), "refused_perhaps_done http_409"),
        (Update, 409, String::new(), "unclear http_409"),
        (Update, 412, String::new(), "unclear http_412"),
        (Create, 410, String::new(), "misconfigured http_410"),
        (Create, 413, String::new(), "refused http_413"),
        (Create, 422, String::new(), "refused_perhaps_done http_422"),
        (Update, 422, String::new(), "refused http_422"),
        (Create, 423, String::new(), "not_processed http_423"),
        (Update, 424, String::new(), "not_processed http_424"),
        (Update, 451, String::new(), "refused http_451"),
        (Update, 499, String::new(), "refused http_499"),
    ] {
        check(call, status, JSON, &body, expected);
    }
}

#[test]
fn each_server_error_has_its_meaning() {
    for (call, status, expected) in [
        (Create, 500, "unclear http_500 !"),
        (Update, 500, "unclear http_500 !"),
        (Create, 501, "misconfigured http_501"),
        (Create, 505, "misconfigured http_505"),
        (Create, 511, "misconfigured http_511"),
        (Create, 502, "unclear http_502 !"),
        (Update, 504, "unclear http_504 !"),
        (Create, 520, "unclear http_520 !"),
        (Create, 527, "unclear http_527 !"),
        (Create, 503, "unclear http_503 !"),
        (Update, 503, "not_processed http_503 !"),
        (List, 503, "not_processed http_503 !"),
        (Create, 599, "unclear http_599 !"),
        (Create, 600, "unclear http_600 !"),
        (Create, 999, "unclear http_999 !"),
        (Create, 101, "unclear http_101 !"),
        (Create, 301, "misconfigured redirected"),
        (Create, 302, "misconfigured redirected"),
        (Create, 303, "misconfigured redirected"),
        (Create, 307, "misconfigured redirected"),
        (List, 308, "misconfigured redirected"),
    ] {
        check(call, status, "text/html", PAGE, expected);
    }
    check(
        Create,
        500,
        JSON,
        &envelope("Transaction cancelled: maximum execution time exceeded", ""),
        "unclear http_500_cancelled !",
    );
}

#[test]
fn too_many_is_a_rule_or_a_full_queue() {
    for (headers, expected, wait) in [
        (vec![("retry-after", "120")], "throttled http_429_rate_limit", Some(120)),
        (vec![("x-ratelimit-reset", "1795327290")], "throttled http_429_rate_limit", Some(90)),
        (vec![("x-ratelimit-rule", "abc")], "throttled http_429_rate_limit", Some(60)),
        (vec![], "crowded http_429_busy", None),
    ] {
        let reply = Ok(answer(429, JSON, &headers, &envelope("Rate limit exceeded", "")));
        assert_eq!(said(Create, &reply), expected);
        let until = classify(Create, NOW, &reply).unwrap_err().not_before;
        assert_eq!(until.map(|until| until.since(NOW).as_secs()), wait, "{headers:?}");
    }
}

#[test]
fn faults_of_the_way_are_clear_when_nothing_was_sent() {
    for (kind, expected) in [
        (FaultKind::Dns, "not_processed dns_failed !"),
        (FaultKind::ForbiddenAddress, "misconfigured address_forbidden"),
        (FaultKind::Connect, "not_processed connect_failed !"),
        (FaultKind::Certificate, "misconfigured tls_certificate"),
        (FaultKind::ClientCertificate, "misconfigured tls_client_certificate"),
        (FaultKind::TlsBroken, "not_processed tls_broken !"),
        (FaultKind::Proxy, "not_processed egress_proxy_failed"),
        (FaultKind::Timeout { sent: false }, "not_processed timeout_before_sending !"),
        (FaultKind::Timeout { sent: true }, "unclear timeout !"),
        (FaultKind::Reset { sent: false }, "not_processed connection_lost_before_sending !"),
        (FaultKind::Reset { sent: true }, "unclear connection_lost !"),
        (FaultKind::Protocol, "unclear not_http !"),
        (FaultKind::Unbuildable, "defect request_unbuildable"),
    ] {
        assert_eq!(said(Create, &Err(TransportFault::new(kind, "why"))), expected);
    }
}

#[test]
fn people_read_what_was_said_and_nothing_private() {
    let detail = |reply| classify(Create, NOW, &Ok(reply)).unwrap_err().detail;
    assert_eq!(detail(answer(200, "text/html", &[], PAGE)), "Instance Hibernating page");
    assert_eq!(detail(answer(503, "text/html", &[], PAGE)), "Instance Hibernating page");
    assert_eq!(detail(answer(403, JSON, &[], &envelope("a\n", "b\u{1b}"))), "a : b");
    let redirect = answer(302, "", &[("location", "https://evil.example/?session=1")], PAGE);
    assert_eq!(detail(redirect), "to evil.example");
}

#[test]
fn a_maintenance_page_may_say_when_to_come_back() {
    let outcome = classify(Update, NOW, &Ok(answer(503, "text/html", &[("retry-after", "30")], PAGE))).unwrap_err();
    assert_eq!(outcome.not_before.map(|at| at.since(NOW).as_secs()), Some(30));
}

proptest::proptest! {
    /// Answers are foreign input: whatever comes, something is said, and nothing but a readable row is a success.
    #[test]
    fn no_answer_is_taken_for_a_success_by_accident(
        status in 0_u16..1_000,
        kind in "(text/html|application/json|.{0,20})",
        body in "(\\{.{0,60}|.{0,60}|\\{\"result\":[\\[\\]{}\",:a-z]{0,30}\\})",
        cut: bool,
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(kind) = HeaderValue::from_str(&kind) {
            headers.insert("content-type", kind);
        }
        let reply = Ok(Answer { status, headers, body: body.into_bytes(), cut });
        for call in [Create, Update, ReadOne] {
            let outcome = classify(call, NOW, &reply);
            proptest::prop_assert!(outcome.is_err_and(|outcome| !outcome.code.is_empty() && outcome.class != Class::Done));
        }
    }
}
