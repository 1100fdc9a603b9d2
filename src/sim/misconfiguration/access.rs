//! Mistakes in the account, the way to the instance, its clock and its limits.
//!
//! Owns: see the table below. Fails: if a number or a zone is none. Proved by: `tests/misconfigured`.

use super::super::dates;
use super::super::rate::Rates;
use super::super::switches::Front;
use super::Apply::{Account, Change, Switch};
use super::{Known, account, known, number};

pub(super) const KNOWN: &[Known] = &[
    known(
        "client_secret_changed",
        "",
        "the OAuth client has another secret",
        Change(|instance, _| {
            instance.credentials.client_secret.push_str("-rotated");
            instance.drop_tokens();
            Ok(())
        }),
    ),
    known(
        "password_changed",
        "",
        "the account has another password",
        Change(|instance, _| {
            instance.credentials.password.push_str("-changed");
            instance.drop_tokens();
            Ok(())
        }),
    ),
    known(
        "client_credentials_off",
        "",
        "the grant client_credentials is switched off",
        Switch(|switches, _| switches.client_credentials_enabled = false),
    ),
    known("user_locked", "", "the account is locked out", Account(&[("locked_out", "true")])),
    known("user_inactive", "", "the account is switched off", Account(&[("active", "false")])),
    known(
        "second_factor",
        "",
        "multi-factor authentication is asked of the account",
        Switch(|switches, _| switches.second_factor_asked = true),
    ),
    known(
        "basic_auth_refused",
        "",
        "user name and password are refused over REST",
        Switch(|switches, _| switches.basic_auth_refused = true),
    ),
    known(
        "rest_role_missing",
        "",
        "the account lacks snc_platform_rest_api_access",
        Change(|instance, _| {
            instance.switches.rest_api_refused = true;
            account(instance, &[("roles", "sn_incident_write")])
        }),
    ),
    known("user_is_admin", "", "the account has the role admin", Account(&[("roles", "admin,itil")])),
    known(
        "user_may_log_in",
        "",
        "the account may also be used by a person",
        Account(&[("web_service_access_only", "false")]),
    ),
    known(
        "time_zone",
        "Europe/Berlin",
        "the account has this time zone",
        Change(|instance, value| {
            dates::minutes_east(value, 0).ok_or_else(|| format!("there is no time zone `{value}`"))?;
            account(instance, &[("time_zone", value)])
        }),
    ),
    known(
        "time_zone_of_system",
        "US/Pacific",
        "the account has no time zone of its own, and the system has this one",
        Change(|instance, value| {
            dates::minutes_east(value, 0).ok_or_else(|| format!("there is no time zone `{value}`"))?;
            value.clone_into(&mut instance.switches.system_time_zone);
            account(instance, &[("time_zone", "")])
        }),
    ),
    known(
        "date_format",
        "dd.MM.yyyy",
        "the account has this date format",
        Change(|instance, value| account(instance, &[("date_format", value)])),
    ),
    known(
        "clock_ahead",
        "600",
        "the instance's clock is ahead by so many seconds",
        Change(|instance, value| {
            instance.switches.clock_ahead_secs = number(value)?;
            Ok(())
        }),
    ),
    known(
        "rate_limit",
        "10",
        "a rate-limit rule admits so many calls an hour",
        Change(|instance, value| {
            instance.rates = Rates::limited_to(Some(number(value)?));
            Ok(())
        }),
    ),
    known(
        "hibernating",
        "",
        "the instance sleeps: a page with status 200, on every path",
        Switch(|switches, _| switches.front = Front::Hibernating),
    ),
    known(
        "other_product",
        "",
        "another program answers at the address",
        Switch(|switches, _| switches.front = Front::OtherProduct),
    ),
    known(
        "redirect",
        "https://elsewhere.example/",
        "the address leads elsewhere",
        Switch(|switches, value| switches.front = Front::Redirect(value.to_owned())),
    ),
];
