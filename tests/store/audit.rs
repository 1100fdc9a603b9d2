//! The audit log: every deed leaves its row in the commit of the deed, rows prove each other, and nothing changes the past.

use std::time::Duration;

use rusqlite::Connection;
use snowgate::domain::time::Timestamp;
use snowgate::limits::{AUDIT_KEPT_MIN, AUDIT_TRIM_SLACK};
use snowgate::store::audit::{Actor, AuditAction, AuditEntry, AuditHead, AuditPage, AuditQuery, Break, Checked, unhex};
use snowgate::store::{Pause, Replayed, Store, StoreError};

use crate::harness::{CONTOSO, Subject, by, delivered, parked, tenant};

/// The whole log, oldest first, in pages of this many rows.
pub(crate) async fn whole(store: &Store, limit: usize) -> AuditPage {
    let mut all = AuditPage::default();
    let mut beyond = None;
    loop {
        let query = AuditQuery { oldest_first: true, beyond, limit, ..AuditQuery::default() };
        let page = store.audit_page(&query).await.unwrap();
        assert!(page.rows.len() <= limit);
        all.rows.extend(page.rows);
        all.ends = page.ends;
        beyond = page.next;
        if beyond.is_none() {
            return all;
        }
    }
}

pub(crate) fn verify(page: &AuditPage) -> Result<AuditHead, Break> {
    let mut checked = Checked::from(page.ends.anchor);
    page.rows.iter().try_for_each(|row| checked.follow(row))?;
    checked.end(page.ends.head).map(|(head, _)| head)
}

/// What the log says was done, oldest first: by whom, what, to what.
async fn told(subject: &Subject) -> Vec<String> {
    let rows = whole(&subject.store, 100).await.rows;
    rows.iter()
        .map(|row| format!("{} {} {} {}", row.who, row.action, row.tenant, row.target).trim().to_owned())
        .collect()
}

fn entry(target: &str) -> AuditEntry {
    AuditEntry::new(by("ada"), AuditAction::SettingsApplied).to(target)
}

pub(crate) async fn an_entry_becomes_a_row_with_everything_in_it(subject: Subject) {
    let entry = entry("snowgate.yaml").of(&tenant(CONTOSO)).changing(Some([1; 32]), Some([2; 32])).noting("two files");
    let head = subject.store.audit(entry).await.unwrap();
    let page = whole(&subject.store, 10).await;
    let row = &page.rows[0];
    assert_eq!((row.sequence, row.at.as_str()), (1, "2026-11-22T06:00:00.000Z"));
    assert_eq!((row.who.as_str(), row.role.as_str(), row.tenant.as_str()), ("ada", "admin", CONTOSO));
    assert_eq!((row.action.as_str(), row.target.as_str()), ("settings_applied", "snowgate.yaml"));
    assert_eq!((unhex(&row.before), unhex(&row.after)), (Some([1; 32]), Some([2; 32])));
    assert_eq!((row.source.as_str(), row.request.as_str(), row.note.as_str()), ("127.0.0.1", "r-1", "two files"));
    assert_eq!((page.ends.anchor, page.ends.head), (AuditHead::default(), head));
    assert_eq!(subject.store.audit_ends().await.unwrap(), page.ends);
    assert_eq!(verify(&page), Ok(head));
}

pub(crate) async fn texts_are_bounded_and_hold_no_line_ends(subject: Subject) {
    subject.store.audit(entry(&"é\n".repeat(1_000))).await.unwrap();
    let page = whole(&subject.store, 10).await;
    assert_eq!(page.rows[0].target.chars().count(), snowgate::limits::AUDIT_TEXT_CHARS_MAX);
    assert!(!page.rows[0].target.contains('\n'));
    assert!(verify(&page).is_ok());
}

pub(crate) async fn the_log_is_paged_in_both_orders_and_filtered(subject: Subject) {
    for number in 1..=5_u64 {
        let about = if number % 2 == 0 { entry("x").of(&tenant(CONTOSO)) } else { entry("x").of(&tenant("fabrikam")) };
        subject.store.audit(about).await.unwrap();
        subject.pass(Duration::from_secs(1));
    }
    let sequences = async |query: AuditQuery| {
        let page = subject.store.audit_page(&query).await.unwrap();
        (page.rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), page.next)
    };
    let newest = AuditQuery { limit: 2, ..AuditQuery::default() };
    assert_eq!(sequences(newest.clone()).await, (vec![5, 4], Some(4)));
    assert_eq!(sequences(AuditQuery { beyond: Some(4), ..newest.clone() }).await, (vec![3, 2], Some(2)));
    assert_eq!(sequences(AuditQuery { beyond: Some(2), ..newest.clone() }).await, (vec![1], None));
    let oldest = AuditQuery { oldest_first: true, limit: 3, ..AuditQuery::default() };
    assert_eq!(sequences(oldest.clone()).await, (vec![1, 2, 3], Some(3)));
    assert_eq!(sequences(AuditQuery { beyond: Some(3), ..oldest.clone() }).await, (vec![4, 5], None));
    let contoso = AuditQuery { tenant: Some(tenant(CONTOSO)), limit: 9, ..AuditQuery::default() };
    assert_eq!(sequences(contoso).await, (vec![4, 2], None));
    let since = Timestamp::parse_utc("2026-11-22 06:00:03");
    assert_eq!(sequences(AuditQuery { since, ..oldest }).await, (vec![4, 5], None));
    assert_eq!(whole(&subject.store, 2).await.rows.len(), 5);
}

