//! Tokens made with OpenSSL's code and with keys of these tests, held to keys and rules; and everything that is refused.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::domain::time::Timestamp;
use crate::security::signature::macs_of;
use crate::security::target::{EgressPolicy, Extent};

/// 2026-11-22T06:00:00Z, an hour before the tokens end.
const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);
const ENDS: i64 = 1_795_330_800;
const ISSUER: &str = "https://login.example";

/// Made with Node's `crypto.sign`: `iss` as above, `aud` "snowgate", `azp` "soc", `exp` as above, `kid` "rsa-1".
const BY_RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOiJzbm93Z2F0ZSIsImV4cCI6MTc5NTMzMDgwMCwiYXpwIjoic29jIn0.iwDgPuOsv8ohEDC9xWNRCvmBg4HYa_ie-zUAPrNJOmwiixB9qUAClzbX4NU17aPzEg4WP6ED0ca3I-raBimau_R1MxXHPT0LigegFegpfcqhJQGdE7LNRvslzZZGQoPtbMatEpIm7q2fbN3Q6OOtJd9GR8x3X9v048HQAYY3lkiIhhi_Y1-haQGef8zO85TI0SzzzeLVsurKWunDPlm0XXdim-Y4zVNwla0tHTeJjYSPSEHN-1asPz2coaaTdj4AZUSfpBXrSR0pfrr4dduP3S8PEvkK_f_Pkoxwv8BezlFvBVu7K1KgMooxlWJtYUBrb9Oc_lm8-oXwdnfKl_KY6g";
/// The same with PSS padding.
const BY_PS256: &str = "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOiJzbm93Z2F0ZSIsImV4cCI6MTc5NTMzMDgwMCwiYXpwIjoic29jIn0.SbgHgLX02uiTqO4BqbsP1UB2F-8lrnsTHX1i0QB4mbzCIuDP2FiQWto0wRpjUp_0VwGJrlQXzibUgDLOD-RrlQvfSwH9MCcdfPVeXgts823Gt5yDB1dAwMA6RP5uTUC4iYXPiOyGKdCQ1n4W7-kq67_h0LyDmTNr--0Xlbnd069qYPdA5K6OyTsoxKNUh0F0tTR38M-bYdsRoVyJpEiUz6Hixt4CVnZ6iFlGfO1NoK30T5_FTVUnTwesNQG6LqQEH6ylLzQhTK6cgRLiRW6ELXgt0Hu6GMkzX4F57sN9Jr6lroJitclI0KhQIMz5vrwfbmU6j9gcnzhl5zin23-_CQ";
const MODULUS: &str = "3oidXerbJIX5w7v8ATpaWOzja225Qz8Gj8ObgS7bqYQ8bWQpg5Jwc3IJLCGhjwB6-Tyns8lpjzhKyQPZIvLqLj0-53ZA00pfZAHyM7hU5yxemWEoIh-FJAJ8uXmhaOpq3OhBAiCUXdfhHYmx7XLFulCIuN82VUj66Yu-5YNmdmiptPdOcciBMRth75zJDpGJL0H07NyqiQIfsJawQ3d11ImPEvV7eXJWpluO1tjs9mvmzXXbnDCqY9fw4osV336n2ztGXydcMhrGdzEfkv_jJQrIpNAtQdei-L9gm_pXoEFhVc8uuTm9AKnDgkdrYdMUkHymcMCSNftPO-MqgcNrHQ";

/// Keys of these tests and of nobody else, PKCS #8, with their public halves.
const P256: (&str, &str, &str) = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQvuGyAEXF65/XsPcTAvZxOLL0VYm41dkFXeC5XChDiuhRANCAASWj8HkuXpt8fFaUhFkSDHLS/xxF/DFYeWZeknwkKBJJfVr5vQYWS7MGj3N5zX0f9kd+MaE0mjRYuW12puBwLi4",
    "lo_B5Ll6bfHxWlIRZEgxy0v8cRfwxWHlmXpJ8JCgSSU",
    "9Wvm9BhZLswaPc3nNfR_2R34xoTSaNFi5bXam4HAuLg",
);
const STRANGER: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsGbgXAFliIHx4gIlKJCYxx7CSNnf4/j2CrL7kUHfhTOhRANCAARAkEcWvow5YRZlxCm+RnOJcHVP+zo1JxtoxiwszOch7/r2S49lq9/zFPoSFGPGChMMhgx04OaodVYECHfR+NlY";
const P384: (&str, &str, &str) = (
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBM/G1xoq9icXepl3NZl9fGRw56fBIjjDm7qGGSAiiOKaNuP/7r+WW2cu13iqJtoZShZANiAASvD66tDhqg4IJRsHZEvCvPZ0LWRb/5WL6RiKYUZB05TtqzKiafKkR1Br5QzvINLunKF55+KC+gZkn33BTvywS0p5/5RQi815/B2o2ArdLMJizpOcYqW83IqCE34GxNUAM=",
    "rw-urQ4aoOCCUbB2RLwrz2dC1kW_-Vi-kYimFGQdOU7asyomnypEdQa-UM7yDS7p",
    "yheefigvoGZJ99wU78sEtKef-UUIvNefwdqNgK3SzCYs6TnGKlvNyKghN-BsTVAD",
);

