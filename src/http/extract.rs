//! Who sends this: the credential decides the tenant, the path is only compared.
//!
//! Unknown tenant, wrong key, wrong signature and wrong tenant for the key are one and the same answer.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;

use super::Face;
use super::error::{ApiError, Code};
use crate::limits::{BODY_BYTES_RESERVED, REQUEST_BODY_WAIT};
use crate::security::signature::SignedHeaders;
use crate::telemetry::events as told;
use crate::tenants::Tenant;
use crate::tenants::registry::{Credential, InstanceCredential, SignedRequest};

/// Refuses whoever shows no credential, or a key that is nobody's, before a byte of the body is read. A signature can only
/// be checked over the body.
pub(super) fn knock(face: &Face, tenant: &str, request: &HttpRequest) -> Result<(), ApiError> {
    match credential(face, request, b"") {
        Credential::ApiKey(_) => authenticate(face, tenant, request, b"").map(drop),
        Credential::Signature(_) => Ok(()),
    }
}

/// The tenant a request belongs to, and which of its senders made it.
pub(super) fn authenticate(
    face: &Face,
    tenant: &str,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Arc<Tenant>, ApiError> {
    authenticate_with_key(face, tenant, request, body, None)
}

/// The same, where a tool's payload may hold the key: `key` counts if the request shows nothing else.
pub(super) fn authenticate_with_key(
    face: &Face,
    tenant: &str,
    request: &HttpRequest,
    body: &[u8],
    key: Option<&str>,
) -> Result<Arc<Tenant>, ApiError> {
    let credential = match (credential(face, request, body), key) {
        (Credential::ApiKey(""), Some(key)) => Credential::ApiKey(key),
        (shown, _) => shown,
    };
    let caller = face.registry.authenticate(tenant, credential).map_err(|why| {
        told::Refused { tenant: None, code: "unauthorized", status: 401, reason: &why.to_string() }.emit();
        unauthorized()
    })?;
    let (tenant, sender) = (caller.tenant.id(), &caller.sender);
    told::Authenticated { tenant, sender, credential: caller.credential }.emit();
    Ok(caller.tenant)
}

/// Refuses whoever shows no credential of an instance before a byte of the body is read. Without a signature the headers
/// are all there is, and are checked at once.
pub(super) fn knock_as_instance(face: &Face, tenant: &str, request: &HttpRequest) -> Result<(), ApiError> {
    match signed(face, request, b"") {
        Some(_) => Ok(()),
        None => authenticate_instance(face, tenant, request, b"").map(drop),
    }
}

/// The tenant whose own ServiceNow made this request.
pub(super) fn authenticate_instance(
    face: &Face,
    tenant: &str,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Arc<Tenant>, ApiError> {
    let unsigned = |name: &str| header(request, name);
    let credential =
        signed(face, request, body).map_or(InstanceCredential::Unsigned(&unsigned), InstanceCredential::Signed);
    let caller = face.registry.authenticate_instance(tenant, credential).map_err(|why| {
        told::Refused { tenant: None, code: "unauthorized", status: 401, reason: &why.to_string() }.emit();
        unauthorized_instance()
    })?;
    let (tenant, sender) = (caller.tenant.id(), &caller.sender);
    told::Authenticated { tenant, sender, credential: caller.credential }.emit();
    Ok(caller.tenant)
}

/// The whole body, not larger than `bytes_max` and not slower than [`REQUEST_BODY_WAIT`].
pub(super) async fn body(request: &HttpRequest, payload: Payload, bytes_max: usize) -> Result<BytesMut, ApiError> {
    let too_large = || ApiError::new(Code::BodyTooLarge, format!("a body holds at most {bytes_max} bytes"));
    let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    // What is announced too large is refused before a byte of it is read.
    if announced.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    tokio::time::timeout(REQUEST_BODY_WAIT, collect(payload, announced.unwrap_or(0), bytes_max))
        .await
        .map_err(|_| ApiError::new(Code::RequestTimeout, "the body came too slowly"))?
        .ok_or_else(too_large)?
}

/// `None` as soon as the body is larger than allowed.
async fn collect(mut payload: Payload, announced: usize, bytes_max: usize) -> Option<Result<BytesMut, ApiError>> {
    // What is announced is not yet sent: room is made as it comes.
    let mut body = BytesMut::with_capacity(announced.min(BODY_BYTES_RESERVED));
    while let Some(chunk) = payload.next().await {
        let Ok(chunk) = chunk else {
            return Some(Err(ApiError::new(Code::BadRequest, "the body broke off")));
        };
        if body.len() + chunk.len() > bytes_max {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(Ok(body))
}

fn unauthorized() -> ApiError {
    ApiError::new(
        Code::Unauthorized,
        "send `Authorization: Bearer <api key>` or a Standard Webhooks signature of a sender of this tenant",
    )
}

fn unauthorized_instance() -> ApiError {
    ApiError::new(
        Code::Unauthorized,
        "sign the webhook as in Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature) with a secret of \
         this tenant's `webhook`",
    )
}

fn credential<'a>(face: &Face, request: &'a HttpRequest, body: &'a [u8]) -> Credential<'a> {
    if let Some(signed) = signed(face, request, body) {
        return Credential::Signature(signed);
    }
    let bearer = header(request, "authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    // No credential is a wrong one: both cost and say the same.
    Credential::ApiKey(bearer.unwrap_or_default())
}

fn signed<'a>(face: &Face, request: &'a HttpRequest, body: &'a [u8]) -> Option<SignedRequest<'a>> {
    let (id, timestamp) = (header(request, "webhook-id")?, header(request, "webhook-timestamp")?);
    let headers = SignedHeaders { id, timestamp, signature: header(request, "webhook-signature")? };
    Some(SignedRequest { headers, body, now: face.clock.now() })
}

/// A header that is there once. One that is there twice says nothing: which one would count?
pub(super) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name);
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok() }
}
