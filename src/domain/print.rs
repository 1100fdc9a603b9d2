//! A short print of a value, to see later whether it changed without keeping what it was.
//!
//! Owns: how it is computed. It is stored, so it must never be computed in another way. Never: hides a value that can be guessed.
//! Fails: it cannot. Proved by: the test here.

use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of the value's SHA-256.
pub fn print(value: &str) -> String {
    let digest = Sha256::digest(value.as_bytes());
    let start = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{start:016x}")
}

#[cfg(test)]
mod tests {
    use super::print;

    #[test]
    fn the_print_of_a_value_never_changes() {
        assert_eq!(print("6"), "e7f6c011776e8db7");
    }
}
