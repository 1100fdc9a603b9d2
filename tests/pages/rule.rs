//! `deploy/servicenow/business-rule.js`, the very file, in a real Node process, against our own verifier.

use serde_json::{Value, json};
use snowgate::security::signature::{HexSignatures, SignatureError, SignedHeaders, Verified, WebhookSecret, verify};

use crate::support::Bridged;
use crate::support::home::hook_secret_of;
use crate::tools::{Request, listen_once, node, now, project, run};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TICKET: &str = "699ec6375df7c9b27e8f0009f87025b7";
const ENTRY: &str = "b5c09a0137df7c9b27e8f0009f87025b";
const COMMENT: &str = "\"Größe\" {x} ${HOME}\r\n\t表示 🖥️ \\ 100 %\u{2028}";

/// A person comments on a bridged ticket; `origin` is where the gateway listens.
fn change(origin: &str, secret: &str, next: &str) -> Value {
    json!({
        "user": "abel.tuter",
        "record": {
            "sys_id": TICKET, "number": "INC0010001", "correlation_id": "sg1-abc", "sys_mod_count": "7",
            "sys_updated_on": "2026-11-22 06:00:00", "short_description": "Front display 1",
            "state": {"value": "2", "display": "In Progress"},
        },
        "tables": {"sys_journal_field": [{
            "sys_id": ENTRY, "element_id": TICKET, "element": "comments", "value": COMMENT,
            "sys_created_on": "2026-11-22 06:00:00", "sys_created_by": "abel.tuter",
        }]},
        "properties": {
            "snowgate.webhook_url": format!("{origin}/v1/tenants/contoso/webhooks/servicenow"),
            "snowgate.webhook_secret": secret, "snowgate.webhook_secret_next": next,
            "snowgate.integration_user": "snowgate", "instance_name": "contoso",
        },
    })
}

/// What the rule logs for a change.
fn logged(change: &Value, options: &Value) -> Vec<Value> {
    let mut command = node();
    command.arg(project("deploy/servicenow/test/run.js"));
    let output = run(command, &json!({"change": change, "options": options}).to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    said["logged"].as_array().expect("a list").clone()
}

/// What the rule sends for the same change of the same ticket.
fn sent(secret: &str, next: &str, options: &Value) -> Request {
    let (port, request) = listen_once();
    // The rule insists on https; the fake of the platform's client ends TLS where this server begins.
    let change = change(&format!("https://127.0.0.1:{port}"), secret, next);
    assert_eq!(logged(&change, options), [] as [Value; 0], "it was taken, so there is nothing to log");
    request.join().expect("one request came")
}

fn verified(request: &Request, body: &[u8], secret: &str) -> Result<Verified, SignatureError> {
    let headers = SignedHeaders {
        id: request.header("webhook-id"),
        timestamp: request.header("webhook-timestamp"),
        signature: request.header("webhook-signature"),
    };
    let secrets = [WebhookSecret::parse(secret).expect("a secret")];
    verify(headers, body, &secrets, HexSignatures::Refuse, now())
}

#[test]
fn what_the_pasted_rule_sends_verifies_byte_for_byte() {
    for options in [
        json!({"charset": "utf8", "scope": "scoped"}),
        json!({"charset": "latin1", "scope": "scoped"}),
        json!({"charset": "utf8", "scope": "global"}),
    ] {
        let request = sent(SECRET, "", &options);
        assert_eq!(request.line(), "POST /v1/tenants/contoso/webhooks/servicenow HTTP/1.1");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(verified(&request, &request.body, SECRET), Ok(Verified { secret: 0 }), "{options}");
        assert_eq!(verified(&request, &request.body, NEXT), Err(SignatureError::Mismatch));
        let mut tampered = request.body.clone();
        tampered[20] ^= 1;
        assert_eq!(verified(&request, &tampered, SECRET), Err(SignatureError::Mismatch));

        let snapshot: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(snapshot["event"], request.header("webhook-id"));
        assert_eq!(snapshot["journal"][0]["value"], COMMENT);
        assert_eq!(snapshot["fields"]["state"], json!({"value": "2", "display": "In Progress"}));
        assert_eq!(snapshot["actor"], "abel.tuter");
    }
}

#[test]
fn while_one_secret_replaces_another_either_side_may_be_first() {
    let request = sent(SECRET, NEXT, &json!({}));
    for known_to_us in [SECRET, NEXT] {
        assert_eq!(verified(&request, &request.body, known_to_us), Ok(Verified { secret: 0 }));
    }
}

#[test]
fn the_rules_own_cases_pass() {
    let mut command = node();
    command.args(["--test", "--test-reporter=tap"]).arg(project("deploy/servicenow/test/business-rule.test.js"));
    let output = run(command, "");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    let passed = report.lines().find_map(|line| line.strip_prefix("# pass ")).and_then(|count| count.parse().ok());
    assert!(passed.is_some_and(|passed: u32| passed >= 20), "{report}");
}

#[tokio::test]
async fn the_managed_service_gets_the_comment_that_the_pasted_rule_sends_and_a_stranger_gets_nowhere() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "system").await;
    let origin = bridged.gateway().public().replace("http://", "https://");
    let said = |secret: &str| {
        let mut change = change(&origin, secret, "");
        for column in ["sys_id", "number", "correlation_id"] {
            change["record"][column] = ticket.field(column).into();
        }
        change["tables"]["sys_journal_field"][0]["element_id"] = ticket.field("sys_id").into();
        tokio::task::spawn_blocking(move || logged(&change, &json!({})))
    };
    let refused = said(NEXT).await.expect("it ends");
    assert!(refused.len() == 1 && refused[0].as_str().is_some_and(|line| line.contains("HTTP 401")), "{refused:?}");
    assert_eq!(said(&hook_secret_of("webhook")).await.expect("it ends"), [] as [Value; 0]);
    let message = bridged.receiver.has(1, "message_added").await;
    assert_eq!(message.text("/data/message/text"), COMMENT);
    assert_eq!(message.text("/data/message/author/name"), "abel.tuter");
    assert_eq!((message.text("/subject"), message.text("/data/message/id")), ("MTR-1".into(), ENTRY.into()));
    bridged.gateway().quiet().await;
    assert_eq!(bridged.receiver.taken().len(), 2, "the ticket, and the comment once");
}
