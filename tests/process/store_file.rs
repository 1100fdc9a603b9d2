//! Who may open which file: one process, and never a damaged one.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};

use crate::support::faults::proven;
use crate::support::{Event, Home, Instance};

/// What `snowgate serve` says in this folder before it gives up, and its exit code.
fn refusal(home: &Home) -> (Option<i32>, String) {
    let output = home.command(&["serve", "--config", "snowgate.yaml"]).output().expect("the binary was built");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_second_process_on_the_same_store_is_refused_and_told_who_has_it() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let gateway = home.start().await;
    let (code, said) = refusal(&home);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&gateway.pid().to_string()), "names the process that has it: {said}");
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    proven(
        "F18",
        "a_second_process_on_the_same_store_is_refused_and_told_who_has_it",
        "exit 3, and the message names the process that has it; that one goes on",
    );
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_never_served() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let mut gateway = home.start().await;
    for number in 0..30 {
        gateway.post(&Event::opened(&format!("MTR-{number}"))).await.expect(202);
    }
    gateway.quiet().await;
    gateway.signal("TERM");
    gateway.ended(crate::support::PATIENCE).await;
    drop(gateway);
    let file = home.path().join("snowgate.db");
    let length = std::fs::metadata(&file).expect("the store").len();
    let mut damaged = OpenOptions::new().write(true).open(&file).expect("the store");
    // Everything behind the first page, whose header alone would betray it too easily.
    damaged.seek(SeekFrom::Start(4096)).expect("a place");
    let noise: Vec<u8> = (0..length.saturating_sub(4096)).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
    damaged.write_all(&noise).expect("a full disk would be another test");
    drop(damaged);
    let (code, said) = refusal(&home);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("snowgate.db"), "names the file: {said}");
    assert!(said.contains("damaged") || said.contains("corrupt") || said.contains("malformed"), "{said}");
    proven(
        "F17",
        "a_damaged_store_is_refused_and_never_served",
        "every page but the first overwritten: exit 3 with the name of the file, nothing served",
    );
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let text = "my notes, not a database; ".repeat(400);
    home.write("snowgate.db", &text);
    let (code, said) = refusal(&home);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("snowgate.db"), "{said}");
    assert_eq!(std::fs::read_to_string(home.path().join("snowgate.db")).ok().as_deref(), Some(text.as_str()));
}

#[tokio::test]
async fn a_store_in_memory_is_refused_unless_losing_work_is_accepted() {
    let instance = Instance::start();
    let home = Home::contoso(instance.url());
    let memory = tempfile::tempdir_in("/dev/shm").expect("Linux has memory there");
    let settings = std::fs::read_to_string(home.path().join("snowgate.yaml")).expect("the settings");
    let store = format!("sqlite:{}/snowgate.db", memory.path().display());
    home.write("snowgate.yaml", &settings.replace("sqlite:snowgate.db", &store));
    let (code, said) = refusal(&home);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("accept_data_loss"), "says what would let it run: {said}");
    let lossy = format!("{{url: \"{store}\", accept_data_loss: true}}");
    home.write("snowgate.yaml", &settings.replace("{url: \"sqlite:snowgate.db\"}", &lossy));
    let gateway = home.start().await;
    gateway.post(&Event::opened("MTR-1")).await.expect(202);
    gateway.quiet().await;
    proven(
        "F16",
        "a_store_in_memory_is_refused_unless_losing_work_is_accepted",
        "exit 3, and the message says which setting would let it run; network file systems are told apart by their number",
    );
}
