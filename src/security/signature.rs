//! Standard Webhooks 1.0, symmetric scheme `v1`: HMAC-SHA256 over `id.timestamp.body`, in both directions.
//!
//! Owns: secrets, verifying and signing, over the raw bytes as they came. Never: parses the body, remembers ids
//! (recognising a replay inside the window is the store's), reads a clock, lets the request choose the key.
//! Fails: closed, with a reason for the log; the caller sees one answer for all. Every secret is tried and every
//! comparison is of 32 bytes, so time tells neither which secret matched nor how much of a signature was right; a
//! shorter signature can never match (RUSTSEC-2024-0010).
//! Proved by: the tests below, against an independent implementation.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::domain::time::Timestamp;
use crate::limits::{
    SIGNATURE_WINDOW_SECS, SIGNATURES_EXAMINED_MAX, WEBHOOK_ID_CHARS_MAX, WEBHOOK_SECRET_BYTES_MAX,
    WEBHOOK_SECRET_BYTES_MIN,
};

const SECRET_PREFIX: &str = "whsec_";
const MAC_BYTES: usize = 32;
const MAC_BASE64_CHARS: usize = 44;
const MAC_HEX_CHARS: usize = 64;

/// A signing key of 24 to 64 bytes; prints as `[secret]`, is wiped when the last copy is dropped.
#[derive(Clone)]
pub struct WebhookSecret(Arc<SecretSlice<u8>>);

/// Why a text is not a webhook secret. Never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It does not begin with `whsec_`.
    #[error("a webhook secret begins with `whsec_`")]
    Prefix,
    /// What follows is not base64.
    #[error("after `whsec_` a webhook secret is base64")]
    Base64,
    /// Too short or too long.
    #[error("a webhook secret has {WEBHOOK_SECRET_BYTES_MIN} to {WEBHOOK_SECRET_BYTES_MAX} bytes, this one has {0}")]
    Length(usize),
}

