//! Attachments: rows of `sys_attachment`, and what is kept of their bytes.
//!
//! Owns: adding and removing files, the bound on the bytes kept. Never: reads HTTP (that is `attachment_api`).
//! Fails: with the refusal a REST caller would get. Proved by: `tests/files`.
//! Source: "Attachment API" reference (facts/servicenow 6.2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::access::Caller;
use super::errors::Refusal;
use super::instance::{Change, Instance, Operation};
use super::outbound::Origin;
use super::outbound::signing::hex;
use super::store::{Record, set, value};
use crate::limits::SIM_ATTACHMENT_BYTES_KEPT_MAX;

/// The table of the rows.
pub(super) const TABLE: &str = "sys_attachment";

/// A file as it arrived: counted and hashed on the way, its bytes kept or not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// The bytes, if they were kept.
    pub content: Option<Vec<u8>>,
}

impl Upload {
    /// A file that is in memory already.
    pub fn of(content: &[u8]) -> Self {
        let mut hashing = Hashing::default();
        hashing.take(content, usize::MAX);
        hashing.end()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("size", &self.size).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// An upload under way.
#[derive(Clone)]
pub(super) struct Hashing {
    hash: Sha256,
    size: u64,
    content: Option<Vec<u8>>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { hash: Sha256::new(), size: 0, content: Some(Vec::new()) }
    }
}

impl Hashing {
    /// Takes the next bytes; from the first one over `kept_max` no content is kept.
    pub(super) fn take(&mut self, bytes: &[u8], kept_max: usize) {
        self.hash.update(bytes);
        self.size = self.size.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match &mut self.content {
            Some(content) if content.len().saturating_add(bytes.len()) <= kept_max => content.extend_from_slice(bytes),
            Some(_) | None => self.content = None,
        }
    }

    pub(super) fn end(self) -> Upload {
        Upload { size: self.size, sha256: hex(&self.hash.finalize()), content: self.content }
    }
}

/// What a file is called and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'f> {
    pub(super) table: &'f str,
    pub(super) sys_id: &'f str,
    pub(super) name: &'f str,
    pub(super) content_type: &'f str,
}

/// The bytes kept, by the `sys_id` of their row.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents(BTreeMap<String, Arc<Vec<u8>>>);

impl Contents {
    fn keep(&mut self, sys_id: &str, content: Vec<u8>) {
        let held: usize = self.0.values().map(|content| content.len()).sum();
        if held.saturating_add(content.len()) <= SIM_ATTACHMENT_BYTES_KEPT_MAX {
            self.0.insert(sys_id.to_owned(), Arc::new(content));
        }
    }
}

impl Instance {
    /// How many bytes of a file are worth keeping while it arrives.
    pub(super) const fn upload_bytes_kept_max(&self) -> usize {
        if self.switches.attachment_content_kept { SIM_ATTACHMENT_BYTES_KEPT_MAX } else { 0 }
    }

    /// Adds a file to a record and gives its `sys_id`. Needs write on the record, as well as create on the files.
    pub(super) fn attach(&mut self, file: File<'_>, upload: Upload, caller: &Caller) -> Result<String, Refusal> {
        if self.visible(file.table, file.sys_id).is_none() {
            return Err(Refusal::no_record());
        }
        if !self.switches.insert_allowed || !self.switches.update_allowed {
            return Err(Refusal::acl("Insert"));
        }
        if self.switches.attachments_refused {
            return Err(Refusal::acl("Insert"));
        }
        let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        let allowed = &self.switches.attachment_extensions;
        if !allowed.is_empty() && !allowed.contains(&extension) {
            return Err(Refusal::attachment_type());
        }
        if upload.size > self.switches.attachment_bytes_max {
            return Err(Refusal::attachment_too_large(self.switches.attachment_bytes_max));
        }
        let sys_id = self.ids.hex32();
        let row = row(&sys_id, file, &upload, caller);
        // The id is fresh; were it not, the platform would lose the file too.
        let inserted = self.store.insert(TABLE, row);
        debug_assert!(inserted.is_ok(), "a drawn id is new");
        if let Some(content) = upload.content.filter(|_| self.switches.attachment_content_kept) {
            self.contents.keep(&sys_id, content);
        }
        self.file_changed(Operation::Insert, (&sys_id, file.table, file.sys_id), caller);
        Ok(sys_id)
    }

    /// Removes a file.
    pub(super) fn detach(&mut self, sys_id: &str, caller: &Caller) -> Result<(), Refusal> {
        let row = self.visible(TABLE, sys_id).cloned().ok_or_else(Refusal::no_record)?;
        if !self.switches.delete_allowed {
            return Err(Refusal::acl("Delete"));
        }
        self.forget_file(sys_id);
        let owner = (value(&row, "table_name"), value(&row, "table_sys_id"));
        self.file_changed(Operation::Delete, (sys_id, owner.0, owner.1), caller);
        Ok(())
    }

    /// The files of a record go with it.
    pub(super) fn forget_files_of(&mut self, sys_id: &str) {
        for file in self.find(TABLE, "table_sys_id", sys_id) {
            self.forget_file(&file);
        }
    }

    fn forget_file(&mut self, sys_id: &str) {
        self.store.remove(TABLE, sys_id);
        self.contents.0.remove(sys_id);
    }

    /// The bytes of a file, if they were kept.
    pub fn content(&self, sys_id: &str) -> Option<Arc<Vec<u8>>> {
        self.contents.0.get(sys_id).cloned()
    }

    /// Whether a file moves its ticket's `sys_updated_on` depends on the customer's rules (facts/servicenow 8.14).
    fn file_changed(&mut self, operation: Operation, (file, table, owner): (&str, &str, &str), caller: &Caller) {
        self.note(operation, (TABLE, file), caller, (Vec::new(), None));
        if self.switches.attachment_counts_as_update {
            self.touch((table, owner), caller);
        }
        // The file speaks for the ticket it belongs to.
        let speaks = Change {
            sequence: 0,
            at: caller.now,
            table: table.to_owned(),
            sys_id: owner.to_owned(),
            operation: Operation::Update,
            by: caller.user_name.clone(),
            columns: Vec::new(),
        };
        self.outbound.notice(&speaks, Origin::File);
    }
}

fn row(sys_id: &str, file: File<'_>, upload: &Upload, caller: &Caller) -> Record {
    let mut row = Record::new();
    let (size, now) = (upload.size.to_string(), caller.now_text());
    for (column, text) in [
        ("sys_id", sys_id),
        ("file_name", file.name),
        ("content_type", file.content_type),
        ("table_name", file.table),
        ("table_sys_id", file.sys_id),
        ("size_bytes", &size),
        // Simulated files do not compress; real ones are stored compressed.
        ("size_compressed", &size),
        ("compressed", "true"),
        ("hash", &upload.sha256),
        ("sys_created_on", &now),
        ("sys_updated_on", &now),
        ("sys_created_by", &caller.user_name),
        ("sys_updated_by", &caller.user_name),
        ("sys_mod_count", "0"),
    ] {
        set(&mut row, column, text);
    }
    row
}
