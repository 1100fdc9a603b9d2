//! Configurations as people write them, good and broken, and what is said about them.
//!
//! Each directory under `fixtures/settings` is a working directory with `snowgate.yaml` and `tenants/`. Its `expected.txt`
//! is the whole report, as `snowgate check` would print it. Run with `UPDATE_EXPECTED=1` to write it anew, then read it.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test itself")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snowgate::domain::incident::Origin;
use snowgate::domain::time::Timestamp;
use snowgate::security::signature::{HexSignatures, WebhookSecret};
use snowgate::service_levels::{Activity, Due};
use snowgate::settings::{
    Auth, CrashManner, CreateStrategy, Enabled, Environment, Finding, Loaded, LogFormat, SenderCredential, StoreUrl,
    UnsignedWebhook, load, load_strict, schema,
};

#[path = "settings/credentials.rs"]
mod credentials;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const THIRD_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const FOURTH_SECRET: &str = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
/// Stands where a secret stands in the fixtures; no report may hold it.
const CANARY: &str = "hunter2";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/settings")
}

fn environment(directory: &Path) -> Environment {
    Environment::empty_in(directory)
        .with("CLIENT_SECRET", CANARY)
        .with("NEXT_SECRET", OTHER_SECRET)
        .with("NOT_A_WEBHOOK_SECRET", CANARY)
        .with("WEBHOOK_SECRET", SECRET)
        .with("OTHER_SECRET", OTHER_SECRET)
        .with("THIRD_SECRET", THIRD_SECRET)
        .with("FOURTH_SECRET", FOURTH_SECRET)
        .with("LONG_SECRET", &format!("{CANARY}: {CANARY} {CANARY}"))
        .with("EMPTY", "")
        .with_clock(std::sync::Arc::new(Stopped))
}

/// 2026-11-22T06:00:00Z, for what has an end.
#[derive(Debug)]
struct Stopped;

impl snowgate::domain::time::Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_327_200_000)
    }
}

fn loaded(directory: &Path) -> Loaded {
    load(Path::new("snowgate.yaml"), &environment(directory))
}

fn report(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n\n").collect()
}

/// A working directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("tenants")).unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

const MINIMAL: &str = "tenants: tenants\n";

fn tenant(name: &str, more: &str) -> String {
    format!(
        "tenant: {name}\nservicenow:\n  instance: https://{name}.service-now.com\n  auth: {{kind: client_credentials, \
         client_id: us, client_secret: {{env: CLIENT_SECRET}}}}\nmapping: teams-rooms.yaml\n{more}"
    )
}

#[test]
fn every_broken_configuration_is_reported_as_expected() {
    let update = std::env::vars_os().any(|(name, _)| name == "UPDATE_EXPECTED");
    let mut directories: Vec<PathBuf> = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    directories.sort();
    assert!(directories.len() >= 5, "the fixtures are there");
    for directory in directories {
        let loaded = loaded(&directory);
        let said = report(&loaded.findings).replace(&directory.display().to_string(), "<directory>");
        let expected = directory.join("expected.txt");
        if update {
            fs::write(&expected, &said).unwrap();
        }
        assert!(!said.contains(CANARY), "a secret in the report on {}:\n{said}", directory.display());
        let json = serde_json::to_string(&loaded.findings).unwrap();
        assert!(!json.contains(CANARY), "a secret in the JSON on {}:\n{json}", directory.display());
        assert_eq!(said, fs::read_to_string(&expected).unwrap_or_default(), "{}", directory.display());
    }
}

