//! The environment as a value: taken once, where the program starts, and handed down.
//!
//! Owns: the only reading of environment variables and the working directory in the whole program.
//! Never: changes either. Fails: it cannot; what is not valid Unicode is not a setting. Proved by: `tests/settings.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::time::{SharedClock, Timestamp};

/// Variables and working directory of the process, as they were when it started.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
    clock: Option<SharedClock>,
}

/// The settings file that is read if nobody names another.
const CONFIG_DEFAULT: &str = "config/snowgate.yaml";

impl Environment {
    /// What the process was started with.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(text).collect(),
            // Without a working directory (it was deleted) relative paths stay relative, and opening them says why.
            directory: std::env::current_dir().unwrap_or_default(),
            clock: None,
        }
    }

    /// No variables, and this working directory; for tests.
    pub fn empty_in(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..Self::default() }
    }

    /// With one variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// By this clock instead of the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The moment in which files are read, by which credentials end. Read anew each time: the environment is taken once,
    /// and a reload may be years later.
    pub fn now(&self) -> Timestamp {
        let system = || Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        self.clock.as_ref().map_or_else(system, |clock| clock.now())
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A path as seen from the working directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// A path for messages: relative to the working directory if it is below it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.directory).unwrap_or(path).display().to_string()
    }

    /// The settings file: what was given on the command line, or `SNOWGATE_CONFIG`, or `config/snowgate.yaml`.
    pub fn settings_file(&self, given: Option<&Path>) -> PathBuf {
        let named = || self.variable("SNOWGATE_CONFIG").filter(|name| !name.is_empty());
        given.map_or_else(|| named().unwrap_or(CONFIG_DEFAULT).into(), Path::to_owned)
    }

    /// The variables whose names begin with `prefix`, which is cut off.
    pub(super) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
