//! Reading against the simulator: tickets, journals, and what changed, with hidden rows and ignored conditions.

use std::collections::BTreeSet;

use snowgate::delivery::outcome::Class;
use snowgate::domain::id::SysId;
use snowgate::domain::sighting::Sighting;
use snowgate::servicenow::client::Client;
use snowgate::servicenow::journal::parse_history;
use snowgate::servicenow::tickets::Page;
use snowgate::sim::server::{Options, Simulator, start};

use crate::harness::{basic, client, fields};

/// 2030-01-01 00:00:00, far from everything that is in the instance already.
const NOON: i64 = 1_893_456_000_000;
const SINCE: &str = "2030-01-01 00:00:00";

fn simulator() -> (Simulator, Client) {
    let simulator = start(Options::default()).expect("a free port");
    let client = client(simulator.url(), basic());
    (simulator, client)
}

/// A ticket made by a person, so many seconds after noon.
fn ticket(simulator: &Simulator, seconds: i64, pairs: &[(&str, &str)]) -> SysId {
    let instance = simulator.instance();
    let made = instance.lock().expect("whole").create_as("abel.tuter", "incident", pairs, NOON + seconds * 1_000);
    SysId::parse(&made.expect("made")).expect("a key")
}

fn comment(simulator: &Simulator, ticket: &SysId, seconds: i64, text: &str) {
    let edited = simulator.instance().lock().expect("whole").edit_as(
        "abel.tuter",
        "incident",
        ticket.as_str(),
        &[("comments", text)],
        NOON + seconds * 1_000,
    );
    edited.expect("edited");
}

const fn page<'a>(rows_max: usize) -> Page<'a> {
    Page { since: SINCE, after: None, correlated_only: false, columns: &[], rows_max, skip: 0, count: false }
}

/// All that changed, page by page, by the way a sweep goes.
async fn walked(client: &Client, rows_max: usize) -> Vec<SysId> {
    let (mut seen, mut after) = (Vec::new(), None::<(String, SysId)>);
    loop {
        let permit = client.permit_to_read().await.expect("a permit");
        let after_row = after.as_ref().map(|(moment, key)| (moment.as_str(), key));
        let page = Page { after: after_row, ..page(rows_max) };
        let found = client.changed_since(permit, "incident", &page).await.expect("a page").sightings;
        let Some(last) = found.last() else { return seen };
        after = Some((last.updated_on.clone().expect("a moment"), last.sys_id.clone()));
        seen.extend(found.into_iter().map(|seen| seen.sys_id));
    }
}

#[tokio::test]
async fn one_call_brings_a_ticket_as_it_is_and_as_people_see_it() {
    let (simulator, client) = simulator();
    let id = ticket(&simulator, 0, &[("short_description", "Display"), ("urgency", "1")]);
    comment(&simulator, &id, 60, "It flickers.\n\nStill.");
    let permit = client.permit_to_read().await.expect("a permit");
    let columns = ["urgency", "caller_id.email", "u_unknown"];
    let read = client.read_ticket(permit, ("incident", &id), &columns, true).await.expect("an answer").expect("it");
    let Sighting { sys_id, actor, updated_on, version, fields, .. } = read.sighting;
    assert_eq!((sys_id, actor, updated_on.as_deref()), (id, None, Some("2030-01-01 00:01:00")));
    assert!(version.is_some());
    let fields = fields.expect("columns");
    let urgency = &fields["urgency"];
    assert_eq!((urgency.value.as_str(), urgency.display.as_deref()), ("1", Some("1 - High")));
    assert!(fields.contains_key("opened_at") && fields.contains_key("sys_created_by"));
    assert!(!fields.contains_key("comments") && !fields.contains_key("u_unknown"));
    let (comments, work_notes) = read.history.expect("was asked for");
    let said = parse_history("comments", &comments);
    assert_eq!(said.iter().map(|entry| entry.value.as_str()).collect::<Vec<_>>(), ["It flickers.\n\nStill."]);
    assert_eq!(work_notes, "");

    let nowhere = SysId::from_bits(7);
    let permit = client.permit_to_read().await.expect("a permit");
    assert_eq!(client.read_ticket(permit, ("incident", &nowhere), &[], false).await, Ok(None));
    assert_eq!(simulator.calls().len(), 2);
    simulator.stop().await;
}

