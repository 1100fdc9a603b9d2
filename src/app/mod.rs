//! The composition root: opens the store, takes the tenants in, binds the listeners, starts the worker, and stops it all.
//!
//! Owns: the order of starting and stopping, and [`reload`], which does while running what a start does. Never: decides anything about an event. Fails: with a [`StartError`] that
//! says what to do, before anything was served.

mod checks;
mod reload;
mod upkeep;

pub use checks::{check_live, draft_mapping};

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, middleware};

use tokio::task::JoinHandle;

use crate::domain::time::SharedClock;
use crate::http::operators::Operators;
use crate::http::{self, Face};
use crate::issuers::{self, Issuers};
use crate::limits::{
    ACCEPT_AFTER_STOP, CONNECTIONS_MAX, KEEP_ALIVE, REQUEST_HEAD_WAIT, STOP_GRACE, STORE_CLOSE_WAIT, WORKER_LANES_MAX,
};
use crate::peer::transport::Transport;
use crate::peer::transport::addresses::AddressFilter;
use crate::peer::transport::http::{Http, HttpOptions, HttpOptionsError};
use crate::runtime::drain::{self, StillRunning, Stop, Stopper};
use crate::runtime::entropy;
use crate::runtime::readiness::Readiness;
use crate::runtime::tasks;
use crate::runtime::wake::Wake;
use crate::security::address;
use crate::settings::{Settings, StoreSettings, StoreUrl};
use crate::store::memory::MemoryStore;
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::{self, Batch, Observer, SqliteStore};
use crate::store::{Store, StoreError};
use crate::telemetry::events::StoreCommitted;
use crate::telemetry::metrics::{Metrics, MetricsError};
use crate::tenants::{Prepared, Registry};
use crate::worker::Protections;
use crate::worker::bridges::{Bridges, Surroundings, Ways};
use crate::worker::dispatcher::Worker;
use crate::worker::sharing::SharedStore;
use crate::worker::slots::Slots;
use crate::worker::spool::{Files, Spool};

use reload::Running;
pub use reload::{Origin, Reloader};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store is not safe to use, or somebody else uses it.
    #[error("the store did not open")]
    Store(#[from] StoreError),
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({purpose}); choose another address in `server:`")]
    Listen {
        /// What was asked for.
        address: String,
        /// `server.listen` or `server.admin_listen`.
        purpose: &'static str,
        /// What the machine said.
        #[source]
        source: std::io::Error,
    },
    /// There is no room for files on their way.
    #[error("cannot make a directory in {path} for files on their way; set TMPDIR to one that may be written")]
    Spool {
        /// Where it should be.
        path: std::path::PathBuf,
        /// What the machine said.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[from] HttpOptionsError),
    /// The metrics could not be set up.
    #[error("the metrics could not be set up")]
    Metrics(#[from] MetricsError),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    public: SocketAddr,
    admin: SocketAddr,
    servers: Vec<ServerHandle>,
    stopper: Stopper,
    worker: JoinHandle<()>,
    store: Store,
    reloader: Reloader,
}

/// What a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// The checked settings, and the tenants to serve.
    pub prepared: Prepared,
    /// Where they come from, and are read again.
    pub origin: Origin,
    /// The time.
    pub clock: SharedClock,
}

impl Gateway {
    /// Starts everything; when it returns, both listeners answer.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { prepared, origin, clock } = parts;
        let settings = prepared.settings.clone();
        let (public, admin) = listen_on_both(&settings)?;
        let metrics = Metrics::install()?;
        let store = open(&settings.store, &clock).await?;
        let (stopper, stop) = drain::channel();
        let readiness = Readiness::default();
        let starting = readiness.latch("starting");

        let registry = Arc::new(Registry::default());
        let (running, serving) = Running::from_nothing(prepared, &store, &registry, clock.now()).await?;

        let (accepted, settled) = (Wake::default(), Wake::default());
        let spool = spool()?;
        let clock_of_bridges = Arc::clone(&clock);
        let owner = owner();
        let shared = SharedStore::of(&store, &owner);
        let surroundings = move |settings: &Settings| {
            let made = surroundings(settings, Arc::clone(&spool), Arc::clone(&clock_of_bridges))?;
            Ok(Surroundings { shared: shared.clone(), ..made })
        };
        let first = surroundings(&settings)?;
        let issuers = Arc::new(issuers(&settings, &first.ways, &clock));
        let bridges = Arc::new(Bridges::new(Arc::clone(&registry), first));
        let (resumed, stood) = (Arc::clone(&bridges), Arc::clone(&bridges));
        let checks = checks::orders(&bridges, &registry, &store, &settings, &clock);
        let worker = worker(&store, bridges, &clock, (&accepted, &settled), owner);
        let operators = Arc::new(Operators::new(reload::operators(&settings)));
        let reloader = Reloader::new(reload::Parts {
            origin,
            registry: Arc::clone(&registry),
            bridges: Arc::clone(&worker.bridges),
            issuers: Arc::clone(&issuers),
            operators: Arc::clone(&operators),
            store: store.clone(),
            serving: Arc::clone(&serving),
            accepted: accepted.clone(),
            clock: Arc::clone(&clock),
            surround: Box::new(surroundings),
            running,
        });
        let face = Face {
            store: store.clone(),
            registry,
            clock,
            issuers,
            attempts: Arc::default(),
            proxies: Arc::new(settings.server.trusted_proxies.clone()),
            accepted,
            settled,
            stop: stop.clone(),
            readiness,
            metrics,
            operators,
            resumed: Arc::new(move |tenant| resumed.resumed(tenant)),
            standing: Arc::new(move |tenant| stood.standings(tenant).map(upkeep::standing)),
            configured: reloader.configured(),
            serving,
            pressure: Arc::default(),
            bursts: Arc::default(),
            checks,
        };
        let addresses = (local(&public)?, local(&admin)?);
        let servers = serve_both(public, admin, &face, settings.server.workers)?;
        let worker = begin_work(face, worker, reloader.clone(), &stop);
        drop(starting);
        Ok(Self { public: addresses.0, admin: addresses.1, servers, stopper, worker, store, reloader })
    }

    /// Where events are taken.
    pub fn public_url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Where operators look.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The store, for those who compose a gateway themselves.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Reads the files anew when it is told to; hand it to whoever listens for signals.
    pub const fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Asks everything to stop; hand it to whoever listens for signals.
    pub const fn stopper(&self) -> &Stopper {
        &self.stopper
    }

    /// Waits until a stop is requested, keeps accepting for a moment (load balancers lag), then closes the listeners and
    /// waits for deliveries in flight. What did not end by the deadline is listed; it is safe on disk.
    pub async fn run_until_stopped(self, accept_for: Duration) -> Result<(), StillRunning> {
        let stop = self.stopper.stop();
        stop.requested().await;
        tokio::time::sleep(accept_for).await;
        for server in &self.servers {
            server.stop(true).await;
        }
        let drained = self.stopper.drained().await;
        if drained.is_ok() {
            // The loop ends by itself; a panic in it was reported where it happened.
            drop(self.worker.await);
        }
        self.store.close(STORE_CLOSE_WAIT).await;
        drained
    }

    /// Stops now, within the usual grace and without waiting for load balancers.
    pub async fn stop(self) -> Result<(), StillRunning> {
        self.stopper.request(STOP_GRACE);
        self.run_until_stopped(Duration::ZERO).await
    }

    /// How long a stopping gateway keeps accepting.
    pub const ACCEPT_AFTER_STOP: Duration = ACCEPT_AFTER_STOP;
}

