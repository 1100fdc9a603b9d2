//! The house rules that a compiler does not know: who may import whom, which crates belong to which module, how long a
//! file may be, that every module says what it is for, that every limit has a reason, and that ARCHITECTURE.md shows the
//! table below and no other.
#![expect(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "in a test a panic is the report")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A module of the crate's top level and what it may import from the others.
struct Module {
    name: &'static str,
    ring: u8,
    may_use: &'static [&'static str],
    owns: &'static str,
}

/// Everything of rings 0 to 3 that composes into the program.
const PARTS: &[&str] = &[
    "domain",
    "limits",
    "mapping",
    "delivery",
    "security",
    "service_levels",
    "settings",
    "telemetry",
    "runtime",
    "store",
    "peer",
    "servicenow",
    "callback",
    "issuers",
    "tenants",
    "worker",
    "onboarding",
    "http",
];

const MODULES: &[Module] = &[
    Module { name: "domain", ring: 0, may_use: &["limits"], owns: "values: ids, incidents, changes, tickets, time" },
    Module { name: "limits", ring: 0, may_use: &[], owns: "every bound, with its reason" },
    Module { name: "mapping", ring: 1, may_use: &["domain", "limits"], owns: "mapping files: compile, plan, apply" },
    Module { name: "delivery", ring: 1, may_use: &["domain", "limits"], owns: "states, verdicts, identities, folding" },
    Module { name: "security", ring: 1, may_use: &["domain", "limits"], owns: "keys, signatures, allowed targets" },
    Module {
        name: "service_levels",
        ring: 1,
        may_use: &["domain", "limits"],
        owns: "business days, first response, inactivity",
    },
    Module {
        name: "history",
        ring: 1,
        may_use: &["domain", "limits", "delivery"],
        owns: "whether both sides tell the same story",
    },
    Module {
        name: "settings",
        ring: 2,
        may_use: &["domain", "limits", "security", "service_levels"],
        owns: "files and environment, checked",
    },
    Module { name: "telemetry", ring: 2, may_use: &["domain", "limits"], owns: "logs, metrics, events" },
    Module {
        name: "runtime",
        ring: 2,
        may_use: &["domain", "telemetry", "limits"],
        owns: "tasks, stopping, the clock",
    },
    Module {
        name: "store",
        ring: 2,
        may_use: &["domain", "limits", "delivery", "telemetry", "runtime"],
        owns: "lanes, fences, records",
    },
    Module {
        name: "peer",
        ring: 2,
        may_use: &["domain", "limits", "delivery", "security", "telemetry", "runtime"],
        owns: "calling somebody: transport, tokens, pace",
    },
    Module {
        name: "servicenow",
        ring: 2,
        may_use: &["domain", "limits", "delivery", "security", "telemetry", "runtime", "peer"],
        owns: "the instance's client: wire, classification",
    },
    Module {
        name: "callback",
        ring: 2,
        may_use: &["domain", "limits", "delivery", "security", "telemetry", "runtime", "peer"],
        owns: "the managed service's client: signed events",
    },
    Module {
        name: "issuers",
        ring: 2,
        may_use: &["domain", "limits", "security", "telemetry", "runtime", "peer"],
        owns: "the keys of OAuth issuers",
    },
    Module {
        name: "tenants",
        ring: 2,
        may_use: &["domain", "limits", "mapping", "security", "settings", "telemetry", "runtime"],
        owns: "who is served, with what",
    },
    Module {
        name: "worker",
        ring: 3,
        may_use: &[
            "domain",
            "limits",
            "mapping",
            "delivery",
            "security",
            "service_levels",
            "settings",
            "store",
            "peer",
            "servicenow",
            "callback",
            "tenants",
            "telemetry",
            "runtime",
        ],
        owns: "lanes to their end",
    },
    Module {
        name: "onboarding",
        ring: 3,
        may_use: &[
            "domain",
            "limits",
            "mapping",
            "delivery",
            "security",
            "settings",
            "peer",
            "servicenow",
            "tenants",
            "telemetry",
            "runtime",
        ],
        owns: "trying an instance: needs, probe, test ticket",
    },
    Module {
        name: "http",
        ring: 3,
        may_use: &[
            "domain",
            "limits",
            "mapping",
            "delivery",
            "security",
            "store",
            "issuers",
            "tenants",
            "telemetry",
            "runtime",
        ],
        owns: "intake and admin; never waits for ServiceNow",
    },
    Module { name: "app", ring: 4, may_use: PARTS, owns: "composition" },
    Module {
        name: "cli",
        ring: 4,
        may_use: &[
            "app",
            "sim",
            "onboarding",
            "settings",
            "tenants",
            "mapping",
            "store",
            "domain",
            "limits",
            "delivery",
            "history",
            "security",
            "telemetry",
            "runtime",
        ],
        owns: "commands",
    },
    Module { name: "sim", ring: 2, may_use: &["runtime", "limits"], owns: "an island that plays ServiceNow" },
];

