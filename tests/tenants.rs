//! Whole configurations with mappings: loaded, replaced, reloaded broken; and who gets in.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test itself")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use snowgate::domain::id::TenantId;
use snowgate::domain::time::Timestamp;
use snowgate::security::api_key::ApiKey;
use snowgate::security::scope::Access;
use snowgate::security::signature::{SignatureError, SignedHeaders, WebhookSecret, sign};
use snowgate::settings::{Environment, Finding};
use snowgate::tenants::{
    Authenticated, Credential, Diff, InstanceCredential, Loaded, Registry, SignedRequest, Unauthenticated, Wanted, load,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
const EVENTS: Wanted<'static> = Wanted { access: Access::Events, now: NOW };
const SECRETS: [&str; 3] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

/// What rules that cannot sign show.
const TOKEN: &str = "correct horse battery staple";
const OTHER_TOKEN: &str = "another 16 characters and more";

/// A working directory with settings and one good mapping.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::create_dir(site.0.path().join("tenants")).unwrap();
        fs::create_dir(site.0.path().join("mappings")).unwrap();
        site.write("snowgate.yaml", "tenants: tenants\nmappings: mappings\n");
        let mapping = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mappings/contract.yaml");
        fs::copy(mapping, site.0.path().join("mappings/good.yaml")).unwrap();
        site
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn tenant(&self, name: &str, more: &str) {
        self.tenant_with(name, "good.yaml", more);
    }

    fn tenant_with(&self, name: &str, mapping: &str, more: &str) {
        let text = format!(
            "tenant: {name}\nservicenow:\n  instance: https://{name}.service-now.com\n  auth: {{kind: client_credentials, \
             client_id: us, client_secret: {{env: CLIENT_SECRET}}}}\nmapping: {mapping}\n{more}"
        );
        self.write(&format!("tenants/{name}.yaml"), &text);
    }

    fn load(&self) -> Loaded {
        let environment = Environment::empty_in(self.0.path())
            .with("CLIENT_SECRET", "s3")
            .with("FIRST", SECRETS[0])
            .with("SECOND", SECRETS[1])
            .with("THIRD", SECRETS[2])
            .with("TOKEN", TOKEN)
            .with("OTHER_TOKEN", OTHER_TOKEN);
        load(Path::new("snowgate.yaml"), &environment)
    }

    fn load_into(&self, registry: &Registry) -> Result<Diff, Vec<Finding>> {
        self.load().strict().map(|prepared| registry.replace(prepared.tenants))
    }
}

fn report(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n").collect()
}

fn names(names: &[&str]) -> Vec<TenantId> {
    names.iter().map(|name| TenantId::parse(name).unwrap()).collect()
}

fn key(seed: u8) -> (ApiKey, String) {
    let key = ApiKey::from_entropy([seed; 32]);
    let line = format!("senders: [{{name: soc, api_key_sha256: \"{}\"}}]\n", key.hash());
    (key, line)
}

#[test]
fn the_first_load_adds_and_a_later_one_says_what_differs() {
    let (site, registry) = (Site::new(), Registry::default());
    site.tenant("a", "");
    site.tenant("b", "");
    assert_eq!(site.load_into(&registry).unwrap(), Diff { added: names(&["a", "b"]), ..Diff::default() });
    assert!(site.load_into(&registry).unwrap().is_empty(), "the same files change nothing");

    let unchanged = registry.find(&names(&["a"])[0]).unwrap();
    site.tenant("b", "enabled: false\n");
    site.tenant("c", "");
    let diff = site.load_into(&registry).unwrap();
    assert_eq!((diff.added, diff.changed, diff.removed), (names(&["c"]), names(&["b"]), vec![]));
    let now = registry.find(&names(&["a"])[0]).unwrap();
    assert!(Arc::ptr_eq(&unchanged, &now), "what did not change keeps whatever was built for it");

    fs::remove_file(site.0.path().join("tenants/c.yaml")).unwrap();
    assert_eq!(site.load_into(&registry).unwrap().removed, names(&["c"]));
    let served: Vec<String> = registry.all().iter().map(|tenant| tenant.id().to_string()).collect();
    assert_eq!(served, ["a", "b"]);
}

#[test]
fn a_changed_mapping_changes_every_tenant_that_names_it_and_no_other() {
    let (site, registry) = (Site::new(), Registry::default());
    let good = fs::read_to_string(site.0.path().join("mappings/good.yaml")).unwrap();
    site.write("mappings/other.yaml", &good);
    site.tenant("a", "");
    site.tenant_with("b", "other.yaml", "");
    site.load_into(&registry).unwrap();
    site.write("mappings/other.yaml", &format!("{good}\n# edited\n"));
    assert_eq!(site.load_into(&registry).unwrap().changed, names(&["b"]));
}

