//! What an administrator registered beside passwords: API keys, keys that verify assertions, mapped certificates.
//!
//! Owns: who is who by these means, and assertions (RFC 7523): signature, claims, one use. Never: names the reason of a
//! refusal. Shares no code with the client: tokens are taken apart here, and the signature is judged by another library.
//! Fails: with `None`. Proved by: `tests/servicenow/credentials.rs`. Source: facts/servicenow
//! 4.1, 4.3, 4.4 (`configure-an-oauth-jwt-bearer-grant.md`, "API key", `set-up-mutual-auth.md`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;

use super::instance::Instance;
use super::store::value;
use crate::limits::SIM_TOKENS_MAX;

/// A key of the verifier map: assertions signed by its other half are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// The `kid` that assertions must carry.
    pub key_id: String,
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// The public key: DER of `RSAPublicKey`, or the point of the curve.
    pub public_key: Vec<u8>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyring {
    /// Key, user and end in milliseconds since the epoch.
    api_keys: BTreeMap<String, (String, i64)>,
    verifiers: Vec<Verifier>,
    /// SHA-256 of the certificate in hexadecimal, and the user it is mapped to.
    certificates: BTreeMap<String, String>,
    /// The ids of assertions, until nobody could use them again.
    used: BTreeMap<String, i64>,
}

impl Instance {
    /// Registers an API key of a user, good until `ends`, milliseconds since the epoch.
    pub fn add_api_key(&mut self, key: &str, user: &str, ends: i64) {
        self.keyring.api_keys.insert(key.to_owned(), (user.to_owned(), ends));
    }

    /// Forgets an API key.
    pub fn remove_api_key(&mut self, key: &str) {
        self.keyring.api_keys.remove(key);
    }

    /// Replaces the verifier map.
    pub fn trust_assertions_of(&mut self, verifiers: Vec<Verifier>) {
        self.keyring.verifiers = verifiers;
    }

    /// Maps a certificate, by the SHA-256 of its DER in hexadecimal, to a user.
    pub fn map_certificate(&mut self, sha256: &str, user: &str) {
        self.keyring.certificates.insert(sha256.to_owned(), user.to_owned());
    }

    /// Forgets a certificate.
    pub fn unmap_certificate(&mut self, sha256: &str) {
        self.keyring.certificates.remove(sha256);
    }

    /// Another secret of the OAuth client; tokens that were given out live on.
    pub fn set_client_secret(&mut self, secret: &str) {
        secret.clone_into(&mut self.credentials.client_secret);
    }

    /// Another password of the integration user; tokens that were given out live on.
    pub fn set_password(&mut self, password: &str) {
        password.clone_into(&mut self.credentials.password);
    }

    /// The user of an API key that has not ended.
    pub(super) fn user_of_api_key(&self, key: &str, now: i64) -> Option<String> {
        self.keyring.api_keys.get(key).filter(|(_, ends)| now < *ends).map(|(user, _)| user.clone())
    }

    /// The user that a certificate is mapped to.
    pub(super) fn user_of_certificate(&self, sha256: &str) -> Option<String> {
        self.keyring.certificates.get(sha256).cloned()
    }

    /// The user for whom an assertion speaks, if it is signed by a key of the verifier map, for us, in time, and new.
    pub(super) fn user_of_assertion(&mut self, assertion: &str, now: i64) -> Option<String> {
        let mut parts = assertion.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let text = assertion.get(..header.len() + 1 + claims.len())?;
        let (header, claims) = (json(header)?, json(claims)?);
        self.verify(&header, text.as_bytes(), signature)?;
        let said = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let client = self.credentials.client_id.as_str();
        if said("aud") != client || said("iss") != client {
            return None;
        }
        let (now_secs, skew) = (now.div_euclid(1_000), i64::from(self.switches.assertion_skew_secs));
        let (iat, exp) = (claims.get("iat")?.as_i64()?, claims.get("exp")?.as_i64()?);
        if iat > now_secs.saturating_add(skew) || exp.saturating_add(skew) <= now_secs {
            return None;
        }
        let subject = said("sub").to_owned();
        let id = Some(said("jti")).filter(|id| !id.is_empty())?.to_owned();
        self.keyring.used.retain(|_, ends| *ends > now_secs);
        while self.keyring.used.len() >= SIM_TOKENS_MAX && self.keyring.used.pop_first().is_some() {}
        if self.keyring.used.insert(id, exp.saturating_add(skew)).is_some() {
            return None;
        }
        let rows = self.store.indexed("sys_user", self.switches.assertion_user_field, &subject)?;
        let row = rows.first().and_then(|id| self.store.row("sys_user", id))?;
        Some(value(row, "user_name").to_owned())
    }

    fn verify(&self, header: &Value, text: &[u8], signature: &str) -> Option<()> {
        let said = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
        let known = self.keyring.verifiers.iter().find(|verifier| verifier.key_id == said("kid"))?;
        if known.algorithm != said("alg") {
            return None;
        }
        let (key, algorithm) = match known.algorithm.as_str() {
            "RS256" => (DecodingKey::from_rsa_der(&known.public_key), Algorithm::RS256),
            "ES256" => (DecodingKey::from_ec_der(&known.public_key), Algorithm::ES256),
            _ => return None,
        };
        crypto::verify(signature, text, &key, algorithm).ok()?.then_some(())
    }
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
