//! The Attachment API: upload, list, metadata, download, delete.
//!
//! Owns: `/api/now[/v1|/v2]/attachment…`. Never: multipart uploads (`/attachment/upload`), which are not simulated.
//! Fails: with the refusals of `errors`. Proved by: `tests/files` and `tests/calling`.
//! Source: "Attachment API" reference (`c_AttachmentAPI.md`; facts/servicenow 6.2).

use serde_json::{Value, json};

use super::access::Caller;
use super::attachments::{File, TABLE, Upload};
use super::errors::Refusal;
use super::instance::Instance;
use super::message::{self, Request, Response};
use super::outbound::ascii;
use super::store::value;
use super::table_api::{self, Target};
use crate::limits::SIM_ATTACHMENT_ROWS_DEFAULT;

/// What a path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/attachment`
    List,
    /// `/attachment/file`
    Upload,
    /// `/attachment/{sys_id}`
    One(String),
    /// `/attachment/{sys_id}/file`
    Content(String),
}

impl Place {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/now/")?;
        let rest = rest.strip_prefix("v1/").or_else(|| rest.strip_prefix("v2/")).unwrap_or(rest);
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        if parts.next() != Some("attachment") {
            return None;
        }
        match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => Some(Self::List),
            (Some("file"), None, None) => Some(Self::Upload),
            (Some(sys_id), None, None) => Some(Self::One(sys_id.to_owned())),
            (Some(sys_id), Some("file"), None) => Some(Self::Content(sys_id.to_owned())),
            _ => None,
        }
    }
}

/// Answers a call on the Attachment API.
pub(super) fn handle(
    instance: &mut Instance,
    request: &Request,
    place: &Place,
    caller: &Caller,
) -> Result<Response, Refusal> {
    match (request.verb().as_str(), place) {
        ("POST", Place::Upload) => upload(instance, request, caller),
        ("GET" | "HEAD", Place::List) => rows(instance, request, None, caller),
        ("GET" | "HEAD", Place::One(sys_id)) => rows(instance, request, Some(sys_id), caller),
        ("GET" | "HEAD", Place::Content(sys_id)) => content(instance, sys_id, caller),
        ("DELETE", Place::One(sys_id)) => instance.detach(sys_id, caller).map(|()| Response::empty(204)),
        _ => Err(Refusal::method_not_supported()),
    }
}

/// The raw body is the file; `Content-Type` is mandatory and is kept.
fn upload(instance: &mut Instance, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
    let parameters = message::pairs(&request.query);
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(key, text)| key == name && !text.is_empty());
        found.map(|(_, text)| text.as_str()).ok_or_else(|| Refusal::missing_parameter(name))
    };
    let file = File {
        table: parameter("table_name")?,
        sys_id: parameter("table_sys_id")?,
        name: parameter("file_name")?,
        content_type: request.header("Content-Type").ok_or_else(Refusal::unsupported_media)?,
    };
    let upload = request.upload.clone().unwrap_or_else(|| Upload::of(&request.body));
    let sys_id = instance.attach(file, upload, caller)?;
    let location = format!("{}/api/now/attachment/{sys_id}", instance.base_url);
    let answer = rows(instance, &Request::new("GET", &request.path), Some(&sys_id), caller)?;
    Ok(Response { status: 201, ..answer }.with_header("Location", &location))
}

/// Rows as the Table API shows them, each with the link that only this API knows.
fn rows(
    instance: &mut Instance,
    request: &Request,
    sys_id: Option<&str>,
    caller: &Caller,
) -> Result<Response, Refusal> {
    let mut request = Request { method: "GET".to_owned(), body: Vec::new(), upload: None, ..request.clone() };
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
    if !request.query.contains("sysparm_limit=") {
        let separator = if request.query.is_empty() { "" } else { "&" };
        request.query = format!("{}{separator}sysparm_limit={SIM_ATTACHMENT_ROWS_DEFAULT}", request.query);
    }
    let mut answer = table_api::handle(instance, &request, &Target::of(TABLE, sys_id), caller)?;
    let mut body = answer.value().unwrap_or_default();
    match &mut body["result"] {
        Value::Array(rows) => rows.iter_mut().for_each(|row| link(&instance.base_url, row)),
        row => link(&instance.base_url, row),
    }
    answer.body = body.to_string().into_bytes();
    Ok(answer)
}

fn link(base_url: &str, row: &mut Value) {
    let link = row["sys_id"].as_str().map(|sys_id| format!("{base_url}/api/now/attachment/{sys_id}/file"));
    if let Some(link) = link {
        row["download_link"] = json!(link);
    }
}

/// The bytes, under the type they came with, and the metadata in a header.
fn content(instance: &mut Instance, sys_id: &str, caller: &Caller) -> Result<Response, Refusal> {
    let metadata = rows(instance, &Request::new("GET", ""), Some(sys_id), caller)?;
    let metadata = metadata.value().unwrap_or_default()["result"].to_string();
    let row = instance.visible(TABLE, sys_id).ok_or_else(Refusal::no_record)?;
    let content_type = value(row, "content_type").to_owned();
    // A file that a scanner has not released answers so too; no public source gives the text.
    let content = instance.content(sys_id).ok_or_else(Refusal::attachment_unavailable)?;
    let answer = Response { status: 200, headers: Vec::new(), body: content.to_vec() };
    Ok(answer.with_header("Content-Type", &content_type).with_header("X-Attachment-Metadata", &ascii(&metadata)))
}
