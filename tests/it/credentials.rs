//! Who we are to an instance, as operators see it: a secret that is replaced while work is going on, and an end that comes near.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest as _, Sha256};
use snowgate::sim::server::Options;
use snowgate::sim::switches::Switches;

use crate::support::home::AUTHORITY;
use crate::support::instance::{CLIENT_SECRET, CLIENT_SECRET_NEXT};
use crate::support::{Event, Gateway, Home, Instance, Tenant, eventually, within};

/// What is written to a secret's file is in use before this, with the settings that everybody has.
const ROTATION: Duration = Duration::from_secs(30);
const FILE: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {file: client-secret}}";
const FILES: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {file: client-secret}, \
                     client_secret_next: {file: client-secret-next}}";
const CERTIFICATE_FILES: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {file: client-secret}, \
                                 mutual_tls: {certificate: {file: tls/..data/tls.crt}, key: {file: tls/..data/tls.key}}}";
const KEY_FILE: &str =
    "{kind: jwt_bearer, client_id: snowgate-client, private_key: {file: key.pem}, key_id: ours, subject: snowgate}";
const ROTATING: &str = "{kind: client_credentials, client_id: snowgate-client, client_secret: {env: SNOW_CLIENT_SECRET}, \
                        client_secret_next: {env: SNOW_CLIENT_SECRET_NEXT}}";
const REFRESH: &str = "{kind: refresh_token, client_id: snowgate-client, client_secret: {env: SNOW_CLIENT_SECRET}, \
                       refresh_token: {env: SNOW_PASSWORD}, refresh_token_obtained: 2020-01-01}";

#[tokio::test]
async fn a_secret_replaced_under_load_fails_no_delivery() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(ROTATING)]);
    let gateway = home.start().await;
    let events: Vec<Event> = (0..120).map(|number| Event::opened(&format!("MTR-{number}"))).collect();
    gateway.post_batch(&events).await.expect(202);
    eventually("some are delivered", async || (instance.tickets().len() >= 20).then_some(())).await;
    instance.rotates_the_client_secret();
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), 120, "each incident has its ticket, and one");
    for (name, labels, times) in [
        ("snowgate_deliveries_delivered_total", "contoso", 120.0),
        ("snowgate_deliveries_retried_total", "contoso", 0.0),
        ("snowgate_credentials_turned_total", "key_version=\"next\"", 1.0),
        ("snowgate_token_fetches_total", "outcome=\"granted\",key_version=\"next\"", 1.0),
    ] {
        let counted = gateway.metric(name, labels).await;
        assert!((counted - times).abs() < 0.5, "{name} {labels}: {counted} instead of {times}");
    }
    assert!(gateway.log().contains("from now on the next one is used"), "and the log says so");
}

/// Posts events, one after the other, until this is so; gives how many there were.
async fn posts_until(gateway: &Gateway, from: usize, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> usize {
    let mut sent = from;
    within(ROTATION, what, async || {
        gateway.post(&Event::opened(&format!("MTR-{sent}"))).await.expect(202);
        sent += 1;
        is_so().await.then_some(())
    })
    .await;
    sent
}

/// How often a version of the credentials was given a token.
async fn granted(gateway: &Gateway, version: &str) -> f64 {
    let labels = format!("outcome=\"granted\",key_version=\"{version}\"");
    gateway.metric("snowgate_token_fetches_total", &labels).await
}

/// Everything was delivered once, and nothing waits for a person.
async fn all_delivered(gateway: &Gateway, instance: &Instance, sent: usize) {
    gateway.quiet().await;
    assert_eq!(instance.tickets().len(), sent, "every event was taken, and each became one ticket");
    assert!(gateway.get("/v1/tenants/contoso").await.get("pause").is_none());
    assert!(gateway.deliveries("parked").await.is_empty());
}

#[tokio::test]
async fn a_secrets_file_is_rotated_under_load_with_an_overlap_and_no_delivery_is_even_retried() {
    let instance = Instance::start();
    let contoso = Tenant::named("contoso", instance.url());
    let home = Home::of(&[contoso.clone().signing_in_with(FILE)]);
    home.write("client-secret", CLIENT_SECRET);
    let gateway = home.start().await;
    let sent = posts_until(&gateway, 0, "a first token", async || granted(&gateway, "current").await >= 1.0).await;

    // The coming one is announced, the instance changes, and the coming one takes its place.
    home.write("client-secret-next", CLIENT_SECRET_NEXT);
    home.rewrite(&contoso.clone().signing_in_with(FILES));
    let announced = async || granted(&gateway, "current").await >= 2.0;
    let sent = posts_until(&gateway, sent, "the coming secret is known", announced).await;
    instance.rotates_the_client_secret();
    let turned = async || granted(&gateway, "next").await >= 1.0;
    let sent = posts_until(&gateway, sent, "the coming secret is in use", turned).await;
    home.write("client-secret", CLIENT_SECRET_NEXT);
    home.rewrite(&contoso.signing_in_with(FILE));
    let done = async || granted(&gateway, "current").await >= 3.0;
    let sent = posts_until(&gateway, sent, "the new secret is the only one", done).await;

    all_delivered(&gateway, &instance, sent).await;
    let retried = gateway.metric("snowgate_deliveries_retried_total", "contoso").await;
    assert!(retried < 0.5, "{retried} were retried");
}

#[tokio::test]
async fn a_secrets_file_is_rotated_under_load_without_an_overlap_and_no_delivery_fails() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(FILE)]);
    home.write("client-secret", CLIENT_SECRET);
    let gateway = home.start().await;
    let sent = posts_until(&gateway, 0, "a first ticket", async || !instance.tickets().is_empty()).await;

    instance.rotates_the_client_secret();
    let refused = async || gateway.get("/v1/tenants/contoso").await.get("pause").is_some();
    let sent = posts_until(&gateway, sent, "the old secret is refused", refused).await;
    home.write("client-secret", CLIENT_SECRET_NEXT);
    let done = async || instance.tickets().len() > sent;
    let sent = posts_until(&gateway, sent, "the new secret is in use", done).await;
    all_delivered(&gateway, &instance, sent).await;
}