#[test]
fn the_shipped_configuration_has_no_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = Environment::empty_in(root);
    let configuration = load_strict(&environment.settings_file(None), &environment);
    let configuration = configuration.unwrap_or_else(|findings| panic!("{}", report(&findings)));
    let codes: Vec<&str> = configuration.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["S037"], "a fresh checkout has no tenant, and nothing else is to be said");
    assert_eq!(configuration.settings.server.listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn the_shipped_example_of_a_tenant_is_right_but_for_what_must_be_filled_in() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tenants/contoso.yaml.example"));
    let example =
        example.unwrap().replace("64 hexadecimal digits, as `snowgate key new` prints them", &"ab".repeat(32));
    let secret_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret_file.path(), "s3\n").unwrap();
    let example = example.replace("/run/secrets/contoso_client_secret", &secret_file.path().display().to_string());
    let settings = format!("{MINIMAL}egress: {{allow_hosts: [\"*.service-now.com\", soc.example]}}\n");
    let directory = directory(&[("snowgate.yaml", &settings), ("tenants/contoso.yaml", &example)]);
    let environment = environment(directory.path())
        .with("CONTOSO_CLIENT_ID", "us")
        .with("CONTOSO_ROOMS_SECRET", SECRET)
        .with("CONTOSO_SNOW_SECRET", OTHER_SECRET)
        .with("CONTOSO_CALLBACK_SECRET", THIRD_SECRET);
    let configuration = load_strict(Path::new("snowgate.yaml"), &environment);
    let configuration = configuration.unwrap_or_else(|findings| panic!("{}", report(&findings)));
    assert_eq!(report(&configuration.warnings), "");
    let [tenant] = configuration.tenants.as_slice() else { panic!("one tenant") };
    assert_eq!(tenant.tenant.as_str(), "contoso");
    assert_eq!(tenant.servicenow.create, CreateStrategy::DerivedSysId);
    let Auth::ClientCredentials { client } = &tenant.servicenow.auth else { panic!("client credentials") };
    assert_eq!(client.secret.expose(), "s3", "one line feed at the end of a secret file is not part of it");
    assert_eq!(client.token_url.to_string(), "https://contoso.service-now.com/oauth_token.do");
    assert_eq!(tenant.senders.len(), 2);
    assert!(tenant.webhook.is_some() && tenant.callback.is_some());
}

#[test]
fn a_short_tenant_gets_the_defaults() {
    let directory = directory(&[("snowgate.yaml", MINIMAL), ("tenants/a.yaml", &tenant("a", ""))]);
    let loaded = loaded(directory.path());
    let [tenant] = loaded.tenants.as_slice() else { panic!("{}", report(&loaded.findings)) };
    let limits = tenant.servicenow.limits;
    assert_eq!((limits.calls_per_second, limits.calls_per_hour, limits.concurrency), (5, 20_000, 4));
    assert_eq!(tenant.servicenow.settle, Duration::from_secs(150));
    assert_eq!(tenant.servicenow.sweep.every, Duration::from_mins(5));
    assert_eq!(tenant.servicenow.sweep.compare_every, Duration::from_hours(24));
    assert_eq!(tenant.servicenow.user, None);
    assert!(
        tenant.enabled == Enabled::Yes
            && tenant.webhook.is_none()
            && tenant.callback.is_none()
            && tenant.service_levels.is_none()
    );
    let codes: Vec<&str> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["S032"], "only the warning that nobody may push");
}

/// With everything that the way back can be told, as `docs/configuration.md` has it.
const WAY_BACK: &str = r#"webhook:
  secrets: [{env: WEBHOOK_SECRET}, {env: OTHER_SECRET}]
  hex_signatures: true
  instance: Contoso
  unsigned: {header: {name: X-Snowgate-Token, value: {env: LONG_SECRET}}}
