//! Scenes with a ticket that a person opened, closed or took over while we were at it: what the managed service then hears,
//! and what it must never hear. Each was found by a seed, and is put here as the least that shows it.
//!
//! Looked at: what the managed service was told, the instance's tickets, the deliveries on record.

use std::time::Duration;

use serde_json::json;
use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::sim::acts::Act;
use snowgate::sim::instance::Instance;
use tokio::task::JoinHandle;

use super::people::{OPENING_GROUP, tickets};
use super::plan::Plan;
use super::run::{World, staged};
use super::service::Told;

/// Longer than webhooks, callbacks and a first try take.
const A_MOMENT: Duration = Duration::from_secs(20);

impl World {
    /// A customer opens a ticket that opens an incident; gives the ticket and how that incident will be called.
    fn customer_opens(&self) -> (String, String) {
        let group = Instance::seeded("sys_user_group", OPENING_GROUP);
        let fields = [("short_description", "it is dark"), ("assignment_group", group.as_str())];
        let now = self.clock.now().millis();
        let ticket = self.network.instance.lock().unwrap().create_as("beth.anglin", "incident", &fields, now).unwrap();
        let incident = format!("CUS-{}", ticket.get(..8).unwrap());
        (ticket, incident)
    }

    fn person_acts(&self, ticket: &str, act: &Act) {
        let now = self.clock.now().millis();
        self.network.instance.lock().unwrap().act_as("abel.tuter", ticket, act, now).unwrap();
    }

    fn person_closes(&self, ticket: &str) {
        let closed = [("state", "7"), ("close_code", "Solution provided"), ("close_notes", "closed")];
        let now = self.clock.now().millis();
        self.network.instance.lock().unwrap().edit_as("itil.manager", "incident", ticket, &closed, now).unwrap();
    }

    fn tickets(&self) -> Vec<String> {
        tickets(&self.network.instance.lock().unwrap())
    }

    /// What the managed service was told of this kind.
    fn told_of(&self, kind: &str) -> Vec<Told> {
        self.service.told().into_iter().filter(|told| told.kind == kind).collect()
    }
}

/// A world with one process in which only happens what `act` does.
fn scene<T>(plan: &Plan, act: impl AsyncFnOnce(&mut World) -> T) -> T {
    staged(plan, async |world| {
        let process = world.start_process();
        let found = act(world).await;
        process.iter().for_each(JoinHandle::abort);
        found
    })
}

#[test]
fn our_words_on_a_customers_ticket_that_was_closed_before_it_got_our_keys_are_not_told_back() {
    // Nobody says who we are: our reference is all that gives our words away.
    let plan = Plan { user_known: false, user_hidden: true, ..Plan::alone(109, false) };
    scene(&plan, async |world| {
        world.strikes("rate_limited=1000:60,verbs=PATCH,path=/table/incident,first=1");
        let (ticket, _) = world.customer_opens();
        tokio::time::sleep(A_MOMENT).await;
        assert_eq!(world.told_of("ticket.opened").len(), 1);
        world.person_closes(&ticket);
        world.comes_to_an_end().await;
        tokio::time::sleep(Duration::from_mins(20)).await;
        let journal = world.network.instance.lock().unwrap().journal(&ticket);
        assert!(journal.iter().any(|entry| entry.text.starts_with("We took it over.")), "{journal:?}");
        let told = world.told_of("ticket.message_added");
        assert!(told.is_empty(), "our own words came back: {told:#?}");
    });
}

