//! Who may use the admin listener: on loopback everybody, elsewhere whoever holds an operator's token.

use actix_web::HttpRequest;

use super::error::{ApiError, Code};
use crate::limits::SENDERS_PER_TENANT_MAX;
use crate::security::api_key::{self, ApiKeyHash};

/// What an operator may do; each role includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Pause, resume, replay, drop.
    Operate,
    /// Everything.
    Admin,
}

/// The operators, or nobody: then the listener is a loopback one and asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    names: Vec<(String, Role)>,
    hashes: Vec<ApiKeyHash>,
}

impl Operators {
    /// With each operator's name, role and the hash of their token.
    pub fn new(operators: impl IntoIterator<Item = (String, Role, ApiKeyHash)>) -> Self {
        let mut known = Self::default();
        for (name, role, hash) in operators {
            known.names.push((name, role));
            known.hashes.push(hash);
        }
        known
    }

    /// Whether this request may do what needs `role`.
    pub(super) fn check(&self, request: &HttpRequest, role: Role) -> Result<(), ApiError> {
        if self.hashes.is_empty() {
            return Ok(());
        }
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        // A search compares with as many hashes as a tenant may have senders; more operators are more searches.
        let mut chunks = self.hashes.chunks(SENDERS_PER_TENANT_MAX).zip(self.names.chunks(SENDERS_PER_TENANT_MAX));
        let found = chunks.find_map(|(hashes, names)| names.get(api_key::find(token, hashes)?));
        match found {
            Some((_, held)) if *held >= role => Ok(()),
            Some((name, _)) => Err(ApiError::new(Code::Forbidden, format!("the role of {name} does not allow this"))),
            None => Err(ApiError::new(Code::Unauthorized, "send `Authorization: Bearer <operator's token>`")),
        }
    }
}
