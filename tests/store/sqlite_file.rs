//! The file itself: whose it is, whether it can be trusted, and what happens when there is no room.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use rusqlite::Connection;
use snowgate::delivery::record::State;
use snowgate::domain::change::ChangeKind;
use snowgate::store::sqlite::{Observer, Options, SqliteStore};
use snowgate::store::{Accepted, NewDelivery, Settlement, Store, StoreError, TenantShare};

use crate::harness::{CONTOSO, ManualClock, Subject, change, delivered, link, options, request, tenant};

fn refusal(path: &Path) -> String {
    SqliteStore::open(path, options(&ManualClock::new())).unwrap_err().to_string()
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_file() {
    let subject = Subject::sqlite();
    let refusal = refusal(&subject.path());
    assert!(refusal.contains(&format!("already in use by pid {}", std::process::id())), "{refusal}");
    subject.reopened().update("MTR-1").await;
}

#[tokio::test]
async fn a_url_names_the_file_and_its_directory_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/deep/snowgate.db");
    for slashes in ["", "//"] {
        let url = format!("sqlite:{slashes}{}", path.display());
        Store::open(&url, options(&ManualClock::new())).await.unwrap();
        assert!(path.exists());
    }
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused_with_what_to_write() {
    for (url, words) in [
        ("postgres://user@host:port/db", "write `postgres://user@host/database`"),
        ("mysql://host/db", "write `sqlite:data/snowgate.db`"),
        ("data/snowgate.db", "write `sqlite:data/snowgate.db`"),
        ("sqlite:", "names no file"),
        ("sqlite::memory:", "names no file"),
        ("sqlite:x.db?mode=memory", "names no file"),
    ] {
        let refusal = Store::open(url, options(&ManualClock::new())).await.unwrap_err().to_string();
        assert!(refusal.contains(words), "{url}: {refusal}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let (_directory, path) = Subject::sqlite().closed();
    let file = Connection::open(&path).unwrap();
    file.execute("INSERT INTO migration VALUES (99, '0099_future', x'00', 0)", []).unwrap();
    drop(file);
    assert!(refusal(&path).contains("written by a newer Snowgate (schema 99"), "{}", refusal(&path));
}

#[tokio::test]
async fn a_schema_that_was_changed_by_hand_is_refused() {
    let (_directory, path) = Subject::sqlite().closed();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE migration SET hash = x'00' WHERE version = 1", []).unwrap();
    drop(file);
    assert!(refusal(&path).contains("0001_lanes was applied with another text"), "{}", refusal(&path));
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("theirs.db");
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE precious (x); INSERT INTO precious VALUES (1)").unwrap();
    drop(theirs);
    assert!(refusal(&path).contains("another program's database"), "{}", refusal(&path));
    let theirs = Connection::open(&path).unwrap();
    let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_file_that_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    std::fs::write(&path, "this is not a database, it is a text about one".repeat(100)).unwrap();
    let error = SqliteStore::open(&path, options(&ManualClock::new())).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

/// Overwrites every page but the first with noise.
fn damage(path: &Path) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length - 4_096).unwrap()]).unwrap();
}

#[tokio::test]
async fn damage_is_found_at_start() {
    let subject = Subject::sqlite();
    subject.update("MTR-1").await;
    let (_directory, path) = subject.closed();
    damage(&path);
    let error = SqliteStore::open(&path, options(&ManualClock::new())).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[tokio::test]
async fn damage_met_at_work_stops_the_store() {
    let subject = Subject::sqlite();
    let receipt = subject.update("MTR-1").await;
    let subject = subject.reopened();
    damage(&subject.path());
    let error = subject.store.delivery(&tenant(CONTOSO), &receipt.delivery).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    let refused = subject.store.accept(vec![subject.change("MTR-1", ChangeKind::Updated)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Damaged(_)), "never a receipt after damage: {refused}");
    assert!(subject.store.ping().await.is_err());
}

#[tokio::test]
async fn no_observer_misses_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let observer = Observer::new(move |batch| sink.lock().unwrap().push(batch.commands));
    let options = Options { observer: Some(observer), ..options(&ManualClock::new()) };
    let store = SqliteStore::open(&directory.path().join("store.db"), options).unwrap();
    let store = Store::Sqlite(Arc::new(store));
    let accepts = (0..64).map(|number| store.accept(vec![change(number, CONTOSO, "MTR-1", ChangeKind::Updated)]));
    assert!(join_all(accepts).await.iter().all(Result::is_ok));
    let batches = seen.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 64);
    assert!(batches.len() < 64, "commands that came together share commits: {batches:?}");
}

fn large(number: u64, bytes: usize) -> NewDelivery {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    NewDelivery { body: body.into(), ..change(number, CONTOSO, &format!("MTR-{number}"), ChangeKind::Opened) }
}

