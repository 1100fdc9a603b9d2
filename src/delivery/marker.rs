//! The short reference under every text we write into a journal: by it our own words are known when they come back.
//!
//! Keyed and bound to the ticket and the text: a reference copied under another text, or to another ticket, is not
//! ours, so nobody can hide a comment from the managed service by it (`facts/reliability.md` 2.3 and 2.5, rule 3).
//! White space does not count, because journals and mails reflow it. Never: trusts a name. Fails: it cannot; what is
//! not surely ours is somebody's. Proved by: the tests here and the simulation with this rule alone.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identity::base32;
use crate::domain::id::TenantId;

/// How long a reference is: 50 bits, far more than anybody tries through a ticket form.
const REFERENCE_CHARS: usize = 10;

/// What one ticket's texts are marked with.
#[derive(Clone, Copy, Debug)]
pub struct Marker<'a> {
    /// The text that all keys of this deployment are derived from.
    pub deployment_key: &'a str,
    /// Whose ticket.
    pub tenant: &'a TenantId,
    /// The key under which the ticket is found again.
    pub correlation_id: &'a str,
}

impl Marker<'_> {
    /// The text with its reference on a line of its own.
    pub fn mark(&self, text: &str) -> String {
        format!("{}\n[sg {}]", text.trim_end(), self.reference(text))
    }

    /// Whether a journal entry is a text that we marked for this ticket.
    pub fn is_ours(&self, entry: &str) -> bool {
        split(entry).is_some_and(|(text, said)| self.reference(text) == said)
    }

    fn reference(&self, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.deployment_key.as_bytes()).expect("HMAC takes a key of any length");
        for part in ["comment", self.tenant.as_str(), self.correlation_id] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        for word in text.split_whitespace() {
            mac.update(word.as_bytes());
            mac.update(b" ");
        }
        base32(&mac.finalize().into_bytes(), REFERENCE_CHARS)
    }
}

/// Whether two texts are the same but for white space, which journals reflow.
pub fn same_words(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// The text over a reference, whoever wrote either; `None` if there is none.
pub fn referenced(entry: &str) -> Option<&str> {
    split(entry).map(|(text, _)| text)
}

/// The text and the reference under it.
fn split(entry: &str) -> Option<(&str, &str)> {
    let (text, reference) = entry.trim_end().strip_suffix(']')?.rsplit_once("[sg ")?;
    (reference.len() == REFERENCE_CHARS).then_some((text, reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_text_is_known_again_whoever_saved_it_and_however_it_was_reflowed() {
        let tenant = TenantId::parse("contoso").unwrap();
        let marker = Marker { deployment_key: "prod", tenant: &tenant, correlation_id: "sg1-a" };
        let text = marker.mark("We are on it.\n  Regards\n");
        assert!(marker.is_ours(&text), "{text}");
        assert!(marker.is_ours(&text.replace('\n', "\r\n")));
        assert!(marker.is_ours(&format!("{}  \n", text.replace("  Regards", " Regards"))));
    }

    #[test]
    fn a_copied_reference_hides_nothing() {
        let (tenant, other) = (TenantId::parse("contoso").unwrap(), TenantId::parse("fabrikam").unwrap());
        let marker = Marker { deployment_key: "prod", tenant: &tenant, correlation_id: "sg1-a" };
        let text = marker.mark("We are on it.");
        let (_, reference) = text.rsplit_once('\n').unwrap();
        for not_ours in [
            format!("The room is still dark!\n{reference}"),
            format!("{text} thanks"),
            format!("> {text}"),
            "[sg aaaaaaaaaa]".to_owned(),
            "We are on it.".to_owned(),
            String::new(),
        ] {
            assert!(!marker.is_ours(&not_ours), "{not_ours}");
        }
        assert!(!Marker { correlation_id: "sg1-b", ..marker }.is_ours(&text), "of another ticket");
        assert!(!Marker { tenant: &other, ..marker }.is_ours(&text), "of another tenant");
        assert!(!Marker { deployment_key: "test", ..marker }.is_ours(&text), "of another deployment");
    }
}
