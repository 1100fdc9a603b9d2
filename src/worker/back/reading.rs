//! Completes a sighting: one read of the ticket where a webhook was only a hint, and one of its journal where something
//! was written.
//!
//! A snapshot that carries what the mapping reads costs no call. A read asks for the journal as people see it; only if
//! that shows a text not seen before, the journal's own rows are asked for their keys. An instance that hides those
//! rows still shows their text, which is then all there is.
//! Never: takes the record's `sys_updated_by` for whoever did something. Fails: by giving the lane back.

use super::super::journey::Journey;
use super::super::stop::Stop;
use crate::delivery::identity;
use crate::delivery::seen::Seen;
use crate::domain::sighting::{JournalEntry, Operation, Sighting};
use crate::limits::{JOURNAL_ENTRIES_SENT, JOURNAL_ROWS_MAX};
use crate::mapping::{IncidentDraft, TicketView};
use crate::servicenow::journal::parse_history;

/// The word in place of an event's id by which a look after an opening is known: nobody has told what hung on the ticket.
pub(super) const AFTER_OPENING: &str = "after-opening";

impl Journey<'_> {
    /// The sighting, read from the instance where it does not say enough. `None`: the ticket cannot be read, because it
    /// is gone or hidden, which nobody can tell apart.
    pub(super) async fn complete(
        &self,
        sighting: Sighting,
        seen: &Seen,
        unlinked: bool,
    ) -> Result<Option<Sighting>, Stop> {
        if sighting.operation == Some(Operation::Delete) {
            return Ok(Some(sighting));
        }
        let stale = sighting.version.is_some_and(|version| !seen.is_newer(version));
        // A key of ours whose owner is not known: the ticket's mark says whose it is.
        let needs_mark = unlinked
            && sighting.correlation_display.is_none()
            && sighting.correlation_id.as_deref().is_some_and(identity::is_ours);
        let whole = sighting.version.is_some() && (stale || self.covers(&sighting)) && !needs_mark;
        let mut sighting = if whole && sighting.fields.is_some() {
            sighting
        } else {
            match self.read(&sighting, seen).await? {
                Some(read) => return Ok(Some(read)),
                None => return Ok(None),
            }
        };
        if may_have_more_entries(&sighting, seen) {
            let read = self.read_journal(&sighting).await?;
            sighting.journal = Some(joined(read, sighting.journal.take().unwrap_or_default()));
        }
        Ok(Some(sighting))
    }

    fn covers(&self, sighting: &Sighting) -> bool {
        let view = TicketView::of(sighting);
        // A script may send labels in the place of values: what the mapping does not know is read, not guessed.
        let knows = |draft: IncidentDraft| draft.dropped.is_empty();
        self.bridge.mapping.covers(&view) && self.bridge.mapping.to_incident(&view).is_ok_and(knows)
    }

    async fn read(&self, hint: &Sighting, seen: &Seen) -> Result<Option<Sighting>, Stop> {
        let columns: Vec<&str> = self.bridge.mapping.ticket_columns().iter().map(AsRef::as_ref).collect();
        let permit = self.permit_to_read().await?;
        let table = hint.table.as_deref().filter(|table| **table == *self.bridge.table).unwrap_or(&self.bridge.table);
        let read = self
            .bridge
            .client
            .read_ticket(permit, (table, &hint.sys_id), &columns, self.bridge.mapping.tells_messages())
            .await;
        let Some(read) = read.map_err(|outcome| self.read_failed(outcome))? else { return Ok(None) };
        let mut sighting = read.sighting;
        sighting.event.clone_from(&hint.event);
        sighting.actor.clone_from(&hint.actor);
        sighting.instance.clone_from(&hint.instance);
        // What a webhook brought along may be more than what may be read.
        sighting.attachments.clone_from(&hint.attachments);
        let mut shown = Vec::new();
        let (comments, work_notes) = read.history.unwrap_or_default();
        for (element, text) in [("comments", &comments), ("work_notes", &work_notes)] {
            shown.extend(parse_history(element, text));
        }
        shown.retain(|entry| self.bridge.mapping.entry_leaves_as(&entry.element).is_some());
        if shows_something_new(&shown, seen) {
            let rows = self.read_journal(&sighting).await?;
            // An instance that hides the rows still shows the text.
            sighting.journal = Some(if rows.is_empty() { shown } else { rows });
        }
        if let Some(sent) = &hint.journal {
            sighting.journal = Some(joined(sighting.journal.take().unwrap_or_default(), sent.clone()));
        }
        if hint.event.as_deref() == Some(AFTER_OPENING) && self.bridge.mapping.attachments_back().is_some() {
            let permit = self.permit_to_read().await?;
            let files = self.bridge.client.attachments_of(permit, &self.bridge.table, &sighting.sys_id).await;
            sighting.attachments = Some(files.map_err(|outcome| self.read_failed(outcome))?);
        }
        Ok(Some(sighting))
    }

    async fn read_journal(&self, sighting: &Sighting) -> Result<Vec<JournalEntry>, Stop> {
        let permit = self.permit_to_read().await?;
        let tickets = [sighting.sys_id.clone()];
        let rows = self.bridge.client.journal_of(permit, &tickets, None, JOURNAL_ROWS_MAX).await;
        let rows = rows.map_err(|outcome| self.read_failed(outcome))?;
        Ok(rows
            .into_iter()
            .map(|(_, entry)| entry)
            .filter(|entry| self.bridge.mapping.entry_leaves_as(&entry.element).is_some())
            .collect())
    }
}

