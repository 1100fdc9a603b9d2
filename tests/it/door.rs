//! Who may send: keys, signatures, and answers that give nothing away.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use standardwebhooks::Webhook;

use crate::support::home::{hook_secret_of, key_of};
use crate::support::{Event, Gateway, Home, Instance, Reply, Tenant};

/// A gateway with two tenants that share an instance's address and nothing else.
async fn two_tenants() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()), Tenant::named("fabrikam", instance.url())]);
    let gateway = home.start().await;
    (instance, home, gateway)
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The headers of a signed request.
#[derive(Clone)]
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
}

impl Signed {
    /// As the sender `rooms` of a tenant signs a body, at a time.
    fn by(tenant: &str, id: &str, at: i64, body: &str) -> Self {
        let webhook = Webhook::new(&hook_secret_of(tenant)).expect("a secret");
        let signature = webhook.sign(id, at, body.as_bytes()).expect("a signature");
        Self { id: id.to_owned(), timestamp: at.to_string(), signature }
    }

    fn on(&self, request: RequestBuilder) -> RequestBuilder {
        let Self { id, timestamp, signature } = self;
        let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp);
        request.header("webhook-signature", signature)
    }
}

fn unsigned(gateway: &Gateway, tenant: &str, event: &Event) -> RequestBuilder {
    let request = gateway.request(Method::POST, &format!("/v1/tenants/{tenant}/events"));
    request.header("content-type", "application/cloudevents+json").body(event.body())
}

async fn sent(request: RequestBuilder) -> Reply {
    Reply::of(request).await.expect("an answer")
}

