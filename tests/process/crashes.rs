//! A crash at each step of the protocol, and what is true after the next start (`facts/reliability.md` 2.3).

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_util::future::join_all;

use crate::support::{Event, Gateway, Home, Instance, Reply};

const POINTS: [&str; 9] = [
    "accept.before_commit",
    "accept.after_commit",
    "worker.after_claim",
    "worker.before_intent",
    "worker.after_intent",
    "worker.before_send",
    "worker.after_answer",
    "worker.before_settle",
    "worker.after_settle",
];

const SIGABRT: i32 = 6;
const INCIDENT: &str = "MTR-1";

/// What is being done when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Create,
    Message,
    Resolve,
}

impl Work {
    /// The event whose handling is cut short; before it there is a ticket, unless it makes one.
    fn event(self) -> Event {
        match self {
            Self::Create => Event::opened(INCIDENT),
            Self::Message => Event::message(INCIDENT, 2, "The cable is fine."),
            Self::Resolve => Event::resolved(INCIDENT, 2),
        }
    }

    /// At which pass of a point it is being done.
    fn pass(self) -> u32 {
        if self == Self::Create { 1 } else { 2 }
    }
}

/// Dies at every point while this is done, at an instance that keeps our key and at one that ignores it. All at once:
/// most of their time they wait until what was sent has surely settled.
async fn check(work: Work) {
    join_all([true, false].map(|keeps_sys_ids| join_all(POINTS.map(|point| dies_at(point, work, keeps_sys_ids)))))
        .await;
}

async fn dies_at(point: &str, work: Work, keeps_sys_ids: bool) {
    let instance = Instance::with(|switches| switches.sys_id_honoured = keeps_sys_ids);
    let home = Home::contoso(instance.url());
    let at = format!("{point}:{}", work.pass());
    let mut dying = home.start_dying_at(&at).await;
    if work != Work::Create {
        dying.post(&Event::opened(INCIDENT)).await.expect(202);
        dying.quiet().await;
    }
    let before = Reply::of(dying.posting("contoso", &work.event())).await;
    let status = dying.ended(Duration::from_secs(40)).await;
    assert_eq!(status.signal(), Some(SIGABRT), "{at} during {work:?}");
    drop(dying);

    let gateway = home.start().await;
    let after = gateway.post(&work.event()).await;
    assert!(matches!(after.status, 200 | 202), "{at}: {}", after.text);
    if let Some(before) = before {
        assert_eq!((before.receipt(), after.status), (after.receipt(), 200), "{at}: the repeat gets the same receipt");
    }
    assert_eq!(after.status == 200, point != "accept.before_commit", "{at}: a repeat is one once it was committed");
    gateway.quiet().await;
    let again = gateway.post(&work.event()).await.expect(200);
    assert_eq!(again.receipt(), after.receipt(), "{at}");
    settled_once(&gateway, &instance, work, &at).await;
}

async fn settled_once(gateway: &Gateway, instance: &Instance, work: Work, at: &str) {
    assert_eq!(instance.tickets().len(), 1, "{at} during {work:?}: {:#?}\n{:#?}", instance.tickets(), instance.calls());
    let ticket = instance.ticket_of(INCIDENT);
    let (state, comments): (&str, &[&str]) = match work {
        Work::Create => ("1", &[]),
        Work::Message => ("1", &["The cable is fine."]),
        Work::Resolve => ("6", &[]),
    };
    assert_eq!(ticket.field("state"), state, "{at}");
    assert_eq!(ticket.journal("comments"), comments, "{at} during {work:?}: {:#?}", instance.calls());
    let updates = usize::from(work != Work::Create);
    assert_eq!((instance.writes("POST"), instance.writes("PATCH")), (1, updates), "{at}: looked before it sent again");
    let states: Vec<_> = gateway.deliveries("").await.iter().map(|delivery| delivery["state"].clone()).collect();
    assert_eq!(states, vec!["delivered"; states.len()], "{at}");
}

#[tokio::test]
async fn a_create_survives_a_crash_at_every_step() {
    check(Work::Create).await;
}

#[tokio::test]
async fn a_message_survives_a_crash_at_every_step() {
    check(Work::Message).await;
}

#[tokio::test]
async fn a_resolution_survives_a_crash_at_every_step() {
    check(Work::Resolve).await;
}
