//! The one HTTP client that all tenants share: its pool is keyed by host, so they share code and memory, not connections.
//!
//! Whether a request "may have been sent" is known from its body: the client takes the body only when it writes the
//! head, and writes nothing before. A body that was never taken means that not one byte left.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};

use super::super::message::{Answer, FaultKind, Method, Request, TransportFault};
use super::Allowance;
use super::addresses::{AddressFilter, Guarded, check_literal};
use super::faults::{self, Circumstances};
use crate::domain::secret::Secret;
use crate::limits::{
    ANSWER_BYTES_RESERVED, ANSWER_HEADERS_MAX, CONNECT_TIMEOUT, IDLE_CONNECTION_TIME, IDLE_CONNECTIONS_PER_HOST_MAX,
};

/// How the shared client is built. A tenant with mutual TLS or an authority of its own gets a client of its own.
#[derive(Clone)]
pub struct HttpOptions {
    /// Which addresses may be dialled.
    pub addresses: AddressFilter,
    /// Name, TCP and TLS together.
    pub connect_time: Duration,
    /// The egress proxy, such as `http://proxy:3128`; the environment's proxies are never used.
    pub proxy: Option<String>,
    /// Certificate authorities trusted beside those of the machine, as PEM.
    pub authorities: Vec<String>,
    /// Our certificate and its key for mutual TLS, as PEM.
    pub identity: Option<Secret>,
}

impl HttpOptions {
    /// The usual client, dialling what `addresses` allows.
    pub fn new(addresses: AddressFilter) -> Self {
        Self { addresses, connect_time: CONNECT_TIMEOUT, proxy: None, authorities: Vec::new(), identity: None }
    }
}

/// Why the client could not be built; the cause says which part of the options is wrong.
#[derive(Debug, thiserror::Error)]
pub enum HttpOptionsError {
    /// A certificate, a key or the proxy's address cannot be read.
    #[error("could not build the HTTP client: {what} cannot be used")]
    Unusable {
        /// Which option.
        what: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// The shared client.
pub struct Http {
    client: reqwest::Client,
    addresses: AddressFilter,
    proxied: bool,
    /// How it was built, for clients that differ in one thing.
    options: HttpOptions,
}

impl Http {
    /// Builds the client.
    pub fn new(options: &HttpOptions) -> Result<Self, HttpOptionsError> {
        let unusable = |what| move |source| HttpOptionsError::Unusable { what, source };
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Guarded(Arc::clone(&options.addresses)))
            .connect_timeout(options.connect_time)
            .http1_only()
            .http1_max_headers(ANSWER_HEADERS_MAX)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE_CONNECTION_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST_MAX);
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(unusable("the egress proxy"))?);
        }
        for authority in &options.authorities {
            let bundle = reqwest::Certificate::from_pem_bundle(authority.as_bytes());
            builder = builder.tls_certs_merge(bundle.map_err(unusable("a certificate authority"))?);
        }
        if let Some(identity) = &options.identity {
            let identity = reqwest::Identity::from_pem(identity.expose().as_bytes());
            builder = builder.identity(identity.map_err(unusable("the client certificate"))?);
        }
        let client = builder.build().map_err(unusable("the TLS configuration"))?;
        let (addresses, proxied) = (Arc::clone(&options.addresses), options.proxy.is_some());
        Ok(Self { client, addresses, proxied, options: options.clone() })
    }

    /// A client like this one that shows a certificate, with connections of its own: one tenant's certificate must not
    /// speak for another.
    pub fn with_identity(&self, identity: &Secret) -> Result<Self, HttpOptionsError> {
        Self::new(&HttpOptions { identity: Some(identity.clone()), ..self.options.clone() })
    }

    /// Sends one request, once, and reads at most what the allowance grants.
    pub async fn send(&self, request: Request, allowance: Allowance) -> Result<Answer, TransportFault> {
        let deadline = Instant::now() + allowance.time;
        let mut request = request;
        let taken = Arc::new(AtomicBool::new(request.method == Method::Get));
        let body = (request.method != Method::Get).then(|| {
            let body = std::mem::take(&mut request.body);
            let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
            (watched(body, Arc::clone(&taken)), bytes)
        });
        let response = self.execute(self.prepare(request, body)?, deadline, &taken).await?;
        Ok(read(response, deadline, allowance.body_bytes_max).await)
    }

    /// Sends what was prepared, once, and waits for the head of its answer. `taken` says whether a byte may have left.
    pub(super) async fn execute(
        &self,
        prepared: reqwest::Request,
        deadline: Instant,
        taken: &AtomicBool,
    ) -> Result<reqwest::Response, TransportFault> {
        let begun = Instant::now();
        let known = || Circumstances { sent: taken.load(Ordering::Acquire), proxied: self.proxied };
        match timeout_at(deadline, self.client.execute(prepared)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(faults::of_error(error, known())),
            Err(_) => {
                let kind = FaultKind::Timeout { sent: known().sent };
                Err(TransportFault::new(kind, format!("no answer within {} s", (deadline - begun).as_secs())))
            }
        }
    }

    /// The client's own request: with this body of known size, or without any.
    pub(super) fn prepare(
        &self,
        request: Request,
        body: Option<(reqwest::Body, u64)>,
    ) -> Result<reqwest::Request, TransportFault> {
        let unbuildable = |why: String| TransportFault::new(FaultKind::Unbuildable, why);
        let Request { method, origin, mut path_and_query, headers, body: _ } = request;
        path_and_query.insert_str(0, &origin);
        let url = reqwest::Url::parse(&path_and_query).map_err(|error| unbuildable(error.to_string()))?;
        if !self.proxied {
            check_literal(url.host_str().unwrap_or_default(), &self.addresses)
                .map_err(|why| TransportFault::new(FaultKind::ForbiddenAddress, why.to_string()))?;
        }
        let verb = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut prepared = reqwest::Request::new(verb, url);
        *prepared.headers_mut() = headers;
        if let Some((body, bytes)) = body {
            let length = reqwest::header::HeaderValue::from(bytes);
            prepared.headers_mut().insert(reqwest::header::CONTENT_LENGTH, length);
            *prepared.body_mut() = Some(body);
        }
        Ok(prepared)
    }
}

/// A body that remembers having been taken for writing. Being a stream it cannot be sent a second time either.
fn watched(body: Vec<u8>, taken: Arc<AtomicBool>) -> reqwest::Body {
    reqwest::Body::wrap_stream(stream::once(async move {
        taken.store(true, Ordering::Release);
        Ok::<_, Infallible>(body)
    }))
}

/// Reads the body chunk by chunk. Whatever ends it early leaves a cut answer: the status is known all the same.
pub(super) async fn read(mut response: reqwest::Response, deadline: Instant, bytes_max: usize) -> Answer {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut answer = Answer {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: Vec::with_capacity(announced.min(ANSWER_BYTES_RESERVED)),
        cut: true,
    };
    while let Ok(Ok(chunk)) = timeout_at(deadline, response.chunk()).await {
        let Some(chunk) = chunk else {
            answer.cut = false;
            break;
        };
        if answer.body.len() + chunk.len() > bytes_max {
            break;
        }
        answer.body.extend_from_slice(&chunk);
    }
    answer
}
