//! What must hold for any bytes: one function per parser of what comes from outside. The fuzzer calls them with what it makes up,
//! `tests/corpora.rs` with everything it ever found worth keeping, so that nothing that was mended comes back.
//!
//! A function fails by panicking: in the parser, or here where an answer makes no sense.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use snowgate::domain::change::{Change, ChangeKind};
use snowgate::domain::id::{EventKey, SysId, TenantId};
use snowgate::domain::sighting::Sighting;
use snowgate::domain::time::Timestamp;
use snowgate::limits::{ASKED_WAIT_MAX, FIELD_VALUE_CHARS_MAX};
use snowgate::mapping::source::{self, Source};
use snowgate::mapping::{FindingSeverity, Lookups, Mapping, Operation, SourceFile, TicketView, compile};
use snowgate::peer::message::{self, Answer};
use snowgate::peer::{oauth, waits};
use snowgate::security::pagerduty::{self, PagerdutySecret};
use snowgate::security::proxies;
use snowgate::security::signature::{self, HexSignatures, SignedHeaders, WebhookSecret};
use snowgate::security::token::{Issuer, KeySet, Token};
use snowgate::servicenow::classify::classify;
use snowgate::servicenow::journal::parse_history;
use snowgate::servicenow::wire::calls::CallKind;
use snowgate::settings::{self, Environment};

static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId::parse("contoso").expect("a name"));
static SHIPPED: LazyLock<Mapping> = LazyLock::new(|| {
    let text = include_str!("../mappings/teams-rooms.yaml").to_owned();
    compile(&SourceFile::new("teams-rooms.yaml", text)).0.expect("it is shipped")
});
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let files = [
        ("alertmanager-group.yaml", include_str!("../mappings/sources/alertmanager-group.yaml")),
        ("alertmanager.yaml", include_str!("../mappings/sources/alertmanager.yaml")),
        ("azure-monitor.yaml", include_str!("../mappings/sources/azure-monitor.yaml")),
        ("cloudevents.yaml", include_str!("../mappings/sources/cloudevents.yaml")),
        ("defender.yaml", include_str!("../mappings/sources/defender.yaml")),
        ("grafana.yaml", include_str!("../mappings/sources/grafana.yaml")),
        ("opsgenie.yaml", include_str!("../mappings/sources/opsgenie.yaml")),
        ("pagerduty-events.yaml", include_str!("../mappings/sources/pagerduty-events.yaml")),
        ("pagerduty.yaml", include_str!("../mappings/sources/pagerduty.yaml")),
        ("sentinel.yaml", include_str!("../mappings/sources/sentinel.yaml")),
        ("teams-admin-center.yaml", include_str!("../mappings/sources/teams-admin-center.yaml")),
    ];
    let compiled = files.iter().map(|(name, text)| source::compile(&SourceFile::new(*name, (*text).to_owned())).0);
    compiled.map(|source| source.expect("it is shipped")).collect()
});
/// 2026-11-22T06:00:00Z.
const NOW: i64 = 1_795_327_200;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

/// The first byte chooses, the rest is the input.
fn chosen(data: &[u8]) -> (usize, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}

/// Bodies of the events route. What is accepted reads back from the store; what is refused is the sender's fault, not ours.
pub(crate) fn events(data: &[u8]) {
    const TYPES: [&str; 4] = [
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/json",
        "application/json; charset=utf-8",
    ];
    let (choice, body) = chosen(data);
    let mut headers = HeaderMap::new();
    let media_type = TYPES[choice % TYPES.len()];
    headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(media_type));
    let binary = [("ce-specversion", "1.0"), ("ce-id", "e-1"), ("ce-source", "soc"), ("ce-type", "incident.opened")];
    for (name, value) in binary.into_iter().filter(|_| choice % 8 >= 4) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let items = snowgate::http::deliveries_of(&TENANT, &headers, body);
    if let Err(refusal) = &items {
        assert!(refusal.code().status().is_client_error(), "{refusal}");
    }
    for delivery in items.into_iter().flatten().flatten() {
        let kind = delivery.kind.change().expect("an event of an incident");
        let stored = Change::from_slice(kind, Some(delivery.incident.clone()), delivery.body.as_bytes());
        assert_eq!(stored.expect("what was accepted reads back").incident.id, delivery.incident);
    }
}

