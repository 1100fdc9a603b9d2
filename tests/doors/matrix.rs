//! The faults F01 to F52: what is done, what must be seen, and, from the sources of the tests, which of them prove it.
//!
//! docs/faults.md shows this table between two marks and is compared here with what the sources say, so the page can name
//! no test that is gone and forget none. What a test measured when it last ran for the page stands in docs/faults.measured,
//! which `scripts/faults.sh` writes. A fault without a test has its reason in [`NOT_PROVED`]; one with both is a defect.

#![expect(clippy::panic, clippy::string_slice, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/faults.md";
const MEASURED: &str = "docs/faults.measured";
const BEGIN: &str = "<!-- made from the tests: begin -->\n";
const END: &str = "<!-- made from the tests: end -->\n";
/// Set by `scripts/faults.sh` to have the page written instead of compared.
const WRITE: &str = "SNOWGATE_FAULTS_PAGE";

/// What is done, and what must be seen.
const FAULTS: [(&str, &str, &str); 52] = [
    (
        "F01",
        "killed before an acceptance is committed",
        "the sender has no receipt; its repeat is taken once, without a gap in the lane",
    ),
    (
        "F02",
        "killed after the commit, before the receipt",
        "the repeat is answered `duplicate` with the same receipt; one ticket",
    ),
    (
        "F03",
        "killed after a claim",
        "the lane is claimed again when the lease ends (at the next start with SQLite); one ticket",
    ),
    ("F04", "killed after the intent, before a byte", "the next owner waits, looks, finds nothing, sends once"),
    ("F05", "killed with half of a request written", "one ticket in the end"),
    (
        "F06",
        "killed after the instance committed, before its answer",
        "the next owner finds the ticket and adopts it; no second POST",
    ),
    ("F07", "killed after the answer, before it was recorded", "the same"),
    ("F08", "the answer is lost, to a POST and to a PATCH with a note", "one ticket, the note once, the mark says so"),
    ("F09", "a request that is still executed 50 s after we gave up", "one ticket, whichever way tickets are made"),
    (
        "F10",
        "one that is executed 200 s later, and a worker frozen after its last check",
        "looking first: two tickets and an alarm; with a derived `sys_id`: one",
    ),
    ("F10b", "an old PATCH that lands behind a newer one", "noticed by the next sweep; the newest state stands again"),
    (
        "F10c",
        "an instance that ignores the `sys_id` we chose",
        "learned, and tickets are looked up first from then on; one ticket",
    ),
    (
        "F11",
        "a worker stopped for three leases after its intent",
        "it sends nothing when it wakes; its writes change nothing",
    ),
    (
        "F12",
        "a worker stopped for three leases while it waits for the answer",
        "its end is refused; the new owner finds what was done",
    ),
    (
        "F13",
        "30 kills at random over three replicas during 10,000 events",
        "nothing lost, doubled or out of order; the backlog drains",
    ),
    (
        "F14",
        "the order of system calls of one acceptance",
        "the sync of the log lies before the receipt; without full sync the gateway refuses to start",
    ),
    (
        "F15",
        "the disk is full",
        "503 with `Retry-After`, not ready (under PostgreSQL it stays ready: what fits into the pages that are there is still \
         taken), nothing is sent twice; recovers by itself and lost nothing",
    ),
    ("F16", "the store on a memory file system or on a network", "the start is refused in one line"),
    ("F17", "a damaged page", "refused or stopped, and never a 2xx"),
    ("F18", "a second process on the same file", "refused; it names who has it"),
    (
        "F19",
        "PostgreSQL is restarted again and again under load",
        "only 503s; nothing lost or doubled; no replica needs a restart",
    ),
    ("F20", "the connection to PostgreSQL is cut during a commit", "503; the repeat is a duplicate or new; one row"),
    (
        "F21",
        "a failover to a standby that lacks the last commits",
        "ends that are gone are found in ServiceNow; acceptances that are gone are exactly those the standby never had",
    ),
    (
        "F22",
        "a session that holds a transaction open for long",
        "work goes on, slower by what cannot be cleaned away; the alert `SnowgateDatabaseLongTransaction` tells after five \
         minutes (`deploy/prometheus/snowgate-host.test.yml`)",
    ),
    (
        "F23",
        "the wall clock jumps forward and back; the machine sleeps",
        "no second ticket; no lane waits longer than its lease",
    ),
    (
        "F24",
        "SIGTERM with 20 calls on their way, some beyond the deadline",
        "what can end ends, the next start settles the rest; exit 0 within a minute",
    ),
    (
        "F25",
        "two replicas migrate at once; SIGTERM during a migration",
        "one migrates, the other waits; what was broken off is done by the next start",
    ),
    ("F26", "an old and a new version at once", "both work; nothing lost or doubled"),
    (
        "F27",
        "an event that makes a worker panic or the process die",
        "set aside for a person after three panics, or ten deaths of the process (a death names nobody: three would park what \
         three restarts had under way); other lanes go on",
    ),
    ("F30", "429 with `Retry-After: 120`", "no call for so long, from any replica; no try is counted; others go on"),
    ("F31", "429 with strange times", "never earlier than said, never negative, never more than two hours"),
    ("F32", "three replicas and a limit of five calls a second", "the instance sees no more than that and the burst"),
    ("F33", "a token is withdrawn while it is used", "one fetch per replica, everything is done once"),
    (
        "F34",
        "the token endpoint refuses the client",
        "the tenant is paused, probed more and more rarely, and goes on by itself",
    ),
    ("F35", "the token endpoint hangs", "callers get their deadline; one fetch is under way"),
    ("F36", "an answer that drips", "cut off at the deadline; treated as unclear; memory stays flat"),
    ("F37", "answers without end, heads without end", "cut off at the cap"),
    ("F38", "compressed bombs", "cut off at the cap of what was unpacked; unclear"),
    ("F39", "200 with a page instead of a record", "no success; the breaker opens; the cause is named"),
    ("F40", "a redirect elsewhere", "nobody is asked there"),
    ("F41", "a look-up that answers strangers", "none is adopted; the tenant is paused"),
    ("F42", "a look-up that finds two of ours", "the oldest is adopted, an alarm, no third"),
    ("F43", "an answer without `correlation_id`", "the ticket is kept; further tickets wait for a person"),
    ("F44", "500, 502, 504 or a reset after the insert", "found and adopted"),
    ("F45", "403 for a value that must be unique", "found and adopted"),
    ("F46", "404 to a PATCH, for want of rights or of a ticket", "a look decides"),
    (
        "F47",
        "one tenant's instance hangs with 200 lanes due",
        "the others do not notice; it holds its share and no more",
    ),
    ("F48", "one tenant floods", "another's event leaves in the next round"),
    (
        "F49",
        "a ticket that is refused for good, with changes behind it",
        "its lane waits in order, others go on; after the repair all is done in order",
    ),
    ("F50", "a note that is refused for good", "set aside, the later ones go on; replayed as a new delivery"),
    (
        "F51",
        "names that flap, addresses that swallow, certificates that ended",
        "tried again, at the addresses that answer; the certificate is named with its date",
    ),
    ("F52", "the proxy for calls is down", "no tenant's breaker opens"),
];

