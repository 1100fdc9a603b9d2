//! What is needed to sign an assertion for a tenant, and the token request that carries one (RFC 7523).
//!
//! Owns: the claims, and whose clock they are told by: the instance's, as its answers show it. Never: sends anything, uses
//! an id twice. Fails: if the machine's cryptography refuses. Proved by: `tests/servicenow/credentials.rs`.

use std::time::Duration;

use url::form_urlencoded::Serializer;

use crate::delivery::outcome::{Class, Outcome};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::{ASSERTION_LIFE, CLOCK_SKEW_MAX, CLOCK_SKEW_MIN};
use crate::runtime::entropy;
use crate::security::assertion::{AssertionKey, Claims};

/// Who signs, for whom, and with what.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The client's id.
    pub client_id: String,
    /// The client's secret; not every instance wants it beside the assertion.
    pub client_secret: Option<Secret>,
    /// Signs.
    pub key: AssertionKey,
    /// Tells the instance which key that is.
    pub key_id: Option<String>,
    /// `iss`; the client's id unless the instance wants another.
    pub issuer: String,
    /// `aud`; the client's id unless the endpoint wants another.
    pub audience: String,
    /// `sub`: the user that the token is for.
    pub subject: String,
}

impl Assertion {
    /// The form of a token request, signed at `now` by the clock of whoever reads it. Every form has an id of its own.
    pub(super) fn form(&self, now: Timestamp) -> Result<String, Outcome> {
        let claims = Claims {
            iss: &self.issuer,
            sub: &self.subject,
            aud: &self.audience,
            iat: now.seconds(),
            exp: now.plus(ASSERTION_LIFE).seconds(),
            jti: &entropy::new_word(),
        };
        let assertion = self.key.sign(self.key_id.as_deref(), &claims);
        let assertion = assertion
            .map_err(|refused| Outcome::new(Class::Defect, "assertion_unsigned").with_detail(refused.to_string()))?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        form.append_pair("assertion", &assertion).append_pair("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            form.append_pair("client_secret", secret.expose());
        }
        Ok(form.finish())
    }
}

/// How far another clock is from ours, as its last answer showed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skew {
    millis: i64,
}

impl Skew {
    /// From the `Date` of an answer that came at `now`; nothing is learned from a clock that is plainly broken.
    pub(super) fn between(now: Timestamp, there: Timestamp) -> Option<Self> {
        let skew = Self { millis: there.millis().saturating_sub(now.millis()) };
        (skew.size() < CLOCK_SKEW_MAX).then_some(skew)
    }

    /// Now, by that clock.
    pub(super) fn applied(self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.millis().saturating_add(self.millis))
    }

    /// Whether an assertion told by this clock may have been refused because the other one is right.
    pub(super) fn differs(self, other: Self) -> bool {
        Self { millis: self.millis.saturating_sub(other.millis) }.size() >= CLOCK_SKEW_MIN
    }

    /// In words, if it is worth any.
    pub(super) fn in_words(self) -> Option<String> {
        let way = if self.millis < 0 { "behind" } else { "ahead of" };
        (self.size() >= CLOCK_SKEW_MIN).then(|| format!("its clock is {} s {way} ours", self.size().as_secs()))
    }

    const fn size(self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_followed_but_neither_the_way_of_an_answer_nor_a_broken_clock() {
        const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
        for (seconds, differs, words) in [
            (0_i64, false, None),
            (2, false, None),
            (240, true, Some("its clock is 240 s ahead of ours")),
            (-240, true, Some("its clock is 240 s behind ours")),
        ] {
            let there = Timestamp::from_millis(NOW.millis() + seconds * 1_000);
            let skew = Skew::between(NOW, there).unwrap();
            assert_eq!((skew.differs(Skew::default()), skew.in_words().as_deref()), (differs, words));
            assert_eq!(skew.applied(NOW), there);
        }
        assert_eq!(Skew::between(NOW, Timestamp::EPOCH), None);
        assert_eq!(Skew::between(NOW, Timestamp::NEVER), None);
    }
}
