//! Connections, a bounded number of them, each made and driven on the runtime that opened the store.
//!
//! Owns: making, preparing and discarding them. Never: hands out one that was not examined.
//! Fails: a broken connection is discarded when it is next taken, so nothing needs a restart after the database had one.

use std::future::Future;
use std::pin::Pin;

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::{self, Place};
use crate::limits::{POSTGRES_CONNECT_WAIT, POSTGRES_CONNECTIONS_MAX, POSTGRES_OPERATION_WAIT};
use crate::runtime::tasks;
use crate::store::contract::StoreError;

/// Makes the pool; connects to nothing yet.
pub(super) fn make(place: Place, accept_data_loss: bool) -> Result<Pool, StoreError> {
    let Place { config, tls, warning: _ } = place;
    let connector = Connector { tls, runtime: Handle::current() };
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_connect(config, connector, recycling))
        .max_size(POSTGRES_CONNECTIONS_MAX)
        .wait_timeout(Some(POSTGRES_OPERATION_WAIT))
        .create_timeout(Some(POSTGRES_CONNECT_WAIT))
        .recycle_timeout(Some(POSTGRES_CONNECT_WAIT))
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(move |client, _| {
            Box::pin(async move {
                let prepared = connection::prepare(client, accept_data_loss).await;
                prepared.map(drop).map_err(|error| HookError::message(reason_of(error)))
            })
        }))
        .build()
        .map_err(|error| StoreError::Refused(error.to_string()))
}

fn reason_of(error: StoreError) -> String {
    match error {
        StoreError::Refused(reason) | StoreError::Unavailable(reason) | StoreError::Damaged(reason) => reason,
    }
}

/// Connects on the store's own runtime: whoever asks may be a listener's thread, whose runtime ends before the store.
struct Connector {
    tls: MakeRustlsConnect,
    runtime: Handle,
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let (tls, config) = (self.tls.clone(), config.clone());
        let connecting = {
            let _entered = self.runtime.enter();
            tasks::spawn("database connect", async move {
                let (client, connection) = config.connect(tls).await?;
                let driving = tasks::spawn("database connection", drive(connection));
                Ok((client, driving))
            })
        };
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                // The runtime is going down, or the task's panic was reported: the wait for a connection has a bound.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Carries what goes over a connection, until it ends.
async fn drive(connection: impl Future<Output = Result<(), Error>>) {
    // Whoever waits for an answer on it is told; this line says when it happened.
    if let Err(error) = connection.await {
        tracing::debug!(error = %super::fault::chain(&error), "A connection to PostgreSQL ended");
    }
}

/// Connects for the first time, so that what the server is set up wrongly for is said in words; answers a warning.
pub(super) async fn first(pool: &Pool, accept_data_loss: bool) -> Result<Option<String>, StoreError> {
    match pool.get().await {
        Ok(client) => connection::prepare(&client, accept_data_loss).await,
        Err(PoolError::PostCreateHook(HookError::Message(reason))) => Err(StoreError::Refused(reason.into())),
        Err(error) => Err(super::fault::Fault::from(error).into_error()),
    }
}
