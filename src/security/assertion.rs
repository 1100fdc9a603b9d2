//! Signed assertions (RFC 7523): a short text that says who we are, for whom, until when, and that nobody else can sign.
//!
//! Owns: reading a private key, and the JSON Web Signature around the claims. Never: reads a clock or draws an id; both are
//! claims and come from outside. Shows a key. Fails: a key is judged when it is read, so signing has nothing left to refuse
//! but a fault of the machine's cryptography. Proved by: the tests here, and in `tests/servicenow/credentials.rs` by an
//! OAuth server that is not ours.
//!
//! The signatures are made by the TLS library's own key type: it reads PKCS#1, PKCS#8 and SEC 1 alike, while JWT crates
//! want one form per algorithm.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use serde::Serialize;

/// A private key that signs assertions: RSA (RS256) or P-256 (ES256).
#[derive(Clone)]
pub struct AssertionKey {
    key: Arc<dyn rustls::sign::SigningKey>,
    algorithm: Algorithm,
}

/// Why a key cannot sign. Never says anything of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// There is no private key in the text.
    #[error("there is no private key in it: it must be PEM that begins with `-----BEGIN PRIVATE KEY-----`")]
    NotPrivate,
    /// It wants a passphrase, and nobody is there to type it.
    #[error("the private key is encrypted with a passphrase, which nobody is there to type")]
    Encrypted,
    /// The text is cut or garbled.
    #[error("the PEM is cut or garbled")]
    Garbled,
    /// Neither RSA of 2048 to 8192 bits nor P-256.
    #[error("the private key is neither RSA of at least 2048 bits nor an elliptic curve key P-256")]
    Unsupported,
}

/// The machine's cryptography refused to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the assertion could not be signed")]
pub struct NotSigned;

/// What an assertion claims.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Claims<'a> {
    /// Who says so: the OAuth client, unless the instance wants another name.
    pub iss: &'a str,
    /// For whom the token is: a user of the instance.
    pub sub: &'a str,
    /// Who is to believe it: at ServiceNow the client's id again.
    pub aud: &'a str,
    /// Since when, in seconds since the epoch.
    pub iat: i64,
    /// Until when, in seconds since the epoch.
    pub exp: i64,
    /// Never the same twice.
    pub jti: &'a str,
}

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Rs256,
    Es256,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

impl Algorithm {
    const fn word(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    const fn scheme(self) -> SignatureScheme {
        match self {
            Self::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
            Self::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

impl AssertionKey {
    /// Reads a key in PEM: PKCS#8, PKCS#1 or SEC 1.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let key = any_supported_type(&private_key(pem)?).map_err(|_| BadKey::Unsupported)?;
        let fits = |algorithm: &Algorithm| key.choose_scheme(&[algorithm.scheme()]).is_some();
        let algorithm = [Algorithm::Rs256, Algorithm::Es256].into_iter().find(fits).ok_or(BadKey::Unsupported)?;
        Ok(Self { key, algorithm })
    }

    /// `RS256` or `ES256`.
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm.word()
    }

    /// The signed assertion. `key_id` tells the instance which of the keys it knows this is.
    pub fn sign(&self, key_id: Option<&str>, claims: &Claims<'_>) -> Result<String, NotSigned> {
        let header = Header { alg: self.algorithm.word(), typ: "JWT", kid: key_id };
        let mut text = format!("{}.{}", part(&header)?, part(claims)?);
        let signer = self.key.choose_scheme(&[self.algorithm.scheme()]).ok_or(NotSigned)?;
        let signature = signer.sign(text.as_bytes()).map_err(|_| NotSigned)?;
        let signature = match self.algorithm {
            Algorithm::Rs256 => signature,
            Algorithm::Es256 => fixed_width(&signature).ok_or(NotSigned)?,
        };
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }
}

/// A private key of any form we read.
pub(super) fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, BadKey> {
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(key) => Ok(key),
        Err(_) if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") => {
            Err(BadKey::Encrypted)
        }
        Err(PemError::NoItemsFound) => Err(BadKey::NotPrivate),
        Err(_) => Err(BadKey::Garbled),
    }
}

