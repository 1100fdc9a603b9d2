//! Moving house: everything that a store can hold arrives, or nothing does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use snowgate::delivery::record::{Direction, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::SysId;
use snowgate::domain::time::{Clock as _, Timestamp};
use snowgate::limits::AUDIT_KEPT;
use snowgate::store::copy::{self, Chain, CopyError, Place, Progress, Report, TableReport};
use snowgate::store::life_cycle::CheckRecord;
use snowgate::store::{DeliveryQuery, Learned, NewDelivery, Pause, Settlement, Store, SweepCursor};
use tempfile::TempDir;

use crate::audit::{verify, whole};
use crate::harness::{
    CONTOSO, LEASE, ManualClock, Subject, attempt, by, delivered, incident, link, open, parked, postponed, replica,
    tenant,
};
use crate::server::{self, Database};
use crate::wait::eventually;

const TENANTS: [&str; 4] = ["adatum", CONTOSO, "fabrikam", "nobody"];
const INCIDENTS: [&str; 8] = ["MTR-1", "MTR-2", "MTR-3", "MTR-4", "MTR-5", "MTR-6", "MTR-7", "MTR-8"];
const QUARTER: Duration = Duration::from_mins(15);

/// A folder on a disk: a file is not copied to where it would not last.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn file(path: &Path) -> Place {
    Place::Sqlite(path.to_owned())
}

fn in_postgres(database: &Database) -> Place {
    Place::Postgres { url: database.url().to_owned(), password: None }
}

async fn copied(from: &Place, to: &Place) -> Result<Report, CopyError> {
    copy::copy(from, to, false, &mut |_| {}).await
}

async fn refusal(from: &Place, to: &Place) -> String {
    let error = copied(from, to).await.unwrap_err();
    format!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())
}

/// Waits until a store's last connection is closed on the server too.
async fn left(database: &Database) {
    let ours =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'snowgate'";
    eventually("the store's connections are gone", async || {
        (database.query(ours).unwrap().trim() == "0").then_some(())
    })
    .await;
}

/// Something of every kind that a store can hold, and time enough passed that its log was trimmed.
async fn furnished() -> Subject {
    let subject = Subject::sqlite();
    let store = &subject.store;
    for _ in 0..3 {
        store.withdraw(&tenant("adatum"), by("ada")).await.unwrap();
    }
    subject.pass(AUDIT_KEPT + Duration::from_hours(24 * 30));
    subject.serve(&[(CONTOSO, 9), ("adatum", 9)]).await;
    Box::pin(claims(&subject)).await;
    people(&subject).await;
    sweeps(store).await;
    assert!(store.trim_audit(AUDIT_KEPT, 100).await.unwrap() > 0);
    subject
}

/// Deliveries in every state, with what follows from them.
async fn claims(subject: &Subject) {
    // MTR-1 is being sent when its worker dies, and two wait behind it.
    for _ in 0..3 {
        subject.update("MTR-1").await;
    }
    let sent = subject.claim_one().await;
    subject.intend(&sent, 1).await;
    // MTR-2 was tried once, folded, linked and told of.
    subject.update("MTR-2").await;
    let claim = subject.claim_one().await;
    let at = subject.clock.now();
    subject
        .postpone(&claim.lease, snowgate::store::Postponement { attempt: Some(attempt(at, "busy")), ..postponed(at) })
        .await;
    subject.update("MTR-2").await;
    let claim = subject.claim_one().await;
    let told = NewDelivery {
        direction: Direction::ToService,
        is_echo: true,
        ..subject.change("MTR-2", ChangeKind::MessageAdded)
    };
    let settlement = Settlement {
        follows: vec![told],
        link: Some(link(7, "MTR-2", 1)),
        attempt: Some(attempt(at, "delivered")),
        ..delivered(2)
    };
    subject.settle(&claim.lease, settlement).await;
    let back = subject.claim_one().await;
    subject.settle(&back.lease, Settlement { link: Some(link(8, "MTR-3", 2)), ..parked(1, false) }).await;
    // MTR-4 is parked and holds its lane, MTR-5 was given up, MTR-6 is replayed behind.
    for (incident, blocks) in [("MTR-4", true), ("MTR-5", true), ("MTR-6", false)] {
        let receipt = subject.update(incident).await;
        let claim = subject.claim_one().await;
        subject.settle(&claim.lease, parked(1, blocks)).await;
        if incident == "MTR-4" {
            subject.update(incident).await;
        } else if blocks {
            subject.store.drop_parked(&tenant(CONTOSO), &receipt.delivery, by("bob")).await.unwrap();
        } else {
            subject.store.replay(&tenant(CONTOSO), &receipt.delivery, subject.next_id(), by("bob")).await.unwrap();
        }
    }
    // MTR-7 backs off.
    let claim = subject.claim_one().await;
    subject.settle(&claim.lease, delivered(2)).await;
    subject.update("MTR-7").await;
    let claim = subject.claim_one().await;
    subject.postpone(&claim.lease, postponed(subject.clock.now().plus(QUARTER))).await;
    subject.accept(subject.change_of("fabrikam", "MTR-8")).await;
}

