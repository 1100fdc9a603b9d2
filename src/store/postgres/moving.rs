//! This engine's side of a copy: reading a database that stands still, or filling an empty one in one transaction.
//!
//! Owns: one connection with one transaction on it; whatever ends the connection undoes what was written. Whoever reads
//! locks the tables against writing (SHARE), whoever fills them against everything (ACCESS EXCLUSIVE), both before the
//! first look, so at READ COMMITTED every statement sees the same.
//! Never: changes a database that is read; goes on beside a gateway that it can see.
//! Fails: with what is wrong and what to do. Proved by: `tests/store/copying.rs`.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;

use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row as Found, Statement};
use uuid::Uuid;

use super::connection::{self, Place};
use super::fault::Fault;
use super::migrate;
use super::rows::{OPEN, unsigned};
use crate::domain::time::Timestamp;
use crate::limits::COPY_LOCK_WAIT;
use crate::runtime::tasks;
use crate::store::contract::StoreError;
use crate::store::copy::{AUDIT, AUDIT_ANCHOR, Column, Contents, DELIVERY, Kind, Row, TABLES, Table, Value};

/// How the server's lists name us, and how they name a gateway.
const OUR_NAME: &str = "snowgate store";
const GATEWAY_NAME: &str = "snowgate";

/// One side of a copy.
pub(in crate::store) struct Side {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Side {
    /// Opens a database for reading and keeps everybody from changing it; `though_used` goes on where a gateway seems to
    /// be at work.
    pub(in crate::store) async fn hold(
        url: &str,
        password: Option<&str>,
        though_used: bool,
    ) -> Result<Self, StoreError> {
        let side = Self::connect(url, password, true).await?;
        side.must_be_of_this_version().await?;
        if !though_used {
            side.must_be_unused().await?;
        }
        side.begin("SHARE").await?;
        if !though_used {
            side.must_be_unleased().await?;
        }
        Ok(side)
    }

    /// Opens a database for a look; a gateway may be at work.
    pub(in crate::store) async fn look_at(url: &str, password: Option<&str>) -> Result<Self, StoreError> {
        let side = Self::connect(url, password, true).await?;
        side.must_be_of_this_version().await?;
        side.run("BEGIN READ ONLY").await?;
        Ok(side)
    }

    /// Whether that database could be filled; changes nothing.
    pub(in crate::store) async fn is_free(url: &str, password: Option<&str>) -> Result<(), StoreError> {
        let side = Self::connect(url, password, false).await?;
        side.must_be_unused().await?;
        side.must_be_empty().await
    }

    /// Makes the schema in an empty database, to be filled.
    pub(in crate::store) async fn fresh(url: &str, password: Option<&str>) -> Result<Self, StoreError> {
        let mut side = Self::connect(url, password, false).await?;
        side.must_be_unused().await?;
        migrate::bring_up(&mut side.client).await?;
        side.begin("ACCESS EXCLUSIVE").await?;
        side.must_be_empty().await?;
        // The log comes as it is, from wherever it begins: for that its guards stand aside until it is there.
        side.run(&format!(
            "ALTER TABLE {AUDIT} DISABLE TRIGGER USER; ALTER TABLE {AUDIT_ANCHOR} DISABLE TRIGGER USER; \
             DELETE FROM {AUDIT_ANCHOR}"
        ))
        .await?;
        Ok(side)
    }

