//! Every secret, and every text that people write, carries a word of its own; afterwards the words are looked for in
//! everything that anybody could read.
//!
//! Secrets may be nowhere outside of the files and variables they came from: not in the log, the metrics, an answer or the
//! store. What people wrote is in the store, in tickets and callbacks, since that is what the gateway is for; it is in no
//! log, no metric, and no answer to somebody else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use snowgate::sim::acts::Act;

use crate::support::home::{hash_of, hook_secret_of, key_of};
use crate::support::instance::{CLIENT_SECRET, PASSWORD};
use crate::support::{Answer, Bridged, Event, Home, Instance, Reply, Tenant, event, eventually};

/// What a stranger or a careless caller shows as a credential.
const SHOWN: [&str; 9] = [
    "canary-bearer-1a",
    "canary-basic-2b",
    "canary-cookie-3c",
    "canary-signature-4d",
    "canary-query-5e",
    "canary-proxy-6f",
    "canary-api-key-7g",
    "canary-path-8h",
    "canary-agent-9i",
];

/// What people and tools write.
const WRITTEN: [&str; 16] = [
    "canary-title",
    "canary-description",
    "canary-notes",
    "canary-room",
    "canary-serial",
    "canary-label",
    "canary-custom",
    "canary-mail@example",
    "canary-message",
    "canary-comment",
    "canary-worknote",
    "canary-file",
    "canary-url",
    "canary-author",
    "canary-malformed",
    "canary-wrong-type",
];

/// An event with a word in every field that holds text.
fn telling(incident: &str) -> Event {
    let data = json!({"incident": {
        "id": incident, "title": "canary-title", "description": "canary-description", "severity": "high",
        "url": "https://soc.example/canary-url", "labels": {"team": "canary-label"},
        "affected": [{"kind": "room", "name": "canary-room", "serial_number": "canary-serial"}],
        "u_free": {"mail": "canary-mail@example", "deep": ["canary-custom"]},
    }});
    event("opened", &format!("{incident}/open"), &data)
}

/// Each secret as it is, and as it travels.
fn secrets(home: &Home) -> Vec<String> {
    let mut secrets = home.secrets();
    for user in ["snowgate", "snowgate-client"] {
        for secret in [PASSWORD, CLIENT_SECRET] {
            secrets.push(STANDARD.encode(format!("{user}:{secret}")));
        }
    }
    let bare: Vec<String> =
        secrets.iter().filter_map(|secret| secret.strip_prefix("whsec_")).map(str::to_owned).collect();
    secrets.extend(bare);
    secrets
}

/// Panics with where it is if any of the words is in these bytes.
fn check_without(place: &str, bytes: &[u8], words: &[String]) {
    for word in words {
        let found = bytes.windows(word.len()).position(|window| window == word.as_bytes());
        let around = found
            .map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(400)..(at + word.len() + 80).min(bytes.len())]));
        assert!(found.is_none(), "{word} in {place}: {around:?}");
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// A request with a credential of every kind, none of which is right.
fn with_wrong_credentials(request: RequestBuilder) -> RequestBuilder {
    request
        .header("authorization", "Bearer canary-bearer-1a")
        .header("proxy-authorization", "Basic canary-proxy-6f")
        .header("cookie", "session=canary-cookie-3c")
        .header("x-api-key", "canary-api-key-7g")
        .header("user-agent", "canary-agent-9i")
}

/// Everything a stranger tries at both listeners; gives what they were told.
async fn strangers_try(bridged: &Bridged) -> Vec<Reply> {
    let gateway = bridged.gateway();
    let body = telling("MTR-9").body();
    let mut told = Vec::new();
    for path in ["contoso/events", "contoso/webhooks/servicenow", "contoso/sources/x", "canary-path-8h/events"] {
        let at = format!("/v1/tenants/{path}?token=canary-query-5e&access_token=canary-query-5e");
        let request =
            || gateway.request(Method::POST, &at).header("content-type", "application/json").body(body.clone());
        let signed =
            request().header("webhook-id", "canary-signature-4d").header("webhook-timestamp", "canary-signature-4d");
        for request in [
            with_wrong_credentials(request()),
            request().basic_auth("canary-basic-2b", Some("canary-basic-2b")),
            signed.header("webhook-signature", "v1,canary-signature-4d"),
            request(),
        ] {
            told.push(gateway.sent(request).await);
        }
    }
    for path in [
        "/v1/tenants",
        "/v1/tenants/canary-path-8h",
        "/v1/nothing?token=canary-query-5e",
        "/metrics?token=canary-query-5e",
    ] {
        told.push(gateway.sent(with_wrong_credentials(gateway.asking(Method::GET, path))).await);
    }
    told
}