/// The three headers of a signed request, as they came.
#[derive(Clone, Copy, Debug)]
pub struct SignedHeaders<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`: `v1,<base64>`, several separated by spaces.
    pub signature: &'a str,
}

/// Whether signatures in hexadecimal are taken beside base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HexSignatures {
    /// As the standard says: base64 alone.
    #[default]
    Refuse,
    /// For senders that can only print hexadecimal.
    Accept,
}

impl HexSignatures {
    /// From yes or no.
    pub const fn accepting(accept: bool) -> Self {
        if accept { Self::Accept } else { Self::Refuse }
    }

    /// Accepts if either does.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refuse, Self::Refuse) => Self::Refuse,
            (Self::Accept, _) | (_, Self::Accept) => Self::Accept,
        }
    }
}

/// The signature is right; says which secret made it, counted from 0 in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Index of the secret.
    pub secret: usize,
}

/// Why a request is not taken as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The id is empty, too long, or holds a `.` or anything but visible ASCII.
    #[error("webhook-id is malformed")]
    Id,
    /// Not a plain number of seconds.
    #[error("webhook-timestamp is malformed")]
    Timestamp,
    /// Sent too long ago.
    #[error("webhook-timestamp is more than {SIGNATURE_WINDOW_SECS} s in the past")]
    TooOld,
    /// From too far in the future.
    #[error("webhook-timestamp is more than {SIGNATURE_WINDOW_SECS} s in the future")]
    TooNew,
    /// Not one signature of a known version and length.
    #[error("webhook-signature holds no `v1` signature")]
    NoSignature,
    /// No secret makes any of the signatures.
    #[error("no secret of this sender makes the signature")]
    Mismatch,
}

impl SignatureError {
    /// Whether the headers are malformed, rather than wrong.
    pub const fn is_malformed(self) -> bool {
        match self {
            Self::Id | Self::Timestamp | Self::NoSignature => true,
            Self::TooOld | Self::TooNew | Self::Mismatch => false,
        }
    }
}

impl WebhookSecret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret::Prefix)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret::Base64)?;
        if (WEBHOOK_SECRET_BYTES_MIN..=WEBHOOK_SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(Arc::new(SecretSlice::from(bytes))))
        } else {
            Err(InvalidSecret::Length(bytes.len()))
        }
    }

    /// Makes a secret of 32 unpredictable bytes, and its text to be shown once.
    pub fn from_entropy(bytes: [u8; 32]) -> (Self, crate::domain::secret::Secret) {
        let text = crate::domain::secret::Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)));
        (Self(Arc::new(SecretSlice::from(bytes.to_vec()))), text)
    }

    /// A digest of the key, to see that two places do not share one.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    /// Begins to sign a message of ours whose body comes in pieces.
    pub fn signer(&self, id: &str, timestamp: Timestamp) -> Signer {
        self.begin(id, &timestamp.seconds().to_string())
    }

    fn begin(&self, id: &str, timestamp: &str) -> Signer {
        count_mac();
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length; the error type is for other MACs")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes any key length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b"."] {
            mac.update(part);
        }
        Signer(mac)
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; MAC_BYTES] {
        let mut signer = self.begin(id, timestamp);
        signer.update(body);
        signer.mac()
    }
}

/// A signature in the making: the head of the message is in it, its body follows in pieces.
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// The next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The value of `webhook-signature`.
    pub fn finish(self) -> String {
        format!("v1,{}", STANDARD.encode(self.mac()))
    }

    fn mac(self) -> [u8; MAC_BYTES] {
        self.0.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Notes that a signature was computed, so that tests can hold every refusal to the same amount of work.
#[cfg(not(test))]
pub(super) const fn count_mac() {}

#[cfg(test)]
pub(crate) use counted::{count_mac, macs_of};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static MACS: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count_mac() {
        MACS.set(MACS.get() + 1);
    }

    /// How many signatures were computed while this ran.
    pub(crate) fn macs_of(work: impl FnOnce()) -> usize {
        let before = MACS.get();
        work();
        MACS.get() - before
    }
}

/// Checks a request against the secrets of one peer. `now` is the moment of arrival; `body` the raw bytes.
pub fn verify(
    headers: SignedHeaders<'_>,
    body: &[u8],
    secrets: &[WebhookSecret],
    hex: HexSignatures,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    check_id(headers.id)?;
    check_timestamp(headers.timestamp, now)?;
    let presented: Vec<[u8; MAC_BYTES]> = headers
        .signature
        .split(' ')
        .take(SIGNATURES_EXAMINED_MAX)
        .filter_map(|signature| decode(signature, hex))
        .collect();
    if presented.is_empty() {
        return Err(SignatureError::NoSignature);
    }
    let mut found = None;
    for (index, secret) in secrets.iter().enumerate() {
        let expected = secret.mac(headers.id, headers.timestamp, body);
        let matches = presented.iter().fold(Choice::from(0), |any, one| any | one.ct_eq(&expected));
        if bool::from(matches) && found.is_none() {
            found = Some(Verified { secret: index });
        }
    }
    found.ok_or(SignatureError::Mismatch)
}

/// The value of `webhook-signature` for a message of ours; `webhook-timestamp` is `timestamp.seconds()`.
pub fn sign(id: &str, timestamp: Timestamp, body: &[u8], secret: &WebhookSecret) -> String {
    let mut signer = secret.signer(id, timestamp);
    signer.update(body);
    signer.finish()
}

/// A `.` in the id would let two different messages share one signed text.
fn check_id(id: &str) -> Result<(), SignatureError> {
    let fits = (1..=WEBHOOK_ID_CHARS_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
        Ok(())
    } else {
        Err(SignatureError::Id)
    }
}

/// Digits alone: no sign, no space, no leading zero that would make a second spelling of one moment.
fn check_timestamp(text: &str, now: Timestamp) -> Result<(), SignatureError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let sent: i64 = text.parse().ok().filter(|_| is_plain).ok_or(SignatureError::Timestamp)?;
    let age = now.seconds().saturating_sub(sent);
    if age > SIGNATURE_WINDOW_SECS {
        Err(SignatureError::TooOld)
    } else if age < -SIGNATURE_WINDOW_SECS {
        Err(SignatureError::TooNew)
    } else {
        Ok(())
    }
}

/// The 32 bytes of one `v1,…` entry; anything of another version or length is not a signature.
fn decode(entry: &str, hex: HexSignatures) -> Option<[u8; MAC_BYTES]> {
    let encoded = entry.strip_prefix("v1,")?;
    match encoded.len() {
        MAC_BASE64_CHARS => STANDARD.decode(encoded).ok()?.try_into().ok(),
        MAC_HEX_CHARS if hex == HexSignatures::Accept => decode_hex(encoded),
        _ => None,
    }
}

/// 32 bytes from 64 hexadecimal digits of either case.
pub(super) fn decode_hex(text: &str) -> Option<[u8; MAC_BYTES]> {
    if text.len() != MAC_HEX_CHARS {
        return None;
    }
    let mut bytes = [0; MAC_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const NOW: Timestamp = Timestamp::from_millis(1_614_265_330_000);
    const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::parse(text).unwrap()
    }

    fn check(id: &str, timestamp: &str, signature: &str) -> Result<Verified, SignatureError> {
        let headers = SignedHeaders { id, timestamp, signature };
        verify(headers, BODY, &[secret(OLD), secret(NEW)], HexSignatures::Refuse, NOW)
    }

    fn check_signature(signature: &str) -> Result<Verified, SignatureError> {
        check("msg_1", "1614265330", signature)
    }

    #[test]
    fn the_published_test_vector_verifies() {
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(check("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature), Ok(Verified { secret: 0 }));
    }

    #[test]
    fn an_independent_implementation_makes_the_same_signature() {
        let oracle = standardwebhooks::Webhook::new(OLD).unwrap();
        for body in ["", "{}", "{\"title\":\"Raum – defekt\"}", &"x".repeat(100_000)] {
            let theirs = oracle.sign("msg_1", NOW.seconds(), body.as_bytes()).unwrap();
            assert_eq!(sign("msg_1", NOW, body.as_bytes(), &secret(OLD)), theirs);
        }
    }

    #[test]
    fn a_body_in_pieces_is_signed_as_a_whole() {
        let mut signer = secret(OLD).signer("msg_1", NOW);
        BODY.chunks(3).for_each(|piece| signer.update(piece));
        assert_eq!(signer.finish(), sign("msg_1", NOW, BODY, &secret(OLD)));
    }

    #[test]
    fn both_secrets_of_a_rotation_are_taken_and_it_says_which() {
        assert_eq!(check_signature(&sign("msg_1", NOW, BODY, &secret(OLD))), Ok(Verified { secret: 0 }));
        assert_eq!(check_signature(&sign("msg_1", NOW, BODY, &secret(NEW))), Ok(Verified { secret: 1 }));
        let stranger = secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(check_signature(&sign("msg_1", NOW, BODY, &stranger)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn other_bytes_of_the_same_json_do_not_verify() {
        let signature = sign("msg_1", NOW, br#"{"test":2432232314}"#, &secret(OLD));
        assert_eq!(check_signature(&signature), Err(SignatureError::Mismatch));
    }

    /// RUSTSEC-2024-0010: a comparison that ended with the shorter side took an empty signature for a right one.
    #[test]
    fn a_beginning_of_the_right_signature_is_no_signature() {
        let right = sign("msg_1", NOW, BODY, &secret(OLD));
        for length in 0..right.len() {
            assert_eq!(
                check_signature(right.get(..length).unwrap()),
                Err(SignatureError::NoSignature),
                "{length} characters"
            );
        }
        assert_eq!(check_signature(&format!("{right}AAAA")), Err(SignatureError::NoSignature));
    }

    #[test]
    fn malformed_signature_headers_are_refused() {
        let right = sign("msg_1", NOW, BODY, &secret(OLD));
        let bare = right.strip_prefix("v1,").unwrap();
        for bad in [
            "",
            " ",
            "v1",
            "v1,",
            ",",
            "v1,v1,",
            &format!("v2,{bare}"),
            &format!("v1a,{bare}"),
            bare,
            &"v1,".repeat(300_000),
        ] {
            assert_eq!(check_signature(bad), Err(SignatureError::NoSignature), "{}", bad.len());
        }
    }

    #[test]
    fn only_the_first_eight_signatures_are_looked_at() {
        let right = sign("msg_1", NOW, BODY, &secret(OLD));
        let wrong = sign("msg_2", NOW, BODY, &secret(OLD));
        let after = |count: usize| format!("{}{right}", format!("{wrong} ").repeat(count));
        assert_eq!(check_signature(&after(7)), Ok(Verified { secret: 0 }));
        assert_eq!(check_signature(&after(8)), Err(SignatureError::Mismatch));
        assert_eq!(check_signature(&after(500)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn five_minutes_of_skew_are_forgiven_and_not_a_second_more() {
        for (skew_secs, expected) in [
            (0, Ok(Verified { secret: 0 })),
            (-240, Ok(Verified { secret: 0 })),
            (240, Ok(Verified { secret: 0 })),
            (-300, Ok(Verified { secret: 0 })),
            (-301, Err(SignatureError::TooOld)),
            (301, Err(SignatureError::TooNew)),
            (-360, Err(SignatureError::TooOld)),
        ] {
            let sent = Timestamp::from_millis(NOW.millis() + skew_secs * 1_000);
            let signature = sign("msg_1", sent, BODY, &secret(OLD));
            assert_eq!(check("msg_1", &sent.seconds().to_string(), &signature), expected, "{skew_secs} s");
        }
    }

    #[test]
    fn a_timestamp_has_one_spelling() {
        for bad in [
            "",
            "+1614265330",
            "-1614265330",
            " 1614265330",
            "1614265330 ",
            "01614265330",
            "1614265330.0",
            "1e9",
            "99999999999999999999",
            "١٦١٤٢٦٥٣٣٠",
        ] {
            let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
            assert_eq!(check("msg_1", bad, signature), Err(SignatureError::Timestamp), "{bad}");
        }
    }

    #[test]
    fn an_id_cannot_move_the_borders_of_the_signed_text() {
        for bad in ["", "a.b", "a b", "a\nb", "é", &"x".repeat(257)] {
            assert_eq!(check(bad, "1614265330", "v1,x"), Err(SignatureError::Id), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_is_taken_only_where_it_is_allowed() {
        let mac = secret(OLD).mac("msg_1", "1614265330", BODY);
        let signature = mac.iter().fold("v1,".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let headers = SignedHeaders { id: "msg_1", timestamp: "1614265330", signature: &signature };
        let check = |hex| verify(headers, BODY, &[secret(OLD)], hex, NOW);
        assert_eq!(check(HexSignatures::Refuse), Err(SignatureError::NoSignature));
        assert_eq!(check(HexSignatures::Accept), Ok(Verified { secret: 0 }));
    }

    #[test]
    fn without_a_secret_nothing_verifies() {
        let signature = sign("msg_1", NOW, BODY, &secret(OLD));
        let headers = SignedHeaders { id: "msg_1", timestamp: "1614265330", signature: &signature };
        assert_eq!(verify(headers, BODY, &[], HexSignatures::Accept, NOW), Err(SignatureError::Mismatch));
    }

    #[test]
    fn secrets_have_a_prefix_and_24_to_64_bytes_and_never_show() {
        let encode = |length: usize| format!("whsec_{}", STANDARD.encode(vec![7; length]));
        for length in [24, 32, 64] {
            assert!(WebhookSecret::parse(&encode(length)).is_ok(), "{length}");
        }
        for length in [0, 23, 65] {
            assert_eq!(WebhookSecret::parse(&encode(length)).unwrap_err(), InvalidSecret::Length(length));
        }
        assert_eq!(WebhookSecret::parse("hunter2").unwrap_err(), InvalidSecret::Prefix);
        assert_eq!(WebhookSecret::parse("whsec_hunter2!").unwrap_err(), InvalidSecret::Base64);
        assert_eq!(format!("{:?}", secret(OLD)), "[secret]");
    }
}
