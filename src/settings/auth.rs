//! How we authenticate at an instance, after the check.
//!
//! Owns: what each kind needs, and the two versions of a credential while it is being replaced. Never: asks for a token.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::sync::Arc;

use super::auth_ends::refresh_token_ends;
use super::codes;
use super::raw::{RawSecret, RawText};
use super::raw_tenant::RawAuth;
use super::reader::Reader;
use super::tenant::target;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::security::assertion::{AssertionKey, BadKey};
use crate::security::target::{EgressPolicy, Extent, Target};

/// How we authenticate at the instance.
#[derive(Clone, Debug)]
pub enum Auth {
    /// OAuth 2.0 client credentials.
    ClientCredentials {
        /// Who we are.
        client: OAuthClient,
    },
    /// OAuth 2.0 with an assertion that we sign.
    JwtBearer {
        /// What is signed, and with what.
        assertion: AssertionSettings,
    },
    /// OAuth 2.0 with a refresh token.
    RefreshToken {
        /// Who we are.
        client: OAuthClient,
        /// What somebody obtained once.
        refresh_token: Secret,
        /// When it ends, if somebody said when it was obtained.
        ends: Option<Timestamp>,
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
    /// A key of the instance's own, with every call.
    ApiKey {
        /// The header that carries it.
        header: Arc<str>,
        /// The key.
        key: Secret,
    },
}

impl Auth {
    /// The account we log in with, where there is one.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Password { account, .. } | Self::Basic { account } => Some(&account.username),
            Self::ClientCredentials { .. }
            | Self::JwtBearer { .. }
            | Self::RefreshToken { .. }
            | Self::ApiKey { .. } => None,
        }
    }

    /// When the refresh token ends, if there is one and somebody said when it was obtained.
    pub const fn refresh_token_ends(&self) -> Option<Timestamp> {
        match self {
            Self::RefreshToken { ends, .. } => *ends,
            Self::ClientCredentials { .. }
            | Self::JwtBearer { .. }
            | Self::Password { .. }
            | Self::Basic { .. }
            | Self::ApiKey { .. } => None,
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

/// An assertion that we sign (RFC 7523).
#[derive(Clone, Debug)]
pub struct AssertionSettings {
    /// The OAuth client.
    pub client_id: String,
    /// Its secret, if the instance wants it beside the assertion.
    pub client_secret: Option<Secret>,
    /// Where tokens are asked for.
    pub token_url: Target,
    /// Signs.
    pub key: AssertionKey,
    /// The id under which the instance knows the key.
    pub key_id: Option<String>,
    /// Who signs.
    pub issuer: String,
    /// Who is to believe it.
    pub audience: String,
    /// The user it speaks for.
    pub subject: String,
}

/// A credential, and during a rotation the coming one.
struct Versions<T> {
    current: T,
    next: Option<T>,
}

impl<T: Clone> Versions<T> {
    fn into_auth(self, auth: impl Fn(T) -> Auth) -> (Auth, Option<Auth>) {
        (auth(self.current), self.next.map(auth))
    }

    /// Two credentials that are shown together, of which at most one is being replaced.
    fn with<U: Clone>(self, other: Versions<U>) -> Versions<(T, U)> {
        let next = match (self.next, other.next) {
            (Some(next), _) => Some((next, other.current.clone())),
            (None, Some(next)) => Some((self.current.clone(), next)),
            (None, None) => None,
        };
        Versions { current: (self.current, other.current), next }
    }
}

/// What all kinds with a token are read with.
struct Reading<'r, 'a> {
    reader: &'r mut Reader<'a>,
    token_url: Option<Target>,
}

/// Turns the part into a way to authenticate, and during a rotation the coming one. `None` if anything is wrong; it has
/// been reported.
pub(super) fn auth(
    reader: &mut Reader<'_>,
    egress: Option<&EgressPolicy>,
    instance: Option<&Target>,
) -> Option<(Auth, Option<Auth>)> {
    let token_url = if reader.is_absent("servicenow.auth.token_url") {
        instance.map(|instance| instance.with_path("/oauth_token.do"))
    } else {
        target(reader, egress, "servicenow.auth.token_url", Extent::Path)
    };
    let raw: RawAuth = reader.required("servicenow.auth")?;
    let is_one = one_at_a_time(reader);
    let mut reading = Reading { reader, token_url };
    let auth = match raw {
        RawAuth::ClientCredentials { client_id, client_secret, client_secret_next, .. } => {
            let client = reading.client(&client_id, &client_secret, client_secret_next.as_ref())?;
            Some(client.into_auth(|client| Auth::ClientCredentials { client }))
        }
        RawAuth::RefreshToken {
            client_id,
            client_secret,
            client_secret_next,
            refresh_token,
            refresh_token_obtained,
            refresh_token_days,
            ..
        } => {
            let client = reading.client(&client_id, &client_secret, client_secret_next.as_ref());
            let refresh_token = reading.reader.secret(&refresh_token, "servicenow.auth.refresh_token");
            let ends = refresh_token_ends(reading.reader, refresh_token_obtained.as_deref(), refresh_token_days);
            let refresh_token = refresh_token?;
            Some(client?.into_auth(|client| Auth::RefreshToken { client, refresh_token: refresh_token.clone(), ends }))
        }
        RawAuth::Password {
            client_id, client_secret, client_secret_next, username, password, password_next, ..
        } => {
            let client = reading.client(&client_id, &client_secret, client_secret_next.as_ref());
            let account = reading.account(&username, &password, password_next.as_ref());
            Some(client?.with(account?).into_auth(|(client, account)| Auth::Password { client, account }))
        }
        RawAuth::Basic { username, password, password_next, .. } => {
            let account = reading.account(&username, &password, password_next.as_ref())?;
            Some(account.into_auth(|account| Auth::Basic { account }))
        }
        RawAuth::ApiKey { key, key_next, header, .. } => {
            let key = reading.secrets("key", &key, key_next.as_ref());
            let header = header_name(reading.reader, header.as_deref())?;
            Some(key?.into_auth(|key| Auth::ApiKey { header: Arc::clone(&header), key }))
        }
        raw @ RawAuth::JwtBearer { .. } => reading.assertion(raw),
    };
    auth.filter(|_| is_one)
}

/// With two of them being replaced nobody could tell which pair is good, and wrong pairs lock accounts.
fn one_at_a_time(reader: &mut Reader<'_>) -> bool {
    const NEXT: [&str; 4] = ["client_secret_next", "password_next", "key_next", "private_key_next"];
    let given = |name: &&str| !reader.is_absent(&format!("servicenow.auth.{name}"));
    let given: Vec<&str> = NEXT.into_iter().filter(given).collect();
    let [first, second, ..] = given.as_slice() else {
        let is_orphan = given.is_empty() || !given.contains(&"private_key_next");
        if is_orphan && !reader.is_absent("servicenow.auth.key_id_next") {
            let message = "`key_id_next` names a key that is not there: `private_key_next` is missing";
            reader.error(codes::ROTATION, "servicenow.auth.key_id_next", message);
            return false;
        }
        return true;
    };
    let message = format!("`{first}` and `{second}` cannot both be rotated at a time");
    reader.error(codes::ROTATION, &format!("servicenow.auth.{second}"), message);
    reader.hint("finish one rotation, then begin the other");
    false
}

impl Reading<'_, '_> {
    /// A secret and perhaps the coming one, which must differ.
    fn secrets(&mut self, name: &str, current: &RawSecret, next: Option<&RawSecret>) -> Option<Versions<Secret>> {
        let path = format!("servicenow.auth.{name}");
        let current = self.reader.secret(current, &path);
        let next = match next {
            Some(next) => Some(self.reader.secret(next, &format!("{path}_next"))?),
            None => None,
        };
        let current = current?;
        if next.as_ref().is_some_and(|next| next.expose() == current.expose()) {
            let message = format!("`{name}_next` is the very same as `{name}`");
            self.reader.error(codes::ROTATION, &format!("{path}_next"), message);
            self.reader.hint("put the coming one there, or take the line out: the rotation is over");
            return None;
        }
        Some(Versions { current, next })
    }

    fn client(&mut self, id: &RawText, secret: &RawSecret, next: Option<&RawSecret>) -> Option<Versions<OAuthClient>> {
        let id = self.reader.text(id, "servicenow.auth.client_id");
        let Versions { current, next } = self.secrets("client_secret", secret, next)?;
        let (id, token_url) = (id?, self.token_url.clone()?);
        let client = |secret| OAuthClient { id: id.clone(), secret, token_url: token_url.clone() };
        Some(Versions { next: next.map(client), current: client(current) })
    }

    fn account(
        &mut self,
        username: &RawText,
        password: &RawSecret,
        next: Option<&RawSecret>,
    ) -> Option<Versions<Account>> {
        let message = "the account's own password is used; whoever holds it can do all that the account can";
        self.reader.warning(codes::WEAK_AUTH, "servicenow.auth.kind", message);
        self.reader.hint("`client_credentials` is the better choice where the instance allows it");
        let username = self.reader.text(username, "servicenow.auth.username");
        let Versions { current, next } = self.secrets("password", password, next)?;
        let username = username?;
        let account = |password| Account { username: username.clone(), password };
        Some(Versions { next: next.map(account), current: account(current) })
    }

    fn assertion(&mut self, raw: RawAuth) -> Option<(Auth, Option<Auth>)> {
        let RawAuth::JwtBearer {
            client_id,
            client_secret,
            private_key,
            key_id,
            private_key_next,
            key_id_next,
            subject,
            issuer,
            audience,
            ..
        } = raw
        else {
            return None;
        };
        let client_id = self.reader.text(&client_id, "servicenow.auth.client_id");
        let client_secret = match client_secret {
            Some(secret) => Some(self.reader.secret(&secret, "servicenow.auth.client_secret")?),
            None => None,
        };
        let keys = self.secrets("private_key", &private_key, private_key_next.as_ref())?;
        let key = self.signing("private_key", &keys.current);
        let next = match keys.next {
            // A key that is replaced under the same id is the usual way of those who use none.
            Some(next) => Some((self.signing("private_key_next", &next)?, key_id_next.or_else(|| key_id.clone()))),
            None => None,
        };
        let client_id = client_id?;
        let token_url = self.token_url.clone()?;
        let versions = Versions { current: (key?, key_id), next };
        Some(versions.into_auth(|(key, key_id)| Auth::JwtBearer {
            assertion: AssertionSettings {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                token_url: token_url.clone(),
                key,
                key_id,
                issuer: issuer.clone().unwrap_or_else(|| client_id.clone()),
                audience: audience.clone().unwrap_or_else(|| client_id.clone()),
                subject: subject.clone(),
            },
        }))
    }

    fn signing(&mut self, name: &str, pem: &Secret) -> Option<AssertionKey> {
        let path = format!("servicenow.auth.{name}");
        let why = match AssertionKey::from_pem(pem.expose()) {
            Ok(key) => return Some(key),
            Err(why) => why,
        };
        self.reader.error(codes::PRIVATE_KEY, &path, why.to_string());
        self.reader.hint(match why {
            BadKey::Encrypted => "write it without a passphrase, `openssl pkey -in KEY -out PLAIN`, and guard the file",
            BadKey::NotPrivate | BadKey::Garbled => {
                "`openssl pkey -in KEY -noout -text` shows whether a file holds a key"
            }
            BadKey::Unsupported => "make one: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY`",
        });
        None
    }
}

/// The header that carries the key; not one that means something else already.
fn header_name(reader: &mut Reader<'_>, given: Option<&str>) -> Option<Arc<str>> {
    const TAKEN: [&str; 8] =
        ["accept", "connection", "content-length", "content-type", "cookie", "host", "te", "transfer-encoding"];
    let name = given.unwrap_or("x-sn-apikey").to_ascii_lowercase();
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_token && !TAKEN.contains(&name.as_str()) {
        return Some(name.into());
    }
    let message = format!("`{}` cannot name the header that carries the key", name.escape_debug());
    reader.error(codes::NAME, "servicenow.auth.header", message);
    reader.hint("leave it out for `x-sn-apikey`, or write the name that the instance's inbound profile expects");
    None
}
