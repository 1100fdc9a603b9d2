//! What a test of the fault matrix measured, on its way to docs/faults.md.
//!
//! A test says at its end which fault it proves and what it saw. `tests/doors/page.rs` finds these calls in the sources, so
//! the page can name no test that is not there and leave none out; `scripts/faults.sh` runs them all and puts what they
//! saw into the page.

use std::fs;
use std::path::Path;

/// The directory that takes what was seen; set by `scripts/faults.sh` alone.
const COLLECTED_IN: &str = "SNOWGATE_FAULTS";

/// Records that `fault` (such as `F08`, written out at the call) was put in and what was seen, in words with figures.
pub(crate) fn proven(fault: &str, test: &str, seen: &str) {
    let Some(directory) = std::env::var_os(COLLECTED_IN) else { return };
    let directory = Path::new(&directory);
    fs::create_dir_all(directory).expect("a directory for what was seen");
    let line = seen.replace(['\n', '|', '`'], " ");
    fs::write(directory.join(format!("{fault}.{test}")), line).expect("a file for what was seen");
}
