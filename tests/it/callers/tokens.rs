//! Tokens of OAuth issuers: of a real server, and in the shapes of Entra ID with everything wrong that can be.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::issuer::{Key, KeyServer, OAuthServer, message};
use super::{bare, home_with, reasons, sent};
use crate::support::{Event, Gateway, Instance, Reply, eventually};

/// Audiences at the real server; what ends in `/curves` it signs with ES256.
const AUDIENCE: &str = "https://snowgate.example/contoso";
const CURVES: &str = "https://snowgate.example/contoso/curves";

const DIRECTORY: &str = "11111111-2222-3333-4444-555555555555";
const APP_URI: &str = "api://66666666-7777-8888-9999-000000000000";
const APP_ID: &str = "66666666-7777-8888-9999-000000000000";
const AZURE_CLIENT: &str = "461e8683-5575-4561-ac7f-899cc907d62a";
const AZURE_ROLE: &str = "ActionGroupsSecureWebhook";

async fn shown(gateway: &Gateway, tenant: &str, token: &str, incident: &str) -> Reply {
    sent(bare(gateway, tenant, &Event::opened(incident)).bearer_auth(token)).await
}

#[tokio::test]
async fn tokens_of_a_real_oauth_server_are_taken_before_and_after_it_rotates_its_keys() {
    let (server, instance) = (OAuthServer::start(), Instance::start());
    let sender = format!(
        "  - {{name: soc-app, oauth: {{issuer: \"{}\", audience: [\"{AUDIENCE}\", \"{CURVES}\"], clients: [soc], scopes: [incidents.push]}}}}\n",
        server.name
    );
    let home = home_with(&instance, &sender);
    let gateway = home.start().await;
    let before = server.token(AUDIENCE).await;
    shown(&gateway, "contoso", &before, "MTR-1").await.expect(202);
    shown(&gateway, "contoso", &server.token(CURVES).await, "MTR-2").await.expect(202);
    shown(&gateway, "contoso", &server.token("https://snowgate.example/other").await, "MTR-3").await.expect(401);
    shown(&gateway, "fabrikam", &before, "MTR-3").await.expect(401);
    shown(&gateway, "nobody", &before, "MTR-3").await.expect(401);

    server.rotate().await;
    let after = server.token(AUDIENCE).await;
    shown(&gateway, "contoso", &after, "MTR-3").await.expect(202);
    shown(&gateway, "contoso", &before, "MTR-4").await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 4);
    let told = reasons(&gateway);
    assert!(told.contains("the token is for another audience"), "{told}");
    for token in [&before, &after] {
        assert!(!gateway.log().contains(token.as_str()), "a token in the log");
    }
    let fetches = gateway.metric("snowgate_issuer_key_fetches_total", "outcome=\"fetched\"").await;
    assert!((fetches - 2.0).abs() < f64::EPSILON, "once at first and once for the new key, not {fetches}");
}

/// As Azure's secure webhook gets them, version 1: `appid`, and the App ID URI as audience.
fn version_1(changes: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    changed(
        json!({
            "aud": APP_URI, "iss": format!("https://sts.windows.net/{DIRECTORY}/"), "iat": now, "nbf": now, "exp": now + 3_600,
            "aio": "E2ZgYFjdqLW", "appid": AZURE_CLIENT, "appidacr": "2", "idp": format!("https://sts.windows.net/{DIRECTORY}/"),
            "oid": "aaaaaaaa-0000-0000-0000-000000000001", "rh": "0.AAAA", "roles": [AZURE_ROLE],
            "sub": "aaaaaaaa-0000-0000-0000-000000000001", "tid": DIRECTORY, "uti": "x", "ver": "1.0",
        }),
        changes,
    )
}

/// Version 2: `azp`, and the client id as audience.
fn version_2(changes: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    changed(
        json!({
            "aud": APP_ID, "iss": format!("https://login.microsoftonline.com/{DIRECTORY}/v2.0"), "iat": now, "nbf": now,
            "exp": now + 3_600, "aio": "ASQA2/8", "azp": AZURE_CLIENT, "azpacr": "2",
            "oid": "aaaaaaaa-0000-0000-0000-000000000001", "rh": "0.AAAA", "roles": [AZURE_ROLE],
            "sub": "aaaaaaaa-0000-0000-0000-000000000001", "tid": DIRECTORY, "uti": "y", "ver": "2.0",
        }),
        changes,
    )
}

fn changed(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims
}

fn azure_sender(keys: &KeyServer) -> String {
    format!(
        "  - {{name: azure-monitor, azure_secure_webhook: {{directory: {DIRECTORY}, audience: [\"{APP_URI}\", {APP_ID}], jwks_url: \"{}/keys\"}}}}\n",
        keys.url
    )
}

