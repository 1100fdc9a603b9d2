//! Reads all files of a configuration and checks them as a whole. Start-up and reload are this same call.
//!
//! Owns: which files belong together, and what can only be seen across them. Never: stops at the first error; changes
//! anything; reads mappings (that is `tenants::load`).
//! Fails: never as a whole. [`Loaded`] has what could be understood, and every finding. Proved by: `tests/settings.rs`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checked::{self, Settings};
use super::exchange::UnsignedWebhook;
use super::finding::{Finding, Severity};
use super::layers;
use super::reader::{Finished, Reader, read_text, reason};
use super::senders::{Sender, SenderCredential};
use super::shape::{self, Shape};
use super::tenant::{self, Against, TenantSettings};
use super::tree::Document;
use super::{Environment, codes, schema, tokens};
use crate::domain::id::TenantId;
use crate::limits::{SETTINGS_FILE_BYTES_MAX, TENANTS_MAX};
use crate::security::api_key::ApiKeyHash;
use crate::security::token::TokenRules;

/// What could be understood, and everything that was found.
#[derive(Debug)]
pub struct Loaded {
    /// The gateway's settings; `None` if they have errors.
    pub settings: Option<Settings>,
    /// The tenants without errors, by name.
    pub tenants: Vec<TenantSettings>,
    /// Everything, file by file.
    pub findings: Vec<Finding>,
    /// Every file and directory that was looked at, whether or not it is there: a change of one of them is worth
    /// another load.
    pub files: BTreeSet<PathBuf>,
    /// Over the files of the settings and their secrets: differs if anything of them does.
    pub digest: [u8; 32],
}

/// A configuration without errors.
#[derive(Debug)]
pub struct Configuration {
    /// The gateway's settings.
    pub settings: Settings,
    /// Every tenant, by name.
    pub tenants: Vec<TenantSettings>,
    /// What somebody should look at.
    pub warnings: Vec<Finding>,
}

impl Loaded {
    /// Everything, if there is no error in anything; otherwise everything that was found.
    pub fn strict(self) -> Result<Configuration, Vec<Finding>> {
        match self.settings {
            Some(settings) if !self.findings.iter().any(Finding::is_error) => {
                Ok(Configuration { settings, tenants: self.tenants, warnings: self.findings })
            }
            Some(_) | None => Err(self.findings),
        }
    }
}

/// Reads the settings file at `path`, `local.yaml` beside it, the environment, and every tenant's file.
pub fn load(path: &Path, environment: &Environment) -> Loaded {
    load_over(path, environment, None)
}

/// The same for a gateway that runs with these settings: what it cannot change without a restart is an error as well.
pub fn load_over(path: &Path, environment: &Environment, running: Option<&Settings>) -> Loaded {
    let mut found = Found::default();
    let (parts, digest) = load_settings(path, environment, running, &mut found);
    let tenants = match &parts.tenants {
        Some(directory) => {
            let against =
                Against { egress: parts.egress.as_ref(), trusts_a_proxy: parts.trusts_a_proxy, now: environment.now() };
            load_tenants(directory, &against, environment, &mut found)
        }
        // Where they are is what is broken; that was reported.
        None => Vec::new(),
    };
    let Found { findings, files } = found;
    Loaded { settings: parts.settings, tenants, findings, files, digest }
}

/// What comes together while files are read.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    files: BTreeSet<PathBuf>,
}

/// The same, if there is no error in anything.
pub fn load_strict(path: &Path, environment: &Environment) -> Result<Configuration, Vec<Finding>> {
    load(path, environment).strict()
}

fn load_settings(
    path: &Path,
    environment: &Environment,
    running: Option<&Settings>,
    found: &mut Found,
) -> (checked::Parts, [u8; 32]) {
    let mut shape = Shape::default();
    let mut layers: Vec<Document> = Vec::new();
    let local = path.with_file_name("local.yaml");
    found.files.extend([environment.resolve(path), environment.resolve(&local)]);
    let has_local = local != path && environment.resolve(&local).exists();
    for file in [Some(path), has_local.then_some(&*local)].into_iter().flatten() {
        match read_document(file, environment) {
            Ok(document) => {
                let checked = shape::check(&document, schema::settings());
                shape.findings.extend(checked.findings);
                shape.broken.extend(checked.broken);
                layers.push(document);
            }
            Err(finding) => {
                found.findings.push(finding);
                return (checked::Parts::default(), [0; 32]);
            }
        }
    }
    layers.extend(layers::of_environment(environment, schema::settings(), &mut shape));
    match layers::merged(&layers, schema::settings()) {
        Ok(merged) => {
            let mut reader = Reader::new(&layers, merged, shape, environment);
            let parts = checked::parts(&mut reader, environment);
            if let (Some(running), Some(wanted)) = (running, &parts.settings) {
                checked::check_restart(&mut reader, running, wanted);
            }
            let Finished { findings, files, digest } = reader.finish();
            found.findings.extend(findings);
            found.files.extend(files);
            (parts, digest)
        }
        Err(finding) => {
            found.findings.extend(shape.findings);
            found.findings.push(finding);
            (checked::Parts::default(), [0; 32])
        }
    }
}