fn keys() -> Value {
    json!({"keys": [
        {"kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256", "n": MODULUS, "e": "AQAB"},
        {"kty": "RSA", "kid": "rsa-any", "n": MODULUS, "e": "AQAB"},
        {"kty": "EC", "kid": "ec-1", "use": "sig", "crv": "P-256", "x": P256.1, "y": P256.2},
        {"kty": "EC", "kid": "ec-2", "crv": "P-384", "x": P384.1, "y": P384.2},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        {"kty": "RSA", "kid": "for-encryption", "use": "enc", "n": MODULUS, "e": "AQAB"},
        {"kty": "something new", "kid": "new"},
        {"kty": "RSA", "n": MODULUS, "e": "AQAB"},
    ]})
}

fn key_set() -> KeySet {
    KeySet::parse(keys().to_string().as_bytes()).unwrap()
}

fn issuer(name: &str) -> Issuer {
    let policy = EgressPolicy { allow_hosts: vec!["login.example".parse().unwrap()], allow_private: Vec::new() };
    let keys = policy.check("https://login.example/keys", Extent::Path).unwrap();
    Issuer { name: name.into(), keys: KeySource::At(keys) }
}

fn rules() -> TokenRules {
    TokenRules {
        issuers: vec![issuer(ISSUER)],
        audiences: vec!["snowgate".to_owned()],
        clients: vec!["soc".to_owned()],
        roles: Vec::new(),
        scopes: Vec::new(),
        subject: None,
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn ec_key(pkcs8: &str) -> EncodingKey {
    EncodingKey::from_ec_der(&STANDARD.decode(pkcs8).unwrap())
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "snowgate", "exp": ENDS, "azp": "soc"})
}

/// A right token but for these claims; `null` takes one away.
fn token(changes: &Value) -> String {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims.as_object_mut().unwrap().insert(name.clone(), value.clone());
        }
    }
    signed(&json!({"alg": "ES256", "kid": "ec-1"}), &claims, &ec_key(P256.0), Algorithm::ES256)
}

fn check_against(text: &str, rules: &TokenRules, now: Timestamp) -> Result<(), TokenRefusal> {
    let keys = key_set();
    let token = Token::read(text)?;
    let proven = token.proven_by([(issuer(ISSUER), &keys)].into_iter())?;
    rules.check(&proven, now)
}

fn check(text: &str) -> Result<(), TokenRefusal> {
    check_against(text, &rules(), NOW)
}

#[test]
fn tokens_of_another_implementation_are_taken() {
    assert_eq!(check(BY_RS256), Ok(()));
    assert_eq!(check(BY_PS256), Err(TokenRefusal::UnknownKey), "its key says that it signs as RS256 alone");
    let any = json!({"keys": [{"kty": "RSA", "kid": "rsa-1", "n": MODULUS, "e": "AQAB"}]}).to_string();
    let (any, token) = (KeySet::parse(any.as_bytes()).unwrap(), Token::read(BY_PS256).unwrap());
    let proven = token.proven_by([(issuer(ISSUER), &any)].into_iter()).unwrap();
    assert_eq!(rules().check(&proven, NOW), Ok(()));
    assert_eq!(check(&self::token(&json!({}))), Ok(()));
    let curve = signed(&json!({"alg": "ES384", "kid": "ec-2"}), &claims(), &ec_key(P384.0), Algorithm::ES384);
    assert_eq!(check(&curve), Ok(()));
}

