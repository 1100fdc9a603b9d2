//! `snowgate key`: new API keys, and signatures for trying a signed request by hand.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::DONE;
use super::print::{Ink, Printer};
use crate::domain::id::TenantId;
use crate::domain::time::Clock;
use crate::runtime::clock::SystemClock;
use crate::runtime::entropy;
use crate::security::api_key::ApiKey;
use crate::security::scope::Scope;
use crate::security::signature::{self, WebhookSecret};
use crate::settings;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A new API key for a sender: the key goes to the sender, its hash into the tenant file
    New {
        /// The sender's name in the tenant file
        #[arg(long, default_value = "soc")]
        name: String,
        /// What it may do, separated by commas: events, sources, sources/NAME, deliveries; everything by default
        #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Its last day in UTC, such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// Sign a body as Standard Webhooks do and print the headers to send with it
    Sign {
        /// The body, byte for byte as it will be sent; `-` reads standard input
        file: PathBuf,
        /// A file with the secret (`whsec_…`); without it a new secret is made and printed
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// The message's id: a repeat carries the same one
        #[arg(long, default_value = "msg_1")]
        id: String,
    },
}

pub(super) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<u8> {
    match &arguments.command {
        Command::New { name, scopes, expires } => new(name, scopes, expires.as_deref(), printer)?,
        Command::Sign { file, secret_file, id } => sign(file, secret_file.as_deref(), id, printer)?,
    }
    Ok(DONE)
}

fn new(name: &str, scopes: &[String], expires: Option<&str>, printer: &Printer) -> anyhow::Result<()> {
    TenantId::parse(name).map_err(|_| anyhow::anyhow!("`{name}` is not a name: use 1 to 40 of a-z, 0-9 and `-`"))?;
    for word in scopes {
        Scope::parse(word)?;
    }
    if let Some(text) = expires {
        settings::parse_end(text).with_context(|| format!("`{text}` is no date such as 2027-01-31, and no time"))?;
    }
    let key = ApiKey::from_entropy(entropy::random_bytes().context("the machine has no randomness to give")?);
    let hash = key.hash().to_string();
    let limits = match scopes {
        [] => String::new(),
        scopes => format!(", scopes: [{}]", scopes.join(", ")),
    };
    let end = expires.map(|text| format!(", expires: \"{text}\"")).unwrap_or_default();
    let entry = format!("- {{name: {name}, api_key_sha256: \"{hash}\"{limits}{end}}}");
    if printer.is_json() {
        printer.document(&json!({"key": key.expose(), "api_key_sha256": hash, "sender": entry}));
        return Ok(());
    }
    printer.line(format_args!("key    {}", printer.ink(Ink::Good, key.expose())));
    printer.line(format_args!(
        "       {}",
        printer.ink(Ink::Dim, "for the sender: Authorization: Bearer <key>; it is shown only now")
    ));
    printer.line(format_args!("hash   {hash}"));
    printer.line(format_args!("       {}", printer.ink(Ink::Dim, "for the tenant's file, under senders:")));
    printer.line(format_args!("       {entry}"));
    Ok(())
}

fn sign(file: &Path, secret_file: Option<&Path>, id: &str, printer: &Printer) -> anyhow::Result<()> {
    let body = read(file)?;
    let (secret, shown) = if let Some(path) = secret_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        (WebhookSecret::parse(text.trim()).with_context(|| format!("{} holds no secret", path.display()))?, None)
    } else {
        let made = entropy::random_bytes().context("the machine has no randomness to give")?;
        let (secret, text) = WebhookSecret::from_entropy(made);
        (secret, Some(text))
    };
    let now = SystemClock.now();
    let signature = signature::sign(id, now, &body, &secret);
    if let Some(text) = shown {
        printer.note(format_args!("secret {}", text.expose()));
    }
    if printer.is_json() {
        let (id_header, time_header, signature_header) = ("webhook-id", "webhook-timestamp", "webhook-signature");
        printer.document(&json!({id_header: id, time_header: now.seconds().to_string(), signature_header: signature}));
    } else {
        printer.line(format_args!("webhook-id: {id}"));
        printer.line(format_args!("webhook-timestamp: {}", now.seconds()));
        printer.line(format_args!("webhook-signature: {signature}"));
    }
    Ok(())
}

/// A file's bytes, or standard input's for `-`.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    Ok(bytes)
}