#[tokio::test]
async fn a_write_brings_back_the_columns_that_were_asked_for_beside_it() {
    let (simulator, client) = simulator();
    let permit = client.permit(false).await.expect("a permit");
    let written = fields(&[("short_description", "x")]);
    let row = client.create(permit, "incident", &written, &["priority"]).await.expect("a ticket");
    assert!(row.get("priority").is_some_and(|priority| !priority.is_empty()));
    assert_eq!(row.get("sys_created_by"), Some("snowgate"), "our own tickets say who we are there");
    let permit = client.permit(false).await.expect("a permit");
    let row = client.update(permit, ("incident", &row.sys_id), &written, &["impact"]).await.expect("the ticket");
    assert!(row.get("impact").is_some() && row.get("priority").is_none());
    simulator.stop().await;
}

#[tokio::test]
async fn a_journal_is_read_whole_whatever_the_size_of_a_page() {
    let (simulator, client) = simulator();
    let (one, two) = (ticket(&simulator, 0, &[]), ticket(&simulator, 0, &[]));
    let other = ticket(&simulator, 0, &[]);
    comment(&simulator, &other, 1, "somebody else's");
    for number in 0..7 {
        // Pairs of entries in one second.
        comment(&simulator, if number % 2 == 0 { &one } else { &two }, number / 2, &number.to_string());
    }
    for rows_max in [1, 2, 3, 100] {
        let permit = client.permit_to_read().await.expect("a permit");
        let both = [one.clone(), two.clone()];
        let entries = client.journal_of(permit, &both, None, rows_max).await.expect("entries");
        let said: BTreeSet<_> = entries.iter().map(|(ticket, entry)| (ticket.clone(), entry.value.clone())).collect();
        let expected = (0..7).map(|number| ([&one, &two][number % 2].clone(), number.to_string()));
        assert_eq!((said, entries.len()), (expected.collect(), 7), "pages of {rows_max}");
        assert!(entries.iter().all(|(_, entry)| entry.created_by.as_deref() == Some("abel.tuter")));
    }
    let permit = client.permit_to_read().await.expect("a permit");
    let late = client.journal_of(permit, &[one], Some("2030-01-01 00:00:02"), 10).await.expect("entries");
    assert_eq!(late.iter().map(|(_, entry)| entry.value.as_str()).collect::<Vec<_>>(), ["4", "6"]);
    simulator.stop().await;
}

#[tokio::test]
async fn a_hidden_journal_is_empty_and_its_text_is_there_all_the_same() {
    let (simulator, client) = simulator();
    let id = ticket(&simulator, 0, &[]);
    comment(&simulator, &id, 1, "one");
    simulator.instance().lock().expect("whole").switches_mut().journal_readable = false;
    let permit = client.permit_to_read().await.expect("a permit");
    assert_eq!(client.journal_of(permit, std::slice::from_ref(&id), None, 10).await, Ok(Vec::new()));
    let permit = client.permit_to_read().await.expect("a permit");
    let read = client.read_ticket(permit, ("incident", &id), &[], true).await.expect("an answer").expect("it");
    assert_eq!(parse_history("comments", &read.history.expect("asked for").0).len(), 1);
    simulator.stop().await;
}