#[test]
fn a_token_is_held_to_every_rule_of_its_sender() {
    for (changes, expected) in [
        (json!({"aud": ["other", "snowgate"]}), Ok(())),
        (json!({"aud": "other"}), Err(TokenRefusal::Audience)),
        (json!({"aud": null}), Err(TokenRefusal::Malformed)),
        (json!({"aud": {}}), Err(TokenRefusal::Audience)),
        (json!({"iss": "https://login.example/"}), Err(TokenRefusal::Stranger)),
        (json!({"iss": null}), Err(TokenRefusal::Malformed)),
        (json!({"exp": null}), Err(TokenRefusal::Malformed)),
        (json!({"exp": "1795330800"}), Err(TokenRefusal::Malformed)),
        (json!({"exp": ENDS + 1, "nbf": ENDS - 3_600}), Ok(())),
        (json!({"azp": "other"}), Err(TokenRefusal::Client)),
        (json!({"azp": null}), Err(TokenRefusal::Client)),
        (json!({"azp": null, "appid": "soc"}), Ok(())),
        (json!({"azp": null, "client_id": "soc"}), Ok(())),
        (json!({"azp": "other", "appid": "soc"}), Err(TokenRefusal::Client)),
    ] {
        assert_eq!(check(&token(&changes)), expected, "{changes}");
    }
}

#[test]
fn one_of_several_roles_and_scopes_is_enough_and_the_subject_is_the_very_one() {
    let rules = TokenRules {
        roles: vec!["Push".to_owned(), "Admin".to_owned()],
        scopes: vec!["incidents.push".to_owned()],
        subject: Some("s-1".to_owned()),
        ..rules()
    };
    let right = json!({"roles": ["Read", "Push"], "scp": "openid incidents.push", "sub": "s-1"});
    for (changes, expected) in [
        (json!({}), Ok(())),
        (json!({"roles": "Admin"}), Ok(())),
        (json!({"roles": ["push"]}), Err(TokenRefusal::Role)),
        (json!({"roles": []}), Err(TokenRefusal::Role)),
        (json!({"roles": null}), Err(TokenRefusal::Role)),
        (json!({"scp": null, "scope": "incidents.push"}), Ok(())),
        (json!({"scp": null, "scope": ["incidents.push"]}), Ok(())),
        (json!({"scp": "incidents"}), Err(TokenRefusal::Scope)),
        (json!({"sub": "s-2"}), Err(TokenRefusal::Subject)),
        (json!({"sub": null}), Err(TokenRefusal::Subject)),
    ] {
        let mut all = right.clone();
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(check_against(&token(&all), &rules, NOW), expected, "{changes}");
    }
}

#[test]
fn clocks_may_differ_by_a_minute_and_not_a_second_more() {
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
    let token = token(&json!({"nbf": ENDS - 3_600}));
    for (now, expected) in [
        (ENDS - 3_660, Ok(())),
        (ENDS - 3_661, Err(TokenRefusal::NotYet)),
        (ENDS, Ok(())),
        (ENDS + 59, Ok(())),
        (ENDS + 60, Err(TokenRefusal::Ended)),
    ] {
        assert_eq!(check_against(&token, &rules(), at(now)), expected, "{now}");
    }
}