/// Webhooks of ServiceNow, in any shape that real rules send. What was read is stored and read back as it is.
pub(crate) fn webhooks(data: &[u8]) {
    const TYPES: [Option<&str>; 4] =
        [None, Some("application/json"), Some("application/x-www-form-urlencoded"), Some("text/plain")];
    let (choice, body) = chosen(data);
    let Ok(read) = Sighting::read(body, TYPES[choice % TYPES.len()]) else { return };
    let stored = read.sighting.to_stored();
    assert_eq!(Sighting::from_stored(&stored).expect("our own writing"), read.sighting);
    let event = EventKey::new("servicenow", "fuzzed").expect("short");
    let delivery = snowgate::http::delivery_of(&TENANT, &SHIPPED, event, read, body);
    assert!(Sighting::from_stored(&delivery.body).is_ok(), "what is stored reads back");
}

/// Headers of Standard Webhooks, three lines and then the body. Only a signature that we would make ourselves is believed.
pub(crate) fn signatures(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (id, timestamp, signature) = (line(), line(), line());
    let body = data.splitn(4, |byte| *byte == b'\n').nth(3).unwrap_or_default();
    let headers = SignedHeaders { id, timestamp, signature };
    let secrets = [WebhookSecret::from_entropy([7; 32]).0, WebhookSecret::from_entropy([9; 32]).0];
    for hex in [HexSignatures::Refuse, HexSignatures::Accept] {
        if let Ok(verified) = signature::verify(headers, body, &secrets, hex, now()) {
            let sent: i64 = timestamp.parse().expect("it was believed");
            let ours = signature::sign(id, Timestamp::from_millis(sent * 1000), body, &secrets[verified.secret]);
            let listed = signature.split(' ').any(|one| one == ours);
            assert!(listed || hex == HexSignatures::Accept, "{signature} is not {ours}");
        }
    }
    drop(WebhookSecret::parse(id));
}

/// Headers of an answer, one per line, as `name: value`. No wait is in the past, none is longer than a day and a bit.
pub(crate) fn answer_waits(data: &[u8]) {
    let answer = Answer { status: 429, headers: headers_of(data), body: Vec::new(), cut: false };
    let most = now().plus(ASKED_WAIT_MAX).plus(ASKED_WAIT_MAX);
    let until = waits::throttled_until(now(), &answer);
    assert!(until > now() && until <= most, "{until}");
    for at in [waits::retry_after(now(), &answer), waits::window_ends(now(), &answer)].into_iter().flatten() {
        assert!(at >= now() && at <= most, "{at}");
    }
}

fn headers_of(data: &[u8]) -> message::HeaderMap {
    let mut headers = message::HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(16) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = message::HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = message::HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Mapping files. Whatever is wrong is a finding with a place; whatever is right can be used on any change, both ways.
pub(crate) fn mappings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.split('\n').count().max(1);
    let (mapping, findings) = compile(&SourceFile::new("fuzzed.yaml", text.to_owned()));
    for finding in &findings {
        assert!((1..=lines).contains(&finding.line) && finding.column >= 1, "{finding:?}");
        assert!(!finding.render(false).is_empty());
    }
    let Some(mapping) = mapping else {
        assert!(findings.iter().any(|finding| finding.severity == FindingSeverity::Error), "refused without a reason");
        return;
    };
    drop(mapping.run_cases());
    used(&mapping);
}

