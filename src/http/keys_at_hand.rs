//! Before a request with a token is handled, the keys of the token's issuer are looked for; the handlers then need not wait.
//!
//! Owns: the one place of the public face that may wait for somebody else, for seconds at most and this request alone.
//! Never: refuses anybody; what was found is left with the request. Fails: by leaving "later" there.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::future::join_all;

use super::{Face, credentials};
use crate::issuers::Keys;
use crate::security::token::{Issuer, KeySet, Token};

/// The keys of everybody who may have issued this request's token.
#[derive(Clone, Debug, Default)]
pub(super) struct KeysAtHand {
    pub(super) known: Vec<(Issuer, Arc<KeySet>)>,
    /// Some of them cannot be had just now.
    pub(super) later: Option<Duration>,
}

/// What was found for this request.
pub(super) fn of(request: &HttpRequest) -> KeysAtHand {
    request.extensions().get::<KeysAtHand>().cloned().unwrap_or_default()
}

/// Looks for the keys.
pub(super) async fn look<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if let Some(face) = request.app_data::<Data<Face>>().cloned()
        && let Some(keys) = keys(&face, request.request()).await
    {
        request.extensions_mut().insert(keys);
    }
    next.call(request).await
}

/// `None` for a request without a token.
async fn keys(face: &Face, request: &HttpRequest) -> Option<KeysAtHand> {
    let text = credentials::bearer(request).filter(|text| Token::is_meant(text))?;
    let token = Token::read(text).ok()?;
    // All at once: a slow source must not add its wait to that of another.
    let (issuers, key) = (&face.issuers, token.key_id());
    let looks = face.registry.issuers(token.issuer()).into_iter().map(|issuer| async move {
        let keys = issuers.keys(&issuer, key).await;
        (issuer, keys)
    });
    let mut found = KeysAtHand::default();
    for (issuer, keys) in join_all(looks).await {
        match keys {
            Keys::Known(keys) => found.known.push((issuer, keys)),
            Keys::Later(wait) => found.later = Some(found.later.map_or(wait, |known| known.max(wait))),
        }
    }
    Some(found)
}
