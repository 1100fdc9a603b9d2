//! A crash at each step of the protocol, and what is true after the next start (`facts/reliability.md` 2.3).
//!
//! In a file the next process finds the lanes free; in PostgreSQL the dead one's leases run out first.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_util::future::join_all;

use crate::support::faults::proven;
use crate::support::{Event, Gateway, Home, Instance, Keeping, Reply, Tenant};

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
async fn check(keeping: Keeping, work: Work) {
    let both = [true, false].into_iter();
    let cases = both.flat_map(|keeps_sys_ids| POINTS.map(|point| Case { keeping, point, work, keeps_sys_ids }));
    // Databases are made and dropped while nobody waits for an answer of this thread.
    let places: Vec<_> = cases.map(|case| (case, Place::of(case))).collect();
    join_all(places.iter().map(|(case, place)| dies_at(*case, place))).await;
}

/// Where a case happens.
struct Place {
    instance: Instance,
    home: Home,
}

impl Place {
    fn of(case: Case) -> Self {
        let instance = Instance::with(|switches| switches.sys_id_honoured = case.keeps_sys_ids);
        let home = Home::kept(case.keeping, &[Tenant::named("contoso", instance.url())]);
        Self { instance, home }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    keeping: Keeping,
    point: &'static str,
    work: Work,
    keeps_sys_ids: bool,
}

async fn dies_at(case: Case, place: &Place) {
    let (Case { point, work, .. }, Place { instance, home }) = (case, place);
    let at = format!("{point}:{}", work.pass());
    let mut dying = home.start_dying_at(&at).await;
    if work != Work::Create {
        dying.post(&Event::opened(INCIDENT)).await.expect(202);
        dying.quiet().await;
    }
    let before = Reply::of(dying.posting("contoso", &work.event())).await;
    let status = dying.ended(Duration::from_secs(40)).await;
    assert_eq!(status.signal(), Some(SIGABRT), "{case:?}");
    drop(dying);

    let gateway = home.start().await;
    let after = gateway.post(&work.event()).await;
    assert!(matches!(after.status, 200 | 202), "{case:?}: {}", after.text);
    if let Some(before) = before {
        assert_eq!(
            (before.receipt(), after.status),
            (after.receipt(), 200),
            "{case:?}: a repeat gets the same receipt"
        );
    }
    assert_eq!(after.status == 200, point != "accept.before_commit", "{case:?}: a repeat is one once it was committed");
    gateway.quiet().await;
    let again = gateway.post(&work.event()).await.expect(200);
    assert_eq!(again.receipt(), after.receipt(), "{case:?}");
    settled_once(&gateway, instance, case).await;
}

async fn settled_once(gateway: &Gateway, instance: &Instance, case: Case) {
    assert_eq!(instance.tickets().len(), 1, "{case:?}: {:#?}\n{:#?}", instance.tickets(), instance.calls());
    let ticket = instance.ticket_of(INCIDENT);
    let (state, comments): (&str, &[&str]) = match case.work {
        Work::Create => ("1", &[]),
        Work::Message => ("1", &["The cable is fine."]),
        Work::Resolve => ("6", &[]),
    };
    assert_eq!(ticket.field("state"), state, "{case:?}");
    assert_eq!(ticket.journal("comments"), comments, "{case:?}: {:#?}", instance.calls());
    let updates = usize::from(case.work != Work::Create);
    assert_eq!(
        (instance.writes("POST"), instance.writes("PATCH")),
        (1, updates),
        "{case:?}: looked before it sent again"
    );
    let deliveries = gateway.deliveries("").await;
    let states: Vec<_> = deliveries.iter().map(|delivery| delivery["state"].clone()).collect();
    assert_eq!(states, vec!["delivered"; states.len()], "{case:?}");
    let places: Vec<_> = deliveries.iter().map(|delivery| delivery["sequence"].clone()).collect();
    assert_eq!(places, (1..=1 + updates).collect::<Vec<_>>(), "{case:?}: no gap");
}

const SEEN: &str =
    "died at 9 points, at an instance that keeps our key and at one that ignores it: 1 ticket, 1 POST each";

#[tokio::test]
async fn a_create_survives_a_crash_at_every_step_in_a_file() {
    check(Keeping::Sqlite, Work::Create).await;
    proven("F01", "a_create_survives_a_crash_at_every_step_in_a_file", "no answer, nothing stored, the repeat got 202");
    proven("F02", "a_create_survives_a_crash_at_every_step_in_a_file", "the repeat got 200 and place 1; 1 ticket");
    proven("F03", "a_create_survives_a_crash_at_every_step_in_a_file", "claimed again after the start; 1 ticket");
    proven("F04", "a_create_survives_a_crash_at_every_step_in_a_file", "settled, looked, 0 found, 1 POST");
    proven("F07", "a_create_survives_a_crash_at_every_step_in_a_file", SEEN);
}

#[tokio::test]
async fn a_message_survives_a_crash_at_every_step_in_a_file() {
    check(Keeping::Sqlite, Work::Message).await;
    proven("F04", "a_message_survives_a_crash_at_every_step_in_a_file", "9 points: the comment is there once, 1 PATCH");
    proven("F07", "a_message_survives_a_crash_at_every_step_in_a_file", "9 points: the comment is there once, 1 PATCH");
}

#[tokio::test]
async fn a_resolution_survives_a_crash_at_every_step_in_a_file() {
    check(Keeping::Sqlite, Work::Resolve).await;
    proven("F07", "a_resolution_survives_a_crash_at_every_step_in_a_file", "9 points: resolved, 1 PATCH");
}

#[tokio::test]
async fn a_create_survives_a_crash_at_every_step_in_postgres() {
    check(Keeping::Postgres, Work::Create).await;
    proven(
        "F01",
        "a_create_survives_a_crash_at_every_step_in_postgres",
        "no answer, nothing stored, the repeat got 202",
    );
    proven("F02", "a_create_survives_a_crash_at_every_step_in_postgres", "the repeat got 200 and place 1; 1 ticket");
    proven(
        "F03",
        "a_create_survives_a_crash_at_every_step_in_postgres",
        "claimed again when the lease ran out; 1 ticket",
    );
    proven("F04", "a_create_survives_a_crash_at_every_step_in_postgres", "settled, looked, 0 found, 1 POST");
    proven("F07", "a_create_survives_a_crash_at_every_step_in_postgres", SEEN);
}

#[tokio::test]
async fn a_message_survives_a_crash_at_every_step_in_postgres() {
    check(Keeping::Postgres, Work::Message).await;
    proven(
        "F04",
        "a_message_survives_a_crash_at_every_step_in_postgres",
        "9 points: the comment is there once, 1 PATCH",
    );
    proven(
        "F07",
        "a_message_survives_a_crash_at_every_step_in_postgres",
        "9 points: the comment is there once, 1 PATCH",
    );
}

#[tokio::test]
async fn a_resolution_survives_a_crash_at_every_step_in_postgres() {
    check(Keeping::Postgres, Work::Resolve).await;
    proven("F07", "a_resolution_survives_a_crash_at_every_step_in_postgres", "9 points: resolved, 1 PATCH");
}