pub(crate) async fn what_is_done_by_somebodys_word_is_recorded_with_it(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let first = subject.update("MTR-1").await;
    let second = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(1, false)).await;
    let new = subject.next_id();
    let contoso = tenant(CONTOSO);
    let replayed = subject.store.replay(&contoso, &first.delivery, new.clone(), by("ada")).await.unwrap();
    assert_eq!(replayed, Replayed::Done(new.clone()));
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(2, true)).await;
    subject.store.drop_parked(&contoso, &second.delivery, by("bob")).await.unwrap();
    let pause = Pause { until: Timestamp::NEVER, code: "operator".to_owned(), reason: "a change window".to_owned() };
    subject.store.pause_by(&contoso, pause.clone(), by("bob")).await.unwrap();
    assert_eq!(subject.store.resume_by(&contoso, by("ada")).await.unwrap(), Some(pause));
    assert_eq!(
        told(&subject).await,
        [
            format!("ada replayed contoso {}", first.delivery),
            format!("bob dropped contoso {}", second.delivery),
            "bob paused contoso".to_owned(),
            "ada resumed contoso".to_owned(),
        ]
    );
    let page = whole(&subject.store, 10).await;
    assert_eq!(page.rows[0].note, format!("as {new}"));
    assert_eq!((page.rows[1].before.len(), page.rows[1].after.as_str()), (64, ""));
    assert!(page.rows[2].before.is_empty() && page.rows[2].note.contains("a change window"), "{:?}", page.rows[2]);
    assert_eq!((&page.rows[3].before, page.rows[3].after.as_str()), (&page.rows[2].after, ""));
    assert!(verify(&page).is_ok());
}

pub(crate) async fn what_was_refused_leaves_no_row(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let contoso = tenant(CONTOSO);
    let new = subject.next_id();
    for id in [&receipt.delivery, &new] {
        subject.store.replay(&contoso, id, subject.next_id(), by("ada")).await.unwrap();
        subject.store.drop_parked(&contoso, id, by("ada")).await.unwrap();
    }
    assert!(told(&subject).await.is_empty());
}

pub(crate) async fn what_the_gateway_does_by_itself_is_no_deed(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(1)).await;
    let pause = Pause { until: Timestamp::NEVER, code: "throttled".to_owned(), reason: String::new() };
    subject.store.pause_tenant(&tenant(CONTOSO), pause).await.unwrap();
    subject.store.resume_tenant(&tenant(CONTOSO)).await.unwrap();
    assert!(told(&subject).await.is_empty());
}

pub(crate) async fn two_replays_at_once_are_one_replay_and_one_row(subject: Subject) {
    subject.serve(&[(CONTOSO, 1)]).await;
    let receipt = subject.update("MTR-1").await;
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, parked(1, true)).await;
    let contoso = tenant(CONTOSO);
    let replay = async |new| subject.store.replay(&contoso, &receipt.delivery, new, by("ada")).await.unwrap();
    let (one, other) = tokio::join!(replay(subject.next_id()), replay(subject.next_id()));
    let done = |replayed: &Replayed| matches!(replayed, Replayed::Done(_));
    assert!(done(&one) != done(&other), "{one:?} {other:?}");
    assert_eq!(told(&subject).await.len(), 1);
}

pub(crate) async fn old_rows_go_and_the_chain_goes_on(subject: Subject) {
    for number in 0..5 {
        subject.store.audit(entry(&format!("old-{number}"))).await.unwrap();
    }
    let before = whole(&subject.store, 10).await.ends.head;
    let trim = async |keep: Duration| subject.store.trim_audit(keep, 3).await.unwrap();
    subject.pass(AUDIT_KEPT_MIN);
    assert_eq!(trim(Duration::ZERO).await, 0, "whatever is asked, they are kept");
    subject.pass(AUDIT_TRIM_SLACK);
    subject.store.audit(entry("young")).await.unwrap();
    assert_eq!(trim(Duration::ZERO).await, 0, "not yet worth a row");
    subject.pass(Duration::from_secs(1));
    assert_eq!((trim(2 * AUDIT_KEPT_MIN).await, trim(Duration::ZERO).await), (0, 3));
    let page = whole(&subject.store, 10).await;
    assert_eq!(page.ends.anchor.sequence, 3);
    let targets: Vec<_> = page.rows.iter().map(|row| row.target.as_str()).collect();
    assert_eq!(targets, ["old-3", "old-4", "young", "3"]);
    assert_eq!(verify(&page).unwrap().sequence, 7);
    assert_eq!((trim(Duration::ZERO).await, trim(Duration::ZERO).await), (2, 0));
    let page = whole(&subject.store, 10).await;
    assert_eq!((page.ends.anchor, verify(&page).unwrap().sequence), (before, 8));
}

