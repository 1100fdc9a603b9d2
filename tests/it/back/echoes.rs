//! What we wrote never comes back, whatever the instance makes of it.

use serde_json::json;
use snowgate::sim::acts::Act;

use crate::support::bridged::Setup;
use crate::support::{Bridged, Event, Sweeps};

/// The managed service says something in every way there is, and the ticket has it.
async fn everything_is_said(bridged: &Bridged) {
    let incident = |data: serde_json::Value| json!({"incident": data});
    bridged.opened("MTR-1", "customer").await;
    bridged.says("updated", "u-1", incident(json!({"id": "MTR-1", "severity": "low", "state": "investigating"}))).await;
    bridged.gateway().post(&Event::message("MTR-1", 1, "Please look.")).await.expect(202);
    bridged.says("updated", "u-2", incident(json!({"id": "MTR-1", "state": "awaiting_external"}))).await;
    bridged.gateway().post(&Event::message("MTR-1", 2, "A part is on its way.")).await.expect(202);
    bridged.says("resolved", "r-1", incident(json!({"id": "MTR-1", "resolution": {"code": "self_healed"}}))).await;
    bridged.says("reopened", "o-1", incident(json!({"id": "MTR-1"}))).await;
    let ticket = bridged.instance.ticket_of("MTR-1");
    assert_eq!(ticket.field("state"), "2");
    assert_eq!(ticket.journal("comments").len(), 2);
}

async fn nothing_comes_back(change: impl FnOnce(&mut Setup)) -> Bridged {
    let bridged = Bridged::with(change).await;
    everything_is_said(&bridged).await;
    bridged.quiet().await;
    let kinds: Vec<String> = bridged.receiver.taken().iter().map(|callback| callback.text("/type")).collect();
    assert_eq!(kinds, ["ticket.linked"], "{:#?}", bridged.receiver.taken());
    bridged
}

#[tokio::test]
async fn our_writes_do_not_come_back() {
    nothing_comes_back(|_| {}).await;
}

#[tokio::test]
async fn our_writes_do_not_come_back_if_the_rule_tells_everything() {
    let bridged = nothing_comes_back(|setup| setup.skip_user = None).await;
    assert!(bridged.instance.outbound().len() >= 5, "the rule did tell them");
    assert!(bridged.gateway().metric("snowgate_echoes_cut_total", "tenant=\"contoso\"").await > 0.5);
}

#[tokio::test]
async fn our_writes_do_not_come_back_if_rules_save_the_row_after_us() {
    nothing_comes_back(|setup| {
        setup.skip_user = None;
        setup.switches.resaved_by_system = true;
    })
    .await;
}

#[tokio::test]
async fn our_writes_do_not_come_back_by_the_sweep() {
    let bridged = nothing_comes_back(|setup| {
        setup.sweeps = Sweeps::Always;
        setup.switches.resaved_by_system = true;
    })
    .await;
    bridged.sweep().await;
    assert_eq!(bridged.receiver.taken().len(), 1);
}

#[tokio::test]
async fn what_the_instance_sets_because_of_our_resolution_does_not_come_back() {
    let bridged = Bridged::with(|setup| setup.sweeps = Sweeps::Always).await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.says("resolved", "r-1", json!({"incident": {"id": "MTR-1"}})).await;
    bridged.sweep().await;
    let resolved = bridged.now(&ticket);
    assert!(!resolved.field("resolved_at").is_empty() && !resolved.field("resolved_by").is_empty(), "{resolved:?}");
    let kinds: Vec<String> = bridged.receiver.taken().iter().map(|callback| callback.text("/type")).collect();
    assert_eq!(kinds, ["ticket.linked"], "{:#?}", bridged.receiver.taken());
}

#[tokio::test]
async fn our_comment_that_another_integration_copies_does_not_come_back() {
    let bridged = Bridged::with(|setup| setup.skip_user = None).await;
    let ticket = bridged.opened("MTR-1", "system").await;
    bridged.gateway().post(&Event::message("MTR-1", 1, "Please look.")).await.expect(202);
    bridged.gateway().quiet().await;
    let ours = bridged.instance.entries(&ticket.field("sys_id")).pop().expect("written").text;
    assert!(ours.starts_with("Please look."), "{ours}");
    // A mail gateway writes the caller's view of it back under a name of its own, reflowed.
    bridged.comments("system", &ticket, &ours.replace('\n', " \r\n"));
    bridged.comments("abel.tuter", &ticket, "Looking.");
    bridged.receiver.has(1, "message_added").await;
    bridged.quiet().await;
    assert_eq!(bridged.receiver.messages(), ["Looking."]);
}

#[tokio::test]
async fn a_persons_change_is_told_although_we_wrote_something_else_before_it_was_heard_of() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.silences_webhooks();
    bridged.instance.edit(
        "abel.tuter",
        &ticket.field("sys_id"),
        &[("impact", "2"), ("state", "3"), ("hold_reason", "1")],
    );
    let as_it_was = bridged.now(&ticket);
    bridged.gateway().post(&Event::message("MTR-1", 1, "Please look.")).await.expect(202);
    bridged.gateway().quiet().await;
    let calls = bridged.instance.calls().len();
    bridged.hears_late(&as_it_was, "abel.tuter").await;
    let changed = bridged.receiver.has(1, "changed").await;
    assert_eq!(changed.0["data"]["changes"], json!({"state": "needs_customer_action", "severity": "medium"}));
    bridged.quiet().await;
    assert_eq!(bridged.instance.calls().len(), calls, "the snapshot was enough");
}

#[tokio::test]
async fn a_persons_change_is_told_although_we_are_the_last_writer_when_it_is_read() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    // Who did it is what the rule said at the time.
    bridged.acts("abel.tuter", &ticket, &Act::State { state: "3".into(), hold_reason: "1".into() });
    bridged.gateway().post(&Event::message("MTR-1", 1, "Thanks.")).await.expect(202);
    let changed = bridged.receiver.has(1, "changed").await;
    assert_eq!(changed.0["data"]["changes"], json!({"state": "needs_customer_action"}));
    bridged.quiet().await;
    assert_eq!(bridged.receiver.of_kind("changed").len(), 1);
}

#[tokio::test]
async fn what_the_service_does_because_of_us_is_not_written_back() {
    let bridged = Bridged::start().await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    bridged.acts("abel.tuter", &ticket, &Act::State { state: "3".into(), hold_reason: "1".into() });
    bridged.receiver.has(1, "changed").await;
    let writes = bridged.instance.writes("PATCH");
    let updated =
        crate::support::event("updated", "echo-1", &json!({"incident": {"id": "MTR-1", "state": "investigating"}}));
    for echo in [
        updated.clone().with("/origin", json!("servicenow")).with("/hops", json!(1)),
        updated.with("/id", json!("echo-2")).with("/hops", json!(3)),
    ] {
        let delivery = bridged.gateway().post(&echo).await.expect(202).delivery();
        let record = bridged.gateway().record_once(&delivery, "delivered").await;
        assert_eq!(record["ending"]["how"], "echo");
    }
    assert_eq!(bridged.instance.writes("PATCH"), writes);
    assert_eq!(bridged.now(&ticket).field("state"), "3");
}