/// Everything of an answer that a stranger could learn from.
fn visible(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    // The connection is closed where a body was refused unread, which depends on the kind of credential alone.
    let changing = ["x-request-id", "date", "connection"];
    let headers = reply.headers.iter().filter(|(name, _)| !changing.contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    // The server keeps headers in no order.
    headers.sort();
    (reply.status, headers, reply.text.clone())
}

#[tokio::test]
async fn strangers_wrong_keys_and_unknown_tenants_get_one_and_the_same_answer() {
    let (_instance, _home, gateway) = two_tenants().await;
    let event = Event::opened("MTR-1");
    let nobody = sent(unsigned(&gateway, "contoso", &event)).await.expect(401);
    assert_eq!(nobody.code(), "unauthorized");
    assert!(nobody.header("www-authenticate").starts_with("Bearer"), "{:?}", nobody.headers);
    let key = |tenant: &str, key: &str| unsigned(&gateway, tenant, &event).bearer_auth(key);
    let signed = Signed::by("fabrikam", "msg-1", now(), &event.body());
    for (what, request) in [
        ("a wrong key", key("contoso", "sgk_wrong")),
        ("an empty key", key("contoso", "")),
        ("a key that is far too long", key("contoso", &"k".repeat(4_000))),
        ("the beginning of the key", key("contoso", "sgk_canary-key-of-contos")),
        ("another tenant's key", key("contoso", &key_of("fabrikam"))),
        ("the other way round", key("fabrikam", &key_of("contoso"))),
        ("an unknown tenant", key("northwind", &key_of("contoso"))),
        ("a tenant in capitals", key("Contoso", &key_of("contoso"))),
        ("a tenant that is a path", key("..%2fcontoso", &key_of("contoso"))),
        ("a tenant that is SQL", key("contoso'--", &key_of("contoso"))),
        ("a tenant with a NUL", key("contoso%00", &key_of("contoso"))),
        ("a tenant of 2,000 characters", key(&"a".repeat(2_000), &key_of("contoso"))),
        ("a tenant that is no UTF-8", key("%ff%fe", &key_of("contoso"))),
        ("basic authentication", unsigned(&gateway, "contoso", &event).basic_auth("contoso", Some(key_of("contoso")))),
        ("another tenant's signature", signed.on(unsigned(&gateway, "contoso", &event))),
    ] {
        assert_eq!(visible(&sent(request).await), visible(&nobody), "{what}");
    }
    let receipt = gateway.request(Method::GET, "/v1/tenants/contoso/deliveries/dlv_1").bearer_auth("sgk_wrong");
    assert_eq!(visible(&sent(receipt).await), visible(&nobody));
    assert!(gateway.deliveries("").await.is_empty());
}

#[tokio::test]
async fn a_receipt_is_shown_to_its_tenant_and_to_no_other() {
    let (_instance, _home, gateway) = two_tenants().await;
    let delivery = gateway.post(&Event::opened("MTR-1")).await.expect(202).delivery();
    gateway.quiet().await;
    let path = |tenant: &str, id: &str| format!("/v1/tenants/{tenant}/deliveries/{id}");
    let asked = async |tenant: &str, id: &str, key: &str| {
        sent(gateway.request(Method::GET, &path(tenant, id)).bearer_auth(key_of(key))).await
    };
    assert_eq!(asked("contoso", &delivery, "contoso").await.expect(200).json()["state"], "delivered");
    let of_another = asked("fabrikam", &delivery, "fabrikam").await.expect(404);
    let of_nobody = asked("fabrikam", "dlv_00000000-0000-7000-8000-000000000000", "fabrikam").await;
    assert_eq!(visible(&of_another), visible(&of_nobody), "it is not told that somebody has it");
    asked("contoso", &delivery, "fabrikam").await.expect(401);
    asked("contoso", "nonsense", "contoso").await.expect(404);
}

#[tokio::test]
async fn a_signed_event_is_taken_and_a_repeat_of_it_is_a_duplicate() {
    let (instance, _home, gateway) = two_tenants().await;
    let event = Event::opened("MTR-1");
    let signed = Signed::by("contoso", "msg-1", now(), &event.body());
    sent(signed.on(unsigned(&gateway, "contoso", &event))).await.expect(202);
    let replayed = sent(signed.on(unsigned(&gateway, "contoso", &event))).await.expect(200);
    assert_eq!(replayed.json()["duplicate"], true);
    let retried = Signed::by("contoso", "msg-1", now() - 2, &event.body());
    sent(retried.on(unsigned(&gateway, "contoso", &event))).await.expect(200);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
}

#[tokio::test]
async fn clocks_may_differ_by_four_minutes_and_not_by_six() {
    let (_instance, _home, gateway) = two_tenants().await;
    for (minutes, status) in [(-6, 401), (-4, 202), (4, 202), (6, 401)] {
        let event = Event::opened(&format!("MTR{minutes}"));
        let signed = Signed::by("contoso", "msg", now() + minutes * 60, &event.body());
        sent(signed.on(unsigned(&gateway, "contoso", &event))).await.expect(status);
    }
    gateway.quiet().await;
}

#[tokio::test]
async fn a_signature_that_is_not_right_in_every_byte_is_worth_nothing() {
    let (_instance, _home, gateway) = two_tenants().await;
    let event = Event::opened("MTR-1");
    let good = Signed::by("contoso", "msg-1", now(), &event.body());
    let mac = good.signature.trim_start_matches("v1,").to_owned();
    let short = STANDARD.encode(STANDARD.decode(&mac).expect("base64").get(..16).expect("half"));
    let longer = STANDARD.encode([STANDARD.decode(&mac).expect("base64"), vec![0]].concat());
    let forged = Signed::by("contoso", "msg-1", now(), "another body").signature;
    let many = vec![forged.as_str(); 500].join(" ");
    for (what, signature) in [
        ("empty", String::new()),
        ("only the version", "v1,".to_owned()),
        ("truncated text", good.signature.chars().take(20).collect()),
        ("half of the bytes", format!("v1,{short}")),
        ("a byte more", format!("v1,{longer}")),
        ("another version", format!("v2,{mac}")),
        ("no version", mac.clone()),
        ("another body's", forged.clone()),
        ("the right one behind too many wrong ones", format!("{many} {}", good.signature)),
    ] {
        let signed = Signed { signature, ..good.clone() };
        let reply = sent(signed.on(unsigned(&gateway, "contoso", &event))).await;
        assert!(matches!(reply.status, 400 | 401), "{what}: {} {}", reply.status, reply.text);
    }
    for (what, changed) in [
        ("another id", Signed { id: "msg-2".to_owned(), ..good.clone() }),
        ("an id with a dot", Signed::by("contoso", "msg.1", now(), &event.body())),
        ("a later time", Signed { timestamp: (now() + 1_000).to_string(), ..good.clone() }),
        ("a time with a sign", Signed { timestamp: format!("+{}", good.timestamp), ..good.clone() }),
        ("a time that overflows", Signed { timestamp: "9".repeat(40), ..good.clone() }),
        ("no time at all", Signed { timestamp: String::new(), ..good.clone() }),
    ] {
        let reply = sent(changed.on(unsigned(&gateway, "contoso", &event))).await;
        assert_eq!(reply.status, 401, "{what}: {}", reply.text);
    }
    let respaced = event.body().replace(':', ": ");
    let request = good.on(gateway.request(Method::POST, "/v1/tenants/contoso/events"));
    let request = request.header("content-type", "application/cloudevents+json").body(respaced);
    sent(request).await.expect(401);
    let twice = good.on(unsigned(&gateway, "contoso", &event)).header("webhook-id", "msg-1");
    sent(twice).await.expect(401);
    let rotated = Signed { signature: format!("{forged} {}", good.signature), ..good };
    sent(rotated.on(unsigned(&gateway, "contoso", &event))).await.expect(202);
    gateway.quiet().await;
}

#[tokio::test]
async fn during_a_rotation_both_secrets_count_and_afterwards_only_the_new_one() {
    let instance = Instance::start();
    let rotating = "  - {name: rooms, webhook_secret: {file: coming.secret}}\n";
    let home = Home::of(&[Tenant::named("contoso", instance.url()).and(rotating)]);
    home.write("coming.secret", &hook_secret_of("the-coming-one"));
    let mut gateway = home.start().await;
    let signed = |tenant: &str, id: &str, event: &Event| Signed::by(tenant, id, now(), &event.body());
    for (number, by) in ["contoso", "the-coming-one"].into_iter().enumerate() {
        let event = Event::opened(&format!("MTR-{number}"));
        sent(signed(by, "msg", &event).on(unsigned(&gateway, "contoso", &event))).await.expect(202);
        let label = format!("credential=\"secret_{}\"", number + 1);
        assert!(gateway.metric("snowgate_sender_credentials_total", &label).await > 0.5, "{label}");
    }
    gateway.quiet().await;
    gateway.kill();
    drop(gateway);

    let file = std::fs::read_to_string(home.path().join("tenants/contoso.yaml")).expect("the tenant");
    let only_new: Vec<&str> = file.lines().filter(|line| !line.contains("env: HOOK_CONTOSO")).collect();
    home.write("tenants/contoso.yaml", &only_new.join("\n"));
    let gateway = home.start().await;
    let event = Event::opened("MTR-2");
    sent(signed("contoso", "msg", &event).on(unsigned(&gateway, "contoso", &event))).await.expect(401);
    sent(signed("the-coming-one", "msg", &event).on(unsigned(&gateway, "contoso", &event))).await.expect(202);
    gateway.quiet().await;
}
