//! Standard Webhooks signatures, made here a second time on purpose.
//!
//! Owns: `webhook-signature`. Never: uses the gateway's own signing; a mistake made on both sides would cancel itself out.
//! Fails: it cannot. Proved by: the test below, against the standard's published vector; `tests/calling`, against its own library.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::rule::SignatureForm;

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body`.
pub(super) fn signature(key: &[u8], form: SignatureForm, (id, timestamp): (&str, &str), body: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length; the error type is for other MACs")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let bytes = mac.finalize().into_bytes();
    match form {
        SignatureForm::Base64 => format!("v1,{}", STANDARD.encode(bytes)),
        SignatureForm::Hex => format!("v1,{}", hex(&bytes)),
    }
}

/// Lower-case hexadecimal.
pub(in crate::sim) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a string takes what is written");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_comes_out() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let signed = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        let of = |form| signature(&key, form, signed, br#"{"test": 2432232314}"#);
        assert_eq!(of(SignatureForm::Base64), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(of(SignatureForm::Hex), "v1,83484cf52b04f8e4cf2531adfed9882ad4b2665137b852442d594d20e2c9d4e1");
    }
}
