//! How values stand in columns: numbers for closed sets, UUIDs for receipts, JSON for what is only ever shown.
//!
//! Owns: both directions of every conversion. Never: guesses; a value that nobody of ours wrote is
//! [`Fault::nonsense`], and concerns the row alone.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio_postgres::Row;
use uuid::Uuid;

use super::fault::Fault;
use crate::delivery::kind::Kind;
use crate::delivery::record::{Delivery, Direction};
use crate::domain::id::{DeliveryId, EventKey, IncidentId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::contract::NewDelivery;
use crate::store::numbers::{self, state_of};
pub(super) use crate::store::numbers::{OPEN, STATE_NUMBERS, direction_number, signed, state_number, unsigned};

/// Reads the column `direction`.
pub(super) fn direction_of(number: i16) -> Result<Direction, Fault> {
    numbers::direction_of(i64::from(number)).ok_or_else(|| Fault::nonsense("lane.direction", number))
}

/// The column `rank`: the urgency of a kind.
pub(super) fn rank_number(kind: Kind) -> i16 {
    i16::try_from(kind.urgency().rank()).unwrap_or(i16::MAX)
}

/// The column `receipt`: the 128 bits of the id.
pub(super) fn receipt_uuid(id: &DeliveryId) -> Uuid {
    let bits = id.as_str().strip_prefix("dlv_").and_then(|hex| u128::from_str_radix(hex, 16).ok());
    // A delivery id is 32 hexadecimal digits by its type.
    Uuid::from_u128(bits.unwrap_or_default())
}

/// Reads the column `receipt`.
pub(super) fn receipt_of(uuid: Uuid) -> DeliveryId {
    DeliveryId::from_bits(uuid.as_u128())
}

/// Reads the column `incident`.
pub(super) fn incident_of(text: &str) -> Result<IncidentId, Fault> {
    IncidentId::parse(text).map_err(|error| Fault::nonsense("lane.incident", error))
}

/// Reads the column `kind`.
pub(super) fn kind_of(text: &str) -> Result<Kind, Fault> {
    Kind::parse(text).ok_or_else(|| Fault::nonsense("delivery.kind", text))
}

/// Reads the column `event`.
pub(super) fn event_of(text: &str) -> Result<EventKey, Fault> {
    EventKey::parse(text).map_err(|error| Fault::nonsense("delivery.event", error))
}

/// Reads the column `tenant.name`.
pub(super) fn tenant_of(text: &str) -> Result<TenantId, Fault> {
    TenantId::parse(text).map_err(|error| Fault::nonsense("tenant.name", error))
}

/// A column of JSON text. JSON escapes control characters, so no NUL can stand in it.
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

/// Free text for a column: PostgreSQL holds every character but NUL, which says nothing to a reader.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// Reads a moment that may be absent.
pub(super) fn moment(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// A duration as the database counts it.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The columns that [`delivery`] reads, of `delivery d` and `lane l`.
pub(super) const DELIVERY_COLUMNS: &str = "d.receipt, l.direction, l.incident, d.sequence, d.event, d.kind, d.state, \
     d.sending_since, d.accepted_at, d.ended_at, d.ending, d.attempts, l.due, d.body";

/// Reads a row of [`DELIVERY_COLUMNS`].
pub(super) fn delivery(tenant: &TenantId, row: &Row) -> Result<Delivery, Fault> {
    let number: i16 = row.try_get(6)?;
    let state = state_of(number.into(), row.try_get(7)?).ok_or_else(|| Fault::nonsense("delivery.state", number))?;
    let body: String = row.try_get(13)?;
    Ok(Delivery {
        id: receipt_of(row.try_get(0)?),
        tenant: tenant.clone(),
        direction: direction_of(row.try_get(1)?)?,
        incident: incident_of(row.try_get(2)?)?,
        sequence: unsigned(row.try_get(3)?),
        event: event_of(row.try_get(4)?)?,
        kind: kind_of(row.try_get(5)?)?,
        state,
        accepted_at: Timestamp::from_millis(row.try_get(8)?),
        ended_at: moment(row.try_get(9)?),
        ending: from_json(row.try_get(10)?)?,
        attempts: from_json(row.try_get(11)?)?,
        due: moment(row.try_get(12)?).filter(|_| !state.is_end()),
        body: RawValue::from_string(body).map_err(|error| Fault::nonsense("delivery.body", error))?,
    })
}

/// The columns that [`change`] reads, of `tenant t`, `lane l` and `delivery d`.
pub(super) const CHANGE_COLUMNS: &str =
    "t.name, l.direction, l.incident, d.receipt, d.event, d.kind, d.body_hash, d.body, d.is_echo";

/// Reads a change as it was accepted: a row of [`CHANGE_COLUMNS`].
pub(super) fn change(row: &Row) -> Result<NewDelivery, Fault> {
    let hash: &[u8] = row.try_get(6)?;
    let body: &str = row.try_get(7)?;
    Ok(NewDelivery {
        id: receipt_of(row.try_get(3)?),
        tenant: tenant_of(row.try_get(0)?)?,
        direction: direction_of(row.try_get(1)?)?,
        incident: incident_of(row.try_get(2)?)?,
        event: event_of(row.try_get(4)?)?,
        kind: kind_of(row.try_get(5)?)?,
        body: body.into(),
        body_hash: hash.try_into().map_err(|error| Fault::nonsense("delivery.body_hash", error))?,
        is_echo: row.try_get(8)?,
    })
}
