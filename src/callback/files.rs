//! Files to and from the managed service: an event whose content is a file, and a file that an event of theirs names.
//!
//! Owns: `CloudEvents` in binary mode (the attributes are headers, the body is the file) with the same signature as any
//! event, made by reading the file once more; and fetching a file from where an event says it is. Never: keeps a file in
//! memory, follows a redirect, shows our credentials to a host that is not the receiver.
//! Fails: with an [`Outcome`]. Where a file may be fetched from is decided before: a [`Target`] has passed the egress
//! policy, and each address it resolves to is asked about by the transport.
//! Proved by: the tests here, and `tests/callback.rs` over real sockets.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::classify::{Answered, classify, of_no_file};
use super::client::{Client, USER_AGENT, headers, unusable_id};
use super::event::Event;
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::time::Timestamp;
use crate::limits::{CALLBACK_ANSWER_BYTES_MAX, FILE_PIECE_BYTES, FILE_TIMEOUT};
use crate::peer::caller::{Attempt, Made};
use crate::peer::message::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use crate::peer::oauth::keeper::Pass;
use crate::peer::permit::Permit;
use crate::peer::transport::files::{Downloaded, Fetched, FileBody, Sink};
use crate::peer::transport::{Allowance, Transport};
use crate::security::target::Target;

/// A file that is the content of an event.
#[derive(Clone, Copy, Debug)]
pub struct FileToSend<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// Its size.
    pub bytes: u64,
    /// What it is, such as `image/png`.
    pub media_type: &'a str,
    /// What else is to be known of it, as extension attributes: names of lower-case letters and digits, and their
    /// values, such as `("filename", "log.zip")`.
    pub attributes: &'a [(&'static str, &'a str)],
}

/// A file to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct FileToFetch<'a> {
    /// Where from.
    pub url: &'a Target,
    /// The way there, which dials only what the egress rules allow for this address.
    pub way: &'a Transport,
    /// Where to; a file that is there is replaced.
    pub into: &'a Path,
    /// Its size at most.
    pub bytes_max: u64,
    /// SHA-256 of its content in hexadecimal digits, if the event said it.
    pub sha256: Option<&'a str>,
}

impl Client {
    /// Sends an event whose content is a file, in place of its `data`.
    pub async fn send_file(&self, permit: Permit, event: &Event, file: &FileToSend<'_>) -> Result<Answered, Outcome> {
        let attempt = |pass| self.try_send_file(event, file, pass);
        self.caller().call(permit, attempt, |made| self.report(made)).await
    }

    /// Fetches a file of the managed service, whole or not at all. A file that is not the one named is removed again.
    pub async fn fetch_file(&self, permit: Permit, wanted: &FileToFetch<'_>) -> Result<Downloaded, Outcome> {
        let attempt = |pass| self.try_fetch(wanted, pass);
        let report = |made: &Made<'_>| self.report(made);
        let fetched = if *wanted.url.origin() == **self.origin() {
            self.caller().call(permit, attempt, report).await?
        } else {
            self.caller().call_without_pass(permit, attempt, report).await?
        };
        if wanted.sha256.is_none_or(|sha256| sha256.eq_ignore_ascii_case(&fetched.sha256)) {
            return Ok(fetched);
        }
        // What could not be removed lies in a directory for temporary files.
        tokio::fs::remove_file(wanted.into).await.unwrap_or_default();
        let why = format!("the file's SHA-256 is {}, not the one that the event names", fetched.sha256);
        Err(Outcome::new(Class::Refused, "file_hash_differs").with_detail(why))
    }

    async fn try_send_file(&self, event: &Event, file: &FileToSend<'_>, pass: Option<Pass>) -> Attempt<Answered> {
        let now = self.caller().now();
        let signature = match self.signature_of_file(&event.id, now, file.path).await {
            Ok(signature) => signature,
            Err(error) => {
                let unusable = Outcome::new(Class::NotProcessed, "file_unusable").with_detail(error.to_string());
                return Attempt::without_answer(Err(unusable));
            }
        };
        let Some(mut headers) = headers(&event.id, now, &signature, pass) else {
            return Attempt::without_answer(Err(unusable_id()));
        };
        push_attributes(&mut headers, event, file);
        let request = self.request(headers, Vec::new());
        let body = FileBody { path: file.path, bytes: file.bytes };
        let allowance = Allowance { time: FILE_TIMEOUT, body_bytes_max: CALLBACK_ANSWER_BYTES_MAX };
        let reply = self.caller().transport().upload(request, body, allowance).await;
        let now = self.caller().now();
        Attempt::of(now, &reply, classify(now, &reply))
    }