    async fn connect(url: &str, password: Option<&str>, accept_data_loss: bool) -> Result<Self, StoreError> {
        let Place { mut config, tls, warning: _ } = connection::place(url, password)?;
        config.application_name(OUR_NAME);
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        drop(tasks::spawn("database connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %super::fault::chain(&error), "A connection to PostgreSQL ended");
            }
        }));
        connection::prepare(&client, accept_data_loss).await?;
        let side = Self { client, statements: HashMap::new() };
        // Pages are read along the key, whatever the statistics of a table say that was filled a moment ago.
        side.run(&format!(
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = {}; \
             SET enable_sort = off; SET enable_bitmapscan = off; SET client_min_messages = warning",
            COPY_LOCK_WAIT.as_millis()
        ))
        .await?;
        Ok(side)
    }

    async fn begin(&self, lock: &str) -> Result<(), StoreError> {
        let tables = TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
        self.run(&format!("BEGIN; LOCK TABLE {tables} IN {lock} MODE")).await
    }

    /// Puts the guards up again and commits; gives the planner its statistics.
    pub(in crate::store) async fn keep(self) -> Result<(), StoreError> {
        for table in ["tenant", "lane"] {
            self.run(&format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"
            ))
            .await?;
        }
        self.run(&format!(
            "ALTER TABLE {AUDIT} ENABLE TRIGGER USER; ALTER TABLE {AUDIT_ANCHOR} ENABLE TRIGGER USER; COMMIT"
        ))
        .await?;
        let tables = TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
        // Everything is there; the server would do this by itself a little later.
        if let Err(error) = self.run(&format!("VACUUM (ANALYZE) {tables}")).await {
            tracing::warn!(%error, "The new tables have no statistics yet");
        }
        Ok(())
    }

    /// Undoes what was not kept and lets go of all locks.
    pub(in crate::store) async fn let_go(self) {
        if let Err(error) = self.run("ROLLBACK").await {
            // The server does it when the connection ends, which is now.
            tracing::debug!(%error, "A copy's transaction could not be ended");
        }
    }

    /// The database's time.
    pub(in crate::store) async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_millis(self.number("SELECT store_now()").await?))
    }

    /// What is in it.
    pub(in crate::store) async fn contents(&self) -> Result<Contents, StoreError> {
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            tables.push((table.name, unsigned(self.number(&format!("SELECT count(*) FROM {}", table.name)).await?)));
        }
        let open = format!("SELECT count(*), min(accepted_at) FROM {DELIVERY} WHERE state = {OPEN}");
        let row = self.client.query_one(&open, &[]).await.map_err(failed)?;
        let oldest: Option<i64> = row.try_get(1).map_err(failed)?;
        Ok(Contents {
            schema: self.number("SELECT max(version)::bigint FROM migration").await?,
            tables,
            open: unsigned(row.try_get(0).map_err(failed)?),
            oldest: oldest.map(Timestamp::from_millis),
        })
    }

    /// A page of a table in the order of its key.
    pub(in crate::store) async fn page(
        &mut self,
        table: &Table,
        after: Option<&[Value]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let columns = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let key = table.key().collect::<Vec<_>>().join(", ");
        let beyond = match after {
            Some(after) => {
                let places: Vec<_> = (1..=after.len()).map(|place| format!("${place}")).collect();
                format!("WHERE ({key}) > ({})", places.join(", "))
            }
            None => String::new(),
        };
        let sql = format!("SELECT {columns} FROM {} {beyond} ORDER BY {key} LIMIT {most}", table.name);
        let statement = self.statement(sql).await?;
        let values: Vec<&(dyn ToSql + Sync)> =
            after.unwrap_or_default().iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let found = self.client.query(&statement, &values).await.map_err(failed)?;
        found.iter().map(|row| read(table, row)).collect()
    }

    /// Writes a page.
    pub(in crate::store) async fn write(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let columns = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let sql = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", table.name);
        let statement = self.statement(sql).await?;
        let types: Vec<Type> = table.columns.iter().map(|column| type_of(column.kind)).collect();
        let sink = self.client.copy_in(&statement).await.map_err(failed)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for row in rows {
            writer.as_mut().write_raw(row).await.map_err(failed)?;
        }
        let written = writer.finish().await.map_err(failed)?;
        if written == rows.len() as u64 {
            return Ok(());
        }
        Err(StoreError::Damaged(format!("{written} of {} rows of {} were written", rows.len(), table.name)))
    }

    async fn statement(&mut self, sql: String) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(&sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql).await.map_err(failed)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    async fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.number(&format!("SELECT (to_regclass('{name}') IS NOT NULL)::int::bigint")).await? == 1)
    }

    async fn must_be_of_this_version(&self) -> Result<(), StoreError> {
        if !self.has_table("migration").await? {
            return Err(StoreError::Refused("the database holds no store of Snowgate".to_owned()));
        }
        let (newest, known) =
            (self.number("SELECT max(version)::bigint FROM migration").await?, i64::from(migrate::known_schema()));
        if newest == known {
            return Ok(());
        }
        Err(StoreError::Refused(if newest < known {
            format!(
                "the database has schema {newest}, this version {known}: start and stop this version's gateway on it once"
            )
        } else {
            format!(
                "the database was used by a newer Snowgate (schema {newest}, this one knows {known}): use that version"
            )
        }))
    }

    /// Nobody else of ours is connected, as far as our user may see.
    async fn must_be_unused(&self) -> Result<(), StoreError> {
        let sessions = self
            .number(&format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND application_name = '{GATEWAY_NAME}'"
            ))
            .await?;
        if sessions == 0 {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "the database is in use by a gateway ({sessions} connections): stop every replica first; \
             `SELECT client_addr, backend_start FROM pg_stat_activity WHERE application_name = '{GATEWAY_NAME}'` shows where they are"
        )))
    }

    /// No lease holds, so no worker that was cut off is still about to write.
    async fn must_be_unleased(&self) -> Result<(), StoreError> {
        let leased = "SELECT coalesce(max(until), 0) FROM (\
             SELECT max(leased_until) - store_now() FROM lane WHERE leased_until IS NOT NULL \
             UNION ALL SELECT max(leased_until) - store_now() FROM sweep) AS leased (until)";
        let left = self.number(leased).await?;
        if left <= 0 {
            return Ok(());
        }
        let seconds = left / 1_000 + 1;
        Err(StoreError::Refused(format!(
            "somebody holds work of it for another {seconds} s: stop every replica, and wait that long if one was killed"
        )))
    }

    async fn must_be_empty(&self) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for table in TABLES.iter().filter(|table| table.name != AUDIT_ANCHOR) {
            // An older version's schema has fewer tables.
            if !self.has_table(table.name).await? {
                continue;
            }
            let rows = self.number(&format!("SELECT count(*) FROM {}", table.name)).await?;
            if rows > 0 {
                found.push(format!("{rows} in {}", table.name));
            }
        }
        let begins = format!("SELECT sequence FROM {AUDIT_ANCHOR}");
        let is_trimmed = self.has_table(AUDIT_ANCHOR).await? && self.number(&begins).await? > 0;
        if found.is_empty() && !is_trimmed {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "the database is not empty (rows: {}): create another one, or, if nobody needs what it holds, \
             run `DROP SCHEMA public CASCADE; CREATE SCHEMA public` in it",
            found.join(", ")
        )))
    }

    async fn number(&self, sql: &str) -> Result<i64, StoreError> {
        let row = self.client.query_one(sql, &[]).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    async fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(failed)
    }
}

