//! What intake into PostgreSQL is compared with: the two ways to insert an event that somebody would write first and last.
//!
//! Owns: two servers. *Bare unnest* parses the event, hands it to one task with one connection, and answers after that
//! task's statement is committed: one `INSERT … SELECT … FROM unnest(…)` for everyone who waits. *Bare insert* parses the
//! event, takes a connection of a pool and inserts one row by a prepared statement, which is a commit of its own. Both
//! write the same columns: tenant, event, incident, body, and the hash of the body, with a key over tenant and event.
//! Never: order, leases, duplicates that are told apart. Fails: with a bare 500.

use std::io;
use std::net::SocketAddr;

use actix_web::dev::Server;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use deadpool_postgres::{Manager, Pool};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, NoTls};

use super::references::{parsed, receipt, refusal, started};

/// Events of one statement at most: more than there are connections, so that all who wait share it.
const GROUP_MAX: usize = 256;
/// Connections of the pool. More make PostgreSQL slower on a machine with few processors, fewer leave it idle while it
/// waits for the disk.
const POOL: usize = 16;

/// What both write.
pub(crate) const TABLE: &str = "CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, \
    event text NOT NULL, incident text NOT NULL, body text NOT NULL, body_hash bytea NOT NULL, \
    accepted_at timestamptz NOT NULL DEFAULT now(), UNIQUE (tenant, event))";
const INSERT: &str = "INSERT INTO event (tenant, event, incident, body, body_hash) VALUES ($1, $2, $3, $4, $5)";
const INSERT_ALL: &str = "INSERT INTO event (tenant, event, incident, body, body_hash) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[])";

/// One row.
struct Row {
    tenant: String,
    event: String,
    incident: String,
    body: String,
    body_hash: Vec<u8>,
}

impl Row {
    fn of(path: &str, event: &Value, body: &Bytes) -> Option<Self> {
        Some(Self {
            tenant: path.split('/').nth(2)?.to_owned(),
            event: format!("{}\n{}", event["source"].as_str()?, event["id"].as_str()?),
            incident: event["data"]["incident"]["id"].as_str()?.to_owned(),
            body: str::from_utf8(body).ok()?.to_owned(),
            body_hash: Sha256::digest(body).to_vec(),
        })
    }
}

/// A row on its way, and who waits for it to be there.
type Waiting = (Row, oneshot::Sender<()>);

/// Groups whoever waits into one statement on one connection.
pub(crate) async fn unnest(url: &str) -> io::Result<(Server, SocketAddr)> {
    async fn accept(path: web::Path<String>, body: Bytes, rows: Data<mpsc::Sender<Waiting>>) -> HttpResponse {
        let Some(event) = parsed(&body) else { return refusal() };
        let Some(row) = Row::of(&path, &event, &body) else { return refusal() };
        let (written, done) = oneshot::channel();
        match rows.send((row, written)).await {
            Ok(()) if done.await.is_ok() => receipt(&event),
            Ok(()) | Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(io::Error::other)?;
    let (sender, receiver) = mpsc::channel(GROUP_MAX);
    // Both stay on this thread, which serves no requests: the statement never waits for a handler.
    drop(tokio::spawn(connection));
    drop(tokio::spawn(insert(client, receiver)));
    let sender = Data::new(sender);
    let app = move || App::new().app_data(sender.clone()).route("/{path:.*}", web::post().to(accept));
    let server = HttpServer::new(app).bind(("127.0.0.1", 0))?;
    started(&server.addrs(), server.run())
}

async fn insert(client: Client, mut waiting: mpsc::Receiver<Waiting>) {
    let Ok(statement) = client.prepare(INSERT_ALL).await else { return };
    let mut group = Vec::with_capacity(GROUP_MAX);
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        let column = |of: fn(&Row) -> &str| group.iter().map(|(row, _)| of(row)).collect::<Vec<_>>();
        let hashes: Vec<_> = group.iter().map(|(row, _)| row.body_hash.as_slice()).collect();
        let (tenants, events) = (column(|row| &row.tenant), column(|row| &row.event));
        let (incidents, bodies) = (column(|row| &row.incident), column(|row| &row.body));
        if client.execute(&statement, &[&tenants, &events, &incidents, &bodies, &hashes]).await.is_err() {
            return;
        }
        for (_, written) in group.drain(..) {
            // A client that went away needs no answer.
            written.send(()).ok();
        }
    }
}

/// One prepared statement per request, over a pool.
pub(crate) async fn one_by_one(url: &str) -> io::Result<(Server, SocketAddr)> {
    async fn accept(path: web::Path<String>, body: Bytes, pool: Data<Pool>) -> HttpResponse {
        let Some(event) = parsed(&body) else { return refusal() };
        let Some(row) = Row::of(&path, &event, &body) else { return refusal() };
        let inserted = async {
            let client = pool.get().await.ok()?;
            let statement = client.prepare_cached(INSERT).await.ok()?;
            let Row { tenant, event, incident, body, body_hash } = &row;
            client.execute(&statement, &[tenant, event, incident, body, body_hash]).await.ok()
        };
        match inserted.await {
            Some(_) => receipt(&event),
            None => HttpResponse::InternalServerError().finish(),
        }
    }
    let config: tokio_postgres::Config = url.parse().map_err(io::Error::other)?;
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(POOL).build().map_err(io::Error::other)?;
    // All of them at once, so that no request pays for a connection.
    let held = futures_util::future::try_join_all((0..POOL).map(|_| pool.get())).await.map_err(io::Error::other)?;
    drop(held);
    let pool = Data::new(pool);
    let app = move || App::new().app_data(pool.clone()).route("/{path:.*}", web::post().to(accept));
    let server = HttpServer::new(app).bind(("127.0.0.1", 0))?;
    started(&server.addrs(), server.run())
}
