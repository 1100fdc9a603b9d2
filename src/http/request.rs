//! Every request has an id, which its answer, its log lines and its row of the audit log carry; a W3C `traceparent` is
//! continued in the log. Every answer has the headers that keep a browser from making anything of it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use tracing::Instrument;

use super::bursts;
use crate::runtime::entropy;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer. Nothing here is a page; one that is says so itself, with a policy of its own.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
];

/// The id of the request that is being answered.
#[derive(Clone, Debug)]
struct RequestId(String);

/// The id of a request; empty outside of [`track`].
pub(super) fn id_of(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// The address of whoever is connected: a proxy's, if there is one.
pub(super) fn source_of(request: &HttpRequest) -> String {
    request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default()
}

/// Gives the request its id and its span, and the answer the headers that every answer has.
pub async fn track<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let id = request_id(&request);
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_id);
    let span = tracing::info_span!("request", request.id = %id, trace.id = trace.as_deref().unwrap_or_default(),
        http.method = %request.method());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.call(request).instrument(span).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        bursts::note(response.request());
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in ALWAYS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// The caller's id if it is a plain word, else a new one.
fn request_id(request: &ServiceRequest) -> String {
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
    given.map_or_else(entropy::new_word, str::to_owned)
}

/// The trace id of `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    let hex = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn only_a_real_traceparent_is_continued() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{trace}-b7ad6b7169203331-01")).as_deref(), Some(trace));
        assert_eq!(trace_id("00-zz-b7ad6b7169203331-01"), None);
        assert_eq!(trace_id(""), None);
    }
}
