//! Things that happen, one struct each; `emit` writes the log line and the metric together, so they cannot disagree.
//!
//! Owns: the wording of log lines and which metric moves. Never: decides, allocates queues, or carries bodies and
//! secrets. Words that become labels are `&'static str`, or codes of outcomes: only our own code can add a value, so labels
//! stay bounded.
//! Levels: `error` is a defect of ours or a refused reload, `warn` needs a person, `info` changed something that lasts,
//! `debug` is the daily traffic.
//! Fails: it cannot. Proved by: the tests in each file.

mod callers;
mod calls;
mod credentials;
mod intake;
mod lanes;
mod process;
mod standing;

pub use callers::{Authenticated, CallerHeldOff, IssuerKeysFetched};
pub use calls::{
    BreakerChanged, BreakerState, CallFinished, CallbackFinished, FirstResponses, Swept, TenantPaused, TenantResumed,
};
pub use credentials::{CredentialsTurned, RefreshTokenLives, TokenFetched};
pub use intake::{Accepted, EchoCut, Refused, Shed, WebhookRead};
pub use lanes::{Delivered, FieldDropped, Folded, OldestDue, Parked, Retried, SlotsInUse, TenantSlow, Waiting};
pub use process::{SettingsApplied, SettingsRefused, StoreCommitted, TaskPanicked};
pub use standing::{DuplicateTickets, StoreRoom, TenantStaysPaused, VersionRuns};

/// A label's value: the tenant's name, which the configuration bounds.
fn label(text: &impl ToString) -> String {
    text.to_string()
}