/// Everything the tenant's own sender does wrong; gives what it was told.
async fn sender_errs(bridged: &Bridged) -> Vec<Reply> {
    let gateway = bridged.gateway();
    let whole = telling("MTR-8").body();
    let bodies: Vec<String> = vec![
        "\"canary-malformed\"".to_owned(),
        "{\"canary-malformed\": canary-malformed".to_owned(),
        "[\"canary-malformed\"]".to_owned(),
        whole.replace("\"high\"", "{\"canary-wrong-type\": 1}"),
        whole.replace("{\"team\":\"canary-label\"}", "\"canary-wrong-type\""),
        whole.replace("\"canary-title\"", "[\"canary-wrong-type\"]"),
        whole.replace("\"1.0\"", "\"canary-malformed\""),
        whole.replace("\"data\":{", "\"data_base64\":\"canary-malformed\",\"data\":{"),
        whole.replace("\"canary-description\"", &format!("\"{}\"", "canary-malformed".repeat(4_000))),
    ];
    let mut told = Vec::new();
    for body in bodies {
        let batch = format!("[{body}]");
        for (kind, body) in [("application/cloudevents+json", body), ("application/cloudevents-batch+json", batch)] {
            let request = gateway.request(Method::POST, "/v1/tenants/contoso/events").bearer_auth(key_of("contoso"));
            let reply = gateway.sent(request.header("content-type", kind).body(body)).await;
            assert!(reply.status >= 400, "{}", reply.text);
            told.push(reply);
        }
    }
    // An id that was used with another text.
    let again = Event::opened("MTR-1").with("/data/incident/title", json!("canary-title again"));
    told.push(gateway.post(&again).await);
    told
}

/// Broken files with secrets written where none may stand, read anew while running.
async fn reload_fails(bridged: &Bridged) -> Reply {
    let file = "tenants/contoso.yaml";
    let good = std::fs::read_to_string(bridged.home.path().join(file)).expect("the tenant");
    bridged.gateway().logs_error("were not applied");
    let inline = good.replace("password: {env: SNOW_PASSWORD}", &format!("password: {PASSWORD}"));
    assert_ne!(inline, good);
    bridged.home.write(file, &format!("{inline}api_key: {}\n", key_of("contoso")));
    let told = bridged.gateway().ask(Method::POST, "/v1/reload").await;
    assert!(told.status >= 400, "{}", told.text);
    bridged.home.write(file, &good);
    eventually("the good file is read again", async || {
        (bridged.gateway().ask(Method::POST, "/v1/reload").await.status == 200).then_some(())
    })
    .await;
    told
}

/// The store's files hold what people wrote, or the search finds nothing anywhere; and none of these words.
fn check_store(home: &Home, lists: &[&[String]]) {
    let names = ["snowgate.db", "snowgate.db-wal", "snowgate.db-shm"];
    let files = names.map(|name| (name, std::fs::read(home.path().join(name)).unwrap_or_default()));
    for (name, bytes) in &files {
        for words in lists {
            check_without(name, bytes, words);
        }
    }
    let finds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("canary-title");
    assert!(files.iter().any(|(_, bytes)| finds(bytes)), "the search finds what is there");
}

#[tokio::test]
async fn no_secret_is_anywhere_and_nothing_that_was_written_is_in_log_or_metrics() {
    let bridged = Bridged::start().await;
    let gateway = bridged.gateway();
    gateway.post(&telling("MTR-1")).await.expect(202);
    gateway.quiet().await;
    let ticket = bridged.instance.tickets().into_iter().next().expect("a ticket");
    bridged.says("message_added", "m-1", json!({"incident": {"id": "MTR-1"}, "message": {"id": "m1", "text": "canary-message", "visibility": "public", "author": {"name": "canary-author"}}})).await;
    bridged.comments("abel.tuter", &ticket, "canary-comment");
    bridged.acts("abel.tuter", &ticket, &Act::WorkNote("canary-worknote".to_owned()));
    let (file_name, content) = ("canary-file.txt".to_owned(), b"canary-file".to_vec());
    bridged.acts("abel.tuter", &ticket, &Act::Attach { file_name, content_type: "text/plain".into(), content });
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    // A callback that is refused, and one that is not taken for a while.
    bridged.receiver.answers_next([Answer::TakeSaying(400, json!({"error": "canary-refusal"})), Answer::Refuse(500)]);
    bridged.comments("abel.tuter", &ticket, "canary-comment, refused");
    let parked = eventually("it is parked", async || gateway.deliveries("parked").await.into_iter().next()).await;
    gateway.leaves_parked(1);
    bridged.comments("abel.tuter", &ticket, "canary-comment, later");
    bridged.quiet().await;

    let strangers = strangers_try(&bridged).await;
    let sender = sender_errs(&bridged).await;
    let reloaded = reload_fails(&bridged).await;
    bridged
        .says(
            "resolved",
            "r-1",
            json!({"incident": {"id": "MTR-1", "resolution": {"code": "self_healed", "notes": "canary-notes"}}}),
        )
        .await;
    bridged.quiet().await;

    let (secrets, shown, written) = (secrets(&bridged.home), words(&SHOWN), words(&WRITTEN));
    let log = gateway.log().into_bytes();
    let metrics = gateway.ask(Method::GET, "/metrics").await.expect(200).text;
    let admin = bridged.admin_says().await + &gateway.record(parked["id"].as_str().expect("an id")).await.to_string();
    let configuration = gateway.ask(Method::GET, "/v1/configuration").await.expect(200).text;
    for (place, bytes) in [
        ("the log", log.as_slice()),
        ("the metrics", metrics.as_bytes()),
        ("the configuration", configuration.as_bytes()),
    ] {
        for words in [&secrets, &shown, &written] {
            check_without(place, bytes, words);
        }
    }
    check_without("the admin listener", admin.as_bytes(), &secrets);
    check_without("the admin listener", admin.as_bytes(), &shown);
    for reply in &strangers {
        let whole = format!("{:?} {}", reply.headers, reply.text);
        // An operator on this machine is shown what is there; a stranger at the door nothing at all.
        for words in [&secrets, &shown] {
            check_without("what a stranger is told", whole.as_bytes(), words);
        }
    }
    for reply in sender.iter().chain([&reloaded]) {
        let whole = format!("{:?} {}", reply.headers, reply.text);
        for words in [&secrets, &shown, &written] {
            check_without("an error's body", whole.as_bytes(), words);
        }
    }
    // What the other side says to refuse something is told, as one short line; it is no part of what was sent.
    check_without("the metrics", metrics.as_bytes(), &words(&["canary-refusal"]));
    check_without("a callback", &bridged.receiver.bytes(), &secrets);
    check_store(&bridged.home, &[&secrets, &shown]);
    for ticket in bridged.instance.tickets() {
        check_without("a ticket", format!("{ticket:?}").as_bytes(), &secrets);
    }
}

