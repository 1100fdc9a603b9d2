//! A request and a response as plain values, and the URL arithmetic they need.
//!
//! Owns: headers without case, query strings, percent decoding, the two or three body shapes.
//! Never: sockets or a framework's types, so the same values serve the HTTP shell and a virtual-time simulation.
//! Fails: it cannot; undecodable bytes become U+FFFD, as the platform's own decoder does not refuse them either.
//! Proved by: the tests below.

use serde_json::Value;

use super::attachments::Upload;

/// One call to the simulated instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The verb as sent; see [`Request::verb`] for the one that counts.
    pub method: String,
    /// The path, still percent-encoded, without the query.
    pub path: String,
    /// What followed the `?`, as sent; empty if there was none.
    pub query: String,
    /// Header names and values in the order sent; names compare without case.
    pub headers: Vec<(String, String)>,
    /// The body as sent; empty if it is an `upload`.
    pub body: Vec<u8>,
    /// A file that was hashed while it arrived, so that a large one needs no memory.
    pub upload: Option<Upload>,
    /// SHA-256 of the certificate that the caller showed to TLS, in hexadecimal.
    pub certificate: Option<String>,
}

impl Request {
    /// A request for `target`, a path with an optional query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), ..Self::default() }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with_header("Content-Type", "application/json")
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The verb that counts: `X-HTTP-Method-Override` wins (REST API reference, `c_RESTAPI.md`).
    pub fn verb(&self) -> String {
        self.header("X-HTTP-Method-Override").unwrap_or(&self.method).to_ascii_uppercase()
    }

    /// Whether the verb may change a record.
    pub fn is_write(&self) -> bool {
        matches!(self.verb().as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case("cookie"));
        cookies
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// What the instance answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for `204`, `202` and `HEAD`.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON answer, in ServiceNow's own spelling of the content type.
    pub fn json(status: u16, body: &Value) -> Self {
        let response = Self { status, headers: Vec::new(), body: body.to_string().into_bytes() };
        response.with_header("Content-Type", "application/json;charset=UTF-8")
    }

    /// A page, as load balancers and hibernating instances send it.
    pub fn html(status: u16, body: &str) -> Self {
        let response = Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        response.with_header("Content-Type", "text/html;charset=UTF-8")
    }

    /// An answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as JSON, if it is JSON.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The name and value pairs of a query string or a form body, decoded.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Percent-decodes one component of a query or form; `+` is a space.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_pair(&mut bytes).unwrap_or(b'%'),
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Takes two hex digits, or nothing at all.
fn hex_pair(bytes: &mut (impl Iterator<Item = u8> + Clone)) -> Option<u8> {
    let mut ahead = bytes.clone();
    let high = char::from(ahead.next()?).to_digit(16)?;
    let low = char::from(ahead.next()?).to_digit(16)?;
    *bytes = ahead;
    u8::try_from(high * 16 + low).ok()
}

/// Percent-encodes one query value.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoded: &str, plain: &str) {
        assert_eq!(decode(encoded), plain);
        assert_eq!(decode(&encode(plain)), plain, "what we encode we also decode");
    }

    #[test]
    fn query_values_are_decoded() {
        check("a%5Eb+c", "a^b c");
        check("50%25", "50%");
        check("50%", "50%");
        check("%zz", "%zz");
        check("Z%C3%BCrich", "Zürich");
    }

    #[test]
    fn the_override_header_names_the_verb() {
        let request = Request::new("POST", "/x?y=1").with_header("x-http-method-override", "patch");
        assert_eq!((request.verb().as_str(), request.query.as_str()), ("PATCH", "y=1"));
    }

    #[test]
    fn cookies_are_found_by_name() {
        let request = Request::new("GET", "/").with_header("Cookie", "a=1; JSESSIONID=abc");
        assert_eq!((request.cookie("JSESSIONID"), request.cookie("b")), (Some("abc"), None));
    }
}
