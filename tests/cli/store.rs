//! `snowgate store`: what is told, and the exit codes. (What a copy promises is tested with the store itself.)

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::sync::Arc;

use snowgate::delivery::record::Direction;
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use snowgate::domain::time::{Clock, Timestamp};
use snowgate::store::sqlite::{Options, SqliteStore};
use snowgate::store::{NewDelivery, Store};

use crate::run::Run;
use crate::support::{Home, postgres};

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_327_200_000)
    }
}

/// A folder with a file in which as many deliveries wait.
async fn home_with(deliveries: u128) -> Home {
    let home = Home::of(&[]);
    let options = Options { accept_data_loss: true, ..Options::new(Arc::new(Standing)) };
    let store = Store::Sqlite(Arc::new(SqliteStore::open(&home.path().join("old.db"), options).unwrap()));
    let change = |number| NewDelivery {
        id: DeliveryId::from_bits(number),
        tenant: TenantId::parse("contoso").unwrap(),
        direction: Direction::ToServicenow,
        incident: IncidentId::parse("MTR-1").unwrap(),
        event: EventKey::new("soc", &number.to_string()).unwrap(),
        kind: ChangeKind::Updated.into(),
        body: "{}".into(),
        body_hash: [7; 32],
        is_echo: false,
    };
    store.accept((1..=deliveries).map(change).collect()).await.unwrap();
    home
}

#[tokio::test]
async fn a_copy_is_rehearsed_made_proved_and_compared() {
    let home = home_with(300).await;
    let database = postgres::database();
    let (from, to) = ("sqlite:old.db", database.url());
    let rehearsed = Run::of(&home, &["store", "copy", "--check", from, to]).expect(0);
    assert!(rehearsed.out.contains("300 deliveries wait") && rehearsed.out.contains("it can begin"), "{rehearsed:#?}");
    let copied = Run::of(&home, &["store", "copy", from, to]).expect(0);
    assert!(copied.out.contains("copied and proved equal: 303 rows"), "{copied:#?}");
    assert!(copied.err.contains("copying tenant: 1 of 1"), "progress goes to standard error: {copied:#?}");
    assert!(copied.out.contains("audit log whole"), "{copied:#?}");
    let equal = Run::of(&home, &["store", "compare", from, to]).expect(0);
    assert!(equal.out.ends_with("equal\n"), "{equal:#?}");

    let again = Run::of(&home, &["store", "copy", from, to]).expect(1);
    assert!(again.err.contains("the target of the copy") && again.err.contains("not empty"), "{again:#?}");
    database.query("update lane set fence = 7").unwrap();
    let differs = Run::of(&home, &["store", "compare", from, to]).expect(1);
    assert!(differs.out.contains("differs") && differs.out.ends_with("not equal\n"), "{differs:#?}");
}

#[tokio::test]
async fn machines_get_one_document() {
    let home = home_with(2).await;
    let database = postgres::database();
    let report = Run::of(&home, &["--json", "store", "copy", "sqlite:old.db", database.url()]).expect(0).json();
    assert_eq!((&report["equal"], &report["audit"]["whole"]), (&true.into(), &true.into()));
    let deliveries = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "delivery").unwrap();
    assert_eq!(deliveries["rows"], serde_json::json!([2, 2]));
    assert_eq!(deliveries["sha256"][0], deliveries["sha256"][1]);
    let shown = Run::of(&home, &["--json", "store", "show", database.url()]).expect(0).json();
    assert_eq!((&shown["open"], &shown["tables"]["lane"]), (&2.into(), &1.into()));
    assert_eq!(shown["oldest"], "2026-11-22T06:00:00.000Z");
}

#[test]
fn what_is_no_store_is_not_repeated() {
    let home = Home::of(&[]);
    let run = Run::of(&home, &["store", "show", "mysql://u:hunter2@h/d"]).expect(1);
    assert!(run.err.contains("write `sqlite:data/snowgate.db`") && !run.err.contains("hunter2"), "{run:#?}");
    let run = Run::of(&home, &["store", "show", "sqlite:none.db"]).expect(1);
    assert!(run.err.contains("there is no file"), "{run:#?}");
}
