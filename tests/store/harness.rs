//! What the cases are written with: a fresh store on a clock that only moves when told, and short words for the
//! usual steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use snowgate::delivery::lane::LaneMemory;
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::delivery::record::{Attempt, Delivery, Direction, Ending, Owner, Parking, State};
use snowgate::domain::change::ChangeKind;
use snowgate::domain::id::{DeliveryId, EventKey, IncidentId, SysId, TenantId};
use snowgate::domain::ticket::{Link, Ticket};
use snowgate::domain::time::{Clock, SharedClock, Timestamp};
use snowgate::store::audit::Actor;
use snowgate::store::memory::MemoryStore;
use snowgate::store::postgres::{self, PostgresStore};
use snowgate::store::sqlite::{Options, SqliteStore};
use snowgate::store::{
    Accepted, Claim, ClaimRequest, Held, Lease, NewDelivery, Postponement, Receipt, Settlement, SlowShare, Store,
    TenantShare,
};
use tempfile::TempDir;

use crate::server::{self, Database};

/// How long a lease lasts in these cases.
pub(crate) const LEASE: Duration = Duration::from_mins(2);
/// The tenant that most cases are about.
pub(crate) const CONTOSO: &str = "contoso";

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_795_327_200_000)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// How much it was moved on.
    pub(crate) fn passed(&self) -> Duration {
        self.now().since(Self::new().now())
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.0.fetch_sub(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A store under test.
pub(crate) struct Subject {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    made: AtomicU64,
    // Last: the files and the database go after the store has let go of them.
    directory: Option<TempDir>,
    database: Option<Database>,
}

pub(crate) fn options(clock: &Arc<ManualClock>) -> Options {
    let clock: SharedClock = Arc::<ManualClock>::clone(clock);
    // A build machine may well have its temporary directory in memory.
    Options { accept_data_loss: true, ..Options::new(clock) }
}

impl Subject {
    pub(crate) fn memory() -> Self {
        let clock = ManualClock::new();
        let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
        let store = Store::Memory(Arc::new(MemoryStore::new(shared)));
        Self { store, clock, made: AtomicU64::new(0), directory: None, database: None }
    }

    pub(crate) fn sqlite() -> Self {
        let clock = ManualClock::new();
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("store.db"), &clock);
        Self { store, clock, made: AtomicU64::new(0), directory: Some(directory), database: None }
    }

    pub(crate) async fn postgres() -> Self {
        let clock = ManualClock::new();
        let database = server::database();
        let store = replica(&database, &clock).await;
        Self { store, clock, made: AtomicU64::new(0), directory: None, database: Some(database) }
    }

    /// The database of a store in PostgreSQL.
    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }

    /// Another store on the same database, as another replica has it; its receipts do not meet this one's.
    pub(crate) async fn replica(&self) -> Self {
        let (store, clock) = (replica(self.database(), &self.clock).await, Arc::clone(&self.clock));
        let made = AtomicU64::new(self.made.load(Ordering::SeqCst) + 1_000_000);
        Self { store, clock, made, directory: None, database: None }
    }

    /// Another store on the same clock, whose receipts begin where this one's are now.
    pub(crate) fn beside(&self, store: Store) -> Self {
        let made = AtomicU64::new(self.made.load(Ordering::SeqCst));
        Self { store, clock: Arc::clone(&self.clock), made, directory: None, database: None }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.as_ref().unwrap().path().join("store.db")
    }

    /// Ends the store as a stopping process does, and opens its file again.
    pub(crate) fn reopened(self) -> Self {
        let path = self.path();
        let Self { store, clock, made, directory, database } = self;
        drop(store);
        Self { store: open(&path, &clock), clock, made, directory, database }
    }

    /// Ends the store and gives back what is left of it.
    pub(crate) fn closed(self) -> (TempDir, PathBuf) {
        let path = self.path();
        drop(self.store);
        (self.directory.unwrap(), path)
    }

    fn number(&self) -> u64 {
        self.made.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn next_id(&self) -> DeliveryId {
        DeliveryId::from_bits(u128::from(self.number()))
    }

    /// A new change of contoso's, with an event of its own.
    pub(crate) fn change(&self, incident: &str, kind: ChangeKind) -> NewDelivery {
        let number = self.number();
        change(number, CONTOSO, incident, kind)
    }

    pub(crate) fn change_of(&self, tenant: &str, incident: &str) -> NewDelivery {
        change(self.number(), tenant, incident, ChangeKind::Updated)
    }

    pub(crate) async fn accept(&self, change: NewDelivery) -> Receipt {
        match self.store.accept(vec![change]).await.unwrap().remove(0) {
            Accepted::Stored(receipt) => receipt,
            other => panic!("expected it to be stored: {other:?}"),
        }
    }

    /// Accepts an update of this incident.
    pub(crate) async fn update(&self, incident: &str) -> Receipt {
        self.accept(self.change(incident, ChangeKind::Updated)).await
    }

    pub(crate) async fn serve(&self, shares: &[(&str, u32)]) {
        let share = |(name, lanes_max): &(&str, u32)| TenantShare { tenant: tenant(name), lanes_max: *lanes_max };
        self.store.serve_tenants(shares.iter().map(share).collect()).await.unwrap();
    }

    pub(crate) async fn claim(&self, lanes_max: usize) -> Vec<Claim> {
        self.store.claim(&request(lanes_max)).await.unwrap()
    }

    pub(crate) async fn claim_one(&self) -> Claim {
        let mut claims = self.claim(1).await;
        assert_eq!(claims.len(), 1, "one lane is due");
        claims.remove(0)
    }

    /// The incidents of the lanes that a claim gets.
    pub(crate) async fn claim_incidents(&self, lanes_max: usize) -> Vec<String> {
        self.claim(lanes_max).await.iter().map(|claim| claim.incident.to_string()).collect()
    }

    pub(crate) async fn settle(&self, lease: &Lease, settlement: Settlement) {
        assert_eq!(self.store.settle(lease, settlement).await.unwrap(), Held::Yes(()));
    }

    pub(crate) async fn postpone(&self, lease: &Lease, postponement: Postponement) {
        assert_eq!(self.store.postpone(lease, postponement).await.unwrap(), Held::Yes(()));
    }

    pub(crate) async fn intend(&self, claim: &Claim, upto: u64) {
        assert!(self.store.intend(&claim.lease, upto, LEASE).await.unwrap().is_yes());
    }

    pub(crate) async fn delivery(&self, id: &DeliveryId) -> Delivery {
        self.store.delivery(&tenant(CONTOSO), id).await.unwrap().expect("it was accepted")
    }

    pub(crate) async fn state(&self, receipt: &Receipt) -> State {
        self.delivery(&receipt.delivery).await.state
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) fn open(path: &Path, clock: &Arc<ManualClock>) -> Store {
    Store::Sqlite(Arc::new(SqliteStore::open(path, options(clock)).unwrap()))
}

/// Opens a store on this database and this clock.
pub(crate) async fn replica(database: &Database, clock: &Arc<ManualClock>) -> Store {
    let clock: SharedClock = Arc::<ManualClock>::clone(clock);
    let options = postgres::Options { clock: Some(clock), ..postgres::Options::default() };
    Store::Postgres(PostgresStore::open(database.url(), options).await.unwrap())
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn incident(name: &str) -> IncidentId {
    IncidentId::parse(name).unwrap()
}

pub(crate) fn change(number: u64, of: &str, about: &str, kind: ChangeKind) -> NewDelivery {
    let body = format!(r#"{{"incident":{{"id":"{about}"}},"number":{number}}}"#);
    NewDelivery {
        id: DeliveryId::from_bits(u128::from(number)),
        tenant: tenant(of),
        direction: Direction::ToServicenow,
        incident: incident(about),
        event: EventKey::new("soc", &format!("event-{number}")).unwrap(),
        kind: kind.into(),
        body_hash: Sha256::digest(&body).into(),
        body: body.into(),
        is_echo: false,
    }
}

/// An operator, by name.
pub(crate) fn by(name: &str) -> Actor {
    Actor { name: name.to_owned(), role: "admin", source: "127.0.0.1".to_owned(), request: "r-1".to_owned() }
}

/// The same change under a new receipt, as a sender repeats it.
pub(crate) fn again(change: &NewDelivery, id: DeliveryId) -> NewDelivery {
    NewDelivery { id, ..change.clone() }
}

/// The same event with another body.
pub(crate) fn changed(change: &NewDelivery, id: DeliveryId) -> NewDelivery {
    NewDelivery { id, body: "{}".into(), body_hash: Sha256::digest("{}").into(), ..change.clone() }
}

pub(crate) fn request(lanes_max: usize) -> ClaimRequest {
    ClaimRequest {
        owner: "worker".to_owned(),
        lanes_max,
        lease_for: LEASE,
        waiting_max: 10,
        newest_first: false,
        slow: SlowShare::default(),
    }
}

pub(crate) fn delivered(upto: u64) -> Settlement {
    let ending = Ending { ticket: Some(ticket()), how: "updated".to_owned(), ..Ending::default() };
    Settlement {
        upto,
        state: State::Delivered,
        ending,
        attempt: None,
        memory: memory("delivered"),
        follows: Vec::new(),
        link: None,
    }
}

pub(crate) fn parked(upto: u64, blocks: bool) -> Settlement {
    let parking = Parking {
        code: "refused".to_owned(),
        reason: "the instance refused it".to_owned(),
        owner: Owner::Instance,
        next_step: "mend the rule".to_owned(),
        blocks,
    };
    let ending = Ending { parking: Some(parking), ..Ending::default() };
    Settlement {
        upto,
        state: State::Parked,
        ending,
        attempt: None,
        memory: memory("parked"),
        follows: Vec::new(),
        link: None,
    }
}

pub(crate) fn postponed(at: Timestamp) -> Postponement {
    Postponement { at, counted: true, not_processed: false, attempt: None }
}

pub(crate) fn attempt(at: Timestamp, code: &str) -> Attempt {
    Attempt { at, outcome: Outcome::new(Class::NotProcessed, code), next: "again".to_owned() }
}

pub(crate) fn ticket() -> Ticket {
    Ticket { sys_id: SysId::from_bits(7), number: "INC0010001".to_owned(), table: "incident".to_owned() }
}

/// A link of a ticket to an incident.
pub(crate) fn link(ticket: u128, about: &str, episode: u32) -> Link {
    let number = format!("INC{ticket:07}");
    let ticket = Ticket { sys_id: SysId::from_bits(ticket), number, table: "incident".to_owned() };
    Link { ticket, incident: incident(about), episode }
}

pub(crate) fn memory(written: &str) -> LaneMemory {
    let written = [("state".to_owned(), written.to_owned())].into();
    LaneMemory { ticket: Some(ticket()), written, ..LaneMemory::default() }
}
