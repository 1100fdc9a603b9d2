//! CloudEvents 1.0 over HTTP: structured, batch and binary mode become the same [`Envelope`]s.
//!
//! Owns: what an envelope must carry. Never: looks into `data` (that is the canonical model's business).
//! Source: CloudEvents 1.0.2, JSON format and HTTP protocol binding.

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{ApiError, Code, Fault};
use crate::domain::change::ChangeKind;
use crate::domain::id::{EventKey, IncidentId};
use crate::limits::{BATCH_EVENTS_MAX, JSON_DEPTH_MAX};

/// What an event says besides its `data`.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) event: EventKey,
    pub(super) kind: ChangeKind,
    pub(super) subject: Option<IncidentId>,
    pub(super) data: &'a str,
}

/// An item of a request, or everything that is wrong with its envelope.
pub(super) type Read<'a> = Result<Envelope<'a>, Vec<Fault>>;

/// The structured form. Attributes we do not know are extensions and ignored.
#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow, default)]
    specversion: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    data_base64: Option<serde::de::IgnoredAny>,
}

/// How the events of a request are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Structured,
    Batch,
    Binary,
}

impl Mode {
    /// From the media type; a body that is plain JSON is binary mode if the `ce-` headers are there, else structured.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let media_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/cloudevents-batch+json" => Ok(Self::Batch),
            "application/json" if headers.contains_key("ce-type") => Ok(Self::Binary),
            "application/cloudevents+json" | "application/json" => Ok(Self::Structured),
            _ => Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send application/cloudevents+json, application/cloudevents-batch+json, or application/json with ce- headers",
            )),
        }
    }
}

/// Reads every event of a body; an item that is wrong does not hide what is wrong with another.
pub(super) fn read<'a>(mode: Mode, headers: &HeaderMap, body: &'a [u8]) -> Result<Vec<Read<'a>>, ApiError> {
    let text = plain(body)?;
    match mode {
        Mode::Structured => {
            let event: Structured<'a> = parse(text)?;
            Ok(vec![check(&event)])
        }
        Mode::Batch => batch(&parse::<Vec<Structured<'a>>>(text)?),
        Mode::Binary => {
            // The body is only checked for being JSON here; `data` as a whole is what was sent.
            let data: &'a RawValue = parse(text)?;
            let header = |name| {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                value.map(|value| Cow::Owned(percent_decoded(value)))
            };
            let event = Structured {
                specversion: header("ce-specversion"),
                id: header("ce-id"),
                source: header("ce-source"),
                kind: header("ce-type"),
                subject: header("ce-subject"),
                datacontenttype: None,
                data: Some(data),
                data_base64: None,
            };
            Ok(vec![check(&event)])
        }
    }
}

fn batch<'a>(events: &[Structured<'a>]) -> Result<Vec<Read<'a>>, ApiError> {
    if events.len() > BATCH_EVENTS_MAX {
        let detail = format!("a batch holds at most {BATCH_EVENTS_MAX} events; this one has {}", events.len());
        return Err(ApiError::new(Code::BodyTooLarge, detail));
    }
    Ok(events.iter().map(check).collect())
}

fn check<'a>(event: &Structured<'a>) -> Read<'a> {
    let mut faults = Vec::new();
    let mut fault =
        |pointer: &str, message: String| faults.push(Fault { item: None, pointer: pointer.to_owned(), message });
    if event.specversion.as_deref() != Some("1.0") {
        fault("/specversion", "must be \"1.0\"".to_owned());
    }
    let kind = event.kind.as_deref().and_then(ChangeKind::parse);
    if kind.is_none() {
        let known = ChangeKind::ALL.map(ChangeKind::as_str).join(", ");
        let said = event
            .kind
            .as_deref()
            .map_or_else(|| "is missing".to_owned(), |kind| format!("`{}` is unknown", shown(kind)));
        fault("/type", format!("{said}: use one of {known}"));
    }
    let id = event.id.as_deref().unwrap_or_default();
    let source = event.source.as_deref().unwrap_or_default();
    let key = EventKey::new(source, id);
    match &key {
        _ if id.is_empty() => fault("/id", "is missing: it makes a repeated event recognisable".to_owned()),
        _ if source.is_empty() => fault("/source", "is missing: name the system that sends this".to_owned()),
        _ if source.starts_with("snowgate:") => fault("/source", "`snowgate:` is reserved".to_owned()),
        Err(invalid) => fault("/id", invalid.to_string()),
        Ok(_) => {}
    }
    let subject = event.subject.as_deref().filter(|subject| !subject.is_empty()).map(IncidentId::parse).transpose();
    if let Err(invalid) = &subject {
        fault("/subject", invalid.to_string());
    }
    if event.data_base64.is_some() {
        fault("/data_base64", "is not accepted: send JSON in `data`".to_owned());
    }
    if event.datacontenttype.as_deref().is_some_and(|kind| !kind.contains("json")) {
        fault("/datacontenttype", "only JSON is accepted".to_owned());
    }
    if event.data.is_none() {
        fault("/data", "is missing".to_owned());
    }
    match (key, kind, subject, event.data) {
        (Ok(event), Some(kind), Ok(subject), Some(data)) if faults.is_empty() => {
            Ok(Envelope { event, kind, subject, data: data.get() })
        }
        _ => Err(faults),
    }
}

