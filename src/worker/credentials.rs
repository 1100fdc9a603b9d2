//! From a tenant's settings to how its client shows who it is, and what is told of that.
//!
//! Owns: the credentials of both versions of a rotation, the way with a client certificate, and the events of tokens, credentials
//! and the breaker. Never: sends anything, logs a secret. Fails: a certificate that the TLS library does not take after
//! all lets no call out, and says so. Proved by: `tests/it/credentials.rs`.

use std::sync::Arc;

use crate::domain::id::TenantId;
use crate::peer::caller::{CallerNews, CallerObserver};
use crate::peer::message::{FaultKind, Request, TransportFault};
use crate::peer::oauth::Credentials;
use crate::peer::oauth::assertion::Assertion;
use crate::peer::oauth::keeper::KeeperNews;
use crate::peer::permit::BreakerTurned;
use crate::peer::transport::{Exchange, Replying, Transport};
use crate::security::certificate::ClientCertificate;
use crate::settings::{AssertionSettings, Auth, OAuthClient, ServiceNowSettings};
use crate::telemetry::events::{BreakerChanged, BreakerState, CredentialsTurned, TokenFetched};

/// How the tenant shows who it is, and where it asks for tokens.
pub(super) fn of(settings: &ServiceNowSettings) -> (Credentials, Option<String>) {
    let (current, token_url) = one(&settings.auth);
    let credentials = match &settings.auth_next {
        Some(next) => Credentials::Rotating { current: Box::new(current), next: Box::new(one(next).0) },
        None => current,
    };
    (credentials, token_url)
}

fn one(auth: &Auth) -> (Credentials, Option<String>) {
    let token_url = |client: &OAuthClient| Some(client.token_url.to_string());
    match auth {
        Auth::ClientCredentials { client } => {
            let (client_id, client_secret) = (client.id.clone(), client.secret.clone());
            (Credentials::ClientCredentials { client_id, client_secret }, token_url(client))
        }
        Auth::JwtBearer { assertion } => {
            let AssertionSettings { client_id, client_secret, token_url, key, key_id, issuer, audience, subject } =
                assertion.clone();
            let assertion = Assertion { client_id, client_secret, key, key_id, issuer, audience, subject };
            (Credentials::JwtBearer(Box::new(assertion)), Some(token_url.to_string()))
        }
        Auth::RefreshToken { client, refresh_token, .. } => {
            let (client_id, client_secret) = (client.id.clone(), Some(client.secret.clone()));
            let refresh_token = refresh_token.clone();
            (Credentials::RefreshToken { client_id, client_secret, refresh_token }, token_url(client))
        }
        Auth::Password { client, account } => {
            let (client_id, client_secret) = (client.id.clone(), client.secret.clone());
            let (username, password) = (account.username.clone(), account.password.clone());
            (Credentials::Password { client_id, client_secret, username, password }, token_url(client))
        }
        Auth::Basic { account } => {
            let (username, password) = (account.username.clone(), account.password.clone());
            (Credentials::Basic { username, password }, None)
        }
        Auth::ApiKey { header, key } => (Credentials::ApiKey { header: Arc::clone(header), key: key.clone() }, None),
    }
}

/// The way to the instance: the shared one, or one of the tenant's own if it shows a certificate.
pub(super) fn way(shared: Transport, tenant: &TenantId, certificate: Option<&ClientCertificate>) -> Transport {
    let Some(certificate) = certificate else { return shared };
    shared.with_identity(certificate.pem()).unwrap_or_else(|refused| {
        tracing::error!(tenant.id = %tenant, error = %refused, "No call can be made for {tenant}: {refused}");
        Transport::Simulated(Arc::new(NoWay))
    })
}

/// Without its certificate the tenant must not call: the instance would take it for somebody else, or for nobody.
struct NoWay;

impl Exchange for NoWay {
    fn exchange(&self, _: Request) -> Replying {
        let why = "the client certificate could not be used";
        Box::pin(std::future::ready(Err(TransportFault::new(FaultKind::ClientCertificate, why))))
    }
}

/// Tells of a tenant's tokens, credentials and breaker.
pub(super) fn teller(tenant: TenantId) -> CallerObserver {
    Arc::new(move |news: &CallerNews<'_>| match news {
        CallerNews::Credentials(KeeperNews::Asked(version, refused)) => {
            let (outcome, detail) = refused.map_or(("granted", ""), |refused| (&refused.code, &refused.detail));
            TokenFetched { tenant: &tenant, outcome, key_version: version.as_str(), detail }.emit();
        }
        CallerNews::Credentials(KeeperNews::Turned(version)) => {
            CredentialsTurned { tenant: &tenant, key_version: version.as_str() }.emit();
        }
        CallerNews::Breaker(BreakerTurned { state, reason }) => {
            let (now, usual) = match *state {
                "closed" => (BreakerState::Closed, "the instance answers again"),
                "half_open" => (BreakerState::HalfOpen, "one call finds out whether the instance is back"),
                _ => (BreakerState::Open, "the instance keeps failing"),
            };
            BreakerChanged { tenant: &tenant, now, reason: reason.as_deref().unwrap_or(usual) }.emit();
        }
    })
}
