//! Mapping files, and the tickets that come of them: a small compiler and a pure function.
//!
//! Owns: the language (`docs/mapping.md`), from the YAML text (`yaml`, `raw`) over findings with line and column (`compile`,
//! `lint`, `diagnostic`) to a [`Mapping`], which cannot be wrong, from a change to a [`Draft`] (`rule`, `apply`), and from a ticket
//! back to an [`IncidentDraft`] (`ticket_view`, `back`).
//! The engine asks, it does not fetch: [`Mapping::plan`] names the records to look up, [`Mapping::apply`] is told what was found.
//! Never: does I/O, reads a clock, logs, waits. Fails: at load with every [`Diagnostic`] at once; at run time with a [`MappingFault`]
//! that names every field without a value. Proved by: the tests in each file, `tests/mappings.rs`, and `benches/mapping.rs` for its speed.
#![warn(clippy::wildcard_enum_match_arm, clippy::indexing_slicing)]

use std::sync::Arc;

use serde::Serialize;

mod apply;
mod back;
mod cases;
mod compile;
mod diagnostic;
mod draft;
mod expression;
mod filters;
mod incident_draft;
mod lint;
mod native;
mod path;
mod raw;
mod rehearsal;
mod rule;
pub mod source;
mod syntax;
mod template;
mod ticket_view;
mod wants;
mod yaml;

pub use back::TicketPhase;
pub use cases::CaseResult;
pub use compile::compile;
pub use diagnostic::{Diagnostic, FindingSeverity, SourceFile};
pub use draft::{
    Draft, DraftField, Dropped, JournalField, Lookup, LookupKey, Lookups, MappingFault, Operation, Problem, Reason,
    TraceLine, Write,
};
pub use incident_draft::{IncidentDraft, Output};
pub use raw::{ClosedTicket, OnParked, Recovery, schema, source_schema};
pub use rehearsal::{Apart, Calls, Entry, FieldDifference, Rehearsal, TicketDifference};
pub use ticket_view::{Cell, TicketView};
pub use wants::{Constant, FieldWant, LookupWant, Place, Wants};

use crate::domain::change::{Change, ChangeKind};
use crate::domain::incident::{Attachment, Visibility};
use rule::FieldRule;

/// A checked mapping file. Made once per file, shared by every tenant that names it.
#[derive(Debug)]
pub struct Mapping {
    name: Box<str>,
    target: Target,
    /// The fields of each kind of change, in the order of [`ChangeKind::ALL`]; kinds without fields of their own share one list.
    rules: [Arc<[Arc<FieldRule>]>; ChangeKind::ALL.len()],
    messages: Box<[(Visibility, JournalField)]>,
    attachments: Option<AttachmentRule>,
    policy: Policy,
    /// The way from the ticket to the incident, if the file has one.
    back: Option<back::WayBack>,
    cases: Box<[cases::Case]>,
    wants: Wants,
}

/// Where tickets are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A table, through the Table API.
    Table(Arc<str>),
    /// A staging table, through the Import Set API.
    ImportSet(Arc<str>),
}

/// What to do when the two sides do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What an update does to a resolved or closed ticket.
    pub closed_ticket: ClosedTicket,
    /// What a resolved incident does to its ticket.
    pub recovery: Recovery,
    /// What a ticket that could not be created does to the deliveries behind it.
    pub on_parked_create: OnParked,
    /// What a message that could not be added does to the deliveries behind it.
    pub on_parked_message: OnParked,
    /// What a change that could not be written does to the deliveries behind it.
    pub on_parked_change: OnParked,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            closed_ticket: ClosedTicket::ReopenOrNew,
            recovery: Recovery::Resolve,
            on_parked_create: OnParked::Park,
            on_parked_message: OnParked::Skip,
            on_parked_change: OnParked::Skip,
        }
    }
}

/// Which files are copied to the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentRule {
    /// The largest file, in bytes.
    pub bytes_max: u64,
    /// Media types, with `*` behind the slash; every type if empty.
    pub types: Box<[Box<str>]>,
}

impl AttachmentRule {
    /// Why a file is not copied; `None` if it is. What the sender does not say is checked again on the file itself.
    pub fn refuses(&self, attachment: &Attachment) -> Option<String> {
        if attachment.size.is_some_and(|size| size > self.bytes_max) {
            return Some(format!("it is larger than {} bytes", self.bytes_max));
        }
        let media_type = attachment.media_type.as_deref()?;
        (!self.takes(media_type)).then(|| format!("the mapping does not list the media type `{media_type}`"))
    }

    /// Whether a media type is listed.
    pub fn takes(&self, media_type: &str) -> bool {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let listed = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => media_type.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)),
            None => pattern.eq_ignore_ascii_case(media_type),
        };
        self.types.is_empty() || self.types.iter().any(|pattern| listed(pattern))
    }
}

impl Mapping {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where tickets are written.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What to do when the two sides do not fit.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Which files are copied; none without a rule.
    pub fn attachments(&self) -> Option<&AttachmentRule> {
        self.attachments.as_ref()
    }

    /// The journal a message of that visibility goes to; `None` if the mapping does not list it.
    pub fn journal_of(&self, visibility: Visibility) -> Option<JournalField> {
        self.messages.iter().find(|(listed, _)| *listed == visibility).map(|(_, field)| *field)
    }

    /// Every ticket field it can write, each once, for checks against an instance.
    pub fn ticket_fields(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.every_rule().map(|rule| Arc::clone(&rule.name)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Every table and field it looks records up by, each once, for checks against an instance.
    pub fn lookup_fields(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let lookups = self.every_rule().filter_map(|rule| rule.lookup.as_ref());
        let mut fields: Vec<_> = lookups.map(|lookup| (Arc::clone(&lookup.table), Arc::clone(&lookup.by))).collect();
        fields.sort();
        fields.dedup();
        fields
    }

    /// Every constant a field can be given, by the file or by a table: choices that must exist on an instance.
    pub fn constants(&self, field: &str) -> Vec<&str> {
        let rules = self.every_rule().filter(|rule| &*rule.name == field && rule.lookup.is_none());
        let mut constants: Vec<&str> = rules
            .flat_map(|rule| match &rule.table {
                Some(table) => table.rows.iter().map(|(_, row)| &**row).chain(table.default.as_deref()).collect(),
                None => rule.value.constant().map_or_else(Vec::new, |text| vec![text]),
            })
            .collect();
        constants.sort_unstable();
        constants.dedup();
        constants
    }

    /// What the file asks of an instance, with the place of each.
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Every field that a kind of change writes when it makes a ticket, or when it changes one, each once.
    pub fn fields_written(&self, kind: ChangeKind, operation: Operation) -> Vec<&str> {
        let taken_over = |rule: &FieldRule| operation == Operation::Update && rule.write == Write::Create;
        self.rules(kind).iter().filter(|rule| !taken_over(rule)).map(|rule| &*rule.name).collect()
    }

    /// The event of the first case that makes a ticket: what its author thinks is usual.
    pub fn example(&self) -> Option<&Change> {
        self.cases.iter().find_map(cases::Case::creates)
    }

    fn every_rule(&self) -> impl Iterator<Item = &FieldRule> {
        self.rules.iter().flat_map(|rules| rules.iter()).map(|rule| &**rule)
    }

    fn rules(&self, kind: ChangeKind) -> &[Arc<FieldRule>] {
        let place = ChangeKind::ALL.iter().position(|known| *known == kind).unwrap_or_default();
        self.rules.get(place).map_or(&[], |rules| rules)
    }
}
