//! The keys of tickets that are made only to try a connection, and taken away again.
//!
//! They begin as all our keys do, so whoever sees such a ticket takes it for ours and no incident's: no webhook and no
//! sweep makes anything of it. What follows names tenant and deployment, so that two of them on one instance leave each
//! other's tickets alone, and then the one test. A real key has no dash behind the first: neither is ever the other.
//! Fails: it cannot. Proved by: the tests here, and `tests/it/live_check.rs`.

use sha2::{Digest, Sha256};

use super::identity::{Identity, OUR_KEYS, base32};
use crate::domain::id::{SysId, TenantId};

/// What follows [`OUR_KEYS`] in the key of a test ticket.
const TEST: &str = "test-";

/// Whether a `correlation_id` is that of a test ticket, of whichever tenant and deployment.
pub fn is_test(correlation_id: &str) -> bool {
    correlation_id.strip_prefix(OUR_KEYS).is_some_and(|rest| rest.starts_with(TEST))
}

/// How the keys of all test tickets of this tenant begin.
pub fn prefix(deployment_key: &str, tenant: &TenantId) -> String {
    let digest = digest(&[deployment_key, tenant.as_str(), "connection test"]);
    format!("{OUR_KEYS}{TEST}{}-", base32(&digest, 8))
}

/// The keys of one test, of the same length and the same characters as those of any ticket.
pub fn keys(deployment_key: &str, tenant: &TenantId, run: &str) -> Identity {
    let digest = digest(&[deployment_key, tenant.as_str(), "connection test", run]);
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let prefix = prefix(deployment_key, tenant);
    let rest = base32(&digest, 44_usize.saturating_sub(prefix.len()));
    Identity { sys_id: SysId::from_bits(bits), correlation_id: format!("{prefix}{rest}") }
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::identity::{Subject, derive, is_ours};
    use super::*;
    use crate::domain::id::IncidentId;

    #[test]
    fn a_test_is_known_by_its_key_and_no_ticket_is_taken_for_one() {
        let tenant = TenantId::parse("contoso").unwrap();
        let test = keys("prod", &tenant, "1");
        let subject = Subject { incident: IncidentId::parse("MTR-1").unwrap(), episode: 1, successor: 0 };
        let real = derive("prod", &tenant, &subject);
        assert!(is_test(&test.correlation_id) && is_ours(&test.correlation_id) && !is_test(&real.correlation_id));
        assert_eq!(test.correlation_id.len(), real.correlation_id.len());
        assert!(test.correlation_id.starts_with(&prefix("prod", &tenant)));
    }

    #[test]
    fn no_two_tests_tenants_or_deployments_share_a_key() {
        let (contoso, fabrikam) = (TenantId::parse("contoso").unwrap(), TenantId::parse("fabrikam").unwrap());
        assert_ne!(keys("prod", &contoso, "1"), keys("prod", &contoso, "2"));
        assert_ne!(prefix("prod", &contoso), prefix("prod", &fabrikam));
        assert_ne!(prefix("prod", &contoso), prefix("test", &contoso));
    }
}
