//! Who is calling: basic authentication, bearer tokens, API keys, certificates, and the 401 that hides why.
//!
//! Owns: turning an `Authorization` header into a caller, lock-out. Never: issues tokens (that is `oauth`) or checks rights
//! to rows. Fails: with one refusal for every reason, as a real instance does.
//! Proved by: `oauth` and `tests`. Source: facts/servicenow 2.2 and 4.2 ("Basic authentication").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::dates;
use super::errors::Refusal;
use super::instance::Instance;
use super::message::Request;
use super::store::{set, value};

/// The session user of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) sys_id: String,
    pub(super) user_name: String,
    /// May close tickets and edit closed ones.
    pub(super) itil_admin: bool,
    /// Minutes east of UTC.
    pub(super) zone_minutes: i64,
    /// How date-times are shown and typed.
    pub(super) format: dates::Format,
    /// When the call arrived, milliseconds since the epoch.
    pub(super) now: i64,
}

impl Caller {
    /// A scheduled job or a business rule of the platform itself.
    pub(super) fn system(now: i64) -> Self {
        Self { user_name: "system".to_owned(), itil_admin: true, now, ..Self::default() }
    }

    /// When the call arrived, as raw text.
    pub(super) fn now_text(&self) -> String {
        dates::text(self.now)
    }
}

/// Name and password of a basic `Authorization` header.
pub(super) fn basic_pair(header: &str) -> Option<(String, String)> {
    let (scheme, pair) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (name, password) = pair.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

impl Instance {
    /// The caller of a request.
    pub(super) fn authenticate(&mut self, request: &Request, now: i64) -> Result<Caller, Refusal> {
        let header = request.header("Authorization").unwrap_or_default();
        let shown = request.certificate.as_deref().and_then(|shown| self.user_of_certificate(shown));
        let user = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.bearer(token.trim(), now),
            Some(_) if !self.switches.basic_auth_refused => self.basic(header),
            Some(_) => None,
            None => match request.header("x-sn-apikey") {
                Some(key) => self.user_of_api_key(key, now),
                None => shown.clone(),
            },
        };
        let user = user.filter(|_| !self.switches.second_factor_asked);
        let user = user.filter(|_| shown.is_some() || !self.switches.certificate_required);
        let caller = user.and_then(|user| self.caller(&user, now));
        caller.ok_or_else(|| Refusal::not_authenticated(self.switches.newer_401_wording))
    }

    fn bearer(&self, token: &str, now: i64) -> Option<String> {
        let ours = self.tokens.user_of(token, now);
        let believed = self.switches.tokens_of_others && !token.is_empty();
        ours.or_else(|| believed.then(|| self.credentials.username.clone()))
    }

    fn basic(&mut self, header: &str) -> Option<String> {
        let (user, password) = basic_pair(header)?;
        self.password_fits(&user, &password).then_some(user)
    }

    /// Checks a password, counting failures towards a lock-out (facts/servicenow 8.28).
    pub(super) fn password_fits(&mut self, user: &str, password: &str) -> bool {
        if user == self.credentials.username && password == self.credentials.password {
            self.failures.remove(user);
            return true;
        }
        let failures = self.failures.entry(user.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        let locks = self.switches.lock_out_after.is_some_and(|limit| *failures >= limit);
        if locks && let Some(mut record) = self.user(user).cloned() {
            set(&mut record, "locked_out", "true");
            self.store.replace("sys_user", record);
        }
        false
    }

    /// The session of an active user who is not locked out.
    pub(super) fn caller(&self, user_name: &str, now: i64) -> Option<Caller> {
        let record = self.user(user_name)?;
        if value(record, "active") != "true" || value(record, "locked_out") == "true" {
            return None;
        }
        let integration = user_name == self.credentials.username;
        // What a user does not say, the system says.
        let or = |column: &str, system: &str| match value(record, column) {
            "" => system.to_owned(),
            own => own.to_owned(),
        };
        let zone = dates::minutes_east(&or("time_zone", &self.switches.system_time_zone), now).unwrap_or(0);
        let date_format = or("date_format", &self.switches.system_date_format);
        let has_role = value(record, "roles").split(',').any(|role| role == "itil_admin" || role == "admin");
        Some(Caller {
            sys_id: value(record, "sys_id").to_owned(),
            user_name: user_name.to_owned(),
            itil_admin: has_role || (integration && self.switches.integration_user_is_itil_admin),
            zone_minutes: zone.saturating_add(if integration { self.switches.zone_minutes } else { 0 }),
            format: dates::Format::of(&date_format, &or("time_format", "HH:mm:ss")),
            now,
        })
    }

    fn user(&self, user_name: &str) -> Option<&super::store::Record> {
        let ids = self.store.indexed("sys_user", "user_name", user_name)?;
        ids.first().and_then(|id| self.store.row("sys_user", id))
    }
}
