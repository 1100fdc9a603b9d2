//! Reads everything a gateway is configured by: settings, tenants, the mappings they name, each compiled once, and every source.
//!
//! Owns: reading mapping and source files, and bringing the compiler's findings and the settings' findings into one report.
//! Never: changes anything. Start-up and reload are this same call.
//! Fails: with every finding of all files at once. Proved by: `tests/tenants.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Sources, Tenant};
use crate::limits::MAPPING_FILE_BYTES_MAX;
use crate::mapping::source::{self, Source};
use crate::mapping::{self, Diagnostic, FindingSeverity, Mapping, SourceFile};
use crate::settings::{self, Environment, Excerpt, Finding, Settings, Severity, TenantSettings, codes, read_text};

/// What could be understood, and everything that was found.
#[derive(Debug)]
pub struct Loaded {
    /// The gateway's settings; `None` if they have errors.
    pub settings: Option<Settings>,
    /// The tenants without errors, by name.
    pub tenants: Vec<Tenant>,
    /// The sources without errors.
    pub sources: Sources,
    /// Everything, file by file: settings, tenants, mappings, sources.
    pub findings: Vec<Finding>,
    /// Every file and directory that was looked at, whether or not it is there.
    pub files: BTreeSet<PathBuf>,
    /// Over the settings' files and secrets.
    settings_digest: [u8; 32],
    sources_digest: [u8; 32],
}

/// A configuration without errors, ready to be served.
#[derive(Debug)]
pub struct Prepared {
    /// The gateway's settings.
    pub settings: Settings,
    /// Every tenant, by name.
    pub tenants: Vec<Tenant>,
    /// Every source.
    pub sources: Sources,
    /// What somebody should look at.
    pub warnings: Vec<Finding>,
    /// Every file and directory that was looked at.
    pub files: BTreeSet<PathBuf>,
    /// Over all of it: differs if anything does. No secret can be guessed from it.
    pub digest: [u8; 32],
}

impl Loaded {
    /// Everything, if there is no error in anything; otherwise everything that was found.
    pub fn strict(self) -> Result<Prepared, Vec<Finding>> {
        match self.settings {
            Some(settings) if !self.findings.iter().any(Finding::is_error) => {
                let mut digest = Sha256::new_with_prefix(self.settings_digest);
                digest.update(self.sources_digest);
                self.tenants.iter().for_each(|tenant| digest.update(tenant.digest));
                let (tenants, warnings, digest) = (self.tenants, self.findings, digest.finalize().into());
                Ok(Prepared { settings, tenants, sources: self.sources, warnings, files: self.files, digest })
            }
            Some(_) | None => Err(self.findings),
        }
    }
}

/// Reads the settings file at `path`, every tenant, and every mapping that a tenant names.
pub fn load(path: &Path, environment: &Environment) -> Loaded {
    load_over(path, environment, None)
}

/// The same for a gateway that runs with these settings: what it cannot change without a restart is an error as well.
pub fn load_over(path: &Path, environment: &Environment, running: Option<&Settings>) -> Loaded {
    let settings::Loaded { settings, tenants, mut findings, mut files, digest: settings_digest } =
        settings::load_over(path, environment, running);
    let Some(settings) = settings else {
        let (tenants, sources, sources_digest) = (Vec::new(), Sources::default(), [0; 32]);
        return Loaded { settings: None, tenants, sources, findings, files, settings_digest, sources_digest };
    };
    files.extend(tenants.iter().map(|tenant| settings.mappings.join(&tenant.mapping)));
    let mut shelf = Shelf { directory: &settings.mappings, environment, files: BTreeMap::new(), findings: Vec::new() };
    let tenants = tenants.into_iter().filter_map(|tenant| {
        let compiled = shelf.mapping(&tenant)?;
        shelf.check_way_back(&tenant, &compiled.mapping);
        Some(Tenant::new(tenant, compiled.mapping, compiled.digest))
    });
    let tenants = tenants.collect();
    findings.append(&mut shelf.findings);
    let folder = SourceFolder::read(&settings.mappings, environment);
    findings.extend(folder.findings);
    files.extend(folder.files);
    let (sources, sources_digest) = (folder.sources.into_iter().collect(), folder.digest.finalize().into());
    Loaded { settings: Some(settings), tenants, sources, findings, files, settings_digest, sources_digest }
}

/// The folder of sources, inside the folder of mappings.
pub fn sources_folder(mappings: &Path) -> PathBuf {
    mappings.join("sources")
}

/// Every source file. A gateway without the folder understands no tool, and is none the worse for it.
#[derive(Default)]
struct SourceFolder {
    sources: Vec<Source>,
    findings: Vec<Finding>,
    /// Itself and what is in it: a file that comes or goes is seen as well.
    files: Vec<PathBuf>,
    digest: Sha256,
}