callback:
  url: https://soc.example/hooks?tenant=a
  secret: {env: THIRD_SECRET}
  secret_next: {env: FOURTH_SECRET}
  oauth: {token_url: https://soc.example/token, client_id: us, client_secret: {env: CLIENT_SECRET}, scope: hooks write, audience: soc}
  limits: {calls_per_second: 2}
service_levels:
  calendar: {time_zone: Europe/Berlin, work_days: [sun, mon], hours: "09:00-17:00", holidays: [2026-12-27]}
  first_response: 4h
  first_response_in: business
  inactivity: {customer: 3, system: 15}
"#;

#[test]
fn everything_about_the_way_back_is_read() {
    let settings = format!("{MINIMAL}egress: {{allow_hosts: [\"*.service-now.com\", soc.example]}}\n");
    let directory = directory(&[("snowgate.yaml", &settings), ("tenants/a.yaml", &tenant("a", WAY_BACK))]);
    let loaded = loaded(directory.path());
    let [tenant] = loaded.tenants.as_slice() else { panic!("{}", report(&loaded.findings)) };
    let codes: Vec<&str> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["S043", "S032"], "a loud word on the unsigned calls, and nobody may push");

    let webhook = tenant.webhook.as_ref().unwrap();
    assert_eq!((webhook.secrets.len(), webhook.hex, &*webhook.instance), (2, HexSignatures::Accept, "contoso"));
    let Some(UnsignedWebhook::Header { name, value }) = &webhook.unsigned else { panic!("a header") };
    assert_eq!((&**name, value.expose().contains(CANARY)), ("x-snowgate-token", true));

    let callback = tenant.callback.as_ref().unwrap();
    assert_eq!(callback.url.to_string(), "https://soc.example/hooks?tenant=a");
    let digests: Vec<[u8; 32]> = callback.secrets.iter().map(WebhookSecret::digest).collect();
    let expected = [THIRD_SECRET, FOURTH_SECRET].map(|secret| WebhookSecret::parse(secret).unwrap().digest());
    assert_eq!(digests, expected, "the current secret comes first");
    let limits = callback.limits;
    assert_eq!((limits.calls_per_second, limits.calls_per_hour, limits.concurrency), (2, 36_000, 8));
    let oauth = callback.oauth.as_ref().unwrap();
    assert_eq!((oauth.client_id.as_str(), oauth.client_secret.expose()), ("us", CANARY));
    assert_eq!(
        (oauth.token_url.to_string().as_str(), oauth.scope.as_deref()),
        ("https://soc.example/token", Some("hooks write"))
    );
    assert_eq!(oauth.audience.as_deref(), Some("soc"));

    let levels = tenant.service_levels.as_ref().unwrap();
    // Monday at 16:30 in Berlin: half an hour is left of it, and Sunday the 27th is a holiday.
    let opened = stamp("2026-12-21T15:30:00Z");
    assert_eq!(levels.first_response_due(opened).unwrap().to_string(), "2026-12-28T11:30:00.000Z");
    assert!(levels.closes_silent_tickets());
    assert!(!format!("{tenant:?}").contains(CANARY));
}

#[test]
fn the_worked_example_of_the_documentation_is_what_is_computed() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/service-levels.md")).unwrap();
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let directory = directory(&[("snowgate.yaml", MINIMAL), ("tenants/a.yaml", &tenant("a", example))]);
    let loaded = loaded(directory.path());
    let [tenant] = loaded.tenants.as_slice() else { panic!("{}", report(&loaded.findings)) };
    let levels = tenant.service_levels.as_ref().unwrap();
    let written = stamp("2026-12-22T14:10:00Z");
    let silent = Activity {
        opened_at: written,
        last_customer_activity: written,
        waits_since: None,
        reminded_at: None,
        first_response_at: Some(written),
        origin: Some(Origin::Customer),
        waits_for_customer: true,
        is_open: true,
    };
    let (reminded, closed) = (stamp("2026-12-23T23:00:00Z"), stamp("2026-12-28T23:00:00Z"));
    let just_before = |moment: Timestamp| moment.minus(Duration::from_millis(1));
    assert_eq!(levels.judge(&silent, just_before(reminded)), []);
    assert_eq!(levels.judge(&silent, reminded), [Due::Remind { since: written, closes_at: closed }]);
    let silent = Activity { reminded_at: Some(reminded), ..silent };
    assert_eq!(levels.judge(&silent, just_before(closed)), []);
    assert_eq!(levels.judge(&silent, closed), [Due::Close { since: written }]);
    assert_eq!(levels.first_response_due(written), Some(stamp("2026-12-22T18:10:00Z")));
}

