//! Callers who fail to prove themselves: counted by address, held off beyond a limit, told of once.
//!
//! Owns: what a failure costs us (a place in a bounded table, one log line until the limit, none after it) and the `429`.
//! Never: keeps out who shows the right key or signature: those cannot be guessed, and a neighbour behind the same address
//! must not suffer. What could be guessed is not even looked at until the time is over.
//! Fails: it cannot. Proved by: `tests/it/callers.rs` and the tests of [`crate::security::attempts`].

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{ApiError, Code};
use crate::domain::time::Timestamp;
use crate::security::attempts::{Attempts, Standing};
use crate::telemetry::events as told;

/// The failures of this replica; the others count their own.
#[derive(Debug, Default)]
pub struct FailedAttempts(Mutex<Attempts>);

impl FailedAttempts {
    /// Refuses an address that failed too often.
    pub(super) fn check(&self, address: IpAddr, now: Timestamp) -> Result<(), ApiError> {
        let standing = self.lock().standing(address, now);
        match standing {
            Standing::Free => Ok(()),
            Standing::HeldOff(wait) => {
                told::CallerHeldOff { address, first: false }.emit();
                let detail = "credentials of this kind are not looked at before the time is over";
                Err(ApiError::new(Code::TooManyFailures, detail).retry_after(wait))
            }
        }
    }

    /// Counts a failure; an error beyond the limit.
    pub(super) fn failed(&self, address: IpAddr, now: Timestamp) -> Result<(), ApiError> {
        let (was_last, standing) = {
            let mut attempts = self.lock();
            let standing = attempts.standing(address, now);
            (attempts.failed(address, now), standing)
        };
        if was_last {
            told::CallerHeldOff { address, first: true }.emit();
        }
        match standing {
            Standing::Free => Ok(()),
            Standing::HeldOff(wait) => {
                told::CallerHeldOff { address, first: false }.emit();
                let detail = "the credential is wrong, like those before it";
                Err(ApiError::new(Code::TooManyFailures, detail).retry_after(wait))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