/// Crates that only these modules may name.
const CRATES: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "runtime",
            "store",
            "peer",
            "servicenow",
            "callback",
            "issuers",
            "tenants",
            "worker",
            "onboarding",
            "http",
            "app",
            "cli",
            "sim",
        ],
    ),
    ("reqwest", &["peer", "cli", "sim"]),
    ("oauth2", &["peer"]),
    ("governor", &["peer"]),
    ("jsonwebtoken", &["peer", "security", "sim"]),
    ("rusqlite", &["store"]),
    ("tokio_postgres", &["store"]),
    ("deadpool_postgres", &["store"]),
    ("tokio_postgres_rustls", &["store"]),
    ("actix_web", &["http", "app", "sim", "cli"]),
    (
        "tracing",
        &[
            "telemetry",
            "runtime",
            "store",
            "peer",
            "servicenow",
            "callback",
            "tenants",
            "worker",
            "http",
            "app",
            "cli",
            "sim",
            "settings",
        ],
    ),
    ("actix_tls", &["sim"]),
    ("metrics", &["telemetry"]),
    ("minijinja", &["mapping"]),
    ("anyhow", &["cli"]),
    ("config", &["settings"]),
    ("rcgen", &["sim"]),
    ("utoipa", &["http"]),
];

/// Lines of a source file without its tests, and of a file that is nothing but tests.
const FILE_LINES_MAX: usize = 500;
const TEST_FILE_LINES_MAX: usize = 800;

#[test]
fn every_module_of_the_crate_is_in_the_table() {
    let lib = read(Path::new("src/lib.rs"));
    let declared: Vec<_> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut listed: Vec<_> = MODULES.iter().map(|module| module.name).collect();
    listed.sort_unstable();
    assert_eq!(declared, listed, "src/lib.rs and the table in tests/architecture.rs name the same modules");
}

#[test]
fn modules_import_only_from_rings_they_may() {
    let mut broken = String::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        for name in imports(&production(&text)) {
            let known = MODULES.iter().any(|other| other.name == name);
            if known && name != module.name && !module.may_use.contains(&name.as_str()) {
                writeln!(broken, "{}: `{}` may not use `crate::{name}`", path.display(), module.name).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn crates_stay_in_the_modules_they_belong_to() {
    let mut broken = String::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let text = production(&text);
        for (name, owners) in CRATES {
            if names_crate(&text, name) && !owners.contains(&module.name) {
                writeln!(broken, "{}: `{name}` belongs to {}", path.display(), owners.join(", ")).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut broken = String::new();
    for (path, text) in sources() {
        let lines = production(&text).lines().count();
        let tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if lines > if tests { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX } {
            writeln!(broken, "{}: {lines} lines; split it by noun", path.display()).unwrap();
        }
        if !text.starts_with("//!") {
            writeln!(broken, "{}: begin with `//!`: what it owns, what it never does", path.display()).unwrap();
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

#[test]
fn every_limit_has_a_reason() {
    for path in files_below(Path::new("src/limits")) {
        let limits = read(&path);
        let lines: Vec<_> = limits.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("pub const ")) {
            let documented = at > 0 && (lines[at - 1].starts_with("///") || lines[at - 1].starts_with("#["));
            assert!(documented, "{}:{}: `{line}` needs a reason above it", path.display(), at + 1);
        }
    }
}

#[test]
fn the_table_in_architecture_md_is_this_one() {
    let mut table = String::from("| ring | module | may use | owns |\n|---|---|---|---|\n");
    let mut modules: Vec<_> = MODULES.iter().collect();
    modules.sort_by_key(|module| (module.ring, module.name));
    for Module { name, ring, may_use, owns } in modules {
        let uses = if may_use.len() == PARTS.len() { "everything below".to_owned() } else { may_use.join(", ") };
        let uses = if uses.is_empty() { "–".to_owned() } else { uses };
        writeln!(table, "| {ring} | `{name}` | {uses} | {owns} |").unwrap();
    }
    let document = read(Path::new("ARCHITECTURE.md"));
    assert!(document.contains(&table), "ARCHITECTURE.md must hold this table:\n\n{table}");
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut broken = String::new();
    for folder in ["src", "tests", "docs", "scripts", "config", "mappings"] {
        for path in files_below(Path::new(folder)) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let foreign = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("TO", "DO"), concat!("FIX", "ME")];
            if let Some(found) = foreign.iter().find(|foreign| text.contains(**foreign)) {
                writeln!(broken, "{}: contains `{found}`", path.display()).unwrap();
            }
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

fn sources() -> BTreeMap<PathBuf, String> {
    let rust = files_below(Path::new("src")).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    rust.map(|path| (path.clone(), read(&path))).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn module_of(path: &Path) -> Option<&'static Module> {
    let first = path.strip_prefix("src").ok()?.components().next()?;
    let name = first.as_os_str().to_str()?.trim_end_matches(".rs");
    MODULES.iter().find(|module| module.name == name)
}

/// The text without its unit tests and comments: those may look anywhere.
fn production(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    let code = text[..end].lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    code.collect::<Vec<_>>().join("\n")
}

/// Top-level modules named as `crate::name`, also inside `use crate::{a, b::c}`.
fn imports(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(first_words(list)),
            None => names.push(word(rest)),
        }
    }
    names
}

/// The first word of each entry of a `{a, b::{c, d}, e}` list, up to its closing brace.
fn first_words(list: &str) -> Vec<String> {
    let mut entries = vec![String::new()];
    let mut depth = 0_i32;
    for character in list.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => entries.push(String::new()),
            _ if depth == 0 => entries.last_mut().unwrap().push(character),
            _ => {}
        }
    }
    let first = |entry: &String| entry.trim().split("::").next().unwrap_or_default().to_owned();
    entries.iter().map(first).filter(|name| !name.is_empty()).collect()
}

fn names_crate(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
    })
}

#[test]
fn imports_are_found_in_every_form() {
    let text =
        "use crate::domain::id::X;\nuse crate::{store, http::{self, error}, worker};\nlet x = crate::cli::run();";
    assert_eq!(imports(text), ["domain", "store", "http", "worker", "cli"]);
}