impl SourceFolder {
    fn read(mappings: &Path, environment: &Environment) -> Self {
        let folder = sources_folder(mappings);
        let mut all = Self { files: vec![folder.clone()], ..Self::default() };
        for path in source_files(&folder, &mut all.findings) {
            let shown = environment.shown(&path);
            match read_text(&path, MAPPING_FILE_BYTES_MAX as u64) {
                Ok(text) => {
                    all.digest.update(&shown);
                    all.digest.update(Sha256::digest(&text));
                    let (source, found) = source::compile(&SourceFile::new(shown, text));
                    all.findings.extend(found.into_iter().map(finding));
                    all.sources.extend(source);
                }
                Err(reason) => {
                    let message = format!("the source file {shown} {reason}");
                    all.findings.push(Finding::of_file(codes::MAPPING_FILE, Severity::Error, &shown, message));
                }
            }
            all.files.push(path);
        }
        all
    }
}

fn source_files(folder: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("the folder of sources cannot be read: {error}");
            let folder = folder.display().to_string();
            findings.push(Finding::of_file(codes::MAPPING_FILE, Severity::Error, &folder, message));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// The mapping files that have been read, each compiled once and shared.
struct Shelf<'a> {
    directory: &'a Path,
    environment: &'a Environment,
    /// `None` is a file with errors; they have been reported.
    files: BTreeMap<String, Option<Compiled>>,
    findings: Vec<Finding>,
}

#[derive(Clone)]
struct Compiled {
    mapping: Arc<Mapping>,
    digest: [u8; 32],
}

impl Shelf<'_> {
    fn mapping(&mut self, tenant: &TenantSettings) -> Option<Compiled> {
        if let Some(known) = self.files.get(&tenant.mapping) {
            return known.clone();
        }
        let path = self.directory.join(&tenant.mapping);
        match read_text(&path, MAPPING_FILE_BYTES_MAX as u64) {
            Ok(text) => {
                let compiled = self.compile(&path, text);
                self.files.insert(tenant.mapping.clone(), compiled.clone());
                compiled
            }
            Err(reason) => {
                // Not put on the shelf: every tenant that names it is to be told.
                let message = format!("the mapping file {} {reason}", path.display());
                self.findings.push(at_mapping(tenant, codes::MAPPING_FILE, Severity::Error, message));
                None
            }
        }
    }

    /// A callback that nothing would ever be sent to. The other way round is no slip: one mapping serves tenants with
    /// and without a callback.
    fn check_way_back(&mut self, tenant: &TenantSettings, mapping: &Mapping) {
        if tenant.callback.is_none() || mapping.has_way_back() {
            return;
        }
        let message = format!(
            "the tenant has a `callback`, but {} has no `to_incident`: nothing that people do in tickets is told",
            tenant.mapping
        );
        let hint = "say in `to_incident` what goes back, or leave `callback` out";
        let finding = at_mapping(tenant, codes::NO_WAY_BACK, Severity::Warning, message);
        self.findings.push(Finding { hint: Some(hint.to_owned()), ..finding });
    }

    fn compile(&mut self, path: &Path, text: String) -> Option<Compiled> {
        let digest = Sha256::digest(text.as_bytes()).into();
        let (mapping, found) = mapping::compile(&SourceFile::new(self.environment.shown(path), text));
        self.findings.extend(found.into_iter().map(finding));
        mapping.map(|mapping| Compiled { mapping: Arc::new(mapping), digest })
    }
}

/// About the line in which a tenant names its mapping.
fn at_mapping(tenant: &TenantSettings, code: &'static str, severity: Severity, message: String) -> Finding {
    let (line, column) = (tenant.mapping_place.line, tenant.mapping_place.column);
    Finding { line, column, ..Finding::of_file(code, severity, &tenant.file, message) }
}

/// The compiler's finding in the form of all others.
fn finding(found: Diagnostic) -> Finding {
    let start = found.column.saturating_sub(1);
    let from = found.excerpt.char_indices().nth(start).map_or(found.excerpt.len(), |(byte, _)| byte);
    let until = found.excerpt.len().min(from.saturating_add(found.span.len()));
    let width = found.excerpt.get(from..until).map_or(1, |meant| meant.chars().count().max(1));
    Finding {
        code: found.code,
        severity: match found.severity {
            FindingSeverity::Error => Severity::Error,
            FindingSeverity::Warning => Severity::Warning,
        },
        file: found.file,
        line: found.line,
        column: found.column,
        message: found.message,
        hint: found.hint,
        excerpt: Some(Box::new(Excerpt { text: found.excerpt, start, width })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_of_the_compiler_reads_the_same_in_the_common_report() {
        let text = "version: 1\nname: x\ntarget: {table: incident}\nto_ticket:\n  fields:\n    short_description: \"{{ incident.title | trimm }}\"\n";
        let (_, found) = mapping::compile(&SourceFile::new("mappings/x.yaml", text));
        assert!(!found.is_empty());
        for diagnostic in found {
            let said = diagnostic.render(false);
            assert_eq!(finding(diagnostic).render(false), said);
        }
    }
}