#[tokio::test]
async fn a_walk_sees_each_change_once_also_within_one_second() {
    let (simulator, client) = simulator();
    let ours = ("correlation_id", "sg1-abc");
    let mut expected = BTreeSet::new();
    for number in 0..9 {
        let pairs: &[_] = if number % 3 == 0 { &[ours] } else { &[] };
        // Seven of them in the same second.
        expected.insert(ticket(&simulator, (number / 7) * 5, pairs));
    }
    ticket(&simulator, 1, &[("correlation_id", "jira-7")]);
    ticket(&simulator, -1, &[]);
    for rows_max in [1, 2, 3, 7, 50] {
        let seen = walked(&client, rows_max).await;
        assert_eq!(seen.len(), expected.len(), "pages of {rows_max}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected, "pages of {rows_max}");
    }
    let permit = client.permit_to_read().await.expect("a permit");
    let page = Page { correlated_only: true, ..page(50) };
    let ours = client.changed_since(permit, "incident", &page).await.expect("a page").sightings;
    assert_eq!(ours.len(), 3);
    assert!(ours.iter().all(|seen| seen.correlation_id.as_deref() == Some("sg1-abc")));
    simulator.stop().await;
}

#[tokio::test]
async fn an_empty_page_can_tell_that_more_is_hidden_and_be_passed_over() {
    let (simulator, client) = simulator();
    let mut ids: Vec<SysId> = (0..3).map(|number| ticket(&simulator, number, &[])).collect();
    let last = ids.pop().expect("three");
    for id in &ids {
        simulator.instance().lock().expect("whole").hide("incident", id.as_str());
    }
    let read = async |page: Page<'_>| {
        let permit = client.permit_to_read().await.expect("a permit");
        let changed = client.changed_since(permit, "incident", &page).await.expect("a page");
        (changed.sightings.into_iter().map(|seen| seen.sys_id).collect::<Vec<_>>(), changed.total)
    };
    assert_eq!(read(page(2)).await, (vec![], None));
    assert_eq!(read(Page { count: true, ..page(2) }).await, (vec![], Some(3)));
    assert_eq!(read(Page { skip: 2, ..page(2) }).await, (vec![last], None));
    simulator.stop().await;
}

#[tokio::test]
async fn an_ignored_condition_is_noticed() {
    let (simulator, client) = simulator();
    ticket(&simulator, 0, &[("correlation_id", "jira-7")]);
    ticket(&simulator, -60, &[]);
    for column in ["correlation_id", "sys_updated_on"] {
        let instance = simulator.instance();
        let unreadable = format!("incident.{column}");
        instance.lock().expect("whole").switches_mut().unreadable_columns = [unreadable].into();
        let permit = client.permit_to_read().await.expect("a permit");
        let outcome = client.changed_since(permit, "incident", &page(50)).await.expect_err("strangers");
        assert_eq!((outcome.class, outcome.code.as_str()), (Class::Misconfigured, "lookup_untrusted"), "{column}");
    }
    simulator.instance().lock().expect("whole").switches_mut().unreadable_columns =
        ["sys_journal_field.element_id".to_owned()].into();
    let (one, two) = (ticket(&simulator, 0, &[]), ticket(&simulator, 0, &[]));
    comment(&simulator, &two, 1, "somebody else's");
    let permit = client.permit_to_read().await.expect("a permit");
    let outcome = client.journal_of(permit, &[one], None, 50).await.expect_err("strangers");
    assert_eq!(outcome.code, "lookup_untrusted");
    simulator.stop().await;
}

#[tokio::test]
async fn tickets_are_read_by_key_in_as_many_calls_as_it_takes() {
    let (simulator, client) = simulator();
    let mut asked: Vec<SysId> = (0..40).map(|_| ticket(&simulator, 0, &[])).collect();
    let expected: BTreeSet<SysId> = asked.iter().cloned().collect();
    asked.insert(20, SysId::from_bits(7));
    let permit = client.permit_to_read().await.expect("a permit");
    let found = client.tickets_by_id(permit, "incident", &asked, &["state"]).await.expect("tickets");
    assert_eq!(found.into_iter().map(|seen| seen.sys_id).collect::<BTreeSet<_>>(), expected);
    assert!(simulator.calls().iter().all(|call| call.target.len() < 2_000), "no address grows too long");
    simulator.stop().await;
}
