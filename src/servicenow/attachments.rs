//! Files of tickets: what is there, and their content.
//!
//! Owns: the Attachment API (`facts/servicenow.md` 6.2). Never: keeps a file in memory, or sends one twice: an upload
//! without a clear answer is looked for among what the ticket has ([`find_attached`]) before it is sent again.
//! Fails: with an [`Outcome`]; a file of a ticket that was not asked for is `lookup_untrusted`.
//! Proved by: `tests/servicenow.rs` over real sockets.

use std::path::Path;
use std::sync::Arc;

use super::classify::classify;
use super::client::{Client, Listing, no_pass, of_unsafe, only};
use super::journal::BEGINNING;
use super::walk::{Walk, untrusted};
use super::wire::calls::{CallKind, headers};
use super::wire::lists::Listed;
use super::wire::query::Query;
use super::wire::rows::Row;
use super::wire::text::{self, UnsafeText, push_encoded};
use crate::delivery::outcome::{Class, Outcome};
use crate::domain::id::SysId;
use crate::domain::sighting::FileEntry;
use crate::limits::{ANSWER_BYTES_MAX, ATTACHMENT_ROWS_MAX, FILE_TIMEOUT, KEYS_IN_A_QUERY_MAX};
use crate::peer::caller::Attempt;
use crate::peer::fault::repeatable;
use crate::peer::message::{HeaderValue, Method, Request};
use crate::peer::oauth::keeper::Pass;
use crate::peer::permit::Permit;
use crate::peer::transport::Allowance;
use crate::peer::transport::files::{Downloaded, Fetched, FileBody, Sink};

/// A file that a ticket is to get.
#[derive(Clone, Copy, Debug)]
pub struct FileToAttach<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What it is, such as `image/png`.
    pub media_type: &'a str,
    /// Where it lies.
    pub path: &'a Path,
    /// Its size.
    pub bytes: u64,
}

/// The file among those of a ticket that has this name and this content (SHA-256 in hexadecimal digits).
pub fn find_attached<'a>(files: &'a [FileEntry], name: &str, sha256: &str) -> Option<&'a FileEntry> {
    let is_it = |file: &&FileEntry| {
        file.file_name == name && file.hash.as_ref().is_some_and(|hash| hash.eq_ignore_ascii_case(sha256))
    };
    files.iter().find(is_it)
}

/// When a file was attached.
const ATTACHED: &str = "sys_created_on";

impl Client {
    /// The files of one ticket, the oldest first.
    pub async fn attachments_of(&self, permit: Permit, table: &str, ticket: &SysId) -> Result<Vec<FileEntry>, Outcome> {
        let walk = Walk { of: Listed::Attachments, by: ATTACHED, since: BEGINNING, rows_max: ATTACHMENT_ROWS_MAX };
        let one = std::slice::from_ref(ticket);
        let query = || Ok(of_table(table)?.refers_to("table_sys_id", one));
        let rows = self.walk(permit, walk, &query).await?;
        let files = of_rows(rows, table)?;
        if files.iter().any(|(owner, _)| owner != ticket) {
            return Err(untrusted("files of other tickets came back"));
        }
        Ok(files.into_iter().map(|(_, file)| file).collect())
    }

    /// The files of several tickets since a moment (raw, in UTC; all if none is given), the oldest first.
    pub async fn attachments_of_many(
        &self,
        permit: Permit,
        table: &str,
        tickets: &[SysId],
        since: Option<&str>,
    ) -> Result<Vec<(SysId, FileEntry)>, Outcome> {
        let since = since.unwrap_or(BEGINNING);
        let mut found = Vec::new();
        let mut paid = Some(permit);
        for some in tickets.chunks(KEYS_IN_A_QUERY_MAX) {
            let permit = self.paid_or_new(&mut paid).await?;
            let walk = Walk { of: Listed::Attachments, by: ATTACHED, since, rows_max: ATTACHMENT_ROWS_MAX };
            let query = || Ok(of_table(table)?.refers_to("table_sys_id", some));
            let files = of_rows(self.walk(permit, walk, &query).await?, table)?;
            if files.iter().any(|(owner, _)| !some.contains(owner)) {
                return Err(untrusted("files of other tickets came back"));
            }
            found.extend(files);
        }
        Ok(found)
    }

    /// The files attached to tickets of a table since a moment (raw, in UTC), the oldest first, in pages of `rows_max`.
    pub async fn attachments_since(
        &self,
        permit: Permit,
        table: &str,
        since: &str,
        rows_max: usize,
    ) -> Result<Vec<(SysId, FileEntry)>, Outcome> {
        let walk = Walk { of: Listed::Attachments, by: ATTACHED, since, rows_max };
        let rows = self.walk(permit, walk, &|| of_table(table)).await?;
        of_rows(rows, table)
    }

    /// Writes the content of an attachment into a file, which is whole or not there. The caller compares the digest
    /// with the one that the attachment's entry names.
    pub async fn download_file(
        &self,
        permit: Permit,
        attachment: &SysId,
        into: &Path,
        bytes_max: u64,
    ) -> Result<Downloaded, Outcome> {
        let sink = Sink { path: into, bytes_max, time: FILE_TIMEOUT };
        let attempt = |pass| self.try_download(attachment, sink, pass);
        self.caller().call(permit, attempt, |made| self.report(CallKind::Download, made)).await
    }

