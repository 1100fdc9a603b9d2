//! Where a file lies between two peers: on disk, so that memory does not grow with it, and only while it is passed on.
//!
//! A file is passed on whole: fetched first, then checked, then sent, so that a size, a type or a digest that is wrong is
//! known before the other side sees a byte. Each process has a directory of its own, readable by nobody else, and removes
//! it when it ends; what a crash left behind is removed by the next start of whoever wrote it.
//! Never: keeps a file, reads one that another process wrote. Fails: when there is no room for the directory.
//! Proved by: the tests here, `tests/it/back/files.rs`.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bridges::Ways;
use crate::domain::id::{DeliveryId, TenantId};
use crate::domain::incident::Attachment;
use crate::mapping::AttachmentRule;
use crate::peer::transport::files::Downloaded;
use crate::runtime::luck;
use crate::security::target::EgressPolicy;

/// What passing files on needs beside the two clients.
#[derive(Clone, Debug)]
pub struct Files {
    /// Where files lie on their way; only we read there.
    pub spool: Arc<Spool>,
    /// Which addresses a file may be fetched from.
    pub egress: Arc<EgressPolicy>,
    /// How they are reached.
    pub ways: Ways,
}

/// The directory that this process keeps files in; removed with everything in it when it goes out of scope.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    // Held as long as we live, however we end.
    _lock: File,
}

impl Spool {
    /// A new directory below `base`, after those of dead processes were removed.
    pub fn make(base: &Path) -> std::io::Result<Self> {
        for left in std::fs::read_dir(base)?.flatten() {
            if left.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && is_abandoned(&left.path()) {
                // Another user's, or one that another process removes just now, stays as it is.
                std::fs::remove_dir_all(left.path()).unwrap_or_default();
            }
        }
        let path = base.join(format!("{PREFIX}{:016x}", luck::bits()));
        // Not one that somebody else put there: files of customers go into it.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create_new(path.join(LOCK))?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nobody waits for this; the next start removes what is left.
        std::fs::remove_dir_all(&self.path).unwrap_or_default();
    }
}

/// What the names of these directories begin with.
const PREFIX: &str = "snowgate-files-";

/// The file in each of them that its owner keeps locked.
const LOCK: &str = "lock";

/// Whether nobody keeps files there any more. One without a lock has just been made.
fn is_abandoned(path: &Path) -> bool {
    File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// A file on its way; removed when it goes out of scope.
#[derive(Debug)]
pub(super) struct Spooled(PathBuf);

impl Spooled {
    /// The place of one delivery's file.
    pub(super) fn of(files: &Files, tenant: &TenantId, delivery: &DeliveryId) -> Self {
        Self(files.spool.path().join(format!("{tenant}.{delivery}")))
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

/// What a file is called on the other side: one name, without anything that leads elsewhere or shows as something else.
pub(super) fn plain_name(name: Option<&str>) -> String {
    let odd = |letter: char| {
        letter.is_control()
            || matches!(letter, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String =
        name.unwrap_or_default().trim().chars().map(|letter| if odd(letter) { '_' } else { letter }).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Why a file that has come is not passed on: its sender may have said less, or something else, than it is.
pub(super) fn refuses(rule: &AttachmentRule, said: &Attachment, come: &Downloaded) -> Option<String> {
    let media_type = said.media_type.as_ref().or(come.media_type.as_ref());
    let media_type = media_type.map_or("application/octet-stream", String::as_str).to_owned();
    rule.refuses(&Attachment { size: Some(come.bytes), media_type: Some(media_type), ..said.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_removes_what_dead_processes_left_and_an_end_what_is_its_own() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        for name in ["snowgate-files-dead", "others"] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join(LOCK), "").unwrap();
            std::fs::write(path(name).join("file"), "x").unwrap();
        }
        let alive = Spool::make(base.path()).unwrap();
        std::fs::write(alive.path().join("file"), "x").unwrap();
        let other = Spool::make(base.path()).unwrap();
        assert!(!path("snowgate-files-dead").exists(), "nobody holds its lock");
        assert!(path("others").exists() && alive.path().join("file").exists());
        let gone = other.path().to_owned();
        std::fs::write(gone.join("file"), "x").unwrap();
        drop(other);
        assert!(!gone.exists());
    }

    #[test]
    fn a_name_leads_nowhere_else_and_shows_what_it_is() {
        for (said, name) in [
            (Some("log.txt"), "log.txt"),
            (Some(" Gr\u{fc}\u{df}e.txt "), "Gr\u{fc}\u{df}e.txt"),
            (Some("../../etc/passwd"), ".._.._etc_passwd"),
            (Some("C:\\x\r\n\u{0}y"), "C:_x___y"),
            (Some("gpj\u{202e}.exe"), "gpj_.exe"),
            (Some("  "), "unnamed"),
            (None, "unnamed"),
        ] {
            assert_eq!(plain_name(said), name);
        }
    }
}
