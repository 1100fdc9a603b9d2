//! What is recorded at the same moment goes together in PostgreSQL: one commit, and each member stands for itself.
//!
//! Futures that are joined on one thread hand in their work before anybody takes it up: so they are one group each time.

use std::time::Duration;

use futures_util::future::{join, join_all};
use snowgate::delivery::record::State;
use snowgate::delivery::sharing::Ask;
use snowgate::store::{Claim, Held, Lease, Settlement, StoreError};

use crate::harness::{CONTOSO, LEASE, Subject, attempt, delivered, parked, tenant};
use crate::server::Session;

const LANES: usize = 5;

/// A store with some lanes of one delivery each, all claimed, in the order of their numbers.
async fn claimed() -> (Subject, Vec<Claim>) {
    let subject = Subject::postgres().await;
    subject.serve(&[(CONTOSO, 99)]).await;
    for lane in 0..LANES {
        subject.update(&format!("MTR-{lane}")).await;
    }
    let mut claims = subject.claim(LANES).await;
    claims.sort_by_key(|claim| claim.lease.lane);
    assert_eq!(claims.len(), LANES);
    (subject, claims)
}

/// Another replica takes this lane over.
async fn lose(subject: &Subject, claim: &Claim) -> Lease {
    let other = subject.replica().await;
    other.serve(&[(CONTOSO, 99)]).await;
    let set = format!("update lane set due = 0, leased_until = 0 where id = {}", claim.lease.lane);
    subject.database().query(&set).unwrap();
    let taken = other.claim_one().await.lease;
    assert_eq!((taken.lane, taken.fence), (claim.lease.lane, claim.lease.fence + 1));
    taken
}

async fn settle_all(
    subject: &Subject,
    claims: &[Claim],
    settlement: impl Fn(usize) -> Settlement,
) -> Vec<Result<Held<()>, StoreError>> {
    let settling = claims.iter().enumerate().map(|(at, claim)| subject.store.settle(&claim.lease, settlement(at)));
    join_all(settling).await
}

/// Of so many deliveries with this column set, in how many transactions they were written.
fn written(subject: &Subject, column: &str) -> (usize, usize) {
    let ask = format!("select count(*) || ' ' || count(distinct xmin::text) from delivery where {column} is not null");
    let told = subject.database().query(&ask).unwrap();
    let mut counts = told.split_whitespace().map(|count| count.parse().unwrap());
    (counts.next().unwrap(), counts.next().unwrap())
}

#[tokio::test]
async fn who_settles_at_the_same_moment_shares_a_commit() {
    let (subject, claims) = claimed().await;
    let answers = settle_all(&subject, &claims, |_| delivered(1)).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_yes()));
    assert_eq!(written(&subject, "ended_at"), (LANES, 1));
}

#[tokio::test]
async fn in_a_group_a_lost_lease_loses_only_its_own_settlement() {
    let (subject, claims) = claimed().await;
    let taken = lose(&subject, &claims[2]).await;
    let answers = settle_all(&subject, &claims, |_| delivered(1)).await;
    let held: Vec<bool> = answers.into_iter().map(|answer| answer.unwrap().is_yes()).collect();
    assert_eq!(held, [true, true, false, true, true]);
    assert_eq!(written(&subject, "ended_at"), (LANES - 1, 1), "the others, in one commit");
    assert_eq!(subject.delivery(&claims[2].waiting[0].id).await.state, State::Waiting);
    subject.settle(&taken, delivered(1)).await;
}

#[tokio::test]
async fn in_a_group_a_lost_lease_loses_only_its_own_intention() {
    let (subject, claims) = claimed().await;
    lose(&subject, &claims[0]).await;
    let intending = claims.iter().map(|claim| subject.store.intend(&claim.lease, 1, LEASE));
    let held: Vec<bool> = join_all(intending).await.into_iter().map(|answer| answer.unwrap().is_yes()).collect();
    assert_eq!(held, [false, true, true, true, true]);
    assert_eq!(written(&subject, "sending_since"), (LANES - 1, 1));
}

