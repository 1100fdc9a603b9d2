//! Callers that cannot sign: one header that always has the same value; user name and password are one, too.
//!
//! Owns: the comparison. Never: keeps the text (only its hash), or says which part was wrong. A tenant that takes no such
//! calls, and one that does not exist, cost the same as one that does: one look at a header, one hash, the same number of
//! comparisons. Fails: closed. Proved by: `tests/tenants.rs`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::secret::Secret;
use crate::security::api_key::{self, ApiKeyHash};
use crate::settings::UnsignedWebhook;

/// What a call without a signature must show.
#[derive(Clone, Debug)]
pub(super) struct Unsigned {
    header: Arc<str>,
    form: Form,
    hash: ApiKeyHash,
}

/// What of the header's value is hashed.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// What follows the word `Basic`, whatever its case.
    Basic,
    /// All of it.
    Whole,
}

impl Unsigned {
    pub(super) fn of(settings: &UnsignedWebhook) -> Self {
        match settings {
            UnsignedWebhook::Basic { username, password } => {
                let text = Secret::new(STANDARD.encode(format!("{username}:{}", password.expose())));
                Self { header: "authorization".into(), form: Form::Basic, hash: ApiKeyHash::of(text.expose()) }
            }
            UnsignedWebhook::Header { name, value } => {
                Self { header: Arc::clone(name), form: Form::Whole, hash: ApiKeyHash::of(value.expose()) }
            }
        }
    }
}

/// Whether the headers show what this tenant asks for; `None` is a tenant that takes no unsigned calls, or none at all.
pub(super) fn is_proven<'a>(unsigned: Option<&Unsigned>, header: &dyn Fn(&str) -> Option<&'a str>) -> bool {
    let (name, form) = unsigned.map_or(("authorization", Form::Basic), |unsigned| (&*unsigned.header, unsigned.form));
    let shown = header(name).unwrap_or_default();
    let shown = match form {
        Form::Basic => after_basic(shown).unwrap_or_default(),
        Form::Whole => shown,
    };
    api_key::find(shown, unsigned.map(|unsigned| unsigned.hash).as_slice()).is_some()
}

fn after_basic(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| rest.trim_matches(' '))
}