async fn people(subject: &Subject) {
    let store = &subject.store;
    let until = Timestamp::NEVER;
    let pause =
        Pause { until, code: Pause::OPERATOR.to_owned(), reason: "their change freeze · Übergabe".to_owned() };
    store.pause_by(&tenant("fabrikam"), pause, by("ada")).await.unwrap();
    let learned = Learned { fingerprint: "x".to_owned(), honours_sys_id: Some(true), ..Learned::default() };
    assert!(store.learn(&tenant(CONTOSO), &Learned::default(), learned).await.unwrap());
    let findings = vec![serde_json::json!({"code": "L001"})];
    let check = CheckRecord { digest: [7; 32], passed: true, findings, by: by("ada") };
    store.record_check(&tenant(CONTOSO), check).await.unwrap();
    store.release(&tenant(CONTOSO), [7; 32], false, by("bob")).await.unwrap();
}

/// One sweep ended, another one's sweeper died on the way.
async fn sweeps(store: &Store) {
    for name in [CONTOSO, "adatum"] {
        let lease = store.lease_sweep(&tenant(name), "worker", QUARTER, LEASE).await.unwrap().unwrap();
        let cursor = SweepCursor { updated_on: format!("2026-11-22 {name}"), compared: Some(SysId::from_bits(9)) };
        if name == CONTOSO {
            assert!(store.finish_sweep(&lease, &cursor).await.unwrap().is_yes());
        } else {
            assert!(store.save_sweep(&lease, &cursor, LEASE).await.unwrap().is_yes());
        }
    }
}

/// Everything that the contract answers about a store without changing it.
async fn answers(store: &Store) -> Vec<String> {
    let mut told = Vec::new();
    for name in TENANTS {
        let of = tenant(name);
        let query = DeliveryQuery {
            tenant: of.clone(),
            state: None,
            incidents: vec![],
            direction: None,
            before: None,
            limit: 99,
        };
        told.push(format!("{:?}", store.tenant(&of).await.unwrap()));
        told.push(format!("{:#?}", store.deliveries(&query).await.unwrap()));
        told.push(format!("{:?}", store.links_page(&of, None, 99).await.unwrap()));
        for (about, direction) in
            INCIDENTS.iter().flat_map(|about| [Direction::ToServicenow, Direction::ToService].map(|way| (about, way)))
        {
            told.push(format!("{:?}", store.lane(&of, direction, &incident(about)).await.unwrap()));
            told.push(format!("{:?}", store.links_of(&of, &incident(about)).await.unwrap()));
        }
    }
    told.push(format!("{:?}", store.backlog().await.unwrap()));
    let log = whole(store, 99).await;
    verify(&log).unwrap();
    told.push(format!("{log:?}"));
    told
}

/// What happens next: what is claimed once the leases have ended, and how sweeps go on.
async fn next_steps(store: Store, clock: &Arc<ManualClock>, made: &Subject) -> Vec<String> {
    clock.pass(LEASE + Duration::from_secs(1));
    let subject = made.beside(store);
    subject.serve(&[(CONTOSO, 9), ("fabrikam", 9), ("adatum", 9)]).await;
    let mut told: Vec<String> = Vec::new();
    let claims = subject.claim(9).await;
    for claim in &claims {
        let waiting: Vec<_> =
            claim.waiting.iter().map(|one| (&one.id, one.sequence, one.sending_since, &one.body)).collect();
        told.push(format!(
            "{} {:?} {} {} {waiting:?}",
            claim.tenant, claim.incident, claim.lease.fence, claim.attempts
        ));
    }
    told.sort();
    for name in [CONTOSO, "adatum"] {
        let lease = subject.store.lease_sweep(&tenant(name), "next", QUARTER, LEASE).await.unwrap();
        told.push(format!("{:?}", lease.map(|lease| (lease.fence, lease.cursor))));
    }
    told.push(format!("{:?}", subject.update("MTR-1").await));
    told
}

