//! What is known of a ticket from what was seen of it: the state by version, journals and files as sets.
//!
//! A sighting says how a ticket is, so differences are ours to make. Versions (`sys_mod_count`) decide and never the
//! order of arrival: an older sighting changes no column. Journal entries and files are sets of keys, so that order and
//! repeats do not matter (`facts/reliability.md` 2.4). What we wrote ourselves is not a change (2.5, rule 5): what a
//! column held after our own write is its baseline from that version on.
//! Never: reads a clock or a mapping. Fails: it cannot. Proved by: the tests here and the simulation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::print::print;
use crate::domain::time::Timestamp;
use crate::limits::{SEEN_ENTRIES_MAX, TOLD_WINDOW};

/// What is known of a ticket from what was seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The newest version whose columns were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When the ticket was as it was compared.
    #[serde(default)]
    pub looked_at: Timestamp,
    /// A short hash per column, as of that version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// The raw state, as of that version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Journal entries that were told, or left out for good.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub entries: Keys,
    /// Files that were told, or left out for good.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub files: Keys,
    /// What was told last of each part of the incident.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, Told>,
    /// Whether the managed service was asked to open an incident for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub opened: bool,
    /// Whether the managed service was told that it is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

/// What was told last of one part of an incident, and how often of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// A short hash of the value.
    pub value: String,
    /// The ticket's version then.
    #[serde(default)]
    pub version: u64,
    /// When it was told of late, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Timestamp>,
}

/// What our own write left in a column, and at which version of the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// A short hash of the value.
    pub value: String,
    /// The ticket's version after the write.
    pub version: u64,
}

/// How a column stands against what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is as it was.
    Same,
    /// Somebody else changed it.
    Changed,
    /// We wrote it after this sighting was made: what it shows is over.
    Overtaken,
}

impl Seen {
    /// Whether a sighting of this version has columns that are worth comparing.
    pub fn is_newer(&self, version: u64) -> bool {
        self.version.is_none_or(|known| version > known)
    }

    /// Whether columns moved without a trace since they were compared: a script may save a row so that neither its version
    /// nor its time moves.
    pub fn moved_silently<'c>(&self, version: u64, columns: impl IntoIterator<Item = (&'c str, &'c str)>) -> bool {
        let moved = |(column, value): (&str, &str)| {
            self.columns.get(column).map_or(!value.is_empty(), |known| *known != print(value))
        };
        self.version == Some(version) && columns.into_iter().any(moved)
    }

    /// How a column's raw value, seen at this version, stands against what was seen and what we wrote.
    pub fn compare(&self, column: &str, value: &str, version: u64, ours: Option<&Ours>) -> Compared {
        let ours = ours.filter(|ours| self.version.is_none_or(|known| ours.version > known));
        let baseline = match ours {
            Some(ours) if ours.version > version => return Compared::Overtaken,
            Some(ours) => Some(&ours.value),
            None => self.columns.get(column),
        };
        let same = baseline.map_or_else(|| value.is_empty(), |known| *known == print(value));
        if same { Compared::Same } else { Compared::Changed }
    }

    /// Whether a part of the incident was last told with this value, and nothing we wrote since makes it worth telling
    /// again.
    pub fn was_told(&self, path: &str, value: &str, ours_version: Option<u64>) -> bool {
        let told = self.told.get(path);
        told.is_some_and(|told| told.value == print(value) && ours_version.is_none_or(|ours| ours <= told.version))
    }

    /// Notes that a part of the incident is told; says how often it was within [`TOLD_WINDOW`], this time included.
    pub fn note_told(&mut self, path: &str, value: &str, version: u64, now: Timestamp) -> usize {
        let told = self.told.entry(path.to_owned()).or_default();
        told.value = print(value);
        told.version = version;
        told.at.retain(|at| now.since(*at) < TOLD_WINDOW);
        told.at.push(now);
        told.at.len()
    }
}

/// A bounded set of keys. Entries are only ever added to a ticket; the oldest are forgotten first, and what is older
/// than everything remembered counts as known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keys(Vec<Key>);

/// When an entry was made, raw, and a short hash of its key and of its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key(String, String, String);

/// How the key of an entry begins of which only the text is known; no print does.
const TEXT_ONLY: char = '~';

impl Keys {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an entry with this key is known.
    pub fn has(&self, made_at: &str, key: &str) -> bool {
        let key = print(key);
        self.0.iter().any(|known| known.1 == key)
            || (self.0.len() == SEEN_ENTRIES_MAX && self.0.first().is_some_and(|oldest| made_at < oldest.0.as_str()))
    }

    /// How many known entries have this text: entries without a key of their own are told apart by their number.
    pub fn count_of_text(&self, text: &str) -> usize {
        let text = print(text);
        self.0.iter().filter(|known| known.2 == text).count()
    }

    /// Gives an entry of which only the text was known its key; says whether there was one.
    pub fn claim(&mut self, key: &str, text: &str) -> bool {
        let text = print(text);
        let without_key = |known: &&mut Key| known.1.starts_with(TEXT_ONLY) && known.2 == text;
        let Some(known) = self.0.iter_mut().find(without_key) else { return false };
        known.1 = print(key);
        true
    }

