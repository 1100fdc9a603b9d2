//! Who we are to an instance, for every kind of credentials, over real HTTP and HTTPS: what is let in, what is refused and
//! with which words, and what happens while a credential is being replaced.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData,
    date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use snowgate::delivery::outcome::{Class, Outcome};
use snowgate::domain::secret::Secret;
use snowgate::peer::caller::CallerNews;
use snowgate::peer::oauth::Credentials;
use snowgate::peer::oauth::assertion::Assertion;
use snowgate::peer::oauth::keeper::KeeperNews;
use snowgate::peer::transport::http::HttpOptions;
use snowgate::security::assertion::{AssertionKey, Claims};
use snowgate::security::certificate::ClientCertificate;
use snowgate::servicenow::client::{Client, ClientOptions, Kept};
use snowgate::sim::Request;
use snowgate::sim::instance::Instance;
use snowgate::sim::keyring::Verifier;
use snowgate::sim::server::{Options, Simulator, start};
use snowgate::sim::switches::Switches;

use crate::harness::{any_address, client, client_credentials, fields, http_with, options};

const CLIENT: &str = "snowgate-client";
const SECRET: &str = "snowgate-secret";
/// What a client with other credentials keeps of the one before it.
const OTHERS: Kept = Kept { token: false, lookups: true };

fn with(change: impl FnOnce(&mut Switches)) -> Simulator {
    let mut options = Options::default();
    change(&mut options.switches);
    start(options).expect("a free port")
}

fn administrator(simulator: &Simulator, change: impl FnOnce(&mut Instance)) {
    change(&mut simulator.instance().lock().expect("whole"));
}

async fn create(client: &Client) -> Result<(), Outcome> {
    let permit = client.permit(false).await.expect("an open gate");
    let fields = fields(&[("short_description", "Front display 1 not detected")]);
    client.create(permit, "incident", &fields, &[]).await.map(drop)
}

/// Class, code and detail of a refusal.
fn said(outcome: Result<(), Outcome>) -> (Class, String, String) {
    let Outcome { class, code, detail, .. } = outcome.expect_err("a refusal");
    (class, code, detail)
}

/// How often tokens were asked for, with which status.
fn asked(simulator: &Simulator) -> Vec<u16> {
    let calls = simulator.calls();
    calls.iter().filter(|call| call.target == "/oauth_token.do").filter_map(|call| call.status).collect()
}

// ── assertions ──

fn signing() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn verifier(key: &KeyPair, key_id: &str, algorithm: &str) -> Verifier {
    Verifier { key_id: key_id.to_owned(), algorithm: algorithm.to_owned(), public_key: key.der_bytes().to_vec() }
}

fn assertion(key: &KeyPair, key_id: &str) -> Assertion {
    Assertion {
        client_id: CLIENT.to_owned(),
        client_secret: None,
        key: AssertionKey::from_pem(&key.serialize_pem()).expect("a key that signs"),
        key_id: Some(key_id.to_owned()),
        issuer: CLIENT.to_owned(),
        audience: CLIENT.to_owned(),
        subject: "snowgate".to_owned(),
    }
}

fn signed(assertion: Assertion) -> Credentials {
    Credentials::JwtBearer(Box::new(assertion))
}