fn part(value: &impl Serialize) -> Result<String, NotSigned> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| NotSigned)
}

/// A P-256 signature as JWS wants it, two numbers of 32 bytes (RFC 7518, 3.4), from what TLS makes: DER of two integers.
fn fixed_width(der: &[u8]) -> Option<Vec<u8>> {
    const WIDTH: usize = 32;
    // The whole is shorter than 128 bytes, so every length is one byte.
    let (&[0x30, length], rest) = der.split_first_chunk()? else { return None };
    if usize::from(length) != rest.len() {
        return None;
    }
    let (r, rest) = integer(rest)?;
    let (s, rest) = integer(rest)?;
    let mut fixed = vec![0; 2 * WIDTH];
    for (number, end) in [(r, WIDTH), (s, 2 * WIDTH)] {
        let begin = end.checked_sub(number.len()).filter(|begin| *begin + WIDTH >= end)?;
        fixed.get_mut(begin..end)?.copy_from_slice(number);
    }
    rest.is_empty().then_some(fixed)
}

/// A positive integer of DER without its leading zeros, and what follows it.
fn integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[0x02, length], rest) = der.split_first_chunk()? else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(length))?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    Some((number.get(zeros..)?, rest))
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.algorithm.word())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm as Jwa, DecodingKey, crypto};
    use rcgen::{
        KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _,
    };

    use super::*;

    const CLAIMS: Claims<'_> = Claims { iss: "us", sub: "snowgate", aud: "us", iat: 1_000, exp: 1_120, jti: "1" };

    fn pem(label: &str, der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    /// Signs, and has the signature judged by a library that is not ours.
    fn check(pem: &str, verifier: &DecodingKey, algorithm: Jwa) {
        let key = AssertionKey::from_pem(pem).unwrap();
        // Numbers that begin with zeros are rare; many signatures meet them.
        for _ in 0..if algorithm == Jwa::ES256 { 300 } else { 1 } {
            let token = key.sign(Some("k1"), &CLAIMS).unwrap();
            let (text, signature) = token.rsplit_once('.').unwrap();
            assert!(crypto::verify(signature, text.as_bytes(), verifier, algorithm).unwrap(), "{token}");
            let header = URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap();
            let header = String::from_utf8(header).unwrap();
            assert_eq!(header, format!(r#"{{"alg":"{}","typ":"JWT","kid":"k1"}}"#, key.algorithm()));
        }
    }

    #[test]
    fn keys_of_every_usual_form_sign_what_others_verify() {
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let verifier = DecodingKey::from_rsa_der(rsa.der_bytes());
        check(&rsa.serialize_pem(), &verifier, Jwa::RS256);
        // PKCS#8 of an RSA key of 2048 bits is 26 bytes of frame around PKCS#1.
        check(&pem("RSA PRIVATE KEY", &rsa.serialize_der().split_off(26)), &verifier, Jwa::RS256);
        let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        check(&curve.serialize_pem(), &DecodingKey::from_ec_der(curve.der_bytes()), Jwa::ES256);
    }

    #[test]
    fn a_key_that_cannot_sign_says_why_and_nothing_of_itself() {
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem();
        let whole = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        let cut = whole.split("-----END").next().unwrap().to_owned();
        let other = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
        let wide = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for (text, expected) in [
            (String::new(), BadKey::NotPrivate),
            ("hunter2".to_owned(), BadKey::NotPrivate),
            (certificate, BadKey::NotPrivate),
            (pem("ENCRYPTED PRIVATE KEY", b"hunter2"), BadKey::Encrypted),
            (cut, BadKey::Garbled),
            (pem("PRIVATE KEY", b"hunter2"), BadKey::Unsupported),
            (other, BadKey::Unsupported),
            (wide, BadKey::Unsupported),
        ] {
            assert_eq!(AssertionKey::from_pem(&text).unwrap_err(), expected, "{text}");
        }
        assert_eq!(format!("{:?}", AssertionKey::from_pem(&whole).unwrap()), "AssertionKey(ES256)");
    }
}
