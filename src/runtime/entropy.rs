//! The machine's randomness, for keys and ids; pure code takes what comes from here as a value.
//!
//! Owns: asking the operating system, through the one TLS provider of the program, and ids that sort by the time they were
//! made. Never: seeds anything of its own. Fails: only when the system has no randomness, and then no key may be made.
//! Proved by: the tests below.

use crate::domain::id::DeliveryId;

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoEntropy;

/// Unpredictable bytes, fit for keys.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// The id of a delivery that is about to be accepted.
pub fn new_delivery_id() -> DeliveryId {
    DeliveryId::from_bits(uuid::Uuid::now_v7().as_u128())
}

/// A word that stands for one thing only, of 32 hexadecimal digits.
pub fn new_word() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ_and_sort_by_the_time_they_were_made() {
        let ids: Vec<_> = (0..100).map(|_| super::new_delivery_id()).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
        assert_ne!(super::new_word(), super::new_word());
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(super::random_bytes::<32>().unwrap(), super::random_bytes::<32>().unwrap());
    }
}
