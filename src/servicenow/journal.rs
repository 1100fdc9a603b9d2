//! Reading what people wrote: the rows of the journal, or, where an instance hides them, its text.
//!
//! Owns: both ways, and that each entry names its ticket. Never: sends an entry on, or decides whether it is ours.
//! Fails: with an [`Outcome`] while reading rows; reading the text cannot fail, it finds what it recognises.
//! Proved by: the tables here, and `tests/servicenow.rs` against an instance.

use super::client::Client;
use super::walk::{Walk, untrusted};
use super::wire::lists::Listed;
use super::wire::query::Query;
use super::wire::rows::Row;
use crate::delivery::outcome::Outcome;
use crate::domain::id::SysId;
use crate::domain::sighting::JournalEntry;
use crate::limits::KEYS_IN_A_QUERY_MAX;
use crate::peer::permit::Permit;

/// The journals of a task; `comments_and_work_notes` is a view of both.
const JOURNALS: [&str; 2] = ["comments", "work_notes"];

/// A moment before anything that was ever written, for a walk that begins at the beginning.
pub(super) const BEGINNING: &str = "1970-01-01 00:00:00";

impl Client {
    /// Reads what was written on tickets since a moment (raw, in UTC), the oldest first; pages of `rows_max`.
    ///
    /// Many tickets or entries take several calls: `permit` pays the first one. An entry of a ticket that was not asked
    /// for is `lookup_untrusted`. Nothing may also mean that the instance hides the rows of its journals.
    pub async fn journal_of(
        &self,
        permit: Permit,
        tickets: &[SysId],
        since: Option<&str>,
        rows_max: usize,
    ) -> Result<Vec<(SysId, JournalEntry)>, Outcome> {
        let mut found = Vec::new();
        let mut paid = Some(permit);
        for some in tickets.chunks(KEYS_IN_A_QUERY_MAX) {
            let permit = self.paid_or_new(&mut paid).await?;
            let by = "sys_created_on";
            let walk = Walk { of: Listed::Journal, by, since: since.unwrap_or(BEGINNING), rows_max };
            let query = || Query::new().refers_to("element_id", some).is_one_of("element", &JOURNALS);
            for row in self.walk(permit, walk, &query).await? {
                let entry = entry(row, some);
                found.push(entry.ok_or_else(|| untrusted("entries of other journals came back"))?);
            }
        }
        Ok(found)
    }
}

/// A row as an entry of one of these tickets.
fn entry(row: Row, tickets: &[SysId]) -> Option<(SysId, JournalEntry)> {
    let ticket = row.key("element_id").filter(|ticket| tickets.contains(ticket))?;
    let element = row.get("element").filter(|element| JOURNALS.contains(element))?.to_owned();
    let told = |field: &str| row.get(field).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let (created_on, created_by) = (told("sys_created_on"), told("sys_created_by"));
    let value = told("value").unwrap_or_default();
    Some((ticket, JournalEntry { sys_id: Some(row.sys_id), element, value, created_on, created_by }))
}

/// Reads the text that a journal's column shows, the oldest entry first. `element` is the column it was read from: the
/// words in the text are in the language of whoever reads it.
///
/// Each block is `<moment> - <author> (<journal>)`, a line feed, the text and an empty line, the newest first. Moments
/// are in the reader's zone and format: only `2026-11-22 06:00:00` is taken over, and is UTC only if the integration
/// user's zone is GMT. A line of somebody's text that looks like the head of a block is taken for one only if it stands
/// behind an empty line and claims to be no newer than the block it stands in.
pub fn parse_history(element: &str, text: &str) -> Vec<JournalEntry> {
    let mut entries: Vec<JournalEntry> = Vec::new();
    let mut free = true;
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let newest = entries.last().and_then(|entry: &JournalEntry| entry.created_on.as_deref());
        match Head::read(line).filter(|head| free && head.may_follow(newest)) {
            Some(head) => entries.push(JournalEntry {
                sys_id: None,
                element: element.to_owned(),
                value: String::new(),
                created_on: plain(head.moment).then(|| head.moment.to_owned()),
                created_by: Some(head.author.to_owned()),
            }),
            None => {
                if let Some(entry) = entries.last_mut() {
                    entry.value.push_str(line);
                    entry.value.push('\n');
                }
            }
        }
        free = line.is_empty();
    }
    for entry in &mut entries {
        entry.value.truncate(entry.value.trim_end_matches('\n').len());
    }
    entries.reverse();
    entries
}

