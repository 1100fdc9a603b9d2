//! Names that tools give, made to fit ours.
//!
//! Owns: cutting names that are too long so that two different ones stay different. The result is stored, so it must never be
//! computed in another way. Never: fails. Proved by: the tests here.

use sha2::{Digest, Sha256};

/// Hexadecimal digits of a hash that stand for the part cut off: 128 bits.
const HASH_CHARS: usize = 32;

/// A name of at most so many characters without control characters. One that fits stays as it is; any other becomes its beginning,
/// `~` and a hash of the whole. A name that looks like such a result is hashed as well, so that nobody can choose one to hit another.
pub(super) fn fitted(text: &str, chars_max: usize) -> String {
    let plain = !text.chars().any(char::is_control) && text.chars().count() <= chars_max;
    if plain && !looks_fitted(text) {
        return text.to_owned();
    }
    let kept = text.chars().filter(|letter| !letter.is_control());
    let mut name: String = kept.take(chars_max.saturating_sub(HASH_CHARS + 1)).collect();
    name.push('~');
    name + &hash(text.as_bytes())
}

/// The first half of a SHA-256, hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    let half = Sha256::digest(bytes).iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("{half:032x}")
}

fn looks_fitted(text: &str) -> bool {
    let tail = text.rsplit_once('~').map(|(_, tail)| tail);
    tail.is_some_and(|tail| tail.len() == HASH_CHARS && tail.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_what_does_not_never_meets_another() {
        assert_eq!(fitted("room1/display", 255), "room1/display");
        let long = |last: char| "x".repeat(300) + &last.to_string();
        let (one, other) = (fitted(&long('a'), 255), fitted(&long('b'), 255));
        assert_ne!(one, other);
        assert_eq!(one.chars().count(), 255);
        assert_ne!(fitted(&one, 255), one, "a name that looks like a cut one is no way to hit it");
        assert_ne!(fitted("a\nb", 255), fitted("ab", 255));
        assert!(!fitted("a\nb", 255).contains('\n'));
        assert_eq!(fitted("é\u{1}", 40), fitted("é\u{1}", 40));
    }
}