fn shown(report: &Report) -> Vec<(&str, u64)> {
    assert!(report.is_equal(), "{report:#?}");
    report.tables.iter().map(|table| (table.table, table.rows.1)).collect()
}

#[tokio::test]
async fn everything_arrives_in_postgresql_and_comes_back() {
    let subject = furnished().await;
    let before = answers(&subject.store).await;
    let clock = Arc::clone(&subject.clock);
    let counted = subject.beside(Subject::memory().store);
    let (_folder, path) = subject.closed();
    // A single process keeps this in memory; a file that came from a database has it.
    let pace = "INSERT INTO peer_pace VALUES (1, 'servicenow https://c.example', 3, 1, 2, 3, NULL, 1, 4, 'busy', 'x', \
                'half_open', 5, 6, 7, NULL, 8, 'http_503', 'w', 9)";
    Connection::open(&path).unwrap().execute_batch(pace).unwrap();
    let database = server::database();

    let report = copied(&file(&path), &in_postgres(&database)).await.unwrap();
    assert!(matches!(report.chain, Chain::Whole(_)));
    assert!(shown(&report).iter().all(|(_, rows)| *rows > 0), "a kind of row was not tried: {report:#?}");
    let there = replica(&database, &clock).await;
    assert_eq!(answers(&there).await, before);
    drop(there);
    left(&database).await;

    // Their clock is the tests' own, so to the database the leases in it lie in the future.
    let home = folder();
    let back = home.path().join("store.db");
    let report = copied(&in_postgres(&database), &file(&back)).await.unwrap();
    assert_eq!(
        shown(&report),
        shown(&copy::compare(&file(&path), &in_postgres(&database), false, &mut |_| {}).await.unwrap())
    );
    let store = open(&back, &clock);
    assert_eq!(answers(&store).await, before);
    drop(store);

    // And all three go on in the same way.
    let origin = next_steps(open(&path, &clock), &clock, &counted).await;
    let moved = next_steps(replica(&database, &clock).await, &clock, &counted).await;
    let returned = next_steps(open(&back, &clock), &clock, &counted).await;
    assert_eq!((&moved, &returned), (&origin, &origin));
    assert!(
        origin.iter().any(|line| line.contains("MTR-1") && line.contains("Some(")),
        "the sent one stays marked: {origin:#?}"
    );
}

#[tokio::test]
async fn a_log_goes_on_growing_where_it_was() {
    let subject = furnished().await;
    let clock = Arc::clone(&subject.clock);
    let (_folder, path) = subject.closed();
    let database = server::database();
    copied(&file(&path), &in_postgres(&database)).await.unwrap();
    let store = replica(&database, &clock).await;
    store.withdraw(&tenant(CONTOSO), by("ada")).await.unwrap();
    assert!(verify(&whole(&store, 99).await).is_ok());
    // The guards are up again.
    for change in ["update audit set who = 'x'", "delete from audit", "update audit_anchor set sequence = 0"] {
        assert!(database.query(change).is_err(), "{change}");
    }
}

/// A store with more rows than a page holds.
async fn large() -> (TempDir, PathBuf) {
    let subject = Subject::sqlite();
    for number in 0..4_u32 {
        let changes = (0..200).map(|at| subject.change(&format!("MTR-{number}-{at}"), ChangeKind::Updated));
        subject.store.accept(changes.collect()).await.unwrap();
    }
    subject.closed()
}

/// Ends the copy's connection when it is in the middle of the deliveries.
fn cut_in_the_middle(database: &Database) -> impl FnMut(Progress) {
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and application_name = 'snowgate store'";
    let mut cut = false;
    move |progress| {
        if progress.table == "delivery" && progress.rows.0 > 300 && !std::mem::replace(&mut cut, true) {
            assert_eq!(database.query(end).unwrap().trim(), "1");
        }
    }
}