#[tokio::test]
async fn no_line_of_the_log_has_a_field_for_what_must_not_be_told() {
    let bridged = Bridged::start().await;
    let gateway = bridged.gateway();
    gateway.post(&telling("MTR-1")).await.expect(202);
    bridged.quiet().await;
    strangers_try(&bridged).await;
    sender_errs(&bridged).await;
    reload_fails(&bridged).await;
    bridged.quiet().await;
    for line in gateway.log().lines().skip_while(|line| !line.starts_with('{')) {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let span = record["span"].as_object().into_iter().flat_map(|span| span.keys());
        let secretive = ["authorization", "cookie", "body", "query", "password", "secret", "location"];
        let mut fields = record.as_object().expect("an object").keys().chain(span);
        let found = fields.find(|field| secretive.iter().any(|word| field.contains(word)));
        assert_eq!(found, None, "{line}");
    }
}

#[tokio::test]
async fn a_token_for_the_instance_is_nowhere_but_on_its_way() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).with_oauth()]);
    let operator = "canary-operator-token-5Rt";
    let settings = std::fs::read_to_string(home.path().join("snowgate.yaml")).expect("the settings");
    let operators = format!("operators:\n  - {{name: ada, role: read, api_key_sha256: \"{}\"}}\n", hash_of(operator));
    home.write("snowgate.yaml", &format!("{settings}{operators}"));
    let gateway = home.start().await;
    gateway.asks_for_tokens();
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("it is delivered", async || (instance.tickets().len() == 1).then_some(())).await;
    // Refused by role, and by a token that is nobody's.
    let paths =
        ["/v1/tenants", "/v1/tenants/contoso", "/v1/tenants/contoso/deliveries", "/v1/configuration", "/metrics"];
    let mut told = String::new();
    for path in paths {
        for token in [operator, "canary-nobodys-token"] {
            let reply = gateway.sent(gateway.asking(Method::GET, path).bearer_auth(token)).await;
            told = format!("{told}{:?} {}", reply.headers, reply.text);
        }
    }
    let pause = gateway.asking(Method::POST, "/v1/tenants/contoso/pause").bearer_auth(operator);
    told.push_str(&gateway.sent(pause).await.expect(403).text);
    let mut words = secrets(&home);
    words.extend([operator.to_owned(), "canary-nobodys-token".to_owned(), hook_secret_of("contoso")]);
    let database =
        ["snowgate.db", "snowgate.db-wal"].map(|name| std::fs::read(home.path().join(name)).unwrap_or_default());
    words.push(token_of(&instance).await);
    assert_eq!(instance.token_fetches(), 2, "the gateway's and ours");
    for (place, bytes) in [("the log", gateway.log().into_bytes()), ("an answer", told.into_bytes())] {
        check_without(place, &bytes, &words);
    }
    for bytes in database {
        check_without("the store", &bytes, &words);
    }
}

/// The token that the instance gave out: within its life it gives the same one again.
async fn token_of(instance: &Instance) -> String {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let form = format!("grant_type=client_credentials&client_id=snowgate-client&client_secret={CLIENT_SECRET}");
    let request = client.post(format!("{}/oauth_token.do", instance.url())).body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let reply = Reply::of(request).await.expect("an answer").expect(200);
    reply.json()["access_token"].as_str().expect("a token").to_owned()
}
