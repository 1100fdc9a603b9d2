//! What a file promises over the end of its process: a stop, and a death at any moment.

use std::time::Duration;

use snowgate::delivery::record::State;
use snowgate::domain::time::{Clock, Timestamp};
use snowgate::store::{Accepted, Held, Learned, Pause, Settlement};

use crate::harness::{CONTOSO, LEASE, Subject, again, delivered, link, memory, tenant};
use crate::sweeping::{cursor, leased};
use snowgate::domain::change::ChangeKind;

#[tokio::test]
async fn accepted_work_and_its_place_are_there_after_a_restart() {
    let subject = Subject::sqlite();
    let change = subject.change("MTR-1", ChangeKind::Opened);
    let receipt = subject.accept(change.clone()).await;
    let subject = subject.reopened();
    assert_eq!(subject.state(&receipt).await, State::Waiting);
    let repeat = subject.store.accept(vec![again(&change, subject.next_id())]).await.unwrap();
    assert_eq!(repeat, [Accepted::Repeat(receipt)]);
    assert_eq!(subject.update("MTR-1").await.sequence, 2);
}

#[tokio::test]
async fn the_leases_of_a_dead_process_end_at_once_and_its_sends_stay_marked() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 2)]).await;
    let sent = subject.update("sent").await;
    subject.update("only-claimed").await;
    let claims = subject.claim(2).await;
    let before = claims.iter().find(|claim| claim.incident.as_str() == "sent").unwrap();
    subject.intend(before, 1).await;
    let subject = subject.reopened();
    assert!(subject.claim(2).await.is_empty(), "nobody is served before it is said");
    subject.serve(&[(CONTOSO, 2)]).await;
    let claims = subject.claim(2).await;
    assert_eq!(claims.len(), 2, "no lease is waited for");
    let after = claims.iter().find(|claim| claim.incident.as_str() == "sent").unwrap();
    assert_eq!((after.lease.fence, after.attempts), (before.lease.fence + 1, 2));
    assert_eq!(after.waiting[0].sending_since, Some(before.now));
    assert_eq!(subject.state(&sent).await, State::Sending);
    assert!(!subject.store.settle(&before.lease, delivered(1)).await.unwrap().is_yes(), "the dead stay dead");
}

#[tokio::test]
async fn memory_pauses_and_lessons_are_there_after_a_restart() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    subject.update("MTR-1").await;
    let learned = Learned { fingerprint: "f".to_owned(), honours_sys_id: Some(true), keeps_mark: None, user: None };
    subject.store.learn(&tenant(CONTOSO), &Learned::default(), learned.clone()).await.unwrap();
    let pause = Pause { until: Timestamp::NEVER, code: "operator".to_owned(), reason: "a change window".to_owned() };
    subject.store.pause_tenant(&tenant(CONTOSO), pause.clone()).await.unwrap();

    let subject = subject.reopened();
    subject.serve(&[(CONTOSO, 1)]).await;
    let record = subject.store.tenant(&tenant(CONTOSO)).await.unwrap();
    assert_eq!((record.pause, record.learned), (Some(pause), learned));
    assert!(subject.claim(1).await.is_empty());
    subject.store.resume_tenant(&tenant(CONTOSO)).await.unwrap();
    assert_eq!(subject.claim_one().await.memory, memory("delivered"));
}

#[tokio::test]
async fn a_clock_set_back_over_a_restart_holds_no_lane() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let before = subject.claim_one().await;
    subject.clock.set_back(Duration::from_hours(2));
    let subject = subject.reopened();
    subject.serve(&[(CONTOSO, 1)]).await;
    let after = subject.claim_one().await;
    assert!(after.now >= before.now, "it goes on from the time that was stored");
    assert!(after.now > subject.clock.now());
    subject.pass(LEASE + LEASE / 8);
    assert_eq!(subject.claim(1).await.len(), 1);
}

#[tokio::test]
async fn what_was_settled_and_what_follows_are_there_together_after_a_restart() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    let settled = subject.update("MTR-1").await;
    let follow = subject.change("MTR-2", ChangeKind::Updated);
    let claim = subject.claim_one().await;
    let known = link(1, "MTR-1", 1);
    let settlement = Settlement { follows: vec![follow.clone()], link: Some(known.clone()), ..delivered(1) };
    subject.settle(&claim.lease, settlement).await;
    let subject = subject.reopened();
    subject.serve(&[(CONTOSO, 1)]).await;
    assert_eq!(subject.state(&settled).await, State::Delivered);
    assert_eq!(subject.store.link(&tenant(CONTOSO), &known.ticket.sys_id).await.unwrap(), Some(known));
    assert_eq!(subject.claim_one().await.waiting[0].id, follow.id);
}

#[tokio::test]
async fn the_sweep_of_a_dead_process_is_taken_over_at_once_from_where_it_came() {
    let subject = Subject::sqlite();
    let dead = leased(&subject, CONTOSO, "one").await.unwrap();
    assert!(subject.store.save_sweep(&dead, &cursor("a"), LEASE).await.unwrap().is_yes());
    let subject = subject.reopened();
    assert_eq!(subject.store.save_sweep(&dead, &cursor("z"), LEASE).await.unwrap(), Held::Lost, "the dead stay dead");
    let next = leased(&subject, CONTOSO, "one").await.expect("no lease is waited for");
    assert_eq!((next.fence, &next.cursor), (dead.fence + 1, &cursor("a")));
    assert!(subject.store.finish_sweep(&next, &cursor("b")).await.unwrap().is_yes());
    let subject = subject.reopened();
    assert_eq!(leased(&subject, CONTOSO, "one").await, None, "it began just now");
}
