//! `snowgate demo` and `snowgate simulate`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::Run;
use crate::support::Home;

#[test]
fn the_demo_tells_its_story_in_both_directions_and_its_checks_hold() {
    let run = Run::of(&Home::of(&[]), &["demo"]).expect(0);
    let checks: Vec<&str> = run.out.lines().filter(|line| line.starts_with("ok    ")).collect();
    assert_eq!(
        checks,
        [
            "ok    5 incidents, 6 tickets: one goes on after its ticket was closed",
            "ok    4 messages of the managed service, each on its ticket once",
            "ok    0 deliveries need a person",
            "ok    15 callbacks, all signed, each with an id of its own",
            "ok    3 comments of people, each told once, webhook or not",
            "ok    the private work note was told to nobody",
            "ok    0 messages of the managed service came back to it",
        ]
    );
    for told in ["18:02", "the same receipt", "INC0010001 → lost", "ticket.linked MTR-5001  INC0010005 (adopted)"] {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
    assert!(!run.out.contains("Warranty") && !run.out.contains("WRONG"), "{}", run.out);
    assert!(run.err.is_empty(), "{}", run.err);
}

#[test]
fn the_simulator_says_where_it_is_and_stops_when_asked() {
    let home = Home::of(&[]);
    let mut child = home
        .command(&["simulate", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says something");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(told["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{told}");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` exists").success());
    assert_eq!(child.wait().expect("our own child").code(), Some(0));
}