#[tokio::test]
async fn both_versions_of_entras_tokens_are_taken_and_whatever_is_wrong_with_one_is_refused() {
    let (keys, instance) = (KeyServer::start().await, Instance::start());
    let (rsa, curve) = (Key::rsa("entra-1"), Key::curve("entra-2"));
    keys.publish(&[&rsa, &curve]);
    let home = home_with(&instance, &azure_sender(&keys));
    let gateway = home.start().await;
    let nothing = json!({});
    shown(&gateway, "contoso", &rsa.sign(&version_1(&nothing)), "MTR-1").await.expect(202);
    shown(&gateway, "contoso", &rsa.sign(&version_2(&nothing)), "MTR-2").await.expect(202);
    shown(&gateway, "contoso", &curve.sign(&version_2(&nothing)), "MTR-3").await.expect(202);

    let now = jiff::Timestamp::now().as_second();
    let wrong = sent(bare(&gateway, "contoso", &Event::opened("MTR-4")).bearer_auth("sgk_wrong")).await.expect(401);
    let refused = async |what: &str, token: &str, why: &str| {
        let reply = shown(&gateway, "contoso", token, "MTR-4").await;
        assert_eq!((reply.status, &reply.text), (401, &wrong.text), "{what}");
        let told = reasons(&gateway);
        assert!(told.lines().last().is_some_and(|line| line.contains(why)), "{what}: {told}");
    };
    for (what, changes, why) in [
        ("ended", json!({"exp": now - 61}), "has ended"),
        ("not begun", json!({"nbf": now + 120}), "has not begun"),
        ("another audience", json!({"aud": "api://other"}), "another audience"),
        ("another role", json!({"roles": ["Reader"]}), "none of the sender's roles"),
        ("no role", json!({"roles": []}), "none of the sender's roles"),
        ("another application", json!({"appid": "00000003-0000-0000-c000-000000000000"}), "another client"),
        (
            "another directory",
            json!({"iss": format!("https://sts.windows.net/{}/", DIRECTORY.replace('1', "2"))}),
            "no sender has the token's issuer",
        ),
        ("no issuer of ours", json!({"iss": "https://evil.example"}), "no sender has the token's issuer"),
    ] {
        refused(what, &rsa.sign(&version_1(&changes)), why).await;
    }
    let none = format!("{}.", message(&json!({"alg": "none", "kid": "entra-1"}), &version_1(&nothing)));
    refused("no signature at all", &none, "algorithm").await;
    let public = rsa.public().to_string();
    let text = message(&json!({"alg": "HS256", "kid": "entra-1"}), &version_1(&nothing));
    let secret = EncodingKey::from_secret(public.as_bytes());
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &secret, Algorithm::HS256).expect("a signature");
    refused("the public key as a secret", &format!("{text}.{signature}"), "algorithm").await;
    refused(
        "a stranger's key under the same name",
        &Key::rsa("entra-1").sign(&version_1(&nothing)),
        "signature is wrong",
    )
    .await;
    let right = rsa.sign(&version_1(&nothing));
    let (_, signature) = right.rsplit_once('.').expect("three parts");
    let other = URL_SAFE_NO_PAD.encode(version_1(&json!({"roles": ["Admin", AZURE_ROLE]})).to_string());
    let (head, _) = right.split_once('.').expect("three parts");
    refused("other claims under the same signature", &format!("{head}.{other}.{signature}"), "signature is wrong")
        .await;
    refused("a key that nobody published", &Key::rsa("entra-9").sign(&version_1(&nothing)), "publishes no such key")
        .await;
    // Whether there is such a key by now is not asked again within a minute, and until then nobody can say.
    let again = shown(&gateway, "contoso", &Key::rsa("entra-8").sign(&version_1(&nothing)), "MTR-4").await.expect(503);
    assert_eq!(again.code(), "issuer_unavailable");
    shown(&gateway, "contoso", &rsa.sign(&version_2(&nothing)), "MTR-4").await.expect(202);
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 4);
}

#[tokio::test]
async fn while_the_issuers_keys_cannot_be_had_a_caller_is_asked_to_come_back() {
    let (keys, instance) = (KeyServer::start().await, Instance::start());
    let key = Key::rsa("entra-1");
    let home = home_with(&instance, &azure_sender(&keys));
    let gateway = home.start().await;
    let token = key.sign(&version_1(&json!({})));
    let waits = shown(&gateway, "contoso", &token, "MTR-1").await.expect(503);
    assert_eq!(waits.code(), "issuer_unavailable");
    assert!(waits.header("retry-after").parse::<u64>().is_ok_and(|wait| (1..=60).contains(&wait)), "{waits:?}");
    let of_nobody = shown(&gateway, "nobody", &token, "MTR-1").await.expect(503);
    assert_eq!(of_nobody.text, waits.text, "it is not told who is a tenant");
    let failed = gateway.metric("snowgate_issuer_key_fetches_total", "outcome=\"failed\"").await;
    assert!((failed - 1.0).abs() < f64::EPSILON, "{failed} fetches");
    keys.publish(&[&key]);
    eventually("the keys are fetched again and the token is taken", async || {
        Some(shown(&gateway, "contoso", &token, "MTR-1").await).filter(|reply| reply.status == 202)
    })
    .await;
    gateway.quiet().await;
}