#[tokio::test]
async fn a_private_keys_file_is_replaced_under_load_and_no_delivery_fails() {
    let [old, new] = [(); 2].map(|()| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"));
    let instance = Instance::start();
    instance.trusts_assertions_of("ours", &old);
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(KEY_FILE)]);
    home.write("key.pem", &old.serialize_pem());
    let gateway = home.start().await;
    let sent = posts_until(&gateway, 0, "a first ticket", async || !instance.tickets().is_empty()).await;

    instance.trusts_assertions_of("ours", &new);
    home.write("key.pem", &new.serialize_pem());
    let done = async || granted(&gateway, "current").await >= 2.0;
    let sent = posts_until(&gateway, sent, "the new key is in use", done).await;
    all_delivered(&gateway, &instance, sent).await;
}

#[tokio::test]
async fn a_client_certificates_files_are_replaced_under_load_and_no_delivery_fails() {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let client_authority = Some(authority.self_signed(&key).expect("a certificate").pem());
    let issuer = Issuer::new(authority, key);
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let switches = Switches { certificate_required: true, ..Switches::default() };
    let instance =
        Instance::started(Options { tls_ca_file: Some(ca.clone()), client_authority, switches, ..Options::default() });
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(CERTIFICATE_FILES)]);
    home.write(AUTHORITY, &fs::read_to_string(ca).expect("the instance's authority"));
    home.write("client-secret", CLIENT_SECRET);
    // As Kubernetes mounts a secret: both files change in one step.
    let [old, new] = ["..v1", "..v2"].map(|version| {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["snowgate".to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
        fs::create_dir_all(home.path().join("tls").join(version)).expect("a folder");
        home.write(&format!("tls/{version}/tls.crt"), &certificate.pem());
        home.write(&format!("tls/{version}/tls.key"), &key.serialize_pem());
        Sha256::digest(certificate.der()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    });
    symlink("..v1", home.path().join("tls/..data")).expect("a link");
    instance.maps_certificate(&old, None);
    let gateway = home.start().await;
    let sent = posts_until(&gateway, 0, "a first ticket", async || !instance.tickets().is_empty()).await;

    instance.maps_certificate(&new, Some(&old));
    symlink("..v2", home.path().join("tls/..next")).expect("a link");
    fs::rename(home.path().join("tls/..next"), home.path().join("tls/..data")).expect("a swap");
    let done = async || instance.tickets().len() > sent;
    let sent = posts_until(&gateway, sent, "the new certificate is in use", done).await;
    all_delivered(&gateway, &instance, sent).await;
}

#[tokio::test]
async fn the_end_of_a_refresh_token_is_in_the_health_and_in_the_metrics() {
    let instance = Instance::start();
    let home = Home::of(&[Tenant::named("contoso", instance.url()).signing_in_with(REFRESH)]);
    let gateway = home.start().await;
    let tenant = gateway.get("/v1/tenants/contoso").await;
    assert_eq!(tenant["credentials"]["ends_at"], "2020-04-10T00:00:00.000Z");
    let words = tenant["credentials"]["words"].as_str().unwrap_or_default();
    assert!(words.starts_with("the refresh token ended at 2020-04-10"), "{words}");
    eventually("the gauge is there", async || {
        let page = gateway.ask(reqwest::Method::GET, "/metrics").await.expect(200).text;
        page.contains("snowgate_refresh_token_expires_seconds{tenant=\"contoso\"} 0").then_some(())
    })
    .await;
    assert!(gateway.log().contains("S063"), "every start warns of it");
}
