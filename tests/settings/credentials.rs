//! How we authenticate at an instance: what is taken, what is refused, and what is said of ends that come near. Keys and
//! certificates are made by the test, with dates around its day, 2026-11-22.

use std::fs;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, date_time_ymd};
use snowgate::domain::time::Timestamp;
use snowgate::settings::{Auth, Loaded};
use tempfile::TempDir;

use super::{CANARY, MINIMAL, directory, loaded, report};

/// A tenant with this `auth`, and the files `key.pem` (RSA), `certificate.pem` (of another key, `own.pem`) and whatever
/// else is given.
fn home(auth: &str, files: &[(&str, &str)]) -> TempDir {
    let tenant = format!(
        "tenant: a\nservicenow:\n  instance: https://a.service-now.com\n  auth:\n    {}\nmapping: m.yaml\nsenders: [{{name: s, \
         webhook_secret: {{env: WEBHOOK_SECRET}}}}]\n",
        auth.replace('\n', "\n    ")
    );
    let home = directory(&[("snowgate.yaml", MINIMAL), ("tenants/a.yaml", &tenant)]);
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
    }
    home
}

/// What is said about it: place, code and message of each finding, then the hint.
fn check(auth: &str, files: &[(&str, &str)], expected: &[&str]) -> Loaded {
    let home = home(auth, files);
    let loaded = loaded(home.path());
    let said: Vec<String> = loaded
        .findings
        .iter()
        .map(|finding| format!("{} {} {}", finding.line, finding.code, finding.message))
        .collect();
    assert_eq!(said, expected, "{auth}");
    let all = report(&loaded.findings);
    assert!(!all.contains(CANARY) && !all.contains("BEGIN RSA"), "{all}");
    assert!(loaded.findings.iter().all(|finding| finding.hint.is_some()), "each has a remedy: {all}");
    loaded
}

fn rsa() -> String {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem()
}

