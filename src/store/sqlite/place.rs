//! Where the file lives: a directory on a disk that keeps what it is told, ours alone, with room left.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::domain::time::Timestamp;
use crate::limits::{FREE_BYTES_ENOUGH, FREE_BYTES_MIN, FREE_CHECK_EVERY, FREE_PART_MIN};
use crate::store::contract::StoreError;

/// The lock beside the database. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let failed = |error: std::io::Error| StoreError::Refused(format!("{}: {error}", path.display()));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The name of the holder is a courtesy: without it the answer is the same.
                let known = file.read_to_string(&mut pid).is_ok_and(|read| read > 0);
                let by = if known { format!("pid {}", pid.trim()) } else { "another process".to_owned() };
                return Err(StoreError::Refused(format!("{} is already in use by {by}", database.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The database's path with something appended to the file name.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Makes the directory and answers it.
pub(super) fn directory_of(database: &Path) -> Result<PathBuf, StoreError> {
    let directory = match database.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    std::fs::create_dir_all(&directory)
        .map_err(|error| StoreError::Refused(format!("cannot make the directory {}: {error}", directory.display())))?;
    Ok(directory)
}

/// How far a kind of file system can be trusted with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Fine,
    /// Works, but what it holds may go away with its container.
    Fleeting(&'static str),
    /// Does not survive a restart of the machine, or nobody knows what stands behind it.
    Volatile(&'static str),
    /// Locks and shared memory do not work as SQLite needs them.
    Network(&'static str),
}

/// Refuses a directory that cannot keep a promise; answers a warning for one that may not.
pub(super) fn check_file_system(directory: &Path, accept_data_loss: bool) -> Result<Option<String>, StoreError> {
    let shown = directory.display();
    match trust_of(directory)? {
        Trust::Fine => Ok(None),
        Trust::Fleeting(kind) => Ok(Some(format!(
            "{shown} is on {kind}: what is stored goes away with the container; put the store on a volume"
        ))),
        Trust::Volatile(kind) if accept_data_loss => {
            Ok(Some(format!("{shown} is on {kind}: accepted work may be lost, as was agreed to")))
        }
        Trust::Volatile(kind) => Err(StoreError::Refused(format!(
            "{shown} is on {kind}, which may lose what it was given; use a local disk, or set `store.accept_data_loss: true`"
        ))),
        Trust::Network(kind) => Err(StoreError::Refused(format!(
            "{shown} is on {kind}: SQLite is not safe over a network; use a local disk, or PostgreSQL"
        ))),
    }
}

#[cfg(target_os = "linux")]
fn trust_of(directory: &Path) -> Result<Trust, StoreError> {
    let facts = rustix::fs::statfs(directory)
        .map_err(|error| StoreError::Refused(format!("{}: {error}", directory.display())))?;
    // The type's width differs between machines; the magic numbers are 32 bits on all of them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "magic numbers are 32 bits")]
    let magic = facts.f_type as u32;
    Ok(trust(magic))
}

#[cfg(not(target_os = "linux"))]
fn trust_of(_directory: &Path) -> Result<Trust, StoreError> {
    // Elsewhere the type has no stable number; the documentation says to use a local disk.
    Ok(Trust::Fine)
}

/// By the magic number that `statfs` answers (`linux/magic.h`).
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux names file systems by number"))]
const fn trust(magic: u32) -> Trust {
    match magic {
        0x6969 => Trust::Network("NFS"),
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => Trust::Network("SMB"),
        0x0102_1997 => Trust::Network("9p"),
        0x00c3_6400 => Trust::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => Trust::Network("AFS"),
        0x7375_7245 => Trust::Network("Coda"),
        0x0116_1970 | 0x7461_636f | 0x0bd0_0bd0 => Trust::Network("a cluster file system"),
        0x786f_4256 => Trust::Network("a shared folder of a virtual machine"),
        0x0102_1994 | 0x8584_58f6 => Trust::Volatile("a memory file system"),
        0x6573_5546 => Trust::Volatile("FUSE"),
        0x794c_7630 => Trust::Fleeting("a container's overlay"),
        _ => Trust::Fine,
    }
}

/// Whether there is room for more; asks the operating system once a second at most.
#[derive(Debug)]
pub(super) struct FreeSpace {
    directory: PathBuf,
    asked_at: Option<Timestamp>,
    short: Option<String>,
}

impl FreeSpace {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory, asked_at: None, short: None }
    }

    /// Refuses while the disk is nearly full: what was accepted still needs room to be settled.
    pub(super) fn check(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.asked_at.is_none_or(|asked| now.since(asked) >= FREE_CHECK_EVERY || now < asked) {
            self.asked_at = Some(now);
            self.short = shortage(&self.directory);
        }
        self.short.as_ref().map_or(Ok(()), |short| Err(StoreError::Unavailable(short.clone())))
    }
}

/// How much room a database takes, and has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of its file.
    pub database: u64,
    /// Bytes of its log.
    pub log: u64,
    /// Bytes that the disk has left for us.
    pub free: u64,
}

/// Asks the operating system; `None` if it does not say.
pub(super) fn room(database: &Path) -> Option<Room> {
    let facts = rustix::fs::statvfs(database).ok()?;
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let log = length(&beside(database, "-wal"));
    Some(Room { database: length(database), log, free: facts.f_bavail * facts.f_frsize })
}

fn shortage(directory: &Path) -> Option<String> {
    // A disk that cannot be asked will say so when it is written to.
    let facts = rustix::fs::statvfs(directory).ok()?;
    let (free, total) = (facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize);
    (free < needed(total)).then(|| {
        format!(
            "the disk under {} is nearly full: {} MiB are free, {} are needed",
            directory.display(),
            free >> 20,
            needed(total) >> 20
        )
    })
}

/// The part of a disk that must be free before more is accepted.
fn needed(total: u64) -> u64 {
    (total / FREE_PART_MIN).clamp(FREE_BYTES_MIN, FREE_BYTES_ENOUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_apart_by_their_number() {
        assert_eq!(trust(0xef53), Trust::Fine, "ext4");
        assert_eq!(trust(0x5846_5342), Trust::Fine, "XFS");
        assert!(matches!(trust(0x6969), Trust::Network(_)));
        assert!(matches!(trust(0x0102_1994), Trust::Volatile(_)));
        assert!(matches!(trust(0x794c_7630), Trust::Fleeting(_)));
    }

    #[test]
    fn a_small_disk_keeps_a_floor_and_a_large_one_does_not_waste_itself() {
        let gib = 1_u64 << 30;
        assert_eq!(needed(gib), 256 << 20);
        assert_eq!(needed(20 * gib), gib);
        assert_eq!(needed(4_000 * gib), 2 * gib);
    }
}