/// Why there is no test, in words for the page.
const NOT_PROVED: [(&str, &str); 0] = [];

/// A test that proves a fault, where it stands, and what it shows if its source says so.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Proof {
    fault: String,
    file: String,
    test: String,
    shows: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every proof that the sources speak of.
fn proofs() -> Vec<Proof> {
    let mut files = Vec::new();
    for directory in ["src", "tests"] {
        sources(&root().join(directory), &mut files);
    }
    let mut proofs: Vec<Proof> =
        files.iter().filter(|file| !file.ends_with("doors/matrix.rs")).flat_map(|file| in_file(file)).collect();
    proofs.sort();
    proofs
}

fn in_file(path: &Path) -> Vec<Proof> {
    let source = fs::read_to_string(path).expect("a source");
    let file = path.strip_prefix(root()).expect("inside").display().to_string();
    let mut proofs = Vec::new();
    for (at, _) in source.match_indices("proven(") {
        let mut words = source[at..].splitn(5, '"').skip(1).step_by(2);
        let (Some(fault), Some(test)) = (words.next(), words.next()) else { continue };
        if !fault.starts_with('F') {
            continue; // The recorder itself.
        }
        assert!(source.contains(&format!("fn {test}(")), "{file}: `{test}` proves {fault} and is not there");
        proofs.push(Proof { fault: fault.to_owned(), file: file.clone(), test: test.to_owned(), shows: String::new() });
    }
    for (at, mark) in source.match_indices("// proves F") {
        let line = source[at + mark.len() - 1..].lines().next().unwrap_or_default();
        let (fault, shows) = line.split_once(": ").unwrap_or_else(|| panic!("{file}: `{line}` says not what is shown"));
        let before = source[..at].rsplit("fn ").next().and_then(|text| text.split('(').next());
        let test = before.unwrap_or_else(|| panic!("{file}: `{line}` stands in no test")).to_owned();
        proofs.push(Proof { fault: fault.to_owned(), file: file.clone(), test, shows: shows.trim().to_owned() });
    }
    proofs
}