fn failed(error: tokio_postgres::Error) -> StoreError {
    Fault::from(error).into_error()
}

const fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Long => Type::INT8,
        Kind::Int => Type::INT4,
        Kind::Short => Type::INT2,
        Kind::Flag => Type::BOOL,
        Kind::Text => Type::TEXT,
        Kind::Bytes => Type::BYTEA,
        Kind::Id => Type::UUID,
    }
}

fn read(table: &Table, row: &Found) -> Result<Row, StoreError> {
    let value = |(at, column): (usize, &Column)| {
        let value = match column.kind {
            Kind::Long => row.try_get::<_, Option<i64>>(at)?.map(Value::Number),
            Kind::Int => row.try_get::<_, Option<i32>>(at)?.map(|number| Value::Number(number.into())),
            Kind::Short => row.try_get::<_, Option<i16>>(at)?.map(|number| Value::Number(number.into())),
            Kind::Flag => row.try_get::<_, Option<bool>>(at)?.map(Value::Flag),
            Kind::Text => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
            Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Value::Bytes),
            Kind::Id => row.try_get::<_, Option<Uuid>>(at)?.map(|id| Value::Id(id.as_u128())),
        };
        Ok(value.unwrap_or(Value::Null))
    };
    table.columns.iter().enumerate().map(value).collect::<Result<_, _>>().map_err(failed)
}

impl ToSql for Value {
    fn to_sql(&self, column: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Number(number) if *column == Type::INT4 => i32::try_from(*number)?.to_sql(column, out),
            Self::Number(number) if *column == Type::INT2 => i16::try_from(*number)?.to_sql(column, out),
            Self::Number(number) => number.to_sql(column, out),
            Self::Flag(flag) => flag.to_sql(column, out),
            Self::Text(text) => text.to_sql(column, out),
            Self::Bytes(bytes) => bytes.to_sql(column, out),
            Self::Id(id) => Uuid::from_u128(*id).to_sql(column, out),
        }
    }

    fn accepts(column: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::INT2, Type::BOOL, Type::TEXT, Type::BYTEA, Type::UUID].contains(column)
    }

    to_sql_checked!();
}
