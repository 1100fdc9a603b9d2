//! Asking for a token: the grants of the `oauth2` crate, and the one with an assertion, over our own transport.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken, RequestTokenError,
    ResourceOwnerPassword, ResourceOwnerUsername, Scope, TokenResponse as _, TokenUrl,
};

use super::super::message::{HeaderValue, Method, Request};
use super::super::transport::{Allowance, Transport};
use super::super::{waits, words};
use super::assertion::Assertion;
use super::{Credentials, answer, unusable};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::secret::Secret;
use crate::domain::time::{SharedClock, Timestamp};
use crate::limits::{TOKEN_ANSWER_BYTES_MAX, TOKEN_LIFE, TOKEN_LIFE_MAX, TOKEN_LIFE_MIN, TOKEN_TIMEOUT};

/// What is needed to ask.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    /// Such as `https://contoso.service-now.com/oauth_token.do`.
    pub url: String,
    /// What client credentials ask the token to be good for, if that must be said.
    pub scope: Option<String>,
    /// Whom they are for, where one endpoint serves several.
    pub audience: Option<String>,
    /// The way there.
    pub transport: Transport,
    /// For waits that the endpoint asks for.
    pub clock: SharedClock,
}

/// What was granted.
#[derive(Debug)]
pub struct Granted {
    /// The token.
    pub access: Secret,
    /// How long it lives, within sensible bounds.
    pub life: Duration,
    /// A refresh token other than the one used, if the endpoint rotates them.
    pub refresh: Option<Secret>,
}

/// What came of asking once.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) result: Result<Granted, Outcome>,
    /// What time it is by the endpoint's clock, if an answer said so.
    pub(super) there: Option<Timestamp>,
}

/// What one request for a token needs beside the credentials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    /// The newest refresh token known, where that is how the tenant asks.
    pub(super) refresh: Option<&'a Secret>,
    /// Now, by the endpoint's clock as far as it is known.
    pub(super) now: Timestamp,
}

/// Where the endpoint's time is put, past the `oauth2` crate.
type There = Arc<Mutex<Option<Timestamp>>>;

/// Asks once.
pub(super) async fn ask(endpoint: &TokenEndpoint, credentials: &Credentials, asking: Asking<'_>) -> Asked {
    let there = There::default();
    let result = match credentials {
        Credentials::JwtBearer(assertion) => asserted(endpoint, assertion, asking.now, &there).await,
        Credentials::ClientCredentials { client_id, client_secret }
        | Credentials::Password { client_id, client_secret, .. } => {
            granted_to(endpoint, credentials, (client_id, Some(client_secret)), asking.refresh, &there).await
        }
        Credentials::RefreshToken { client_id, client_secret, .. } => {
            granted_to(endpoint, credentials, (client_id, client_secret.as_ref()), asking.refresh, &there).await
        }
        Credentials::Basic { .. } | Credentials::ApiKey { .. } | Credentials::Rotating { .. } => {
            Err(unusable("they are not exchanged for a token"))
        }
    };
    let there = *there.lock().unwrap_or_else(PoisonError::into_inner);
    Asked { result, there }
}

