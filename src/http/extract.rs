//! Who sends this: the credential decides the tenant, the path is only compared.
//!
//! Unknown tenant, wrong key, wrong signature and wrong tenant for the key are one and the same answer.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{BytesMut, Payload};
use futures_util::StreamExt;

use super::credentials::{self, Shown, signed};
use super::error::{ApiError, Code};
use super::{Face, keys_at_hand};
use crate::limits::{BODY_BYTES_RESERVED, REQUEST_BODY_WAIT};
use crate::security::token::Token;
use crate::telemetry::events as told;
use crate::tenants::Tenant;
use crate::tenants::registry::{Authenticated, Credential, InstanceCredential, Unauthenticated, Wanted};

/// Refuses whoever shows no credential, or one that is nobody's, before a byte of the body is read. A signature can only
/// be checked over the body.
pub(super) fn knock(face: &Face, tenant: &str, request: &HttpRequest) -> Result<(), ApiError> {
    if Shown::of(face, request, b"", None).needs_body() {
        return Ok(());
    }
    authenticate(face, tenant, request, b"").map(drop)
}

/// The same, where the key may still come in the body: only an address that failed too often is refused. A signature is looked
/// at all the same, as everywhere.
pub(super) fn knock_with_key_to_come(face: &Face, request: &HttpRequest) -> Result<(), ApiError> {
    if Shown::of(face, request, b"", None).could_be_guessed() {
        face.attempts.check(credentials::address(face, request), face.clock.now())?;
    }
    Ok(())
}

/// The tenant a request belongs to, proven by one of its senders.
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
    let shown = Shown::of(face, request, body, key);
    let address = credentials::address(face, request);
    if shown.could_be_guessed() {
        face.attempts.check(address, face.clock.now())?;
    }
    let Some(access) = credentials::access(request) else {
        return Err(refuse(face, address, "no sender is meant for this route", unauthorized));
    };
    let wanted = Wanted { access, now: face.clock.now() };
    let caller = match &shown {
        Shown::Token(text) => by_token(face, tenant, request, text, wanted)?,
        Shown::Key(_)
        | Shown::KeyInUrl(_)
        | Shown::Basic(_)
        | Shown::Signature(_)
        | Shown::Pagerduty(_)
        | Shown::Certificate(_) => face.registry.authenticate(tenant, shown.credential(body), wanted),
    };
    let caller = caller.map_err(|why| refuse(face, address, &why.to_string(), unauthorized))?;
    Ok(admitted(caller))
}

/// The signature is looked at before the tenant is: it costs the same whichever tenant the path names.
fn by_token(
    face: &Face,
    tenant: &str,
    request: &HttpRequest,
    text: &str,
    wanted: Wanted<'_>,
) -> Result<Result<Authenticated, Unauthenticated>, ApiError> {
    let keys = keys_at_hand::of(request);
    let token = Token::read(text);
    let known = || keys.known.iter().map(|(issuer, keys)| (issuer.clone(), &**keys));
    let proven = token.as_ref().map_err(|why| *why).and_then(|token| token.proven_by(known()));
    let caller = face.registry.authenticate(tenant, Credential::Token(&proven), wanted);
    // A key that was made elsewhere may have a token's form.
    let caller =
        caller.or_else(|why| face.registry.authenticate(tenant, Credential::ApiKey(text), wanted).map_err(|_| why));
    match (caller, keys.later) {
        (Err(_), Some(wait)) => {
            // A made-up token costs as much as a wrong one, so it counts as one.
            face.attempts.failed(credentials::address(face, request), face.clock.now())?;
            let reason = "the keys of the token's issuer cannot be had just now";
            let code = Code::IssuerUnavailable;
            told::Refused { tenant: None, code: code.as_str(), status: code.status().as_u16(), reason }.emit();
            Err(ApiError::new(code, "it cannot be said just now whether your token is good; send it again")
                .retry_after(wait))
        }
        (caller, _) => Ok(caller),
    }
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
    let address = credentials::address(face, request);
    if matches!(credential, InstanceCredential::Unsigned(_)) {
        face.attempts.check(address, face.clock.now())?;
    }
    let caller = face.registry.authenticate_instance(tenant, credential);
    let caller = caller.map_err(|why| refuse(face, address, &why.to_string(), unauthorized_instance))?;
    Ok(admitted(caller))
}

fn admitted(caller: Authenticated) -> Arc<Tenant> {
    let (tenant, sender) = (caller.tenant.id(), &caller.sender);
    told::Authenticated { tenant, sender, credential: caller.credential }.emit();
    caller.tenant
}

/// One and the same answer, whatever the reason; the log alone is told that. Who fails too often is asked to slow down.
fn refuse(face: &Face, address: IpAddr, reason: &str, answer: fn() -> ApiError) -> ApiError {
    if let Err(held_off) = face.attempts.failed(address, face.clock.now()) {
        return held_off;
    }
    told::Refused { tenant: None, code: "unauthorized", status: 401, reason }.emit();
    answer()
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
        "show a credential of a sender of this tenant: `Authorization: Bearer <api key>`, a Standard Webhooks signature, or \
         what else its file names",
    )
}

fn unauthorized_instance() -> ApiError {
    ApiError::new(
        Code::Unauthorized,
        "sign the webhook as in Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature) with a secret of \
         this tenant's `webhook`",
    )
}

/// A header that is there once. One that is there twice says nothing: which one would count?
pub(super) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name);
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok() }
}
