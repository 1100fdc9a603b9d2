//! A file that an earlier version wrote: it is brought to today's schema, and nothing in it is lost.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use snowgate::delivery::record::State;
use snowgate::domain::change::ChangeKind;

use crate::harness::{CONTOSO, ManualClock, Subject, again, change, delivered, link, open, tenant};
use snowgate::store::{Accepted, Receipt, Settlement};

const FIRST: &str = include_str!("../../migrations/sqlite/0001_lanes.sql");

/// Takes a file back to the first schema, with what it holds.
fn taken_back(file: &Connection) {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                  AND name NOT IN ('migration', 'link', 'sweep', 'audit', 'audit_anchor', 'tenant_check', 'peer_pace')";
    let mut statement = file.prepare(tables).unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    file.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON; DROP TABLE link; DROP TABLE sweep")
        .unwrap();
    file.execute_batch(
        "DROP TRIGGER audit_never_changes; DROP TRIGGER audit_is_kept; DROP TRIGGER audit_anchor_stays; \
         DROP TABLE audit; DROP TABLE audit_anchor; DROP TABLE tenant_check; \
         DROP TABLE peer_pace",
    )
    .unwrap();
    file.execute_batch("DROP INDEX delivery_opening; DROP INDEX lane_back; ALTER TABLE delivery DROP COLUMN is_echo")
        .unwrap();
    let hash: [u8; 32] = Sha256::digest(FIRST).into();
    file.execute("DELETE FROM migration WHERE version > 1", []).unwrap();
    file.execute("UPDATE migration SET hash = ?1", params![hash]).unwrap();
    let fresh = Connection::open_in_memory().unwrap();
    fresh.execute_batch(FIRST).unwrap();
    for table in tables {
        let columns = |of: &Connection| -> Vec<String> {
            let mut statement = of.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            statement.query_map([&table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(columns(file), columns(&fresh), "{table} stands as the first schema made it");
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_is_served_on() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    let done = subject.change("MTR-1", ChangeKind::Opened);
    subject.accept(done.clone()).await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    let waiting = subject.update("MTR-1").await;
    let (directory, path) = subject.closed();
    taken_back(&Connection::open(&path).unwrap());

    let store = open(&path, &ManualClock::new());
    let repeat = store.accept(vec![again(&done, change(99, CONTOSO, "any", ChangeKind::Updated).id)]).await.unwrap();
    assert_eq!(repeat, [Accepted::Repeat(Receipt { delivery: done.id, sequence: 1 })]);
    let share = snowgate::store::TenantShare { tenant: tenant(CONTOSO), lanes_max: 1 };
    store.serve_tenants(vec![share]).await.unwrap();
    let claim = store.claim(&crate::harness::request(1)).await.unwrap().remove(0);
    assert_eq!((&claim.waiting[0].id, claim.waiting[0].is_echo), (&waiting.delivery, false));
    let known = link(1, "MTR-1", 1);
    let settlement = Settlement { link: Some(known.clone()), ..delivered(2) };
    assert!(store.settle(&claim.lease, settlement).await.unwrap().is_yes());
    assert_eq!(store.delivery(&tenant(CONTOSO), &waiting.delivery).await.unwrap().unwrap().state, State::Delivered);
    assert_eq!(store.link(&tenant(CONTOSO), &known.ticket.sys_id).await.unwrap(), Some(known));
    drop((store, directory));
}