#[tokio::test]
async fn a_copy_that_breaks_off_leaves_nothing_and_is_started_again() {
    let (_folder, path) = large().await;
    let database = server::database();
    let (from, to) = (file(&path), in_postgres(&database));
    let broken = copy::copy(&from, &to, false, &mut cut_in_the_middle(&database)).await;
    assert!(matches!(broken, Err(CopyError::Store { side: "target", .. })), "{broken:?}");
    assert_eq!(database.query("select count(*) from delivery").unwrap().trim(), "0");
    assert_eq!(copy::rehearse(&from, &to, false).await.unwrap().rows(), 4 * 200 * 2 + 2);
    assert!(copied(&from, &to).await.unwrap().is_equal());

    let home = folder();
    let back = home.path().join("store.db");
    let (from, to) = (in_postgres(&database), file(&back));
    let broken = copy::copy(&from, &to, false, &mut cut_in_the_middle(&database)).await;
    assert!(matches!(broken, Err(CopyError::Store { side: "source", .. })), "{broken:?}");
    assert!(!back.exists(), "a gateway would start on half of it");
    assert!(copied(&from, &to).await.unwrap().is_equal());
    let files: BTreeSet<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["store.db".into(), "store.db.lock".into()].into());
}

#[tokio::test]
async fn a_target_that_holds_something_is_refused_and_stays() {
    let (_folder, path) = large().await;
    let database = server::database();
    copied(&file(&path), &in_postgres(&database)).await.unwrap();
    let refused = refusal(&file(&path), &in_postgres(&database)).await;
    assert!(
        refused.contains("not empty") && refused.contains("800 in delivery") && refused.contains("DROP SCHEMA"),
        "{refused}"
    );
    let refused = refusal(&in_postgres(&database), &file(&path)).await;
    assert!(refused.contains("exists already"), "{refused}");
    assert!(copy::compare(&file(&path), &in_postgres(&database), false, &mut |_| {}).await.unwrap().is_equal());
}

#[tokio::test]
async fn a_source_in_use_is_refused() {
    let subject = Subject::sqlite();
    subject.serve(&[(CONTOSO, 1)]).await;
    subject.update("MTR-1").await;
    let database = server::database();
    let refused = refusal(&file(&subject.path()), &in_postgres(&database)).await;
    assert!(refused.contains("in use by pid"), "{refused}");
    let (_folder, path) = subject.closed();
    copied(&file(&path), &in_postgres(&database)).await.unwrap();

    let clock = ManualClock::new();
    let store = replica(&database, &clock).await;
    let home = folder();
    let back = file(&home.path().join("store.db"));
    let refused = refusal(&in_postgres(&database), &back).await;
    assert!(refused.contains("in use by a gateway"), "{refused}");
    // A worker that is gone may still be about to write: its lease has to run out, in the database's time.
    drop(store);
    left(&database).await;
    database.query("update lane set leased_until = store_now() + 90000").unwrap();
    let refused = refusal(&in_postgres(&database), &back).await;
    assert!(refused.contains("for another 90 s"), "{refused}");
    assert!(copy::copy(&in_postgres(&database), &back, true, &mut |_| {}).await.unwrap().is_equal());
}

#[tokio::test]
async fn nothing_writes_to_a_source_in_postgresql_meanwhile() {
    let (_folder, path) = large().await;
    let database = server::database();
    copied(&file(&path), &in_postgres(&database)).await.unwrap();
    let home = folder();
    let mut tried = 0;
    let (from, to) = (in_postgres(&database), file(&home.path().join("store.db")));
    let mut write_meanwhile = |_| {
        let write = "set lock_timeout = 100; update lane set fence = fence + 1";
        let refused = database.query(write).unwrap_err();
        assert!(refused.contains("lock timeout"), "{refused}");
        tried += 1;
    };
    let report = copy::copy(&from, &to, false, &mut write_meanwhile).await.unwrap();
    assert!(report.is_equal());
    assert!(tried > 3);
}

fn differing(report: &Report) -> Vec<&str> {
    report.tables.iter().filter(|table| !table.is_equal()).map(|table: &TableReport| table.table).collect()
}

#[tokio::test]
async fn one_changed_value_is_found() {
    let (_folder, path) = large().await;
    let database = server::database();
    copied(&file(&path), &in_postgres(&database)).await.unwrap();
    let compare = async || copy::compare(&file(&path), &in_postgres(&database), false, &mut |_| {}).await.unwrap();
    assert_eq!(differing(&compare().await), Vec::<&str>::new());
    database
        .query("update delivery set body = '{}' where (lane, sequence) = (select lane, sequence from delivery limit 1)")
        .unwrap();
    assert_eq!(differing(&compare().await), ["delivery"]);
    database.query("delete from lane where id = (select max(id) from lane)").unwrap();
    assert_eq!(differing(&compare().await), ["lane", "delivery"]);
}

