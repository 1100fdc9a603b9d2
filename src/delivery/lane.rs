//! Lanes keep the changes of one incident in order, and remember what we last wrote to its ticket.
//!
//! Owns: which waiting changes may go as one call, and which fields of a draft still need to be written.
//! The memory is a cache: without it the ticket is found again by its derived keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seen::{Ours, Seen};
use crate::domain::incident::Incident;
use crate::domain::ticket::Ticket;

/// What a lane knows of its ticket after the last settled delivery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneMemory {
    /// The ticket, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// A short hash of the value we last wrote, per field: only a changed mapped value is written again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written: BTreeMap<String, String>,
    /// The incident as last told, so that an event which names one field means only that field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Incident>,
    /// What our own writes left in the columns that the way back reads: none of it is a change when it is seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ours: BTreeMap<String, Ours>,
    /// How many tickets of this episode came before this one and were closed for good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successors: u32,
    /// What is known of the ticket from what was seen of it; in the lanes of the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<Seen>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl LaneMemory {
    /// The incident as it stands after `newer` was told.
    pub fn told_with(&self, newer: &Incident) -> Incident {
        match &self.told {
            Some(told) => {
                let mut merged = told.clone();
                merged.merge(newer);
                merged
            }
            None => newer.clone(),
        }
    }
}

/// How many waiting deliveries, from the head on, go as one call: a run of plain field updates folds into one,
/// everything else goes alone. `folds` says of each waiting delivery whether it is a plain field update.
pub fn fold(folds: impl IntoIterator<Item = bool>) -> usize {
    folds.into_iter().take_while(|plain| *plain).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn only_a_run_of_plain_updates_at_the_head_folds() {
        for (waiting, together) in [
            (vec![], 1),
            (vec![false, true, true], 1),
            (vec![true], 1),
            (vec![true, true, true], 3),
            (vec![true, true, false, true], 2),
        ] {
            assert_eq!(fold(waiting.clone()), together, "{waiting:?}");
        }
    }
}
