//! What is in deploy/, held to the gateway it deploys: names of metrics, settings that `snowgate check` takes, paths that exist in the
//! image, runbooks for every alert. What other programs can judge is in scripts/test-deploy.sh.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use snowgate::limits::{ACCEPT_AFTER_STOP, STOP_GRACE, STORE_CLOSE_WAIT};
use snowgate::telemetry::catalogue::{CATALOGUE, Kind};

const OPERATIONS: &str = "docs/operations.md";
/// What the alerts of deploy/prometheus/snowgate-host.rules.yml may use beside our own, by who tells it.
const OTHERS: &[&str] = &[
    "up",
    "ALERTS",
    // node_exporter
    "node_timex_offset_seconds",
    "node_timex_sync_status",
    // the kubelet
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    // postgres_exporter
    "pg_up",
    "pg_stat_activity_count",
    "pg_settings_max_connections",
    "pg_stat_activity_max_tx_duration",
    "pg_stat_user_tables_n_dead_tup",
    "pg_replication_lag_seconds",
];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text_of(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap_or_else(|problem| panic!("{path}: {problem}"))
}

/// Every file below deploy/, as seen from the project.
fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(project(folder)).expect("a folder") {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    let text = text_of(path);
    let read = |part: &str| serde_saphyr::from_str::<Value>(part).unwrap_or_else(|problem| panic!("{path}: {problem}"));
    text.split("\n---\n").map(read).collect()
}

/// Every value under this key, at any depth.
fn under<'a>(key: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(entries) => {
            for (name, inner) in entries {
                if name == key {
                    found.push(inner);
                }
                under(key, inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|inner| under(key, inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn texts_under(key: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    under(key, value, &mut found);
    found.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The words of an expression that could be the name of a metric: outside of quotes and of label matchers.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let bare: String = expression.split('"').step_by(2).collect();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let prefixed =
        |word: &&str| ["snowgate_", "pg_", "node_", "kubelet_"].iter().any(|prefix| word.starts_with(prefix));
    let words = bare.split(|letter| !is_word(letter));
    words.filter(|word| prefixed(word) || ["up", "ALERTS"].contains(word)).map(str::to_owned).collect()
}

fn is_known(name: &str) -> bool {
    OTHERS.contains(&name)
        || CATALOGUE.iter().any(|metric| match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name == name,
            Kind::Histogram { .. } => {
                let suffix = name.strip_prefix(metric.name);
                suffix.is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix))
            }
        })
}

fn check_expressions(file: &str, expressions: &[String]) {
    assert!(!expressions.is_empty(), "{file} has no expressions");
    for expression in expressions {
        let named = metrics_in(expression);
        assert!(!named.is_empty(), "{file}: no metric in `{expression}`");
        let unknown: Vec<_> = named.iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{file}: nobody tells {unknown:?} in `{expression}`");
    }
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    for file in ["deploy/prometheus/snowgate.rules.yml", "deploy/prometheus/snowgate-host.rules.yml"] {
        check_expressions(file, &yaml(file).iter().flat_map(|rules| texts_under("expr", rules)).collect::<Vec<_>>());
    }
    let board: Value = serde_json::from_str(&text_of("deploy/grafana/snowgate.json")).expect("JSON");
    check_expressions("deploy/grafana/snowgate.json", &texts_under("expr", &board));
    assert!(!is_known("snowgate_delivery_seconds") && !is_known("snowgate_invented_total"));
}

