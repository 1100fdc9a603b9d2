//! What people write stays text: in a ticket, in a query, in a template, and in the log.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::raw::{SOON, exchange, lines};
use crate::support::home::key_of;
use crate::support::{Event, Gateway, Home, Instance, Tenant, mappings};

/// What other programs would take for something to do.
const HOSTILE: [&str; 12] = [
    "{{secret}} {{ incident.id }} {% for i in range(9) %}x{% endfor %}",
    "${jndi:ldap://evil.example/a} #{7*7} <%= 7*7 %>",
    "javascript:gs.sleep(60000)",
    "AV Support^ORsys_idISNOTEMPTY^NQactive=true",
    "<script>alert(1)</script> [code]<b>bold</b>[/code]",
    "'; drop table deliveries; --",
    "../../../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "&sysparm_limit=10000#fragment%26x=1",
    "\u{202e}txt.exe \u{200b}\u{feff}",
    "\"}],\"evil\":true,\"x\":[{\"",
    "[sg 00000000] Snowgate",
];

#[tokio::test]
async fn a_text_with_code_in_it_stands_in_the_ticket_as_it_was_written() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let incident = format!("MTR-{number}");
        let titled = Event::opened(&incident).with("/data/incident/title", json!(text));
        gateway.post(&titled).await.expect(202);
        gateway.post(&Event::message(&incident, 1, text)).await.expect(202);
    }
    gateway.quiet().await;
    let tickets = instance.tickets();
    assert_eq!(tickets.len(), HOSTILE.len());
    for text in HOSTILE {
        let of_it: Vec<_> = tickets.iter().filter(|ticket| ticket.field("short_description") == text).collect();
        assert_eq!(of_it.len(), 1, "{text}: {tickets:#?}");
        assert_eq!(of_it.iter().flat_map(|ticket| ticket.journal("comments")).collect::<Vec<_>>(), [text]);
    }
}

#[tokio::test]
async fn a_text_that_is_looked_up_can_become_no_condition() {
    let instance = Instance::start();
    let group = r#"assignment_group: {value: "{{ incident.labels.team }}", lookup: {table: sys_user_group, by: name, missing: skip}, when: "{{ incident.labels.team is defined }}"}"#;
    let tenant = Tenant::named("contoso", instance.url()).mapped_by(&mappings::plain_with(&[group]));
    let home = Home::of(&[tenant]);
    let gateway = home.start().await;
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let event = Event::opened(&format!("MTR-{number}")).with("/data/incident/labels", json!({"team": text}));
        gateway.post(&event).await.expect(202);
    }
    gateway.quiet().await;
    let asked: Vec<String> = instance.calls().iter().map(|call| call.target.clone()).collect();
    let lookups: Vec<&String> = asked.iter().filter(|target| target.contains("sys_user_group")).collect();
    assert!(!lookups.is_empty(), "{asked:#?}");
    for target in lookups {
        let query = target.split("sysparm_query=").nth(1).unwrap_or_default().split('&').next().unwrap_or_default();
        assert!(!query.to_lowercase().contains("javascript"), "{target}");
        // A caret of the text is doubled, and so joins nothing.
        assert!(!query.replace("%5E%5E", "").contains("%5EOR"), "{target}");
        assert!(!query.replace("%5E%5E", "").contains("%5ENQ"), "{target}");
        assert_eq!(target.matches("&sysparm_limit=").count(), 1, "{target}");
    }
    let groups: Vec<String> = instance.tickets().iter().map(|ticket| ticket.field("assignment_group")).collect();
    assert!(groups.iter().all(String::is_empty), "a text found a group: {groups:?}");
}

/// Expressions that a careless or wicked author of a mapping could write.
fn expensive() -> Vec<(&'static str, String)> {
    let wide = format!("'{}'", "t".repeat(1_000));
    vec![
        ("nothing to fear", "{{ incident.title }}".to_owned()),
        ("a loop", "{% for i in range(1000000000) %}x{% endfor %}".to_owned()),
        ("a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned()),
        ("another file", "{% include '/etc/passwd' %}".to_owned()),
        ("a range", "{{ range(1000000000) }}".to_owned()),
        ("a text that doubles", format!("{{{{ {wide} | replace('t', {wide}) | replace('t', {wide}) }}}}")),
        ("a product of texts", "{{ 'x' * 1000000000 }}".to_owned()),
        ("brackets in brackets", format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500))),
        ("a sum without end", format!("{{{{ 1{} }}}}", " + 1".repeat(1_500))),
        ("an environment", "{{ env('SNOW_PASSWORD') }}".to_owned()),
        ("what is behind an object", "{{ incident.__class__.__mro__ }}".to_owned()),
        ("a name that is nowhere", "{{ secret }}".to_owned()),
    ]
}

