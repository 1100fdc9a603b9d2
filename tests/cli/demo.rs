//! `snowgate demo` and `snowgate simulate`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::Run;
use crate::support::Home;

#[test]
fn the_demo_tells_its_story_and_its_checks_hold() {
    let run = Run::of(&Home::of(&[]), &["demo"]).expect(0);
    let last: Vec<&str> = run.out.trim_end().lines().rev().take(3).collect();
    assert_eq!(
        last,
        ["ok    0 deliveries need a person", "ok    3 messages, each written once", "ok    4 incidents, 4 tickets"]
    );
    assert!(run.out.contains("18:02") && run.out.contains("the same receipt"), "{}", run.out);
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
