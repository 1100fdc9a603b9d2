//! What is new in a sighting: the rules that keep echoes out and comments in. Pure.
//!
//! Columns count by version and only where somebody else changed them; journal entries and files are sets. What is new
//! becomes callbacks, and what was seen becomes the memory of the next comparison. Nothing that the mapping does not
//! list leaves, and its text is not even quoted in the record of what was left out.
//! Fails: with [`Trouble`], after which nothing was noted. Proved by: the tests here, `tests/simulation`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::outbox::ticket_json;
use crate::callback::event::Event;
use crate::delivery::connection_test;
use crate::delivery::identity::{self, Subject};
use crate::delivery::kind::TicketKind;
use crate::delivery::marker::Marker;
use crate::delivery::seen::{Compared, Ours, Seen};
use crate::domain::id::TenantId;
use crate::domain::incident::{Attachment, Incident, Origin, Visibility, Word};
use crate::domain::print::print;
use crate::domain::sighting::{FileEntry, JournalEntry, Operation, Sighting};
use crate::domain::ticket::{Link, Ticket};
use crate::domain::time::Timestamp;
use crate::limits::TOLD_TIMES_MAX;
use crate::mapping::{IncidentDraft, Mapping, MappingFault, TicketPhase, TicketView};
use crate::worker::Protections;

/// Everything a comparison is made from.
pub(super) struct Comparison<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) mapping: &'a Mapping,
    pub(super) deployment_key: &'a str,
    /// The instance's address, for people.
    pub(super) instance: &'a str,
    pub(super) table: &'a str,
    /// Complete as far as it can be.
    pub(super) sighting: &'a Sighting,
    /// `None`: the ticket belongs to no incident yet.
    pub(super) linked: Option<&'a Linked>,
    /// Who we are there, if that is known.
    pub(super) user: Option<&'a str>,
    /// What led to the callbacks.
    pub(super) cause: &'a str,
    /// When the ticket was as the sighting says.
    pub(super) seen_at: Timestamp,
    pub(super) now: Timestamp,
    pub(super) protections: Protections,
}

/// What the incident's own lane knows.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) link: Link,
    /// The incident as the managed service told it.
    pub(super) told: Option<Incident>,
    /// What our own writes left in the ticket.
    pub(super) ours: BTreeMap<String, Ours>,
    /// Which of the incident's tickets it is.
    pub(super) turn: Turn,
    /// Whether a write is on its way.
    pub(super) sending: bool,
}

/// Which of an incident's tickets one is: only what the present one says counts for the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The incident's ticket.
    Present,
    /// It was followed by another, or stands beside it: what its columns say is known and told nobody.
    Past,
    /// Its making is not settled yet: what people do to it is news as soon as it is.
    Coming,
}

/// What is new.
#[derive(Debug)]
pub(super) struct News {
    pub(super) seen: Seen,
    pub(super) events: Vec<(TicketKind, Event)>,
    pub(super) left_out: Vec<String>,
    /// What gave our own writes away.
    pub(super) echoes: Vec<&'static str>,
    pub(super) how: &'static str,
}

/// Why a comparison came to nothing yet.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Our own write is on its way: compared now, it might be taken for somebody's change.
    Writing,
    /// One part of the incident is told again and again: two rules are fighting.
    Fight { path: String },
    /// The mapping cannot say what the ticket means.
    Mapping(MappingFault),
}

