//! Claiming while a stranger's transaction stays open: nothing that changed since can be cleaned away, and each claim has to
//! pass it by.

use std::time::Duration;

use tokio::time::Instant;

use crate::faults::proven;
use crate::harness::{CONTOSO, Subject, delivered};
use crate::server::Session;

/// Turns of all lanes: each claimed, settled and given its next update.
const TURNS: usize = 150;
const LANES: usize = 16;
/// At the end as many as this are looked at, for their slowest hundredth and their middle.
const LATEST: usize = 100;
/// What a claim may take at the end. The machine may be busy with other tests; a claim that walks through all that was ever
/// due gets slower with each turn, and this is a few times what was seen.
const CLAIM_MAX: Duration = Duration::from_millis(250);

fn percentile(times: &[Duration], of_hundred: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * of_hundred / 100).min(sorted.len() - 1)]
}

#[tokio::test]
async fn claims_beside_a_transaction_that_stays_open_stay_quick() {
    let subject = Subject::postgres().await;
    subject.serve(&[(CONTOSO, 99)]).await;
    for lane in 0..LANES {
        subject.update(&format!("MTR-{lane}")).await;
    }
    let mut hog = Session::open(subject.database().url());
    hog.says("begin isolation level repeatable read; select count(*) from lane;");
    let mut took = Vec::new();
    for turn in 1..=TURNS {
        let begun = Instant::now();
        let claims = subject.claim(LANES).await;
        took.push(begun.elapsed());
        assert_eq!(claims.len(), LANES);
        for claim in claims {
            subject.settle(&claim.lease, delivered(u64::try_from(turn).unwrap())).await;
            subject.update(claim.incident.as_str()).await;
        }
        subject.pass(Duration::from_millis(1));
    }
    let dead = "select n_tup_upd - n_tup_hot_upd from pg_stat_user_tables where relname = 'lane'";
    hog.says("rollback;");
    let (first, latest) = (&took[..TURNS - LATEST], &took[TURNS - LATEST..]);
    let [early, middle, slowest] = [percentile(first, 50), percentile(latest, 50), percentile(latest, 99)];
    let dead = subject.database().query(dead).unwrap();
    assert!(slowest < CLAIM_MAX, "{slowest:?}");
    proven(
        "F22",
        "claims_beside_a_transaction_that_stays_open_stay_quick",
        &format!(
            "{} changes of {LANES} lanes that could not be cleaned away: a claim of all of them took {} ms at first and {} ms at \
             the end, its slowest hundredth {} ms (a debug build)",
            dead.trim(),
            early.as_millis(),
            middle.as_millis(),
            slowest.as_millis()
        ),
    );
}