/// With an assertion: a grant that the `oauth2` crate does not know.
async fn asserted(
    endpoint: &TokenEndpoint,
    assertion: &Assertion,
    now: Timestamp,
    there: &There,
) -> Result<Granted, Outcome> {
    let unbuildable = || Outcome::new(Class::Defect, "token_request_unbuildable");
    let request = oauth2::http::Request::builder()
        .method("POST")
        .uri(&endpoint.url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(assertion.form(now)?.into_bytes())
        .map_err(|_| unbuildable())?;
    let answer = exchange(endpoint.clone(), request, Arc::clone(there)).await.map_err(|Failed(outcome)| outcome)?;
    let token: BasicTokenResponse = serde_json::from_slice(answer.body())
        .map_err(|error| Outcome::new(Class::NotProcessed, "token_not_json").with_detail(error.to_string()))?;
    Ok(granted(&token))
}

/// With a grant of the `oauth2` crate.
async fn granted_to(
    endpoint: &TokenEndpoint,
    credentials: &Credentials,
    (client_id, client_secret): (&String, Option<&Secret>),
    refresh: Option<&Secret>,
    there: &There,
) -> Result<Granted, Outcome> {
    let url = TokenUrl::new(endpoint.url.clone()).map_err(|_| unusable("the token address is not a URL"))?;
    // ServiceNow reads client id and secret from the form only.
    let mut client =
        BasicClient::new(ClientId::new(client_id.clone())).set_token_uri(url).set_auth_type(AuthType::RequestBody);
    if let Some(secret) = client_secret {
        client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
    }
    let http = |request: HttpRequest| exchange(endpoint.clone(), request, Arc::clone(there));
    let reply = match credentials {
        Credentials::Password { username, password, .. } => {
            let username = ResourceOwnerUsername::new(username.clone());
            let password = ResourceOwnerPassword::new(password.expose().to_owned());
            client.exchange_password(&username, &password).request_async(&http).await
        }
        Credentials::RefreshToken { refresh_token, .. } => {
            let newest = RefreshToken::new(refresh.unwrap_or(refresh_token).expose().to_owned());
            client.exchange_refresh_token(&newest).request_async(&http).await
        }
        Credentials::ClientCredentials { .. }
        | Credentials::Basic { .. }
        | Credentials::ApiKey { .. }
        | Credentials::JwtBearer(_)
        | Credentials::Rotating { .. } => {
            let mut request = client.exchange_client_credentials();
            // Several are separated by spaces, which stay as they are.
            if let Some(scope) = &endpoint.scope {
                request = request.add_scope(Scope::new(scope.clone()));
            }
            if let Some(audience) = &endpoint.audience {
                request = request.add_extra_param("audience", audience.as_str());
            }
            request.request_async(&http).await
        }
    };
    match reply {
        Ok(token) => Ok(granted(&token)),
        Err(RequestTokenError::Request(Failed(outcome))) => Err(outcome),
        Err(other) => {
            Err(Outcome::new(Class::NotProcessed, "token_not_json").with_detail(words::clean(&other.to_string())))
        }
    }
}

fn granted(token: &BasicTokenResponse) -> Granted {
    let life = token.expires_in().unwrap_or(TOKEN_LIFE).clamp(TOKEN_LIFE_MIN, TOKEN_LIFE_MAX);
    Granted {
        access: Secret::new(token.access_token().secret().as_str()),
        life,
        refresh: token.refresh_token().map(|refresh| Secret::new(refresh.secret().as_str())),
    }
}

/// An outcome on its way through the `oauth2` crate.
#[derive(Debug, thiserror::Error)]
#[error("no token")]
struct Failed(Outcome);

/// The crate's request over our transport; the answer comes back tidied.
/// `there` is told the endpoint's time.
async fn exchange(endpoint: TokenEndpoint, request: HttpRequest, there: There) -> Result<HttpResponse, Failed> {
    let defect = || Failed(Outcome::new(Class::Defect, "token_request_unbuildable"));
    let (head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or_else(defect)?;
    let scheme = head.uri.scheme_str().ok_or_else(defect)?;
    let mut headers = head.headers;
    headers.insert("user-agent", HeaderValue::from_static(concat!("snowgate/", env!("CARGO_PKG_VERSION"))));
    let request = Request {
        method: Method::Post,
        origin: Arc::from(format!("{scheme}://{authority}")),
        path_and_query: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        headers,
        body,
    };
    let allowance = Allowance { time: TOKEN_TIMEOUT, body_bytes_max: TOKEN_ANSWER_BYTES_MAX };
    let reply = endpoint.transport.send(request, allowance).await;
    *there.lock().unwrap_or_else(PoisonError::into_inner) = reply.as_ref().ok().and_then(waits::date);
    let body = answer::tidy(endpoint.clock.now(), reply).map_err(Failed)?;
    oauth2::http::Response::builder().header("content-type", "application/json").body(body).map_err(|_| defect())
}