/// What was measured: by fault and test.
fn measured() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(root().join(MEASURED)).unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.splitn(3, '\t').map(str::to_owned);
        Some(((cells.next()?, cells.next()?), cells.next()?))
    };
    text.lines().filter_map(row).collect()
}

/// The table as the sources make it.
fn table(proofs: &[Proof], measured: &BTreeMap<(String, String), String>) -> String {
    let mut table =
        String::from("| fault | what is done | what happens | proved by, and what was seen |\n|---|---|---|---|\n");
    for (fault, done, happens) in FAULTS {
        let mut cells: Vec<String> = Vec::new();
        for proof in proofs.iter().filter(|proof| proof.fault == fault) {
            let seen = measured.get(&(fault.to_owned(), proof.test.clone())).unwrap_or(&proof.shows);
            let said = if seen.is_empty() { String::new() } else { format!(": {seen}") };
            cells.push(format!("`{}::{}`{said}", proof.file, proof.test));
        }
        let reason = NOT_PROVED.iter().find(|(unproved, _)| *unproved == fault);
        cells.extend(reason.map(|(_, reason)| format!("No test. {reason}")));
        writeln!(table, "| {fault} | {done} | {happens} | {} |", cells.join("<br>")).expect("writing to a text");
    }
    table
}

#[test]
fn every_fault_of_the_matrix_has_a_test_or_a_reason() {
    let proofs = proofs();
    let known: BTreeSet<&str> = FAULTS.iter().map(|(fault, _, _)| *fault).collect();
    for proof in &proofs {
        assert!(known.contains(proof.fault.as_str()), "{} of {} is in no matrix", proof.fault, proof.test);
    }
    let stands = |fault: &str| {
        let proved = proofs.iter().any(|proof| proof.fault == fault);
        (proved, NOT_PROVED.iter().any(|(unproved, _)| *unproved == fault))
    };
    let neither: Vec<_> = known.iter().filter(|fault| stands(fault) == (false, false)).collect();
    assert!(neither.is_empty(), "without a test and without a reason: {neither:?}");
    let both: Vec<_> = known.iter().filter(|fault| stands(fault) == (true, true)).collect();
    assert!(both.is_empty(), "proved, and excused as well: {both:?}");
}

#[test]
fn the_page_shows_what_the_tests_prove() {
    let page = fs::read_to_string(root().join(PAGE)).expect(PAGE);
    let (head, rest) = page.split_once(BEGIN).expect("the mark where the table begins");
    let (shown, tail) = rest.split_once(END).expect("the mark where it ends");
    let made = table(&proofs(), &measured());
    if std::env::var_os(WRITE).is_some() {
        fs::write(root().join(PAGE), format!("{head}{BEGIN}{made}{END}{tail}")).expect("the page");
        return;
    }
    let differing = made.lines().zip(shown.lines().chain(std::iter::repeat(""))).find(|(made, shown)| made != shown);
    assert_eq!(differing, None, "docs/faults.md is not what the tests say: run scripts/faults.sh --page");
    assert_eq!(shown.lines().count(), made.lines().count(), "docs/faults.md has rows that no test made");
}
