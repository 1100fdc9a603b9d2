//! Every way in which a sender can prove who it is, over real HTTP; and everybody who only looks like one.
//!
//! `issuer` has a real OAuth server as a process of its own, and a small server of keys for tokens that no server would
//! issue; `tokens` what is taken and refused of them.

mod issuer;
mod tokens;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, RequestBuilder};
use sha2::Sha256;

use crate::support::home::{hash_of, key_of};
use crate::support::reply::text;
use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant};

const PAGERDUTY_SECRET: &str = "canary-secret-of-pagerduty-0123456789";
const OLD_PAGERDUTY_SECRET: &str = "canary-old-secret-of-pagerduty-012345";
const PASSWORD: &str = "canary-password-of-an-old-tool";

/// A tenant whose file has these senders beside the usual ones.
pub(super) fn home_with(instance: &Instance, senders: &str) -> Home {
    let home =
        Home::of(&[Tenant::named("contoso", instance.url()).and(senders), Tenant::named("fabrikam", instance.url())]);
    home.write("pagerduty", PAGERDUTY_SECRET);
    home.write("pagerduty-old", OLD_PAGERDUTY_SECRET);
    home.write("password", PASSWORD);
    home
}

/// With more under `server:` than the addresses.
fn trusting_proxies(home: &Home) {
    home.write(
        "snowgate.yaml",
        "server:\n  listen: 127.0.0.1:0\n  admin_listen: 127.0.0.1:0\n  trusted_proxies: {networks: [127.0.0.0/8]}\n\
         store: {url: \"sqlite:snowgate.db\"}\ntenants: tenants\nmappings: mappings\negress: {allow_private: [127.0.0.0/8]}\n",
    );
}

/// An event for a tenant, as yet without any credential.
pub(super) fn bare(gateway: &Gateway, tenant: &str, event: &Event) -> RequestBuilder {
    let request = gateway.request(Method::POST, &format!("/v1/tenants/{tenant}/events"));
    request.header("content-type", "application/cloudevents+json").body(event.body())
}

pub(super) async fn sent(request: RequestBuilder) -> Reply {
    Reply::of(request).await.expect("an answer")
}

