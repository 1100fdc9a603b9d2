//! The environment as a value: taken once, where the program starts, and handed down.
//!
//! Owns: the only reading of environment variables and the working directory in the whole program.
//! Never: changes either. Fails: it cannot; what is not valid Unicode is not a setting. Proved by: `tests/settings.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::time::Timestamp;

/// Variables and working directory of the process, as they were when it started.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
    /// The day of a test.
    today: Option<Timestamp>,
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
            today: None,
        }
    }

    /// No variables, and this working directory; for tests.
    pub fn empty_in(directory: impl Into<PathBuf>) -> Self {
        Self { variables: BTreeMap::new(), directory: directory.into(), today: None }
    }

    /// On this day; for tests.
    #[must_use]
    pub fn on(self, today: Timestamp) -> Self {
        Self { today: Some(today), ..self }
    }

    /// The moment in which files are read, by which certificates and tokens end. Read anew each time: the environment is
    /// taken once, and a reload may be years later.
    pub(super) fn now(&self) -> Timestamp {
        self.today.unwrap_or_else(|| Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()))
    }

    /// With one variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
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
            .field("today", &self.today)
            .finish()
    }
}
