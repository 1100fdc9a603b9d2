//! `snowgate check --live` and `POST …/check`: what a test ticket does, that it is always put away, and that nobody but the
//! person who asked hears of it. What each misconfiguration is called is in `tests/onboarding`.

use std::net::TcpListener;
use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;

use crate::support::bridged::Setup;
use crate::support::home::{Home, Tenant};
use crate::support::mappings::{PLAIN, TEAMS_ROOMS, both_ways};
use crate::support::reply::text;
use crate::support::{Bridged, Instance, Sweeps, eventually};

const TITLE: &str = "Snowgate connection test, please ignore";
const CHECK: &str = "/v1/tenants/contoso/check";
const ARGUMENTS: [&str; 5] = ["check", "--config", "snowgate.yaml", "--live", "--json"];

/// How a check ended: its exit code, and its report.
struct Checked {
    code: Option<i32>,
    report: Value,
}

impl Checked {
    /// Runs the command in this folder. Nothing it prints may hold a secret.
    fn by_command(home: &Home, more: &[&str]) -> Self {
        let arguments: Vec<&str> = ARGUMENTS.iter().chain(more).copied().collect();
        let output = home.command(&arguments).output().expect("the binary was built");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for secret in home.secrets() {
            assert!(!out.contains(&secret) && !err.contains(&secret), "a secret in\n{out}\n{err}");
        }
        let json: Value = serde_json::from_str(&out).unwrap_or_default();
        assert!(json["reports"].is_array(), "{out}\n{err}");
        Self { code: output.status.code(), report: json["reports"][0].clone() }
    }

    fn findings(&self, severity: &str) -> Vec<&Value> {
        let all = self.report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|finding| finding["severity"] == severity).collect()
    }

    fn codes(&self, severity: &str) -> Vec<&str> {
        let mut codes: Vec<&str> =
            self.findings(severity).iter().filter_map(|finding| finding["code"].as_str()).collect();
        codes.dedup();
        codes
    }

    /// The one finding of this code.
    #[track_caller]
    fn one(&self, code: &str) -> &Value {
        let all = self.report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Vec<&Value> = all.iter().filter(|finding| finding["code"] == code).collect();
        assert_eq!(found.len(), 1, "findings {code} in {:#}", self.report);
        found[0]
    }

    #[track_caller]
    fn passed(self) -> Self {
        assert_eq!((self.code, &self.report["passed"]), (Some(0), &Value::Bool(true)), "{:#}", self.report);
        self
    }

    #[track_caller]
    fn failed(self) -> Self {
        assert_eq!((self.code, &self.report["passed"]), (Some(1), &Value::Bool(false)), "{:#}", self.report);
        self
    }
}

