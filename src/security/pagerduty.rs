//! PagerDuty's webhooks v3: `X-PagerDuty-Signature: v1=<hex>,v1=<hex>`, HMAC-SHA256 over the raw body.
//!
//! Owns: its secrets and the check. Never: parses the body. The scheme signs no time, so a copy of a webhook verifies for
//! ever; the event's own id, which the store remembers, makes it a repeat.
//! Fails: closed, with a reason for the log. Every secret is tried and every comparison is of 32 bytes.
//! Proved by: the tests below, against a vector made with OpenSSL.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::signature::{self, SignatureError};
use crate::limits::{PAGERDUTY_SECRET_BYTES_MAX, PAGERDUTY_SECRET_BYTES_MIN, SIGNATURES_EXAMINED_MAX};

/// The secret that PagerDuty shows once when a subscription is made; prints as `[secret]`.
#[derive(Clone)]
pub struct PagerdutySecret(Arc<SecretSlice<u8>>);

/// Why a text is not such a secret. Never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret of PagerDuty has {PAGERDUTY_SECRET_BYTES_MIN} to {PAGERDUTY_SECRET_BYTES_MAX} visible characters of ASCII"
)]
pub struct InvalidPagerdutySecret;

impl PagerdutySecret {
    /// Takes the text as PagerDuty shows it: its bytes are the key.
    pub fn parse(text: &str) -> Result<Self, InvalidPagerdutySecret> {
        let fits = (PAGERDUTY_SECRET_BYTES_MIN..=PAGERDUTY_SECRET_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Arc::new(SecretSlice::from(text.as_bytes().to_vec()))))
        } else {
            Err(InvalidPagerdutySecret)
        }
    }

    /// A secret that nobody signs with, for work whose result is thrown away.
    pub fn decoy() -> Self {
        Self(Arc::new(SecretSlice::from(vec![0; 64])))
    }

    /// A digest of the key, to see that two places do not share one.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    fn mac(&self, body: &[u8]) -> [u8; 32] {
        signature::count_mac();
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length; the error type is for other MACs")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes any key length");
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for PagerdutySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The index of the secret that signed. `header` is the value as it came, `body` the raw bytes.
pub fn verify(header: &str, body: &[u8], secrets: &[PagerdutySecret]) -> Result<usize, SignatureError> {
    let presented: Vec<[u8; 32]> =
        header.split(',').take(SIGNATURES_EXAMINED_MAX).filter_map(|entry| decode(entry.trim_matches(' '))).collect();
    if presented.is_empty() {
        return Err(SignatureError::NoSignature);
    }
    let mut found = None;
    for (index, secret) in secrets.iter().enumerate() {
        let expected = secret.mac(body);
        let matches = presented.iter().fold(Choice::from(0), |any, one| any | one.ct_eq(&expected));
        if bool::from(matches) && found.is_none() {
            found = Some(index);
        }
    }
    found.ok_or(SignatureError::Mismatch)
}

fn decode(entry: &str) -> Option<[u8; 32]> {
    signature::decode_hex(entry.strip_prefix("v1=")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"event":{"id":"5ac6","event_type":"incident.triggered"}}"#;
    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";
    /// `printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$OLD"`
    const BY_OPENSSL: &str = "3571101c2ab4698f08a39591ca0a7995242b86c3160d4f1512fd916ebf39a772";

    fn secrets() -> [PagerdutySecret; 2] {
        [OLD, NEW].map(|text| PagerdutySecret::parse(text).unwrap())
    }

    fn signed(secret: &str, body: &[u8]) -> String {
        let mac = PagerdutySecret::parse(secret).unwrap().mac(body);
        mac.iter().fold("v1=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn check(header: &str) -> Result<usize, SignatureError> {
        verify(header, BODY, &secrets())
    }

    #[test]
    fn another_tool_makes_the_same_signature() {
        assert_eq!(check(&format!("v1={BY_OPENSSL}")), Ok(0));
        assert_eq!(check(&format!("v1={}", BY_OPENSSL.to_uppercase())), Ok(0));
    }

    #[test]
    fn both_signatures_of_a_rotation_are_looked_at_and_both_secrets_tried() {
        let (old, new, stranger) = (signed(OLD, BODY), signed(NEW, BODY), signed("another-secret-of-it", b"x"));
        for (header, expected) in [
            (old.clone(), Ok(0)),
            (new.clone(), Ok(1)),
            (format!("{old},{new}"), Ok(0)),
            (format!("{stranger},{new}"), Ok(1)),
            (format!("{stranger}, {new}"), Ok(1)),
            (stranger, Err(SignatureError::Mismatch)),
        ] {
            assert_eq!(check(&header), expected, "{header}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let right = signed(OLD, BODY);
        let bare = right.strip_prefix("v1=").unwrap();
        for bad in [
            "",
            ",",
            "v1",
            "v1=",
            "v1=,v1=",
            bare,
            &format!("v2={bare}"),
            &format!("v1,{bare}"),
            &format!("V1={bare}"),
            right.get(..right.len() - 1).unwrap(),
            &format!("{right}00"),
            &"v1=,".repeat(250_000),
        ] {
            assert_eq!(check(bad), Err(SignatureError::NoSignature), "{} bytes", bad.len());
        }
    }

    #[test]
    fn only_the_first_eight_signatures_are_looked_at() {
        let (right, wrong) = (signed(OLD, BODY), signed(OLD, b"another body"));
        let after = |count: usize| format!("{}{right}", format!("{wrong},").repeat(count));
        assert_eq!(check(&after(7)), Ok(0));
        assert_eq!(check(&after(8)), Err(SignatureError::Mismatch));
        assert_eq!(check(&after(500)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn other_bytes_of_the_same_json_do_not_verify() {
        let again = signed(OLD, br#"{"event": {"id":"5ac6","event_type":"incident.triggered"}}"#);
        assert_eq!(check(&again), Err(SignatureError::Mismatch));
    }

    #[test]
    fn secrets_are_long_enough_and_never_show() {
        for bad in ["", "short", "fifteen chars.!", "with a space in it.", &"x".repeat(257)] {
            assert!(PagerdutySecret::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", PagerdutySecret::parse(OLD).unwrap()), "[secret]");
    }
}
