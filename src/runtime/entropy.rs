//! The machine's randomness, for keys and ids; pure code takes what comes from here as a value.
//!
//! Owns: asking the operating system, through the one TLS provider of the program. Never: seeds anything of its own.
//! Fails: only when the system has no randomness, and then no key may be made. Proved by: the test below.

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

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ() {
        assert_ne!(super::random_bytes::<32>().unwrap(), super::random_bytes::<32>().unwrap());
    }
}