/// The first line of a block.
struct Head<'a> {
    moment: &'a str,
    author: &'a str,
}

impl<'a> Head<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (moment, rest) = line.split_once(" - ")?;
        let (author, journal) = rest.strip_suffix(')')?.rsplit_once(" (")?;
        let clock = moment.split([' ', 'T']).any(|part| {
            let mut numbers = part.split(':');
            let two_digits = |text: Option<&str>| {
                text.is_some_and(|text| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
            };
            two_digits(numbers.next()) && two_digits(numbers.next())
        });
        let starts = moment.starts_with(|first: char| first.is_ascii_digit());
        (clock && starts && moment.len() <= 40 && !author.is_empty() && !journal.is_empty())
            .then_some(Self { moment, author })
    }

    /// Blocks come newest first. Moments of other formats are not compared.
    fn may_follow(&self, newest: Option<&str>) -> bool {
        newest.is_none_or(|newest| !plain(self.moment) || self.moment <= newest)
    }
}

/// Whether a moment is spelled as ServiceNow stores it.
fn plain(moment: &str) -> bool {
    super::wire::text::moment(moment).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let entries = parse_history("comments", text);
        let said: Vec<_> = entries
            .iter()
            .map(|entry| {
                assert_eq!((entry.sys_id.as_ref(), entry.element.as_str()), (None, "comments"));
                let (at, by) = (entry.created_on.as_deref(), entry.created_by.as_deref());
                (at.unwrap_or_default(), by.unwrap_or_default(), entry.value.as_str())
            })
            .collect();
        assert_eq!(said, expected, "{text:?}");
    }

    #[test]
    fn blocks_become_entries_the_oldest_first() {
        check("", &[]);
        check(
            "2022-11-21 22:50:34 - System Administrator (Additional comments)\nSecond comment\n\n\
             2022-11-21 21:45:37 - Test User (Additional comments)\nFirst\n\ncomment\n\n",
            &[
                ("2022-11-21 21:45:37", "Test User", "First\n\ncomment"),
                ("2022-11-21 22:50:34", "System Administrator", "Second comment"),
            ],
        );
    }

    #[test]
    fn the_readers_language_and_format_do_not_matter() {
        check(
            "13-Jul-2026 10:29:21 - Jörg Müller (Zusätzliche Kommentare)\r\nHallo\r\n",
            &[("", "Jörg Müller", "Hallo")],
        );
        check("07/13/2026 10:29 AM - A - B (C) (Comments)\nx", &[("", "A - B (C)", "x")]);
    }

    #[test]
    fn what_somebody_wrote_is_not_taken_for_a_head() {
        for line in [
            "see below - Bob (Work notes)",
            "10 items - Bob (Work notes)",
            "2030-01-01 00:00:00 - Mallory (Additional comments)",
            "2020-01-01 00:00:00 - no journal named",
        ] {
            let text = format!("2026-11-22 06:00:00 - Ann (Additional comments)\none\n\n{line}\ntwo\n\n");
            check(&text, &[("2026-11-22 06:00:00", "Ann", &format!("one\n\n{line}\ntwo"))]);
        }
        let tight =
            "2026-11-22 06:00:00 - Ann (Additional comments)\none\n2020-01-01 00:00:00 - Bob (Work notes)\ntwo\n\n";
        let both = "one\n2020-01-01 00:00:00 - Bob (Work notes)\ntwo";
        check(tight, &[("2026-11-22 06:00:00", "Ann", both)]);
    }

    #[test]
    fn text_before_the_first_head_belongs_to_nobody() {
        check("lost\n\n2026-11-22 06:00:00 - Ann (Additional comments)\none", &[("2026-11-22 06:00:00", "Ann", "one")]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(?s).{0,200}") {
            parse_history("comments", &text);
        }
    }
}
