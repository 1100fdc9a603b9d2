//! Whether the changes of one `accept` may be stored: all or none, decided before anything is written.
//!
//! Every engine asks this one function and gives it two facts per change: what is known of the event, and how much
//! waits in its lane. So no engine has a way of its own to treat a repeat inside one call.

use std::collections::HashMap;

use super::contract::{Accepted, NewDelivery, Receipt};
use crate::delivery::record::Direction;
use crate::domain::id::{EventKey, IncidentId, TenantId};
use crate::limits::{LANE_WAITING_MAX, TICKET_LANE_WAITING_MAX};

/// What an engine knows of a change before it is stored.
#[derive(Debug)]
pub(super) enum Known {
    /// Its event was accepted before.
    Before {
        /// The receipt given then.
        receipt: Receipt,
        /// Whether it is the same change; else the id was used for another one.
        same: bool,
    },
    /// Its event is new.
    New {
        /// What waits in its lane already.
        waiting: usize,
    },
}

/// What to do with one change of a call that is stored.
#[derive(Debug)]
pub(super) enum Place {
    /// Append it.
    Append,
    /// It was stored before: answer with that receipt.
    Repeat(Receipt),
    /// The same event as an earlier change of this call, by its index.
    Twin(usize),
}

/// What to do with the call.
#[derive(Debug)]
pub(super) enum Admission {
    /// Store it; one place per change.
    Store(Vec<Place>),
    /// Store nothing and answer this.
    Refuse(Vec<Accepted>),
}

type LaneKey<'a> = (&'a TenantId, Direction, &'a IncidentId);

/// Decides over a call. `known` is asked once per change whose event is not a twin of an earlier one.
pub(super) fn admit<E>(
    changes: &[NewDelivery],
    mut known: impl FnMut(&NewDelivery) -> Result<Known, E>,
) -> Result<Admission, E> {
    let mut first_of: HashMap<(&TenantId, &EventKey), usize> = HashMap::new();
    let mut added: HashMap<LaneKey<'_>, usize> = HashMap::new();
    let mut stands = Vec::with_capacity(changes.len());
    for (index, change) in changes.iter().enumerate() {
        let first = *first_of.entry((&change.tenant, &change.event)).or_insert(index);
        let stand = match changes.get(first) {
            Some(twin) if first < index => stand_of_twin(first, twin, change),
            _ => match known(change)? {
                Known::Before { receipt, same: true } => Ok(Place::Repeat(receipt)),
                Known::Before { receipt, same: false } => Err(Accepted::Conflict(receipt)),
                Known::New { waiting } => {
                    let added = added.entry((&change.tenant, change.direction, &change.incident)).or_default();
                    *added += 1;
                    if waiting + *added > waiting_max(change.direction) {
                        Err(Accepted::LaneFull)
                    } else {
                        Ok(Place::Append)
                    }
                }
            },
        };
        stands.push(stand);
    }
    if stands.iter().any(Result::is_err) {
        return Ok(Admission::Refuse(stands.into_iter().map(refused).collect()));
    }
    Ok(Admission::Store(stands.into_iter().flatten().collect()))
}

/// What a lane may hold. Of tickets more is taken: most instances never send a webhook again.
const fn waiting_max(direction: Direction) -> usize {
    match direction {
        Direction::ToServicenow => LANE_WAITING_MAX,
        Direction::ToService => TICKET_LANE_WAITING_MAX,
    }
}

fn stand_of_twin(first: usize, twin: &NewDelivery, change: &NewDelivery) -> Result<Place, Accepted> {
    if same_change(twin, change) {
        return Ok(Place::Twin(first));
    }
    // Nothing of the call is stored, so the twin has an id but no place.
    Err(Accepted::Conflict(Receipt { delivery: twin.id.clone(), sequence: 0 }))
}

fn same_change(one: &NewDelivery, other: &NewDelivery) -> bool {
    one.body_hash == other.body_hash && one.incident == other.incident
}

/// How a change of a refused call stands.
fn refused(stand: Result<Place, Accepted>) -> Accepted {
    match stand {
        Err(fault) => fault,
        Ok(Place::Repeat(receipt)) => Accepted::Repeat(receipt),
        Ok(Place::Append | Place::Twin(_)) => Accepted::NotStored,
    }
}

/// Stores the changes of an admitted call in order and answers each.
pub(super) fn store<E>(
    changes: &[NewDelivery],
    places: Vec<Place>,
    mut append: impl FnMut(&NewDelivery) -> Result<Receipt, E>,
) -> Result<Vec<Accepted>, E> {
    let mut answers: Vec<Accepted> = Vec::with_capacity(changes.len());
    for (change, place) in changes.iter().zip(places) {
        let answer = match place {
            Place::Append => Accepted::Stored(append(change)?),
            Place::Repeat(receipt) => Accepted::Repeat(receipt),
            Place::Twin(first) => match answers.get(first) {
                Some(Accepted::Stored(receipt) | Accepted::Repeat(receipt)) => Accepted::Repeat(receipt.clone()),
                Some(Accepted::Conflict(_) | Accepted::LaneFull | Accepted::NotStored) | None => Accepted::NotStored,
            },
        };
        answers.push(answer);
    }
    Ok(answers)
}