/// Names this process in records, among all that ever shared a store: the machine, its number there, and a word that no
/// other has, because containers have the same numbers and a new one may have an old one's name.
fn owner() -> String {
    let machine = rustix::system::uname();
    format!("{}/{}/{}", machine.nodename().to_string_lossy(), std::process::id(), entropy::new_word())
}

fn worker(
    store: &Store,
    bridges: Arc<Bridges>,
    clock: &SharedClock,
    (accepted, settled): (&Wake, &Wake),
    owner: String,
) -> Worker {
    Worker {
        store: store.clone(),
        bridges,
        clock: Arc::clone(clock),
        accepted: accepted.clone(),
        settled: settled.clone(),
        owner,
        slots: Slots::new(WORKER_LANES_MAX),
        protections: Protections::ALL,
    }
}

/// What goes on beside the listeners; gives the task of the worker, which ends last.
fn begin_work(face: Face, worker: Worker, reloader: Reloader, stop: &Stop) -> JoinHandle<()> {
    drop(tasks::spawn("backlog report", upkeep::report_backlog(face.clone(), worker.slots.clone(), stop.clone())));
    drop(tasks::spawn("forget old records", upkeep::forget(face, stop.clone())));
    drop(tasks::spawn("watch files", reloader.watch(stop.clone())));
    drop(tasks::spawn("sweep", worker.clone().sweep(stop.clone())));
    tasks::spawn("worker", worker.run(stop.clone()))
}

#[derive(Clone, Copy)]
enum Listener {
    Public { workers: usize },
    Admin,
}

fn serve_both(
    public: TcpListener,
    admin: TcpListener,
    face: &Face,
    workers: Option<usize>,
) -> Result<Vec<ServerHandle>, StartError> {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = workers.unwrap_or(processors);
    let servers =
        [serve(public, face.clone(), Listener::Public { workers })?, serve(admin, face.clone(), Listener::Admin)?];
    let handles = servers.iter().map(Server::handle).collect();
    for server in servers {
        drop(tasks::spawn("http", server));
    }
    Ok(handles)
}

