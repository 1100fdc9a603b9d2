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
use crate::limits::{BATCH_EVENTS_MAX, HOPS_MAX, JSON_DEPTH_MAX};

/// What an event says besides its `data`.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) event: EventKey,
    pub(super) kind: ChangeKind,
    pub(super) subject: Option<IncidentId>,
    pub(super) data: &'a str,
    /// Whether it says that it came from ServiceNow, or has gone round.
    pub(super) is_echo: bool,
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
    #[serde(borrow, default)]
    origin: Option<&'a RawValue>,
    #[serde(borrow, default)]
    hops: Option<&'a RawValue>,
}

/// Where an event has been: the extension attributes `origin` and `hops`. What is wrong with them is a fault.
#[derive(Debug, Default)]
struct Trail<'a> {
    origin: Option<Result<Cow<'a, str>, &'static str>>,
    hops: Option<Result<u64, &'static str>>,
}

impl<'a> Trail<'a> {
    /// From the JSON members.
    fn of_members(event: &Structured<'a>) -> Self {
        let origin = |raw: &'a RawValue| serde_json::from_str::<Text<'a>>(raw.get()).map(|text| text.0);
        Self {
            origin: event.origin.map(|raw| origin(raw).map_err(|_| "must be text, such as \"servicenow\"")),
            hops: event.hops.map(|raw| raw.get().parse().map_err(|_| "must be a whole number from 0 on")),
        }
    }

    /// From the headers, in which every value is text.
    fn of_headers(origin: Option<Cow<'a, str>>, hops: Option<Cow<'a, str>>) -> Self {
        let number = |hops: Cow<'a, str>| hops.parse().map_err(|_| "must be a whole number from 0 on");
        Self { origin: origin.map(Ok), hops: hops.map(number) }
    }

    /// What comes from ServiceNow is not sent back there, and what has passed more systems than there are goes round.
    fn is_echo(&self) -> bool {
        let from_there = self
            .origin
            .as_ref()
            .is_some_and(|origin| origin.as_ref().is_ok_and(|said| said.eq_ignore_ascii_case(SERVICENOW)));
        from_there || self.hops.is_some_and(|hops| hops.is_ok_and(|count| count > HOPS_MAX))
    }
}

/// A text, borrowed if it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The `origin` of what an instance caused.
const SERVICENOW: &str = "servicenow";

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
            Ok(vec![check(&event, &Trail::of_members(&event))])
        }
        Mode::Batch => batch(&parse::<Vec<&'a RawValue>>(text)?),
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
                origin: None,
                hops: None,
            };
            Ok(vec![check(&event, &Trail::of_headers(header("ce-origin"), header("ce-hops")))])
        }
    }
}

/// An item that is JSON and no event is a fault of that item.
fn batch<'a>(events: &[&'a RawValue]) -> Result<Vec<Read<'a>>, ApiError> {
    if events.len() > BATCH_EVENTS_MAX {
        let detail = format!("a batch holds at most {BATCH_EVENTS_MAX} events; this one has {}", events.len());
        return Err(ApiError::new(Code::BodyTooLarge, detail));
    }
    let item = |raw: &&'a RawValue| match serde_json::from_str::<Structured<'a>>(raw.get()) {
        Ok(event) => check(&event, &Trail::of_members(&event)),
        Err(error) => Err(vec![Fault { item: None, pointer: String::new(), message: unquoted(&error) }]),
    };
    Ok(events.iter().map(item).collect())
}

/// Names under which this gateway keeps what it is told in other ways. An event that bore one could make an alert of the
/// route for sources, or a webhook, look like a repetition.
fn reserved(source: &str) -> Option<&'static str> {
    let begins = ["snowgate:", "source:"].into_iter().find(|prefix| source.starts_with(prefix));
    begins.or_else(|| (source == "servicenow").then_some("servicenow"))
}

fn check<'a>(event: &Structured<'a>, trail: &Trail<'_>) -> Read<'a> {
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
        _ if reserved(source).is_some() => {
            fault("/source", format!("`{}` is reserved", reserved(source).unwrap_or_default()));
        }
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
    if let Some(Err(wrong)) = trail.origin {
        fault("/origin", wrong.to_owned());
    }
    if let Some(Err(wrong)) = trail.hops {
        fault("/hops", wrong.to_owned());
    }
    match (key, kind, subject, event.data) {
        (Ok(event), Some(kind), Ok(subject), Some(data)) if faults.is_empty() => {
            Ok(Envelope { event, kind, subject, data: data.get(), is_echo: trail.is_echo() })
        }
        _ => Err(faults),
    }
}

