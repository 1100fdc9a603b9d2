//! What we build on, held to what we say about it: licences, sources, bans, and a sentence for every direct dependency.
//!
//! Owns: the lists below, which `deny.toml` repeats for people who use cargo-deny (its advisories need the network, this
//! needs none). Never: looks at versions for their own sake. The licences and bans are those of the crates that are
//! built on this platform, the sources those of every crate in `Cargo.lock`. Fails: with what to write where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

/// Licences whose conditions we can keep by shipping their texts. None of them asks for our source.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Where a banned crate may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ban {
    /// Anywhere in what is built.
    Everywhere,
    /// Named in our own Cargo.toml.
    Direct,
    /// Anywhere, in a version before this one.
    Before(u64, u64, u64),
}

/// Crates that must not come back, and why.
const BANS: &[(&str, Ban, &str)] = &[
    ("actix-governor", Ban::Everywhere, "GPL-3.0-or-later: it would bind everyone who ships the gateway"),
    ("backoff", Ban::Everywhere, "unmaintained (RUSTSEC-2025-0012); `backon` stands in for it"),
    ("chrono", Ban::Direct, "`jiff` is our only calendar; two disagree sooner or later. `oauth2` brings it for itself"),
    ("h2", Ban::Before(0, 4, 16), "unbounded empty DATA frames (RUSTSEC-2026-0258): leave actix-web's `http2` off"),
    ("hyper-tls", Ban::Everywhere, "a second TLS library; rustls is the one"),
    ("instant", Ban::Everywhere, "unmaintained (RUSTSEC-2024-0384)"),
    ("libyml", Ban::Everywhere, "unsound (RUSTSEC-2025-0067)"),
    ("native-tls", Ban::Everywhere, "a second TLS library, another on every platform; rustls is the one"),
    (
        "openssl-sys",
        Ban::Everywhere,
        "the binary must not depend on a system's OpenSSL; aws-lc-rs is our only crypto library",
    ),
    ("ring", Ban::Everywhere, "a second crypto provider makes rustls refuse to choose; aws-lc-rs is the one"),
    ("rsa", Ban::Everywhere, "its timing leaks keys and there is no fix (RUSTSEC-2023-0071)"),
    ("serde_yaml", Ban::Everywhere, "archived, and silent about duplicate keys; serde-saphyr reads our YAML"),
    ("serde_yml", Ban::Everywhere, "unsound (RUSTSEC-2025-0068); serde-saphyr reads our YAML"),
    ("time", Ban::Before(0, 3, 47), "a date can exhaust the stack (RUSTSEC-2026-0009)"),
    ("tokio-native-tls", Ban::Everywhere, "a second TLS library; rustls is the one"),
    ("yaml-rust", Ban::Everywhere, "unmaintained (RUSTSEC-2024-0320); serde-saphyr reads our YAML"),
];

/// The only place crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The page that explains our direct dependencies.
const PAGE: &str = "docs/dependencies.md";
/// Shorter than this nothing is explained.
const REASON_CHARS_MIN: usize = 60;

#[test]
fn every_licence_is_one_we_may_ship() {
    let metadata = metadata();
    let faults: Vec<String> = packages(&metadata)
        .filter(|package| !package["license"].as_str().is_some_and(is_acceptable))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(
        faults.is_empty(),
        "licences that are not on the list: do without the crate, or add the licence to LICENCES here and to deny.toml, \
         saying in the commit why everyone may ship it\n{}",
        faults.join("\n")
    );
}

