//! The example receivers, each in a process of its own, against callbacks that our own signing makes: what they take,
//! what they refuse, that a repeat has one effect. Their webhook packages are not ours.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, sync_channel};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use snowgate::domain::time::Timestamp;
use snowgate::security::signature::{WebhookSecret, sign};

use crate::tools::{blocks, node, now, project, python, text_of};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STRANGER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// No receiver prints more lines than this before somebody reads them.
const LINES_MAX: usize = 1_000;

/// A running receiver; it ends with the test.
#[derive(Debug)]
struct Receiver {
    child: Child,
    url: String,
    lines: Lines<String>,
    http: Client,
}

/// A signed request, to be spoilt before it is sent.
#[derive(Clone, Debug)]
struct Callback {
    id: String,
    at: Timestamp,
    secret: &'static str,
    headers: Vec<(String, String)>,
    signed: Vec<u8>,
    body: Vec<u8>,
    signature: Option<String>,
}

impl Receiver {
    fn start(mut command: Command) -> Self {
        command.env("SNOWGATE_CALLBACK_SECRET", SECRET).env("PORT", "0").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let (sender, lines) = sync_channel(LINES_MAX);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let http = Client::builder().no_proxy().build().expect("a client");
        let mut receiver = Self { child, url: String::new(), lines, http };
        let first = receiver.line();
        let url = first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}"));
        url.clone_into(&mut receiver.url);
        receiver
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("it says something")
    }

    /// Status and body of its answer.
    async fn answers(&self, callback: &Callback) -> (u16, Value) {
        let Callback { id, at, headers, signed, body, .. } = callback;
        let secret = WebhookSecret::parse(callback.secret).expect("a secret");
        let signature = callback.signature.clone().unwrap_or_else(|| sign(id, *at, signed, &secret));
        let mut request = self.http.post(&self.url).header("webhook-id", id).header("webhook-signature", signature);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.header("webhook-timestamp", at.seconds().to_string()).body(body.clone());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        #[expect(clippy::disallowed_methods, reason = "the answer of a program that we ship")]
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn status(&self, callback: &Callback) -> u16 {
        self.answers(callback).await.0
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Callback {
    fn of(event: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/cloudevents+json".to_owned())];
        Self::signed(event["id"].as_str().expect("an id"), headers, event.to_string().into_bytes())
    }

    /// A file, as CloudEvents' binary mode carries it.
    fn file(id: &str, bytes: &[u8]) -> Self {
        let sha256 = Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let headers = [
            ("content-type", "application/octet-stream"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-type", "ticket.attachment_added"),
            ("ce-source", "/tenants/contoso/servicenow"),
            ("ce-subject", "MTR-1"),
            ("ce-attachmentid", "a1"),
            ("ce-attachmentname", "Gr%C3%B6%C3%9Fe.log"),
            ("ce-attachmentsha256", &sha256),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self::signed(id, headers, bytes.to_vec())
    }

    fn signed(id: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { id: id.to_owned(), at: now(), secret: SECRET, headers, signed: body.clone(), body, signature: None }
    }

    fn sent(self, seconds: i64) -> Self {
        Self { at: Timestamp::from_millis(self.at.millis() + seconds * 1_000), ..self }
    }

    fn with_signature(self, signature: &str) -> Self {
        Self { signature: Some(signature.to_owned()), ..self }
    }

    /// With other bytes than those that were signed.
    fn tampered(mut self) -> Self {
        let middle = self.body.len() / 2;
        self.body[middle] ^= 1;
        self
    }

    /// Every way to spoil it.
    fn spoilt(&self) -> Vec<(&'static str, Self)> {
        let same = || self.clone();
        vec![
            ("tampered with", same().tampered()),
            ("signed by a stranger", Self { secret: STRANGER, ..same() }),
            ("under another id", Self { id: "evt-other".to_owned(), ..same().with_signature(&self.signature()) }),
            ("ten minutes old", same().sent(-600)),
            ("ten minutes early", same().sent(600)),
            ("without a signature", same().with_signature("")),
            ("with half a signature", same().with_signature("v1,AAAA")),
            ("with words for a signature", same().with_signature("let me in, please")),
        ]
    }

    fn signature(&self) -> String {
        sign(&self.id, self.at, &self.signed, &WebhookSecret::parse(self.secret).expect("a secret"))
    }
}

fn event(kind: &str, id: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/tenants/contoso/servicenow", "type": kind, "subject": "MTR-1",
        "time": "2026-11-22T06:00:00Z", "datacontenttype": "application/json", "origin": "servicenow", "data": data,
    })
}

/// Everything a receiver must do, in one life of it.
async fn check(receiver: Receiver) {
    let changed = Callback::of(&event("ticket.changed", "evt-1", &json!({"changes": {"title": "Größe 表示 🖥️"}})));
    for (what, spoilt) in changed.spoilt() {
        assert_eq!(receiver.status(&spoilt).await, 401, "{what}");
    }
    assert_eq!(receiver.status(&changed).await, 204);
    assert_eq!(receiver.status(&changed.clone().sent(-60)).await, 204, "a repeat is signed anew, under its old id");

    let opened = Callback::of(&event("ticket.opened", "evt-2", &json!({"ticket": {"sys_id": "5f8a"}, "incident": {}})));
    let incident = json!({"incident": {"id": "INC-5f8a"}});
    assert_eq!(receiver.answers(&opened).await, (200, incident.clone()));
    assert_eq!(receiver.answers(&opened.clone().sent(-60)).await, (200, incident), "and is answered as at first");

    // Neither UTF-8 nor JSON, with everything that text would change.
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let file = Callback::file("evt-3", &bytes);
    for (what, spoilt) in file.spoilt() {
        assert_eq!(receiver.status(&spoilt).await, 401, "a file {what}");
    }
    assert_eq!(receiver.status(&file).await, 204);
    assert_eq!(receiver.status(&file).await, 204);

    let unknown = Callback::of(&event("ticket.something_new", "evt-4", &json!({})));
    assert_eq!(receiver.status(&unknown).await, 204, "a type of a later version is no reason to park");

    let sha256 = &file.headers.last().expect("the hash").1;
    for expected in [
        "took ticket.changed MTR-1 evt-1 -".to_owned(),
        "took ticket.opened MTR-1 evt-2 -".to_owned(),
        format!("took ticket.attachment_added MTR-1 evt-3 {sha256}"),
        "took ticket.something_new MTR-1 evt-4 -".to_owned(),
    ] {
        assert_eq!(receiver.line(), expected);
    }

    for example in blocks(&text_of("docs/managed-service.md"), "json callback") {
        let event: Value = serde_json::from_str(&example).unwrap_or_else(|problem| panic!("{problem}: {example}"));
        let expected = if event["type"] == "ticket.opened" { 200 } else { 204 };
        assert_eq!(receiver.status(&Callback::of(&event)).await, expected, "{example}");
    }
}

#[tokio::test]
async fn the_receiver_in_node_takes_what_is_ours_once_and_nothing_else() {
    let mut command = node();
    command.arg(project("examples/receivers/node/receiver.js"));
    check(Receiver::start(command)).await;
}

#[tokio::test]
async fn the_receiver_in_python_takes_what_is_ours_once_and_nothing_else() {
    let mut command = python();
    command.arg(project("examples/receivers/python/receiver.py"));
    check(Receiver::start(command)).await;
}

#[tokio::test]
async fn the_receiver_in_rust_takes_what_is_ours_once_and_nothing_else() {
    // Examples have no variable of their own; they are built beside the program.
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_snowgate")).with_file_name("examples").join("receiver");
    let modified = |path: &std::path::Path| path.metadata().and_then(|about| about.modified()).ok();
    let source = project("examples/receivers/rust/main.rs");
    assert!(modified(&beside) >= modified(&source), "{} is not built; run cargo build --examples", beside.display());
    check(Receiver::start(Command::new(beside))).await;
}
