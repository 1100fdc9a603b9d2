//! Events: how they arrive, what stays the same over tries, and what each answer does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use snowgate::callback::client::{CallbackOptions, Client};
use snowgate::callback::event::Event;
use snowgate::delivery::kind::TicketKind;
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::domain::id::TenantId;
use snowgate::domain::secret::Secret;
use snowgate::domain::time::Timestamp;
use snowgate::peer::caller::Identity;
use snowgate::peer::message::{Answer, HeaderMap, Request};
use snowgate::peer::oauth::Credentials;
use snowgate::peer::transport::{Exchange, Replying, Transport};
use snowgate::security::signature::WebhookSecret;

use crate::harness::Peer;
use crate::receiver::{HandClock, NEXT_SECRET, Receiver, SECRET, answer, options};

const ID: &str = "tch_000000000000000000000000000000a7";

fn event() -> Vec<u8> {
    let tenant = TenantId::parse("contoso").expect("a tenant");
    let event = Event::new(&tenant, TicketKind::Opened, ID, Timestamp::EPOCH, json!({"text": "Straße – 会議室"}));
    serde_json::to_vec(&event).expect("json")
}

/// The incident of the answer, or class and code.
async fn send(client: &Client) -> Result<Option<String>, Outcome> {
    let permit = client.permit(false).await.expect("a permit");
    client.send(permit, &event(), ID).await.map(|answered| answered.incident.map(String::from))
}

fn refused(sent: Result<Option<String>, Outcome>) -> (Class, String) {
    let outcome = sent.expect_err("not done");
    (outcome.class, outcome.code)
}

#[tokio::test]
async fn an_event_arrives_as_it_is_stored_and_any_receiver_can_verify_it() {
    let receiver = Receiver::answering(&[&answer("202 Accepted", "", "")]).await;
    let secrets = [SECRET, NEXT_SECRET].map(|text| WebhookSecret::parse(text).expect("a secret")).to_vec();
    let client = Client::new(CallbackOptions { secrets, ..options(&receiver.peer.origin()) });
    assert_eq!(send(&client).await, Ok(None));
    let got = &receiver.got()[0];
    assert!(got.head.starts_with("POST /hooks/snowgate?tenant=1 HTTP/1.1\r\n"), "{}", got.head);
    assert_eq!(got.body, event());
    assert_eq!(got.header("content-type"), Some("application/cloudevents+json; charset=utf-8"));
    assert_eq!(got.header("webhook-id"), Some(ID));
    assert!(got.header("user-agent").is_some_and(|name| name.starts_with("snowgate/")));
    assert!(got.is_signed_by(SECRET) && got.is_signed_by(NEXT_SECRET), "either secret of a rotation will do");
    assert!(!got.is_signed_by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let theirs = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, got.header(name).expect("sent").parse().expect("a value"));
    }
    theirs.verify(&got.body, &headers).expect("the published library agrees");
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_bytes_and_a_fresh_signature() {
    let receiver = Receiver::answering(&[&answer("500 Oops", "", ""), &answer("200 OK", "", "")]).await;
    let clock = HandClock::shared();
    let client = Client::new(CallbackOptions { clock: HandClock::of(&clock), ..options(&receiver.peer.origin()) });
    assert_eq!(refused(send(&client).await), (Class::NotProcessed, "http_500".to_owned()));
    clock.advance(7);
    assert_eq!(send(&client).await, Ok(None));
    let got = receiver.got();
    assert!(got.iter().all(|got| got.is_signed_by(SECRET)));
    let of = |name| got.iter().filter_map(|got| got.header(name)).collect::<BTreeSet<_>>().len();
    assert_eq!((of("webhook-id"), of("webhook-timestamp"), of("webhook-signature")), (1, 2, 2));
    assert_eq!(got[0].body, got[1].body);
}

