//! Signed bearer tokens (JWT, RFC 7519 and 9068) of OAuth issuers: read, proven by an issuer's key, held to a sender's rules.
//!
//! Three steps, because they know different things. [`Token::read`] takes the text apart and believes nothing of it.
//! [`Token::proven_by`] says which issuers' keys made the signature; it knows no tenant, so it costs the same whichever
//! tenant a caller names, and is done once. [`TokenRules::check`] compares what the token says with what one sender may
//! say. [`keys`] are an issuer's published keys.
//!
//! Owns: which algorithms there are (RSA and elliptic curves; never `none`, never HMAC, whatever a token or a key says).
//! Never: fetches keys, reads a clock, follows an address that stands in a token (`jku`, `x5u`).
//! Fails: closed, with a [`TokenRefusal`] for the log. Proved by: the tests below, and `tests/it/callers.rs` with
//! a real OAuth server.

pub mod keys;
mod read;
mod rules;

pub use keys::{InvalidKeySet, KeySet};
pub use read::Token;
pub use rules::{Issuer, KeySource, Proven, TokenRules};

#[cfg(test)]
mod tests;

/// Why a token is not taken; for the log, so it never quotes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is too long.
    #[error("the token is too long")]
    TooLong,
    /// It cannot be taken apart.
    #[error("the token is malformed")]
    Malformed,
    /// It is of a type that is no access token.
    #[error("the token is of another type than `JWT` and `at+jwt`")]
    Type,
    /// It is signed in a way that we do not take.
    #[error("the token's algorithm is not RS256, RS384, RS512, PS256, PS384, PS512, ES256 or ES384")]
    Algorithm,
    /// It does not name the key that signed it.
    #[error("the token names no key (`kid`)")]
    NoKeyId,
    /// It asks for something that we do not understand.
    #[error("the token has critical headers (`crit`)")]
    Critical,
    /// No sender of any tenant has this issuer.
    #[error("no sender has the token's issuer")]
    Stranger,
    /// The issuer publishes no such key.
    #[error("the token's issuer publishes no such key")]
    UnknownKey,
    /// The key did not make the signature.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has ended.
    #[error("the token has ended")]
    Ended,
    /// It has not begun.
    #[error("the token has not begun")]
    NotYet,
    /// No sender of this tenant has this issuer.
    #[error("no sender of the tenant has the token's issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It was given to another application.
    #[error("the token belongs to another client")]
    Client,
    /// It lacks the roles.
    #[error("the token has none of the sender's roles")]
    Role,
    /// It lacks the scopes.
    #[error("the token has none of the sender's scopes")]
    Scope,
    /// It speaks for somebody else.
    #[error("the token speaks for another subject")]
    Subject,
}
