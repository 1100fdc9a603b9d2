//! Node and Python as `scripts/test.sh` prepares them, the pages as text, and a server that keeps what it was sent.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use snowgate::domain::time::Timestamp;

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Its text.
pub(crate) fn text_of(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|problem| panic!("{path}: {problem}"))
}

/// Node, which finds the packages of `scripts/test-node.sh`.
pub(crate) fn node() -> Command {
    let folders = ["receiver", "business-rule"].map(|name| project(&format!("target/test-node/{name}/node_modules")));
    for folder in &folders {
        assert!(folder.exists(), "no Node packages at {}; run ./scripts/test-node.sh", folder.display());
    }
    let mut command = Command::new("node");
    command.env("NODE_PATH", std::env::join_paths(folders).expect("folders without `:`")).env_remove("NODE_OPTIONS");
    command
}

/// Python with the packages of `scripts/test-python.sh`.
pub(crate) fn python() -> Command {
    let python = project("target/test-python/bin/python");
    assert!(python.exists(), "no Python with the test packages at {}; run ./scripts/test-python.sh", python.display());
    Command::new(python)
}

/// Runs a program to its end, with this on its standard input.
pub(crate) fn run(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|problem| panic!("{command:?}: {problem}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads its input");
    child.wait_with_output().expect("it ends")
}

/// This moment, as the peers' clocks show it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The fenced blocks of a page whose opening line has this text, such as `json event`.
pub(crate) fn blocks(page: &str, info: &str) -> Vec<String> {
    let opening = format!("\n```{info}\n");
    let after = |part: &str| part.split_once("\n```").map(|(block, _)| format!("{block}\n"));
    page.split(&opening).skip(1).map(|part| after(part).expect("a closing fence")).collect()
}

/// One request, byte for byte.
#[derive(Debug)]
pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// A header's value, empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Takes one request and answers 202; gives the port and, once it came, the request.
pub(crate) fn listen_once() -> (u16, JoinHandle<Request>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (port, std::thread::spawn(move || take(listener.accept().expect("a connection").0)))
}

fn take(mut stream: TcpStream) -> Request {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).expect("the rest of the request");
        assert!(count > 0, "the request ends early");
        bytes.extend(piece.iter().take(count));
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
        let request = Request { head, body: bytes[end + 4..].to_vec() };
        if request.header("content-length").parse() == Ok(request.body.len()) {
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.write_all(answer).expect("the sender listens");
            return request;
        }
    }
}