    /// All signatures of a file, with one reading of it.
    async fn signature_of_file(&self, id: &str, now: Timestamp, path: &Path) -> std::io::Result<String> {
        let mut signers: Vec<_> = self.secrets().iter().map(|secret| secret.signer(id, now)).collect();
        let mut file = File::open(path).await?;
        let mut piece = Vec::with_capacity(FILE_PIECE_BYTES);
        while file.read_buf(&mut piece).await? > 0 {
            for signer in &mut signers {
                signer.update(&piece);
            }
            piece.clear();
        }
        let signatures: Vec<String> = signers.into_iter().map(crate::security::signature::Signer::finish).collect();
        Ok(signatures.join(" "))
    }

    async fn try_fetch(&self, wanted: &FileToFetch<'_>, pass: Option<Pass>) -> Attempt<Downloaded> {
        let url = wanted.url.url();
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert("user-agent", HeaderValue::from_static(USER_AGENT));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        if let Some(Pass { header: (name, value), .. }) = pass {
            headers.insert(name, value);
        }
        let request = Request {
            method: Method::Get,
            origin: Arc::from(wanted.url.origin()),
            path_and_query: url
                .query()
                .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())),
            headers,
            body: Vec::new(),
        };
        let sink = Sink { path: wanted.into, bytes_max: wanted.bytes_max, time: FILE_TIMEOUT };
        let (reply, file) = match wanted.way.download(request, sink).await {
            Ok(Fetched { answer, file }) => (Ok(answer), file),
            Err(fault) => (Err(fault), None),
        };
        let now = self.caller().now();
        let result = file.ok_or_else(|| of_no_file(now, &reply));
        // The limits that another host tells are not those of the receiver.
        Attempt { status: reply.ok().map(|answer| answer.status), ..Attempt::without_answer(result) }
    }
}

/// The event's attributes as headers (CloudEvents 1.0, HTTP binding 3.1.3).
fn push_attributes(headers: &mut HeaderMap, event: &Event, file: &FileToSend<'_>) {
    let optional = [("subject", event.subject.as_deref()), ("cause", event.cause.as_deref())];
    let attributes = [
        ("specversion", "1.0"),
        ("id", event.id.as_str()),
        ("source", event.source.as_str()),
        ("type", event.kind.as_str()),
        ("time", event.time.as_str()),
        ("origin", event.origin.as_str()),
    ];
    let given = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in attributes.into_iter().chain(given).chain(file.attributes.iter().copied()) {
        let name = HeaderName::try_from(format!("ce-{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&escaped(value))) {
            headers.insert(name, value);
        }
    }
    let media_type = HeaderValue::from_str(file.media_type).ok().filter(|text| !text.is_empty());
    let unknown = HeaderValue::from_static("application/octet-stream");
    headers.insert("content-type", media_type.unwrap_or(unknown));
}

/// A header's value: what is not printable ASCII, and `"`, `%` and spaces, as percent-encoded UTF-8.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            value.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(value, "%{byte:02X}").unwrap_or_default();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::delivery::kind::TicketKind;
    use crate::domain::id::TenantId;

    #[test]
    fn the_attributes_of_an_event_become_headers() {
        let tenant = TenantId::parse("contoso").unwrap();
        let event =
            Event::new(&tenant, TicketKind::AttachmentAdded, "a-7", Timestamp::EPOCH, Value::Null).about("Raum 4 %");
        let file = FileToSend {
            path: Path::new("x"),
            bytes: 1,
            media_type: "image/png",
            attributes: &[("filename", "Bild \"ü\".png")],
        };
        let mut headers = HeaderMap::new();
        push_attributes(&mut headers, &event, &file);
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "a-7"),
            ("ce-type", "ticket.attachment_added"),
            ("ce-source", "/tenants/contoso/servicenow"),
            ("ce-subject", "Raum%204%20%25"),
            ("ce-origin", "servicenow"),
            ("ce-filename", "Bild%20%22%C3%BC%22.png"),
            ("content-type", "image/png"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert!(!headers.contains_key("ce-cause"));
    }
}
