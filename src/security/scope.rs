//! What a caller may do with its credential: push events, push a tool's payloads, read receipts.
//!
//! Owns: the words of `scopes` and what each of them opens. Never: knows a route; the HTTP face says what a request wants.
//! Fails: closed. Proved by: the tests below.

use std::fmt;
use std::sync::Arc;

use crate::domain::id::TenantId;

/// What one request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To push canonical events.
    Events,
    /// To push the payloads of this source.
    Source(&'a str),
    /// To read the state of receipts.
    Deliveries,
}

/// What a credential opens. Everything, unless its sender is confined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// Every route of its tenant.
    All,
    /// These alone.
    Only(Vec<Scope>),
}

/// One word of `scopes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `events`
    Events,
    /// `sources`: every source.
    Sources,
    /// `sources/NAME`
    Source(Arc<str>),
    /// `deliveries`
    Deliveries,
}

/// Why a word is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope: write `events`, `sources`, `sources/NAME` such as `sources/alertmanager`, or `deliveries`"
)]
pub struct InvalidScope(String);

impl Scope {
    /// Reads one word.
    pub fn parse(word: &str) -> Result<Self, InvalidScope> {
        match word {
            "events" => Ok(Self::Events),
            "sources" => Ok(Self::Sources),
            "deliveries" => Ok(Self::Deliveries),
            _ => word
                .strip_prefix("sources/")
                // A source is named like a tenant.
                .filter(|name| TenantId::parse(name).is_ok())
                .map(|name| Self::Source(name.into()))
                .ok_or_else(|| InvalidScope(word.chars().filter(|c| !c.is_control()).take(60).collect())),
        }
    }

    fn opens(&self, wanted: Access<'_>) -> bool {
        match (self, wanted) {
            (Self::Events, Access::Events)
            | (Self::Sources, Access::Source(_))
            | (Self::Deliveries, Access::Deliveries) => true,
            (Self::Source(name), Access::Source(wanted)) => **name == *wanted,
            (Self::Events | Self::Sources | Self::Source(_) | Self::Deliveries, _) => false,
        }
    }
}

impl Scopes {
    /// Whether they open what is wanted.
    pub fn allow(&self, wanted: Access<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Only(scopes) => scopes.iter().any(|scope| scope.opens(wanted)),
        }
    }
}

impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events => f.write_str("events"),
            Self::Source(name) => write!(f, "sources/{}", name.escape_debug()),
            Self::Deliveries => f.write_str("deliveries"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], wanted: Access<'_>) -> bool {
        Scopes::Only(words.iter().map(|word| Scope::parse(word).unwrap()).collect()).allow(wanted)
    }

    #[test]
    fn a_scope_opens_what_it_says_and_nothing_else() {
        let (events, deliveries) = (Access::Events, Access::Deliveries);
        let (alertmanager, grafana) = (Access::Source("alertmanager"), Access::Source("grafana"));
        for (words, opened) in [
            (&["events"][..], &[events][..]),
            (&["deliveries"], &[deliveries]),
            (&["sources"], &[alertmanager, grafana]),
            (&["sources/alertmanager"], &[alertmanager]),
            (&["sources/alertmanager", "deliveries"], &[alertmanager, deliveries]),
            (&[], &[]),
        ] {
            for wanted in [events, deliveries, alertmanager, grafana] {
                assert_eq!(check(words, wanted), opened.contains(&wanted), "{words:?} {wanted}");
            }
        }
        assert!([events, deliveries, grafana].into_iter().all(|wanted| Scopes::All.allow(wanted)));
    }

    #[test]
    fn other_words_are_no_scopes() {
        for word in ["", "event", "Events", "sources/", "sources/*", "sources/a/b", "sources/Ä", "source", "*", "all"]
        {
            assert!(Scope::parse(word).is_err(), "{word}");
        }
    }
}
