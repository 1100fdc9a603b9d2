//! What a request shows to prove who sends it, and what it wants; only read here, judged in [`super::extract`].
//!
//! One credential counts, whatever else is shown: a signature of Standard Webhooks, else the `Authorization` header, else
//! PagerDuty's signature (which PagerDuty adds to everything it sends), else the certificate that a trusted proxy names,
//! else a key in the body or in the address. A wrong one is not made good by another.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use url::form_urlencoded;

use super::Face;
use super::extract::header;
use crate::security::scope::Access;
use crate::security::signature::SignedHeaders;
use crate::security::token::Token;
use crate::tenants::registry::{Credential, SignedRequest};

/// What a request shows.
#[derive(Debug)]
pub(super) enum Shown<'a> {
    /// A key, or nothing at all, which costs and says the same as a wrong one.
    Key(&'a str),
    /// A key in the address.
    KeyInUrl(String),
    /// A token of an OAuth issuer.
    Token(&'a str),
    /// User name and password.
    Basic(&'a str),
    /// A signature of Standard Webhooks.
    Signature(SignedRequest<'a>),
    /// A signature of PagerDuty.
    Pagerduty(&'a str),
    /// Names of a certificate.
    Certificate(&'a str),
}

impl<'a> Shown<'a> {
    /// What this request shows; `key` is one that its body holds.
    pub(super) fn of(face: &Face, request: &'a HttpRequest, body: &'a [u8], key: Option<&'a str>) -> Self {
        if let Some(signed) = signed(face, request, body) {
            return Self::Signature(signed);
        }
        if request.headers().contains_key("authorization") {
            return authorization(request);
        }
        if request.headers().contains_key("x-pagerduty-signature") {
            return Self::Pagerduty(header(request, "x-pagerduty-signature").unwrap_or_default());
        }
        if let Some(names) = certificate(face, request) {
            return Self::Certificate(names);
        }
        if let Some(key) = key {
            return Self::Key(key);
        }
        key_in_url(request).map_or(Self::Key(""), Self::KeyInUrl)
    }

    /// Whether it can only be checked over the body.
    pub(super) const fn needs_body(&self) -> bool {
        match self {
            Self::Signature(_) | Self::Pagerduty(_) => true,
            Self::Key(_) | Self::KeyInUrl(_) | Self::Token(_) | Self::Basic(_) | Self::Certificate(_) => false,
        }
    }

    /// Whether it could be guessed by somebody who may try as often as they like.
    pub(super) const fn could_be_guessed(&self) -> bool {
        match self {
            Self::Basic(_) => true,
            Self::Key(key) => key.is_empty(),
            Self::KeyInUrl(_) | Self::Token(_) | Self::Signature(_) | Self::Pagerduty(_) | Self::Certificate(_) => {
                false
            }
        }
    }

    /// For the registry; a token is judged before.
    pub(super) fn credential(&'a self, body: &'a [u8]) -> Credential<'a> {
        match self {
            Self::Key(key) | Self::Token(key) => Credential::ApiKey(key),
            Self::KeyInUrl(key) => Credential::KeyInUrl(key),
            Self::Basic(pair) => Credential::Basic(pair),
            Self::Signature(request) => Credential::Signature(*request),
            Self::Pagerduty(signatures) => Credential::Pagerduty { signatures, body },
            Self::Certificate(names) => Credential::Certificate(names),
        }
    }
}

/// The text after `Authorization: Bearer`, if there is one.
pub(super) fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, rest) = header(request, "authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}

/// What the three headers of Standard Webhooks say.
pub(super) fn signed<'a>(face: &Face, request: &'a HttpRequest, body: &'a [u8]) -> Option<SignedRequest<'a>> {
    let (id, timestamp) = (header(request, "webhook-id")?, header(request, "webhook-timestamp")?);
    let headers = SignedHeaders { id, timestamp, signature: header(request, "webhook-signature")? };
    Some(SignedRequest { headers, body, now: face.clock.now() })
}

/// What a request of this route wants; `None` for a route that no sender is meant for.
pub(super) fn access(request: &HttpRequest) -> Option<Access<'_>> {
    match request.match_pattern()?.as_str() {
        "/v1/tenants/{tenant}/events" => Some(Access::Events),
        "/v1/tenants/{tenant}/sources/{source}" => Some(Access::Source(request.match_info().get("source")?)),
        "/v1/tenants/{tenant}/deliveries/{id}" => Some(Access::Deliveries),
        _ => None,
    }
}

/// Where a request came from, as far as anybody trustworthy says.
pub(super) fn address(face: &Face, request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let lines: Vec<&str> =
        request.headers().get_all("x-forwarded-for").map(|line| line.to_str().unwrap_or_default()).collect();
    face.proxies.caller(peer, lines.into_iter())
}

fn authorization(request: &HttpRequest) -> Shown<'_> {
    let Some((scheme, rest)) = header(request, "authorization").and_then(|value| value.split_once(' ')) else {
        return Shown::Key("");
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        Shown::Basic(rest)
    } else if !scheme.eq_ignore_ascii_case("bearer") {
        Shown::Key("")
    } else if Token::is_meant(rest) {
        Shown::Token(rest)
    } else {
        Shown::Key(rest)
    }
}

/// Believed only of a trusted proxy; whatever else sends this header is not even looked at.
fn certificate<'a>(face: &Face, request: &'a HttpRequest) -> Option<&'a str> {
    let is_trusted = request.peer_addr().is_some_and(|peer| face.proxies.trust(peer.ip()));
    let names = is_trusted.then(|| header(request, &face.proxies.certificate_header))?;
    names.filter(|names| !names.is_empty())
}

/// The one `key` in the address of a source.
fn key_in_url(request: &HttpRequest) -> Option<String> {
    let Some(Access::Source(_)) = access(request) else { return None };
    let mut keys = form_urlencoded::parse(request.query_string().as_bytes()).filter(|(name, _)| name == "key");
    let key = keys.next().map(|(_, key)| key.into_owned())?;
    keys.next().is_none().then_some(key)
}