fn load_tenants(
    directory: &Path,
    against: &Against<'_>,
    environment: &Environment,
    found: &mut Found,
) -> Vec<TenantSettings> {
    found.files.insert(directory.to_owned());
    let files = match tenant_files(directory, environment, &mut found.findings) {
        Ok(files) => files,
        Err(finding) => {
            found.findings.push(finding);
            return Vec::new();
        }
    };
    if files.is_empty() {
        let name = environment.shown(directory);
        let finding = Finding::of_file(codes::NO_TENANTS, Severity::Warning, &name, "there is no tenant here");
        found.findings.push(finding.hint("one file per tenant: copy `contoso.yaml.example` to `NAME.yaml`"));
    }
    let mut seen = Seen::default();
    let mut tenants = Vec::with_capacity(files.len());
    for file in files {
        tenants.extend(load_tenant(&file, against, environment, (&mut seen, &mut *found)));
        found.files.insert(file);
    }
    tenants.sort_by(|one: &TenantSettings, other| one.tenant.cmp(&other.tenant));
    tenants
}

/// What earlier files said that later ones must not say again.
#[derive(Default)]
struct Seen {
    /// Which file describes which tenant.
    tenants: HashMap<String, String>,
    /// Which tenant uses which key or secret, by its digest.
    credentials: HashMap<[u8; 32], String>,
    /// Whose tokens are taken as whose, with the tenant and the words for a finding.
    tokens: Vec<(String, String, Arc<TokenRules>)>,
}

fn load_tenant(
    file: &Path,
    against: &Against<'_>,
    environment: &Environment,
    (seen, found): (&mut Seen, &mut Found),
) -> Option<TenantSettings> {
    let document = read_document(file, environment).map_err(|finding| found.findings.push(finding)).ok()?;
    let shape = shape::check(&document, schema::tenant());
    let layers = std::slice::from_ref(&document);
    let mut reader = Reader::new(layers, document.root.to_json(), shape, environment);
    let tenant = tenant::tenant(&mut reader, against, &document.name);
    check_name(&mut reader, file, &document.name, seen);
    if let Some(tenant) = &tenant {
        check_credentials(&mut reader, tenant, seen);
    }
    let Finished { findings, files, digest } = reader.finish();
    let tenant = tenant.filter(|_| !findings.iter().any(Finding::is_error));
    found.findings.extend(findings);
    found.files.extend(files);
    tenant.map(|tenant| TenantSettings { digest: tenant::digest(digest, against.egress), ..tenant })
}

/// A tenant is described once, and its file is named after it.
fn check_name(reader: &mut Reader<'_>, file: &Path, shown: &str, seen: &mut Seen) {
    let Some(name) = reader.required("tenant").filter(|name: &String| TenantId::parse(name).is_ok()) else { return };
    if let Some(other) = seen.tenants.get(&name) {
        let message = format!("tenant `{name}` is described in {other} already");
        reader.error(codes::DUPLICATE_TENANT, "tenant", message);
        return;
    }
    if file.file_stem().is_some_and(|stem| stem != name.as_str()) {
        reader.warning(codes::FILE_NAME, "tenant", format!("this file describes `{name}` and is not named after it"));
        reader.hint(&format!("rename it to `{name}.yaml`"));
    }
    seen.tenants.insert(name, shown.to_owned());
}

