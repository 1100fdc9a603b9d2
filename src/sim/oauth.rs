//! The token endpoint, `/oauth_token.do`.
//!
//! Owns: the grants and the tokens. Never: names the real reason of a refusal; practically everything answers the same 401.
//! Fails: with that 401. Proved by: the tests below. Source: facts/servicenow 4.1 ("OAuth API request parameters",
//! `r_OAuthAPIRequestParameters.md`; `t_ManageTokens.md`; KB0791140; client credentials: `create-cc-sys-prop.md`).
//!
//! The grant `authorization_code` is refused like any unknown one. Assertions are judged by `keyring`.

use std::collections::BTreeMap;

use serde_json::json;

use super::access;
use super::instance::Instance;
use super::message::{self, Request, Response};
use super::random::Random;
use crate::limits::SIM_TOKENS_MAX;

/// A token and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    user: String,
    /// Client, user and grant family: asking again with the same key returns the same token.
    key: String,
    /// Milliseconds since the epoch.
    expires: i64,
}

/// All tokens of the instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    access: BTreeMap<String, Token>,
    refresh: BTreeMap<String, Token>,
}

impl Tokens {
    /// The user of a living access token.
    pub(super) fn user_of(&self, access: &str, now: i64) -> Option<String> {
        self.access.get(access).filter(|token| token.expires > now).map(|token| token.user.clone())
    }

    /// Forgets one token of either kind.
    pub(super) fn revoke(&mut self, token: &str) {
        self.access.remove(token);
        self.refresh.remove(token);
    }

    /// Forgets every access token: what a restart or an administrator does to a client.
    pub(super) fn drop_access(&mut self) {
        self.access.clear();
    }
}

/// A token of the map that lives at `now` and belongs to `key`; the youngest if there are several.
fn living(tokens: &BTreeMap<String, Token>, key: &str, now: i64) -> Option<String> {
    let alive = tokens.iter().filter(|(_, token)| token.key == key && token.expires > now);
    alive.max_by_key(|(_, token)| token.expires).map(|(text, _)| text.clone())
}

fn keep(tokens: &mut BTreeMap<String, Token>, random: &mut Random, token: Token, now: i64) -> String {
    tokens.retain(|_, kept| kept.expires > now);
    while tokens.len() >= SIM_TOKENS_MAX && tokens.pop_first().is_some() {}
    let text = random.token();
    tokens.insert(text.clone(), token);
    text
}

/// Answers `/oauth_token.do`.
pub(super) fn token(instance: &mut Instance, request: &Request, now: i64) -> Response {
    grant(instance, request, now).unwrap_or_else(refused)
}

/// Answers `/oauth_revoke_token.do?token=…`, which needs no authentication (`t_RevokeOAuthToken.md`).
pub(super) fn revoke(instance: &mut Instance, request: &Request) -> Response {
    for (name, token) in message::pairs(&request.query) {
        if name == "token" {
            instance.tokens.revoke(&token);
        }
    }
    Response::empty(200)
}

fn refused() -> Response {
    Response::json(401, &json!({"error_description": "access_denied", "error": "server_error"}))
}

fn grant(instance: &mut Instance, request: &Request, now: i64) -> Option<Response> {
    let form = Form::read(request)?;
    if form.field("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return asserted(instance, &form, now);
    }
    // The client may sign in with the form or with basic authentication: ServiceNow's own `ServiceNowPasswordGrantFlow`
    // (PySNC, over requests-oauthlib) does the latter, although the reference only names the form.
    let in_header = access::basic_pair(request.header("Authorization").unwrap_or_default());
    let in_form = (form.field("client_id").to_owned(), form.field("client_secret").to_owned());
    let ours = (instance.credentials.client_id.clone(), instance.credentials.client_secret.clone());
    if in_form != ours && in_header != Some(ours) {
        return None;
    }
    match form.field("grant_type") {
        "password" if !instance.switches.password_grant_disabled => {
            let (user, password) = (form.field("username").to_owned(), form.field("password").to_owned());
            if !instance.password_fits(&user, &password) || instance.caller(&user, now).is_none() {
                return None;
            }
            let access = current_access(instance, &user, "password", now);
            let refresh = current_refresh(instance, &user, now);
            success(instance, &access, Some(&refresh), now)
        }
        "refresh_token" => {
            let refresh = form.field("refresh_token");
            let token = instance.tokens.refresh.get(refresh).filter(|token| token.expires > now)?.clone();
            let access = new_access(instance, &token.user, "password", now);
            success(instance, &access, Some(refresh), now)
        }
        "client_credentials" if instance.switches.client_credentials_enabled => {
            let user = instance.credentials.username.clone();
            instance.caller(&user, now)?;
            let access = current_access(instance, &user, "client_credentials", now);
            success(instance, &access, None, now)
        }
        _ => None,
    }
}

