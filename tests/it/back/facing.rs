//! Two managed services that are each other's customers, and rules that disagree: traffic comes to rest by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use snowgate::sim::acts::Act;
use snowgate::sim::switches::FightingRule;

use super::luck::Luck;
use crate::support::gateway::parking;
use crate::support::instance::Ticket;
use crate::support::{Bridged, Callback, Event, event, eventually};

/// What one gateway tells becomes what the other is told: the worst managed service there is, because it passes on everything and says
/// nothing of where it comes from.
struct Between {
    passed: usize,
}

impl Between {
    /// The event that says at the other end what a callback said at this one.
    fn event_of(callback: &Callback, from: &str) -> Option<Event> {
        let id = format!("{from}/{}", callback.text("/id"));
        let incident = callback.text("/subject");
        match callback.text("/type").as_str() {
            "ticket.changed" => {
                let mut said = callback.0["data"]["changes"].clone();
                said["id"] = incident.into();
                let kind = if said["state"] == "resolved" { "resolved" } else { "updated" };
                Some(event(kind, &id, &json!({"incident": said})))
            }
            "ticket.message_added" => {
                let message = callback.0["data"]["message"].clone();
                Some(event("message_added", &id, &json!({"incident": {"id": incident}, "message": message})))
            }
            _ => None,
        }
    }

    /// Passes on what is new, in both directions.
    async fn pass(&mut self, one: &Bridged, other: &Bridged, done: &mut [usize; 2]) {
        for (from, to, name, at) in [(one, other, "one", 0), (other, one, "other", 1)] {
            let taken = from.receiver.taken();
            let news = taken.get(done[at]..).unwrap_or_default();
            for event in news.iter().filter_map(|callback| Self::event_of(callback, name)) {
                to.gateway().post(&event).await.expect(202);
                self.passed += 1;
            }
            done[at] = taken.len();
        }
    }

    /// Passes on until nothing is left to be passed on; gives how much there was.
    async fn until_quiet(one: &Bridged, other: &Bridged, done: &mut [usize; 2]) -> usize {
        let mut between = Self { passed: 0 };
        loop {
            let before = between.passed;
            between.pass(one, other, done).await;
            one.quiet().await;
            other.quiet().await;
            let told = [one.receiver.taken().len(), other.receiver.taken().len()];
            if between.passed == before && told == *done {
                return between.passed;
            }
            assert!(between.passed < 1_000, "it does not come to rest");
        }
    }
}

/// The texts that people wrote, without what marks them as passed on.
fn said(ticket: &Ticket) -> BTreeSet<String> {
    let comments = ticket.journal("comments");
    comments.iter().filter_map(|comment| comment.lines().next().map(str::to_owned)).collect()
}

/// Somebody changes the state, comments, or does nothing; gives the comment.
fn somebody_acts(luck: &mut Luck, bridged: &Bridged, ticket: &Ticket, round: usize) -> Option<String> {
    let comment = format!("round {round} of {}", bridged.instance.url());
    let act = match luck.below(6) {
        0 | 1 => return None,
        2 => Act::State { state: "2".into(), hold_reason: String::new() },
        3 => Act::State { state: "3".into(), hold_reason: "4".into() },
        _ => Act::Comment(comment.clone()),
    };
    bridged.acts("abel.tuter", ticket, &act);
    matches!(act, Act::Comment(_)).then_some(comment)
}

#[tokio::test]
async fn two_gateways_that_face_each_other_come_to_rest_and_agree() {
    let change = |setup: &mut crate::support::bridged::Setup| {
        setup.skip_user = None;
        setup.switches.resaved_by_system = true;
    };
    let (one, other) = (Bridged::with(change).await, Bridged::with(change).await);
    let (here, there) = (one.opened("MTR-1", "customer").await, other.opened("MTR-1", "customer").await);
    one.quiet().await;
    other.quiet().await;
    let mut done = [one.receiver.taken().len(), other.receiver.taken().len()];
    let mut luck = Luck::of_seed(7);
    let mut comments = BTreeSet::new();
    for round in 0..12 {
        // Sometimes both ends change before either hears of the other.
        for (bridged, ticket) in [(&one, &here), (&other, &there)] {
            comments.extend(somebody_acts(&mut luck, bridged, ticket, round));
        }
        if luck.below(2) == 0 {
            one.quiet().await;
            other.quiet().await;
            Between::until_quiet(&one, &other, &mut done).await;
        }
    }
    // The last word is one end's alone.
    one.quiet().await;
    other.quiet().await;
    Between::until_quiet(&one, &other, &mut done).await;
    one.acts("beth.anglin", &here, &Act::State { state: "3".into(), hold_reason: "1".into() });
    one.acts("beth.anglin", &here, &Act::State { state: "2".into(), hold_reason: String::new() });
    one.instance.edit("beth.anglin", &here.field("sys_id"), &[("impact", "2")]);
    one.quiet().await;
    let last = Between::until_quiet(&one, &other, &mut done).await;
    assert!(last <= 4, "one person's changes cause no storm: {last}");
    let (here, there) = (one.now(&here), other.now(&there));
    assert_eq!(said(&here), said(&there));
    assert_eq!(said(&here), comments);
    assert_eq!(here.journal("comments").len(), comments.len(), "each comment once: {:#?}", here.journal("comments"));
    assert_eq!(there.journal("comments").len(), comments.len());
    for column in ["state", "impact"] {
        assert_eq!(here.field(column), there.field(column), "{column}");
    }
}

#[tokio::test]
async fn rules_that_fight_stop_their_own_ticket_and_no_other() {
    let bridged = Bridged::with(|setup| {
        setup.skip_user = None;
        setup.switches.fighting_rule = Some(FightingRule { column: "impact".into(), value: "3".into() });
    })
    .await;
    let ticket = bridged.opened("MTR-1", "customer").await;
    // The managed service insists, too: whatever it hears, it says `high` again.
    let mut insisted = 0;
    let parked = eventually("the ticket's lane stops", async || {
        insisted += 1;
        let severity = if insisted % 2 == 0 { "high" } else { "medium" };
        let said = json!({"incident": {"id": "MTR-1", "severity": severity}});
        // Once the ticket's lane has stopped, what it hears waits: only the event itself is waited for.
        let said = event("updated", &format!("insists-{insisted}"), &said);
        let delivery = bridged.gateway().post(&said).await.expect(202).delivery();
        bridged.gateway().record_once(&delivery, "delivered").await;
        bridged.instance.quiet().await;
        let parked = bridged.gateway().deliveries("parked").await;
        parked.into_iter().find(|delivery| delivery["direction"] == "to_service")
    })
    .await;
    let id = parked["id"].as_str().expect("an id").to_owned();
    let (code, reason) = parking(&bridged.gateway().record(&id).await);
    assert_eq!(code, "rules_fight");
    assert!(reason.contains("severity"), "names what goes back and forth: {reason}");
    let told = bridged.receiver.of_kind("changed").len();
    assert!(told <= 8, "{told} tellings");
    let other = bridged.opened("MTR-2", "customer").await;
    bridged.comments("abel.tuter", &other, "This one goes on.");
    bridged.receiver.has(1, "message_added").await;
    let events: Vec<Value> = bridged.gateway().deliveries("parked").await;
    assert_eq!(events.len(), 1, "{events:#?}");
    bridged.gateway().leaves_parked(1);
    bridged.gateway().leaves_work();
    drop(ticket);
    tokio::time::timeout(Duration::from_secs(30), bridged.instance.quiet()).await.expect("it comes to rest");
}