/// The body as text, not nested deeper than a stack can bear.
fn plain(body: &[u8]) -> Result<&str, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("the body is not UTF-8: byte {} starts no character", error.valid_up_to());
        ApiError::new(Code::MalformedJson, detail)
    })?;
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            let detail = format!("the JSON is nested deeper than {JSON_DEPTH_MAX} levels");
            return Err(ApiError::new(Code::MalformedJson, detail));
        }
    }
    Ok(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            let message = error.to_string();
            ApiError::invalid(vec![Fault { item: None, pointer: String::new(), message }])
        } else {
            ApiError::new(Code::MalformedJson, error.to_string())
        }
    })
}

/// CloudEvents' HTTP binding percent-encodes header values; what is no valid escape stays as it is.
fn percent_decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = value.get(at + 1..at + 3).filter(|_| byte == b'%');
        if let Some(escaped) = escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(escaped);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| value.to_owned())
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> Vec<(usize, String)> {
        let mode = if body.starts_with('[') { Mode::Batch } else { Mode::Structured };
        let items = read(mode, &HeaderMap::new(), body.as_bytes()).unwrap();
        let wrong = items.into_iter().enumerate().filter_map(|(item, read)| Some((item, read.err()?)));
        wrong.flat_map(|(item, faults)| faults.into_iter().map(move |fault| (item, fault.pointer))).collect()
    }

    #[test]
    fn the_smallest_event_of_the_contract_is_read() {
        let body = r#"{"specversion":"1.0","id":"e-1","source":"soc","type":"incident.opened","data":{"incident":{"id":"MTR-1"}}}"#;
        let mut envelopes = read(Mode::Structured, &HeaderMap::new(), body.as_bytes()).unwrap();
        let envelope = envelopes.pop().unwrap().unwrap();
        assert!(envelopes.is_empty());
        assert_eq!(envelope.kind, ChangeKind::Opened);
        assert_eq!(envelope.event.parts(), ("soc", "e-1"));
        assert_eq!(envelope.data, r#"{"incident":{"id":"MTR-1"}}"#);
    }

    #[test]
    fn everything_missing_is_named_at_once() {
        let pointers = faults("{}").into_iter().map(|(_, pointer)| pointer).collect::<Vec<_>>();
        assert_eq!(pointers, ["/specversion", "/type", "/id", "/data"]);
    }

    #[test]
    fn faults_of_a_batch_name_their_item() {
        let good = r#"{"specversion":"1.0","id":"e","source":"s","type":"incident.opened","data":{}}"#;
        let bad = r#"{"specversion":"1.0","id":"e","source":"snowgate:x","type":"incident.opened","data":{}}"#;
        assert_eq!(faults(&format!("[{good},{bad}]")), [(1, "/source".to_owned())]);
    }

    #[test]
    fn a_repeated_key_in_the_envelope_is_refused() {
        let body = r#"{"specversion":"1.0","id":"a","id":"b","source":"s","type":"incident.opened","data":{}}"#;
        let error = read(Mode::Structured, &HeaderMap::new(), body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidEvent);
    }

    #[test]
    fn broken_bodies_say_where() {
        for (body, expected) in [
            (&b"{"[..], "EOF while parsing an object at line 1 column 1"),
            (b"\xff{}", "the body is not UTF-8: byte 0 starts no character"),
            (b"", "EOF while parsing a value at line 1 column 0"),
        ] {
            let error = read(Mode::Structured, &HeaderMap::new(), body).unwrap_err();
            assert_eq!((error.code(), error.detail()), (Code::MalformedJson, expected));
        }
        let deep = "[".repeat(10_000);
        assert!(read(Mode::Batch, &HeaderMap::new(), deep.as_bytes()).unwrap_err().detail().contains("deeper than"));
    }

    #[test]
    fn binary_mode_reads_the_headers() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("ce-specversion", "1.0"), ("ce-id", "a%20b"), ("ce-source", "s"), ("ce-type", "incident.resolved")]
        {
            headers.insert(
                actix_web::http::header::HeaderName::from_static(name),
                actix_web::http::header::HeaderValue::from_static(value),
            );
        }
        let mut envelopes = read(Mode::Binary, &headers, br#"{"incident":{"id":"1"}}"#).unwrap();
        let envelope = envelopes.pop().unwrap().unwrap();
        assert_eq!(envelope.event.parts(), ("s", "a b"));
        assert_eq!(envelope.kind, ChangeKind::Resolved);
    }
}
