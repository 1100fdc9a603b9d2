//! The senders of one tenant by the kind of their credentials, and the look-up of each kind.
//!
//! Owns: which sender a credential belongs to, and whether it may do what it wants. Never: knows which tenant it belongs to;
//! somebody who names no tenant is looked up among the senders of nobody, at the same cost.
//! Fails: closed, with a reason for the log. Proved by: the tests in [`super::registry`] and `tests/tenants.rs`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::registry::{Unauthenticated, Wanted};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::security::api_key::{self, ApiKeyHash};
use crate::security::pagerduty::PagerdutySecret;
use crate::security::proxies;
use crate::security::scope::Scopes;
use crate::security::signature::{HexSignatures, WebhookSecret};
use crate::security::token::{Issuer, Proven, TokenRefusal, TokenRules};
use crate::settings::{KeyInUrl, Sender, SenderCredential};

/// The senders of one tenant.
#[derive(Debug, Default)]
pub(super) struct Callers {
    keys: Group<ApiKeyHash>,
    /// Which of the keys may stand in an address.
    in_url: Vec<KeyInUrl>,
    pub(super) secrets: Group<WebhookSecret>,
    pub(super) hex: HexSignatures,
    pub(super) pagerduty: Group<PagerdutySecret>,
    pairs: Group<ApiKeyHash>,
    tokens: Group<Arc<TokenRules>>,
    certificates: Group<Arc<str>>,
}

/// Credentials of one kind, and whose they are, in the order of the file.
#[derive(Debug)]
pub(super) struct Group<C> {
    pub(super) credentials: Vec<C>,
    holders: Vec<Holder>,
}

/// Whose a credential is, and what it is good for.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) sender: Arc<str>,
    /// The how-manieth of its kind and name it is, from 0: which one of a rotation.
    pub(super) position: usize,
    scopes: Scopes,
    expires: Option<Timestamp>,
}

impl<C> Default for Group<C> {
    fn default() -> Self {
        Self { credentials: Vec::new(), holders: Vec::new() }
    }
}

impl<C> Group<C> {
    fn push(&mut self, credential: C, sender: &Sender) {
        let position = self.holders.iter().filter(|other| other.sender == sender.name).count();
        let Sender { name, scopes, expires, credential: _ } = sender;
        self.holders.push(Holder { sender: Arc::clone(name), position, scopes: scopes.clone(), expires: *expires });
        self.credentials.push(credential);
    }

    /// Whose the credential at this index is.
    pub(super) fn holder(&self, index: usize) -> Option<&Holder> {
        self.holders.get(index)
    }
}

impl Callers {
    pub(super) fn of(senders: &[Sender]) -> Self {
        let mut callers = Self::default();
        for sender in senders {
            match &sender.credential {
                SenderCredential::ApiKey(hash, in_url) => {
                    callers.keys.push(*hash, sender);
                    callers.in_url.push(*in_url);
                }
                SenderCredential::Webhook(secret, accepted) => {
                    callers.secrets.push(secret.clone(), sender);
                    // A signature in hexadecimal proves as much as one in base64, so one sender's need may serve all.
                    callers.hex = callers.hex.or(*accepted);
                }
                SenderCredential::Pagerduty(secret) => callers.pagerduty.push(secret.clone(), sender),
                SenderCredential::Basic { username, password } => {
                    let pair = Secret::new(STANDARD.encode(format!("{username}:{}", password.expose())));
                    callers.pairs.push(ApiKeyHash::of(pair.expose()), sender);
                }
                SenderCredential::Token(rules) => callers.tokens.push(Arc::clone(rules), sender),
                SenderCredential::Certificate(name) => callers.certificates.push(Arc::clone(name), sender),
            }
        }
        callers
    }

    /// Everybody whose tokens are taken.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.tokens.credentials.iter().flat_map(|rules| &rules.issuers)
    }

    pub(super) fn by_key(&self, key: &str) -> Result<&Holder, Unauthenticated> {
        let index = api_key::find(key, &self.keys.credentials);
        index.and_then(|index| self.keys.holder(index)).ok_or(Unauthenticated::Key)
    }

    pub(super) fn by_key_in_url(&self, key: &str) -> Result<&Holder, Unauthenticated> {
        let index = api_key::find(key, &self.keys.credentials).ok_or(Unauthenticated::Key)?;
        match self.in_url.get(index) {
            Some(KeyInUrl::Accept) => self.keys.holder(index).ok_or(Unauthenticated::Key),
            Some(KeyInUrl::Refuse) | None => Err(Unauthenticated::KeyInUrl),
        }
    }

    pub(super) fn by_pair(&self, pair: &str) -> Result<&Holder, Unauthenticated> {
        let index = api_key::find(pair, &self.pairs.credentials);
        index.and_then(|index| self.pairs.holder(index)).ok_or(Unauthenticated::Password)
    }

    pub(super) fn by_token(&self, token: &Proven<'_>, wanted: Wanted<'_>) -> Result<&Holder, Unauthenticated> {
        let (mut why, mut first) = (TokenRefusal::Issuer, None);
        for (rules, holder) in self.tokens.credentials.iter().zip(&self.tokens.holders) {
            match rules.check(token, wanted.now) {
                Ok(()) if holder.admit(wanted).is_ok() => return Ok(holder),
                // One that is expired or meant for something else does not keep a later one from being tried.
                Ok(()) => first = first.or(Some(holder)),
                // A sender of that issuer came nearer than one of another.
                Err(TokenRefusal::Issuer) => {}
                Err(nearer) => why = nearer,
            }
        }
        first.ok_or(Unauthenticated::Token(why))
    }

    pub(super) fn by_certificate(&self, header: &str, wanted: Wanted<'_>) -> Result<&Holder, Unauthenticated> {
        let all = self.certificates.credentials.iter().zip(&self.certificates.holders);
        let mut named = all.filter(|(name, _)| proxies::names(header, name)).map(|(_, holder)| holder);
        let first = named.next().ok_or(Unauthenticated::Certificate)?;
        let admitted = std::iter::once(first).chain(named).find(|holder| holder.admit(wanted).is_ok());
        Ok(admitted.unwrap_or(first))
    }
}

impl Holder {
    /// Whether what was proven is still good, and good for this.
    pub(super) fn admit(&self, wanted: Wanted<'_>) -> Result<(), Unauthenticated> {
        let sender = || Arc::clone(&self.sender);
        match self.expires {
            Some(at) if wanted.now >= at => return Err(Unauthenticated::Expired { sender: sender(), at }),
            Some(_) | None => {}
        }
        if self.scopes.allow(wanted.access) {
            Ok(())
        } else {
            Err(Unauthenticated::OutOfScope { sender: sender(), wanted: wanted.access.to_string() })
        }
    }
}
