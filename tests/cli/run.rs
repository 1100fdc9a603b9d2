//! Running a command to its end.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Home;

/// How a command ended and what it printed, machine paths and versions replaced.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Runs `snowgate` in this folder.
    pub(crate) fn of(home: &Home, arguments: &[&str]) -> Self {
        Self::with_input(home, arguments, "")
    }

    /// The same with something on standard input.
    pub(crate) fn with_input(home: &Home, arguments: &[&str], input: &str) -> Self {
        let mut command = home.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary was built");
        // A command that reads nothing may be gone already.
        drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("our own child");
        let here = home.path().display().to_string();
        let shown = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&here, "[folder]");
            text.replace(env!("CARGO_PKG_VERSION"), "[version]")
        };
        Self { code: output.status.code(), out: shown(&output.stdout), err: shown(&output.stderr) }
    }

    /// Itself, if it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// What it printed, for people who compare.
    pub(crate) fn whole(&self) -> String {
        format!("exit code {}\n── out\n{}── err\n{}", self.code.unwrap_or(-1), self.out, self.err)
    }

    /// What it printed, for machines.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.out);
        assert!(parsed.is_ok(), "{self:#?}");
        parsed.unwrap_or_default()
    }
}