/// Whether every entry that was sent along is new: then there may be older ones that are new as well.
fn may_have_more_entries(sighting: &Sighting, seen: &Seen) -> bool {
    let Some(journal) = &sighting.journal else { return false };
    let known = |entry: &JournalEntry| {
        let made_at = entry.created_on.as_deref().unwrap_or_default();
        entry.sys_id.as_ref().is_some_and(|key| seen.entries.has(made_at, key.as_str()))
    };
    journal.len() >= JOURNAL_ENTRIES_SENT && !journal.iter().any(known)
}

/// Whether the journal as people see it has more of some text than was seen.
fn shows_something_new(shown: &[JournalEntry], seen: &Seen) -> bool {
    shown.iter().any(|entry| {
        let text = format!("{} {}", entry.element, entry.value.trim());
        let times = shown.iter().filter(|other| other.element == entry.element && other.value == entry.value).count();
        times > seen.entries.count_of_text(&text)
    })
}

/// Two readings of one journal. An entry with a key takes the place of one of which only the text was read.
fn joined(mut read: Vec<JournalEntry>, sent: Vec<JournalEntry>) -> Vec<JournalEntry> {
    for entry in sent {
        let keyed = |there: &JournalEntry| there.sys_id.is_some() && there.sys_id == entry.sys_id;
        if read.iter().any(keyed) {
            continue;
        }
        let same_text = |there: &JournalEntry| {
            there.sys_id.is_none() && there.element == entry.element && there.value.trim() == entry.value.trim()
        };
        match read.iter().position(same_text).and_then(|at| read.get_mut(at)) {
            Some(there) => *there = entry,
            None => read.push(entry),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SysId;

    fn entry(key: Option<u128>, element: &str, value: &str) -> JournalEntry {
        JournalEntry {
            sys_id: key.map(SysId::from_bits),
            element: element.to_owned(),
            value: value.to_owned(),
            created_on: None,
            created_by: None,
        }
    }

    fn comment(key: Option<u128>, value: &str) -> JournalEntry {
        entry(key, "comments", value)
    }

    #[test]
    fn an_entry_with_a_key_takes_the_place_of_its_text_alone() {
        let read = vec![comment(None, "ok \n"), comment(None, "Done.")];
        assert_eq!(joined(read, vec![comment(Some(1), "ok")]), [comment(Some(1), "ok"), comment(None, "Done.")]);
    }

    #[test]
    fn equal_texts_are_as_many_entries_as_there_are_keys_or_texts() {
        let both = [comment(Some(1), "ok"), comment(Some(2), "ok")];
        assert_eq!(joined(vec![comment(None, "ok"), comment(None, "ok")], both.to_vec()), both);
        assert_eq!(joined(vec![comment(None, "ok")], both.to_vec()), both);
        let one_known = joined(vec![comment(None, "ok"), comment(None, "ok")], vec![comment(Some(1), "ok")]);
        assert_eq!(one_known, [comment(Some(1), "ok"), comment(None, "ok")]);
    }

    #[test]
    fn what_was_read_with_its_key_is_not_there_twice() {
        let read = vec![comment(Some(1), "ok"), comment(None, "ok")];
        assert_eq!(joined(read.clone(), vec![comment(Some(1), "ok")]), read);
    }

    #[test]
    fn the_same_words_in_another_journal_are_another_entry() {
        let (public, internal) = (comment(None, "ok"), entry(Some(1), "work_notes", "ok"));
        assert_eq!(joined(vec![public.clone()], vec![internal.clone()]), [public, internal]);
    }
}
