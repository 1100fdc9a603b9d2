//! The instance through its only door: requests in, responses out. Each test is a table of calls.
//!
//! Sources of the expected answers are named where the behaviour is; here they are only held to.

use serde_json::{Value, json};

use super::instance::{Instance, Options};
use super::message::{Request, Response};
use super::switches::{InvalidQuery, Switches, UnresolvedReference};

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

#[test]
fn a_new_incident_has_the_documented_defaults() {
    let mut instance = instance(Switches::default());
    let me = Instance::seeded("sys_user", "snowgate");
    check(
        &mut instance,
        ("POST", &format!("{TABLE}?sysparm_exclude_reference_link=true"), json!({"short_description": "Room dark"})),
        201,
        &[
            ("/result/number", json!("INC0010001")),
            ("/result/state", json!("1")),
            ("/result/incident_state", json!("1")),
            ("/result/category", json!("inquiry")),
            ("/result/impact", json!("3")),
            ("/result/urgency", json!("3")),
            ("/result/priority", json!("5")),
            ("/result/active", json!("true")),
            ("/result/made_sla", json!("true")),
            ("/result/approval", json!("not requested")),
            ("/result/upon_reject", json!("cancel")),
            ("/result/reopen_count", json!("0")),
            ("/result/sys_mod_count", json!("0")),
            ("/result/opened_at", json!("2026-11-22 06:00:00")),
            ("/result/opened_by", json!(me)),
            ("/result/sys_created_by", json!("snowgate")),
            ("/result/description", json!("")),
        ],
    );
}

#[test]
fn a_chosen_sys_id_is_kept_and_guards_against_a_second_ticket() {
    let mut instance = instance(Switches::default());
    let body = json!({"sys_id": CHOSEN, "short_description": "once"});
    let created = send(&mut instance, "POST", TABLE, &body);
    let location = format!("https://example.service-now.com{TABLE}/{CHOSEN}");
    assert_eq!((created.status, created.header("Location")), (201, Some(location.as_str())));
    check(
        &mut instance,
        ("POST", TABLE, body),
        403,
        &[
            ("/error/message", json!("Operation Failed")),
            ("/error/detail", json!("Error during insert of incident (INC0010002)")),
            ("/status", json!("failure")),
        ],
    );
    assert_eq!(instance.count("incident"), 1);
    create(&mut instance, &json!({}));
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=number=INC0010003"), Value::Null),
        200,
        &[("/result/0/number", json!("INC0010003"))],
    );
}

#[test]
fn an_instance_may_choose_its_own_ids() {
    let mut instance = instance(Switches { sys_id_honoured: false, ..Switches::default() });
    assert_ne!(create(&mut instance, &json!({"sys_id": CHOSEN})), CHOSEN);
}

#[test]
fn values_that_do_not_fit_vanish_without_an_error() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({"short_description": "x", "correlation_id": "c-1"}));
    let one = format!("{TABLE}/{id}");
    for (sent, column, kept) in [
        (json!({"bunk_field": "x"}), "bunk_field", Value::Null),
        (json!({"state": "99"}), "state", json!("1")),
        (json!({"state": "In Progress"}), "state", json!("1")),
        (json!({"category": ""}), "category", json!("inquiry")),
        (json!({"reassignment_count": "many"}), "reassignment_count", json!("0")),
        (json!({"active": "perhaps"}), "active", json!("true")),
        (json!({"due_date": "tomorrow"}), "due_date", json!("")),
        (json!({"sys_created_on": "2020-01-01 00:00:00"}), "sys_created_on", json!("2026-11-22 06:00:00")),
        (json!({"sys_mod_count": "9"}), "sys_mod_count", json!("0")),
        (json!({"sys_id": CHOSEN}), "sys_id", json!(id)),
        (json!({"priority": "1"}), "priority", json!("5")),
        (json!({"short_description": "x"}), "sys_mod_count", json!("0")),
    ] {
        check(
            &mut instance,
            ("PATCH", &one, sent),
            200,
            &[(&format!("/result/{column}"), kept), ("/result/sys_mod_count", json!("0"))],
        );
    }
    check(
        &mut instance,
        ("PUT", &one, json!({"short_description": "é".repeat(200)})),
        200,
        &[
            ("/result/short_description", json!("é".repeat(160))),
            ("/result/sys_mod_count", json!("1")),
            ("/result/correlation_id", json!("c-1")),
        ],
    );
    check(
        &mut instance,
        ("PATCH", &one, json!({"correlation_id": "", "hold_reason": "", "state": 2})),
        200,
        &[("/result/correlation_id", json!("")), ("/result/state", json!("2")), ("/result/sys_mod_count", json!("2"))],
    );
}

