//! What happens to the credentials that we show an instance: tokens, rotations, ends.

use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{debug, warn};

use super::label;
use crate::domain::id::TenantId;
use crate::telemetry::catalogue::{CREDENTIALS_TURNED, REFRESH_TOKEN_EXPIRES, TOKENS};

/// An access token was asked for.
#[derive(Debug)]
pub struct TokenFetched<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `granted`, or the failure's stable name.
    pub outcome: &'a str,
    /// With which credentials: `current`, or `next` of a rotation.
    pub key_version: &'static str,
    /// What went wrong, in words without secrets; empty when granted.
    pub detail: &'a str,
}

impl TokenFetched<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, outcome, key_version, detail } = self;
        counter!(TOKENS, "tenant" => label(tenant), "outcome" => outcome.to_owned(), "key_version" => key_version)
            .increment(1);
        if outcome == "granted" {
            debug!(tenant.id = %tenant, outcome, key_version, "Got an access token for {tenant}");
        } else {
            warn!(tenant.id = %tenant, outcome, key_version, "Got no access token for {tenant}: {outcome}, {detail}");
        }
    }
}

/// One of two credentials was refused, and the other one is used from now on.
#[derive(Debug)]
pub struct CredentialsTurned<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// Which are used now: `current`, or `next` of a rotation.
    pub key_version: &'static str,
}

impl CredentialsTurned<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, key_version } = self;
        counter!(CREDENTIALS_TURNED, "tenant" => label(tenant), "key_version" => key_version).increment(1);
        warn!(tenant.id = %tenant, key_version,
            "The instance of {tenant} refused one credential; from now on the {key_version} one is used");
    }
}

/// A refresh token has this long to live.
#[derive(Debug)]
pub struct RefreshTokenLives<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// How long; zero when it has ended, `None` when there is none any more.
    pub left: Option<Duration>,
}

impl RefreshTokenLives<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { tenant, left } = self;
        gauge!(REFRESH_TOKEN_EXPIRES, "tenant" => label(tenant)).set(left.map_or(f64::NAN, |left| left.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn each_version_of_the_credentials_is_counted_apart() {
        let tenant = TenantId::parse("contoso").unwrap();
        let text = Metrics::local(|| {
            let fetched = |outcome, key_version| TokenFetched { tenant: &tenant, outcome, key_version, detail: "" };
            fetched("token_refused", "current").emit();
            CredentialsTurned { tenant: &tenant, key_version: "next" }.emit();
            fetched("granted", "next").emit();
            RefreshTokenLives { tenant: &tenant, left: Some(Duration::from_hours(24)) }.emit();
            let other = TenantId::parse("fabrikam").unwrap();
            RefreshTokenLives { tenant: &other, left: None }.emit();
        })
        .unwrap();
        for line in [
            r#"snowgate_token_fetches_total{tenant="contoso",outcome="token_refused",key_version="current"} 1"#,
            r#"snowgate_token_fetches_total{tenant="contoso",outcome="granted",key_version="next"} 1"#,
            r#"snowgate_credentials_turned_total{tenant="contoso",key_version="next"} 1"#,
            r#"snowgate_refresh_token_expires_seconds{tenant="contoso"} 86400"#,
            r#"snowgate_refresh_token_expires_seconds{tenant="fabrikam"} NaN"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