#[test]
fn a_closed_ticket_that_was_followed_by_another_is_not_put_into_its_lane_again_and_again() {
    scene(&Plan::alone(57, true), async |world| {
        world.opens("MTR-0").await;
        world.comes_to_an_end().await;
        let old = world.tickets().remove(0);
        for text in ["one", "two", "three"] {
            tokio::time::sleep(Duration::from_mins(7)).await;
            world.person_acts(&old, &Act::Comment(text.to_owned()));
        }
        world.person_closes(&old);
        world.says("MTR-0", ChangeKind::Reopened, json!({"incident": {"id": "MTR-0"}})).await;
        world.comes_to_an_end().await;
        assert_eq!(world.tickets().len(), 2, "the incident goes on in a ticket of its own");
        // Somebody still touches the old one, which is no matter of the incident's any more.
        world.person_acts(&old, &Act::WorkNote("filed".to_owned()));
        tokio::time::sleep(Duration::from_mins(30)).await;
        let lane = format!("ticket:{old}");
        let count = async || world.deliveries().await.iter().filter(|it| it.incident.as_str() == lane).count();
        let before = count().await;
        tokio::time::sleep(Duration::from_hours(6)).await;
        assert_eq!(count().await, before, "nothing happened, and still it was looked at");
    });
}

#[test]
fn what_we_wrote_to_a_following_ticket_is_not_told_back_when_its_answer_was_lost() {
    scene(&Plan::alone(349, false), async |world| {
        world.opens("MTR-0").await;
        world.comes_to_an_end().await;
        let old = world.tickets().remove(0);
        world.person_closes(&old);
        tokio::time::sleep(A_MOMENT).await;
        world.strikes("answer_lost=1000,verbs=POST,path=/table/incident,first=1");
        // ServiceNow knows three urgencies: read back, this one is called low.
        let reopened = json!({"incident": {"id": "MTR-0", "severity": "medium"}});
        world.says("MTR-0", ChangeKind::Reopened, reopened).await;
        tokio::time::sleep(A_MOMENT).await;
        let new = world.tickets().into_iter().find(|ticket| *ticket != old).unwrap();
        world.person_acts(&new, &Act::Assign { group: String::new(), person: "Abel Tuter".to_owned() });
        world.comes_to_an_end().await;
        tokio::time::sleep(Duration::from_mins(20)).await;
        world.comes_to_an_end().await;
        let told = world.told_of("ticket.changed");
        let of_new: Vec<_> =
            told.iter().filter(|told| told.ticket == new).map(|told| &told.event["data"]["changes"]).collect();
        assert_eq!(of_new, [&json!({"assignee": {"name": "Abel Tuter"}})], "what the person did, and nothing of ours");
    });
}

#[test]
fn a_ticket_whose_making_is_unclear_while_the_customers_own_becomes_the_incidents_is_found_and_said_once() {
    for sys_ids_kept in [true, false] {
        for fault in ["answer_lost=1000", "zombie=1000:50000"] {
            scene(&Plan::alone(59, sys_ids_kept), async |world| {
                world.opens("MTR-0").await;
                world.comes_to_an_end().await;
                world.strikes(&format!("{fault},verbs=POST,path=/table/incident,first=1"));
                let (ticket, incident) = world.customer_opens();
                // Raised by telephone as well, a moment before the ticket is seen.
                world.opens(&incident).await;
                world.comes_to_an_end().await;
                let told = world.told_of("ticket.opened");
                assert_eq!(told.len(), 1, "{told:#?}");
                let links = super::checks::links(world).await;
                assert_eq!(links.iter().filter(|link| link.incident.as_str() == incident).count(), 2, "{links:#?}");
                let verdicts = world.judged().await;
                assert!(verdicts.is_empty(), "{sys_ids_kept} {fault}: {verdicts:#?}");
                assert_eq!(
                    title(world, &ticket),
                    "it is dark",
                    "what was sent before the link is not written there again"
                );
                let parked = world.deliveries().await.into_iter().filter(|it| it.direction == Direction::ToServicenow);
                let parked: Vec<_> =
                    parked.filter(|it| it.ending.as_ref().is_some_and(|end| end.parking.is_some())).collect();
                assert!(parked.is_empty(), "{parked:#?}");
            });
        }
    }
}

fn title(world: &World, ticket: &str) -> String {
    let record = world.network.instance.lock().unwrap().record("incident", ticket).unwrap();
    record.get("short_description").cloned().unwrap_or_default()
}
