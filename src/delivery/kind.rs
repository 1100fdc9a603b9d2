//! What a delivery carries: something that happened to an incident, or something that happened to its ticket.
//!
//! Owns: the words of both, as stored and as shown. Never: reads a body. Fails: it cannot. Proved by: the tests here.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::Urgency;
use crate::domain::change::ChangeKind;

/// What a delivery carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The managed service said that something happened to an incident.
    Incident(ChangeKind),
    /// Something about a ticket: seen there, or to be told to the managed service.
    Ticket(TicketKind),
}

/// What happened to a ticket, or is to be done with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TicketKind {
    /// A webhook or a sweep saw it: to be compared with what was seen before.
    Seen,
    /// To be told: the incident has a ticket.
    Linked,
    /// To be told: fields changed.
    Changed,
    /// To be told: somebody wrote something.
    MessageAdded,
    /// To be told: a file was added.
    AttachmentAdded,
    /// To be told: the customer opened an incident by a ticket.
    Opened,
    /// To be told: an event of the managed service needs a person.
    Parked,
    /// To be done in ServiceNow: a customer's ticket gets the keys of the incident it became.
    Adopt,
    /// To be done in ServiceNow: a file of the managed service is attached.
    Attach,
}

impl TicketKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Seen,
        Self::Linked,
        Self::Changed,
        Self::MessageAdded,
        Self::AttachmentAdded,
        Self::Opened,
        Self::Parked,
        Self::Adopt,
        Self::Attach,
    ];

    /// The word in records, and the type of a callback.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "ticket.seen",
            Self::Linked => "ticket.linked",
            Self::Changed => "ticket.changed",
            Self::MessageAdded => "ticket.message_added",
            Self::AttachmentAdded => "ticket.attachment_added",
            Self::Opened => "ticket.opened",
            Self::Parked => "ticket.parked",
            Self::Adopt => "ticket.adopt",
            Self::Attach => "ticket.attach",
        }
    }
}

impl Kind {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incident(kind) => kind.as_str(),
            Self::Ticket(kind) => kind.as_str(),
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        let ticket = TicketKind::ALL.into_iter().find(|kind| kind.as_str() == word).map(Self::Ticket);
        ticket.or_else(|| ChangeKind::parse(word).map(Self::Incident))
    }

    /// How soon it goes.
    pub const fn urgency(self) -> Urgency {
        match self {
            Self::Incident(kind) => Urgency::of(kind),
            Self::Ticket(TicketKind::Opened | TicketKind::Linked | TicketKind::Adopt | TicketKind::Parked) => {
                Urgency::High
            }
            Self::Ticket(TicketKind::Seen | TicketKind::Changed | TicketKind::MessageAdded) => Urgency::Normal,
            Self::Ticket(TicketKind::AttachmentAdded | TicketKind::Attach) => Urgency::Low,
        }
    }

    /// What happened to an incident, if that is what it carries.
    pub const fn change(self) -> Option<ChangeKind> {
        match self {
            Self::Incident(kind) => Some(kind),
            Self::Ticket(_) => None,
        }
    }
}

impl From<ChangeKind> for Kind {
    fn from(kind: ChangeKind) -> Self {
        Self::Incident(kind)
    }
}

impl From<TicketKind> for Kind {
    fn from(kind: TicketKind) -> Self {
        Self::Ticket(kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let word = String::deserialize(source)?;
        Self::parse(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is not a kind of delivery we know")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        let kinds = TicketKind::ALL.map(Kind::from).into_iter().chain(ChangeKind::ALL.map(Kind::from));
        for kind in kinds {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("ticket.eaten"), None);
    }
}