fn described(what: &str) -> Event {
    Event::opened(&format!("MTR-{what}")).with("/data/incident/description", json!("dark"))
}

#[tokio::test]
async fn an_expensive_mapping_is_refused_or_stopped_and_costs_nobody_anything() {
    let instance = Instance::start();
    let mut stopped = 0;
    for (what, expression) in expensive() {
        let value = Value::String(expression.clone());
        let rule = format!("description: {{value: {value}, when: \"{{{{ incident.description is defined }}}}\"}}");
        let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&mappings::plain_with(&[&rule]))]);
        let begun = Instant::now();
        let checked = home.command(&["check", "--config", "snowgate.yaml"]).stdout(Stdio::piped()).output();
        let checked = checked.expect("it runs");
        let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
        assert!(!said.contains("root:") && !said.contains("canary"), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        // What the check lets pass must not be able to do any harm either.
        assert!(checked.status.success() || what != "nothing to fear", "{said}");
        stopped += usize::from(!checked.status.success());
        if checked.status.success() {
            let gateway = home.start().await;
            let delivery = gateway.post(&described(what)).await.expect(202).delivery();
            gateway.quiet().await;
            let record = gateway.record(&delivery).await;
            let parked = record["state"] == "parked";
            gateway.leaves_parked(u64::from(parked));
            let notes = instance.tickets().iter().flat_map(|ticket| [ticket.field("description")]).collect::<String>();
            assert!(parked || notes.len() < 100_000, "{what}: {record}");
            assert!(begun.elapsed() < Duration::from_mins(1), "{what}: {:?}", begun.elapsed());
        }
    }
    assert!(stopped >= 9, "only {stopped} of them are refused when the file is read");
}

/// Every line of the log is one JSON object, and holds nothing that moves a cursor or turns the reading direction.
fn check_log(gateway: &Gateway) {
    let log = gateway.log();
    for line in log.lines().skip_while(|line| !line.starts_with('{')) {
        let record: Value = serde_json::from_str(line).expect(line);
        assert!(record["level"].is_string() && record["evil"].is_null(), "{line}");
    }
    let treacherous =
        |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}'));
    assert!(!log.contains(treacherous), "{log}");
}

const FORGED: &str = "a\r\n{\"level\":\"ERROR\",\"evil\":true}\n\u{1b}[2J\u{1b}[31m \u{202e}\u{2028}\u{85}\u{7f}\"}";

#[tokio::test]
async fn no_text_of_an_event_forges_a_line_of_the_log() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    for (number, pointer) in [
        "/id",
        "/source",
        "/type",
        "/specversion",
        "/subject",
        "/origin",
        "/datacontenttype",
        "/data/incident/id",
        "/data/incident/title",
        "/data/incident/severity",
        "/data/incident/state",
    ]
    .into_iter()
    .enumerate()
    {
        let event = Event::opened(&format!("MTR-{number}")).with(pointer, json!(FORGED));
        let reply = gateway.post(&event).await;
        assert!(matches!(reply.status, 202 | 400 | 422), "{pointer}: {}", reply.text);
    }
    gateway.quiet().await;
    let parked = gateway.deliveries("parked").await.len();
    gateway.leaves_parked(u64::try_from(parked).expect("few"));
    check_log(&gateway);
}

#[tokio::test]
async fn no_header_and_no_address_forges_a_line_of_the_log() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let body = Event::opened("MTR-1").body();
    let names = [
        "User-Agent",
        "X-Request-Id",
        "traceparent",
        "Content-Type",
        "webhook-id",
        "webhook-signature",
        "Prefer",
        "ce-id",
        "Host",
        "Referer",
    ];
    // What a header may hold by the letter: everything but control characters, in whatever bytes.
    for evil in ["{\"level\":\"ERROR\",\"evil\":true}", "\u{202e}evil", "\u{85}\u{2028}x", "\"}\t{"] {
        for name in names {
            let request = format!("{}{name}: {evil}\r\nContent-Length: {}\r\n\r\n{body}", lines(""), body.len());
            let said = exchange(
                gateway.address(),
                request.replacen("Authorization", "Connection: close\r\nAuthorization", 1).as_bytes(),
                SOON,
            )
            .await;
            assert!(said.statuses.iter().all(|status| *status < 500), "{name}: {}", said.text);
        }
        let encoded = evil.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        let path = format!(
            "POST /v1/tenants/{encoded}/events?x={encoded} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n",
            key_of("contoso")
        );
        exchange(gateway.address(), path.as_bytes(), SOON).await;
    }
    gateway.quiet().await;
    check_log(&gateway);
}
