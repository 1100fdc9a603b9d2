//! What one instance shows: its tickets with keys of ours, and the texts under our references.
//!
//! Owns: which texts are ours: the reference says so, and for what is there too often, or at the wrong place, the author as
//! well, because people and rules copy comments and we do not. Never: keeps a text of a ticket that is known. Fails: it cannot.
//! Proved by: `tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;

use super::lines::{self, BadLine};
use crate::delivery::connection_test;
use crate::delivery::identity::is_ours;
use crate::delivery::marker::{Marker, referenced};
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::limits::HISTORY_PARAGRAPHS_MAX;

/// A ticket, with the columns of the Table API, raw values.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TicketRow {
    /// Its primary key.
    pub sys_id: String,
    /// What people call it.
    pub number: String,
    /// The key under which we find it again.
    pub correlation_id: String,
    /// Our high-water mark.
    pub correlation_display: String,
    /// `true` or `false`; a ticket that is over takes texts and keeps no mark.
    pub active: String,
    /// Who made it.
    pub sys_created_by: String,
    /// When, raw UTC.
    pub sys_created_on: String,
}

impl TicketRow {
    /// When it was made.
    pub(super) fn created(&self) -> Timestamp {
        moment(&self.sys_created_on)
    }
}

/// A row of `sys_journal_field`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EntryRow {
    /// Its primary key.
    pub sys_id: String,
    /// The ticket.
    pub element_id: String,
    /// The text.
    pub value: String,
    /// Who wrote it.
    pub sys_created_by: String,
    /// When, raw UTC.
    pub sys_created_on: String,
}

/// A text of ours, without its words.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) sys_id: String,
    pub(super) at: Timestamp,
    pub(super) by: String,
    /// Hashes of its words: all of them, and those behind each of its blank lines.
    pub(super) prints: Vec<u64>,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Shown {
    tenants: Vec<TenantId>,
    deployment_key: String,
    until: Timestamp,
    pub(super) tickets: BTreeMap<String, TicketRow>,
    pub(super) texts: BTreeMap<String, Vec<Text>>,
    /// Texts under a reference that does not fit their ticket.
    pub(super) foreign: Vec<EntryRow>,
    unplaced: BTreeMap<String, Vec<EntryRow>>,
    gone: BTreeSet<String>,
    /// Tickets that are there without a key of ours.
    bare: BTreeSet<String>,
    /// The integration user, as far as it was told.
    users: BTreeSet<String>,
    /// Who wrote how many of the texts whose reference fits.
    authors: BTreeMap<String, u64>,
}

impl Shown {
    pub(super) fn of(tenants: &[TenantId], deployment_key: &str) -> Self {
        Self {
            tenants: tenants.to_vec(),
            deployment_key: deployment_key.to_owned(),
            until: Timestamp::NEVER,
            tickets: BTreeMap::new(),
            texts: BTreeMap::new(),
            foreign: Vec::new(),
            unplaced: BTreeMap::new(),
            gone: BTreeSet::new(),
            bare: BTreeSet::new(),
            users: BTreeSet::new(),
            authors: BTreeMap::new(),
        }
    }

    /// Who lives here.
    pub fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Leaves out what is younger: the records were read before the instance was.
    pub const fn until(&mut self, until: Timestamp) {
        self.until = until;
    }

    /// The integration user, if it is known; otherwise whoever wrote most of the texts of ours is taken for it.
    pub fn written_by(&mut self, user: &str) {
        self.users.insert(user.to_owned());
    }

    /// A ticket. Those of connection tests do not count, and of those without a key of ours only that they are there.
    pub fn ticket(&mut self, row: TicketRow) {
        let too_young = moment(&row.sys_created_on) > self.until;
        if too_young || !is_ours(&row.correlation_id) || connection_test::is_test(&row.correlation_id) {
            self.unplaced.remove(&row.sys_id);
            self.bare.insert(row.sys_id);
            return;
        }
        let waiting = self.unplaced.remove(&row.sys_id).unwrap_or_default();
        self.tickets.insert(row.sys_id.clone(), row);
        for entry in waiting {
            self.entry(entry);
        }
    }

    /// A journal entry. Cheapest after its ticket: its text is then looked at and forgotten.
    pub fn entry(&mut self, row: EntryRow) {
        let Some(words) = referenced(&row.value).filter(|_| moment(&row.sys_created_on) <= self.until) else { return };
        let Some(ticket) = self.tickets.get(&row.element_id) else {
            self.unplaced.entry(row.element_id.clone()).or_default().push(row);
            return;
        };
        let (key, correlation_id) = (self.deployment_key.as_str(), ticket.correlation_id.as_str());
        let is_of = |tenant: &TenantId| Marker { deployment_key: key, tenant, correlation_id }.is_ours(&row.value);
        if !self.tenants.iter().any(is_of) {
            self.foreign.push(row);
            return;
        }
        let (at, prints) = (moment(&row.sys_created_on), prints_of(words));
        *self.authors.entry(row.sys_created_by.clone()).or_default() += 1;
        let text = Text { sys_id: row.sys_id, at, prints, by: row.sys_created_by };
        self.texts.entry(row.element_id).or_default().push(text);
    }

    /// A record that people deleted.
    pub fn gone(&mut self, sys_id: &str) {
        self.gone.insert(sys_id.to_owned());
    }

    /// One line of an export.
    pub fn line(&mut self, line: &str) -> Result<(), BadLine> {
        lines::of_instance(self, line)
    }

    /// Whether people deleted it, or took its key away: then nobody can say what is on it.
    pub(super) fn is_beyond(&self, sys_id: &str) -> bool {
        self.gone.contains(sys_id) || self.bare.contains(sys_id)
    }

    /// Whether this is how the integration user is called.
    pub(super) fn is_us(&self, author: &str) -> bool {
        if !self.users.is_empty() {
            return self.users.contains(author);
        }
        let most = self.authors.iter().max_by_key(|(_, texts)| **texts);
        most.is_none_or(|(name, _)| name == author)
    }
}

/// A raw date-time; long ago if there is none.
pub(super) fn moment(raw: &str) -> Timestamp {
    Timestamp::parse_utc(raw).unwrap_or(Timestamp::EPOCH)
}

/// A hash of the words: white space does not count, because journals reflow it.
pub(super) fn print_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.split_whitespace().for_each(|word| word.hash(&mut hasher));
    hasher.finish()
}

/// The hash of the whole text, and of what follows each of its blank lines.
pub(super) fn prints_of(text: &str) -> Vec<u64> {
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.match_indices("\n\n").take(HISTORY_PARAGRAPHS_MAX);
    let rests = paragraphs.filter_map(|(at, _)| text.get(at..)).map(print_of);
    std::iter::once(print_of(&text)).chain(rests).collect()
}