#[tokio::test]
async fn a_new_incident_is_read_from_the_answer_also_of_a_repeat() {
    let said = r#"{"incident":{"id":"MTR-9"}}"#;
    let repeated = r#"{"code":"duplicate","incident":{"id":"MTR-9"}}"#;
    let receiver = Receiver::answering(&[
        &answer("200 OK", "", said),
        &answer("409 Conflict", "", repeated),
        &answer("200 OK", "", "ok"),
    ])
    .await;
    let client = receiver.client();
    assert_eq!(send(&client).await, Ok(Some("MTR-9".to_owned())));
    assert_eq!(send(&client).await, Ok(Some("MTR-9".to_owned())));
    assert_eq!(send(&client).await, Ok(None));
}

#[tokio::test]
async fn the_time_a_receiver_asks_for_is_given_to_it() {
    let busy = answer("503 Busy", "retry-after: 30\r\n", "");
    let counted = answer("429 Too Many", "retry-after: 120\r\n", "");
    let receiver = Receiver::answering(&[&busy, &counted]).await;
    let clock = HandClock::shared();
    let client = Client::new(CallbackOptions { clock: HandClock::of(&clock), ..options(&receiver.peer.origin()) });
    let now = || HandClock::of(&clock).now();
    let outcome = send(&client).await.expect_err("busy");
    let wait = outcome.not_before.expect("a time").since(now());
    assert!(wait >= Duration::from_secs(30) && wait < Duration::from_secs(40), "{wait:?}");
    assert_eq!(refused(send(&client).await).0, Class::Throttled);
    let closed = client.permit(false).await.expect_err("it asked to be left alone");
    assert!(closed.until.since(now()) >= Duration::from_mins(2));
    assert_eq!(receiver.got().len(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::answering(&[&answer("200 OK", "", "")]).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("location: {}/hooks\r\n", elsewhere.peer.origin());
        let receiver = Receiver::answering(&[&answer(status, &location, "")]).await;
        assert_eq!(refused(send(&receiver.client()).await), (Class::Misconfigured, "redirected".to_owned()));
    }
    assert_eq!(elsewhere.peer.connections(), 0);
}

#[tokio::test]
async fn a_receiver_that_lies_or_breaks_is_asked_again() {
    for (reply, code) in [
        ("", "connection_lost"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "not_http"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n<!doctype html><title>Log in</title>", "html_instead_of_json"),
    ] {
        let peer = Peer::start(move |mut connection, _| async move {
            connection.read_request().await;
            connection.write(reply.as_bytes()).await;
        })
        .await;
        let client = Client::new(options(&peer.origin()));
        assert_eq!(refused(send(&client).await), (Class::NotProcessed, code.to_owned()), "{reply:?}");
    }
    let full = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{\"incident\":";
    let receiver = Peer::start(move |mut connection, _| async move {
        connection.read_request().await;
        connection.write(full.as_bytes()).await;
    })
    .await;
    assert_eq!(
        send(&Client::new(options(&receiver.origin()))).await,
        Ok(None),
        "it was taken, whatever it went on to say"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let peer = Peer::start(|mut connection, _| async move {
        connection.read_request().await;
        connection.write(b"HTTP/1.1 200 OK\r\n\r\n").await;
        connection.flood(&[b' '; 1024], Duration::ZERO).await;
    })
    .await;
    assert_eq!(send(&Client::new(options(&peer.origin()))).await, Ok(None));
}

fn oauth(origin: &str) -> Identity {
    Identity {
        credentials: Credentials::ClientCredentials {
            client_id: "snowgate".to_owned(),
            client_secret: Secret::new("x"),
        },
        token_url: format!("{origin}/token"),
        scope: Some("incidents.write".to_owned()),
        audience: Some("https://soc.example/".to_owned()),
    }
}

#[tokio::test]
async fn a_token_goes_on_top_of_the_signature_and_a_refused_one_is_renewed_once() {
    let token = |text: &str| answer("200 OK", "", &format!(r#"{{"access_token":"{text}","token_type":"Bearer"}}"#));
    let receiver = Receiver::answering(&[
        &token("one"),
        &answer("401 No", "", ""),
        &token("two"),
        &answer("200 OK", "", ""),
        &answer("200 OK", "", ""),
    ])
    .await;
    let origin = receiver.peer.origin();
    let client = Client::new(CallbackOptions { oauth: Some(oauth(&origin)), ..options(&origin) });
    assert_eq!(send(&client).await, Ok(None));
    assert_eq!(send(&client).await, Ok(None));
    let got = receiver.got();
    let passes: Vec<_> = got.iter().filter_map(|got| got.header("authorization")).collect();
    assert_eq!(passes, ["Bearer one", "Bearer two", "Bearer two"]);
    let asked: Vec<_> = got.iter().filter(|got| got.head.starts_with("POST /token")).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|got| String::from_utf8_lossy(&got.body).contains("scope=incidents.write")));
    assert!(
        asked.iter().all(|got| String::from_utf8_lossy(&got.body).contains("audience=https%3A%2F%2Fsoc.example%2F"))
    );
    assert!(got.iter().filter(|got| got.head.starts_with("POST /hooks")).all(|got| got.is_signed_by(SECRET)));
}

#[tokio::test]
async fn a_receiver_that_knows_us_not_is_left_alone_until_somebody_says_so() {
    let receiver = Receiver::answering(&[&answer("401 No", "", "wrong signature"), &answer("200 OK", "", "")]).await;
    let client = receiver.client();
    assert_eq!(refused(send(&client).await), (Class::Unauthorized, "http_401".to_owned()));
    let closed = client.permit(false).await.expect_err("closed for a minute");
    assert_eq!(closed.reason, "the managed service does not accept our credentials: wrong signature");
    client.trust_credentials_again();
    assert_eq!(send(&client).await, Ok(None));
}

#[tokio::test]
async fn a_receiver_that_keeps_failing_opens_the_breaker_and_the_observer_saw_why() {
    let receiver = Receiver::answering(&[&answer("502 Bad", "", "")]).await;
    let codes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&codes);
    let observer: snowgate::callback::client::Observer =
        Arc::new(move |made| seen.lock().expect("whole").push(made.outcome.code.clone()));
    let client = Client::new(CallbackOptions { observer: Some(observer), ..options(&receiver.peer.origin()) });
    for _ in 0..5 {
        assert_eq!(refused(send(&client).await).0, Class::NotProcessed);
    }
    let closed = client.permit(false).await.expect_err("closed");
    assert_eq!((closed.code, client.standing().breaker), ("breaker_open", "open"));
    assert_eq!(*codes.lock().expect("whole"), ["http_502"; 5]);
}

/// A peer without sockets that takes everything.
struct Taking;

impl Exchange for Taking {
    fn exchange(&self, request: Request) -> Replying {
        let signed = request.headers.contains_key("webhook-signature");
        Box::pin(async move { Ok(Answer { status: if signed { 200 } else { 400 }, ..Answer::default() }) })
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulation_is_a_receiver_too() {
    let transport = Transport::Simulated(Arc::new(Taking));
    let client = Client::new(CallbackOptions { transport, ..options("http://127.0.0.1:1") });
    assert_eq!(send(&client).await, Ok(None));
}

/// A peer without sockets that never answers.
struct Silent;

impl Exchange for Silent {
    fn exchange(&self, _: Request) -> Replying {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_answer_is_waited_for_and_asked_again() {
    let transport = Transport::Simulated(Arc::new(Silent));
    let client = Client::new(CallbackOptions { transport, ..options("http://127.0.0.1:1") });
    let begun = tokio::time::Instant::now();
    assert_eq!(refused(send(&client).await), (Class::NotProcessed, "timeout".to_owned()));
    assert_eq!(begun.elapsed().as_secs(), 20);
}