pub(crate) async fn an_empty_log_is_whole(subject: Subject) {
    assert_eq!(subject.store.trim_audit(Duration::ZERO, 10).await.unwrap(), 0);
    let page = whole(&subject.store, 10).await;
    assert_eq!((page.rows.len(), verify(&page)), (0, Ok(AuditHead::default())));
}

/// A file with five rows, closed.
async fn five_rows() -> (tempfile::TempDir, std::path::PathBuf) {
    let subject = Subject::sqlite();
    for number in 0..5 {
        subject.store.audit(entry(&format!("row-{number}"))).await.unwrap();
    }
    subject.closed()
}

#[tokio::test]
async fn the_file_refuses_to_change_the_past() {
    let (_directory, path) = five_rows().await;
    let file = Connection::open(&path).unwrap();
    for sql in [
        "UPDATE audit SET who = 'nobody' WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 5",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT sequence, at, 'nobody', role, tenant, action, target, before, after, source, \
         request, note, hash FROM audit WHERE sequence = 2",
        "UPDATE OR REPLACE audit SET sequence = 4 WHERE sequence = 5",
        "INSERT INTO audit SELECT 9, at, who, role, tenant, action, target, before, after, source, request, note, hash \
         FROM audit WHERE sequence = 2",
        "UPDATE audit_anchor SET sequence = 5, hash = (SELECT hash FROM audit WHERE sequence = 5)",
        "UPDATE audit_anchor SET sequence = 0",
        "DELETE FROM audit_anchor",
    ] {
        let refused = file.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("audit log"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn who_gets_around_the_triggers_breaks_the_chain() {
    let (_directory, path) = five_rows().await;
    let file = Connection::open(&path).unwrap();
    let head = unhex(&read(&path).rows[4].hash);
    for trigger in ["audit_never_changes", "audit_is_kept", "audit_anchor_moves_forward", "audit_grows_at_its_end"] {
        file.execute(&format!("DROP TRIGGER {trigger}"), []).unwrap();
    }
    file.execute_batch("SAVEPOINT whole").unwrap();
    for (sql, broken) in [
        ("UPDATE audit SET who = 'nobody' WHERE sequence = 2", Break::Changed(2)),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 5", Break::Changed(5)),
        ("UPDATE audit SET hash = x'00' WHERE sequence = 3", Break::Changed(3)),
        ("DELETE FROM audit WHERE sequence = 4", Break::Missing { expected: 4, found: 5 }),
        (
            "DELETE FROM audit WHERE sequence < 3; \
             UPDATE audit_anchor SET sequence = 2, hash = x'0000000000000000000000000000000000000000000000000000000000000000'",
            Break::Changed(3),
        ),
    ] {
        file.execute_batch(&format!("ROLLBACK TO whole; {sql}; RELEASE whole")).unwrap();
        assert_eq!(verify(&read(&path)), Err(broken), "{sql}");
        // Back to the five rows, for the next one.
        restore(&file, &path).await;
        file.execute_batch("SAVEPOINT whole").unwrap();
    }
    file.execute_batch("DELETE FROM audit WHERE sequence = 5; RELEASE whole").unwrap();
    let page = read(&path);
    assert_eq!(verify(&page).map(|head| head.sequence), Ok(4), "a cut tail looks whole");
    let mut checked = Checked::from(page.ends.anchor).expect(head);
    page.rows.iter().for_each(|row| checked.follow(row).unwrap());
    assert_eq!(checked.end(page.ends.head), Err(Break::Checkpoint), "but not to who noted the head");
}

async fn restore(file: &Connection, path: &std::path::Path) {
    let (_directory, fresh) = five_rows().await;
    file.execute("ATTACH ?1 AS fresh", [fresh.to_str().unwrap()]).unwrap();
    file.execute_batch(
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM fresh.audit; \
         UPDATE audit_anchor SET sequence = 0, hash = zeroblob(32)",
    )
    .unwrap();
    file.execute("DETACH fresh", []).unwrap();
    assert!(verify(&read(path)).is_ok());
}

fn read(path: &std::path::Path) -> AuditPage {
    let query = AuditQuery { oldest_first: true, limit: 100, ..AuditQuery::default() };
    snowgate::store::sqlite::read_audit(path, &query).unwrap()
}

#[tokio::test]
async fn the_log_goes_on_after_a_restart() {
    let subject = Subject::sqlite();
    subject.store.audit(entry("before")).await.unwrap();
    let subject = subject.reopened();
    subject.store.audit(AuditEntry::new(Actor::gateway(), AuditAction::SettingsApplied)).await.unwrap();
    assert_eq!(verify(&whole(&subject.store, 10).await).unwrap().sequence, 2);
}

#[test]
fn a_file_that_is_not_there_is_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let refused = snowgate::store::sqlite::read_audit(&directory.path().join("x.db"), &AuditQuery::default());
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
}
