//! What people write: settings and tenant files, layered, checked as a whole, and turned into types that cannot be wrong.
//!
//! The way of a file: [`tree`] reads YAML and remembers places, [`shape`] holds it to the JSON Schema made from the
//! `raw` types, [`layers`] lays file, local file and environment over each other, [`checked`] and [`tenant`]
//! (with [`auth`], [`exchange`], [`senders`], [`tokens`], [`service_levels`]) turn what was said into what is meant. [`load()`] does all of it for all files.
//!
//! Owns: the only reading of the environment. Never: opens a store or a connection, compiles a mapping, shows a secret:
//! a secret is named by where it is kept, and excerpts are cut where one may begin.
//! Fails: by collecting [`Finding`]s over all files; one error anywhere and nothing is used.
//! Proved by: the tests in each file and `tests/settings.rs`, a directory of broken configurations with what is said.

mod auth;
mod auth_ends;
mod checked;
pub mod codes;
pub mod duration;
mod environment;
mod excerpt;
mod exchange;
mod finding;
mod layers;
mod load;
mod raw;
mod raw_exchange;
mod raw_senders;
mod raw_service_levels;
mod raw_tenant;
mod reader;
pub mod schema;
mod senders;
mod service_levels;
mod shape;
mod tenant;
mod tokens;
mod tree;

pub use auth::{Account, AssertionSettings, Auth, OAuthClient};
pub use checked::{
    CrashAt, CrashManner, Every, LogSettings, Operator, ServerSettings, Settings, StoreSettings, StoreUrl,
};
pub use environment::Environment;
pub use excerpt::Excerpt;
pub use exchange::{CallbackOAuth, CallbackSettings, UnsignedWebhook, WebhookSettings};
pub use finding::{Finding, Place, Severity, nearest};
pub use load::{Configuration, Loaded, load, load_over, load_strict};
pub use raw::{LogFormat, Role};
pub use raw_tenant::CreateStrategy;
pub(crate) use reader::read_text;
pub use senders::{KeyInUrl, Sender, SenderCredential, parse_end};
pub use tenant::{CallLimits, Enabled, ServiceNowSettings, SweepSettings, TenantSettings};
