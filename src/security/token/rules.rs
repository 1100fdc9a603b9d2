//! What a sender's tokens must say.

use std::sync::Arc;

use super::TokenRefusal;
use super::read::Claims;
use crate::domain::time::Timestamp;
use crate::limits::TOKEN_LEEWAY;
use crate::security::target::Target;

/// Who issues tokens, and where its keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    /// The very text of the claim `iss`.
    pub name: Arc<str>,
    /// Where its keys are.
    pub keys: KeySource,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// Named by the issuer's own document, as in OpenID Connect Discovery and RFC 8414.
    Discovered(Target),
    /// At this address.
    At(Target),
}

/// What a sender's tokens must say. Where several values stand in a list, one of them is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// Who may have issued it; two for one directory of Entra, whose tokens come in two versions.
    pub issuers: Vec<Issuer>,
    /// Whom it must be for.
    pub audiences: Vec<String>,
    /// To which application it must have been given: `azp`, or `appid` (Entra v1), or `client_id` (RFC 9068). Empty: any.
    pub clients: Vec<String>,
    /// Application roles. Empty: any.
    pub roles: Vec<String>,
    /// Delegated scopes. Empty: any.
    pub scopes: Vec<String>,
    /// For whom it speaks, if that matters.
    pub subject: Option<String>,
}

/// A token whose signature was made by a key of these issuers.
#[derive(Debug)]
pub struct Proven<'a> {
    pub(super) claims: &'a Claims,
    pub(super) issuers: Vec<Issuer>,
}

impl TokenRules {
    /// Whether this token is one of this sender's.
    pub fn check(&self, token: &Proven<'_>, now: Timestamp) -> Result<(), TokenRefusal> {
        let Claims { audiences, not_before, ends, client, subject, roles, scopes, issuer: _ } = token.claims;
        let one_of =
            |wanted: &[String], said: &[String]| wanted.is_empty() || wanted.iter().any(|one| said.contains(one));
        if !self.issuers.iter().any(|issuer| token.issuers.contains(issuer)) {
            return Err(TokenRefusal::Issuer);
        }
        if now >= ends.plus(TOKEN_LEEWAY) {
            return Err(TokenRefusal::Ended);
        }
        if not_before.is_some_and(|begins| now.plus(TOKEN_LEEWAY) < begins) {
            return Err(TokenRefusal::NotYet);
        }
        if !self.audiences.iter().any(|audience| audiences.contains(audience)) {
            return Err(TokenRefusal::Audience);
        }
        if !one_of(&self.clients, client.as_slice()) {
            return Err(TokenRefusal::Client);
        }
        if !one_of(&self.roles, roles) {
            return Err(TokenRefusal::Role);
        }
        if !one_of(&self.scopes, scopes) {
            return Err(TokenRefusal::Scope);
        }
        match &self.subject {
            Some(wanted) if subject.as_ref() != Some(wanted) => Err(TokenRefusal::Subject),
            Some(_) | None => Ok(()),
        }
    }
}
