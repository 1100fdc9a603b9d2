//! Names of things, each a type that was parsed once and cannot be wrong afterwards.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{EVENT_KEY_CHARS_MAX, INCIDENT_ID_CHARS_MAX, TENANT_CHARS_MAX};

/// Why a text is not a name; says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a tenant name.
    #[error("`{0}` is not a tenant name: use 1 to 40 of a-z, 0-9 and `-`, starting with a letter or digit")]
    Tenant(String),
    /// Not an incident id.
    #[error("an incident id has 1 to {INCIDENT_ID_CHARS_MAX} characters and no control characters")]
    Incident,
    /// Not the `source` or `id` of an event.
    #[error(
        "an event's `source` and `id` have 1 to {EVENT_KEY_CHARS_MAX} characters together and no control characters"
    )]
    Event,
    /// Not a ServiceNow `sys_id`.
    #[error("a sys_id is 32 hexadecimal digits in lower case")]
    SysId,
    /// Not a delivery id.
    #[error("a delivery id is `dlv_` and 32 hexadecimal digits")]
    Delivery,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
    };
}

text_id! {
    /// One customer: 1 to 40 of `a-z`, `0-9` and `-`. Safe in paths, labels and SQL.
    TenantId
}
text_id! {
    /// The managed service's own id of an incident, as sent; opaque to us.
    IncidentId
}
text_id! {
    /// What makes a repeated event recognisable: its CloudEvents `source` and `id`.
    EventKey
}
text_id! {
    /// The primary key of a ServiceNow record: 32 hexadecimal digits.
    SysId
}
text_id! {
    /// Our receipt's id: `dlv_` and a time-ordered UUID, so that ids sort by acceptance.
    DeliveryId
}

impl TenantId {
    /// Accepts 1 to 40 of `a-z`, `0-9` and `-`, the first not a `-`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=TENANT_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-');
        if fits { Ok(Self(text.into())) } else { Err(InvalidId::Tenant(shortened(text))) }
    }
}

impl IncidentId {
    /// The name of the lane that keeps one ticket's sightings, and what is told of it, in order.
    pub fn lane_of_ticket(sys_id: &SysId) -> Self {
        Self(format!("ticket:{sys_id}").into())
    }

    /// The name of the lane in which one ticket's files go, so that nothing else of it waits for them.
    pub fn lane_of_files(sys_id: &SysId) -> Self {
        Self(format!("files:{sys_id}").into())
    }

    /// Accepts 1 to 255 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if is_plain(text, INCIDENT_ID_CHARS_MAX) { Ok(Self(text.into())) } else { Err(InvalidId::Incident) }
    }
}

impl EventKey {
    /// Joins `source` and `id`, which may hold anything printable.
    pub fn new(source: &str, id: &str) -> Result<Self, InvalidId> {
        if id.is_empty() || source.is_empty() {
            return Err(InvalidId::Event);
        }
        // A line feed can stand in neither part, so two different pairs never join to one key.
        if !is_plain(source, EVENT_KEY_CHARS_MAX) || !is_plain(id, EVENT_KEY_CHARS_MAX) {
            return Err(InvalidId::Event);
        }
        Self::parse(&format!("{source}\n{id}"))
    }

    /// Accepts a key that `new` made.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let joined = text.split_once('\n').is_some_and(|(source, id)| !source.is_empty() && !id.is_empty());
        if joined && text.chars().count() <= EVENT_KEY_CHARS_MAX {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::Event)
        }
    }

    /// The `source` and the `id` it was made of.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('\n').unwrap_or(("", &self.0))
    }
}

impl SysId {
    /// From 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// Accepts 32 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(hex) { Ok(Self(text.into())) } else { Err(InvalidId::SysId) }
    }
}

impl DeliveryId {
    /// From 128 bits, normally a UUID of version 7.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("dlv_{bits:032x}").into())
    }

    /// Accepts `dlv_` and 32 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let hex = text.strip_prefix("dlv_").ok_or(InvalidId::Delivery)?;
        SysId::parse(hex).map(|_| Self(text.into())).map_err(|_| InvalidId::Delivery)
    }
}

fn is_plain(text: &str, chars_max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= chars_max && !text.chars().any(char::is_control)
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(TENANT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_are_safe_everywhere() {
        for good in ["contoso", "a", "0-9", &"x".repeat(40)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "é", "a b", "../x", "a/b", "a\0", "%2e", &"x".repeat(41)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_tenant_name_says_what_would_be_right() {
        let error = TenantId::parse("TENANT 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`TENANT 1` is not a tenant name: use 1 to 40 of a-z, 0-9 and `-`, starting with a letter or digit"
        );
    }

    #[test]
    fn two_different_pairs_never_make_one_event_key() {
        assert_ne!(EventKey::new("a", "b c").unwrap(), EventKey::new("a b", "c").unwrap());
        assert!(EventKey::new("a\nb", "c").is_err());
        assert_eq!(EventKey::new("soc", "e-1").unwrap().parts(), ("soc", "e-1"));
    }

    #[test]
    fn sys_ids_and_delivery_ids_are_hex() {
        assert!(SysId::parse(&"a".repeat(32)).is_ok());
        assert!(SysId::parse(&"A".repeat(32)).is_err());
        let id = DeliveryId::from_bits(7);
        assert_eq!(DeliveryId::parse(id.as_str()), Ok(id));
        assert!(DeliveryId::parse("dlv_7").is_err());
    }
}
