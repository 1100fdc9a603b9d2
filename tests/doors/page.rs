//! docs/faults.md held to what is there: every fault from F60 to F90 has a row, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/faults.md";
const CHECKLIST: &str = "docs/security-checklist.md";

fn text_of(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// Every `file.rs::name` of a page that stands in backquotes, as file and name.
fn tests_of(page: &str) -> BTreeSet<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| text.split_once(".rs::"));
    named.map(|(file, name)| (format!("{file}.rs"), name.to_owned())).collect()
}

/// The first cell of every row of the page's tables that begins with this letter and a number.
fn rows_of(page: &str, letter: char) -> Vec<(u32, String)> {
    let row = |line: &str| {
        let (cell, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some((cell.strip_prefix(letter)?.parse().ok()?, rest.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

fn check_tests(page: &str) {
    let text = text_of(page);
    let named = tests_of(&text);
    assert!(named.len() > 10, "{page} names no tests");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing: Vec<String> = named
        .iter()
        .filter(|(file, name)| {
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            !source.contains(&format!("fn {name}(")) && !source.contains(&format!("{name},"))
        })
        .map(|(file, name)| format!("{file}::{name}"))
        .collect();
    assert!(missing.is_empty(), "{page} names tests that are not there: {missing:#?}");
}

#[test]
fn every_fault_has_a_row_with_a_test_or_a_reason_and_every_test_exists() {
    let page = text_of(PAGE);
    // What comes before F60 is the matrix's.
    let rows: Vec<_> = rows_of(&page, 'F').into_iter().filter(|(number, _)| *number >= 60).collect();
    assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (60..=90).collect::<Vec<_>>());
    for (number, row) in &rows {
        assert!(row.contains(".rs::") || row.contains("No test"), "F{number} has neither a test nor a reason: {row}");
    }
    check_tests(PAGE);
}

#[test]
fn every_demand_on_security_has_a_line() {
    let rows = rows_of(&text_of(CHECKLIST), 'S');
    assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    for (number, row) in rows {
        let verdict = row.split(" | ").nth(1).unwrap_or_default().to_owned();
        assert!(["met", "in part", "not met", "later"].contains(&verdict.as_str()), "S{number}: {verdict}");
    }
    check_tests(CHECKLIST);
}
