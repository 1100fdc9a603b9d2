//! The keys under which a ticket can be found again by anyone who knows deployment, tenant and incident.
//!
//! Derived, never stored: an empty store finds the same tickets (`architecture.md` section 6). Both keys come from one
//! SHA-256 over length-separated parts, so no two different inputs can be spelled alike.

use sha2::{Digest, Sha256};

use crate::domain::id::{DeliveryId, IncidentId, SysId, TenantId};
use crate::limits::CORRELATION_DISPLAY_CHARS_MAX;

/// The keys of one episode of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The `sys_id` we choose for the ticket.
    pub sys_id: SysId,
    /// The `correlation_id`, 44 characters of `[a-z0-9-]`: never needs escaping in a query (the field holds 100).
    pub correlation_id: String,
}

/// How all our correlation ids begin.
pub const OUR_KEYS: &str = "sg1-";

/// Whether a `correlation_id` is of our making, whatever the deployment.
pub fn is_ours(correlation_id: &str) -> bool {
    correlation_id.starts_with(OUR_KEYS)
}

/// Which ticket of an incident is meant: a new episode has a ticket of its own, and so has an episode whose ticket was
/// closed for good while the incident went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The incident.
    pub incident: IncidentId,
    /// Which time it became active, from 1.
    pub episode: u32,
    /// How many tickets of this episode came before and were closed.
    pub successor: u32,
}

/// Derives the keys. `deployment_key` is configured and must survive a rebuild from an empty store.
pub fn derive(deployment_key: &str, tenant: &TenantId, subject: &Subject) -> Identity {
    let Subject { incident, episode, successor } = subject;
    let mut hasher = Sha256::new();
    for part in [deployment_key, tenant.as_str(), incident.as_str(), &episode.to_string()] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    if *successor > 0 {
        hasher.update(format!("successor {successor}"));
    }
    let digest = hasher.finalize();
    let key = digest.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    Identity { sys_id: SysId::from_bits(key), correlation_id: format!("{OUR_KEYS}{}", base32(&digest, 40)) }
}

/// The high-water mark written to `correlation_display` with every write: the lane sequence that was applied, and which
/// delivery it was. Equality with a delivery's own mark proves that this very write was applied: a sequence alone would
/// not, because a gateway that starts over from an empty store counts its lanes from 1 again. Where it fits, the mark
/// also says whose ticket it is, so that the way back is found without the store.
pub fn mark(sequence: u64, delivery: &DeliveryId, subject: &Subject) -> String {
    let Subject { incident, episode, successor } = subject;
    let text = delivery.as_str();
    // The last digits of a UUID of version 7 are random; the first are its time.
    let tail = text.get(text.len().saturating_sub(12)..).unwrap_or(text);
    let short = format!("sg:{sequence}:{tail}");
    let whole = format!("{short}:{episode}.{successor}:{incident}");
    if whole.chars().count() <= CORRELATION_DISPLAY_CHARS_MAX { whole } else { short }
}

/// Which write a mark names: its sequence in the lane and the end of its delivery's id.
pub fn write_of(mark: &str) -> Option<(u64, &str)> {
    let (sequence, rest) = mark.strip_prefix("sg:")?.split_once(':')?;
    let tail = rest.split(':').next().unwrap_or(rest);
    Some((sequence.parse().ok()?, tail))
}

/// Whose ticket a mark says it is. Anybody can write a mark: it counts only if the ticket also carries the derived keys.
pub fn subject_of(mark: &str) -> Option<Subject> {
    let mut parts = mark.strip_prefix("sg:")?.splitn(4, ':').skip(2);
    let (episode, successor) = parts.next()?.split_once('.')?;
    let incident = IncidentId::parse(parts.next()?).ok()?;
    Some(Subject { incident, episode: episode.parse().ok()?, successor: successor.parse().ok()? })
}

/// Lower-case RFC 4648 base32 without padding, cut after `chars`.
pub(super) fn base32(bytes: &[u8], chars: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(chars);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 && text.len() < chars {
            bits -= 5;
            let index = ((buffer >> bits) & 31) as usize;
            text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(incident: &str, episode: u32, successor: u32) -> Subject {
        Subject { incident: IncidentId::parse(incident).unwrap(), episode, successor }
    }

    fn keys(deployment: &str, tenant: &str, incident: &str, episode: u32) -> Identity {
        derive(deployment, &TenantId::parse(tenant).unwrap(), &subject(incident, episode, 0))
    }

    #[test]
    fn the_same_incident_always_has_the_same_keys() {
        let once = keys("prod", "contoso", "MTR-1", 1);
        assert_eq!(once, keys("prod", "contoso", "MTR-1", 1));
        assert_eq!(once.correlation_id.len(), 44);
        assert!(once.correlation_id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }

    #[test]
    fn any_other_part_gives_other_keys() {
        let base = keys("prod", "contoso", "MTR-1", 1);
        for other in [
            keys("test", "contoso", "MTR-1", 1),
            keys("prod", "fabrikam", "MTR-1", 1),
            keys("prod", "contoso", "MTR-2", 1),
            keys("prod", "contoso", "MTR-1", 2),
            keys("prodc", "ontoso", "MTR-1", 1),
        ] {
            assert_ne!(base, other);
        }
        let successor = derive("prod", &TenantId::parse("contoso").unwrap(), &subject("MTR-1", 1, 1));
        assert_ne!(base, successor);
    }

    #[test]
    fn a_published_key_never_changes() {
        // Tickets in the field carry these: a change here would orphan every one of them.
        let known = keys("snowgate", "contoso", "MTR-1", 1);
        assert_eq!(known.sys_id.as_str(), "699ec6375df7c9b27e8f0009f87025b7");
    }

    #[test]
    fn a_mark_names_one_write_and_no_other() {
        let (one, other) = (DeliveryId::from_bits(1), DeliveryId::from_bits(2));
        let of = subject("MTR-1", 1, 0);
        assert_eq!(mark(3, &one, &of), "sg:3:000000000001:1.0:MTR-1");
        assert_ne!(mark(3, &one, &of), mark(3, &other, &of));
        assert_ne!(mark(3, &one, &of), mark(4, &one, &of));
        assert_eq!(write_of(&mark(3, &one, &of)), Some((3, "000000000001")));
        assert_eq!(write_of("sg:7:000000000001"), Some((7, "000000000001")));
        assert_eq!((write_of("sg:x:1"), write_of("7:1"), write_of("")), (None, None, None));
    }

    #[test]
    fn a_mark_says_whose_ticket_it_is_where_that_fits() {
        let one = DeliveryId::from_bits(1);
        for of in [subject("MTR-1", 1, 0), subject("a:b:c", 3, 2), subject(&"ü".repeat(70), 1, 0)] {
            assert_eq!(subject_of(&mark(7, &one, &of)), Some(of));
        }
        let long = mark(7, &one, &subject(&"x".repeat(100), 1, 0));
        assert_eq!((long.as_str(), subject_of(&long)), ("sg:7:000000000001", None));
        for other in ["", "sg:1:2", "sg:1:2:3:x", "sg:1:2:a.b:x", "sg:1:2:1.0:", "INC1"] {
            assert_eq!(subject_of(other), None, "{other}");
        }
    }
}