fn pagerduty_signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().fold("v1=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// What the log says of the refusals so far.
pub(super) fn reasons(gateway: &Gateway) -> String {
    let lines = gateway.log();
    lines.lines().filter(|line| line.contains("Refused a request")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn pagerduty_signs_and_both_secrets_of_a_rotation_are_taken() {
    let instance = Instance::start();
    let senders = "  - {name: pagerduty, pagerduty_secret: {file: pagerduty-old}}\n  - {name: pagerduty, pagerduty_secret: {file: pagerduty}}\n";
    let home = home_with(&instance, senders);
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    let (old, new) = (
        pagerduty_signature(OLD_PAGERDUTY_SECRET, &event.body()),
        pagerduty_signature(PAGERDUTY_SECRET, &event.body()),
    );
    let signed = |signature: &str| bare(&gateway, "contoso", &event).header("x-pagerduty-signature", signature);
    sent(signed(&new)).await.expect(202);
    for right in [old.clone(), format!("{old},{new}"), format!("v1={},{new}", "00".repeat(32))] {
        sent(signed(&right)).await.expect(200);
    }
    let of_another_body = pagerduty_signature(PAGERDUTY_SECRET, &Event::opened("MTR-2").body());
    let after_eight = format!("{}{new}", format!("v1={},", "00".repeat(32)).repeat(8));
    for wrong in ["", "v1=", "v1", &of_another_body, &after_eight, &new.replace("v1=", "v2="), &new.replace("v1=", "")]
    {
        sent(signed(wrong)).await.expect(401);
    }
    sent(signed(&new).header("x-pagerduty-signature", &new)).await.expect(401);
    let elsewhere = bare(&gateway, "fabrikam", &event).header("x-pagerduty-signature", &new);
    sent(elsewhere).await.expect(401);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
    let used = async |credential: &str| {
        gateway.metric("snowgate_sender_credentials_total", &format!("credential=\"{credential}\"")).await
    };
    assert!(used("pagerduty_1").await >= 1.0 && used("pagerduty_2").await >= 1.0, "it is told which secret is in use");
    assert!(!gateway.log().contains("canary-"), "a secret in the log");
}

#[tokio::test]
async fn pagerduty_adds_its_signature_also_where_a_key_proves_who_calls() {
    let instance = Instance::start();
    let home = home_with(&instance, "");
    let gateway = home.start().await;
    let request = bare(&gateway, "contoso", &Event::opened("MTR-1")).bearer_auth(key_of("contoso"));
    sent(request.header("x-pagerduty-signature", format!("v1={}", "ab".repeat(32)))).await.expect(202);
    gateway.quiet().await;
}

#[tokio::test]
async fn user_name_and_password_open_their_own_tenant() {
    let instance = Instance::start();
    let home = home_with(&instance, "  - {name: old-tool, basic: {username: nagios, password: {file: password}}}\n");
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    let with =
        |tenant: &str, user: &str, password: &str| bare(&gateway, tenant, &event).basic_auth(user, Some(password));
    sent(with("contoso", "nagios", PASSWORD)).await.expect(202);
    for (tenant, user, password) in [
        ("contoso", "nagios", "canary-password-of-another-tool"),
        ("contoso", "Nagios", PASSWORD),
        ("contoso", "", PASSWORD),
        ("contoso", "nagios", ""),
        ("fabrikam", "nagios", PASSWORD),
    ] {
        sent(with(tenant, user, password)).await.expect(401);
    }
    gateway.quiet().await;
    assert!(!gateway.log().contains("canary-"), "a secret in the log");
}

#[tokio::test]
async fn a_confined_or_expired_key_gets_the_answer_of_a_wrong_one_and_the_log_says_why() {
    let instance = Instance::start();
    let (events, deliveries, expired) = ("sgk_canary-events", "sgk_canary-deliveries", "sgk_canary-expired");
    let senders = format!(
        "  - {{name: pusher, api_key_sha256: \"{}\", scopes: [events]}}\n  - {{name: reader, api_key_sha256: \"{}\", scopes: [deliveries]}}\n  \
         - {{name: late, api_key_sha256: \"{}\", expires: 2026-01-31}}\n",
        hash_of(events),
        hash_of(deliveries),
        hash_of(expired)
    );
    let home = home_with(&instance, &senders);
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    let push = |key: &str| bare(&gateway, "contoso", &event).bearer_auth(key);
    let delivery = sent(push(events)).await.expect(202).delivery();
    let read = |key: &str| {
        let path = format!("/v1/tenants/contoso/deliveries/{delivery}");
        gateway.request(Method::GET, &path).bearer_auth(key)
    };
    sent(read(deliveries)).await.expect(200);
    let wrong = sent(push("sgk_wrong")).await.expect(401);
    for request in [push(deliveries), read(events), push(expired), read(expired)] {
        let refused = sent(request).await.expect(401);
        assert_eq!(refused.text, wrong.text, "it is not told that the key was right");
    }
    let told = reasons(&gateway);
    assert!(told.contains("sender `reader` is confined by `scopes`, and `events` is none of them"), "{told}");
    assert!(told.contains("sender `pusher` is confined by `scopes`, and `deliveries` is none of them"), "{told}");
    assert!(told.contains("the credential of sender `late` expired at 2026-02-01T00:00:00.000Z"), "{told}");
    gateway.quiet().await;
}

#[tokio::test]
async fn a_key_in_the_address_is_taken_nowhere_but_at_sources() {
    let instance = Instance::start();
    let key = "sgk_canary-in-the-address";
    let sender = format!("  - {{name: tool, api_key_sha256: \"{}\", key_in_url: true}}\n", hash_of(key));
    let home = home_with(&instance, &sender);
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    sent(bare(&gateway, "contoso", &event).query(&[("key", key)])).await.expect(401);
    sent(bare(&gateway, "contoso", &event).bearer_auth(key)).await.expect(202);
    gateway.quiet().await;
    assert!(!gateway.log().contains("canary-in"), "the key in the log");
}

#[tokio::test]
async fn a_certificate_counts_only_if_a_trusted_proxy_names_it() {
    let instance = Instance::start();
    let senders = "  - {name: soc-cert, client_certificate: {san: soc.example}}\n";
    let event = Event::opened("MTR-1");
    let trusting = home_with(&instance, senders);
    trusting_proxies(&trusting);
    let gateway = trusting.start().await;
    let named =
        |gateway: &Gateway, tenant: &str, names: &str| bare(gateway, tenant, &event).header("x-client-cert-san", names);
    sent(named(&gateway, "contoso", "DNS:soc.example, DNS:www.soc.example")).await.expect(202);
    for (tenant, names) in [
        ("contoso", "DNS:soc.example.org"),
        ("contoso", ""),
        ("contoso", "*"),
        ("fabrikam", "DNS:soc.example"),
        ("nobody", "DNS:soc.example"),
    ] {
        sent(named(&gateway, tenant, names)).await.expect(401);
    }
    let twice = named(&gateway, "contoso", "DNS:evil.example").header("x-client-cert-san", "DNS:soc.example");
    sent(twice).await.expect(401);
    gateway.quiet().await;
    drop(gateway);

    let direct = home_with(&instance, senders);
    let gateway = direct.start().await;
    sent(named(&gateway, "contoso", "DNS:soc.example")).await.expect(401);
    assert!(gateway.deliveries("").await.is_empty(), "a forged header has no effect");
}

#[tokio::test]
async fn who_fails_again_and_again_is_held_off_and_a_right_key_behind_the_same_address_is_not() {
    let instance = Instance::start();
    let home = home_with(&instance, "  - {name: old-tool, basic: {username: nagios, password: {file: password}}}\n");
    trusting_proxies(&home);
    let gateway = home.start().await;
    let event = Event::opened("MTR-1");
    let from = |address: &str| bare(&gateway, "contoso", &event).header("x-forwarded-for", address);
    let mut held_off = None;
    // Time forgives while this goes on, so it takes more than the limit on a slow machine.
    for number in 0..2_000 {
        let reply = sent(from("203.0.113.9").bearer_auth(format!("sgk_guess-{number}"))).await;
        if reply.status == 429 {
            held_off = Some(reply);
            break;
        }
        reply.expect(401);
    }
    let held_off = held_off.expect("it is held off in the end");
    assert_eq!(text(&held_off.json(), "/code"), "too_many_failures");
    assert!(held_off.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=60).contains(&wait)), "{held_off:?}");
    assert!(gateway.deliveries("").await.is_empty(), "nothing of it reached the store");

    // What could be guessed is not even looked at; failures keep coming so that nothing is forgiven meanwhile.
    for number in 0..5 {
        sent(from("203.0.113.9").bearer_auth(format!("sgk_more-{number}"))).await;
    }
    sent(from("203.0.113.9").basic_auth("nagios", Some(PASSWORD))).await.expect(429);
    sent(from("203.0.113.9").bearer_auth(key_of("contoso"))).await.expect(202);
    sent(from("203.0.113.10").basic_auth("nagios", Some(PASSWORD))).await.expect(200);
    let bursts = gateway.metric_of("snowgate_sender_failure_bursts_total").await;
    assert!((bursts - 1.0).abs() < f64::EPSILON, "{bursts} bursts");
    let told = gateway.log().lines().filter(|line| line.contains("it is held off")).count();
    assert_eq!(told, 1, "one line, however many more come");
    gateway.quiet().await;
}