#[test]
fn every_crate_comes_from_crates_io() {
    let faults: Vec<String> = locked_packages()
        .into_iter()
        .filter(|package| match package.get("source") {
            Some(source) => source != REGISTRY || !package.contains_key("checksum"),
            None => package.get("name").map(String::as_str) != Some(env!("CARGO_PKG_NAME")),
        })
        .map(|package| format!("{package:?}"))
        .collect();
    assert!(
        faults.is_empty(),
        "only released crates of crates.io, no git and no path but our own\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_banned_crate_is_back() {
    let direct = direct_dependencies(&metadata());
    let mut faults = Vec::new();
    for (name, version) in &built() {
        for (_, ban, reason) in BANS.iter().filter(|(banned, _, _)| banned == name) {
            let broken = match *ban {
                Ban::Everywhere => true,
                Ban::Direct => direct.contains(name),
                Ban::Before(major, minor, patch) => numbers(version) < [major, minor, patch],
            };
            if broken {
                faults.push(format!("{name} {version}: {reason}. Who brings it: cargo tree -i {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_direct_dependencies_are_sorted() {
    let manifest = read("Cargo.toml");
    for section in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
        let lines =
            manifest.lines().skip_while(|line| *line != section).skip(1).take_while(|line| !line.starts_with('['));
        let names: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once('=')?.0.trim()))
            .filter(|name| !name.starts_with('#'))
            .collect();
        assert!(names.is_sorted(), "sort {section} in Cargo.toml: a sorted list has one place for a crate\n{names:#?}");
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let metadata = metadata();
    let direct = direct_dependencies(&metadata);
    let page = read(PAGE);
    let reasons = reasons(&page);
    for name in &direct {
        let reason = reasons.get(name.as_str()).map_or(0, |reason| reason.chars().count());
        assert!(
            reason >= REASON_CHARS_MIN,
            "add to {PAGE}, in the section it belongs to:\n* `{name}`: what we use it for, why this one, and what was \
             rejected (at least {REASON_CHARS_MIN} characters)"
        );
    }
    for name in reasons.keys() {
        assert!(direct.contains(*name), "{PAGE} explains `{name}`, which Cargo.toml no longer names: remove its line");
    }
}

#[test]
fn cargo_deny_is_told_the_same() {
    let config = read("deny.toml");
    for licence in LICENCES {
        assert!(config.contains(&format!("\"{licence}\"")), "allow \"{licence}\" under [licenses] in deny.toml");
    }
    for (name, ban, _) in BANS.iter().filter(|(_, ban, _)| *ban != Ban::Direct) {
        let spelled = match *ban {
            Ban::Before(major, minor, patch) => format!("crate = \"{name}@<{major}.{minor}.{patch}\""),
            Ban::Everywhere | Ban::Direct => format!("crate = \"{name}\""),
        };
        assert!(config.contains(&spelled), "deny {{ {spelled}, … }} under [bans] in deny.toml");
    }
}

#[test]
fn licence_expressions_mean_what_spdx_says() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-or-later", false),
        ("", false),
        ("mit", true),
        ("MIT OR GPL-2.0", true),
        ("GPL-2.0 OR MIT", true),
        ("MIT AND GPL-2.0", false),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 / GPL-3.0", true),
        ("MIT OR Apache-2.0 OR LGPL-2.1-or-later", true),
        ("GPL-2.0 OR MIT AND GPL-3.0", false),
        ("MIT OR GPL-2.0 AND GPL-3.0", true),
        ("(MIT OR GPL-2.0) AND GPL-3.0", false),
        ("(MIT OR GPL-2.0) AND (GPL-3.0 OR ISC)", true),
        ("((MIT))", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0 WITH Other-exception", false),
        ("GPL-2.0 WITH Classpath-exception-2.0 OR Zlib", true),
        ("(MIT", false),
        ("MIT)", false),
        ("MIT ISC", false),
        ("OR MIT", false),
        ("MIT AND", false),
        ("Apache-2.0 WITH", false),
    ] {
        assert_eq!(is_acceptable(expression), expected, "{expression:?}");
    }
}

#[test]
fn versions_compare_as_numbers() {
    assert!(numbers("0.4.9") < numbers("0.4.16"));
    assert_eq!(numbers("1.2.3-rc.1+build"), [1, 2, 3]);
}

/// Whether an SPDX expression can be satisfied by choosing licences from the list alone.
///
/// `AND` binds more tightly than `OR`, `WITH` more tightly than both; the slash of old manifests means `OR`.
fn is_acceptable(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

/// `None` stands for something that is no expression.
fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut acceptable = all_of(rest)?;
    while take(rest, "OR") {
        acceptable |= all_of(rest)?;
    }
    Some(acceptable)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut acceptable = one(rest)?;
    while take(rest, "AND") {
        acceptable &= one(rest)?;
    }
    Some(acceptable)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    if take(rest, "(") {
        let acceptable = any_of(rest)?;
        return take(rest, ")").then_some(acceptable);
    }
    let mut licence = name(rest)?.to_owned();
    if take(rest, "WITH") {
        licence = format!("{licence} WITH {}", name(rest)?);
    }
    Some(LICENCES.iter().any(|allowed| allowed.eq_ignore_ascii_case(&licence)))
}

fn name<'a>(rest: &mut &[&'a str]) -> Option<&'a str> {
    let (first, others) = rest.split_first().filter(|(first, _)| !["OR", "AND", "WITH", "(", ")"].contains(*first))?;
    *rest = others;
    Some(first)
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let found = rest.first() == Some(&word);
    if found {
        *rest = &rest[1..];
    }
    found
}