#[tokio::test]
async fn an_assertion_is_believed_if_its_key_is_known_and_it_speaks_for_a_user() {
    let (rsa, curve) = (KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"), signing());
    let simulator = with(|_| {});
    let verifiers = vec![verifier(&rsa, "r1", "RS256"), verifier(&curve, "e1", "ES256")];
    administrator(&simulator, |instance| instance.trust_assertions_of(verifiers));
    for (key, key_id) in [(&rsa, "r1"), (&curve, "e1")] {
        let client = client(simulator.url(), signed(assertion(key, key_id)));
        create(&client).await.expect("a ticket");
        // Another token, and so another assertion, which must not be the old one.
        administrator(&simulator, Instance::drop_tokens);
        create(&client).await.expect("a ticket");
    }
    assert_eq!(asked(&simulator), [200; 4]);

    for wrong in [
        assertion(&curve, "r1"),
        assertion(&curve, "unknown"),
        assertion(&signing(), "e1"),
        Assertion { key_id: None, ..assertion(&curve, "e1") },
        Assertion { audience: "https://elsewhere".to_owned(), ..assertion(&curve, "e1") },
        Assertion { issuer: "somebody".to_owned(), ..assertion(&curve, "e1") },
        Assertion { subject: "nobody".to_owned(), ..assertion(&curve, "e1") },
        Assertion { client_secret: Some(Secret::new("wrong")), ..assertion(&curve, "e1") },
    ] {
        let shown = format!("{wrong:?}");
        let (class, code, detail) = said(create(&client(simulator.url(), signed(wrong))).await);
        assert_eq!((class, code.as_str()), (Class::Unauthorized, "token_refused"), "{shown}");
        assert!(detail.starts_with("server_error access_denied; check key id, certificate"), "{detail}");
        assert!(!detail.contains("clock is"), "the clocks agree: {detail}");
    }
    simulator.stop().await;
}

#[tokio::test]
async fn an_assertion_is_good_once() {
    let key = signing();
    let mut instance = Instance::new(snowgate::sim::instance::Options::default());
    instance.trust_assertions_of(vec![verifier(&key, "e1", "ES256")]);
    let signing = AssertionKey::from_pem(&key.serialize_pem()).expect("a key that signs");
    let mut ask = |jti, now: i64| {
        let claims = Claims { iss: CLIENT, sub: "snowgate", aud: CLIENT, iat: 1_000, exp: 1_120, jti };
        let assertion = signing.sign(Some("e1"), &claims).expect("signed");
        let body = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={assertion}");
        let request = Request { body: body.into_bytes(), ..Request::new("POST", "/oauth_token.do") };
        let request = request.with_header("Content-Type", "application/x-www-form-urlencoded");
        instance.handle(&request, now * 1_000).status
    };
    assert_eq!((ask("1", 1_000), ask("1", 1_001), ask("2", 1_001)), (200, 401, 200));
    // Three hundred seconds are forgiven, either way.
    assert_eq!((ask("3", 699), ask("3", 700), ask("4", 1_419), ask("5", 1_420)), (401, 200, 200, 401));
}

#[tokio::test]
async fn the_instances_clock_is_the_one_that_counts() {
    for ahead in [240, -240] {
        let key = signing();
        let simulator = with(|switches| {
            (switches.clock_ahead_secs, switches.assertion_skew_secs) = (ahead, 0);
        });
        administrator(&simulator, |instance| instance.trust_assertions_of(vec![verifier(&key, "e1", "ES256")]));
        let client = client(simulator.url(), signed(assertion(&key, "e1")));
        create(&client).await.expect("a ticket");
        administrator(&simulator, Instance::drop_tokens);
        create(&client).await.expect("a ticket");
        assert_eq!(asked(&simulator), [401, 200, 200], "asked once to learn the time, and then it is known");

        let stranger = crate::harness::client(simulator.url(), signed(assertion(&signing(), "e1")));
        let (_, code, detail) = said(create(&stranger).await);
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        let near = |secs: i64| detail.contains(&format!("its clock is {secs} s {way} ours"));
        assert!(code == "token_refused" && (238..=241).any(near), "{detail}");
        simulator.stop().await;
    }
}

// ── keys and certificates ──

#[tokio::test]
async fn an_api_key_goes_with_every_call_in_its_own_header() {
    let simulator = with(|_| {});
    let key = |key: &str| Credentials::ApiKey { header: "x-sn-apikey".into(), key: Secret::new(key) };
    administrator(&simulator, |instance| {
        instance.add_api_key("good", "snowgate", i64::MAX);
        instance.add_api_key("ended", "snowgate", 0);
    });
    create(&client(simulator.url(), key("good"))).await.expect("a ticket");
    for wrong in ["ended", "unknown"] {
        let (class, code, _) = said(create(&client(simulator.url(), key(wrong))).await);
        assert_eq!((class, code.as_str()), (Class::Unauthorized, "http_401"), "{wrong}");
    }
    assert_eq!(asked(&simulator), [0; 0], "no token is asked for");
    simulator.stop().await;
}

/// An authority, and certificates of it.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A certificate that is good until the end of a year, as we would load it, and its SHA-256.
    fn certificate(&self, until: i32) -> (ClientCertificate, String) {
        let mut params = CertificateParams::new(vec!["snowgate".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 12, 31));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let sha256 =
            Sha256::digest(certificate.der()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        (ClientCertificate::from_pem(&certificate.pem(), &key.serialize_pem()).expect("a pair"), sha256)
    }
}

#[tokio::test]
async fn a_client_certificate_proves_who_calls_and_a_bad_one_is_a_persons_business() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    let switches = Switches { certificate_required: true, ..Switches::default() };
    let (tls_ca_file, client_authority) = (Some(file.clone()), Some(authority.1.clone()));
    let simulator = start(Options { tls_ca_file, client_authority, switches, ..Options::default() }).expect("a port");
    let server = std::fs::read_to_string(&file).expect("the simulator's authority");
    let shared = http_with(&HttpOptions { authorities: vec![server], ..HttpOptions::new(any_address()) });
    let with = |certificate: Option<&ClientCertificate>| {
        let own = |shown: &ClientCertificate| shared.with_identity(shown.pem()).expect("a client");
        let transport = certificate.map_or_else(|| shared.clone(), own);
        Client::new(ClientOptions { transport, ..options(simulator.url(), client_credentials(SECRET)) })
    };

    let (own, sha256) = authority.certificate(2060);
    administrator(&simulator, |instance| instance.map_certificate(&sha256, "snowgate"));
    create(&with(Some(&own))).await.expect("a ticket");
    // The shared way shows nothing, even after the other one was used.
    let (class, code, _) = said(create(&with(None)).await);
    assert_eq!((class, code.as_str()), (Class::Unauthorized, "http_401"));
    let (unmapped, _) = authority.certificate(2060);
    assert_eq!(said(create(&with(Some(&unmapped))).await).1, "http_401", "known to TLS, mapped to nobody");
    for (refused, _) in [authority.certificate(2025), Authority::new().certificate(2060)] {
        let (class, code, detail) = said(create(&with(Some(&refused))).await);
        assert_eq!((class, code.as_str()), (Class::Misconfigured, "token_tls_client_certificate"), "{detail}");
    }
    simulator.stop().await;
}