/// A key or secret that is used twice does not tell who is calling.
fn check_credentials(reader: &mut Reader<'_>, tenant: &TenantSettings, seen: &mut Seen) {
    let mut senders = Vec::with_capacity(tenant.senders.len());
    for (index, sender) in tenant.senders.iter().enumerate() {
        let azure = format!("senders.{index}.azure_secure_webhook");
        // Both mean tokens; the finding belongs to the one that stands there.
        let path = |key: &str| if reader.is_absent(&azure) { format!("senders.{index}.{key}") } else { azure.clone() };
        senders.extend(sender.credential.digests().into_iter().map(|(key, digest)| (path(key), digest)));
    }
    check_tokens(reader, tenant, seen);
    let webhook = tenant.webhook.iter().flat_map(|webhook| webhook.secrets.iter().enumerate());
    let webhook = webhook.map(|(index, secret)| (format!("webhook.secrets.{index}"), secret.digest()));
    let unsigned = tenant.webhook.iter().filter_map(|webhook| webhook.unsigned.as_ref()).map(|unsigned| {
        let (path, secret) = match unsigned {
            UnsignedWebhook::Basic { password, .. } => ("webhook.unsigned.basic.password", password),
            UnsignedWebhook::Header { value, .. } => ("webhook.unsigned.header.value", value),
        };
        (path.to_owned(), ApiKeyHash::of(secret.expose()).digest())
    });
    let callback = tenant.callback.iter().flat_map(|callback| callback.secrets.iter());
    let callback = ["callback.secret", "callback.secret_next"].into_iter().zip(callback);
    let callback = callback.map(|(path, secret)| (path.to_owned(), secret.digest()));
    for (path, digest) in senders.into_iter().chain(webhook).chain(unsigned).chain(callback) {
        match seen.credentials.get(&digest) {
            Some(other) => {
                reader.error(codes::DUPLICATE_CREDENTIAL, &path, format!("this is used already, as {other}"));
                reader.hint("every sender, webhook and callback needs a credential of its own");
            }
            None => {
                seen.credentials.insert(digest, format!("`{path}` of `{}`", tenant.tenant));
            }
        }
    }
}

/// A token that two tenants take does not tell which of them is meant.
fn check_tokens(reader: &mut Reader<'_>, tenant: &TenantSettings, seen: &mut Seen) {
    let name = tenant.tenant.to_string();
    for (index, sender) in tenant.senders.iter().enumerate() {
        let SenderCredential::Token(rules) = &sender.credential else { continue };
        let path = format!("senders.{index}");
        // What is wholly the same is reported as such.
        let is_same = rules_digests(sender).iter().any(|digest| seen.credentials.contains_key(digest));
        let mut others =
            seen.tokens.iter().filter(|(other, _, known)| *other != name && tokens::may_share(known, rules));
        if let Some((_, other, _)) = others.next().filter(|_| !is_same) {
            let message = format!("a token could be good for this and for {other}");
            reader.error(codes::DUPLICATE_CREDENTIAL, &path, message);
            reader.hint("tell them apart by `audience`, or by `clients` or `subject` in both: a token may have several roles and scopes");
        }
        seen.tokens.push((name.clone(), format!("`{path}` of `{name}`"), Arc::clone(rules)));
    }
}

fn rules_digests(sender: &Sender) -> Vec<[u8; 32]> {
    sender.credential.digests().into_iter().map(|(_, digest)| digest).collect()
}

/// The tenants' files in the order of their names, so that findings come in the same order every time.
fn tenant_files(
    directory: &Path,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> Result<Vec<PathBuf>, Finding> {
    let name = environment.shown(directory);
    let unreadable = |reason: String| {
        let message = format!("the directory of tenants {} {reason}", directory.display());
        Finding::of_file(codes::UNREADABLE, Severity::Error, &name, message)
    };
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(reason(&error)))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(reason(&error)))?.path();
        // Editors' and Kubernetes' own entries begin with a dot.
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if is_hidden => {}
            Some("yaml") => files.push(path),
            Some("yml") => {
                let shown = environment.shown(&path);
                let finding = Finding::of_file(codes::IGNORED_FILE, Severity::Warning, &shown, "this file is not read");
                findings.push(finding.hint("tenants' files end in `.yaml`"));
            }
            Some(_) | None => {}
        }
    }
    if files.len() > TENANTS_MAX {
        return Err(unreadable(format!("has more than {TENANTS_MAX} files")));
    }
    files.sort();
    Ok(files)
}

/// Reads a file under the name by which it was named, or says with its absolute path why it could not.
fn read_document(file: &Path, environment: &Environment) -> Result<Document, Finding> {
    let path = environment.resolve(file);
    let name = environment.shown(file);
    let text = read_text(&path, SETTINGS_FILE_BYTES_MAX).map_err(|reason| {
        let message = format!("the file {} {reason}", path.display());
        Finding::of_file(codes::UNREADABLE, Severity::Error, &name, message)
    })?;
    Document::parse(&name, text)
}
