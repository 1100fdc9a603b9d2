//! Where a file lies between two peers: on disk, so that memory does not grow with it, and only while it is passed on.
//!
//! A file is passed on whole: fetched first, then checked, then sent, so that a size, a type or a digest that is wrong is
//! known before the other side sees a byte. Never: keeps a file; what a crash left behind is replaced by the next try
//! and lies in a directory for temporary files. Fails: it cannot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::id::{DeliveryId, TenantId};
use crate::domain::incident::Attachment;
use crate::mapping::AttachmentRule;
use crate::peer::transport::files::Downloaded;
use crate::security::target::EgressPolicy;

/// What passing files on needs beside the two clients.
#[derive(Clone, Debug)]
pub struct Files {
    /// Where files lie on their way; only we read there.
    pub spool: Arc<Path>,
    /// Which addresses a file may be fetched from.
    pub egress: Arc<EgressPolicy>,
}

/// A file on its way; removed when it goes out of scope.
#[derive(Debug)]
pub(super) struct Spooled(PathBuf);

impl Spooled {
    /// The place of one delivery's file.
    pub(super) fn of(files: &Files, tenant: &TenantId, delivery: &DeliveryId) -> Self {
        Self(files.spool.join(format!("{tenant}.{delivery}")))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // It may never have been written.
        std::fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// Why a file that has come is not passed on: its sender may have said less, or something else, than it is.
pub(super) fn refuses(rule: &AttachmentRule, said: &Attachment, come: &Downloaded) -> Option<String> {
    let media_type = said.media_type.clone().or_else(|| come.media_type.clone());
    rule.refuses(&Attachment { size: Some(come.bytes), media_type, ..said.clone() })
}
