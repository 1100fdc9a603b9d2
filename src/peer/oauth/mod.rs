//! Who we are to an instance: credentials, and the tokens they are exchanged for.
//!
//! Owns: the one token of a tenant, in memory only; [`keeper`] decides when it is fetched and with which version of the
//! credentials, [`grant`] fetches it through the `oauth2` crate (and [`assertion`] for signed ones), [`answer`] makes a
//! token endpoint's answer fit for it. Never: writes a token anywhere, follows a
//! redirect, revokes anything (ServiceNow gives every caller of an account the *same* token: revoking ours ends others').
//! Fails: with an [`Outcome`] whose code starts with `token_`; the call it was for was then not sent.
//! Proved by: `tests/servicenow.rs`: fifty refused calls fetch one token, a hanging endpoint holds one connection.

pub mod answer;
pub mod assertion;
pub mod grant;
pub mod keeper;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::message::{HeaderName, HeaderValue};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::secret::Secret;

/// How a tenant proves who it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// OAuth 2.0 client credentials: the usual choice.
    ClientCredentials {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
    },
    /// OAuth 2.0 resource owner password: for instances where client credentials are switched off.
    Password {
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// The integration user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A refresh token that a person obtained. ServiceNow never extends its life of 100 days.
    RefreshToken {
        /// The client's id.
        client_id: String,
        /// The client's secret; public clients have none.
        client_secret: Option<Secret>,
        /// The refresh token.
        refresh_token: Secret,
    },
    /// HTTP Basic. Newer instances refuse it to users who may also log in.
    Basic {
        /// The integration user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A header, usually `x-sn-apikey`, where the instance has an inbound profile for it.
    ApiKey {
        /// The header's name.
        header: Arc<str>,
        /// The key.
        key: Secret,
    },
    /// OAuth 2.0 with an assertion that we sign (RFC 7523).
    JwtBearer(Box<assertion::Assertion>),
    /// Two versions while a credential is being replaced: the next one is used once the current one is refused, and the
    /// other way round.
    Rotating {
        /// What is used first.
        current: Box<Self>,
        /// What is used when that is refused.
        next: Box<Self>,
    },
}

/// Which of two credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyVersion {
    /// The one in use, or the only one.
    #[default]
    Current,
    /// The coming one of a rotation.
    Next,
}

impl KeyVersion {
    /// The word used in logs and as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Current => Self::Next,
            Self::Next => Self::Current,
        }
    }
}

impl Credentials {
    /// The header of credentials that are sent as they are; `None` for those that are exchanged for a token.
    fn fixed_header(&self) -> Option<Result<(HeaderName, HeaderValue), Outcome>> {
        match self {
            Self::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                Some(header(HeaderName::from_static("authorization"), &format!("Basic {pair}")))
            }
            Self::ApiKey { header: name, key } => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable("the header's name is none"));
                Some(name.and_then(|name| header(name, key.expose())))
            }
            Self::ClientCredentials { .. }
            | Self::Password { .. }
            | Self::RefreshToken { .. }
            | Self::JwtBearer(_)
            | Self::Rotating { .. } => None,
        }
    }

    /// What a person looks at when these are refused; instances answer every mistake with the same words.
    const fn remedy(&self) -> &'static str {
        match self {
            Self::ClientCredentials { .. } => {
                "check client id and secret, the property that allows the grant, and the OAuth application user"
            }
            Self::Password { .. } => "check client id and secret, the password, and whether the user is locked",
            Self::RefreshToken { .. } => {
                "check client id and secret, and whether the refresh token ended (100 days): then obtain another one"
            }
            Self::JwtBearer(_) => {
                "check key id, certificate and algorithm of the verifier map, audience, issuer, subject, and both clocks"
            }
            Self::Basic { .. } | Self::ApiKey { .. } | Self::Rotating { .. } => "",
        }
    }
}

fn unusable(why: &str) -> Outcome {
    Outcome::new(Class::Misconfigured, "credentials_unusable").with_detail(why)
}

/// A header that no `Debug` shows.
fn header(name: HeaderName, text: &str) -> Result<(HeaderName, HeaderValue), Outcome> {
    let mut value = HeaderValue::from_str(text).map_err(|_| unusable("they cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_their_headers_never_show() {
        let basic = Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new("hunter2") };
        assert!(!format!("{basic:?}").contains("hunter2"));
        let (name, value) = basic.fixed_header().unwrap().unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Basic c25vd2dhdGU6aHVudGVyMg=="));
        assert_eq!(format!("{value:?}"), "Sensitive");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_the_tenants_mistake() {
        for (name, key) in [("x-sn-apikey", "a\nb"), ("x sn", "a"), ("", "a")] {
            let broken = Credentials::ApiKey { header: name.into(), key: Secret::new(key) };
            assert_eq!(broken.fixed_header().unwrap().unwrap_err().code, "credentials_unusable");
        }
    }
}
