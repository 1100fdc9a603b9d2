//! The way to the instance: reaching it, logging in, and what stands around its answers.
//!
//! Owns: which finding an outcome of a call is, with what to do for each kind of credentials. Never: shows what we log in
//! with. Fails: it cannot. Proved by: `tests/it/live_check.rs`, the table here.

use super::codes::{self, Code};
use super::desk::Desk;
use super::needs::spot_of;
use super::report::{Findings, Spot};
use crate::delivery::outcome::{Class, Outcome};
use crate::limits::{CLOCKS_APART_NOTED, SIGNATURE_WINDOW_SECS};
use crate::servicenow::sounding::Sounding;
use crate::settings::Auth;
use crate::tenants::Tenant;

/// Reaches the instance with the first read of its table. `false`: there is no use in going on.
pub(super) async fn reach(desk: &Desk<'_>, tenant: &Tenant, table: &str, findings: &mut Findings) -> bool {
    let settings = tenant.settings();
    let origin = settings.servicenow.instance.origin();
    desk.tell(&format!("reaching {origin}"));
    let sounded = match desk.permit().await {
        Ok(permit) => desk.client.sound(permit, table).await,
        Err(outcome) => Err(outcome),
    };
    match sounded {
        Ok(sounding) => {
            let account = settings.servicenow.user.as_deref().map_or(String::new(), |user| format!(" as {user}"));
            findings.note(codes::PROVED, "servicenow.auth", format!("logged in at {origin}{account}"));
            around(&sounding, tenant, findings);
            true
        }
        Err(outcome) => {
            let code = code_of(&outcome);
            let about_table = code == codes::NO_TABLE;
            let about_us = code == codes::CREDENTIALS || code == codes::NO_ACCESS;
            let (subject, spot) = if about_table {
                (table, target(tenant))
            } else if about_us {
                ("servicenow.auth", spot_of(&settings.file, settings.servicenow.auth_place))
            } else {
                ("servicenow.instance", setting(tenant))
            };
            let found = findings.error(code, subject, said(&outcome)).at(Some(&spot));
            if code == codes::CREDENTIALS {
                found.remedy(remedy(&settings.servicenow.auth));
            }
            false
        }
    }
}

/// A call that failed for a reason that is none of the mapping's: the check goes on without it.
pub(super) fn failed(outcome: &Outcome, subject: &str, findings: &mut Findings) {
    let code = code_of(outcome);
    // A limit is not the subject's own, and is told once however many calls it stops.
    let subject = if code == codes::THROTTLED { "servicenow.limits" } else { subject };
    findings.error(code, subject, said(outcome));
}

/// What an outcome says, in words.
pub(super) fn said(outcome: &Outcome) -> String {
    let status = outcome.status.map_or(String::new(), |status| format!("HTTP {status}, "));
    let detail = if outcome.detail.is_empty() { String::new() } else { format!(": {}", outcome.detail) };
    format!("{status}{}{detail}", outcome.code)
}

/// Which finding an outcome is.
fn code_of(outcome: &Outcome) -> &'static Code {
    match outcome.code.as_str() {
        "credentials_refused" => return codes::CREDENTIALS,
        "http_403_api_acl" | "http_403_blocked" | "http_403_query" => return codes::NO_ACCESS,
        "http_400_invalid_table" | "http_404_no_table" => return codes::NO_TABLE,
        "not_http" => return codes::NOT_SERVICENOW,
        _ => {}
    }
    let has = |word: &str| outcome.code.contains(word);
    if has("address_forbidden") {
        codes::FORBIDDEN
    } else if has("tls_") {
        codes::CERTIFICATE
    } else if outcome.class == Class::Unauthorized {
        codes::CREDENTIALS
    } else if ["html", "redirected", "not_json", "not_servicenow", "no_such_api", "no_result"].into_iter().any(has) {
        codes::NOT_SERVICENOW
    } else if matches!(outcome.class, Class::Throttled | Class::Crowded) {
        codes::THROTTLED
    } else if outcome.status.is_none() && matches!(outcome.class, Class::NotProcessed | Class::Unclear) {
        codes::UNREACHABLE
    } else {
        codes::UNFINISHED
    }
}