fn serve(socket: TcpListener, face: Face, listener: Listener) -> Result<Server, StartError> {
    let address = local(&socket)?.to_string();
    let server = HttpServer::new(move || {
        let app = App::new().wrap(middleware::from_fn(http::one_reading)).wrap(middleware::from_fn(http::track));
        match listener {
            Listener::Public { .. } => app.configure(http::public(face.clone())),
            Listener::Admin => app.configure(http::admin::routes(face.clone())),
        }
    });
    let (workers, purpose) = match listener {
        Listener::Public { workers } => (workers, "server.listen"),
        Listener::Admin => (1, "server.admin_listen"),
    };
    let bound = server
        .on_connect(http::meet)
        .workers(workers)
        .client_request_timeout(REQUEST_HEAD_WAIT)
        .keep_alive(KEEP_ALIVE)
        // The server counts per thread.
        .max_connections((CONNECTIONS_MAX / workers).max(1))
        .shutdown_timeout(10)
        .disable_signals()
        .listen(socket)
        .map_err(|source| StartError::Listen { address, purpose, source })?;
    Ok(bound.run())
}

fn listen_on_both(settings: &Settings) -> Result<(TcpListener, TcpListener), StartError> {
    let public = listen(settings.server.listen, "server.listen")?;
    Ok((public, listen(settings.server.admin_listen, "server.admin_listen")?))
}

fn listen(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address: address.to_string(), purpose, source })
}

fn local(socket: &TcpListener) -> Result<SocketAddr, StartError> {
    socket.local_addr().map_err(|source| StartError::Listen { address: String::new(), purpose: "server", source })
}

/// The store that the settings name.
async fn open(settings: &StoreSettings, clock: &SharedClock) -> Result<Store, StoreError> {
    match &settings.url {
        StoreUrl::Memory => Ok(Store::Memory(Arc::new(MemoryStore::new(Arc::clone(clock))))),
        StoreUrl::Sqlite(path) => {
            let options = sqlite::Options {
                accept_data_loss: settings.accept_data_loss,
                observer: Some(Observer::new(tell_commit)),
                ..sqlite::Options::new(Arc::clone(clock))
            };
            let store = SqliteStore::open(path, options)?;
            warn(store.warnings());
            Ok(Store::Sqlite(Arc::new(store)))
        }
        StoreUrl::Postgres { url, password } => {
            let options = postgres::Options {
                password: password.as_ref().map(|password| password.expose().to_owned()),
                // The database's own: replicas agree on no other.
                clock: None,
                accept_data_loss: settings.accept_data_loss,
                observer: Some(Observer::new(tell_commit)),
            };
            let store = PostgresStore::open(url, options).await?;
            warn(store.warnings());
            Ok(Store::Postgres(store))
        }
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("The store: {warning}");
    }
}

fn tell_commit(batch: Batch) {
    let Batch { commands, unreadable, took } = batch;
    StoreCommitted { rows: u32::try_from(commands).unwrap_or(u32::MAX), took }.emit();
    if unreadable > 0 {
        tracing::error!(
            lanes = unreadable,
            "{unreadable} due lanes cannot be read and were set aside; is the store damaged?"
        );
    }
}

/// What both listeners serve, as an OpenAPI document.
pub fn openapi() -> &'static serde_json::Value {
    http::openapi::document()
}

/// The ways to all instances: they dial only what the operator's egress rules allow, whatever a name resolves to.
fn ways(settings: &Settings) -> Result<Ways, HttpOptionsError> {
    let private = Arc::new(settings.egress.allow_private.clone());
    let opened = Arc::clone(&private);
    let encrypted: AddressFilter = Arc::new(move |dialled| {
        address::is_forbidden(dialled, &private).map_or(Ok(()), |why| Err(format!("{dialled} is {why}")))
    });
    let plain: AddressFilter = Arc::new(move |dialled| {
        let is_opened = address::is_opened(dialled, &opened);
        if is_opened { Ok(()) } else { Err(format!("{dialled} is not opened for plain http")) }
    });
    let way = |filter| Ok(Transport::Http(Arc::new(Http::new(&HttpOptions::new(filter))?)));
    Ok(Ways { encrypted: way(encrypted)?, plain: way(plain)? })
}

/// What bridges share, by these settings.
fn surroundings(settings: &Settings, spool: Arc<Spool>, clock: SharedClock) -> Result<Surroundings, HttpOptionsError> {
    let ways = ways(settings)?;
    Ok(Surroundings {
        deployment_key: Arc::from(settings.deployment_key.as_str()),
        files: Files { spool, egress: Arc::new(settings.egress.clone()), ways: ways.clone() },
        ways,
        clock,
        shared: None,
    })
}

/// Who issues the tokens of callers is asked over the same ways, and only where the operator allows.
fn issuers(settings: &Settings, ways: &Ways, clock: &SharedClock) -> Issuers {
    let Ways { encrypted, plain } = ways.clone();
    let egress = Arc::new(settings.egress.clone());
    Issuers::new(issuers::Surroundings { encrypted, plain, egress, clock: Arc::clone(clock) })
}

/// A directory of our own for files on their way, readable by nobody else.
fn spool() -> Result<Arc<Spool>, StartError> {
    let base = std::env::temp_dir();
    Spool::make(&base).map(Arc::new).map_err(|source| StartError::Spool { path: base, source })
}