#[tokio::test]
async fn a_member_that_cannot_be_stored_takes_no_other_with_it() {
    let (subject, claims) = claimed().await;
    let broken = claims[3].lease.lane;
    subject.database().query(&format!("update delivery set attempts = '[' where lane = {broken}")).unwrap();
    let now = subject.now();
    let tried = |_| Settlement { attempt: Some(attempt(now, "ok")), ..delivered(1) };
    let answers = settle_all(&subject, &claims, tried).await;
    let done: Vec<bool> = answers.iter().map(|answer| matches!(answer, Ok(Held::Yes(())))).collect();
    assert_eq!(done, [true, true, true, false, true]);
    assert!(matches!(answers[3], Err(StoreError::Damaged(_))), "{:?}", answers[3]);
    assert_eq!(written(&subject, "ended_at").0, LANES - 1);
}

#[tokio::test]
async fn a_lane_that_somebody_holds_holds_up_no_other() {
    let (subject, claims) = claimed().await;
    let held = claims[1].lease.lane;
    let mut session = Session::open(subject.database().url());
    session.says(&format!("begin; select 1 from lane where id = {held} for update;"));
    let (waiting, others) = claims.split_at(2);
    let settling = async {
        let answers = settle_all(&subject, &[&waiting[..1], others].concat(), |_| delivered(1)).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap().is_yes()));
        assert_eq!(written(&subject, "ended_at").0, LANES - 1, "before the one that is held");
        session.says("commit;");
    };
    let (answer, ()) = join(subject.store.settle(&waiting[1].lease, delivered(1)), settling).await;
    assert!(answer.unwrap().is_yes());
}

#[tokio::test]
async fn of_two_ends_of_one_lane_one_counts() {
    let (subject, claims) = claimed().await;
    let lease = &claims[0].lease;
    let (one, other) =
        join(subject.store.settle(lease, delivered(1)), subject.store.settle(lease, parked(1, true))).await;
    assert_ne!(one.unwrap().is_yes(), other.unwrap().is_yes());
}

#[tokio::test]
async fn ends_of_every_kind_go_together() {
    let (subject, claims) = claimed().await;
    let more = subject.update("MTR-4").await;
    let ends = [delivered(1), parked(1, true), parked(1, false), delivered(1), delivered(1)];
    let answers = settle_all(&subject, &claims, |at| ends[at].clone()).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_yes()));
    assert_eq!(written(&subject, "ended_at"), (LANES, 1));
    for (claim, state) in claims.iter().zip([State::Delivered, State::Parked, State::Parked, State::Delivered]) {
        assert_eq!(subject.delivery(&claim.waiting[0].id).await.state, state);
    }
    // The lane with more to do is due at once, the one with a parked head is not.
    assert_eq!(subject.claim_incidents(LANES).await, ["MTR-4"]);
    assert_eq!(subject.state(&more).await, State::Waiting);
}

#[tokio::test]
async fn calls_of_many_peers_are_reserved_in_one_commit_and_each_at_its_rate() {
    let subject = Subject::postgres().await;
    subject.serve(&[(CONTOSO, 1)]).await;
    let contoso = tenant(CONTOSO);
    let ask = Ask { calls: 3, interval: 200_000, share: 100, hourly: 20_000, ..Ask::default() };
    let peers: Vec<String> = (0..LANES).map(|peer| format!("servicenow https://{peer}.example")).collect();
    let mut given = vec![0; LANES];
    for _ in 0..10 {
        let answers = join_all(peers.iter().map(|peer| subject.store.share_pace(&contoso, peer, &ask))).await;
        for (sum, answer) in given.iter_mut().zip(answers) {
            *sum += answer.unwrap().calls;
        }
        subject.pass(Duration::from_millis(200));
    }
    assert_eq!(given, [5 + 9; LANES], "one second's worth at first, and one each fifth of a second");
    let commits = subject.database().query("select count(distinct xmin::text) from peer_pace").unwrap();
    assert_eq!(commits.trim(), "1");
}