// ── rotation ──

/// A client with two versions, and what it told of them.
fn rotating(simulator: &Simulator, current: Credentials, next: Credentials) -> (Client, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let credentials = Credentials::Rotating { current: Box::new(current), next: Box::new(next) };
    let options = ClientOptions {
        news: Some(Arc::new(move |news: &CallerNews<'_>| {
            if let CallerNews::Credentials(KeeperNews::Turned(version)) = news {
                listener.lock().expect("whole").push(version.as_str().to_owned());
            }
        })),
        ..options(simulator.url(), credentials)
    };
    (Client::new(options), told)
}

/// What an administrator does.
type Change = Box<dyn Fn(&mut Instance)>;

/// Thirty calls at once.
async fn thirty(client: &Client) -> Vec<Result<(), Outcome>> {
    join_all((0..30).map(|_| create(client))).await
}

#[tokio::test]
async fn whatever_is_rotated_at_the_instance_no_call_fails() {
    let basic =
        |password: &str| Credentials::Basic { username: "snowgate".to_owned(), password: Secret::new(password) };
    let key = |key: &str| Credentials::ApiKey { header: "x-sn-apikey".into(), key: Secret::new(key) };
    let (old, new) = (signing(), signing());
    let verifiers = |key: &KeyPair, id: &str| vec![verifier(key, id, "ES256")];
    let cases: Vec<(Credentials, Credentials, Change, Change)> = vec![
        (
            client_credentials("one"),
            client_credentials("two"),
            Box::new(|instance| instance.set_client_secret("one")),
            Box::new(|instance| instance.set_client_secret("two")),
        ),
        (
            basic("one"),
            basic("two"),
            Box::new(|instance| instance.set_password("one")),
            Box::new(|instance| instance.set_password("two")),
        ),
        (
            key("one"),
            key("two"),
            Box::new(|instance| {
                instance.add_api_key("one", "snowgate", i64::MAX);
                instance.remove_api_key("two");
            }),
            Box::new(|instance| {
                instance.add_api_key("two", "snowgate", i64::MAX);
                instance.remove_api_key("one");
            }),
        ),
        (
            signed(assertion(&old, "k1")),
            signed(assertion(&new, "k2")),
            Box::new({
                let verifiers = verifiers(&old, "k1");
                move |instance| instance.trust_assertions_of(verifiers.clone())
            }),
            Box::new({
                let verifiers = verifiers(&new, "k2");
                move |instance| instance.trust_assertions_of(verifiers.clone())
            }),
        ),
    ];
    for (current, next, before, after) in cases {
        let shown = format!("{current:?}");
        let simulator = with(|_| {});
        administrator(&simulator, &before);
        let (client, told) = rotating(&simulator, current, next);
        for (round, change) in [(0, &before), (1, &after), (2, &before)] {
            administrator(&simulator, change);
            administrator(&simulator, Instance::drop_tokens);
            let done = thirty(&client).await;
            assert!(done.iter().all(Result::is_ok), "{shown}, round {round}: {done:?}");
        }
        assert_eq!(*told.lock().expect("whole"), ["next", "current"], "{shown}: each turn once, and it is remembered");
        simulator.stop().await;
    }
}