#[test]
fn a_load_with_an_error_anywhere_changes_nothing() {
    let (site, registry) = (Site::new(), Registry::default());
    site.tenant("a", "");
    site.load_into(&registry).unwrap();
    let before = registry.find(&names(&["a"])[0]).unwrap();
    site.tenant("a", "enabled: false\n");
    for (file, text) in [
        ("tenants/b.yaml", "tenant: [\n"),
        ("tenants/b.yaml", "tenant: b\nunknown: x\n"),
        ("tenants/b.yaml", "tenant: a\nservicenow"),
        ("snowgate.yaml", "tenants: tenants\nmappings: mappings\nlog: {level: \"loud=\"}\nserver: {listen: x}\n"),
    ] {
        let kept = fs::read_to_string(site.0.path().join(file)).ok();
        site.write(file, text);
        let findings = site.load_into(&registry).unwrap_err();
        assert!(findings.iter().any(|finding| finding.file == file), "{}", report(&findings));
        match kept {
            Some(text) => site.write(file, &text),
            None => fs::remove_file(site.0.path().join(file)).unwrap(),
        }
    }
    let now = registry.find(&names(&["a"])[0]).unwrap();
    assert!(Arc::ptr_eq(&before, &now));
    assert_eq!(site.load_into(&registry).unwrap().changed, names(&["a"]), "repaired, it is taken");
}

#[test]
fn mappings_are_reported_with_everything_else_and_each_file_once() {
    let site = Site::new();
    site.write("mappings/broken.yaml", "version: 1\nname: x\ntarget: {table: incident}\nto_ticket: {fields: {short_description: \"{{ incident.title | trimm }}\"}}\n");
    site.tenant_with("a", "broken.yaml", "");
    site.tenant_with("b", "broken.yaml", "");
    site.tenant_with("c", "missing.yaml", "");
    let findings = site.load().findings;
    let about_filter = |finding: &&Finding| finding.file == "mappings/broken.yaml" && finding.message.contains("trimm");
    assert_eq!(findings.iter().filter(about_filter).count(), 1, "two tenants name the file: {}", report(&findings));
    let said = report(&findings);
    let missing = format!(
        "tenants/c.yaml:5:10 S041 the mapping file {} does not exist",
        site.0.path().join("mappings/missing.yaml").display()
    );
    assert!(said.contains(&missing), "{said}");
}

#[test]
fn a_callback_that_nothing_goes_to_is_warned_of() {
    const CALLBACK: &str =
        "callback: {url: \"https://soc.service-now.com/hooks\", secret: {env: FIRST}, limits: {concurrency: 2}}\n";
    let site = Site::new();
    site.write(
        "mappings/forth.yaml",
        "version: 1\nname: forth\ntarget: {table: incident}\nto_ticket:\n  fields:\n    short_description: {value: \"{{ incident.title }}\", max: 160}\n",
    );
    site.tenant_with("one-way", "forth.yaml", CALLBACK);
    site.tenant_with("both-ways", "good.yaml", &CALLBACK.replace("FIRST", "SECOND"));
    site.tenant_with("without", "forth.yaml", "");
    let loaded = site.load();
    let warned: Vec<&Finding> = loaded.findings.iter().filter(|finding| finding.code == "S049").collect();
    assert_eq!(warned.len(), 1, "{}", report(&loaded.findings));
    let finding = warned.first().unwrap();
    assert!(!finding.is_error() && finding.file.ends_with("one-way.yaml") && finding.line == 5, "{finding:?}");
    assert!(finding.message.contains("forth.yaml has no `to_incident`"), "{}", finding.message);
    assert!(loaded.strict().is_ok(), "a warning stops nobody");
}

#[test]
fn a_key_opens_its_own_tenant_and_no_other() {
    let (site, registry) = (Site::new(), Registry::default());
    let ((key_a, sender_a), (key_b, sender_b)) = (key(1), key(2));
    site.tenant("a", &sender_a);
    site.tenant("b", &sender_b);
    site.load_into(&registry).unwrap();
    let enter = |tenant: &str, key: &str| registry.authenticate(tenant, Credential::ApiKey(key), EVENTS);
    let caller = enter("a", key_a.expose()).unwrap();
    assert_eq!((caller.tenant.id().as_str(), &*caller.sender, caller.credential), ("a", "soc", "api_key"));
    assert!(enter("b", key_b.expose()).is_ok());
    let hash = key_a.hash().to_string();
    for (tenant, wrong) in [
        ("a", key_b.expose()),
        ("b", key_a.expose()),
        ("nobody", key_a.expose()),
        ("A", key_a.expose()),
        ("", key_a.expose()),
        ("../a", key_a.expose()),
        ("a", ""),
        ("a", &hash),
    ] {
        assert_eq!(
            enter(tenant, wrong).unwrap_err(),
            Unauthenticated::Key,
            "{tenant}: an unknown tenant and a wrong key are one"
        );
    }
}