/// The token of the user for whom an assertion speaks. Client id and secret need not stand beside it, but may not be wrong.
fn asserted(instance: &mut Instance, form: &Form, now: i64) -> Option<Response> {
    let ours = &instance.credentials;
    let fits = |field: &str, expected: &str| ["", expected].contains(&form.field(field));
    if !fits("client_id", &ours.client_id) || !fits("client_secret", &ours.client_secret) {
        return None;
    }
    let user = instance.user_of_assertion(form.field("assertion"), now)?;
    instance.caller(&user, now)?;
    let access = current_access(instance, &user, "jwt_bearer", now);
    success(instance, &access, None, now)
}

/// The living token if there is one: the endpoint "always returns the current access token".
fn current_access(instance: &mut Instance, user: &str, family: &str, now: i64) -> String {
    let Some(access) = living(&instance.tokens.access, &key(instance, user, family), now) else {
        return new_access(instance, user, family, now);
    };
    if instance.switches.token_reuse_extends {
        let expires = now.saturating_add(access_millis(instance));
        if let Some(token) = instance.tokens.access.get_mut(&access) {
            token.expires = expires;
        }
    }
    access
}

fn new_access(instance: &mut Instance, user: &str, family: &str, now: i64) -> String {
    let expires = now.saturating_add(access_millis(instance));
    let token = Token { user: user.to_owned(), key: key(instance, user, family), expires };
    keep(&mut instance.tokens.access, &mut instance.noise, token, now)
}

/// The living refresh token if there is one; its end never moves (facts/servicenow 8.25: day 100).
fn current_refresh(instance: &mut Instance, user: &str, now: i64) -> String {
    let key = key(instance, user, "password");
    if let Some(refresh) = living(&instance.tokens.refresh, &key, now) {
        return refresh;
    }
    let expires = now.saturating_add(instance.switches.refresh_token_secs.saturating_mul(1_000));
    let token = Token { user: user.to_owned(), key, expires };
    keep(&mut instance.tokens.refresh, &mut instance.noise, token, now)
}

fn key(instance: &Instance, user: &str, family: &str) -> String {
    format!("{}\n{user}\n{family}", instance.credentials.client_id)
}

fn access_millis(instance: &Instance) -> i64 {
    i64::from(instance.switches.access_token_secs).saturating_mul(1_000)
}

fn success(instance: &Instance, access: &str, refresh: Option<&str>, now: i64) -> Option<Response> {
    let expires = instance.tokens.access.get(access)?.expires;
    // Whole seconds left, rounded down from just below: a fresh token of 1800 s says 1799.
    let expires_in = expires.saturating_sub(now).saturating_sub(1).div_euclid(1_000);
    let mut body = json!({"access_token": access});
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    body["scope"] = json!("useraccount");
    body["token_type"] = json!("Bearer");
    body["expires_in"] = json!(expires_in);
    Some(Response::json(200, &body))
}

/// A token request. JSON and query parameters are refused (`sc-restrict-oauth-parameters-to-post-body.md`).
struct Form(Vec<(String, String)>);

impl Form {
    fn read(request: &Request) -> Option<Self> {
        let is_form = request
            .header("Content-Type")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        let fits = request.verb() == "POST" && is_form && request.query.is_empty();
        fits.then(|| Self(message::pairs(&String::from_utf8_lossy(&request.body))))
    }

    fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::instance::Options;
    use super::super::switches::Switches;
    use super::*;

    /// 2026-11-22 06:00:00 UTC.
    const NOW: i64 = 1_795_327_200_000;
    const TABLE: &str = "/api/now/table/incident";

    fn instance_with(switches: Switches) -> Instance {
        Instance::new(Options { switches, ..Options::default() })
    }

    fn ask(instance: &mut Instance, form: &str, now: i64) -> (u16, Value) {
        let request = Request { body: form.as_bytes().to_vec(), ..Request::new("POST", "/oauth_token.do") };
        let response = instance.handle(&request.with_header("Content-Type", "application/x-www-form-urlencoded"), now);
        (response.status, response.value().unwrap_or_default())
    }

    const CLIENT: &str = "client_id=snowgate-client&client_secret=snowgate-secret";

