//! How we authenticate at an instance, after the check.
//!
//! Owns: what each kind needs, and which kinds this version can do. Never: asks for a token.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use super::codes;
use super::raw::{RawSecret, RawText};
use super::raw_tenant::RawAuth;
use super::reader::Reader;
use super::tenant::{not_yet, target};
use crate::domain::secret::Secret;
use crate::security::target::{EgressPolicy, Extent, Target};

/// How we authenticate at the instance.
#[derive(Clone, Debug)]
pub enum Auth {
    /// OAuth 2.0 client credentials.
    ClientCredentials {
        /// Who we are.
        client: OAuthClient,
    },
    /// OAuth 2.0 with a refresh token.
    RefreshToken {
        /// Who we are.
        client: OAuthClient,
        /// What somebody obtained once.
        refresh_token: Secret,
    },
    /// OAuth 2.0 with the account's password.
    Password {
        /// Who we are.
        client: OAuthClient,
        /// The account.
        account: Account,
    },
    /// The account's password with every call.
    Basic {
        /// The account.
        account: Account,
    },
}

impl Auth {
    /// The account we log in with, where there is one.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Password { account, .. } | Self::Basic { account } => Some(&account.username),
            Self::ClientCredentials { .. } | Self::RefreshToken { .. } => None,
        }
    }
}

/// An OAuth client.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// Where tokens are asked for.
    pub token_url: Target,
}

/// An account with its password.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// Turns the part into a way to authenticate. `None` if anything is wrong; it has been reported.
pub(super) fn auth(reader: &mut Reader<'_>, egress: Option<&EgressPolicy>, instance: Option<&Target>) -> Option<Auth> {
    let token_url = if reader.is_absent("servicenow.auth.token_url") {
        instance.map(|instance| instance.with_path("/oauth_token.do"))
    } else {
        target(reader, egress, "servicenow.auth.token_url", Extent::Path)
    };
    let raw: RawAuth = reader.required("servicenow.auth")?;
    let has_certificate = !reader.is_absent("servicenow.auth.mutual_tls");
    if has_certificate {
        not_yet(reader, "servicenow.auth.mutual_tls", "a client certificate", "leave `mutual_tls` out");
    }
    let auth = match raw {
        RawAuth::ClientCredentials { client_id, client_secret, .. } => {
            let client = client(reader, &client_id, &client_secret, token_url)?;
            Some(Auth::ClientCredentials { client })
        }
        RawAuth::RefreshToken { client_id, client_secret, refresh_token, .. } => {
            let refresh_token = reader.secret(&refresh_token, "servicenow.auth.refresh_token");
            let client = client(reader, &client_id, &client_secret, token_url)?;
            Some(Auth::RefreshToken { client, refresh_token: refresh_token? })
        }
        RawAuth::Password { client_id, client_secret, username, password, .. } => {
            let account = account(reader, &username, &password);
            let client = client(reader, &client_id, &client_secret, token_url)?;
            Some(Auth::Password { client, account: account? })
        }
        RawAuth::Basic { username, password, .. } => {
            account(reader, &username, &password).map(|account| Auth::Basic { account })
        }
        RawAuth::JwtBearer { .. } => {
            not_yet(reader, "servicenow.auth.kind", "`jwt_bearer`", "use `client_credentials`");
            None
        }
        RawAuth::ApiKey { .. } => {
            not_yet(reader, "servicenow.auth.kind", "`api_key`", "use `client_credentials` or `basic`");
            None
        }
    };
    auth.filter(|_| !has_certificate)
}

fn client(reader: &mut Reader<'_>, id: &RawText, secret: &RawSecret, token_url: Option<Target>) -> Option<OAuthClient> {
    let id = reader.text(id, "servicenow.auth.client_id");
    let secret = reader.secret(secret, "servicenow.auth.client_secret");
    Some(OAuthClient { id: id?, secret: secret?, token_url: token_url? })
}

fn account(reader: &mut Reader<'_>, username: &RawText, password: &RawSecret) -> Option<Account> {
    let message = "the account's own password is used; whoever holds it can do all that the account can";
    reader.warning(codes::WEAK_AUTH, "servicenow.auth.kind", message);
    reader.hint("`client_credentials` is the better choice where the instance allows it");
    let username = reader.text(username, "servicenow.auth.username");
    let password = reader.secret(password, "servicenow.auth.password");
    Some(Account { username: username?, password: password? })
}