#[test]
fn every_metric_of_ours_is_on_the_dashboard() {
    let board = text_of("deploy/grafana/snowgate.json");
    let missing: Vec<_> = CATALOGUE.iter().map(|metric| metric.name).filter(|name| !board.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn panels_have_places_and_titles_of_their_own() {
    let board: Value = serde_json::from_str(&text_of("deploy/grafana/snowgate.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: an id that another panel has");
        let edge = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(edge("x") + edge("w") <= 24, "{title} leaves the board");
        for x in edge("x")..edge("x") + edge("w") {
            for y in edge("y")..edge("y") + edge("h") {
                assert!(cells.insert((x, y)), "{title} covers another panel");
            }
        }
        let said = panel["type"] == "row" || panel["description"].as_str().is_some_and(|text| !text.is_empty());
        assert!(said, "{title} does not say what it shows");
    }
}

/// One alert, as its file has it.
struct Alert {
    name: String,
    severity: String,
    annotations: Value,
}

fn alerts() -> Vec<Alert> {
    let files = ["deploy/prometheus/snowgate.rules.yml", "deploy/prometheus/snowgate-host.rules.yml"];
    let mut found = Vec::new();
    for rules in files.iter().flat_map(|file| yaml(file)) {
        let mut lists = Vec::new();
        under("rules", &rules, &mut lists);
        for rule in lists.into_iter().flat_map(|list| list.as_array().expect("a list")) {
            found.push(Alert {
                name: rule["alert"].as_str().expect("a name").to_owned(),
                severity: rule["labels"]["severity"].as_str().expect("a severity").to_owned(),
                annotations: rule["annotations"].clone(),
            });
        }
    }
    assert!(found.len() > 30, "{}", found.len());
    found
}

#[test]
fn every_alert_says_what_it_means_and_has_a_runbook() {
    let page = text_of(OPERATIONS);
    for Alert { name, severity, annotations } in alerts() {
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        for word in ["summary", "description"] {
            assert!(annotations[word].as_str().is_some_and(|text| text.len() > 15), "{name} has no {word}");
        }
        let runbook = annotations["runbook"].as_str().expect("a runbook");
        assert_eq!(runbook, format!("{OPERATIONS}#{}", name.to_ascii_lowercase()), "{name}");
        let chapter =
            page.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("{OPERATIONS}: no `### {name}`")).1;
        let chapter = chapter.split("\n#").next().unwrap();
        for part in ["**Means**", "**Look**", "**Do**"] {
            assert!(chapter.contains(part), "{OPERATIONS}: {name} without {part}");
        }
    }
}

#[test]
fn every_alert_is_tested_and_every_runbook_belongs_to_an_alert() {
    let tests: String = files_below("deploy/prometheus")
        .iter()
        .filter(|file| file.ends_with(".test.yml"))
        .map(|file| text_of(file))
        .collect();
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    for name in &names {
        let test = tests.split_once(&format!("\n  - name: {name}\n")).unwrap_or_else(|| panic!("{name} has no test")).1;
        let test = test.split("\n  - name: ").next().unwrap();
        // It must have stayed quiet once, and spoken once.
        assert!(test.contains("exp_samples: []") && test.contains("value: 1}"), "{name}");
    }
    let page = text_of(OPERATIONS);
    let headings = page.lines().filter_map(|line| line.strip_prefix("### Snowgate"));
    let strangers: Vec<_> = headings.filter(|rest| !names.contains(&format!("Snowgate{rest}"))).collect();
    assert!(strangers.is_empty(), "{OPERATIONS}: no such alerts: {strangers:?}");
}

#[test]
fn every_file_is_explained() {
    let page = text_of("deploy/README.md");
    let missing: Vec<_> = files_below("deploy")
        .into_iter()
        .filter_map(|file| file.strip_prefix("deploy/").map(str::to_owned))
        // The tests of the business rule, with their packages and whatever compose's secrets are.
        .filter(|file| {
            !file.starts_with("servicenow/test/") && !file.starts_with("compose/secrets/") && file != "README.md"
        })
        .filter(|file| !page.contains(&format!("`{file}`")))
        .collect();
    assert!(missing.is_empty(), "deploy/README.md does not name {missing:?}");
}

/// What an operator types at 3 a.m. exists, with the flags that the page gives it.
#[test]
fn every_command_of_the_page_exists() {
    let page = text_of(OPERATIONS);
    let commands: BTreeSet<&str> =
        page.split('`').filter(|code| code.starts_with("snowgate ") && !code.contains('\n')).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let is_name = |word: &&&str| word.chars().all(|letter| letter.is_ascii_lowercase());
        // `tenants show`, or `check`: a second word is a command as well, unless it is somebody's name.
        let name: Vec<&str> =
            words.iter().take_while(is_name).take(2).filter(|word| **word != "contoso").copied().collect();
        let output = Command::new(env!("CARGO_BIN_EXE_snowgate")).args(&name).arg("--help").output().expect("it ran");
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(
            !name.is_empty() && output.status.success(),
            "`{command}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "`{command}` has no {flag}");
        }
    }
}