#[test]
fn a_token_cannot_choose_how_it_is_checked() {
    let none = format!("{}.{}.", encoded(&json!({"alg": "none", "kid": "ec-1"})), encoded(&claims()));
    let symmetric = |kid: &str, secret: &[u8]| {
        let header = json!({"alg": "HS256", "kid": kid});
        signed(&header, &claims(), &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let stranger = ec_key(STRANGER);
    let by_stranger = |header: &Value| signed(header, &claims(), &stranger, Algorithm::ES256);
    let right = token(&json!({}));
    let (message, signature) = right.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    for (what, text, expected) in [
        ("no signature", none, TokenRefusal::Algorithm),
        ("the public key as a secret", symmetric("rsa-1", MODULUS.as_bytes()), TokenRefusal::Algorithm),
        ("a published secret", symmetric("secret", b"secret-secret-secret-secret"), TokenRefusal::Algorithm),
        ("another key", by_stranger(&json!({"alg": "ES256", "kid": "ec-1"})), TokenRefusal::Signature),
        ("an unknown key", by_stranger(&json!({"alg": "ES256", "kid": "ec-9"})), TokenRefusal::UnknownKey),
        ("a key of another kind", by_stranger(&json!({"alg": "ES256", "kid": "rsa-any"})), TokenRefusal::UnknownKey),
        (
            "a key for encryption",
            by_stranger(&json!({"alg": "RS256", "kid": "for-encryption"})),
            TokenRefusal::UnknownKey,
        ),
        ("no key", by_stranger(&json!({"alg": "ES256"})), TokenRefusal::NoKeyId),
        (
            "a key of its own",
            by_stranger(&json!({"alg": "ES256", "kid": "ec-9", "jku": "https://evil.example", "jwk": {"kty": "EC"}})),
            TokenRefusal::UnknownKey,
        ),
        (
            "critical headers",
            by_stranger(&json!({"alg": "ES256", "kid": "ec-1", "crit": ["b64"]})),
            TokenRefusal::Critical,
        ),
        (
            "a logout token",
            by_stranger(&json!({"alg": "ES256", "kid": "ec-1", "typ": "logout+jwt"})),
            TokenRefusal::Type,
        ),
        ("an empty signature", format!("{message}."), TokenRefusal::Signature),
        ("a cut signature", format!("{message}.{}", signature.get(..40).unwrap()), TokenRefusal::Signature),
        (
            "other claims",
            format!(
                "{head}.{}.{signature}",
                encoded(&json!({"iss": ISSUER, "aud": "snowgate", "exp": ENDS, "azp": "x"}))
            ),
            TokenRefusal::Signature,
        ),
        ("no JSON", format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode("[")), TokenRefusal::Malformed),
        ("no base64", format!("{head}.???.{signature}"), TokenRefusal::Malformed),
        ("nothing", String::new(), TokenRefusal::Malformed),
        ("far too much", format!("{head}.{}.{signature}", "A".repeat(9_000)), TokenRefusal::TooLong),
    ] {
        assert_eq!(check(&text), Err(expected), "{what}");
    }
}

#[test]
fn a_token_costs_one_signature_whatever_is_known() {
    let keys = key_set();
    let unknown = signed(&json!({"alg": "ES256", "kid": "ec-9"}), &claims(), &ec_key(STRANGER), Algorithm::ES256);
    let wrong = signed(&json!({"alg": "ES256", "kid": "ec-1"}), &claims(), &ec_key(STRANGER), Algorithm::ES256);
    for text in
        [token(&json!({})), unknown, wrong, token(&json!({"iss": "https://other.example"})), BY_RS256.to_owned()]
    {
        let token = Token::read(&text).unwrap();
        for known in [vec![], vec![(issuer(ISSUER), &keys)], vec![(issuer("https://third.example"), &keys)]] {
            assert_eq!(macs_of(|| drop(token.proven_by(known.clone().into_iter()))), 1, "{token:?}");
        }
    }
}

/// A decoy that cannot even be read would be refused at once, and the time would tell.
#[test]
fn the_decoys_are_keys_that_can_be_computed_with() {
    assert!(read::decoys_are_usable());
}

#[test]
fn a_key_of_two_issuers_proves_for_each_only_what_it_says_itself() {
    let keys = key_set();
    let text = token(&json!({}));
    let token = Token::read(&text).unwrap();
    let known = [(issuer("https://other.example"), &keys), (issuer(ISSUER), &keys)];
    let proven = token.proven_by(known.into_iter()).unwrap();
    assert_eq!(rules().check(&proven, NOW), Ok(()));
    let elsewhere = TokenRules { issuers: vec![issuer("https://other.example")], ..rules() };
    assert_eq!(elsewhere.check(&proven, NOW), Err(TokenRefusal::Issuer));
}

#[test]
fn sets_of_keys_that_cannot_be_used_are_refused_and_strange_keys_passed_over() {
    assert_eq!(format!("{:?}", key_set()), r#"["rsa-1", "rsa-any", "ec-1", "ec-2"]"#);
    let many = json!({"keys": vec![json!({}); 65]}).to_string();
    for (text, expected) in [
        ("", InvalidKeySet::Form),
        ("<html>", InvalidKeySet::Form),
        (r#"{"keys": {}}"#, InvalidKeySet::Form),
        (r#"{"keys": []}"#, InvalidKeySet::Nothing),
        (r#"{"keys": [1, null, {"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}"#, InvalidKeySet::Nothing),
        (&many, InvalidKeySet::TooMany),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
    }
}
