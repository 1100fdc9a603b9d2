//! The client against the simulator: what an instance does by design, and by accident (F33, F34, F39, F41, F44 to F46).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use snowgate::delivery::outcome::Class;
use snowgate::domain::id::SysId;
use snowgate::domain::secret::Secret;
use snowgate::peer::oauth::Credentials;
use snowgate::peer::transport::http::HttpOptions;
use snowgate::servicenow::client::{Client, ClientOptions};
use snowgate::servicenow::differences::differences;
use snowgate::sim::fault_plan::FaultPlan;
use snowgate::sim::server::{Options, OutageKind, Simulator, start};

use crate::harness::{any_address, basic, client, client_credentials, eventually, fields, http_with, options};

const SECRET: &str = "snowgate-secret";

fn simulator(faults: &str) -> Simulator {
    let faults = FaultPlan::parse(faults).expect("a plan");
    start(Options { faults, ..Options::default() }).expect("a free port")
}

fn set_faults(simulator: &Simulator, plan: &str) {
    simulator.set_faults(FaultPlan::parse(plan).expect("a plan"));
}

/// Calls of the token endpoint, and all others.
fn counts(simulator: &Simulator) -> (usize, usize) {
    let calls = simulator.calls();
    let tokens = calls.iter().filter(|call| call.target.starts_with("/oauth_token.do")).count();
    (tokens, calls.len() - tokens)
}

fn tickets(simulator: &Simulator) -> usize {
    simulator.instance().lock().expect("whole").count("incident")
}

async fn create(client: &Client, pairs: &[(&str, &str)]) -> Result<String, String> {
    let permit = client.permit(false).await.map_err(|closed| format!("closed {}", closed.code))?;
    let row = client.create(permit, "incident", &fields(pairs), &[]).await;
    row.map(|row| row.number).map_err(|outcome| format!("{} {}", outcome.class.as_str(), outcome.code))
}

fn refused(class: &str, code: &str) -> Result<String, String> {
    Err(format!("{class} {code}"))
}

#[tokio::test]
async fn a_ticket_is_created_found_and_changed() {
    let simulator = simulator("");
    let client = client(simulator.url(), client_credentials(SECRET));
    let id = SysId::from_bits(0xabc);
    let asked = fields(&[
        ("sys_id", id.as_str()),
        ("correlation_id", "sg1-abc"),
        ("correlation_display", "sg:1"),
        ("short_description", "Front display 1 not detected"),
        ("impact", "1"),
    ]);
    let permit = client.permit(false).await.expect("a permit");
    let created = client.create(permit, "incident", &asked, &[]).await.expect("a ticket");
    assert_eq!((&created.sys_id, created.get("impact")), (&id, Some("1")));
    assert!(created.number.starts_with("INC"));
    assert_eq!(differences(&asked, &created), []);

    let permit = client.permit_to_read().await.expect("a permit");
    let found = client.find_by_correlation(permit, "incident", "sg1-abc").await.expect("rows");
    assert_eq!(found.iter().map(|row| row.get("correlation_display")).collect::<Vec<_>>(), [Some("sg:1")]);

    let permit = client.permit(false).await.expect("a permit");
    let asked = fields(&[("state", "2"), ("work_notes", "seen"), ("correlation_display", "sg:2")]);
    let changed = client.update(permit, ("incident", &id), &asked, &[]).await.expect("the ticket");
    assert_eq!(differences(&asked, &changed), []);
    assert_eq!(changed.get("sys_mod_count"), Some("1"));

    let permit = client.permit_to_read().await.expect("a permit");
    let read = client.find_by_sys_id(permit, "incident", &id, &["impact"]).await.expect("an answer").expect("a row");
    assert_eq!((read.get("state"), read.get("correlation_display")), (Some("2"), Some("sg:2")));
    assert_eq!(counts(&simulator), (1, 4), "one token for all calls");
    simulator.stop().await;
}