#[test]
fn a_customer_may_withhold_columns() {
    let withheld = ["incident.correlation_id".to_owned()].into();
    let mut instance = instance(Switches { unwritable_columns: withheld, ..Switches::default() });
    check(
        &mut instance,
        ("POST", TABLE, json!({"correlation_id": "c-1"})),
        201,
        &[("/result/correlation_id", json!(""))],
    );
    instance.switches_mut().unreadable_columns = ["incident.priority".to_owned()].into();
    check(&mut instance, ("GET", TABLE, Value::Null), 200, &[("/result/0/priority", Value::Null)]);
}

#[test]
fn references_are_shown_in_the_documented_shapes() {
    let mut instance = instance(Switches::default());
    let abel = Instance::seeded("sys_user", "abel.tuter");
    let id = create(&mut instance, &json!({"caller_id": abel, "state": "2"}));
    let link = format!("https://example.service-now.com/api/now/table/sys_user/{abel}");
    for (parameters, caller, state, group) in [
        ("", json!({"link": link, "value": abel}), json!("2"), json!("")),
        ("sysparm_exclude_reference_link=true", json!(abel), json!("2"), json!("")),
        (
            "sysparm_display_value=true",
            json!({"display_value": "Abel Tuter", "link": link}),
            json!("In Progress"),
            json!(""),
        ),
        (
            "sysparm_display_value=true&sysparm_exclude_reference_link=true",
            json!("Abel Tuter"),
            json!("In Progress"),
            json!(""),
        ),
        (
            "sysparm_display_value=all",
            json!({"display_value": "Abel Tuter", "value": abel, "link": link}),
            json!({"display_value": "In Progress", "value": "2"}),
            json!({"display_value": "", "value": ""}),
        ),
        (
            "sysparm_display_value=all&sysparm_exclude_reference_link=true",
            json!({"display_value": "Abel Tuter", "value": abel}),
            json!({"display_value": "In Progress", "value": "2"}),
            json!({"display_value": "", "value": ""}),
        ),
    ] {
        check(
            &mut instance,
            ("GET", &format!("{TABLE}/{id}?{parameters}"), Value::Null),
            200,
            &[("/result/caller_id", caller), ("/result/state", state), ("/result/assignment_group", group)],
        );
    }
    let walked = format!("{TABLE}/{id}?sysparm_fields=number,caller_id.email,assigned_to.email,bogus,bogus.name");
    check(
        &mut instance,
        ("GET", &walked, Value::Null),
        200,
        &[(
            "/result",
            json!({"number": "INC0010001", "caller_id.email": "abel.tuter@example.com", "assigned_to.email": ""}),
        )],
    );
}

#[test]
fn display_input_resolves_names_labels_and_local_times() {
    let mut instance = instance(Switches { zone_minutes: 60, ..Switches::default() });
    let target = format!("{TABLE}?sysparm_input_display_value=true&sysparm_exclude_reference_link=true");
    let body = json!({"caller_id": "Abel Tuter", "state": "in progress", "assignment_group": "No Such Group",
        "due_date": "2026-11-23 00:30:00"});
    let abel = Instance::seeded("sys_user", "abel.tuter");
    check(
        &mut instance,
        ("POST", &target, body.clone()),
        201,
        &[
            ("/result/caller_id", json!(abel)),
            ("/result/state", json!("2")),
            ("/result/assignment_group", json!("No Such Group")),
            ("/result/due_date", json!("2026-11-22 23:30:00")),
        ],
    );
    instance.switches_mut().unresolved_reference = UnresolvedReference::LeaveEmpty;
    check(&mut instance, ("POST", &target, body), 201, &[("/result/assignment_group", json!(""))]);
}

#[test]
fn journals_append_and_read_as_empty() {
    let mut instance = instance(Switches::default());
    let id = create(&mut instance, &json!({"comments": "first"}));
    let one = format!("{TABLE}/{id}");
    for _ in 0..2 {
        check(
            &mut instance,
            ("PATCH", &one, json!({"work_notes": "again"})),
            200,
            &[("/result/work_notes", json!(""))],
        );
    }
    let history = "2026-11-22 06:00:00 - Snowgate Integration (Additional comments)\nfirst\n\n";
    check(
        &mut instance,
        ("GET", &format!("{one}?sysparm_display_value=all"), Value::Null),
        200,
        &[
            ("/result/comments", json!({"display_value": history, "value": ""})),
            ("/result/sys_mod_count/value", json!("2")),
        ],
    );
    let rows = format!(
        "/api/now/table/sys_journal_field?sysparm_query=element_id={id}^elementINcomments,work_notes^ORDERBYsys_created_on"
    );
    let response = send(&mut instance, "GET", &rows, &Value::Null).value().expect("json");
    let mut texts: Vec<&str> =
        response["result"].as_array().expect("rows").iter().filter_map(|row| row["value"].as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["again", "again", "first"]);
    instance.switches_mut().journal_readable = false;
    check(&mut instance, ("GET", &rows, Value::Null), 200, &[("/result", json!([]))]);
}