/// One expression, as a field, a condition and a way back. It is bounded in what it makes.
pub(crate) fn expressions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let quoted = json!(format!("{{{{ {text} }}}}"));
    let file = format!(
        "version: 1\nname: x\ntarget: {{table: incident}}\nto_ticket:\n  fields:\n    u_x: {quoted}\n    u_y: {{value: a, when: {quoted}}}\n"
    );
    if let (Some(mapping), _) = compile(&SourceFile::new("fuzzed.yaml", file)) {
        used(&mapping);
    }
    let back = format!(
        "version: 1\nname: x\ntarget: {{table: incident}}\nto_ticket: {{fields: {{u_x: a}}}}\nto_incident: {{fields: {{custom.x: {quoted}}}}}\n"
    );
    if let (Some(mapping), _) = compile(&SourceFile::new("fuzzed.yaml", back)) {
        used(&mapping);
    }
}

/// Applies a mapping to a change of every kind, and to a ticket.
fn used(mapping: &Mapping) {
    for kind in ChangeKind::ALL {
        let change = Change::from_data(kind, sample()).expect("a change of any kind");
        for operation in [Operation::Create, Operation::Update] {
            let lookups = Lookups::as_if_found(mapping.plan(&change, operation));
            let fields = mapping.apply(&change, operation, &lookups).map(|draft| draft.fields).unwrap_or_default();
            for field in fields.iter().filter(|field| !field.value.starts_with('<')) {
                assert!(field.value.chars().count() <= FIELD_VALUE_CHARS_MAX, "{}", field.name);
            }
        }
    }
    let mut ticket = TicketView::default();
    for column in mapping.ticket_columns() {
        ticket.set(&**column, "2".to_owned(), Some("Two".to_owned()));
    }
    drop(mapping.to_incident(&ticket));
    drop(mapping.opens(&ticket));
}

fn sample() -> Value {
    json!({
        "incident": {"id": "MTR-1", "title": "Front display 1 not detected ä", "description": "{{ secret }}", "severity": "high",
            "state": "resolved", "episode": 2, "high_impact": true, "tags": ["a", "b"], "labels": {"team": "av"},
            "affected": [{"kind": "room", "name": "Berlin 4.12", "serial": "PF2"}], "messages": [{"id": "m", "text": "t"}],
            "resolution": {"code": "other", "notes": "n"}, "times": {"opened_at": "2026-11-22T06:00:00Z"}, "custom": {"n": 3.5, "l": [1, "b"]}},
        "message": {"id": "m2", "text": "text", "visibility": "public"}, "escalation": {"level": 2, "channel": "oem"},
        "attachment": {"id": "a", "name": "log.zip", "url": "https://soc.example/a", "size": 1},
    })
}

/// Answers of an instance, of its token endpoint and of a managed service: the first two bytes choose the call and the status.
pub(crate) fn answers(data: &[u8]) {
    const CALLS: [CallKind; 6] =
        [CallKind::Create, CallKind::Update, CallKind::ReadOne, CallKind::List, CallKind::Upload, CallKind::Download];
    const STATUS: [u16; 16] = [200, 201, 202, 204, 301, 400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 599];
    let (call, rest) = chosen(data);
    let (status, body) = chosen(rest);
    let mut headers = message::HeaderMap::new();
    let kind = if status >= 128 { "text/html" } else { "application/json;charset=UTF-8" };
    headers.insert("content-type", message::HeaderValue::from_static(kind));
    let answer = Answer { status: STATUS[status % STATUS.len()], headers, body: body.to_vec(), cut: status % 32 >= 16 };
    let reply = Ok(answer.clone());
    match classify(CALLS[call % CALLS.len()], now(), &reply) {
        Ok(rows) => {
            for row in rows {
                assert!(SysId::parse(&row.sys_id.to_string()).is_ok(), "{}", row.sys_id);
                drop(parse_history("comments", row.get("comments").unwrap_or_default()));
            }
        }
        Err(outcome) => assert!(!outcome.code.is_empty()),
    }
    if let Ok(tidy) = oauth::answer::tidy(now(), Ok(answer)) {
        let token: BTreeMap<String, Value> = serde_json::from_slice(&tidy).expect("tidy JSON");
        assert!(token.get("access_token").and_then(Value::as_str).is_some_and(|token| !token.is_empty()));
    }
    drop(snowgate::callback::classify::classify(now(), &reply));
    drop(parse_history("work_notes", &String::from_utf8_lossy(body)));
}