/// The body as text, not nested deeper than a stack can bear.
pub(super) fn plain(body: &[u8]) -> Result<&str, ApiError> {
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

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            let message = unquoted(&error);
            ApiError::invalid(vec![Fault { item: None, pointer: String::new(), message }])
        } else {
            ApiError::new(Code::MalformedJson, error.to_string())
        }
    })
}

/// What was expected, and where. The parser quotes what stands there instead, as long as it may be; that goes neither into an
/// answer nor into the log.
fn unquoted(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    match whole.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {}", expected.replace("struct Structured", "an event")),
        None => whole,
    }
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
    fn an_event_cannot_take_the_name_of_another_route() {
        for (source, expected) in [
            ("snowgate:replay", true),
            ("source:alertmanager", true),
            ("source:", true),
            ("servicenow", true),
            ("servicenow-exporter", false),
            ("sources", false),
            ("soc", false),
        ] {
            let body =
                format!(r#"{{"specversion":"1.0","id":"e","source":"{source}","type":"incident.opened","data":{{}}}}"#);
            let expected = if expected { vec![(0, "/source".to_owned())] } else { Vec::new() };
            assert_eq!(faults(&body), expected, "{source}");
        }
    }

    #[test]
    fn an_item_of_a_batch_that_is_no_event_is_named_by_its_number() {
        let good = r#"{"specversion":"1.0","id":"e","source":"s","type":"incident.opened","data":{}}"#;
        let numbered = good.replace(r#""e""#, "7");
        let expected = [(1, String::new()), (2, String::new()), (3, String::new())];
        assert_eq!(faults(&format!("[{good},{numbered},\"text\",null]")), expected);
    }

    #[test]
    fn what_came_from_servicenow_or_went_round_is_an_echo() {
        let event = |more: &str| {
            format!(r#"{{"specversion":"1.0","id":"e","source":"s","type":"incident.updated","data":{{}}{more}}}"#)
        };
        for (more, expected) in [
            ("", false),
            (r#","origin":"soc""#, false),
            (r#","origin":"servicenow""#, true),
            (r#","origin":"ServiceNow""#, true),
            (r#","origin":"service\u006eow""#, true),
            (r#","origin":null,"hops":null"#, false),
            (r#","hops":2"#, false),
            (r#","hops":3"#, true),
            (r#","origin":"soc","hops":4000000000"#, true),
        ] {
            let body = event(more);
            let mut read = read(Mode::Structured, &HeaderMap::new(), body.as_bytes()).unwrap();
            assert_eq!(read.pop().unwrap().unwrap().is_echo, expected, "{more}");
        }
        for (more, pointer) in [
            (r#","origin":7"#, "/origin"),
            (r#","origin":["servicenow"]"#, "/origin"),
            (r#","hops":"3""#, "/hops"),
            (r#","hops":-1"#, "/hops"),
            (r#","hops":1.5"#, "/hops"),
            (r#","hops":{}"#, "/hops"),
        ] {
            assert_eq!(faults(&event(more)), [(0, pointer.to_owned())], "{more}");
            let batch = format!("[{},{}]", event(""), event(more));
            assert_eq!(faults(&batch), [(1, pointer.to_owned())], "{more}");
        }
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
        assert!(!envelope.is_echo);
        for (name, value, expected) in [
            ("ce-origin", "servicenow", Ok(true)),
            ("ce-origin", "soc", Ok(false)),
            ("ce-hops", "2", Ok(false)),
            ("ce-hops", "3", Ok(true)),
            ("ce-hops", "three", Err("/hops")),
        ] {
            let mut headers = headers.clone();
            headers.insert(
                actix_web::http::header::HeaderName::from_static(name),
                actix_web::http::header::HeaderValue::from_static(value),
            );
            let read = read(Mode::Binary, &headers, br#"{"incident":{"id":"1"}}"#).unwrap().pop().unwrap();
            let said = read.map(|envelope| envelope.is_echo);
            let said = said.map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect::<String>());
            assert_eq!(said, expected.map_err(str::to_owned), "{name}: {value}");
        }
    }
}