impl Comparison<'_> {
    /// Compares, and says what is new.
    pub(super) fn compare(&self, seen: Seen) -> Result<News, Trouble> {
        let news = News { seen, events: Vec::new(), left_out: Vec::new(), echoes: Vec::new(), how: "nothing_new" };
        let mut news = match self.linked {
            Some(linked) => self.of_linked(linked, news)?,
            None => self.of_stranger(news)?,
        };
        if !news.events.is_empty() {
            news.how = "told";
        }
        Ok(news)
    }

    fn of_linked(&self, linked: &Linked, mut news: News) -> Result<News, Trouble> {
        if self.sighting.operation == Some(Operation::Delete) {
            self.deletion(linked, &mut news);
            return Ok(news);
        }
        self.columns(linked, &mut news)?;
        self.journal(linked, &mut news);
        self.files(linked, &mut news);
        Ok(news)
    }

    /// A ticket without an incident: the mapping says whether it opens one.
    fn of_stranger(&self, mut news: News) -> Result<News, Trouble> {
        let key = self.sighting.correlation_id.as_deref().unwrap_or_default();
        let view = TicketView::of(self.sighting);
        let state = view.get("state").map(|state| state.value.as_str()).unwrap_or_default();
        let is_over = self.sighting.operation == Some(Operation::Delete)
            || self.mapping.ticket_phase(state) == TicketPhase::Final;
        news.how = if connection_test::is_test(key) {
            // Made to try the connection, and put away again: nobody's ticket.
            "connection_test"
        } else if identity::is_ours(key) {
            "unknown_key"
        } else if is_over || !key.is_empty() {
            // Over and done, or another integration's.
            "not_bridged"
        } else if news.seen.opened {
            "awaits_its_incident"
        } else if self.mapping.opens(&view).map_err(Trouble::Mapping)? {
            self.opening(&view, &mut news)?;
            "told"
        } else {
            "not_bridged"
        };
        Ok(news)
    }

    fn opening(&self, view: &TicketView, news: &mut News) -> Result<(), Trouble> {
        let draft = self.mapping.to_opened_incident(view).map_err(Trouble::Mapping)?;
        let mut incident = draft.to_json(&|_| true);
        let messages: Vec<Value> = self.new_entries(news, None);
        if let Some(incident) = incident.as_object_mut() {
            incident.insert("origin".to_owned(), Origin::Customer.as_str().into());
            if !messages.is_empty() {
                incident.insert("messages".to_owned(), messages.into());
            }
        }
        self.remember_columns(&mut news.seen);
        for output in draft.outputs() {
            news.seen.note_told(output.path, output.value, self.version(), self.now);
        }
        news.seen.opened = true;
        let id = format!("{}-opened", self.sighting.sys_id);
        let mut data = self.data(None);
        data.insert("incident".to_owned(), incident);
        news.events.push((TicketKind::Opened, self.event(TicketKind::Opened, id, data, None)));
        Ok(())
    }

    /// What the columns say that they did not say before.
    fn columns(&self, linked: &Linked, news: &mut News) -> Result<(), Trouble> {
        let version = self.version();
        // Of two sightings of one version, which a script may leave standing, the later look counts.
        let later = self.is_read() && news.seen.version == Some(version) && self.seen_at > news.seen.looked_at;
        let worth_it = news.seen.is_newer(version) || later;
        if self.sighting.fields.is_none() || !worth_it || linked.turn == Turn::Coming {
            return Ok(());
        }
        if linked.turn == Turn::Past {
            // Noted, or every sweep would find it anew.
            self.remember_columns(&mut news.seen);
            return Ok(());
        }
        // Also where nothing seems to have changed: what looks like our last word may be somebody's answer to the next.
        if linked.sending && self.protections.value {
            return Err(Trouble::Writing);
        }
        let view = TicketView::of(self.sighting);
        let changed = self.changed(linked, &news.seen, version);
        if changed.is_empty() {
            if linked.ours.values().any(|ours| Some(ours.version) > news.seen.version) {
                news.echoes.push("value");
            }
            self.remember_columns(&mut news.seen);
            return Ok(());
        }
        let origin = linked.told.as_ref().and_then(|told| told.origin).unwrap_or(Origin::Unknown);
        let draft = self.mapping.to_incident(&view).map_err(Trouble::Mapping)?.for_origin(origin);
        self.changes(linked, &draft, &changed, news)?;
        if draft.handed_back.is_some() && changed.contains("state") {
            self.hand_back(linked, &draft, news);
        }
        news.left_out.extend(draft.dropped.iter().map(|dropped| format!("{}: {}", dropped.what, dropped.reason)));
        self.remember_columns(&mut news.seen);
        Ok(())
    }

    /// Whether we read it ourselves: a webhook says what was done, and one of the same version may be older.
    const fn is_read(&self) -> bool {
        self.sighting.operation.is_none() && self.sighting.event.is_none()
    }

    /// The columns that somebody else changed.
    fn changed(&self, linked: &Linked, seen: &Seen, version: u64) -> BTreeSet<&str> {
        let fields = self.sighting.fields.iter().flatten();
        let read = fields.filter(|(column, _)| self.mapping.ticket_columns().iter().any(|read| **read == **column));
        let none = BTreeMap::new();
        let ours = if self.protections.value { &linked.ours } else { &none };
        let changed = read.filter(|(column, cell)| {
            seen.compare(column, &cell.value, version, ours.get(*column)) == Compared::Changed
        });
        changed.map(|(column, _)| column.as_str()).collect()
    }

    fn changes(
        &self,
        linked: &Linked,
        draft: &IncidentDraft,
        changed: &BTreeSet<&str>,
        news: &mut News,
    ) -> Result<(), Trouble> {
        let said = linked.told.as_ref().and_then(|told| serde_json::to_value(told).ok()).unwrap_or_default();
        let mut told = BTreeSet::new();
        let is_changed = |column: &str| changed.contains(column);
        for output in draft.changes_since(&is_changed) {
            let ours = output.columns.iter().filter_map(|column| linked.ours.get(&**column)).map(|ours| ours.version);
            let again = news.seen.was_told(output.path, output.value, ours.max());
            let theirs = !news.seen.told.contains_key(output.path) && holds(&said, output.path, output.value);
            if self.protections.value && (again || theirs) {
                continue;
            }
            let times = news.seen.note_told(output.path, output.value, self.version(), self.now);
            if times > TOLD_TIMES_MAX && self.protections.alternation {
                return Err(Trouble::Fight { path: output.path.to_owned() });
            }
            told.insert(output.path);
        }
        if told.is_empty() {
            return Ok(());
        }
        let id = match news.seen.version {
            // Without a new version it is the time that makes it another change.
            Some(seen) if seen == self.version() => {
                format!("{}-{}-{}", self.sighting.sys_id, self.version(), self.now.millis())
            }
            Some(_) | None => format!("{}-{}", self.sighting.sys_id, self.version()),
        };
        let mut data = self.data(Some(linked));
        data.insert("changes".to_owned(), draft.to_json(&|output| told.contains(output.path)));
        news.events.push((TicketKind::Changed, self.event(TicketKind::Changed, id, data, Some(linked))));
        Ok(())
    }

    /// A person ended the ticket of an incident that only telemetry may end: the managed service is told in words.
    fn hand_back(&self, linked: &Linked, draft: &IncidentDraft, news: &mut News) {
        let ended = draft.handed_back.map_or("resolved", Word::as_str);
        // In words it was told: a ticket that is opened again is news.
        news.seen.note_told("state", ended, self.version(), self.now);
        let notes = draft.fields.get("resolution.notes").map(String::as_str).filter(|notes| !notes.trim().is_empty());
        let number = &linked.link.ticket.number;
        let text = match notes {
            Some(notes) => format!("The customer's ticket {number} is {ended}: {notes}"),
            None => format!("The customer's ticket {number} is {ended}."),
        };
        let id = format!("{}-{}-handed-back", self.sighting.sys_id, self.version());
        let message = json!({"id": id, "text": text, "visibility": "public", "author": {"party": "customer"}});
        self.message(linked, id, message, news);
    }

    fn deletion(&self, linked: &Linked, news: &mut News) {
        if news.seen.gone || linked.turn == Turn::Coming {
            return;
        }
        news.seen.gone = true;
        if linked.turn == Turn::Past {
            return;
        }
        let system = linked.told.as_ref().and_then(|told| told.origin) == Some(Origin::System);
        let changes = if system { json!({"owner": "provider"}) } else { json!({"state": "cancelled"}) };
        let id = format!("{}-deleted", self.sighting.sys_id);
        let mut data = self.data(Some(linked));
        data.insert("changes".to_owned(), changes);
        data.insert("deleted".to_owned(), true.into());
        news.events.push((TicketKind::Changed, self.event(TicketKind::Changed, id, data, Some(linked))));
    }

    /// What people wrote, each entry once.
    fn journal(&self, linked: &Linked, news: &mut News) {
        let marker =
            Marker { deployment_key: self.deployment_key, tenant: self.tenant, correlation_id: &self.key(linked) };
        let messages = self.new_entries(news, Some(marker));
        for message in messages {
            let id = message.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.message(linked, id, message, news);
        }
    }

    /// The key that our texts on this ticket are marked with. A customer's ticket that was closed before it got its keys takes
    /// texts and never the key.
    fn key(&self, linked: &Linked) -> String {
        let carried = self.sighting.correlation_id.clone().filter(|key| identity::is_ours(key));
        carried.unwrap_or_else(|| {
            let Link { incident, episode, ticket: _ } = linked.link.clone();
            let subject = Subject { incident, episode, successor: 0 };
            identity::derive(self.deployment_key, self.tenant, &subject).correlation_id
        })
    }

    fn message(&self, linked: &Linked, id: String, message: Value, news: &mut News) {
        let mut data = self.data(Some(linked));
        data.insert("message".to_owned(), message);
        news.events.push((TicketKind::MessageAdded, self.event(TicketKind::MessageAdded, id, data, Some(linked))));
    }

    /// The entries that are new, not ours and may leave, oldest first; all of them are noted as seen.
    fn new_entries(&self, news: &mut News, marker: Option<Marker<'_>>) -> Vec<Value> {
        let News { seen, left_out, echoes, .. } = news;
        let mut journal: Vec<&JournalEntry> = self.sighting.journal.iter().flatten().collect();
        journal.sort_by(|one, other| one.created_on.cmp(&other.created_on).then(one.sys_id.cmp(&other.sys_id)));
        let mut texts: BTreeMap<String, usize> = BTreeMap::new();
        let mut private = 0_usize;
        let mut new = Vec::new();
        for entry in journal {
            let made_at = entry.created_on.as_deref().unwrap_or_default();
            let text = format!("{} {}", entry.element, entry.value.trim());
            let before = texts.entry(text.clone()).or_default();
            *before += 1;
            let known = match &entry.sys_id {
                // What was told by its text alone has its key now.
                Some(key) => seen.entries.has(made_at, key.as_str()) || seen.entries.claim(key.as_str(), &text),
                // Only its text was read: the second `ok` of a ticket is known when two were seen.
                None => *before <= seen.entries.count_of_text(&text),
            };
            if known {
                continue;
            }
            let key = if let Some(key) = &entry.sys_id {
                seen.entries.add(made_at, key.as_str(), &text);
                key.to_string()
            } else {
                seen.entries.add_text(made_at, *before, &text);
                format!("{} {before}", print(&text))
            };
            let by_us = self.protections.actor && same_user(self.user, entry.created_by.as_deref());
            let referenced = self.protections.marker && marker.is_some_and(|marker| marker.is_ours(&entry.value));
            if by_us || referenced {
                echoes.extend(by_us.then_some("actor").or(Some("marker")));
                continue;
            }
            match self.mapping.entry_leaves_as(&entry.element) {
                Some(visibility) => new.push(self.message_of(entry, &key, visibility)),
                None => private += 1,
            }
        }
        if private > 0 {
            left_out.push(format!("journal: {private} entries stay private, as the mapping does not list them"));
        }
        new
    }

    fn message_of(&self, entry: &JournalEntry, key: &str, visibility: Visibility) -> Value {
        let id = match &entry.sys_id {
            Some(sys_id) => sys_id.to_string(),
            None => format!("{}-{}", self.sighting.sys_id, key.replace(' ', "-")),
        };
        let mut message = json!({"id": id, "text": entry.value, "visibility": visibility.as_str(),
            "author": {"name": entry.created_by.as_deref().unwrap_or_default(), "party": "customer"}});
        let at = entry.created_on.as_deref().and_then(Timestamp::parse_utc);
        if let (Some(at), Some(message)) = (at, message.as_object_mut()) {
            message.insert("at".to_owned(), at.to_string().into());
        }
        message
    }

    /// Files that people added, each once.
    fn files(&self, linked: &Linked, news: &mut News) {
        let Some(rule) = self.mapping.attachments_back() else { return };
        for file in self.sighting.attachments.iter().flatten() {
            let made_at = file.created_on.as_deref().unwrap_or_default();
            if news.seen.files.has(made_at, file.sys_id.as_str()) {
                continue;
            }
            news.seen.files.add(made_at, file.sys_id.as_str(), &file.file_name);
            if self.protections.actor && same_user(self.user, file.created_by.as_deref()) {
                continue;
            }
            let refused = rule.refuses(&attachment(file));
            let mut data = self.data(Some(linked));
            data.insert("attachment".to_owned(), serde_json::to_value(attachment(file)).unwrap_or_default());
            if let Some(reason) = refused {
                data.insert("refused".to_owned(), reason.into());
            }
            let (kind, id) = (TicketKind::AttachmentAdded, file.sys_id.to_string());
            news.events.push((kind, self.event(kind, id, data, Some(linked))));
        }
    }

    fn version(&self) -> u64 {
        self.sighting.version.unwrap_or_default()
    }

    fn remember_columns(&self, seen: &mut Seen) {
        seen.version = self.sighting.version.or(seen.version);
        seen.looked_at = self.seen_at;
        for column in self.mapping.ticket_columns() {
            if let Some(cell) = self.sighting.fields.as_ref().and_then(|fields| fields.get(&**column)) {
                seen.columns.insert(column.to_string(), print(&cell.value));
            }
        }
        if let Some(state) = self.sighting.fields.as_ref().and_then(|fields| fields.get("state")) {
            seen.state.clone_from(&state.value);
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket {
            sys_id: self.sighting.sys_id.clone(),
            number: self.sighting.number.clone().unwrap_or_default(),
            table: self.table.to_owned(),
        }
    }

    /// What every callback of this sighting says.
    fn data(&self, linked: Option<&Linked>) -> Map<String, Value> {
        let ticket = linked.map_or_else(|| self.ticket(), |linked| linked.link.ticket.clone());
        let mut data = Map::new();
        if let Some(linked) = linked {
            let incident = json!({"id": linked.link.incident, "episode": linked.link.episode});
            data.insert("incident".to_owned(), incident);
        }
        data.insert("ticket".to_owned(), ticket_json(&ticket, self.instance, self.sighting.version));
        if let Some(actor) = &self.sighting.actor {
            data.insert("actor".to_owned(), json!({"id": actor}));
        }
        data
    }

    fn event(&self, kind: TicketKind, id: String, data: Map<String, Value>, linked: Option<&Linked>) -> Event {
        let event = Event::new(self.tenant, kind, id, self.now, Value::Object(data)).caused_by(self.cause);
        match linked {
            Some(linked) => event.about(linked.link.incident.as_str()),
            // It has no incident yet, but it has a number.
            None => event.about(self.sighting.number.as_deref().unwrap_or(self.sighting.sys_id.as_str())),
        }
    }
}

/// Whether a name is ours. User names do not differ by case alone.
pub(super) fn same_user(ours: Option<&str>, other: Option<&str>) -> bool {
    ours.zip(other).is_some_and(|(ours, other)| ours.eq_ignore_ascii_case(other))
}

/// Whether the managed service's own incident has this value at a dotted path.
fn holds(incident: &Value, path: &str, value: &str) -> bool {
    let found = path.split('.').try_fold(incident, |at, step| at.get(step));
    match found {
        Some(Value::String(text)) => text == value,
        Some(Value::Bool(flag)) => value == if *flag { "true" } else { "false" },
        Some(Value::Number(number)) => value == number.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => value.is_empty(),
    }
}

fn attachment(file: &FileEntry) -> Attachment {
    Attachment {
        id: Some(file.sys_id.to_string()),
        name: Some(file.file_name.clone()),
        media_type: file.content_type.clone(),
        size: file.size_bytes,
        sha256: file.hash.clone(),
        url: None,
        custom: Map::new(),
    }
}