#[tokio::test]
async fn every_way_to_prove_who_we_are_is_understood() {
    let simulator = simulator("");
    let username = || "snowgate".to_owned();
    let password = || Secret::new("snowgate");
    let client_id = || "snowgate-client".to_owned();
    let by_password = Credentials::Password {
        client_id: client_id(),
        client_secret: Secret::new(SECRET),
        username: username(),
        password: password(),
    };
    for credentials in [client_credentials(SECRET), by_password, basic()] {
        let number = create(&client(simulator.url(), credentials.clone()), &[]).await;
        assert!(number.is_ok(), "{credentials:?}: {number:?}");
    }
    let form = b"grant_type=password&client_id=snowgate-client&client_secret=snowgate-secret&username=snowgate&password=snowgate";
    let request =
        snowgate::sim::Request { body: form.to_vec(), ..snowgate::sim::Request::new("POST", "/oauth_token.do") }
            .with_header("Content-Type", "application/x-www-form-urlencoded");
    let now = jiff::Timestamp::now().as_millisecond();
    let granted = simulator.instance().lock().expect("whole").handle(&request, now).value().expect("json");
    let refresh_token = Secret::new(granted["refresh_token"].as_str().expect("a refresh token"));
    let by_refresh =
        Credentials::RefreshToken { client_id: client_id(), client_secret: Some(Secret::new(SECRET)), refresh_token };
    assert!(create(&client(simulator.url(), by_refresh), &[]).await.is_ok());
    simulator.stop().await;
}

#[tokio::test]
async fn fifty_calls_refused_at_once_fetch_one_token_and_all_succeed() {
    let simulator = simulator("");
    let client = client(simulator.url(), client_credentials(SECRET));
    assert!(create(&client, &[]).await.is_ok());
    set_faults(&simulator, "unauthorized=1000,verbs=POST,path=/table/,budget=1");
    let numbers = join_all((0..50).map(|_| create(&client, &[]))).await;
    assert!(numbers.iter().all(Result::is_ok), "{numbers:?}");
    assert_eq!(tickets(&simulator), 51, "each event once");
    assert_eq!(counts(&simulator).0, 2, "one token before, one after");
    let refused = simulator.calls().iter().filter(|call| call.status == Some(401)).count();
    assert!(refused > 1, "many were refused at once, not one: {refused}");
    simulator.stop().await;
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_and_then_left_alone() {
    let simulator = simulator("");
    let stranger = client(simulator.url(), client_credentials("wrong"));
    let answers = join_all((0..20).map(|_| create(&stranger, &[]))).await;
    assert!(answers.iter().all(|answer| *answer == refused("unauthorized", "token_refused")), "{answers:?}");
    assert_eq!(counts(&simulator), (1, 0), "the failure is shared");
    let closed = stranger.permit(false).await.expect_err("closed");
    assert_eq!(closed.code, "credentials_refused");
    assert!(create(&client(simulator.url(), client_credentials(SECRET)), &[]).await.is_ok(), "others go on");
    simulator.stop().await;
}

#[tokio::test]
async fn refused_basic_credentials_are_not_repeated() {
    let simulator = simulator("");
    let wrong = Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new("wrong") };
    let stranger = client(simulator.url(), wrong);
    assert_eq!(create(&stranger, &[]).await, refused("unauthorized", "http_401"));
    assert_eq!(create(&stranger, &[]).await, Err("closed credentials_refused".to_owned()));
    assert_eq!(counts(&simulator), (0, 1));
    simulator.stop().await;
}

#[tokio::test]
async fn a_token_refused_twice_is_not_shown_a_third_time() {
    let simulator = simulator("");
    let client = client(simulator.url(), client_credentials(SECRET));
    set_faults(&simulator, "unauthorized=1000,path=/table/");
    assert_eq!(create(&client, &[]).await, refused("unauthorized", "http_401"));
    assert_eq!(counts(&simulator), (2, 2));
    assert_eq!(client.standing().closed.map(|closed| closed.code), Some("credentials_refused"));
    simulator.stop().await;
}

