//! API keys: 256 random bits, shown once, kept only as their SHA-256.
//!
//! Owns: the form of a key, its hash, and the search among many hashes. Never: draws randomness (it is given).
//! A plain SHA-256 is right here and wrong for passwords: nobody can guess through 256 random bits, so slowness buys
//! nothing. Fails: closed. Proved by: the tests below.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::domain::secret::Secret;
use crate::limits::{API_KEY_BYTES_MAX, SENDERS_PER_TENANT_MAX};

/// Tells a leaked key's finder, and secret scanners, what they are looking at.
const PREFIX: &str = "sgk_";

/// A new key. Its text is shown once, to the person who made it.
#[derive(Clone, Debug)]
pub struct ApiKey(Secret);

/// What is kept of a key. Compares in constant time.
#[derive(Clone, Copy, Default)]
pub struct ApiKeyHash([u8; 32]);

/// Why a text is not the hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in hexadecimal: 64 digits, as `snowgate key new` prints it")]
pub struct InvalidHash;

impl ApiKey {
    /// Makes the key of 32 unpredictable bytes: `sgk_` and 43 letters, digits, `-` and `_`.
    pub fn from_entropy(bytes: [u8; 32]) -> Self {
        Self(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The text to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What to keep of it.
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash::of(self.expose())
    }
}

impl ApiKeyHash {
    /// The hash of a key's text.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// The 32 bytes, to see that two places do not share one key.
    pub const fn digest(&self) -> [u8; 32] {
        self.0
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn parse(hex: &str) -> Result<Self, InvalidHash> {
        super::signature::decode_hex(hex).map(Self).ok_or(InvalidHash)
    }
}

/// Which of `hashes` belongs to the presented key. Takes the same time for every key of a length and for every number
/// of hashes up to the most a tenant can have, so that neither a near miss nor an unknown tenant shows in the time.
pub fn find(presented: &str, hashes: &[ApiKeyHash]) -> Option<usize> {
    debug_assert!(hashes.len() <= SENDERS_PER_TENANT_MAX, "settings refuse more");
    // An over-long key is cut, not refused early; a cut key can match no hash of a key we accept as such.
    let too_long = Choice::from(u8::from(presented.len() > API_KEY_BYTES_MAX));
    let seen = presented.as_bytes();
    let seen = seen.get(..API_KEY_BYTES_MAX).unwrap_or(seen);
    let presented = ApiKeyHash(Sha256::digest(seen).into());
    let padding = ApiKeyHash::default();
    let mut found = u32::MAX;
    for (index, hash) in (0u32..).zip(hashes.iter().chain(std::iter::repeat(&padding)).take(SENDERS_PER_TENANT_MAX)) {
        let is_real = Choice::from(u8::from((index as usize) < hashes.len()));
        found.conditional_assign(&index, hash.0.ct_eq(&presented.0) & is_real & !too_long);
    }
    usize::try_from(found).ok().filter(|index| *index < hashes.len())
}

impl PartialEq for ApiKeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ApiKeyHash {}

/// 64 hexadecimal digits in lower case, as the tenant file takes them.
impl fmt::Display for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Enough of it to tell two apart.
impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "ApiKeyHash({first:02x}{second:02x}{third:02x}{fourth:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> ApiKey {
        ApiKey::from_entropy([seed; 32])
    }

    #[test]
    fn a_key_is_readable_as_ours_and_carries_all_its_bits() {
        let shown = key(0xff).expose().to_owned();
        assert_eq!(shown, format!("sgk_{}8", "_".repeat(42)));
        assert_eq!(format!("{:?}", key(1)), "ApiKey([secret])");
    }

    #[test]
    fn the_hash_is_the_one_sha256sum_prints() {
        let hash = ApiKeyHash::of("test");
        assert_eq!(hash.to_string(), "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
        assert_eq!(ApiKeyHash::parse(&hash.to_string().to_uppercase()), Ok(hash));
        for bad in ["", "9f86d0…", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(ApiKeyHash::parse(bad), Err(InvalidHash), "{bad}");
        }
    }

    #[test]
    fn the_right_key_is_found_at_every_place_and_no_other_is() {
        let hashes: Vec<_> = (0..16).map(|seed| key(seed).hash()).collect();
        for (index, seed) in (0..16).enumerate() {
            assert_eq!(find(key(seed).expose(), &hashes), Some(index));
        }
        for wrong in
            ["", "sgk_", key(99).expose(), key(3).expose().get(..46).unwrap(), &format!("{} ", key(3).expose())]
        {
            assert_eq!(find(wrong, &hashes), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_matches_the_padding_or_an_empty_list() {
        assert_eq!(find(key(1).expose(), &[]), None);
        assert_eq!(find("", &[ApiKeyHash::default()]), None);
    }

    #[test]
    fn an_over_long_key_never_matches_even_where_its_beginning_would() {
        let longest = "k".repeat(API_KEY_BYTES_MAX);
        let hashes = [ApiKeyHash::of(&longest)];
        assert_eq!(find(&longest, &hashes), Some(0));
        assert_eq!(find(&format!("{longest}k"), &hashes), None);
    }
}