#[test]
fn a_typo_in_a_query_returns_strangers_or_is_refused() {
    let mut instance = instance(Switches::default());
    create(&mut instance, &json!({"correlation_id": "c-1"}));
    create(&mut instance, &json!({"correlation_id": "c-2"}));
    let typo = format!("{TABLE}?sysparm_query=corelation_id=c-2");
    for (regime, status, rows) in
        [(InvalidQuery::Ignored, 200, 2), (InvalidQuery::NoRows, 200, 0), (InvalidQuery::Refused, 403, 0)]
    {
        instance.switches_mut().invalid_query = regime;
        let response = send(&mut instance, "GET", &typo, &Value::Null);
        let value = response.value().expect("json");
        assert_eq!(response.status, status, "{regime:?}");
        assert_eq!(value["result"].as_array().map_or(0, Vec::len), rows, "{regime:?}");
    }
    check(
        &mut instance,
        ("GET", &typo, Value::Null),
        403,
        &[("/error/message", json!("Insufficient rights to query records")), ("/result", Value::Null)],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=correlation_id=C-2"), Value::Null),
        200,
        &[("/result/0/correlation_id", json!("c-2")), ("/result/1", Value::Null)],
    );
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?state=new&correlation_id=c-1"), Value::Null),
        200,
        &[("/result/0/correlation_id", json!("c-1")), ("/result/1", Value::Null)],
    );
}

#[test]
fn pages_are_cut_before_hidden_rows_are_taken_out() {
    let mut instance = instance(Switches::default());
    let ids: Vec<String> = (0..5).map(|_| create(&mut instance, &json!({}))).collect();
    instance.hide("incident", &ids[1]);
    let page = |offset: usize| format!("{TABLE}?sysparm_query=ORDERBYnumber&sysparm_limit=2&sysparm_offset={offset}");
    let response = send(&mut instance, "GET", &page(0), &Value::Null);
    assert_eq!(response.value().expect("json")["result"].as_array().map(Vec::len), Some(1), "one row is hidden");
    assert_eq!(response.header("X-Total-Count"), Some("5"));
    let base = "https://example.service-now.com/api/now/table/incident?sysparm_query=ORDERBYnumber&sysparm_limit=2";
    let link = |offset: usize, relation: &str| format!("<{base}&sysparm_offset={offset}>;rel=\"{relation}\"");
    assert_eq!(response.header("Link"), Some([link(0, "first"), link(2, "next"), link(4, "last")].join(",").as_str()));
    let middle = send(&mut instance, "GET", &page(2), &Value::Null);
    let links = [link(0, "first"), link(0, "prev"), link(4, "next"), link(4, "last")].join(",");
    assert_eq!(middle.header("Link"), Some(links.as_str()));
    let quiet = format!("{TABLE}?sysparm_suppress_pagination_header=true&sysparm_no_count=true");
    let quiet = send(&mut instance, "GET", &quiet, &Value::Null);
    assert_eq!((quiet.header("Link"), quiet.header("X-Total-Count")), (None, None));
    check(&mut instance, ("GET", &format!("{TABLE}/{}", ids[1]), Value::Null), 404, &[]);
    check(&mut instance, ("PATCH", &format!("{TABLE}/{}", ids[1]), json!({"state": "2"})), 404, &[]);
    check(&mut instance, ("GET", &format!("{TABLE}?sysparm_offset=-1"), Value::Null), 400, &[]);
}

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

fn token(instance: &mut Instance, form: &str, now: i64) -> (u16, Value) {
    let request = Request { body: form.as_bytes().to_vec(), ..Request::new("POST", "/oauth_token.do") };
    let response = instance.handle(&request.with_header("Content-Type", "application/x-www-form-urlencoded"), now);
    (response.status, response.value().unwrap_or_default())
}

const CLIENT: &str = "client_id=snowgate-client&client_secret=snowgate-secret";

