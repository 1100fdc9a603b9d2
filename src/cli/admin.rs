//! Asking a running gateway's admin listener, for the commands that do.
//!
//! They go through the gateway and not into the store: an embedded store belongs to one process. Fails: with
//! [`NoGateway`], or with `None` after a refusal was printed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::print::{Ink, Printer};
use super::{NoGateway, runtime};
use crate::settings::{self, Environment};

/// How long an answer may take. A check of an instance is the slowest: it ends within two minutes.
const ANSWER_WAIT: Duration = Duration::from_secs(150);

/// Which gateway, and who asks.
#[derive(Debug, clap::Args)]
pub(super) struct Admin {
    /// The admin listener of the gateway; by default the one that the settings name
    #[arg(long, global = true, value_name = "URL")]
    admin: Option<String>,
    /// An operator's token, where the admin listener asks for one
    #[arg(long, global = true, env = "SNOWGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Asked {
    /// A look at something.
    pub(super) const fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    /// A deed, with what there is to say about it.
    pub(super) const fn post(path: String, body: Option<Value>) -> Self {
        Self { method: Method::POST, path, body }
    }
}

impl Admin {
    /// The answer, or `None` if it was a refusal, which has been printed with what it lists.
    pub(super) fn ask(
        &self,
        asked: Asked,
        found_by: (&Path, &Environment),
        printer: &Printer,
    ) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.answer(asked, found_by)?;
        if status.is_success() {
            return Ok(Some(answer));
        }
        let detail = answer["detail"].as_str().unwrap_or("no detail");
        printer.note(format_args!("{} {status}: {detail}", printer.ink(Ink::Bad, "refused:")));
        for finding in list_of(&answer["findings"]) {
            printer.note(format_args!("  {finding}"));
        }
        Ok(None)
    }

    /// The same with a refusal as it came.
    pub(super) fn answer(
        &self,
        asked: Asked,
        (config, environment): (&Path, &Environment),
    ) -> anyhow::Result<(StatusCode, Value)> {
        let base = match &self.admin {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", admin_address(config, environment)?),
        };
        runtime()?.block_on(call(&base, asked, self.token.as_deref()))
    }
}

fn admin_address(config: &Path, environment: &Environment) -> anyhow::Result<String> {
    let loaded = settings::load(config, environment);
    let Some(settings) = loaded.settings else {
        bail!("the settings cannot be read (`snowgate check` says why); name the gateway with --admin URL");
    };
    Ok(settings.server.admin_listen.to_string())
}

async fn call(base: &str, asked: Asked, token: Option<&str>) -> anyhow::Result<(StatusCode, Value)> {
    let Asked { method, path, body } = asked;
    let url = format!("{base}{path}");
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut request = client.request(method, &url).timeout(ANSWER_WAIT);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.map_err(|_| NoGateway(url))?;
    let status = response.status();
    #[expect(clippy::disallowed_methods, reason = "the answer of our own admin listener, which pages its lists")]
    let body = response.text().await.context("the answer broke off")?;
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
}

pub(super) fn list_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Percent-encodes everything that is not plainly allowed in a path segment or a query value.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}