fn stamp(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[test]
fn who_calls_and_who_we_are_follow_from_what_is_known() {
    let policy =
        "egress: {allow_hosts: [\"*.service-now.com\", support.contoso.example], allow_private: [127.0.0.0/8]}\n";
    for (instance, auth, expected) in [
        ("https://Contoso.service-now.com", "basic, username: gate", ("contoso", Some("gate"))),
        ("https://support.contoso.example", "basic, username: gate", ("support", Some("gate"))),
        ("http://127.0.0.1:9090", "basic, username: {env: OTHER_SECRET}", ("127.0.0.1", Some(OTHER_SECRET))),
    ] {
        let text = format!(
            "tenant: a\nservicenow: {{instance: \"{instance}\", auth: {{kind: {auth}, password: {{env: CLIENT_SECRET}}}}}}\n\
             mapping: x.yaml\nwebhook: {{secrets: [{{env: WEBHOOK_SECRET}}]}}\n"
        );
        let settings = format!("{MINIMAL}{policy}");
        let directory = directory(&[("snowgate.yaml", &settings), ("tenants/a.yaml", &text)]);
        let loaded = loaded(directory.path());
        let [tenant] = loaded.tenants.as_slice() else { panic!("{}", report(&loaded.findings)) };
        let known = (&*tenant.webhook.as_ref().unwrap().instance, tenant.servicenow.user.as_deref());
        assert_eq!(known, expected);
    }
}

#[test]
fn the_environment_goes_over_the_local_file_and_that_over_the_file() {
    let directory = directory(&[
        (
            "snowgate.yaml",
            "tenants: tenants\nserver: {listen: 127.0.0.1:1, admin_listen: 127.0.0.1:2}\nlog: {level: warn}\n",
        ),
        ("local.yaml", "server: {admin_listen: 127.0.0.1:3, workers: 2}\nlog: {format: json}\n"),
    ]);
    let environment = environment(directory.path())
        .with("SNOWGATE__SERVER__WORKERS", "7")
        .with("SNOWGATE__EGRESS__ALLOW_PRIVATE", "127.0.0.0/8, ::1")
        .with("SNOWGATE__STORE__URL", "postgres://gate@db/snowgate")
        .with("SNOWGATE__STORE__PASSWORD__ENV", "CLIENT_SECRET");
    let configuration = load_strict(Path::new("snowgate.yaml"), &environment);
    let settings = configuration.unwrap_or_else(|findings| panic!("{}", report(&findings))).settings;
    assert_eq!(settings.server.listen.port(), 1);
    assert_eq!(settings.server.admin_listen.port(), 3);
    assert_eq!(settings.server.workers, Some(7));
    assert_eq!((settings.log.format, settings.log.filter.as_str()), (LogFormat::Json, "warn"));
    assert_eq!(settings.egress.allow_private.len(), 2);
    let StoreUrl::Postgres { url, password } = settings.store.url else { panic!("PostgreSQL") };
    assert_eq!(url, "postgres://gate@db/snowgate");
    assert_eq!(password.unwrap().expose(), CANARY);
}

#[test]
fn a_wrong_variable_is_named_with_the_one_that_was_meant() {
    let directory = directory(&[("snowgate.yaml", MINIMAL)]);
    let environment = environment(directory.path())
        .with("SNOWGATE__SERVER__LISTNE", "127.0.0.1:1")
        .with("SNOWGATE__SERVER__WORKERS", "many")
        .with("SNOWGATE__STORE", "sqlite:x")
        .with("SNOWGATE__SERVER__LISTEN", "nowhere");
    let said = report(&load(Path::new("snowgate.yaml"), &environment).findings);
    for expected in [
        "SNOWGATE__SERVER__LISTNE S003 there is no setting `server.listne`\nhint: did you mean `SNOWGATE__SERVER__LISTEN`?",
        "SNOWGATE__SERVER__WORKERS S004 it is not a whole number",
        "SNOWGATE__STORE S004 it holds keys and cannot be set by one variable",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_missing_settings_file_is_named_by_its_absolute_path() {
    let directory = tempfile::tempdir().unwrap();
    let said = report(&load(Path::new("config/snowgate.yaml"), &environment(directory.path())).findings);
    let tried = directory.path().join("config/snowgate.yaml");
    assert_eq!(said.trim(), format!("config/snowgate.yaml S001 the file {} does not exist", tried.display()));
}

#[test]
fn a_file_that_is_cut_short_or_too_large_is_an_error_and_not_half_a_configuration() {
    let long = format!("{MINIMAL}# {}\n", "x".repeat(300_000));
    for text in ["tenants: tenants\nserver: {listen: 127.0", long.as_str()] {
        let directory = directory(&[("snowgate.yaml", text)]);
        let loaded = loaded(directory.path());
        assert!(loaded.settings.is_none());
        assert!(loaded.strict().is_err());
    }
}

#[test]
fn a_file_that_means_to_exhaust_us_is_refused() {
    let level = |name: char, of: char| format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(","));
    let levels = "bcdefgh".chars().zip("abcdefg".chars()).map(|(name, of)| level(name, of));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned() + &levels.collect::<String>();
    for text in [bomb, "[".repeat(20_000), "{a: ".repeat(20_000)] {
        let directory = directory(&[("snowgate.yaml", &text)]);
        let codes: Vec<&str> = loaded(directory.path()).findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["S002"]);
    }
}

#[test]
fn rust_log_goes_before_the_level_in_the_file() {
    let directory = directory(&[("snowgate.yaml", MINIMAL)]);
    let filter = |value: &str| {
        let environment = environment(directory.path()).with("RUST_LOG", value);
        load(Path::new("snowgate.yaml"), &environment).settings.map(|settings| settings.log.filter)
    };
    assert_eq!(filter("info,snowgate=debug").as_deref(), Some("info,snowgate=debug"));
    assert_eq!(filter("").as_deref(), Some("info"));
    assert_eq!(filter("snowgate=loud"), None);
}

#[test]
fn crash_points_are_read_in_builds_for_tests() {
    let directory = directory(&[("snowgate.yaml", MINIMAL)]);
    let crash_at = |value: &str| {
        let environment = environment(directory.path()).with("SNOWGATE_CRASH_AT", value);
        load_strict(Path::new("snowgate.yaml"), &environment).map(|configuration| configuration.settings.crash_at)
    };
    if cfg!(debug_assertions) {
        let crash = crash_at("accept.after_commit:3").unwrap().unwrap();
        assert_eq!((crash.point.as_str(), crash.pass.get()), ("accept.after_commit", 3));
        assert_eq!(crash.manner, CrashManner::Abort);
        assert_eq!(crash_at("worker.after_intent:1:stop").unwrap().unwrap().manner, CrashManner::Stop);
        assert_eq!(crash_at("worker.working/MTR-1:1:panic").unwrap().unwrap().point, "worker.working/MTR-1");
        for wrong in ["accept.after_commit:0", "accept.after_commit", "a:1:later", "a:1:stop:2"] {
            assert!(crash_at(wrong).is_err(), "{wrong}");
        }
    } else {
        assert_eq!(crash_at("accept.after_commit:3").unwrap(), None);
    }
}

#[test]
fn a_sender_stands_twice_during_a_rotation() {
    let senders = "senders:\n  - {name: rooms, webhook_secret: {env: WEBHOOK_SECRET}}\n  - {name: rooms, webhook_secret: {env: OTHER_SECRET}}\n";
    let directory = directory(&[("snowgate.yaml", MINIMAL), ("tenants/a.yaml", &tenant("a", senders))]);
    let loaded = loaded(directory.path());
    assert_eq!(report(&loaded.findings), "");
    let [tenant] = loaded.tenants.as_slice() else { panic!("one tenant") };
    assert!(tenant.senders.iter().all(|sender| &*sender.name == "rooms"));
    assert!(matches!(tenant.senders[0].credential, SenderCredential::Webhook(..)));
}

#[test]
fn the_digest_of_a_tenant_changes_with_its_file_its_secrets_and_the_policy() {
    let digest = |more: &str, secret: &str, settings: &str| {
        let directory = directory(&[("snowgate.yaml", settings), ("tenants/a.yaml", &tenant("a", more))]);
        let environment = environment(directory.path()).with("CLIENT_SECRET", secret);
        load(Path::new("snowgate.yaml"), &environment).tenants.remove(0).digest
    };
    let first = digest("", "one", MINIMAL);
    assert_eq!(first, digest("", "one", MINIMAL));
    assert_ne!(first, digest("enabled: false\n", "one", MINIMAL));
    assert_ne!(first, digest("", "two", MINIMAL));
    assert_ne!(first, digest("", "one", "tenants: tenants\negress: {allow_private: [127.0.0.0/8]}\n"));
}

#[test]
fn debug_output_never_shows_a_secret() {
    let directory = directory(&[("snowgate.yaml", MINIMAL), ("tenants/a.yaml", &tenant("a", ""))]);
    let loaded = loaded(directory.path());
    assert_eq!(loaded.tenants.len(), 1);
    assert!(!format!("{loaded:?} {:?}", environment(directory.path())).contains(CANARY));
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let read = |text: &str| {
        let directory = directory(&[("snowgate.yaml", &format!("{MINIMAL}{text}"))]);
        loaded(directory.path()).settings.unwrap()
    };
    let before = read("store: {url: \"sqlite:/x\"}\n");
    assert_eq!(before.needs_restart(&read("store: {url: \"sqlite:/x\"}\nmappings: elsewhere\n")), [""; 0]);
    let after = read("store: {url: \"sqlite:/y\"}\ndeployment_key: other\n");
    assert_eq!(before.needs_restart(&after), ["store.url", "deployment_key"]);
}

#[test]
fn the_schemas_say_what_the_check_says() {
    for (schema, title) in [(schema::settings(), "Snowgate settings"), (schema::tenant(), "Snowgate tenant")] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], title);
        assert_eq!(schema["additionalProperties"], false);
        let undocumented: Vec<&String> = properties(schema)
            .filter(|(_, property)| property.get("description").is_none())
            .map(|(name, _)| name)
            .collect();
        assert_eq!(undocumented, [""; 0], "every key of {title} has a description");
    }
}

