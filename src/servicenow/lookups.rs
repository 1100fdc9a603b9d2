//! What look-ups found, remembered for a while: a mapping asks for the same few groups with every delivery.
//!
//! Bounded, per tenant, and only a cache: forgetting costs a call. What is missing is believed for a short time only,
//! because somebody is probably about to create it.

use std::collections::{HashMap, VecDeque};

use crate::domain::id::SysId;
use crate::domain::time::Timestamp;
use crate::limits::{LOOKUP_FOUND_TIME, LOOKUP_MISSING_TIME, LOOKUPS_REMEMBERED_MAX};

/// What was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub by: &'a str,
    /// The value it must have.
    pub value: &'a str,
}

/// A table, a column and a value, spelled as the instance compares: without outer spaces, and whatever the case.
type Key = (String, String, String);

impl Asked<'_> {
    fn key(self) -> Key {
        (self.table.to_owned(), self.by.to_owned(), self.value.trim().to_lowercase())
    }
}

/// The memory of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    found: HashMap<Key, (Option<SysId>, Timestamp)>,
    /// Oldest first; as long as `found`.
    order: VecDeque<Key>,
}

impl Lookups {
    /// What was found lately: `Some(None)` means that it was missing.
    pub fn recall(&self, now: Timestamp, asked: Asked<'_>) -> Option<Option<SysId>> {
        let (found, until) = self.found.get(&asked.key())?;
        (now < *until).then(|| found.clone())
    }

    /// Remembers what was found; the oldest entry makes room.
    pub fn remember(&mut self, now: Timestamp, asked: Asked<'_>, found: Option<SysId>) {
        let until = now.plus(if found.is_some() { LOOKUP_FOUND_TIME } else { LOOKUP_MISSING_TIME });
        let key = asked.key();
        if self.found.insert(key.clone(), (found, until)).is_some() {
            self.order.retain(|known| *known != key);
        }
        self.order.push_back(key);
        if self.order.len() > LOOKUPS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.found.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn found_is_believed_for_ten_minutes_and_missing_for_one() {
        let mut lookups = Lookups::default();
        let group = SysId::from_bits(7);
        let name = |value| Asked { table: "sys_user_group", by: "name", value };
        lookups.remember(at(0), name("AV Support"), Some(group.clone()));
        lookups.remember(at(0), name("Nobody"), None);
        let recall = |seconds, value| lookups.recall(at(seconds), name(value));
        assert_eq!(recall(599, " av support "), Some(Some(group)));
        assert_eq!(recall(600, "AV Support"), None);
        assert_eq!(recall(59, "Nobody"), Some(None));
        assert_eq!(recall(60, "Nobody"), None);
        assert_eq!(recall(0, "Other"), None);
        assert_eq!(lookups.recall(at(0), Asked { table: "sys_user", ..name("AV Support") }), None);
    }

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut lookups = Lookups::default();
        let one = Asked { table: "t", by: "by", value: "1" };
        for value in 0..=LOOKUPS_REMEMBERED_MAX {
            lookups.remember(at(0), Asked { table: "t", by: "by", value: &value.to_string() }, None);
            lookups.remember(at(0), one, None);
        }
        assert_eq!((lookups.found.len(), lookups.order.len()), (LOOKUPS_REMEMBERED_MAX, LOOKUPS_REMEMBERED_MAX));
        assert_eq!(lookups.recall(at(0), Asked { value: "0", ..one }), None);
        assert!(lookups.recall(at(0), one).is_some());
    }
}
