//! How closed sets and counts stand in columns: one spelling for every engine, on which a copy from one to the other relies.
//!
//! Never: knows an engine's rows or its faults; a number that nobody of ours wrote is `None`, and the engine says where.

use crate::delivery::record::{Direction, State};

/// Deliveries that are waiting or being sent; which of the two says `sending_since`.
pub(super) const OPEN: i16 = 0;

/// The column `state`.
pub(super) const fn state_number(state: State) -> i16 {
    match state {
        State::Waiting | State::Sending => OPEN,
        State::Delivered => 1,
        State::Superseded => 2,
        State::Parked => 3,
        State::Dropped => 4,
    }
}

/// Every value of the column `state`.
pub(super) const STATE_NUMBERS: [i16; 5] = [OPEN, 1, 2, 3, 4];

/// Reads the column `state`.
pub(super) fn state_of(number: i64, sending_since: Option<i64>) -> Option<State> {
    match (i16::try_from(number).ok()?, sending_since) {
        (OPEN, None) => Some(State::Waiting),
        (OPEN, Some(_)) => Some(State::Sending),
        (number, _) => {
            State::ALL.into_iter().filter(|state| state.is_end()).find(|state| state_number(*state) == number)
        }
    }
}

/// The column `direction`.
pub(super) const fn direction_number(direction: Direction) -> i16 {
    match direction {
        Direction::ToServicenow => 0,
        Direction::ToService => 1,
    }
}

/// Reads the column `direction`.
pub(super) const fn direction_of(number: i64) -> Option<Direction> {
    match number {
        0 => Some(Direction::ToServicenow),
        1 => Some(Direction::ToService),
        _ => None,
    }
}

/// A sequence or a fence: a database's numbers are signed, ours are never negative.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a sequence or a fence.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