fn contoso(instance: &Instance, mapping: &str) -> Home {
    Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(mapping)])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_in_order_passes_and_keeps_nothing_of_the_test() {
    let instance = Instance::start();
    let checked = Checked::by_command(&contoso(&instance, PLAIN), &[]).passed();
    assert_eq!(checked.codes("error"), Vec::<&str>::new());
    assert!(instance.tickets().is_empty(), "the test ticket was removed");
    // It was a real one: made, changed, commented, resolved and removed.
    assert_eq!((instance.writes("POST"), instance.writes("DELETE")), (1, 1));
    assert!(instance.writes("PATCH") >= 4, "{:?}", instance.calls());
    let proved = |part: &str| {
        let notes = checked.findings("note");
        assert!(notes.iter().any(|note| text(note, "/message").contains(part)), "{part} in {notes:#?}");
    };
    for part in ["logged in", "sys_id is honoured", "found by its correlation_id", "be changed", "be resolved", "GMT"] {
        proved(part);
    }
    assert!(checked.report["calls"].as_u64().is_some_and(|calls| (10..100).contains(&calls)), "{:#}", checked.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ticket_nothing_is_written() {
    let instance = Instance::start();
    Checked::by_command(&contoso(&instance, PLAIN), &["--no-ticket"]).passed();
    for verb in ["POST", "PATCH", "PUT", "DELETE"] {
        assert_eq!(instance.writes(verb), 0, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_delete_cancels_the_ticket_and_that_is_right() {
    let instance = Instance::with(|switches| switches.delete_allowed = false);
    let home = contoso(&instance, PLAIN);
    for round in 1..=2 {
        let checked = Checked::by_command(&home, &[]).passed();
        assert_eq!(checked.one("L046")["severity"], "note");
        assert!(!checked.codes("warning").contains(&"L070"), "it cannot delete");
        assert!(!checked.codes("note").contains(&"L047"), "a ticket that is over is no left-over");
        let tickets = instance.tickets();
        assert_eq!(tickets.len(), round, "each test has its own ticket");
        for ticket in tickets {
            assert_eq!((ticket.field("short_description").as_str(), ticket.field("state").as_str()), (TITLE, "8"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_resolve_is_named_with_what_to_map_and_the_ticket_is_put_away_all_the_same() {
    let instance = Instance::start();
    let (before, rest) = PLAIN.split_once("    close_code:").expect("the mapping resolves");
    let (_, after) = rest.split_once("  on:\n").expect("the mapping goes on");
    let mapping = format!("{before}  on:\n{after}").replace(", close_code: Solution provided", "");
    let home = Home::of(&[Tenant::named("contoso", instance.url()).mapped_by(&mapping)]);
    let checked = Checked::by_command(&home, &[]).failed();
    let refused = checked.one("L043");
    assert!(text(refused, "/remedy").contains("close_code"), "{refused:#}");
    assert!(text(refused, "/place").starts_with("mappings/contoso.yaml:"), "{refused:#}");
    assert!(checked.codes("error").contains(&"L026"), "the data policy says so as well: {:#}", checked.report);
    assert!(instance.tickets().is_empty(), "{:#?}", instance.tickets());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_killed_leaves_its_ticket_to_the_next_one() {
    let instance = Instance::start();
    let home = contoso(&instance, PLAIN);
    let mut child =
        home.command(&ARGUMENTS).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary was built");
    // At five calls a second there are seconds between the making and the end.
    eventually("a test ticket", async || (!instance.tickets().is_empty()).then_some(())).await;
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    assert_eq!(instance.tickets().len(), 1, "nobody was left to put it away");
    let checked = Checked::by_command(&home, &[]).passed();
    let left = checked.one("L047");
    assert!(text(left, "/message").contains("INC0010001"), "{left:#}");
    assert!(instance.tickets().is_empty(), "{:#?}", instance.tickets());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_people_with_the_same_title_is_left_alone() {
    let instance = Instance::start();
    instance.create("abel.tuter", &[("short_description", TITLE)]);
    Checked::by_command(&contoso(&instance, PLAIN), &[]).passed();
    assert_eq!(instance.tickets().len(), 1, "it has no key of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let home = Home::contoso(&url);
    let checked = Checked::by_command(&home, &[]).failed();
    assert_eq!(checked.codes("error"), ["L001"]);
    assert_eq!(text(checked.one("L001"), "/place"), "tenants/contoso.yaml:3:13");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_accepted_are_told_with_what_to_do_for_their_kind() {
    for (oauth, remedy) in [(false, "Web service access only"), (true, "client.credential.grant_type.enabled")] {
        let instance = Instance::with(|switches| {
            switches.basic_auth_refused = true;
            switches.client_credentials_enabled = false;
        });
        let tenant = Tenant::named("contoso", instance.url());
        let home = Home::of(&[if oauth { tenant.with_oauth() } else { tenant }]);
        let checked = Checked::by_command(&home, &[]).failed();
        assert_eq!(checked.codes("error"), ["L005"], "{:#}", checked.report);
        let found = checked.one("L005");
        assert!(text(found, "/remedy").contains(remedy), "{found:#}");
        assert!(text(found, "/place").starts_with("tenants/contoso.yaml:4:"), "{found:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_an_answer_is_not_servicenow() {
    let instance = Instance::start();
    instance.plays("html_ok=1000");
    let checked = Checked::by_command(&contoso(&instance, PLAIN), &[]).failed();
    assert_eq!(checked.codes("error"), ["L004"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_making_is_no_lost_ticket() {
    let instance = Instance::start();
    instance.plays("answer_lost=1000,verbs=POST,budget=1");
    let checked = Checked::by_command(&contoso(&instance, PLAIN), &[]).failed();
    assert!(!checked.codes("error").contains(&"L045"), "{:#}", checked.report);
    assert!(instance.tickets().is_empty(), "{:#?}", instance.tickets());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_in_order_are_tried() {
    let instance = Instance::start();
    let home = contoso(&instance, &PLAIN.replace("impact: 1, state: 1", "impact: 2, state: 1"));
    let output = home.command(&ARGUMENTS).output().expect("the binary was built");
    assert_eq!(output.status.code(), Some(1));
    assert!(instance.calls().is_empty(), "a case fails, so nothing was asked");
}

#[tokio::test]
async fn the_test_button_passes_for_the_shipped_mapping_and_nobody_hears_of_it() {
    let bridged = Bridged::with(|setup: &mut Setup| {
        // The rule tells what we do as well, and the sweep finds it.
        setup.skip_user = None;
        setup.sweeps = Sweeps::Always;
        setup.mapping = TEAMS_ROOMS.to_owned();
    })
    .await;
    let report = bridged.gateway().ask(Method::POST, CHECK).await.expect(200).json();
    assert_eq!(report["passed"], true, "{report:#}");
    assert!(bridged.instance.tickets().is_empty(), "{:#?}", bridged.instance.tickets());
    bridged.sweep().await;
    bridged.quiet().await;
    assert!(bridged.receiver.taken().is_empty(), "no callback: {:#?}", bridged.receiver.taken());
    let deliveries = bridged.gateway().deliveries("").await;
    let how = |delivery: &Value| text(delivery, "/ending/how");
    let unknown: Vec<&Value> = deliveries
        .iter()
        .filter(|delivery| !["connection_test", "echo", "ticket_unreadable"].contains(&how(delivery).as_str()))
        .collect();
    assert!(unknown.is_empty(), "what the rule told came to nothing: {unknown:#?}");
}

#[tokio::test]
async fn one_check_of_a_tenant_runs_at_a_time() {
    let instance = Instance::start();
    let home = contoso(&instance, &both_ways());
    let gateway = home.start().await;
    instance.plays("delay=1000:100");
    let (first, second) = tokio::join!(gateway.ask(Method::POST, CHECK), async {
        eventually("the first check calls", async || (!instance.calls().is_empty()).then_some(())).await;
        gateway.ask(Method::POST, CHECK).await
    });
    assert_eq!((second.status, second.code().as_str()), (409, "check_under_way"), "{}", second.text);
    assert_eq!(first.expect(200).json()["passed"], true);
    instance.plays("delay=0");
    gateway.ask(Method::POST, CHECK).await.expect(200);
    assert!(instance.tickets().is_empty());
}

#[tokio::test]
async fn whoever_ordered_a_check_may_go_away_and_its_ticket_is_put_away() {
    let instance = Instance::start();
    let home = contoso(&instance, PLAIN);
    let gateway = home.start().await;
    instance.plays("delay=1000:50");
    let made = eventually("a test ticket", async || (!instance.tickets().is_empty()).then_some(()));
    tokio::select! {
        reply = gateway.ask(Method::POST, CHECK) => panic!("it was not over yet: {}", reply.text),
        () = made => {}
    }
    eventually("the ticket is put away", async || instance.tickets().is_empty().then_some(())).await;
}

#[tokio::test]
async fn the_order_says_what_it_can_and_a_stranger_is_not_checked() {
    let instance = Instance::start();
    let home = contoso(&instance, PLAIN);
    let gateway = home.start().await;
    let ask = async |body: &'static str| {
        let url = format!("{}{CHECK}", gateway.admin());
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        crate::support::Reply::of(http.post(url).body(body)).await.expect("the admin listener answers")
    };
    ask("{\"ticket\": false}").await.expect(200);
    assert_eq!(instance.writes("POST"), 0);
    assert_eq!(ask("{\"tickets\": false}").await.expect(400).code(), "bad_request");
    gateway.ask(Method::POST, "/v1/tenants/nobody/check").await.expect(404);
}