/// A tenant's file. Whatever is wrong is a finding that names the file; no secret of the environment is quoted.
pub(crate) fn tenant_files(data: &[u8]) {
    const SECRET: &str = "canary-6e1f0b7a4c";
    let folder = tempfile::tempdir().expect("a place for files");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("our own folder");
    std::fs::create_dir(folder.path().join("tenants")).expect("our own folder");
    write("snowgate.yaml", b"store: {url: memory}\ntenants: tenants\nmappings: .\n");
    write("tenants/contoso.yaml", data);
    let environment = Environment::empty_in(folder.path()).with("SECRET", SECRET);
    let loaded = settings::load(&folder.path().join("snowgate.yaml"), &environment);
    for finding in &loaded.findings {
        assert!(!finding.file.is_empty() && !finding.message.is_empty(), "{finding:?}");
        assert!(!finding.render(false).contains(SECRET), "a secret is quoted");
    }
    let has_error = loaded.findings.iter().any(settings::Finding::is_error);
    assert!(has_error || !loaded.tenants.is_empty(), "refused without a reason");
}

/// Payloads of tools, through every shipped source: the first byte chooses. What becomes of one is an event that reads back
/// from the store, and the same payload becomes the same events again.
pub(crate) fn payloads(data: &[u8]) {
    let (choice, body) = chosen(data);
    let Ok(payload) = serde_json::from_slice::<Value>(body) else { return };
    let source = &SOURCES[choice % SOURCES.len()];
    drop(source.key(&payload));
    let read = source.read_at(&payload, now());
    assert_eq!(read, source.read_at(&payload, now()), "twice the same");
    for event in read.map(|read| read.events).unwrap_or_default() {
        let stored = Change::from_slice(event.change.kind, None, event.data.as_bytes()).expect("our own writing");
        assert_eq!(stored.incident.id, event.change.incident.id);
    }
}

/// Source files. Whatever is wrong is a finding with a place.
pub(crate) fn source_files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, findings) = source::compile(&SourceFile::new("source.yaml", text.to_owned()));
    for finding in &findings {
        assert!(!finding.render(false).is_empty());
    }
    match source {
        Some(source) => drop(source.run_cases(&|_| Err("no file".to_owned()))),
        None => assert!(findings.iter().any(|finding| finding.severity == FindingSeverity::Error), "no reason"),
    }
}

/// What callers show: a token, an issuer's keys, PagerDuty's signature and a proxy's header, one per line. Nothing that was
/// made up proves anything.
pub(crate) fn credentials(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (shown, keys, header, body) = (line(), line(), line(), line());
    let keys = KeySet::parse(keys.as_bytes()).unwrap_or_default();
    if let Ok(token) = Token::read(shown) {
        assert!(!token.key_id().is_empty() && Token::is_meant(shown) || !shown.starts_with("eyJ"), "{shown}");
        std::hint::black_box(keys.has(token.key_id()));
        let known: [(Issuer, &KeySet); 0] = [];
        assert!(token.proven_by(known.into_iter()).is_err(), "nobody vouches for it");
    }
    let secret = PagerdutySecret::parse("n0HeaderWasMadeWithThis0123456789abcdef").expect("long enough");
    assert!(pagerduty::verify(header, body.as_bytes(), &[secret]).is_err(), "{header}");
    std::hint::black_box(proxies::names(header, "soc.example"));
}
