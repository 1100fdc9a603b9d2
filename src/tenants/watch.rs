//! Whether the files of the configuration changed, and whether they lie still.
//!
//! Owns: what a file looks like from outside, and the decision to load. It looks every so often instead of asking the
//! kernel to tell: a look needs no watch descriptors (of which a machine has few), and sees what `inotify` does not, namely
//! network file systems, a directory that is swapped by a symbolic link somewhere above, a secret outside of our own
//! folders, and a file that is not there yet. A look at a thousand files takes a few milliseconds.
//!
//! A load follows only when two looks in a row saw the same, so that files that are just being written are left alone.
//! Never: reads a file's content, loads. Fails: it cannot; what cannot be looked at looks like nothing there.
//! Proved by: the tests below, and `tests/it/reload` with the real program.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::limits::WATCHED_ENTRIES_MAX;

/// What files and directories look like from outside, symbolic links followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(BTreeMap<PathBuf, Option<Seen>>);

/// One of them. A rename changes `inode`, a write `modified` and mostly `bytes`, and whoever sets `modified` back still
/// changes `changed`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// The names in a directory: a new file is a change, and the file's own look is taken once a load has read it.
    names: Vec<PathBuf>,
}

/// Decides when to load.
#[derive(Debug, Default)]
pub struct Watch {
    /// As it was just before the last load; `None` asks for one.
    loaded: Option<Look>,
    last: Option<Look>,
}

impl Look {
    /// Looks at all of these.
    pub fn at(paths: &BTreeSet<PathBuf>) -> Self {
        Self(paths.iter().map(|path| (path.clone(), Seen::at(path))).collect())
    }
}

impl Seen {
    fn at(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let mut names = Vec::new();
        if found.is_dir() {
            let entries = std::fs::read_dir(path).ok()?.take(WATCHED_ENTRIES_MAX);
            names.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_read(path)));
            names.sort();
        }
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: if found.is_dir() { 0 } else { found.len() },
            modified: if found.is_dir() { (0, 0) } else { (found.mtime(), found.mtime_nsec()) },
            changed: if found.is_dir() { (0, 0) } else { (found.ctime(), found.ctime_nsec()) },
            names,
        })
    }
}

/// What editors leave beside a file is no change of it.
fn is_read(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !is_hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

impl Watch {
    /// Whether to load now, after this look.
    pub fn is_due(&mut self, look: &Look) -> bool {
        let is_still = self.last.as_ref() == Some(look);
        self.last = Some(look.clone());
        is_still && self.loaded.as_ref() != Some(look)
    }

    /// A load began right after this look, and read these files. If they are others than were looked at, nobody knows
    /// whether they changed while they were read, and one more load makes sure.
    pub fn loaded(&mut self, look: Look, files: &BTreeSet<PathBuf>) {
        self.loaded = look.0.keys().eq(files).then_some(look);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Folder {
        directory: tempfile::TempDir,
        files: BTreeSet<PathBuf>,
        watch: Watch,
    }

    impl Folder {
        /// A folder of this layout, all of it watched and loaded.
        fn of(names: &[&str]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let files = names.iter().map(|name| directory.path().join(name)).chain([directory.path().to_owned()]);
            let mut folder = Self { files: files.collect(), directory, watch: Watch::default() };
            names.iter().filter(|name| !name.contains("absent")).for_each(|name| folder.write(name, "a"));
            folder.settle();
            folder
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn look(&mut self) -> bool {
            self.watch.is_due(&Look::at(&self.files))
        }

        fn settle(&mut self) {
            let look = Look::at(&self.files);
            self.watch.is_due(&look);
            self.watch.loaded(look, &self.files);
        }

        /// What was done is noticed by the second look, and by none after the load.
        fn notices(&mut self, what: &str) {
            assert!(!self.look(), "{what}: not while it may still be written");
            assert!(self.look(), "{what}: noticed");
            self.settle();
            assert!(!self.look(), "{what}: loaded once");
        }
    }

    #[test]
    fn every_way_to_change_a_file_is_noticed() {
        let mut folder = Folder::of(&["a.yaml", "secret", "local-absent.yaml"]);
        assert!(!folder.look(), "nothing happened");
        folder.write("a.yaml", "longer");
        folder.notices("written");
        folder.write("b.tmp", "longer");
        fs::rename(folder.path("b.tmp"), folder.path("a.yaml")).unwrap();
        folder.notices("renamed over it");
        fs::remove_file(folder.path("secret")).unwrap();
        folder.notices("removed");
        folder.write("secret", "a");
        folder.notices("there again");
        folder.write("local-absent.yaml", "");
        folder.notices("there for the first time");
        folder.write("new.yaml", "");
        folder.notices("a new file in the folder");
        let file = fs::File::options().write(true).open(folder.path("a.yaml")).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        folder.write("a.yaml", "LONGER");
        file.set_modified(before).unwrap();
        folder.notices("written with its old length and its old time");
    }

    #[test]
    fn what_editors_leave_is_no_change() {
        let mut folder = Folder::of(&["a.yaml"]);
        folder.write(".a.yaml.swp", "");
        folder.write("a.yaml~", "");
        assert!(!folder.look() && !folder.look());
    }

    #[test]
    fn a_directory_swapped_by_a_symbolic_link_is_noticed() {
        let mut folder = Folder::of(&["..one/secret", "..two/secret"]);
        let link = |to: &str| {
            std::os::unix::fs::symlink(to, folder.path("..next")).unwrap();
            fs::rename(folder.path("..next"), folder.path("..data")).unwrap();
        };
        link("..one");
        std::os::unix::fs::symlink("..data/secret", folder.path("secret")).unwrap();
        folder.files = BTreeSet::from([folder.path("secret")]);
        folder.settle();
        assert!(!folder.look());
        std::os::unix::fs::symlink("..two", folder.path("..next")).unwrap();
        fs::rename(folder.path("..next"), folder.path("..data")).unwrap();
        folder.notices("swapped");
    }

    #[test]
    fn a_file_that_is_still_being_written_is_left_alone() {
        let mut folder = Folder::of(&["a.yaml"]);
        for text in ["a: 1", "a: 1\nb:", "a: 1\nb: 2\n"] {
            folder.write("a.yaml", text);
            assert!(!folder.look());
        }
        assert!(folder.look());
    }

    #[test]
    fn files_that_were_not_looked_at_before_they_were_read_are_read_once_more() {
        let mut folder = Folder::of(&["a.yaml", "secret"]);
        let look = Look::at(&BTreeSet::from([folder.path("a.yaml")]));
        folder.watch.loaded(look, &folder.files);
        assert!(folder.look());
        folder.settle();
        assert!(!folder.look());
    }
}
