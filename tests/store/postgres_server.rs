//! What only PostgreSQL promises: several replicas on one database, servers that may not be trusted, and connections that
//! break.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use snowgate::domain::change::ChangeKind;
use snowgate::runtime::tasks;
use snowgate::store::postgres::{Options, PostgresStore};
use snowgate::store::{Accepted, Held, Store, StoreError};

use crate::faults::proven;
use crate::harness::{CONTOSO, LEASE, ManualClock, Subject, again, change, delivered, postponed, replica, request};
use crate::server;
use crate::wait::eventually;

async fn refusal(url: &str) -> String {
    PostgresStore::open(url, Options::default()).await.unwrap_err().to_string()
}

/// How many connections the store has to its database, as the server sees them.
fn connections(database: &server::Database) -> usize {
    let ours =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'snowgate'";
    database.query(ours).unwrap().trim().parse().unwrap()
}

/// Ends every connection of the stores.
fn terminate(database: &server::Database) {
    let all = "select pg_terminate_backend(pid) from pg_stat_activity \
               where datname = current_database() and application_name = 'snowgate'";
    database.query(all).unwrap();
}

#[tokio::test]
async fn a_database_that_may_forget_is_refused_unless_that_was_agreed_to() {
    let database = server::database();
    database.query(&format!("alter database {} set synchronous_commit = off", database.name())).unwrap();
    let refused = refusal(database.url()).await;
    assert!(refused.contains("synchronous_commit") && refused.contains("could be lost"), "{refused}");
    let agreed = Options { accept_data_loss: true, ..Options::default() };
    let store = PostgresStore::open(database.url(), agreed).await.unwrap();
    assert!(store.warnings().iter().any(|warning| warning.contains("synchronous_commit")), "{:?}", store.warnings());
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    for setting in ["fsync", "full_page_writes"] {
        let server = server::Server::own_with(&[&format!("{setting}=off")]);
        let refused = refusal(&server.url("postgres")).await;
        assert!(refused.contains(setting) && refused.contains("could be lost"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() {
    let url = "postgres://user:hunter2@127.0.0.1:1/db";
    let error = PostgresStore::open(url, Options::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn two_replicas_that_start_at_once_migrate_once() {
    let database = server::database();
    let starts = (0..4).map(|_| PostgresStore::open(database.url(), Options::default()));
    let stores = futures_util::future::join_all(starts).await;
    let opened = stores.iter().filter(|store| store.is_ok()).count();
    assert_eq!(opened, 4, "{stores:?}");
    let steps = database.query("select count(*), count(distinct version) from migration").unwrap();
    let (applied, distinct) = steps.trim().split_once('|').unwrap();
    assert_eq!(applied, distinct);
    proven(
        "F25",
        "two_replicas_that_start_at_once_migrate_once",
        &format!("4 replicas started at once on an empty database: 4 opened, {applied} migrations applied, each once"),
    );
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_done_by_the_next_start() {
    let database = server::database();
    for wait in [1, 5, 20, 60] {
        let open = PostgresStore::open(database.url(), Options::default());
        drop(tokio::time::timeout(Duration::from_millis(wait), open).await);
    }
    let store = Store::Postgres(PostgresStore::open(database.url(), Options::default()).await.unwrap());
    store.ping().await.unwrap();
    assert_eq!(database.query("select count(*) > 0 from lane limit 1").unwrap().trim(), "f");
}

/// Until this step, as the version before it has the schema.
const BEFORE_STRAIGHT: &str = "drop index delivery_state; \
    create unique index delivery_state on delivery (tenant, state, receipt); \
    alter table lane add constraint lane_tenant_fkey foreign key (tenant) references tenant; \
    delete from migration where version >= 3";

#[tokio::test]
async fn a_migration_sends_nobody_away_who_works_meanwhile() {
    let subject = Subject::postgres().await;
    let database = subject.database();
    database.query(BEFORE_STRAIGHT).unwrap();
    // A replica of the version before is in the middle of its work, and goes on to the tables in another order.
    let mut other = server::Session::open(database.url());
    other.says("begin; select count(*) from delivery;");
    let url = database.url().to_owned();
    let migrating = tasks::spawn("start", async move { PostgresStore::open(&url, Options::default()).await.map(drop) });
    eventually("the migration waits for it", async || {
        let waits = "select count(*) > 0 from pg_locks where not granted \
                     and database = (select oid from pg_database where datname = current_database())";
        (database.query(waits).unwrap().trim() == "t").then_some(())
    })
    .await;
    let session = tasks::blocking("the other replica", move || {
        other.says("create table it_went_on as select count(*) from lane; commit;");
    });
    session.await.unwrap();
    assert_eq!(database.query("select count(*) from it_went_on").unwrap().trim(), "1", "it was not sent away");
    migrating.await.unwrap().unwrap();
    let left = "select count(*) from pg_constraint where conname = 'lane_tenant_fkey'";
    assert_eq!(database.query(left).unwrap().trim(), "0", "and the step was done");
}

#[tokio::test]
async fn a_newer_schema_is_worked_on_if_it_says_so_and_refused_if_not() {
    let subject = Subject::postgres().await;
    let database = subject.database();
    let newer = |version: u32, readable_by: u32| {
        let row = format!("insert into migration values ({version}, 'later', '\\x00', {readable_by}, 0)");
        database.query(&row).unwrap();
    };
    newer(98, 1);
    replica(database, &subject.clock).await.ping().await.unwrap();
    newer(99, 98);
    let refused = refusal(database.url()).await;
    assert!(refused.contains("newer Snowgate (schema 99") && refused.contains("98 is needed"), "{refused}");
}

#[tokio::test]
async fn a_schema_of_another_text_is_refused() {
    let subject = Subject::postgres().await;
    subject.database().query("update migration set hash = '\\x00'").unwrap();
    let refused = refusal(subject.database().url()).await;
    assert!(refused.contains("another text"), "{refused}");
}

#[tokio::test]
async fn replicas_never_lease_a_lane_twice_and_keep_a_tenants_share() {
    const LANES: usize = 60;
    const SHARE: u32 = 7;
    let first = Subject::postgres().await;
    for lane in 0..LANES {
        first.update(&format!("MTR-{lane}")).await;
    }
    let mut replicas = vec![first.replica().await, first.replica().await];
    replicas.push(first);
    for replica in &replicas {
        replica.serve(&[(CONTOSO, SHARE)]).await;
    }
    let mut done = 0;
    for _ in 0..LANES {
        let claims = futures_util::future::join_all(replicas.iter().map(|replica| replica.claim(4))).await;
        let claims: Vec<_> = claims.into_iter().flatten().collect();
        let lanes: HashSet<i64> = claims.iter().map(|claim| claim.lease.lane).collect();
        assert_eq!(lanes.len(), claims.len(), "no lane twice");
        assert!(claims.len() <= SHARE as usize, "{} leased at once, {SHARE} allowed", claims.len());
        for (claim, replica) in claims.iter().zip(replicas.iter().cycle()) {
            replica.settle(&claim.lease, delivered(claim.lease.head)).await;
            done += 1;
        }
        if done == LANES {
            return;
        }
    }
    panic!("{done} of {LANES} were done");
}

#[tokio::test]
async fn a_stale_owner_changes_nothing_over_replicas() {
    let first = Subject::postgres().await;
    let second = first.replica().await;
    for replica in [&first, &second] {
        replica.serve(&[(CONTOSO, 1)]).await;
    }
    first.update("MTR-1").await;
    let stale = first.claim_one().await.lease;
    first.pass(LEASE * 2);
    let fresh = second.claim_one().await.lease;
    assert_eq!((fresh.lane, fresh.fence), (stale.lane, stale.fence + 1));
    assert_eq!(first.store.intend(&stale, 1, LEASE).await.unwrap(), Held::Lost);
    assert_eq!(first.store.renew(&stale, LEASE).await.unwrap(), Held::Lost);
    assert_eq!(first.store.settle(&stale, delivered(1)).await.unwrap(), Held::Lost);
    assert_eq!(
        first.store.postpone(&stale, postponed(snowgate::domain::time::Timestamp::EPOCH)).await.unwrap(),
        Held::Lost
    );
    second.settle(&fresh, delivered(1)).await;
}

#[tokio::test]
async fn a_replica_that_starts_leaves_the_leases_of_the_others() {
    let first = Subject::postgres().await;
    first.serve(&[(CONTOSO, 4)]).await;
    first.update("MTR-1").await;
    let lease = first.claim_one().await.lease;
    let second = first.replica().await;
    second.serve(&[(CONTOSO, 4)]).await;
    assert!(second.claim(4).await.is_empty(), "it is somebody's");
    first.settle(&lease, delivered(1)).await;
}

#[tokio::test]
async fn a_replica_finds_what_another_one_accepted() {
    let first = Subject::postgres().await;
    let second = first.replica().await;
    second.serve(&[(CONTOSO, 4)]).await;
    assert!(second.claim(4).await.is_empty());
    first.update("MTR-1").await;
    let found = async {
        while second.claim(4).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), found).await.expect("found within five seconds");
}

#[tokio::test]
async fn a_group_with_another_replicas_repeat_stores_the_rest() {
    let first = Subject::postgres().await;
    let second = first.replica().await;
    let shared: Vec<_> = (0..20).map(|lane| first.change(&format!("MTR-{lane}"), ChangeKind::Updated)).collect();
    let calls = shared.iter().enumerate().flat_map(|(lane, change)| {
        let own = second.change(&format!("OWN-{lane}"), ChangeKind::Updated);
        [(&first, vec![change.clone()]), (&second, vec![again(change, second.next_id())]), (&second, vec![own])]
    });
    let answers = calls.map(|(subject, changes)| subject.store.accept(changes));
    let answers: Vec<_> = futures_util::future::join_all(answers).await.into_iter().map(Result::unwrap).collect();
    for lane in answers.chunks(3) {
        let stored = lane.iter().filter(|answer| matches!(answer.as_slice(), [Accepted::Stored(_)])).count();
        let repeats = lane.iter().filter(|answer| matches!(answer.as_slice(), [Accepted::Repeat(_)])).count();
        assert_eq!((stored, repeats), (2, 1), "{lane:?}");
    }
    assert_eq!(first.database().query("select count(*) from delivery").unwrap().trim(), "40");
}

#[tokio::test]
async fn replicas_that_fill_the_same_lanes_at_once_keep_each_lane_dense() {
    let first = Subject::postgres().await;
    let second = first.replica().await;
    let mut calls = Vec::new();
    for number in 0..200 {
        for subject in [&first, &second] {
            // Batches over several lanes, in different orders.
            let lanes = [number % 5, (number + 3) % 7, (number * 3) % 11];
            let changes = lanes.map(|lane| subject.change(&format!("MTR-{lane}"), ChangeKind::Updated));
            calls.push(subject.store.accept(changes.to_vec()));
        }
    }
    for answer in futures_util::future::join_all(calls).await {
        assert!(answer.unwrap().iter().all(|accepted| matches!(accepted, Accepted::Stored(_))));
    }
    let dense = "select count(*) from (select l.id from lane l join delivery d on d.lane = l.id group by l.id, l.tail \
                 having count(*) <> l.tail or max(d.sequence) <> l.tail) as broken";
    assert_eq!(first.database().query(dense).unwrap().trim(), "0");
    assert_eq!(first.database().query("select sum(tail) from lane").unwrap().trim(), "1200");
}

#[tokio::test]
async fn broken_connections_are_unavailable_and_then_work_again() {
    let subject = Subject::postgres().await;
    subject.serve(&[(CONTOSO, 4)]).await;
    let mut cut = 0;
    for round in 0..10 {
        subject.update(&format!("MTR-{round}")).await;
        assert!(connections(subject.database()) > 0);
        terminate(subject.database());
        for attempt in 0.. {
            let change = change(1_000 * (round + 1) + attempt, CONTOSO, "MTR-1", ChangeKind::Updated);
            match subject.store.accept(vec![change]).await {
                Ok(_) => break,
                Err(StoreError::Unavailable(_)) if attempt < 50 => cut += 1,
                Err(other) => panic!("{other}"),
            }
        }
        subject.store.ping().await.unwrap();
        subject.store.claim(&request(1)).await.unwrap();
    }
    println!("{cut} calls met a broken connection");
}

/// A connection that ends at any moment of an accept leaves the change stored once or not at all, and its repeat is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_cut_off_at_any_moment_is_settled_by_the_repeat() {
    const CUTS: usize = 40;
    let subject = Arc::new(Subject::postgres().await);
    let cut = Arc::clone(&subject);
    let cutter = tokio::task::spawn_blocking(move || (0..CUTS).for_each(|_| terminate(cut.database())));
    let (mut changes, mut unknown, mut stored_unseen) = (0, 0, 0);
    while !cutter.is_finished() {
        let change = subject.change("MTR-1", ChangeKind::Updated);
        changes += 1;
        let told = subject.store.accept(vec![change.clone()]).await;
        let mut repeat = subject.store.accept(vec![again(&change, subject.next_id())]).await;
        while matches!(repeat, Err(StoreError::Unavailable(_))) {
            repeat = subject.store.accept(vec![again(&change, subject.next_id())]).await;
        }
        let repeat = repeat.unwrap().remove(0);
        match told {
            Ok(answers) => {
                assert!(
                    matches!(answers.as_slice(), [Accepted::Stored(receipt)] if repeat == Accepted::Repeat(receipt.clone())),
                    "what was told is stored: {answers:?}, {repeat:?}"
                );
            }
            Err(StoreError::Unavailable(_)) => {
                unknown += 1;
                stored_unseen += u32::from(matches!(repeat, Accepted::Repeat(_)));
            }
            Err(other) => panic!("{other}"),
        }
    }
    cutter.await.unwrap();
    let rows = "select count(*), count(distinct event), max(sequence) from delivery";
    assert_eq!(subject.database().query(rows).unwrap().trim(), format!("{changes}|{changes}|{changes}"));
    assert!(unknown > 0, "no accept was cut off");
    proven(
        "F20",
        "a_commit_cut_off_at_any_moment_is_settled_by_the_repeat",
        &format!(
            "{CUTS} cuts during {changes} accepts: {unknown} told to come again ({stored_unseen} of them were stored), every repeat got the first receipt, {changes} rows, no gap"
        ),
    );
}

async fn until_it_answers(store: &Store) {
    while store.ping().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_server_may_restart_under_the_store() {
    let mut server = server::Server::own();
    let database = server.database();
    let store = replica(&database, &ManualClock::new()).await;
    let mut refused = 0;
    for (number, stop) in (1_u64..).zip([server::Stop::Fast, server::Stop::Immediate]) {
        store.accept(vec![change(number * 100, CONTOSO, "MTR-1", ChangeKind::Updated)]).await.unwrap();
        server.stop(stop);
        let error = store.accept(vec![change(number * 100 + 1, CONTOSO, "MTR-1", ChangeKind::Updated)]).await;
        assert!(matches!(error, Err(StoreError::Unavailable(_))), "{error:?}");
        assert!(store.ping().await.is_err());
        refused += 1;
        server.start();
        let back = tokio::time::timeout(Duration::from_secs(20), until_it_answers(&store)).await;
        back.expect("back without a restart of ours");
        store.accept(vec![change(number * 100 + 2, CONTOSO, "MTR-1", ChangeKind::Updated)]).await.unwrap();
    }
    assert_eq!(database.query("select count(*) from delivery").unwrap().trim(), "4");
    proven(
        "F19",
        "the_server_may_restart_under_the_store",
        &format!(
            "stopped fast and at once: {refused} calls refused, all accepted before and after are there, no restart of the replica"
        ),
    );
}
