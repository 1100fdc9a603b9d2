//! Asking an issuer for its keys: its document, which must be its own, and the set of keys that this names.

use std::sync::Arc;

use serde::Deserialize;

use crate::limits::{ISSUER_ANSWER_BYTES_MAX, ISSUER_TIMEOUT};
use crate::peer::message::{HeaderMap, HeaderValue, Method, Request, TransportFault};
use crate::peer::transport::{Allowance, Transport};
use crate::security::target::{EgressPolicy, Extent, ForbiddenTarget, Target};
use crate::security::token::{InvalidKeySet, Issuer, KeySet, KeySource};

/// The way to every issuer.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) encrypted: Transport,
    pub(super) plain: Transport,
    pub(super) egress: Arc<EgressPolicy>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{url} cannot be reached: {detail}")]
    Unreachable { url: Target, detail: String },
    #[error("{url} answers {status}")]
    Status { url: Target, status: u16 },
    #[error("the answer of {url} is longer than {ISSUER_ANSWER_BYTES_MAX} bytes, or broke off")]
    Cut { url: Target },
    #[error("the document at {url} is not one of OpenID Connect Discovery")]
    Document { url: Target },
    #[error("the document at {url} is that of another issuer")]
    Stranger { url: Target },
    #[error("the document at {url} names a place of keys that must not be called: {why}")]
    Forbidden { url: Target, why: ForbiddenTarget },
    #[error("the keys at {url} cannot be used: {why}")]
    Keys { url: Target, why: InvalidKeySet },
}

/// OpenID Connect Discovery 1.0, section 4.2; RFC 8414 has the same two.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Way {
    /// Fetches once.
    pub(super) async fn fetch(&self, issuer: &Issuer) -> Result<KeySet, FetchError> {
        let url = match &issuer.keys {
            KeySource::At(url) => url.clone(),
            KeySource::Discovered(document) => self.discover(&issuer.name, document).await?,
        };
        let body = self.get(&url).await?;
        KeySet::parse(&body).map_err(|why| FetchError::Keys { url, why })
    }

    async fn discover(&self, name: &str, url: &Target) -> Result<Target, FetchError> {
        let body = self.get(url).await?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| FetchError::Document { url: url.clone() })?;
        if document.issuer != name {
            return Err(FetchError::Stranger { url: url.clone() });
        }
        let keys = self.egress.check(&document.jwks_uri, Extent::Path);
        keys.map_err(|why| FetchError::Forbidden { url: url.clone(), why })
    }

    async fn get(&self, target: &Target) -> Result<Vec<u8>, FetchError> {
        let url = target.url();
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("application/json"));
        headers.insert("user-agent", HeaderValue::from_static(concat!("snowgate/", env!("CARGO_PKG_VERSION"))));
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let request = Request {
            method: Method::Get,
            origin: target.origin().into(),
            path_and_query: format!("{}{query}", url.path()),
            headers,
            body: Vec::new(),
        };
        let way = if target.is_plain() { &self.plain } else { &self.encrypted };
        let allowance = Allowance { time: ISSUER_TIMEOUT, body_bytes_max: ISSUER_ANSWER_BYTES_MAX };
        let unreachable = |TransportFault { detail, .. }| FetchError::Unreachable { url: target.clone(), detail };
        let answer = way.send(request, allowance).await.map_err(unreachable)?;
        match answer.status {
            200 if answer.cut => Err(FetchError::Cut { url: target.clone() }),
            200 => Ok(answer.body),
            // A redirect is not followed: it would lead past the operator's list.
            status => Err(FetchError::Status { url: target.clone(), status }),
        }
    }
}
