//! Since when the longest waiting lanes have been due, read now and then: one seek per tenant and urgency, however long the
//! backlog. Never: writes. Fails: as reading does. Proved by: `tests/store`, part `claiming`.

use tokio_postgres::Row;

use super::PostgresStore;
use super::fault::Fault;
use crate::delivery::record::Urgency;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::store::contract::{OldestDue, StoreError};

const OLDEST_DUE: &str = "
SELECT t.name, first.due
FROM tenant t CROSS JOIN (SELECT coalesce($1::bigint, store_now()) AS now OFFSET 0) AS clock
CROSS JOIN LATERAL (
  SELECT due FROM lane WHERE tenant = t.id AND rank = $2::smallint AND due <= clock.now ORDER BY due LIMIT 1) AS first
ORDER BY t.name";

impl PostgresStore {
    pub(in crate::store) async fn oldest_due(&self) -> Result<Vec<OldestDue>, StoreError> {
        self.ask(async {
            let client = self.connection().await?;
            let statement = client.prepare_cached(OLDEST_DUE).await?;
            let mut oldest = Vec::new();
            for urgency in Urgency::ALL {
                let rank = i16::try_from(urgency.rank()).unwrap_or(i16::MAX);
                let rows = client.query(&statement, &[&self.given_time(), &rank]).await?;
                let read: Result<Vec<_>, Fault> = rows.iter().map(|row| oldest_of(row, urgency)).collect();
                oldest.extend(read?);
            }
            Ok(oldest)
        })
        .await
    }
}

fn oldest_of(row: &Row, urgency: Urgency) -> Result<OldestDue, Fault> {
    let name: &str = row.try_get(0)?;
    let tenant = TenantId::parse(name).map_err(|error| Fault::nonsense("tenant.name", error))?;
    Ok(OldestDue { tenant, urgency, since: Timestamp::from_millis(row.try_get(1)?) })
}
