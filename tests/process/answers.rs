//! Answers that never come: the instance has done what was asked, and a bad network or a crash keeps that from us.

use crate::support::chaos::{Chaos, Deed, Trouble, Way, When};
use crate::support::faults::proven;
use crate::support::{Event, Home, Instance, Keeping, Tenant, eventually};

/// A tenant whose instance lies behind a network that can be told to misbehave.
fn behind(chaos: &Chaos, keeping: Keeping) -> Home {
    Home::kept(keeping, &[Tenant::named("contoso", &chaos.url())])
}

const CREATE: &[u8] = b"POST /api/now/table/incident";
const UPDATE: &[u8] = b"PATCH /api/now/table/incident";

async fn answer_lost(keeping: Keeping, keeps_sys_ids: bool) {
    let instance = Instance::with(|switches| switches.sys_id_honoured = keeps_sys_ids);
    let chaos = Chaos::before_url(instance.url());
    let home = behind(&chaos, keeping);
    let gateway = home.start().await;
    chaos.loses_the_answer_to(CREATE);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    assert_eq!((chaos.struck(), instance.writes("POST")), (1, 1), "{:#?}", instance.calls());
    chaos.loses_the_answer_to(UPDATE);
    gateway.post(&Event::message("MTR-1", 1, "Are you there?")).await.expect(202);
    gateway.quiet().await;
    let ticket = instance.ticket_of("MTR-1");
    assert_eq!((chaos.struck(), instance.writes("PATCH")), (2, 1), "{:#?}", instance.calls());
    assert_eq!(ticket.journal("comments"), ["Are you there?"]);
    let mark = ticket.field("correlation_display");
    assert!(mark.starts_with("sg:2:"), "{mark}");
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_no_second_ticket_and_no_second_note() {
    for keeping in [Keeping::Sqlite, Keeping::Postgres] {
        tokio::join!(answer_lost(keeping, true), answer_lost(keeping, false));
    }
    proven(
        "F08",
        "an_answer_that_is_lost_makes_no_second_ticket_and_no_second_note",
        "both stores, with and without our key: 1 POST, 1 PATCH, 1 ticket, the note once, the mark at 2",
    );
}

/// Kills the gateway at the moment which `is_there` waits for, and gives what became of the create.
async fn killed(keeping: Keeping, trouble: Trouble, applied: usize) -> Instance {
    let instance = Instance::start();
    let chaos = Chaos::before_url(instance.url());
    let home = behind(&chaos, keeping);
    let mut gateway = home.start().await;
    chaos.strikes(trouble);
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    eventually("it is on its way", async || (chaos.struck() == 1 && instance.writes("POST") == applied).then_some(()))
        .await;
    gateway.kill();
    drop(gateway);
    chaos.clears_up();
    let gateway = home.start().await;
    gateway.quiet().await;
    drop(instance.ticket_of("MTR-1"));
    assert_eq!(instance.writes("POST"), 1, "{:#?}", instance.calls());
    instance
}

#[tokio::test]
async fn a_kill_with_half_a_request_written_ends_in_one_ticket() {
    for keeping in [Keeping::Sqlite, Keeping::Postgres] {
        // The head has passed, and of the body what is written with it; the rest never arrives.
        let half = Trouble { way: Way::There, when: When::Seen(b"\"correlation_id\""), deed: Deed::Swallow, times: 1 };
        killed(keeping, half, 0).await;
    }
    proven(
        "F05",
        "a_kill_with_half_a_request_written_ends_in_one_ticket",
        "both stores: the instance discarded the half, 1 ticket, 1 POST",
    );
}

#[tokio::test]
async fn a_kill_between_the_instances_commit_and_its_answer_ends_in_one_ticket() {
    for keeping in [Keeping::Sqlite, Keeping::Postgres] {
        let silent = Trouble { way: Way::Back, when: When::Seen(b"201 Created"), deed: Deed::Swallow, times: 1 };
        killed(keeping, silent, 1).await;
    }
    proven(
        "F06",
        "a_kill_between_the_instances_commit_and_its_answer_ends_in_one_ticket",
        "both stores: the next owner found the ticket and sent no further POST",
    );
}