#[tokio::test]
async fn a_full_store_refuses_goes_on_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let clock = ManualClock::new();
    let small = Options { bytes_max: Some(1 << 20), ..options(&clock) };
    let store = Store::Sqlite(Arc::new(SqliteStore::open(&path, small).unwrap()));
    let mut stored = Vec::new();
    let refused = loop {
        let change = large(stored.len() as u64, 50_000);
        match store.accept(vec![change.clone()]).await {
            Ok(_) => stored.push(change),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable(_)) && stored.len() > 10, "{refused}");
    // What is there can still be worked on, and what still fits is taken, without anyone's help.
    store.serve_tenants(vec![TenantShare { tenant: tenant(CONTOSO), lanes_max: 1 }]).await.unwrap();
    let claim = store.claim(&request(1)).await.unwrap().remove(0);
    assert!(store.settle(&claim.lease, delivered(1)).await.unwrap().is_yes());
    assert!(matches!(store.accept(vec![large(1_000, 10)]).await.unwrap()[0], Accepted::Stored(_)));
    drop(store);
    let store = Store::Sqlite(Arc::new(SqliteStore::open(&path, options(&clock)).unwrap()));
    for change in &stored {
        let delivery = store.delivery(&tenant(CONTOSO), &change.id).await.unwrap().unwrap();
        let expected = if delivery.incident == claim.incident { State::Delivered } else { State::Waiting };
        assert_eq!((delivery.state, delivery.body.get()), (expected, &*change.body));
    }
    assert!(matches!(store.accept(vec![large(2_000, 50_000)]).await.unwrap()[0], Accepted::Stored(_)));
}

#[tokio::test]
async fn a_lane_that_cannot_be_read_holds_up_no_other() {
    let subject = Subject::sqlite();
    subject.update("unreadable").await;
    subject.update("readable").await;
    let (_directory, path) = subject.closed();
    let file = Connection::open(&path).unwrap();
    file.execute("UPDATE delivery SET kind = 'incident.from_the_future' WHERE lane = 1", []).unwrap();
    drop(file);
    let seen = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&seen);
    let observer = Observer::new(move |batch| *sink.lock().unwrap() += batch.unreadable);
    let options = Options { observer: Some(observer), ..options(&ManualClock::new()) };
    let store = Store::Sqlite(Arc::new(SqliteStore::open(&path, options).unwrap()));
    store.serve_tenants(vec![TenantShare { tenant: tenant(CONTOSO), lanes_max: 9 }]).await.unwrap();
    let incidents: Vec<_> =
        store.claim(&request(9)).await.unwrap().iter().map(|claim| claim.incident.to_string()).collect();
    assert_eq!((incidents, *seen.lock().unwrap()), (vec!["readable".to_owned()], 1));
}

#[tokio::test]
async fn a_command_that_fails_does_not_fail_its_neighbours() {
    let subject = Subject::sqlite();
    // Two different events under one receipt: the table forbids it, and no rule of ours catches it before.
    let twice = subject.change("MTR-1", ChangeKind::Opened);
    let broken = NewDelivery { id: twice.id.clone(), ..subject.change("MTR-2", ChangeKind::Opened) };
    subject.accept(twice).await;
    let mut calls = Vec::new();
    for number in 0..20 {
        let change = if number == 10 { broken.clone() } else { subject.change("MTR-3", ChangeKind::Updated) };
        calls.push(subject.store.accept(vec![change]));
    }
    let answers = join_all(calls).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_err(), number == 10, "{number}: {answer:?}");
    }
    assert_eq!(subject.update("MTR-3").await.sequence, 20, "no gap");
    assert_eq!(subject.update("MTR-2").await.sequence, 1, "no trace");
}

#[tokio::test]
async fn a_settlement_goes_with_all_that_follows_or_not_at_all() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let taken = subject.update("MTR-2").await.delivery;
    let claim = subject.claim_one().await;
    subject.intend(&claim, 1).await;
    let good = subject.change("MTR-3", ChangeKind::Updated);
    let broken = NewDelivery { id: taken, ..subject.change("MTR-3", ChangeKind::Updated) };
    let known = link(1, "MTR-1", 1);
    let settlement = Settlement { follows: vec![good.clone(), broken], link: Some(known.clone()), ..delivered(1) };
    assert!(subject.store.settle(&claim.lease, settlement).await.is_err());
    assert_eq!(subject.state(&receipt).await, State::Sending);
    assert!(subject.store.delivery(&tenant(CONTOSO), &good.id).await.unwrap().is_none());
    assert_eq!(subject.store.link(&tenant(CONTOSO), &known.ticket.sys_id).await.unwrap(), None);
    // The lease still holds: the owner may settle otherwise.
    let settlement = Settlement { follows: vec![good.clone()], ..delivered(1) };
    subject.settle(&claim.lease, settlement).await;
    assert_eq!(subject.delivery(&good.id).await.sequence, 1);
}