#[test]
fn both_signatures_of_a_rotation_open_and_it_is_told_which_did() {
    let (site, registry) = (Site::new(), Registry::default());
    site.tenant(
        "a",
        "senders:\n  - {name: rooms, webhook_secret: {env: FIRST}}\n  - {name: rooms, webhook_secret: {env: SECOND}}\n",
    );
    site.tenant("b", "webhook: {secrets: [{env: THIRD}]}\n");
    site.load_into(&registry).unwrap();
    let enter = |tenant: &str, secret: &str| {
        let signature = sign("msg_1", NOW, b"{}", &WebhookSecret::parse(secret).unwrap());
        let timestamp = NOW.seconds().to_string();
        let headers = SignedHeaders { id: "msg_1", timestamp: &timestamp, signature: &signature };
        let request = SignedRequest { headers, body: b"{}", now: NOW };
        let sender = registry.authenticate(tenant, Credential::Signature(request), EVENTS);
        let instance = registry.authenticate_instance(tenant, InstanceCredential::Signed(request));
        let told = |caller: Result<Authenticated, Unauthenticated>| {
            caller.map(|caller| format!("{} {}", caller.sender, caller.credential)).map_err(|error| error.to_string())
        };
        (told(sender), told(instance))
    };
    let nobody = || Err("no tenant of that name takes that signature".to_owned());
    assert_eq!(enter("a", SECRETS[0]), (Ok("rooms secret_1".to_owned()), nobody()));
    assert_eq!(enter("a", SECRETS[1]), (Ok("rooms secret_2".to_owned()), nobody()));
    assert_eq!(enter("b", SECRETS[2]), (nobody(), Ok("servicenow secret_1".to_owned())));
    assert_eq!(enter("b", SECRETS[0]), (nobody(), nobody()), "a secret of another tenant");
    assert_eq!(enter("nobody", SECRETS[0]), (nobody(), nobody()));
}

#[test]
fn an_instance_that_cannot_sign_shows_what_its_own_tenant_asks_for() {
    let (site, registry) = (Site::new(), Registry::default());
    site.tenant("basic", "webhook: {unsigned: {basic: {username: snow, password: {env: TOKEN}}}}\n");
    site.tenant(
        "header",
        "webhook: {secrets: [{env: FIRST}], unsigned: {header: {name: X-Token, value: {env: OTHER_TOKEN}}}}\n",
    );
    site.tenant("signs", "webhook: {secrets: [{env: SECOND}]}\n");
    site.tenant("silent", "");
    site.load_into(&registry).unwrap();
    let enter = |tenant: &str, headers: &[(&str, &str)]| {
        let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let caller = registry.authenticate_instance(tenant, InstanceCredential::Unsigned(&find));
        caller.map(|caller| format!("{} {} {}", caller.tenant.id(), caller.sender, caller.credential))
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let right = basic(&format!("snow:{TOKEN}"));
    assert_eq!(enter("basic", &[("authorization", &right)]), Ok("basic servicenow unsigned".to_owned()));
    let other_case = right.replace("Basic", "basic");
    assert_eq!(enter("basic", &[("authorization", &other_case)]), Ok("basic servicenow unsigned".to_owned()));
    assert_eq!(enter("header", &[("x-token", OTHER_TOKEN)]), Ok("header servicenow unsigned".to_owned()));

    let wrong_user = basic(&format!("snow2:{TOKEN}"));
    let wrong_password = basic("snow:another 16 characters and more");
    let cut = right.get(..right.len() - 4).unwrap();
    let raw = right.replace("Basic ", "");
    for (tenant, header, value) in [
        ("basic", "authorization", wrong_user.as_str()),
        ("basic", "authorization", &wrong_password),
        ("basic", "authorization", cut),
        ("basic", "authorization", &raw),
        ("basic", "authorization", "Basic "),
        ("basic", "authorization", ""),
        ("basic", "x-token", OTHER_TOKEN),
        ("header", "authorization", &right),
        ("header", "x-token", TOKEN),
        ("header", "x-token", ""),
        ("header", "x-other", OTHER_TOKEN),
        ("signs", "authorization", &right),
        ("silent", "authorization", &right),
        ("silent", "authorization", "Basic "),
        ("nobody", "authorization", &right),
        ("nobody", "x-token", OTHER_TOKEN),
    ] {
        assert_eq!(enter(tenant, &[(header, value)]), Err(Unauthenticated::Key), "{tenant} {header}: {value}");
    }
    for tenant in ["basic", "header", "signs", "silent", "nobody"] {
        assert_eq!(enter(tenant, &[]), Err(Unauthenticated::Key), "{tenant}");
    }
}

#[test]
fn a_wrong_signature_is_not_made_good_by_anything_else() {
    let (site, registry) = (Site::new(), Registry::default());
    site.tenant("a", "webhook: {unsigned: {header: {name: x-token, value: {env: TOKEN}}}}\n");
    site.load_into(&registry).unwrap();
    let signature = sign("msg_1", NOW, b"{}", &WebhookSecret::parse(SECRETS[0]).unwrap());
    let timestamp = NOW.seconds().to_string();
    let headers = SignedHeaders { id: "msg_1", timestamp: &timestamp, signature: &signature };
    let request = SignedRequest { headers, body: b"{}", now: NOW };
    let caller = registry.authenticate_instance("a", InstanceCredential::Signed(request));
    assert_eq!(caller.map(|caller| caller.credential), Err(Unauthenticated::Signature(SignatureError::Mismatch)));
}

#[test]
fn a_thousand_tenants_share_one_compiled_mapping_and_cost_little_memory() {
    // In a process of its own: what other tests allocate at the same time must not count.
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_loads_a_thousand_tenants", "--ignored"])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn child_loads_a_thousand_tenants() {
    let (site, registry) = (Site::new(), Registry::default());
    for number in 0..1_000 {
        site.tenant(&format!("tenant-{number}"), "");
    }
    let before = resident_kib();
    assert_eq!(site.load_into(&registry).unwrap().added.len(), 1_000);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 20 * 1_024, "1,000 tenants took {grown} KiB");
    let all = registry.all();
    assert!(all.iter().all(|tenant| Arc::ptr_eq(tenant.mapping(), all[0].mapping())));
}

