//! Asking a running gateway's admin listener, for every command that needs one.
//!
//! Owns: where the listener is, the operator's token, and what a refusal looks like. Never: goes into the store: an embedded
//! store belongs to one process. Fails: with [`NoGateway`] if nobody answers. Proved by: `tests/cli`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::print::{Ink, Printer};
use super::{NoGateway, runtime};
use crate::settings::{self, Environment};

/// How long an answer may take; a page of deliveries takes milliseconds.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// The admin listener of the gateway; by default the one that the settings name
    #[arg(long, global = true, value_name = "URL")]
    admin: Option<String>,
    /// An operator's token, where the admin listener asks for one
    #[arg(long, global = true, env = "SNOWGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// The admin listener of a running gateway.
#[derive(Debug)]
pub(super) struct Admin {
    base: String,
    token: Option<String>,
    wait: Duration,
}

impl Admin {
    /// The one that was named, or the one of the settings.
    pub(super) fn of(config: &Path, reach: &Reach, environment: &Environment) -> anyhow::Result<Self> {
        let base = match &reach.admin {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", address(config, environment)?),
        };
        Ok(Self { base, token: reach.token.clone(), wait: ANSWER_WAIT })
    }

    /// Asks, and gives the answer; `None` after saying why it was refused.
    pub(super) fn ask(&self, method: Method, path: &str, printer: &Printer) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.answer(method, path)?;
        if status.is_success() {
            return Ok(Some(answer));
        }
        let detail = answer["detail"].as_str().unwrap_or("no detail");
        printer.note(format_args!("{} {status}: {detail}", printer.ink(Ink::Bad, "refused:")));
        Ok(None)
    }

    /// The same with a refusal as it came.
    pub(super) fn answer(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        runtime()?.block_on(self.call(method, path))
    }

    async fn call(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.base);
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let mut request = client.request(method, &url).timeout(self.wait);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|_| NoGateway(url))?;
        let status = response.status();
        #[expect(clippy::disallowed_methods, reason = "the answer of our own admin listener, which pages its lists")]
        let body = response.text().await.context("the answer broke off")?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }
}

fn address(config: &Path, environment: &Environment) -> anyhow::Result<String> {
    let loaded = settings::load(config, environment);
    let Some(settings) = loaded.settings else {
        bail!("the settings cannot be read (`snowgate check` says why); name the gateway with --admin URL");
    };
    Ok(settings.server.admin_listen.to_string())
}

/// The items of a list, none if there is no list.
pub(super) fn list_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text, empty if there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Percent-encodes everything that is not plainly allowed in a path segment or a query value.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}