    #[test]
    fn tokens_are_reused_and_run_down() {
        let mut instance = instance_with(Switches::default());
        let form = format!("grant_type=password&username=snowgate&password=snowgate&{CLIENT}");
        let (status, first) = ask(&mut instance, &form, NOW);
        assert_eq!((status, &first["expires_in"], &first["scope"]), (200, &json!(1_799), &json!("useraccount")));
        let (_, again) = ask(&mut instance, &form, NOW + 600_000);
        assert_eq!((&again["access_token"], &again["expires_in"]), (&first["access_token"], &json!(1_199)));

        let refresh = format!(
            "grant_type=refresh_token&refresh_token={}&{CLIENT}",
            first["refresh_token"].as_str().expect("text")
        );
        let (_, refreshed) = ask(&mut instance, &refresh, NOW + 1_000_000);
        assert_ne!(refreshed["access_token"], first["access_token"]);
        assert_eq!(refreshed["refresh_token"], first["refresh_token"]);
        let hundred_days = 8_640_000_000;
        assert_eq!(ask(&mut instance, &refresh, NOW + hundred_days).0, 401, "the refresh token's end never moves");

        let bearer = format!("Bearer {}", refreshed["access_token"].as_str().expect("text"));
        let call = Request::new("GET", TABLE).with_header("Authorization", &bearer);
        assert_eq!(instance.handle(&call, NOW + 1_000_000).status, 200);
        assert_eq!(instance.handle(&call, NOW + 1_000_000 + 1_800_000).status, 401, "expired");
        instance.drop_tokens();
        assert_eq!(instance.handle(&call, NOW + 1_000_000).status, 401, "dropped");
    }

    #[test]
    fn every_token_refusal_looks_the_same() {
        let mut instance = instance_with(Switches { password_grant_disabled: true, ..Switches::default() });
        let (status, credentials) = ask(&mut instance, &format!("grant_type=client_credentials&{CLIENT}"), NOW);
        assert_eq!((status, credentials.get("refresh_token")), (200, None));
        let refused = json!({"error_description": "access_denied", "error": "server_error"});
        for form in [
            "grant_type=client_credentials&client_id=snowgate-client&client_secret=wrong".to_owned(),
            format!("grant_type=password&username=snowgate&password=snowgate&{CLIENT}"),
            format!("grant_type=refresh_token&refresh_token=dead&{CLIENT}"),
            format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x&{CLIENT}"),
            String::new(),
        ] {
            assert_eq!(ask(&mut instance, &form, NOW), (401, refused.clone()), "{form}");
        }
        let as_json = Request::new("POST", "/oauth_token.do").with_json(&json!({"grant_type": "client_credentials"}));
        let in_query = Request::new("POST", &format!("/oauth_token.do?grant_type=client_credentials&{CLIENT}"));
        for request in [as_json, in_query.with_header("Content-Type", "application/x-www-form-urlencoded")] {
            assert_eq!(instance.handle(&request, NOW).value(), Some(refused.clone()));
        }
    }

    #[test]
    fn switches_decide_what_asking_again_gives() {
        let form = format!("grant_type=client_credentials&{CLIENT}");
        let disabled = Switches { client_credentials_enabled: false, ..Switches::default() };
        assert_eq!(ask(&mut instance_with(disabled), &form, NOW).0, 401);
        let mut instance =
            instance_with(Switches { token_reuse_extends: true, access_token_secs: 60, ..Switches::default() });
        let (_, first) = ask(&mut instance, &form, NOW);
        let (_, again) = ask(&mut instance, &form, NOW + 30_000);
        assert_eq!((&again["access_token"], &again["expires_in"]), (&first["access_token"], &json!(59)));
        let (_, later) = ask(&mut instance, &form, NOW + 90_000);
        assert_ne!(later["access_token"], first["access_token"], "a dead token is not given out again");
    }

    #[test]
    fn a_revoked_token_is_dead_and_a_client_may_sign_in_with_basic() {
        let mut instance = instance_with(Switches::default());
        let form = "grant_type=password&username=snowgate&password=snowgate";
        let request = Request { body: form.as_bytes().to_vec(), ..Request::new("POST", "/oauth_token.do") };
        let request = request.with_header("Content-Type", "application/x-www-form-urlencoded");
        assert_eq!(instance.handle(&request, NOW).status, 401);
        // `snowgate-client:snowgate-secret`
        let basic = "Basic c25vd2dhdGUtY2xpZW50OnNub3dnYXRlLXNlY3JldA==";
        let answer = instance.handle(&request.with_header("Authorization", basic), NOW).value().expect("json");
        let access = answer["access_token"].as_str().expect("a token");
        let call = Request::new("GET", TABLE).with_header("Authorization", &format!("Bearer {access}"));
        assert_eq!(instance.handle(&call, NOW).status, 200);
        let revoke = Request::new("GET", &format!("/oauth_revoke_token.do?token={access}"));
        assert_eq!(instance.handle(&revoke, NOW).status, 200);
        assert_eq!(instance.handle(&call, NOW).status, 401);
    }
}
