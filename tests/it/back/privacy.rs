//! What the mapping does not list stays in the instance: a canary is looked for in everything that anybody could read.

use reqwest::Method;
use serde_json::json;
use snowgate::sim::acts::Act;
use snowgate::sim::outbound::Payload;

use crate::support::instance::Ticket;
use crate::support::mappings::TEAMS_ROOMS;
use crate::support::{Bridged, Sweeps};

const NOTE: &str = "canary-note-4Xq";
const COLUMN: &str = "canary-column-8Zt";
const FILE: &str = "canary-file-2Wp";
const STRANGER: &str = "canary-stranger-6Vb";
/// What may not even be stored.
const ALL: [&str; 3] = [NOTE, COLUMN, FILE];

/// A mapping without files on the way back.
fn without_files() -> String {
    let back = TEAMS_ROOMS.find("to_incident:").expect("a way back");
    let (to, back) = TEAMS_ROOMS.split_at(back);
    let line = back.lines().find(|line| line.starts_with("  attachments:")).expect("files");
    format!("{to}{}", back.replacen(line, "", 1))
}

/// What people write that is nobody's business, on a ticket of an incident and on one that is not bridged.
fn people_write(bridged: &Bridged, ticket: &Ticket) {
    bridged.acts("abel.tuter", ticket, &Act::WorkNote(format!("{NOTE}: the caller is difficult.")));
    bridged.instance.edit("abel.tuter", &ticket.field("sys_id"), &[("u_secret", COLUMN)]);
    let (file_name, content) = (format!("{FILE}.png"), FILE.as_bytes().to_vec());
    bridged.acts("abel.tuter", ticket, &Act::Attach { file_name, content_type: "image/png".into(), content });
    let others = [("short_description", STRANGER), ("comments", STRANGER)];
    bridged.instance.create("beth.anglin", &others);
    bridged.acts("abel.tuter", ticket, &Act::Comment("This one is for everybody.".to_owned()));
}

/// Everything anybody could read, by name.
async fn outputs(bridged: &Bridged) -> Vec<(String, Vec<u8>)> {
    let mut outputs = vec![
        ("a callback".to_owned(), bridged.receiver.bytes()),
        ("the admin listener".to_owned(), bridged.admin_says().await.into_bytes()),
        ("the log".to_owned(), bridged.gateway().log().into_bytes()),
    ];
    for name in ["snowgate.db", "snowgate.db-wal", "snowgate.db-shm"] {
        outputs.push((name.to_owned(), std::fs::read(bridged.home.path().join(name)).unwrap_or_default()));
    }
    outputs
}

async fn check_private(bridged: &Bridged, canaries: &[&str]) {
    for (name, bytes) in outputs(bridged).await {
        // A ticket that is not bridged may be on record, as far as the mapping reads it: its rule sent it. It goes no further.
        let stranger = ["a callback", "the log"].contains(&name.as_str()).then_some(&STRANGER);
        for canary in canaries.iter().chain(stranger) {
            let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
            let around = found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(300)..at + canary.len()]));
            assert!(found.is_none(), "{canary} in {name}: {around:?}");
        }
    }
    assert!(bridged.receiver.messages().contains(&"This one is for everybody.".to_owned()), "and yet it works");
}

#[tokio::test]
async fn what_is_not_listed_is_found_nowhere_whichever_way_it_was_noticed() {
    for payload in Payload::ALL {
        let bridged = Bridged::with(|setup| {
            setup.mapping = without_files();
            setup.payload = payload;
            setup.sweeps = Sweeps::Always;
            setup.columns = vec!["u_secret".to_owned()];
            // The rule sends it along; that is the admin's slip, and ends here.
            setup.fields = ["short_description", "state", "hold_reason", "impact", "u_secret", "assigned_to"]
                .map(str::to_owned)
                .to_vec();
        })
        .await;
        let ticket = bridged.opened("MTR-1", "customer").await;
        people_write(&bridged, &ticket);
        bridged.receiver.has(1, "message_added").await;
        bridged.quiet().await;
        bridged.sweep().await;
        check_private(&bridged, &ALL).await;
    }
}

#[tokio::test]
async fn a_refused_webhook_does_not_quote_what_it_said() {
    let bridged = Bridged::start().await;
    let path = "/v1/tenants/contoso/webhooks/servicenow";
    let body = json!({"sys_id": NOTE, "journal": [{"value": NOTE}], "fields": {"u_secret": COLUMN}}).to_string();
    for (body, signed) in [(body.as_str(), true), (body.as_str(), false), (&format!("{{\"{NOTE}\": {COLUMN}"), true)] {
        let request = bridged.gateway().request(Method::POST, path).body(body.to_owned());
        let request = if signed { Bridged::signs(request, "msg-1", body) } else { request };
        let refused = crate::support::Reply::of(request).await.expect("an answer");
        assert!(refused.status >= 400, "{}", refused.text);
        assert!(!ALL.iter().any(|canary| refused.text.contains(canary)), "{}", refused.text);
    }
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &Act::Comment("This one is for everybody.".to_owned()));
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    check_private(&bridged, &ALL).await;
}

#[tokio::test]
async fn a_mapping_that_lists_work_notes_sends_them_as_internal() {
    let listed =
        TEAMS_ROOMS.replace("  messages: {comments: public} ", "  messages: {comments: public, work_notes: internal} ");
    let bridged = Bridged::with(|setup| setup.mapping = listed).await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &Act::WorkNote(NOTE.to_owned()));
    let message = bridged.receiver.has(1, "message_added").await;
    assert_eq!(
        (message.text("/data/message/text"), message.text("/data/message/visibility")),
        (NOTE.into(), "internal".into())
    );
    bridged.quiet().await;
    assert!(!bridged.gateway().log().contains(NOTE));
}