fn numbers(version: &str) -> [u64; 3] {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = release.split('.').map(|number| number.parse().expect("crates.io takes numbers only"));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// What cargo knows of the crates that are built here. Asking for one platform needs only what the build had to
/// download anyway.
fn metadata() -> Value {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo knows its host");
    let platform = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    serde_json::from_str(&cargo(&platform)).expect("cargo metadata prints JSON")
}

/// Names and versions of everything that is compiled for us. The metadata would not do here: it also lists crates that
/// only a feature nobody switched on would need.
fn built() -> BTreeSet<(String, String)> {
    let output = cargo(&["tree", "--locked", "--offline", "--edges", "normal,build,dev", "--prefix", "none"]);
    let pairs = output.lines().filter_map(|line| line.split_once(" v"));
    let built: BTreeSet<(String, String)> =
        pairs.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap_or_default().to_owned())).collect();
    assert!(built.len() > 100, "cargo tree prints in another form than expected\n{output}");
    built
}

/// What cargo prints; a test that runs without cargo is helped by the PATH.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo speaks UTF-8")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("a list of packages").iter()
}

/// The names in our own `[dependencies]` and `[build-dependencies]`; what only tests use needs no defence.
fn direct_dependencies(metadata: &Value) -> BTreeSet<String> {
    let own = packages(metadata).find(|package| package["name"] == env!("CARGO_PKG_NAME")).expect("our own package");
    let named = own["dependencies"].as_array().expect("a list of dependencies").iter();
    named
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| text(dependency, "name").to_owned())
        .collect()
}

/// Every `[[package]]` of Cargo.lock with its one-line values. The file's form has been stable for years, and it names
/// the crates of all platforms without a download.
fn locked_packages() -> Vec<BTreeMap<String, String>> {
    let lock = read("Cargo.lock");
    let packages: Vec<BTreeMap<String, String>> = lock
        .split("[[package]]")
        .skip(1)
        .map(|block| {
            let pairs = block.lines().filter_map(|line| line.split_once(" = \""));
            pairs.map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned())).collect()
        })
        .collect();
    assert!(packages.iter().all(|package| package.contains_key("name")), "Cargo.lock has another form than expected");
    packages
}

/// The explanations of the page by crate: list items that begin with the crate's name.
fn reasons(page: &str) -> BTreeMap<&str, &str> {
    let items = page.split("\n* `").skip(1);
    let entries = items.filter_map(|item| item.split_once("`:"));
    entries.map(|(name, reason)| (name, reason.split("\n\n").next().unwrap_or_default().trim())).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("cargo metadata gives every package a name, a version and dependencies with names")
}

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).expect(&path)
}
