//! A token taken apart, and its signature.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::TokenRefusal;
use super::keys::KeySet;
use super::rules::{Issuer, Proven};
use crate::domain::time::Timestamp;
use crate::limits::BEARER_TOKEN_BYTES_MAX;

/// A token as it came. Nothing that it says is believed yet.
#[derive(Debug)]
pub struct Token<'a> {
    algorithm: Algorithm,
    key_id: String,
    claims: Claims,
    message: &'a str,
    signature: &'a str,
}

/// What a token says, as far as anybody asks.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) ends: Timestamp,
    pub(super) not_before: Option<Timestamp>,
    pub(super) client: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    aud: Value,
    exp: serde_json::Number,
    nbf: Option<serde_json::Number>,
    sub: Option<String>,
    azp: Option<String>,
    appid: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    roles: Value,
    #[serde(default)]
    scp: Value,
    #[serde(default)]
    scope: Value,
}

impl<'a> Token<'a> {
    /// Whether the text has the outer form of a token, so that another credential is not taken for one.
    pub fn is_meant(text: &str) -> bool {
        // Every JSON object begins so in base64.
        text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Takes the text apart.
    pub fn read(text: &'a str) -> Result<Self, TokenRefusal> {
        if text.len() > BEARER_TOKEN_BYTES_MAX {
            return Err(TokenRefusal::TooLong);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenRefusal::Malformed)?;
        let Header { alg, typ, kid, crit } = json(header)?;
        if typ.is_some_and(|typ| !["jwt", "at+jwt", "application/at+jwt"].contains(&&*typ.to_ascii_lowercase())) {
            return Err(TokenRefusal::Type);
        }
        if crit.is_some() {
            return Err(TokenRefusal::Critical);
        }
        let algorithm = algorithm(&alg).ok_or(TokenRefusal::Algorithm)?;
        let key_id = kid.filter(|id| !id.is_empty()).ok_or(TokenRefusal::NoKeyId)?;
        let claims = Claims::of(json(claims)?).ok_or(TokenRefusal::Malformed)?;
        Ok(Self { algorithm, key_id, claims, message, signature })
    }

    /// Who says to have issued it.
    pub fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// Which key says to have signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Which of these issuers' keys made the signature. At least one signature is computed, whatever is known.
    pub fn proven_by<'k>(
        &self,
        issuers: impl Iterator<Item = (Issuer, &'k KeySet)>,
    ) -> Result<Proven<'_>, TokenRefusal> {
        let (mut proven, mut has_issuer, mut has_key) = (Vec::new(), false, false);
        for (issuer, keys) in issuers.filter(|(issuer, _)| *issuer.name == *self.claims.issuer) {
            has_issuer = true;
            let Some(key) = keys.find(&self.key_id, self.algorithm) else { continue };
            has_key = true;
            if self.is_signed_by(key) {
                proven.push(issuer);
            }
        }
        if !has_key {
            std::hint::black_box(self.is_signed_by(decoy(self.algorithm)));
        }
        match (proven.is_empty(), has_issuer, has_key) {
            (false, ..) => Ok(Proven { claims: &self.claims, issuers: proven }),
            (true, false, _) => Err(TokenRefusal::Stranger),
            (true, true, false) => Err(TokenRefusal::UnknownKey),
            (true, true, true) => Err(TokenRefusal::Signature),
        }
    }

    fn is_signed_by(&self, key: &DecodingKey) -> bool {
        crate::security::signature::count_mac();
        jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, self.algorithm).unwrap_or(false)
    }
}

impl Claims {
    fn of(raw: RawClaims) -> Option<Self> {
        let RawClaims { iss, aud, exp, nbf, sub, azp, appid, client_id, roles, scp, scope } = raw;
        let not_before = match nbf {
            Some(number) => Some(moment(&number)?),
            None => None,
        };
        Some(Self {
            issuer: iss,
            audiences: listed(&aud),
            ends: moment(&exp)?,
            not_before,
            client: azp.or(appid).or(client_id),
            subject: sub,
            roles: listed(&roles),
            scopes: words(&scp).chain(words(&scope)).collect(),
        })
    }
}

/// Seconds since 1970, perhaps with a fraction.
fn moment(number: &serde_json::Number) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates; a fraction of a second does not matter")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))
}

/// A text, or the texts of a list.
fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// The words of a text, or of the texts of a list.
fn words(value: &Value) -> impl Iterator<Item = String> {
    let texts = listed(value);
    texts.into_iter().flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenRefusal::Malformed)
}

/// The ones we take. A token says itself how it is signed, so `none` and the symmetric ones must not be among them.
fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "RS384" => Some(Algorithm::RS384),
        "RS512" => Some(Algorithm::RS512),
        "PS256" => Some(Algorithm::PS256),
        "PS384" => Some(Algorithm::PS384),
        "PS512" => Some(Algorithm::PS512),
        "ES256" => Some(Algorithm::ES256),
        "ES384" => Some(Algorithm::ES384),
        _ => None,
    }
}

/// A key of nobody, so that a token of an unknown issuer costs as much as one of a known issuer.
fn decoy(algorithm: Algorithm) -> &'static DecodingKey {
    static RSA: LazyLock<DecodingKey> = LazyLock::new(|| {
        // Odd and of 2048 bits; whether it is the product of two primes, a verifier cannot know.
        let mut modulus = [0xb7; 256];
        modulus[255] = 0x01;
        DecodingKey::from_rsa_raw_components(&modulus, &[1, 0, 1])
    });
    /// The base points of the curves, which are public keys for the private key 1.
    static P256: LazyLock<DecodingKey> = LazyLock::new(|| {
        const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
        DecodingKey::from_ec_der(&from_hex(POINT))
    });
    static P384: LazyLock<DecodingKey> = LazyLock::new(|| {
        const POINT: &str = "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f";
        DecodingKey::from_ec_der(&from_hex(POINT))
    });
    if algorithm == Algorithm::ES256 {
        &P256
    } else if algorithm == Algorithm::ES384 {
        &P384
    } else {
        &RSA
    }
}

/// Whether each decoy is taken for a key at all.
#[cfg(test)]
pub(super) fn decoys_are_usable() -> bool {
    // A well-formed signature of nothing: a key that cannot be read fails before it is looked at.
    [(Algorithm::RS256, 256), (Algorithm::ES256, 64), (Algorithm::ES384, 96)].into_iter().all(|(algorithm, bytes)| {
        let signature = URL_SAFE_NO_PAD.encode(vec![1; bytes]);
        jsonwebtoken::crypto::verify(&signature, b"message", decoy(algorithm), algorithm) == Ok(false)
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    text.as_bytes().chunks_exact(2).map(|pair| pair.iter().fold(0, |value, byte| value << 4 | digit(*byte))).collect()
}
