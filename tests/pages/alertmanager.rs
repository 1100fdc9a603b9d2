//! The real Alertmanager of Debian, with the configuration that its page tells people to paste: it opens and resolves tickets.
//!
//! Only what a page cannot know is replaced: our address, the place of the key, and the waiting times, which are made short.
//! `scripts/test-alertmanager.sh` brings the program.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::home::key_of;
use crate::support::instance::Ticket;
use crate::support::mappings::TEAMS_ROOMS;
use crate::support::{Gateway, Home, Instance, Tenant, eventually};
use crate::tools::{blocks, project, text_of};

const PAGE: &str = "docs/sources/alertmanager.md";
const STARTED: &str = "2026-11-22T06:00:00Z";

/// A running Alertmanager; it ends with the test.
struct Alertmanager {
    child: Child,
    log: PathBuf,
    url: String,
    http: Client,
}

impl Alertmanager {
    /// One that tells this source of the gateway.
    async fn start(home: &Home, gateway: &Gateway, source: &str) -> Self {
        let program = project("target/tools/alertmanager/usr/bin/prometheus-alertmanager");
        assert!(program.exists(), "no Alertmanager at {}; run ./scripts/test-alertmanager.sh", program.display());
        let key = home.path().join("snowgate.key");
        fs::write(&key, key_of("contoso")).expect("the folder can be written to");
        home.write("alertmanager.yml", &configuration(gateway.public(), source, &key.display().to_string()));
        let log = home.path().join("alertmanager.log");
        let child = Command::new(program)
            .args(["--config.file=alertmanager.yml", "--storage.path=alertmanager", "--cluster.listen-address="])
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("it can be run");
        let http = Client::builder().no_proxy().build().expect("a client");
        let mut alertmanager = Self { child, log, url: String::new(), http };
        alertmanager.url = eventually("Alertmanager says where it listens", async || alertmanager.address()).await;
        eventually("Alertmanager is ready", async || alertmanager.get("/-/ready").await).await;
        alertmanager
    }

    /// The address of its line `msg="Listening on" address=127.0.0.1:41567`.
    fn address(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        let line = log.lines().find(|line| line.contains("Listening on"))?.split("address=").nth(1)?;
        line.split_whitespace().next().map(|address| format!("http://{address}"))
    }

    async fn get(&self, path: &str) -> Option<()> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.ok()?;
        answer.status().is_success().then_some(())
    }

    /// Tells it of alerts, as Prometheus does.
    async fn told(&self, alerts: &[Value]) {
        let request = self.http.post(format!("{}/api/v2/alerts", self.url)).header("content-type", "application/json");
        let answer = request.body(json!(alerts).to_string()).send().await.expect("Alertmanager answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "what it said belongs to a failed test's output")]
            {
                eprintln!("log of Alertmanager:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
            }
        }
    }
}

/// The page's configuration with what only this machine knows.
fn configuration(gateway: &str, source: &str, key: &str) -> String {
    let blocks = blocks(&text_of(PAGE), "yaml alertmanager.yml");
    let [page] = blocks.as_slice() else { panic!("{PAGE} has {} configurations", blocks.len()) };
    let mut text = page.clone();
    for (said, here) in [
        ("https://snowgate.example", gateway),
        ("sources/alertmanager", &format!("sources/{source}")),
        ("/etc/alertmanager/snowgate.key", key),
        ("group_wait: 30s", "group_wait: 0s"),
        ("group_interval: 5m", "group_interval: 200ms"),
    ] {
        assert!(text.contains(said), "{PAGE} does not say {said}");
        text = text.replace(said, here);
    }
    text
}

/// An alert of a room; one that is over ends now.
fn alert(room: &str, over: bool) -> Value {
    let labels = json!({"alertname": "MtrDown", "instance": format!("{room}:9182"), "site": "BER", "room": room, "severity": "critical"});
    let annotations = json!({"summary": format!("{room} does not answer")});
    let generator = "http://prometheus.example:9090/graph?g0.expr=up";
    if over {
        let now = jiff::Timestamp::now().to_string();
        return json!({"labels": labels, "annotations": annotations, "generatorURL": generator, "startsAt": STARTED, "endsAt": now});
    }
    json!({"labels": labels, "annotations": annotations, "generatorURL": generator, "startsAt": STARTED})
}

async fn bridge() -> (Instance, Home, Gateway) {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(TEAMS_ROOMS)]);
    home.add_sources();
    let gateway = home.start().await;
    (instance, home, gateway)
}

/// The one ticket with this title, as soon as it is in this state.
async fn ticket(instance: &Instance, title: &str, state: &str) -> Ticket {
    eventually(&format!("the ticket `{title}` is in state {state}"), async || {
        let mut found = instance.tickets_named(title);
        assert!(found.len() < 2, "tickets with the title {title}: {found:#?}");
        found.pop().filter(|ticket| ticket.field("state") == state)
    })
    .await
}

#[tokio::test]
async fn each_alert_of_a_real_alertmanager_opens_a_ticket_and_resolves_it() {
    let (instance, home, gateway) = bridge().await;
    let alertmanager = Alertmanager::start(&home, &gateway, "alertmanager").await;
    alertmanager.told(&[alert("Berlin 4.11", false), alert("Berlin 4.12", false)]).await;
    let opened = ticket(&instance, "Berlin 4.11 does not answer", "1").await;
    assert_eq!((opened.field("impact"), opened.field("contact_type")), ("1".to_owned(), "monitoring".to_owned()));
    ticket(&instance, "Berlin 4.12 does not answer", "1").await;

    alertmanager.told(&[alert("Berlin 4.11", true)]).await;
    let over = ticket(&instance, "Berlin 4.11 does not answer", "6").await;
    assert_eq!(over.field("close_notes"), "The alert is over.");
    assert_eq!(ticket(&instance, "Berlin 4.12 does not answer", "1").await.field("state"), "1");

    alertmanager.told(&[alert("Berlin 4.12", true)]).await;
    ticket(&instance, "Berlin 4.12 does not answer", "6").await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 2);
}

#[tokio::test]
async fn a_group_of_a_real_alertmanager_is_one_ticket_that_ends_with_its_last_alert() {
    let (instance, home, gateway) = bridge().await;
    let alertmanager = Alertmanager::start(&home, &gateway, "alertmanager-group").await;
    let title = "MtrDown in BER";
    alertmanager.told(&[alert("Berlin 4.11", false), alert("Berlin 4.12", false)]).await;
    ticket(&instance, title, "1").await;
    eventually("a note says what fires", async || {
        let notes = ticket(&instance, title, "1").await.journal("work_notes").join("\n");
        (notes.contains("Berlin 4.11 does not answer") && notes.contains("Berlin 4.12 does not answer")).then_some(())
    })
    .await;

    alertmanager.told(&[alert("Berlin 4.11", true)]).await;
    eventually("a note says what is over", async || {
        let notes = ticket(&instance, title, "1").await.journal("work_notes");
        notes.iter().any(|note| note.contains("Over:\nBerlin 4.11 does not answer")).then_some(())
    })
    .await;

    alertmanager.told(&[alert("Berlin 4.12", true)]).await;
    ticket(&instance, title, "6").await;
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 1);
}
