//! Verbs, headers, refusals, sign-in, rate rules.

use serde_json::{Value, json};

use super::*;

#[test]
fn verbs_and_paths_answer_as_documented() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({}));
    let one = format!("{TABLE}/{id}");
    let empty = "sysparm_query=number=none";
    for (method, target, status, message) in [
        ("GET", format!("/api/now/v2/table/incident?{empty}"), 200, Value::Null),
        ("GET", format!("/api/now/v1/table/incident?{empty}"), 404, json!("No Record found")),
        ("GET", format!("/api/now/v1/table/incident/{id}"), 200, Value::Null),
        ("GET", "/api/now/table/nonsense".to_owned(), 400, json!("Invalid table nonsense")),
        ("GET", "/api/now/nonsense".to_owned(), 400, json!("Requested URI does not represent any resource")),
        ("GET", format!("{TABLE}/{CHOSEN}"), 404, json!("No Record found")),
        ("PUT", format!("{TABLE}/{CHOSEN}"), 404, json!("No Record found")),
        ("DELETE", format!("{TABLE}/{CHOSEN}"), 404, json!("No Record found")),
        ("POST", one.clone(), 405, json!("Method not supported")),
        ("PATCH", TABLE.to_owned(), 405, json!("Method not supported")),
        ("GET", "/login_page.do".to_owned(), 302, Value::Null),
        ("GET", format!("{TABLE}?sysparm_query={}", "x".repeat(9_000)), 414, Value::Null),
        ("POST", "/api/now/table/sys_dictionary".to_owned(), 403, json!("Operation Failed")),
        ("DELETE", one.clone(), 204, Value::Null),
        ("GET", one, 404, json!("No Record found")),
    ] {
        check(&mut instance, (method, &target, Value::Null), status, &[("/error/message", message)]);
    }
}

#[test]
fn headers_choose_the_verb_the_format_and_silence() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({}));
    let one = format!("{TABLE}/{id}");
    let json = json!({"short_description": "new"});
    let cases = [
        (signed("POST", &one).with_header("X-HTTP-Method-Override", "PATCH").with_json(&json), 200),
        (signed("PATCH", &one).with_header("X-no-response-body", "true").with_json(&json), 204),
        (signed("POST", TABLE).with_header("X-no-response-body", "true").with_json(&json), 201),
        (signed("GET", &one).with_header("Accept", "text/csv"), 406),
        (signed("HEAD", &one), 200),
        (Request { body: b"a=b".to_vec(), ..signed("POST", TABLE) }.with_header("Content-Type", "text/plain"), 415),
        (Request { body: b"{".to_vec(), ..signed("POST", TABLE) }, 400),
        (Request { body: vec![b' '; 10_485_761], ..signed("POST", TABLE) }, 400),
    ];
    for (request, status) in cases {
        let response = instance.handle(&request, NOW);
        assert_eq!(response.status, status, "{} {:?}", request.method, request.headers);
        assert_eq!(response.body.is_empty(), [204, 201].contains(&status) || request.method == "HEAD");
    }
}

#[test]
fn refusals_by_access_rules_name_the_operation() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({}));
    let switches = instance.switches_mut();
    (switches.insert_allowed, switches.update_allowed, switches.delete_allowed) = (false, false, false);
    for (method, target, operation) in [
        ("POST", TABLE.to_owned(), "Insert"),
        ("PATCH", format!("{TABLE}/{id}"), "Update"),
        ("DELETE", format!("{TABLE}/{id}"), "Delete"),
    ] {
        let detail = format!("ACL Exception {operation} Failed due to security constraints");
        check(&mut instance, (method, &target, json!({})), 403, &[("/error/detail", json!(detail))]);
    }
}

#[test]
fn strangers_learn_nothing_but_the_realm() {
    let mut instance = instance(Switches { lock_out_after: Some(2), ..Switches::default() });
    let anonymous = instance.handle(&Request::new("GET", TABLE), NOW);
    assert_eq!((anonymous.status, anonymous.header("WWW-Authenticate")), (401, Some("BASIC realm=\"Service-now\"")));
    assert_eq!(
        anonymous.value(),
        Some(
            json!({"error": {"message": "User Not Authenticated", "detail": "Required to provide Auth information"}, "status": "failure"})
        )
    );
    // `snowgate:wrong`, twice: then even the right password is refused.
    for _ in 0..2 {
        let wrong = Request::new("GET", TABLE).with_header("Authorization", "Basic c25vd2dhdGU6d3Jvbmc=");
        assert_eq!(instance.handle(&wrong, NOW).status, 401);
    }
    check(&mut instance, ("GET", TABLE, Value::Null), 401, &[]);
    let mut patient = self::instance(Switches::default());
    for _ in 0..20 {
        let wrong = Request::new("GET", TABLE).with_header("Authorization", "Basic c25vd2dhdGU6d3Jvbmc=");
        assert_eq!(patient.handle(&wrong, NOW).status, 401);
    }
    check(&mut patient, ("GET", TABLE, Value::Null), 200, &[]);
    instance = self::instance(Switches { basic_auth_refused: true, newer_401_wording: true, ..Switches::default() });
    check(&mut instance, ("GET", TABLE, Value::Null), 401, &[("/error/message", json!("User is not authenticated"))]);
}

#[test]
fn a_rate_rule_marks_every_answer_and_refuses_by_the_hour() {
    let mut instance = Instance::new(Options { rate_limit_per_hour: Some(1), ..Options::default() });
    let admitted = send(&mut instance, "GET", TABLE, &Value::Null);
    assert_eq!((admitted.status, admitted.header("X-RateLimit-Limit")), (200, Some("1")));
    let refused = send(&mut instance, "GET", TABLE, &Value::Null);
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("3600")));
    assert_eq!(instance.handle(&signed("GET", TABLE), NOW + 3_600_000).status, 200);
    assert_eq!(
        self::instance(Switches::default()).handle(&signed("GET", TABLE), NOW).header("X-RateLimit-Limit"),
        None
    );
}

#[test]
fn the_same_seed_and_calls_give_the_same_answers() {
    let run = |seed: u64| {
        let mut instance = Instance::new(Options { seed, ..Options::default() });
        let created = send(&mut instance, "POST", TABLE, &json!({"comments": "x"}));
        (created, send(&mut instance, "GET", TABLE, &Value::Null))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