/// Memory of this process; 0 where the system does not say.
fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The reason for the log, or the sender and its credential.
fn told(caller: Result<Authenticated, Unauthenticated>) -> String {
    caller.map_or_else(|why| why.to_string(), |caller| format!("{} {}", caller.sender, caller.credential))
}

#[test]
fn a_rotation_overlaps_until_the_old_key_ends_and_it_is_told_which_one_is_used() {
    let (site, registry) = (Site::new(), Registry::default());
    let (old, new) = (ApiKey::from_entropy([1; 32]), ApiKey::from_entropy([2; 32]));
    let end = NOW.plus(std::time::Duration::from_hours(1));
    site.tenant(
        "a",
        &format!(
            "senders:\n  - {{name: soc, api_key_sha256: \"{}\", expires: \"{end}\"}}\n  - {{name: soc, api_key_sha256: \"{}\"}}\n",
            old.hash(),
            new.hash()
        ),
    );
    site.load_into(&registry).unwrap();
    let enter = |key: &ApiKey, now: Timestamp| {
        told(registry.authenticate("a", Credential::ApiKey(key.expose()), Wanted { access: Access::Events, now }))
    };
    let before = Timestamp::from_millis(end.millis() - 1);
    assert_eq!((enter(&old, before), enter(&new, before)), ("soc api_key".to_owned(), "soc api_key_2".to_owned()));
    let ended = format!("the credential of sender `soc` expired at {end}");
    assert_eq!((enter(&old, end), enter(&new, end)), (ended, "soc api_key_2".to_owned()));
}

#[test]
fn a_key_in_an_address_is_taken_where_its_sender_allows_it() {
    let (site, registry) = (Site::new(), Registry::default());
    let (open, closed) = (ApiKey::from_entropy([1; 32]), ApiKey::from_entropy([2; 32]));
    site.tenant(
        "a",
        &format!(
            "senders:\n  - {{name: tool, api_key_sha256: \"{}\", key_in_url: true, scopes: [sources/alertmanager]}}\n  \
             - {{name: soc, api_key_sha256: \"{}\"}}\n",
            open.hash(),
            closed.hash()
        ),
    );
    site.load_into(&registry).unwrap();
    let enter = |tenant: &str, key: &ApiKey, source: &str| {
        let wanted = Wanted { access: Access::Source(source), now: NOW };
        told(registry.authenticate(tenant, Credential::KeyInUrl(key.expose()), wanted))
    };
    assert_eq!(enter("a", &open, "alertmanager"), "tool key_in_url");
    assert_eq!(
        enter("a", &open, "grafana"),
        "sender `tool` is confined by `scopes`, and `sources/grafana` is none of them"
    );
    assert_eq!(enter("a", &closed, "alertmanager"), "the key in the address belongs to a sender without `key_in_url`");
    assert_eq!(enter("b", &open, "alertmanager"), "no tenant of that name has that key");
}