/// A folder with what a way of deploying mounts, at a path of its own instead of those in the container.
struct Mounted {
    folder: tempfile::TempDir,
}

/// Where the container has things, and their names in the folder.
const PLACES: &[(&str, &str)] = &[
    ("/etc/snowgate/tenants", "tenants"),
    ("/run/secrets/snowgate", "secrets"),
    ("/run/secrets", "secrets"),
    ("/var/lib/snowgate", "state"),
];

impl Mounted {
    fn new(settings: &str, tenants: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mounted = Self { folder };
        for (_, name) in PLACES {
            fs::create_dir_all(mounted.path().join(name)).unwrap();
        }
        fs::write(mounted.path().join("snowgate.yaml"), mounted.moved(settings)).unwrap();
        for (name, text) in tenants {
            fs::write(mounted.path().join("tenants").join(name), mounted.moved(text)).unwrap();
            mounted.write_secrets(text);
        }
        mounted.write_secrets(settings);
        mounted
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn moved(&self, text: &str) -> String {
        // The mappings are those of the project, as the image's are.
        let mut moved = text.replace("/usr/share/snowgate/mappings", &project("mappings").display().to_string());
        for (place, name) in PLACES {
            moved = moved.replace(place, &self.path().join(name).display().to_string());
        }
        moved
    }

    /// Something fitting for each file of a secret.
    fn write_secrets(&self, text: &str) {
        for reference in text.split("{file: ").skip(1) {
            let name = reference.split('}').next().unwrap().rsplit('/').next().unwrap();
            // The base64 of a text of 32 bytes that begins with the name, so that no two are equal.
            let signing = format!("whsec_{}", encoded(&format!("{name:-<32}")));
            let secret =
                if name.ends_with("webhook") || name.ends_with("callback") { signing } else { "something".to_owned() };
            fs::write(self.path().join("secrets").join(name), secret).unwrap();
        }
    }

    /// `snowgate check`, which must have nothing to say.
    fn check(&self, what: &str) {
        let output = Command::new(env!("CARGO_BIN_EXE_snowgate"))
            .args(["check", "--config", "snowgate.yaml"])
            .current_dir(self.path())
            .env_remove("SNOWGATE_CONFIG")
            .output()
            .expect("it ran");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{what}\n{said}");
        assert!(said.contains("0 errors, 0 failed cases") || said.contains(" 0 errors, "), "{what}\n{said}");
        assert!(said.contains("1 tenants"), "{what}: the tenant was not read\n{said}");
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The files of a `ConfigMap`.
fn config_map(path: &str, name: &str) -> Vec<(String, String)> {
    let found = yaml(path).into_iter().find(|document| document["metadata"]["name"] == name).expect("the ConfigMap");
    assert_eq!(found["kind"], "ConfigMap", "{path}");
    let files = found["data"].as_object().expect("files");
    files.iter().map(|(name, text)| (name.clone(), text.as_str().expect("a text").to_owned())).collect()
}

#[test]
fn settings_and_tenants_of_every_way_are_taken_by_the_gateway() {
    let tenants = config_map("deploy/kubernetes/base/tenants.yaml", "snowgate-tenants");
    for way in ["sqlite", "postgres"] {
        let files = config_map(&format!("deploy/kubernetes/{way}/settings.yaml"), "snowgate-settings");
        let [(name, settings)] = files.as_slice() else { panic!("{way}: {files:?}") };
        assert_eq!(name, "snowgate.yaml");
        assert!(settings.contains(&format!("{way}:")), "{way}: another store");
        Mounted::new(settings, &tenants).check(way);
    }
    let tenant = ("contoso.yaml".to_owned(), text_of("deploy/compose/tenants/contoso.yaml"));
    Mounted::new(&text_of("deploy/compose/snowgate.yaml"), &[tenant]).check("compose");
}

/// The template of the pods of a way.
fn pods(way: &str, file: &str) -> Value {
    let [workload] = yaml(&format!("deploy/kubernetes/{way}/{file}")).try_into().expect("one document");
    workload["spec"]["template"]["spec"].clone()
}

/// Every container is as locked up as the other, and is given the time that it takes to stop.
#[test]
fn pods_are_locked_up_and_may_finish_what_they_send() {
    let most = (ACCEPT_AFTER_STOP + STOP_GRACE + STORE_CLOSE_WAIT).as_secs();
    for pod in [pods("sqlite", "statefulset.yaml"), pods("postgres", "deployment.yaml")] {
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > most, "{pod}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        let locked = serde_json::json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(container["securityContext"], locked);
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        // A single file is never swapped when its ConfigMap changes.
        assert!(texts_under("subPath", &pod).is_empty());
        let mounts = texts_under("mountPath", &pod);
        for (place, _) in PLACES.iter().filter(|(place, _)| *place != "/run/secrets") {
            assert!(mounts.iter().any(|mount| mount == place), "{place} is not mounted: {mounts:?}");
        }
    }
    let same = |name: &str| {
        (
            pods("sqlite", "statefulset.yaml")["containers"][0][name].clone(),
            pods("postgres", "deployment.yaml")["containers"][0][name].clone(),
        )
    };
    for part in [
        "image",
        "args",
        "ports",
        "securityContext",
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
        "volumeMounts",
        "env",
    ] {
        let (one, other) = same(part);
        assert_eq!(one, other, "{part} of the two ways");
    }
    let stop = format!("TimeoutStopSec={}", most + 7);
    assert!(text_of("deploy/snowgate.service").contains(&stop), "the unit should have {stop}");
    assert!(text_of("deploy/compose.yaml").contains(&format!("stop_grace_period: {}s", most + 7)));
}

/// Whether .dockerignore lets a path into the build.
fn is_sent(path: &str) -> bool {
    let rules = text_of(".dockerignore");
    assert!(rules.lines().any(|line| line == "*"), "everything is left out but what is named");
    rules
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .any(|kept| path == kept || path.starts_with(&format!("{kept}/")))
}

/// The build of the image sees every file that the program includes; and none of what could hold a secret.
#[test]
fn the_image_is_built_from_what_it_needs_and_nothing_more() {
    // Files of tests are not compiled into it.
    let of_tests = |file: &String| file.contains("/tests/") || file.ends_with("/tests.rs");
    for file in files_below("src").into_iter().filter(|file| !of_tests(file)) {
        let text = text_of(&file);
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for include in ["include_str!(\"", "include_bytes!(\""] {
            for said in code.split(include).skip(1) {
                let named = project(&file).parent().unwrap().join(said.split('"').next().unwrap());
                let found = fs::canonicalize(&named).unwrap_or_else(|problem| panic!("{file}: {named:?}: {problem}"));
                let path = found.strip_prefix(fs::canonicalize(project("")).unwrap()).unwrap().display().to_string();
                assert!(is_sent(&path), ".dockerignore leaves out {path}, which {file} includes");
            }
        }
    }
    for wanted in
        ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "benches/store.rs", "examples/receivers/rust/main.rs"]
    {
        assert!(is_sent(wanted) && project(wanted).exists(), "{wanted}");
    }
    for unwanted in [
        "target/debug/snowgate",
        "config/tenants/contoso.yaml",
        "deploy/compose/secrets/x",
        ".git/config",
        "data/snowgate.db",
    ] {
        assert!(!is_sent(unwanted), "{unwanted}");
    }
    let file = text_of("deploy/container/Containerfile");
    assert!(file.contains("USER 65532:65532") && file.contains("\"health\"]"));
    assert!(file.contains(&format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"))));
    let channel = text_of("rust-toolchain.toml");
    let compiler = file.split("/rust:").nth(1).unwrap().split('-').next().unwrap();
    assert!(channel.contains(&format!("\"{compiler}")), "the image is built by Rust {compiler}");
}