    /// Attaches a file to a ticket; says what the instance made of it.
    pub async fn upload_file(
        &self,
        permit: Permit,
        (table, ticket): (&str, &SysId),
        file: &FileToAttach<'_>,
    ) -> Result<FileEntry, Outcome> {
        let attempt = |pass| self.try_upload((table, ticket), file, pass);
        let made = self.caller().call(permit, attempt, |made| self.report(CallKind::Upload, made)).await?;
        only(made.rows).map(self::file)
    }

    async fn try_download(&self, attachment: &SysId, sink: Sink<'_>, pass: Option<Pass>) -> Attempt<Downloaded> {
        let Some(pass) = pass else { return Attempt::without_answer(Err(no_pass())) };
        let mut headers = headers(pass.header, false);
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let request = Request {
            method: Method::Get,
            origin: Arc::clone(self.origin()),
            path_and_query: format!("/api/now/attachment/{attachment}/file"),
            headers,
            body: Vec::new(),
        };
        let (reply, file) = match self.caller().transport().download(request, sink).await {
            Ok(Fetched { answer, file }) => (Ok(answer), file),
            Err(fault) => (Err(fault), None),
        };
        let now = self.caller().now();
        let result = file.map_or_else(
            // Whatever came instead, reading once more does no harm.
            || Err(classify(CallKind::Download, now, &reply).err().map_or_else(no_file, repeatable)),
            Ok,
        );
        Attempt::of(now, &reply, result)
    }

    async fn try_upload(
        &self,
        (table, ticket): (&str, &SysId),
        file: &FileToAttach<'_>,
        pass: Option<Pass>,
    ) -> Attempt<Listing> {
        let Some(pass) = pass else { return Attempt::without_answer(Err(no_pass())) };
        let path_and_query = match upload_address(table, ticket, file.name) {
            Ok(address) => address,
            Err(refusal) => return Attempt::without_answer(Err(of_unsafe(&refusal))),
        };
        let mut headers = headers(pass.header, false);
        let media_type = HeaderValue::from_str(file.media_type);
        let unknown = HeaderValue::from_static("application/octet-stream");
        headers.insert("content-type", media_type.ok().filter(|text| !text.is_empty()).unwrap_or(unknown));
        let origin = Arc::clone(self.origin());
        let request = Request { method: Method::Post, origin, path_and_query, headers, body: Vec::new() };
        let body = FileBody { path: file.path, bytes: file.bytes };
        let allowance = Allowance { time: FILE_TIMEOUT, body_bytes_max: ANSWER_BYTES_MAX };
        let reply = self.caller().transport().upload(request, body, allowance).await;
        self.judged(CallKind::Upload, &reply)
    }
}

fn upload_address(table: &str, ticket: &SysId, name: &str) -> Result<String, UnsafeText> {
    let mut address = format!("/api/now/attachment/file?table_name={}&table_sys_id={ticket}", text::name(table)?);
    address.push_str("&file_name=");
    push_encoded(&mut address, name);
    Ok(address)
}

/// A `2xx` that is no file.
fn no_file() -> Outcome {
    Outcome::new(Class::NotProcessed, "no_file")
}

fn of_table(table: &str) -> Result<Query, UnsafeText> {
    Query::new().is("table_name", table)
}

fn of_rows(rows: Vec<Row>, table: &str) -> Result<Vec<(SysId, FileEntry)>, Outcome> {
    let file = |row: Row| {
        let ticket = row.key("table_sys_id").filter(|_| row.get("table_name") == Some(table))?;
        Some((ticket, file(row)))
    };
    rows.into_iter().map(file).collect::<Option<_>>().ok_or_else(|| untrusted("files of other tables came back"))
}

/// What is known of a file. ServiceNow says numbers as text.
fn file(row: Row) -> FileEntry {
    let told = |field: &str| row.get(field).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    FileEntry {
        file_name: told("file_name").unwrap_or_default(),
        content_type: told("content_type"),
        size_bytes: told("size_bytes").and_then(|text| text.parse().ok()),
        hash: told("hash"),
        created_on: told(ATTACHED),
        created_by: told("sys_created_by"),
        sys_id: row.sys_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_again_by_name_and_content() {
        let entry = |name: &str, hash: Option<&str>| FileEntry {
            sys_id: SysId::from_bits(7),
            file_name: name.to_owned(),
            content_type: None,
            size_bytes: None,
            hash: hash.map(ToOwned::to_owned),
            created_on: None,
            created_by: None,
        };
        let files = [entry("log.zip", None), entry("log.zip", Some("AB")), entry("x", Some("cd"))];
        assert_eq!(find_attached(&files, "log.zip", "ab"), files.get(1));
        assert_eq!(find_attached(&files, "log.zip", "cd"), None);
        assert_eq!(find_attached(&files, "y", "cd"), None);
    }

    #[test]
    fn a_files_name_cannot_become_another_parameter() {
        let address = upload_address("incident", &SysId::from_bits(7), "a&table_name=sys_user#ü.txt").unwrap();
        assert!(address.ends_with("&file_name=a%26table_name%3Dsys_user%23%C3%BC.txt"), "{address}");
        assert!(upload_address("incident&x", &SysId::from_bits(7), "a").is_err());
    }
}