#[test]
fn the_documentation_has_every_key_of_a_tenant() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let mut keys = Vec::new();
    leaves(schema::tenant(), schema::tenant(), "", &mut keys);
    assert!(keys.contains(&"service_levels.inactivity.remind".to_owned()), "{keys:?}");
    let is_missing =
        |key: &String| !page.contains(&format!("| `{key}` |")) && !page.contains(&format!("| `{key}[]` |"));
    let missing: Vec<String> = keys.into_iter().filter(is_missing).collect();
    assert_eq!(missing, [""; 0], "in docs/configuration.md");
}

/// The keys that hold values. Ways to authenticate have tables of their own, by kind.
fn leaves(root: &serde_json::Value, schema: &serde_json::Value, path: &str, keys: &mut Vec<String>) {
    let reference = |schema: &serde_json::Value| {
        let name = schema["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        Some(root["$defs"][name].clone())
    };
    let option = |schema: &serde_json::Value| schema["anyOf"].as_array().and_then(|options| reference(&options[0]));
    let schema = reference(schema).or_else(|| option(schema)).unwrap_or_else(|| schema.clone());
    let names = schema["properties"].as_object();
    match names.filter(|_| !["webhook.unsigned.basic", "webhook.unsigned.header"].contains(&path)) {
        Some(names) => {
            for (name, inner) in names {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(root, inner, &format!("{path}{dot}{name}"), keys);
            }
        }
        None if path == "servicenow.auth" => {}
        None => keys.push(path.to_owned()),
    }
}

fn properties(schema: &serde_json::Value) -> impl Iterator<Item = (&String, &serde_json::Value)> {
    schema["properties"].as_object().unwrap().iter()
}

#[test]
fn a_tenants_file_says_who_decides_whether_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tenants")).unwrap();
    let said = |line: &str| {
        fs::write(folder.path().join("snowgate.yaml"), MINIMAL).unwrap();
        fs::write(folder.path().join("tenants/a.yaml"), tenant("a", line)).unwrap();
        let environment = Environment::empty_in(folder.path()).with("CLIENT_SECRET", "x");
        let Loaded { tenants, findings, .. } = load(&folder.path().join("snowgate.yaml"), &environment);
        (tenants.first().map(|tenant| tenant.enabled), report(&findings))
    };
    for (line, enabled) in [
        ("", Enabled::Yes),
        ("enabled: true\n", Enabled::Yes),
        ("enabled: false\n", Enabled::No),
        ("enabled: after_check\n", Enabled::AfterCheck),
    ] {
        assert_eq!(said(line).0, Some(enabled), "{line}");
    }
    for (line, words) in [
        ("enabled: aftercheck\n", "did you mean `after_check`?"),
        ("enabled: \"true\"\n", "not the text `true`"),
        ("enabled: 1\n", "`true`, `false` or `after_check`"),
    ] {
        let (tenant, findings) = said(line);
        assert!(tenant.is_none() && findings.contains(words), "{line}: {findings}");
    }
}
