//! What goes over the wire to a peer and what comes back, as plain values.
//!
//! Owns: the shape of a request, an answer and a fault. Never: opens a socket, judges an answer, knows a tenant.
//! Fails: it cannot. Proved by: the test here, and `tests/servicenow.rs` over a real socket.

use std::fmt;
use std::sync::Arc;

pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The verbs we use. ServiceNow treats PUT as PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, and asks for tokens.
    Post,
    /// Changes the fields sent, and no others.
    Patch,
    /// Removes a record of our own that was made to try the way; nothing else is ever removed.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One request. Its `Debug` shows neither body nor headers: they hold secrets and customers' text.
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Scheme, host and port, without a trailing slash, such as `https://contoso.service-now.com`.
    pub origin: Arc<str>,
    /// Starts with `/`; everything in it is already escaped.
    pub path_and_query: String,
    /// All headers that matter to the peer but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// Empty for a read.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{} {}{path} ({} bytes)", self.method.as_str(), self.origin, self.body.len())
    }
}

/// One answer, whole or cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether the body ended before its end, for any reason: over the cap, too slow, connection lost.
    pub cut: bool,
}

impl Answer {
    /// A header's text, if it is there once and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

/// Why no answer came at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The name could not be resolved.
    Dns,
    /// The name resolved to an address that tenants may not reach, or the address itself is one.
    ForbiddenAddress,
    /// No connection: refused, unreachable, or not within the time.
    Connect,
    /// The certificate is not acceptable, or no protocol version is shared: a person must act.
    Certificate,
    /// The peer asked for a client certificate and did not accept ours.
    ClientCertificate,
    /// The connection broke while TLS was being agreed.
    TlsBroken,
    /// Our own way out (the egress proxy) is in the way.
    Proxy,
    /// The time was up.
    Timeout {
        /// Whether anything of the request may have been written.
        sent: bool,
    },
    /// The connection broke before the answer's head was complete.
    Reset {
        /// Whether anything of the request may have been written.
        sent: bool,
    },
    /// What came back is not HTTP, or too much of it: header floods, bad lengths.
    Protocol,
    /// A file is larger than it may be.
    TooLarge,
    /// A file ended before its end.
    Cut,
    /// Our own file could not be read or written.
    File,
    /// The request could not be built; a defect of ours.
    Unbuildable,
}

/// A fault of the way, with words for people; never with secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportFault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// The chain of causes in words.
    pub detail: String,
}

impl TransportFault {
    /// A fault and its words.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_neither_its_query_nor_its_body_nor_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
        let request = Request {
            method: Method::Post,
            origin: "https://contoso.service-now.com".into(),
            path_and_query: "/api/now/table/incident?sysparm_query=hunter2".to_owned(),
            headers,
            body: b"hunter2".to_vec(),
        };
        assert_eq!(format!("{request:?}"), "POST https://contoso.service-now.com/api/now/table/incident (7 bytes)");
    }
}