/// What an administrator must do when an instance does not accept us. It never says why.
fn remedy(auth: &Auth) -> String {
    let client = "In the instance, under System OAuth > Application Registry, compare client id and secret";
    let user = "the user must exist, be active, not locked out, and its password must need no reset";
    match auth {
        Auth::ClientCredentials { .. } => format!(
            "{client}; set the system property `glide.oauth.inbound.client.credential.grant_type.enabled` to true; \
             and name an active user as `OAuth Application User` of the registry entry."
        ),
        Auth::JwtBearer { .. } => format!(
            "{client}; the verifier map must know the key under the assertion's `kid`; the assertion's subject must be \
             the value of the configured user field of an active user; and the two clocks must agree."
        ),
        Auth::ApiKey { .. } => "Compare the key: it must be active and not expired, its user active, and an inbound \
             authentication profile with an API access policy must let this key reach the Table API."
            .to_owned(),
        Auth::RefreshToken { .. } => format!(
            "{client}. A refresh token lives 100 days from when a person fetched it, and using it does not prolong it: \
             fetch a new one."
        ),
        Auth::Password { .. } => {
            format!("{client}; {user}; and `glide.oauth.inbound.ropc.grant_type.disabled` must not be true.")
        }
        Auth::Basic { .. } => format!(
            "Compare user name and password; {user}. Newer instances refuse basic authentication for users who may \
             log in: set `Web service access only` on the user, or give it the role `snc_basic_auth_api_access`; and \
             nobody can answer multi-factor authentication for it."
        ),
    }
}

/// Where the tenant's file names the instance.
pub(super) fn setting(tenant: &Tenant) -> Spot {
    let settings = tenant.settings();
    spot_of(&settings.file, settings.servicenow.place)
}

/// Where the mapping names its table.
pub(super) fn target(tenant: &Tenant) -> Spot {
    let wants = tenant.mapping().wants();
    Spot::new(&wants.file, wants.target)
}

fn around(sounding: &Sounding, tenant: &Tenant, findings: &mut Findings) {
    let spot = setting(tenant);
    match sounding.clock_ahead_secs {
        Some(ahead) if ahead.abs() > SIGNATURE_WINDOW_SECS && tenant.settings().webhook.is_some() => {
            let message = format!("{}; its webhooks are refused as too old or too new", apart(ahead));
            findings.error(codes::CLOCK, "clock", message).at(Some(&spot));
        }
        Some(ahead) if ahead.unsigned_abs() > CLOCKS_APART_NOTED.as_secs() => {
            findings.warning(codes::CLOCK, "clock", apart(ahead)).at(Some(&spot));
        }
        Some(_) => {
            findings.note(codes::PROVED, "clock", "the instance's clock and ours agree");
        }
        None => {}
    }
    if let Some(limit) = sounding.calls_per_hour {
        let ours = tenant.settings().servicenow.limits.calls_per_hour;
        let message = format!("a rule of the instance allows {limit} calls an hour; `calls_per_hour` is {ours}");
        if u64::from(ours) > limit {
            findings.warning(codes::RATE_RULE, "servicenow.limits.calls_per_hour", message).at(Some(&spot));
        } else {
            findings.note(codes::RATE_RULE, "servicenow.limits.calls_per_hour", message);
        }
    }
    if sounding.sets_cookies {
        findings.note(
            codes::PROVED,
            "cookies",
            "the instance sets cookies; none is kept, so calls spread over its nodes",
        );
    }
}

fn apart(ahead: i64) -> String {
    let which = if ahead > 0 { "ahead of" } else { "behind" };
    format!("the instance's clock is {} s {which} ours", ahead.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_one_finding() {
        for (class, code, status, expected) in [
            (Class::NotProcessed, "connect_failed", None, "L001"),
            (Class::Unclear, "timeout", None, "L001"),
            (Class::NotProcessed, "token_connect_failed", None, "L001"),
            (Class::Misconfigured, "tls_certificate", None, "L002"),
            (Class::Misconfigured, "token_tls_certificate", None, "L002"),
            (Class::Misconfigured, "address_forbidden", None, "L003"),
            (Class::Unclear, "html_instead_of_json", Some(200), "L004"),
            (Class::NotProcessed, "token_html_instead_of_json", Some(200), "L004"),
            (Class::Misconfigured, "redirected", Some(302), "L004"),
            (Class::Misconfigured, "http_404_not_servicenow", Some(404), "L004"),
            (Class::Unauthorized, "http_401", Some(401), "L005"),
            (Class::Unauthorized, "token_refused", Some(401), "L005"),
            (Class::Crowded, "credentials_refused", None, "L005"),
            (Class::Misconfigured, "http_403_api_acl", Some(403), "L006"),
            (Class::Throttled, "http_429_rate_limit", Some(429), "L007"),
            (Class::Unclear, "http_503", Some(503), "L008"),
            (Class::Misconfigured, "http_400_invalid_table", Some(400), "L010"),
        ] {
            let outcome = Outcome { status, ..Outcome::new(class, code) };
            assert_eq!(code_of(&outcome).code, expected, "{code}");
        }
    }
}
