//! How values stand in columns: numbers for closed sets, bytes for ids, JSON for what is only ever shown.

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::fault::Fault;
use crate::delivery::kind::Kind;
use crate::delivery::record::{Delivery, Direction};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::NewDelivery;
use crate::store::numbers::{self, state_of};
pub(super) use crate::store::numbers::{OPEN, STATE_NUMBERS, direction_number, signed, state_number, unsigned};

/// Reads the column `direction`.
pub(super) fn direction_of(number: i64) -> Result<Direction, Fault> {
    numbers::direction_of(number).ok_or_else(|| Fault::nonsense("lane.direction", number))
}

/// The column `receipt`: the 128 bits of the id.
pub(super) fn receipt_bytes(id: &DeliveryId) -> [u8; 16] {
    let bits = id.as_str().strip_prefix("dlv_").and_then(|hex| u128::from_str_radix(hex, 16).ok());
    // A delivery id is 32 hexadecimal digits by its type.
    bits.unwrap_or_default().to_be_bytes()
}

/// Reads the column `receipt`.
pub(super) fn receipt_of(bytes: [u8; 16]) -> DeliveryId {
    DeliveryId::from_bits(u128::from_be_bytes(bytes))
}

/// Reads the column `kind`.
pub(super) fn kind_of(word: &str) -> Result<Kind, Fault> {
    Kind::parse(word).ok_or_else(|| Fault::nonsense("delivery.kind", word))
}

/// Reads a column that holds an incident's id.
pub(super) fn incident_of(text: &str) -> Result<IncidentId, Fault> {
    IncidentId::parse(text).map_err(|error| Fault::nonsense("lane.incident", error))
}

/// A column of JSON text.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::nonsense("a record", error))
}

/// Reads a column of JSON text; an absent one is the default.
pub(super) fn from_json<T: DeserializeOwned + Default>(text: Option<&str>) -> Result<T, Fault> {
    text.map_or_else(
        || Ok(T::default()),
        |text| serde_json::from_str(text).map_err(|error| Fault::nonsense("a record", error)),
    )
}

/// The columns that [`delivery`] reads, of `delivery d`, `lane l` and `body b`.
pub(super) const DELIVERY_COLUMNS: &str = "d.receipt, l.direction, l.incident, d.sequence, d.event, d.kind, d.state, \
     d.sending_since, d.accepted_at, d.ended_at, d.ending, d.attempts, l.due, b.text";

/// Reads a row of [`DELIVERY_COLUMNS`].
pub(super) fn delivery(tenant: &TenantId, row: &Row<'_>) -> Result<Delivery, Fault> {
    let number: i64 = row.get(6)?;
    let state = state_of(number, row.get(7)?).ok_or_else(|| Fault::nonsense("delivery.state", number))?;
    let ending: Option<String> = row.get(10)?;
    let attempts: Option<String> = row.get(11)?;
    let event: String = row.get(4)?;
    let body: String = row.get(13)?;
    Ok(Delivery {
        id: receipt_of(row.get(0)?),
        tenant: tenant.clone(),
        direction: direction_of(row.get(1)?)?,
        incident: incident_of(row.get_ref(2)?.as_str().map_err(|error| Fault::nonsense("lane.incident", error))?)?,
        sequence: unsigned(row.get(3)?),
        event: EventKey::parse(&event).map_err(|error| Fault::nonsense("delivery.event", error))?,
        kind: kind_of(row.get_ref(5)?.as_str().map_err(|error| Fault::nonsense("delivery.kind", error))?)?,
        state,
        accepted_at: Timestamp::from_millis(row.get(8)?),
        ended_at: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_millis),
        ending: from_json(ending.as_deref())?,
        attempts: from_json(attempts.as_deref())?,
        due: row.get::<_, Option<i64>>(12)?.map(Timestamp::from_millis).filter(|_| !state.is_end()),
        body: RawValue::from_string(body).map_err(|error| Fault::nonsense("body.text", error))?,
    })
}

/// Reads a change as it was accepted: tenant, direction, incident, receipt, event, kind, hash, body, echo.
pub(super) fn change(row: &Row<'_>) -> Result<NewDelivery, Fault> {
    let tenant: String = row.get(0)?;
    let event: String = row.get(4)?;
    let incident: String = row.get(2)?;
    Ok(NewDelivery {
        id: receipt_of(row.get(3)?),
        tenant: TenantId::parse(&tenant).map_err(|error| Fault::nonsense("tenant.name", error))?,
        direction: direction_of(row.get(1)?)?,
        incident: incident_of(&incident)?,
        event: EventKey::parse(&event).map_err(|error| Fault::nonsense("delivery.event", error))?,
        kind: kind_of(row.get_ref(5)?.as_str().map_err(|error| Fault::nonsense("delivery.kind", error))?)?,
        body: row.get(7)?,
        body_hash: row.get(6)?,
        is_echo: row.get(8)?,
    })
}