#[tokio::test]
async fn two_wrong_versions_are_each_tried_once_and_then_left_alone() {
    let simulator = with(|_| {});
    let (client, _) = rotating(&simulator, client_credentials("wrong"), client_credentials("wronger"));
    assert_eq!(said(create(&client).await).1, "token_refused");
    assert_eq!(asked(&simulator), [401, 401]);
    let closed = client.permit(false).await.expect_err("closed");
    assert_eq!(closed.code, "credentials_refused");
    simulator.stop().await;
}

#[tokio::test]
async fn a_client_in_the_place_of_another_keeps_its_pace_and_is_not_blamed_for_its_credentials() {
    let simulator = with(|_| {});
    let old = client(simulator.url(), client_credentials("wrong"));
    // Taken before the replacement, used after it: a call that is on its way while the settings are reloaded.
    let late = old.permit(false).await.expect("a permit");
    assert_eq!(said(create(&old).await).1, "token_refused");
    assert!(old.permit(false).await.is_err(), "refused credentials close the gate");

    let new = Client::succeeding(options(simulator.url(), client_credentials(SECRET)), &old, OTHERS);
    create(&new).await.expect("the new credentials are tried at once");
    let outcome = old.create(late, "incident", &fields(&[]), &[]).await.expect_err("the old ones are still wrong");
    assert_eq!((outcome.class, outcome.code.as_str()), (Class::NotProcessed, "credentials_replaced"));
    create(&new).await.expect("and that is not held against the new ones");
    assert_eq!(new.standing().hour_used, old.standing().hour_used, "both are counted together");
    assert!(new.standing().hour_used >= 4);
    simulator.stop().await;
}

// ── a server that is not ours ──

/// A running OAuth server; ends with the test.
struct OAuthServer {
    child: std::process::Child,
    token_url: String,
}

impl OAuthServer {
    fn start(key: &KeyPair) -> Self {
        use std::io::BufRead as _;
        use std::process::Stdio;
        let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = project.join("target/test-node/oauth-server");
        assert!(packages.join("node_modules").exists(), "no Node packages there; run ./scripts/test-node.sh");
        let program = std::fs::File::open(project.join("tests/clients/oauth_server/server.mjs")).expect("the program");
        // Read from standard input, its imports are looked for in the working directory.
        let mut child = std::process::Command::new("node")
            .args(["--input-type=module", "-"])
            .current_dir(packages)
            .env_remove("NODE_OPTIONS")
            .env("CLIENT_ID", CLIENT)
            .env("CLIENT_SECRET", SECRET)
            .env("KEY_ID", "r1")
            .env("ALGORITHM", "RS256")
            .env("PUBLIC_KEY", key.public_key_pem())
            .stdin(program)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let lines = std::io::BufReader::new(child.stdout.take().expect("piped")).lines();
        let token_url = lines.map_while(Result::ok).find(|line| line.ends_with("/token"));
        Self { child, token_url: token_url.expect("it says where it listens") }
    }
}

impl Drop for OAuthServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_real_oauth_server_gives_us_tokens_by_secret_and_by_assertion() {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    let server = OAuthServer::start(&key);
    let simulator = with(|switches| switches.tokens_of_others = true);
    let at_server = |credentials| {
        let token_url = Some(server.token_url.clone());
        Client::new(ClientOptions { token_url, ..options(simulator.url(), credentials) })
    };
    let with_secret = |key_id: &str| {
        let client_secret = Some(Secret::new(SECRET));
        signed(Assertion { client_secret, ..assertion(&key, key_id) })
    };
    create(&at_server(client_credentials(SECRET))).await.expect("a ticket");
    create(&at_server(with_secret("r1"))).await.expect("a ticket");
    assert_eq!(asked(&simulator), [0; 0], "the simulator gave out no token");

    let (class, code, detail) = said(create(&at_server(client_credentials("wrong"))).await);
    assert_eq!((class, code.as_str()), (Class::Unauthorized, "token_refused"));
    assert!(detail.starts_with("invalid_client"), "{detail}");
    let (_, code, detail) = said(create(&at_server(with_secret("unknown"))).await);
    assert!(code == "token_refused" && detail.starts_with("invalid_grant"), "{detail}");
    simulator.stop().await;
}

#[test]
fn a_credential_never_shows() {
    let pem = signing().serialize_pem();
    let key = AssertionKey::from_pem(&pem).expect("a key that signs");
    let assertion = Assertion { key, client_secret: Some(Secret::new("hunter2")), ..assertion(&signing(), "k") };
    let shown = format!("{:?}", signed(assertion));
    assert!(!shown.contains("hunter2") && !shown.contains("BEGIN") && shown.contains("AssertionKey(ES256)"), "{shown}");
}
