//! Credentials that end: the client certificate, and the refresh token that a person obtained.
//!
//! Owns: reading a certificate, and the forecast of both ends. Never: refuses a file for the date: what was right
//! yesterday must not keep the gateway, and with it every other tenant, from starting today.
//! Fails: by collecting findings. Proved by: `tests/settings.rs`.

use std::time::Duration;

use super::codes;
use super::raw_tenant::RawMutualTls;
use super::reader::Reader;
use crate::domain::time::Timestamp;
use crate::limits::{CERTIFICATE_WARNING, REFRESH_TOKEN_WARNING};
use crate::security::certificate::{BadCertificate, ClientCertificate};
use crate::security::target::Target;

/// `Some(None)` is a tenant without a client certificate, `None` one whose certificate is wrong.
#[expect(clippy::option_option, reason = "outer: readable at all; inner: given")]
pub(super) fn certificate(reader: &mut Reader<'_>, instance: Option<&Target>) -> Option<Option<ClientCertificate>> {
    const PATH: &str = "servicenow.auth.mutual_tls";
    if reader.is_absent(PATH) {
        return Some(None);
    }
    if instance.is_some_and(Target::is_plain) {
        reader.error(codes::CERTIFICATE, PATH, "a client certificate is shown over https alone");
        return None;
    }
    let RawMutualTls { certificate, key } = reader.required(PATH)?;
    let chain = reader.secret(&certificate, &format!("{PATH}.certificate"));
    let key = reader.secret(&key, &format!("{PATH}.key"));
    let pair = match ClientCertificate::from_pem(chain?.expose(), key?.expose()) {
        Ok(pair) => pair,
        Err(why) => {
            let (part, hint) = match why {
                BadCertificate::Key(_) => {
                    ("key", "write the key without a passphrase: `openssl pkey -in KEY -out PLAIN`")
                }
                BadCertificate::Mismatch => (
                    "key",
                    "both commands must print the same: `openssl x509 -noout -pubkey -in CERTIFICATE`, `openssl pkey -pubout -in KEY`",
                ),
                BadCertificate::NotCertificate | BadCertificate::Garbled | BadCertificate::TooMany => (
                    "certificate",
                    "our own certificate comes first, then what leads to its root; see `openssl x509 -in FILE -text`",
                ),
            };
            reader.error(codes::CERTIFICATE, &format!("{PATH}.{part}"), why.to_string()).cut();
            reader.hint(hint);
            return None;
        }
    };
    forecast_certificate(reader, &format!("{PATH}.certificate"), &pair);
    Some(Some(pair))
}

fn forecast_certificate(reader: &mut Reader<'_>, path: &str, certificate: &ClientCertificate) {
    let (now, validity) = (reader.now(), certificate.validity());
    let message = if now < validity.begins {
        format!("the client certificate is good only from {}", day(validity.begins))
    } else if now > validity.ends {
        format!("the client certificate ended on {}: the instance refuses every call", day(validity.ends))
    } else if validity.ends.since(now) < CERTIFICATE_WARNING {
        format!("the client certificate ends on {}, in {}", day(validity.ends), days(validity.ends.since(now)))
    } else {
        return;
    };
    reader.warning(codes::CERTIFICATE_ENDS, path, message).cut();
    reader
        .hint("put the new certificate and its key in their files, once the instance maps it to the user; then reload");
}

/// When the refresh token ends, if somebody said when it was obtained; warns in time, or that nobody did.
pub(super) fn refresh_token_ends(
    reader: &mut Reader<'_>,
    obtained: Option<&str>,
    days_given: u32,
) -> Option<Timestamp> {
    const PATH: &str = "servicenow.auth.refresh_token_obtained";
    const AGAIN: &str = "obtain another one (docs/servicenow-admin.md), put it into its place with its date, and reload; or change to \
                         `client_credentials`, which does not end";
    let Some(text) = obtained else {
        let message =
            "the refresh token ends without a warning: its life is never extended, and nobody said when it began";
        reader.warning(codes::REFRESH_TOKEN_DAY, "servicenow.auth.refresh_token", message);
        reader.hint("add `refresh_token_obtained: 2026-11-01`, the day on which it was obtained");
        return None;
    };
    let date = text.parse::<jiff::civil::Date>().map_err(|_| format!("`{text}` is not a date"));
    let Some(date) = reader.check(codes::OUT_OF_RANGE, PATH, date) else {
        reader.hint("write a date such as `2026-11-01`");
        return None;
    };
    let begun = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    let life = Duration::from_hours(24 * u64::from(days_given));
    let ends = Timestamp::from_millis(begun).plus(life);
    let now = reader.now();
    if now >= ends {
        let message = format!("the refresh token ended on {}: no call can be made any more", day(ends));
        reader.warning(codes::REFRESH_TOKEN_ENDS, PATH, message);
        reader.hint(AGAIN);
    } else if ends.since(now) < REFRESH_TOKEN_WARNING {
        let message = format!("the refresh token ends on {}, in {}", day(ends), days(ends.since(now)));
        reader.warning(codes::REFRESH_TOKEN_ENDS, PATH, message);
        reader.hint(AGAIN);
    }
    Some(ends)
}

/// `2026-11-22`, in UTC.
fn day(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.split_once('T').map_or_else(|| text.clone(), |(day, _)| day.to_owned())
}

fn days(left: Duration) -> String {
    match left.as_secs() / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