#[tokio::test]
async fn what_does_not_arrive_as_it_left_is_not_kept() {
    let subject = furnished().await;
    let (_folder, path) = subject.closed();
    let database = server::database();
    drop(replica(&database, &ManualClock::new()).await);
    left(&database).await;
    for statement in [
        "create function spoil() returns trigger language plpgsql as $$ begin new.number = 'INC'; return new; end $$",
        "create trigger spoil before insert on link for each row execute function spoil()",
    ] {
        database.query(statement).unwrap();
    }
    match copied(&file(&path), &in_postgres(&database)).await {
        Err(CopyError::Differs(report)) => assert_eq!(differing(&report), ["link"]),
        other => panic!("it was kept: {other:?}"),
    }
    assert_eq!(database.query("select count(*) from lane").unwrap().trim(), "0");
}

#[tokio::test]
async fn a_log_that_was_tampered_with_is_copied_as_it_is_and_told() {
    let subject = furnished().await;
    let (_folder, path) = subject.closed();
    let source = Connection::open(&path).unwrap();
    source
        .execute_batch("DROP TRIGGER audit_never_changes; UPDATE audit SET who = 'nobody' WHERE action = 'dropped'")
        .unwrap();
    drop(source);
    let database = server::database();
    let report = copied(&file(&path), &in_postgres(&database)).await.unwrap();
    assert!(report.is_equal());
    assert!(matches!(&report.chain, Chain::Broken(broken) if broken.contains("is not what was written")), "{report:?}");
}

#[tokio::test]
async fn one_engines_own_tools_are_named() {
    let refused = refusal(&file(Path::new("a.db")), &file(Path::new("b.db"))).await;
    assert!(refused.contains("VACUUM INTO"), "{refused}");
    let place = Place::Postgres { url: "postgres://u@h/d".to_owned(), password: None };
    let refused = refusal(&place, &place).await;
    assert!(refused.contains("pg_dump"), "{refused}");
}

#[tokio::test]
async fn another_programs_database_is_no_source() {
    let database = server::database();
    let home = folder();
    let refused = refusal(&in_postgres(&database), &file(&home.path().join("store.db"))).await;
    assert!(refused.contains("holds no store"), "{refused}");
    let path = home.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE note (text TEXT)").unwrap();
    let refused = refusal(&file(&path), &in_postgres(&database)).await;
    assert!(refused.contains("is no store"), "{refused}");
    let refused = refusal(&file(&home.path().join("none.db")), &in_postgres(&database)).await;
    assert!(refused.contains("there is no file"), "{refused}");
}

/// A column that is added to a schema and forgotten here would be lost on the way.
#[tokio::test]
async fn every_column_of_both_engines_moves() {
    let subject = Subject::sqlite();
    let (_folder, path) = subject.closed();
    let moved: BTreeSet<String> = copy::columns().map(|(table, column)| format!("{table}.{column}")).collect();
    let stays = |column: &String| {
        let of_now = ["lane.leased_until", "sweep.owner", "sweep.leased_until"].contains(&column.as_str());
        let of_engine = ["migration.", "store_time.", "body."].iter().any(|table| column.starts_with(table));
        !of_now && !of_engine
    };
    let sqlite = Connection::open(&path).unwrap();
    let all = "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    let all =
        sqlite.prepare(all).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<BTreeSet<String>, _>>();
    assert_eq!(all.unwrap().into_iter().filter(stays).collect::<BTreeSet<_>>(), moved);
    let database = server::database();
    drop(replica(&database, &ManualClock::new()).await);
    let all = database
        .query("select table_name || '.' || column_name from information_schema.columns where table_schema = 'public'")
        .unwrap();
    assert_eq!(all.lines().map(str::to_owned).filter(stays).collect::<BTreeSet<_>>(), moved);
}

#[tokio::test]
async fn a_look_says_what_waits_while_a_gateway_works() {
    let subject = furnished().await;
    let contents = copy::contents(&file(&subject.path())).await.unwrap();
    let rows = |table| contents.tables.iter().find(|(name, _)| *name == table).unwrap().1;
    assert_eq!((rows("tenant"), rows("link")), (3, 2));
    let open = subject.store.backlog().await.unwrap().iter().map(|backlog| backlog.waiting).sum::<u64>();
    assert_eq!((contents.open, contents.oldest.is_some()), (open, true));
    let query = DeliveryQuery {
        tenant: tenant(CONTOSO),
        state: Some(State::Sending),
        incidents: vec![],
        direction: None,
        before: None,
        limit: 9,
    };
    assert_eq!(subject.store.deliveries(&query).await.unwrap().deliveries.len(), 1, "it goes on");
}
