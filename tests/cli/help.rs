//! `--help` and wrong usage.

use insta::assert_snapshot;

use crate::run::Run;
use crate::support::Home;

#[test]
fn every_command_explains_itself() {
    let home = Home::of(&[]);
    for command in [
        "",
        "serve",
        "demo",
        "simulate",
        "check",
        "preview",
        "tenants",
        "tenants enable",
        "audit",
        "audit list",
        "audit verify",
        "deliveries",
        "deliveries list",
        "health",
        "reload",
        "store",
        "store copy",
        "store compare",
        "store show",
        "key",
        "key new",
        "key sign",
        "mapping new",
        "schema",
        "verify-history",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let name = format!("help {command}").trim_end().replace(' ', "-");
        assert_snapshot!(name, Run::of(&home, &arguments).expect(0).out);
    }
}

#[test]
fn wrong_usage_is_2_and_says_what_would_be_right() {
    let home = Home::of(&[]);
    for (arguments, words) in [
        (&["serv"][..], "serve"),
        (&["preview"], "--tenant"),
        (&["schema", "house"], "mapping"),
        (&["simulate", "--faults", "zomby=1"], "`zomby` is no fault"),
        (&["simulate", "--listen", "here"], "--listen"),
    ] {
        let run = Run::of(&home, arguments).expect(2);
        assert!(run.err.contains(words) && run.out.is_empty(), "{arguments:?}: {run:#?}");
    }
}

#[test]
fn without_a_command_the_help_is_shown() {
    let run = Run::of(&Home::of(&[]), &[]).expect(2);
    assert!(run.err.contains("First steps") || run.out.contains("First steps"), "{run:#?}");
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(Run::of(&Home::of(&[]), &["--version"]).expect(0).out, "snowgate [version]\n");
}