/// A certificate that is good from one day until another, and its key.
fn certificate((year, month, day): (i32, u8, u8), until: (i32, u8, u8)) -> (String, String) {
    let mut params = CertificateParams::new(vec!["snowgate".to_owned()]).unwrap();
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(until.0, until.1, until.2);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

const JWT: &str = "kind: jwt_bearer\nclient_id: us\nprivate_key: {file: key.pem}\nkey_id: k1\nsubject: snowgate";

#[test]
fn an_assertion_is_for_the_client_itself_unless_the_file_says_otherwise() {
    let key = rsa();
    let loaded = check(JWT, &[("key.pem", &key)], &[]);
    let Auth::JwtBearer { assertion } = &loaded.tenants[0].servicenow.auth else { panic!("an assertion") };
    let said = (&*assertion.issuer, &*assertion.audience, &*assertion.subject, assertion.key_id.as_deref());
    assert_eq!(said, ("us", "us", "snowgate", Some("k1")));
    assert_eq!(assertion.token_url.to_string(), "https://a.service-now.com/oauth_token.do");
    assert!(assertion.client_secret.is_none() && loaded.tenants[0].servicenow.auth_next.is_none());

    let more = "client_secret: {env: CLIENT_SECRET}\nissuer: https://us.example\naudience: them\nprivate_key_next: {file: next.pem}\nkey_id_next: k2";
    let loaded = check(&format!("{JWT}\n{more}"), &[("key.pem", &key), ("next.pem", &rsa())], &[]);
    let Some(Auth::JwtBearer { assertion }) = &loaded.tenants[0].servicenow.auth_next else { panic!("an assertion") };
    let said = (&*assertion.issuer, &*assertion.audience, &*assertion.subject, assertion.key_id.as_deref());
    assert_eq!(said, ("https://us.example", "them", "snowgate", Some("k2")));
}

#[test]
fn a_key_that_cannot_sign_is_found_at_its_place() {
    let wide = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    let cut = wide.split("-----END").next().unwrap().to_owned();
    let unsupported = "7 S060 the private key is neither RSA of at least 2048 bits nor an elliptic curve key P-256";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (key, expected) in [
        (wide.as_str(), unsupported),
        (&cut, "7 S060 the PEM is cut or garbled"),
        (encrypted, "7 S060 the private key is encrypted with a passphrase, which nobody is there to type"),
        (CANARY, "7 S060 there is no private key in it: it must be PEM that begins with `-----BEGIN PRIVATE KEY-----`"),
    ] {
        check(JWT, &[("key.pem", key)], &[expected]);
    }
}

#[test]
fn every_kind_may_have_a_coming_credential_and_one_at_a_time() {
    const CURRENT: &str = "{env: CLIENT_SECRET}";
    const NEXT: &str = "{env: NEXT_SECRET}";
    let weak = "5 S038 the account's own password is used; whoever holds it can do all that the account can";
    let client = format!("client_id: us\nclient_secret: {CURRENT}");
    for (auth, expected) in [
        (format!("kind: client_credentials\n{client}\nclient_secret_next: {NEXT}"), &[][..]),
        (format!("kind: password\n{client}\nusername: u\npassword: {CURRENT}\npassword_next: {NEXT}"), &[weak]),
        (format!("kind: basic\nusername: u\npassword: {CURRENT}\npassword_next: {NEXT}"), &[weak]),
        (format!("kind: api_key\nkey: {CURRENT}\nkey_next: {NEXT}\nheader: X-Our-Key"), &[]),
    ] {
        let loaded = check(&auth, &[], expected);
        assert!(loaded.tenants[0].servicenow.auth_next.is_some(), "{auth}");
    }
    check(
        &format!("kind: api_key\nkey: {CURRENT}\nkey_next: {CURRENT}"),
        &[],
        &["7 S065 `key_next` is the very same as `key`"],
    );
    let both = format!(
        "kind: password\n{client}\nclient_secret_next: {NEXT}\nusername: u\npassword: {CURRENT}\npassword_next: {NEXT}"
    );
    check(&both, &[], &[weak, "11 S065 `client_secret_next` and `password_next` cannot both be rotated at a time"]);
    check(
        &format!("kind: api_key\nkey: {CURRENT}\nheader: Content-Type"),
        &[],
        &["7 S026 `content-type` cannot name the header that carries the key"],
    );
}

#[test]
fn a_client_certificate_is_a_pair_shown_over_https() {
    const AUTH: &str =
        "kind: api_key\nkey: {env: CLIENT_SECRET}\nmutual_tls: {certificate: {file: own.crt}, key: {file: own.key}}";
    let (good, key) = certificate((2026, 1, 1), (2036, 1, 1));
    let loaded = check(AUTH, &[("own.crt", &good), ("own.key", &key)], &[]);
    assert!(loaded.tenants[0].servicenow.certificate.is_some());
    let mismatch =
        "7 S061 the key does not belong to the certificate, or the certificate is not the first one of its chain";
    check(AUTH, &[("own.crt", &good), ("own.key", &rsa())], &[mismatch]);
    let none = "7 S061 there is no certificate in it: it must be PEM that begins with `-----BEGIN CERTIFICATE-----`";
    check(AUTH, &[("own.crt", &key), ("own.key", &key)], &[none]);
    for (from, until, expected) in [
        ((2026, 1, 1), (2026, 12, 23), &[][..]),
        ((2026, 1, 1), (2026, 12, 20), &["7 S062 the client certificate ends on 2026-12-20, in 27 days"]),
        (
            (2026, 1, 1),
            (2026, 11, 20),
            &["7 S062 the client certificate ended on 2026-11-20: the instance refuses every call"],
        ),
        ((2027, 1, 1), (2036, 1, 1), &["7 S062 the client certificate is good only from 2027-01-01"]),
    ] {
        let (certificate, key) = certificate(from, until);
        let loaded = check(AUTH, &[("own.crt", &certificate), ("own.key", &key)], expected);
        assert_eq!(loaded.tenants.len(), 1, "a date does not keep the gateway from starting");
    }
}

#[test]
fn the_end_of_a_refresh_token_is_told_two_weeks_before() {
    const AUTH: &str =
        "kind: refresh_token\nclient_id: us\nclient_secret: {env: CLIENT_SECRET}\nrefresh_token: {env: NEXT_SECRET}";
    let loaded = check(
        AUTH,
        &[],
        &["8 S064 the refresh token ends without a warning: its life is never extended, and nobody said when it began"],
    );
    assert_eq!(loaded.tenants[0].servicenow.auth.refresh_token_ends(), None);
    for (more, ends, expected) in [
        ("refresh_token_obtained: 2026-11-01", "2027-02-09", &[][..]),
        (
            "refresh_token_obtained: 2026-08-27",
            "2026-12-05",
            &["9 S063 the refresh token ends on 2026-12-05, in 12 days"],
        ),
        ("refresh_token_obtained: 2026-08-30", "2026-12-08", &[]),
        (
            "refresh_token_obtained: 2026-08-01",
            "2026-11-09",
            &["9 S063 the refresh token ended on 2026-11-09: no call can be made any more"],
        ),
        ("refresh_token_obtained: 2026-08-01\nrefresh_token_days: 365", "2027-08-01", &[]),
    ] {
        let loaded = check(&format!("{AUTH}\n{more}"), &[], expected);
        let told = loaded.tenants[0].servicenow.auth.refresh_token_ends().map(|ends: Timestamp| ends.to_string());
        assert_eq!(told, Some(format!("{ends}T00:00:00.000Z")), "{more}");
    }
    check(&format!("{AUTH}\nrefresh_token_obtained: yesterday"), &[], &["9 S006 `yesterday` is not a date"]);
}

/// A token is shared, and a refusal held against a client, only where the credentials are the very same.
#[test]
fn the_digest_differs_with_any_part_of_the_credentials_and_with_nothing_else() {
    let digest = |auth: &str, files: &[(&str, &str)]| {
        let loaded = loaded(home(auth, files).path());
        loaded.tenants.first().unwrap_or_else(|| panic!("{auth}: {}", report(&loaded.findings))).servicenow.auth_digest
    };
    let ((shown, own), (other, others)) =
        (certificate((2026, 1, 1), (2060, 1, 1)), certificate((2026, 1, 1), (2060, 1, 1)));
    let tls = "mutual_tls: {certificate: {file: own.crt}, key: {file: own.key}}";
    let kept = format!("kind: api_key\nkey: {{file: a}}\nkey_next: {{file: b}}\n{tls}");
    let files = |a, b, crt, key| [("a", a), ("b", b), ("own.crt", crt), ("own.key", key)];
    let first = digest(&kept, &files("one", "two", &shown, &own));
    assert_eq!(first, digest(&kept, &files("one", "two", &shown, &own)));
    for (what, auth, files) in [
        ("the current one", kept.clone(), files("ONE", "two", &shown, &own)),
        ("the next one", kept.clone(), files("one", "TWO", &shown, &own)),
        ("where one ends", kept.clone(), files("onet", "wo", &shown, &own)),
        ("the certificate", kept.clone(), files("one", "two", &other, &others)),
        ("the header", format!("{kept}\nheader: x-other"), files("one", "two", &shown, &own)),
        ("no certificate", kept.replace(tls, ""), files("one", "two", &shown, &own)),
        ("no next one", kept.replace("key_next: {file: b}", ""), files("one", "two", &shown, &own)),
    ] {
        assert_ne!(digest(&auth, &files), first, "{what}");
    }
    let [key, next, third] = [rsa(), rsa(), rsa()];
    let signed = format!("{JWT}\nprivate_key_next: {{file: next.pem}}\nkey_id_next: k2");
    let of = |key: &str, next: &str| digest(&signed, &[("key.pem", key), ("next.pem", next)]);
    assert_eq!(of(&key, &next), of(&key, &next));
    assert_ne!(of(&key, &next), of(&third, &next), "the key that signs");
    assert_ne!(of(&key, &next), of(&key, &third), "the next key");
}