    /// Notes an entry of which only the text is known.
    pub fn add_text(&mut self, made_at: &str, number: usize, text: &str) {
        self.insert(Key(made_at.to_owned(), format!("{TEXT_ONLY}{number}"), print(text)));
    }

    /// Notes an entry.
    pub fn add(&mut self, made_at: &str, key: &str, text: &str) {
        self.insert(Key(made_at.to_owned(), print(key), print(text)));
    }

    fn insert(&mut self, key: Key) {
        if let Err(place) = self.0.binary_search(&key) {
            self.0.insert(place, key);
        }
        if self.0.len() > SEEN_ENTRIES_MAX {
            self.0.remove(0);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: u64, state: &str) -> Seen {
        Seen {
            version: Some(version),
            columns: BTreeMap::from([("state".to_owned(), print(state))]),
            ..Seen::default()
        }
    }

    fn ours(value: &str, version: u64) -> Ours {
        Ours { value: print(value), version }
    }

    #[test]
    fn a_column_is_compared_with_the_newest_of_what_was_seen_and_what_we_wrote() {
        for (what, version, value, ours, expected) in [
            ("nothing happened", 6, "2", None, Compared::Same),
            ("a person changed it", 6, "3", None, Compared::Changed),
            ("we wrote it, and somebody saved the row", 8, "3", Some(ours("3", 7)), Compared::Same),
            ("a person changed it after us", 8, "6", Some(ours("3", 7)), Compared::Changed),
            ("a person set it to what we wrote long ago", 8, "3", Some(ours("3", 4)), Compared::Changed),
            ("we wrote it after it was seen", 6, "6", Some(ours("3", 7)), Compared::Overtaken),
        ] {
            assert_eq!(seen(5, "2").compare("state", value, version, ours.as_ref()), expected, "{what}");
        }
        assert_eq!(Seen::default().compare("assigned_to", "", 1, None), Compared::Same, "empty from the start");
        assert_eq!(Seen::default().compare("assigned_to", "abel", 1, None), Compared::Changed);
    }

    #[test]
    fn an_older_sighting_is_stale_and_an_equal_one_is_a_repeat() {
        assert!(seen(5, "2").is_newer(6));
        assert!(!seen(5, "2").is_newer(5) && !seen(5, "2").is_newer(4));
        assert!(Seen::default().is_newer(0));
    }

    #[test]
    fn what_moved_without_a_trace_has_the_version_that_was_compared() {
        let seen = seen(5, "2");
        assert!(seen.moved_silently(5, [("state", "3")]));
        assert!(seen.moved_silently(5, [("state", "2"), ("assigned_to", "abel")]));
        assert!(!seen.moved_silently(5, [("state", "2"), ("assigned_to", "")]));
        assert!(!seen.moved_silently(6, [("state", "3")]), "that is no secret");
    }

    #[test]
    fn the_same_value_is_told_again_only_after_we_wrote_another() {
        let mut seen = seen(5, "2");
        assert_eq!(seen.note_told("state", "resolved", 6, Timestamp::EPOCH), 1);
        assert!(seen.was_told("state", "resolved", None));
        assert!(seen.was_told("state", "resolved", Some(4)));
        assert!(!seen.was_told("state", "resolved", Some(7)), "the managed service said otherwise since");
        assert!(!seen.was_told("state", "new", None) && !seen.was_told("assignee.name", "", None));
    }

    #[test]
    fn tellings_of_late_are_counted() {
        let mut seen = Seen::default();
        let later = |factor: u32| Timestamp::EPOCH.plus(TOLD_WINDOW * factor / 4);
        let counts: Vec<_> =
            (0..8).map(|turn| seen.note_told("state", if turn % 2 == 0 { "a" } else { "b" }, 1, later(turn))).collect();
        assert_eq!(counts, [1, 2, 3, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn a_text_that_was_told_without_its_key_is_known_when_the_key_shows() {
        let mut keys = Keys::default();
        keys.add_text("", 1, "comments ok");
        keys.add_text("", 2, "comments ok");
        assert_eq!(keys.count_of_text("comments ok"), 2);
        assert!(keys.claim("a", "comments ok") && keys.claim("b", "comments ok"));
        assert!(!keys.claim("c", "comments ok"), "the third `ok` is a new one");
        assert!(keys.has("", "a") && keys.has("", "b") && !keys.has("", "c"));
    }

    #[test]
    fn entries_are_a_set_that_forgets_the_oldest_and_still_knows_them() {
        let mut keys = Keys::default();
        let made = |number: usize| format!("2026-11-22 06:{:02}:{:02}", number / 60, number % 60);
        for number in (0..SEEN_ENTRIES_MAX + 10).rev() {
            keys.add(&made(number), &format!("key-{number}"), "text");
            keys.add(&made(number), &format!("key-{number}"), "text");
        }
        assert_eq!(keys.0.len(), SEEN_ENTRIES_MAX);
        for number in 0..SEEN_ENTRIES_MAX + 10 {
            assert!(keys.has(&made(number), &format!("key-{number}")), "{number}");
        }
        assert!(!keys.has(&made(SEEN_ENTRIES_MAX + 11), "another"));
        assert_eq!(keys.count_of_text("text"), SEEN_ENTRIES_MAX);
    }
}
