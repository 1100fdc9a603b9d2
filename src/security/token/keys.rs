//! The keys that an issuer publishes (JWK Set, RFC 7517).
//!
//! Owns: which of them can sign a token for us. Never: takes a symmetric key, or one that is for encryption; keeps more
//! than a bounded number. What is not understood is passed over, because issuers publish keys of other kinds beside.
//! Fails: with [`InvalidKeySet`] if nothing usable is left. Proved by: the tests of the module above.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::ISSUER_KEYS_MAX;

/// Usable keys of one issuer, by their ids.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    /// What it may sign with.
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

/// Why a document is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeySet {
    /// Not `{"keys": […]}`.
    #[error("it is not a JSON object with a list `keys`")]
    Form,
    /// Far more keys than anybody needs.
    #[error("it has more than {ISSUER_KEYS_MAX} keys")]
    TooMany,
    /// Nothing in it can prove a token.
    #[error("it has no RSA or elliptic-curve key with a `kid` for signatures")]
    Nothing,
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

impl KeySet {
    /// Reads a document as it came.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_slice(document).map_err(|_| InvalidKeySet::Form)?;
        if keys.len() > ISSUER_KEYS_MAX {
            return Err(InvalidKeySet::TooMany);
        }
        let keys: Vec<Key> = keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() { Err(InvalidKeySet::Nothing) } else { Ok(Self(keys)) }
    }

    /// Whether there is a key of this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, id: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        let key = self.0.iter().find(|key| key.id == id && key.algorithms.contains(&algorithm));
        key.map(|key| &key.public)
    }
}

impl Key {
    fn of(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let possible = if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
            RSA.to_vec()
        } else if let AlgorithmParameters::EllipticCurve(curve) = &jwk.algorithm {
            curve_algorithm(&curve.curve)?
        } else {
            // Symmetric keys above all: whoever has the published set could sign with them.
            return None;
        };
        let algorithms = match jwk.common.key_algorithm {
            None => possible,
            Some(stated) => possible.into_iter().filter(|one| stated_as(*one) == Some(stated)).collect(),
        };
        let id = jwk.common.key_id.clone().filter(|id| !id.is_empty() && !algorithms.is_empty())?;
        Some(Self { id, algorithms, public: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

fn curve_algorithm(curve: &EllipticCurve) -> Option<Vec<Algorithm>> {
    if *curve == EllipticCurve::P256 {
        Some(vec![Algorithm::ES256])
    } else if *curve == EllipticCurve::P384 {
        Some(vec![Algorithm::ES384])
    } else {
        None
    }
}

/// What a key that signs with this says of itself.
fn stated_as(algorithm: Algorithm) -> Option<KeyAlgorithm> {
    serde_json::to_value(algorithm).and_then(serde_json::from_value).ok()
}

/// Public keys are no secrets, and nobody wants to read them.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}