#[tokio::test]
async fn each_accident_is_told_as_what_it_may_have_done() {
    let simulator = simulator("");
    for (fault, said, done) in [
        ("answer_lost=1000", "unclear connection_lost", true),
        ("reset_before=1000", "unclear connection_lost", false),
        ("not_executed_202=1000", "unclear http_202_dropped", false),
        ("html_ok=1000", "unclear html_instead_of_json", false),
        ("partial_ok=1000", "unclear partial_result", true),
        ("forbidden_after_commit=1000", "refused_perhaps_done http_403_acl", true),
        ("server_error=1000:500:applied", "unclear http_500", true),
        ("server_error=1000:503", "unclear http_503", false),
        ("semaphore_full=1000", "crowded http_429_busy", false),
        ("rate_limited=1000:30", "throttled http_429_rate_limit", false),
    ] {
        let before = tickets(&simulator);
        set_faults(&simulator, &format!("{fault},path=/table/"));
        let told = create(&client(simulator.url(), client_credentials(SECRET)), &[]).await.expect_err(fault);
        assert_eq!(told, said, "{fault}");
        assert_eq!(tickets(&simulator) - before, usize::from(done), "{fault}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn after_a_counted_refusal_nothing_is_sent_inside_the_window() {
    let simulator = simulator("rate_limited=1000:30,path=/table/");
    let client = client(simulator.url(), client_credentials(SECRET));
    let permit = client.permit(false).await.expect("a permit");
    let outcome = client.create(permit, "incident", &[], &[]).await.expect_err("too many");
    let closed = join_all((0..20).map(|_| client.permit(false))).await;
    let sent = counts(&simulator).1;
    assert_eq!(sent, 1);
    for permit in closed {
        let closed = permit.expect_err("closed");
        assert_eq!((closed.code, Some(closed.until)), ("http_429_rate_limit", outcome.not_before));
    }
    simulator.stop().await;
}

#[tokio::test]
async fn a_hibernating_instance_opens_the_breaker_and_says_why() {
    let simulator = simulator("");
    let client = client(simulator.url(), basic());
    simulator.begin_outage(OutageKind::Html, Duration::from_mins(10));
    for _ in 0..5 {
        assert_eq!(create(&client, &[]).await, refused("unclear", "html_instead_of_json"));
    }
    let closed = client.permit(false).await.expect_err("open");
    assert_eq!(closed.code, "breaker_open");
    assert!(closed.reason.contains("html_instead_of_json"), "{}", closed.reason);
    assert_eq!((counts(&simulator).1, client.standing().breaker), (5, "open"));
    simulator.stop().await;
}

#[tokio::test]
async fn the_budget_of_an_instance_is_learned_and_a_fifth_of_it_left() {
    let simulator = start(Options { rate_limit_per_hour: Some(10), ..Options::default() }).expect("a free port");
    let client = client(simulator.url(), basic());
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(create(&client, &[]).await);
    }
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
    assert_eq!(answers[9], Err("closed hourly_budget_spent".to_owned()));
    assert!(simulator.calls().iter().all(|call| call.status != Some(429)), "we never ran into it");
    simulator.stop().await;
}

#[tokio::test]
async fn what_the_instance_swallows_comes_to_light() {
    let simulator = simulator("");
    let client = client(simulator.url(), basic());
    let long = "x".repeat(300);
    let asked = fields(&[("short_description", &long), ("u_typo", "1"), ("category", "rooms"), ("comments", "hello")]);
    let permit = client.permit(false).await.expect("a permit");
    let stored = client.create(permit, "incident", &asked, &[]).await.expect("a ticket");
    let told: Vec<_> = differences(&asked, &stored).into_iter().map(|difference| difference.field).collect();
    assert_eq!(told, ["short_description", "u_typo", "category"]);
    simulator.stop().await;
}

#[tokio::test]
async fn references_are_found_remembered_and_never_guessed() {
    let simulator = simulator("");
    let client = client(simulator.url(), basic());
    let lookup = async |table: &str, by: &str, value: &str| {
        let permit = client.permit_to_read().await.expect("a permit");
        let found = client.lookup(permit, table, by, value).await;
        found.map_err(|outcome| format!("{} {}", outcome.class.as_str(), outcome.code))
    };
    let group = lookup("sys_user_group", "name", "av support").await.expect("an answer").expect("the group");
    assert_eq!(client.recall("sys_user_group", "name", "AV Support"), Some(Some(group)));
    assert_eq!(lookup("sys_user_group", "name", "Nobody").await, Ok(None));
    assert_eq!(client.recall("sys_user_group", "name", "Nobody"), Some(None));
    let sent = counts(&simulator).1;
    // Refused or empty: not sent at all.
    assert_eq!(lookup("sys_user_group", "name", "").await, Ok(None));
    assert_eq!(
        lookup("sys_user_group", "name", "javascript:gs.getUserID()").await,
        Err("refused lookup_value_refused".to_owned())
    );
    assert_eq!(counts(&simulator).1, sent);
    // The column does not exist: the query part is dropped, and strangers come back.
    assert_eq!(lookup("sys_user_group", "u_code", "x").await, Err("misconfigured lookup_untrusted".to_owned()));
    assert_eq!(lookup("sys_user_group", "active", "true").await, Err("refused lookup_ambiguous".to_owned()));
    assert_eq!(lookup("u_no_such_table", "name", "x").await, Err("misconfigured http_400_invalid_table".to_owned()));
    simulator.stop().await;
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_missing_and_not_an_error() {
    let simulator = simulator("");
    let client = client(simulator.url(), basic());
    let nowhere = SysId::from_bits(1);
    let permit = client.permit_to_read().await.expect("a permit");
    assert_eq!(client.find_by_sys_id(permit, "incident", &nowhere, &[]).await, Ok(None));
    let permit = client.permit(false).await.expect("a permit");
    let outcome =
        client.update(permit, ("incident", &nowhere), &fields(&[("state", "2")]), &[]).await.expect_err("missing");
    assert_eq!(outcome.class, Class::Missing);
    simulator.stop().await;
}

#[tokio::test]
async fn each_call_is_reported_once() {
    let simulator = simulator("");
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let client = Client::new(ClientOptions {
        observer: Some(Arc::new(move |report| {
            let line = format!(
                "{} {} {} {:?} {}",
                report.call.as_str(),
                report.class.as_str(),
                report.code,
                report.status,
                report.transaction.is_some()
            );
            listener.lock().expect("whole").push(line);
        })),
        ..options(simulator.url(), basic())
    });
    create(&client, &[]).await.expect("a ticket");
    set_faults(&simulator, "answer_lost=1000");
    create(&client, &[]).await.expect_err("lost");
    assert_eq!(
        *told.lock().expect("whole"),
        ["create done done Some(201) true", "create unclear connection_lost None false"]
    );
    simulator.stop().await;
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_a_persons_business() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.pem");
    let simulator = start(Options { tls_ca_file: Some(authority.clone()), ..Options::default() }).expect("a free port");
    let untrusting = client(simulator.url(), basic());
    assert_eq!(create(&untrusting, &[]).await, refused("misconfigured", "tls_certificate"));
    let pem = std::fs::read_to_string(&authority).expect("the authority");
    let transport = http_with(&HttpOptions { authorities: vec![pem], ..HttpOptions::new(any_address()) });
    let trusting = Client::new(ClientOptions { transport, ..options(simulator.url(), basic()) });
    assert!(create(&trusting, &[]).await.is_ok());
    simulator.stop().await;
}

#[tokio::test]
async fn a_cancelled_call_gives_its_slot_back() {
    let simulator = simulator("");
    let limits = snowgate::peer::pace::Limits { concurrency: 1, ..crate::harness::WIDE };
    let client = Client::new(ClientOptions { limits, ..options(simulator.url(), basic()) });
    simulator.begin_outage(OutageKind::Hang, Duration::from_mins(10));
    let hanging = tokio::time::timeout(Duration::from_millis(200), create(&client, &[])).await;
    assert!(hanging.is_err());
    simulator.end_outage();
    eventually(|| client.standing().in_flight == 0).await;
    assert!(create(&client, &[]).await.is_ok());
    simulator.stop().await;
}