#[test]
fn tokens_are_reused_and_run_down() {
    let mut instance = instance(Switches::default());
    let form = format!("grant_type=password&username=snowgate&password=snowgate&{CLIENT}");
    let (status, first) = token(&mut instance, &form, NOW);
    assert_eq!((status, &first["expires_in"], &first["scope"]), (200, &json!(1_799), &json!("useraccount")));
    let (_, again) = token(&mut instance, &form, NOW + 600_000);
    assert_eq!((&again["access_token"], &again["expires_in"]), (&first["access_token"], &json!(1_199)));

    let refresh =
        format!("grant_type=refresh_token&refresh_token={}&{CLIENT}", first["refresh_token"].as_str().expect("text"));
    let (_, refreshed) = token(&mut instance, &refresh, NOW + 1_000_000);
    assert_ne!(refreshed["access_token"], first["access_token"]);
    assert_eq!(refreshed["refresh_token"], first["refresh_token"]);
    let hundred_days = 8_640_000_000;
    assert_eq!(token(&mut instance, &refresh, NOW + hundred_days).0, 401, "the refresh token's end never moves");

    let bearer = format!("Bearer {}", refreshed["access_token"].as_str().expect("text"));
    let call = Request::new("GET", TABLE).with_header("Authorization", &bearer);
    assert_eq!(instance.handle(&call, NOW + 1_000_000).status, 200);
    assert_eq!(instance.handle(&call, NOW + 1_000_000 + 1_800_000).status, 401, "expired");
    instance.drop_tokens();
    assert_eq!(instance.handle(&call, NOW + 1_000_000).status, 401, "dropped");
}

#[test]
fn every_token_refusal_looks_the_same() {
    let mut instance = instance(Switches { password_grant_disabled: true, ..Switches::default() });
    let (status, credentials) = token(&mut instance, &format!("grant_type=client_credentials&{CLIENT}"), NOW);
    assert_eq!((status, credentials.get("refresh_token")), (200, None));
    let refused = json!({"error_description": "access_denied", "error": "server_error"});
    for form in [
        "grant_type=client_credentials&client_id=snowgate-client&client_secret=wrong".to_owned(),
        format!("grant_type=password&username=snowgate&password=snowgate&{CLIENT}"),
        format!("grant_type=refresh_token&refresh_token=dead&{CLIENT}"),
        format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x&{CLIENT}"),
        String::new(),
    ] {
        assert_eq!(token(&mut instance, &form, NOW), (401, refused.clone()), "{form}");
    }
    let as_json = Request::new("POST", "/oauth_token.do").with_json(&json!({"grant_type": "client_credentials"}));
    let in_query = Request::new("POST", &format!("/oauth_token.do?grant_type=client_credentials&{CLIENT}"));
    for request in [as_json, in_query.with_header("Content-Type", "application/x-www-form-urlencoded")] {
        assert_eq!(instance.handle(&request, NOW).value(), Some(refused.clone()));
    }
}

#[test]
fn the_dictionary_and_the_choices_can_be_read() {
    let mut instance = instance(Switches::default());
    instance.add_column("incident", "u_external_id", 64);
    let column = "/api/now/table/sys_dictionary?sysparm_query=name=incident^element=u_external_id";
    check(&mut instance, ("GET", column, Value::Null), 200, &[("/result/0/max_length", json!("64"))]);
    let choice = "/api/now/table/sys_choice?sysparm_query=name=incident^element=state^value=6";
    check(&mut instance, ("GET", choice, Value::Null), 200, &[("/result/0/label", json!("Resolved"))]);
    check(&mut instance, ("POST", TABLE, json!({"u_external_id": "x"})), 201, &[("/result/u_external_id", json!("x"))]);
}

#[test]
fn ten_thousand_rows_are_no_burden() {
    let mut instance = instance(Switches::default());
    for at in 0..10_000 {
        let fields = [("correlation_id", &*format!("c-{at}")), ("short_description", "Room dark")];
        instance.create_as("snowgate", "incident", &fields, NOW).expect("created");
    }
    let sorted = format!("{TABLE}?sysparm_query=short_descriptionLIKEroom^ORDERBYDESCnumber&sysparm_limit=1");
    check(&mut instance, ("GET", &sorted, Value::Null), 200, &[("/result/0/number", json!("INC0020000"))]);
    check(
        &mut instance,
        ("GET", &format!("{TABLE}?sysparm_query=correlation_id=c-7"), Value::Null),
        200,
        &[("/result/0/number", json!("INC0010008")), ("/result/1", Value::Null)],
    );
}
