//! Sweeps: one at a time, no more often than asked, and never from farther back than was stored.

use std::time::Duration;

use snowgate::domain::id::SysId;
use snowgate::store::{Held, SweepCursor, SweepLease};

use crate::harness::{CONTOSO, LEASE, Subject, tenant};

const EVERY: Duration = Duration::from_mins(5);
const SECOND: Duration = Duration::from_secs(1);
/// A second less than a lease.
const NEARLY_A_LEASE: Duration = Duration::from_secs(119);

pub(crate) fn cursor(updated_on: &str) -> SweepCursor {
    SweepCursor { updated_on: updated_on.to_owned(), compared: Some(SysId::from_bits(3)) }
}

pub(crate) async fn leased(subject: &Subject, of: &str, owner: &str) -> Option<SweepLease> {
    subject.store.lease_sweep(&tenant(of), owner, EVERY, LEASE).await.unwrap()
}

pub(crate) async fn a_first_sweep_is_due_and_begins_at_the_start(subject: Subject) {
    let lease = leased(&subject, CONTOSO, "one").await.unwrap();
    assert_eq!((&lease.tenant, &lease.cursor), (&tenant(CONTOSO), &SweepCursor::default()));
    let other = leased(&subject, "fabrikam", "one").await;
    assert!(other.is_some(), "each tenant is swept for itself");
}

pub(crate) async fn the_next_sweep_is_due_from_where_the_last_one_began(subject: Subject) {
    let lease = leased(&subject, CONTOSO, "one").await.unwrap();
    subject.pass(NEARLY_A_LEASE);
    assert_eq!(subject.store.finish_sweep(&lease, &cursor("a")).await.unwrap(), Held::Yes(()));
    subject.pass(EVERY.saturating_sub(LEASE));
    assert_eq!(leased(&subject, CONTOSO, "one").await, None, "a second is missing");
    subject.pass(SECOND);
    let next = leased(&subject, CONTOSO, "two").await.unwrap();
    assert_eq!((next.fence, &next.cursor), (lease.fence + 1, &cursor("a")));
    assert_eq!(next.now, lease.now.plus(EVERY));
    assert_eq!(subject.store.finish_sweep(&lease, &cursor("z")).await.unwrap(), Held::Lost, "it ended");
}

pub(crate) async fn one_sweeps_at_a_time(subject: Subject) {
    let lease = leased(&subject, CONTOSO, "one").await.unwrap();
    for _ in 0..5 {
        subject.pass(NEARLY_A_LEASE);
        for owner in ["one", "two"] {
            assert_eq!(leased(&subject, CONTOSO, owner).await, None);
        }
        assert_eq!(subject.store.save_sweep(&lease, &cursor("a"), LEASE).await.unwrap(), Held::Yes(()));
    }
}

pub(crate) async fn a_dead_sweeper_is_followed_from_where_it_came(subject: Subject) {
    let stale = leased(&subject, CONTOSO, "one").await.unwrap();
    assert!(subject.store.save_sweep(&stale, &cursor("a"), LEASE).await.unwrap().is_yes());
    subject.pass(LEASE);
    let next = leased(&subject, CONTOSO, "two").await.unwrap();
    assert_eq!((next.fence, &next.cursor), (stale.fence + 1, &cursor("a")));
    assert_eq!(subject.store.save_sweep(&stale, &cursor("z"), LEASE).await.unwrap(), Held::Lost);
    assert_eq!(subject.store.finish_sweep(&stale, &cursor("z")).await.unwrap(), Held::Lost);
    assert_eq!(leased(&subject, CONTOSO, "one").await, None, "a stale finish ends nothing");
    assert!(subject.store.finish_sweep(&next, &cursor("b")).await.unwrap().is_yes());
    subject.pass(EVERY);
    assert_eq!(leased(&subject, CONTOSO, "one").await.unwrap().cursor, cursor("b"));
}

pub(crate) async fn an_unfinished_sweep_does_not_count(subject: Subject) {
    let first = leased(&subject, CONTOSO, "one").await.unwrap();
    assert!(subject.store.finish_sweep(&first, &cursor("a")).await.unwrap().is_yes());
    subject.pass(EVERY);
    leased(&subject, CONTOSO, "one").await.unwrap();
    subject.pass(LEASE);
    assert!(leased(&subject, CONTOSO, "two").await.is_some(), "the last finished one began long enough ago");
}

pub(crate) async fn an_expired_sweep_holds_until_someone_else_takes_it(subject: Subject) {
    let lease = leased(&subject, CONTOSO, "one").await.unwrap();
    subject.pass(2 * LEASE);
    assert_eq!(subject.store.save_sweep(&lease, &cursor("a"), LEASE).await.unwrap(), Held::Yes(()));
    assert_eq!(leased(&subject, CONTOSO, "two").await, None);
}

pub(crate) async fn a_tenant_that_comes_back_is_swept_from_where_it_was(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let lease = leased(&subject, CONTOSO, "one").await.unwrap();
    assert!(subject.store.finish_sweep(&lease, &cursor("a")).await.unwrap().is_yes());
    subject.serve(&[]).await;
    subject.pass(100 * EVERY);
    subject.serve(&[(CONTOSO, 1)]).await;
    assert_eq!(leased(&subject, CONTOSO, "one").await.unwrap().cursor, cursor("a"));
}
