//! A throw-away certificate authority, so that clients which insist on https can be tried unchanged.
//!
//! Owns: making a CA and a certificate for this machine, in memory. Never: keeps a key; only the CA's certificate is written,
//! to the file the caller names. Fails: if that file cannot be written. Proved by: `tests/sim_clients.rs`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A configuration with a fresh certificate for `localhost` and `127.0.0.1`; writes the CA's certificate (PEM) to `ca_file`.
pub(super) fn throw_away(ca_file: &Path) -> io::Result<ServerConfig> {
    let (ca, issuer) = authority().map_err(io::Error::other)?;
    let (chain, key) = leaf(&issuer).map_err(io::Error::other)?;
    std::fs::write(ca_file, ca)?;
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![chain], key))
        .map_err(io::Error::other)
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Snowgate simulator, throw-away CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

type Identity = (rustls::pki_types::CertificateDer<'static>, PrivateKeyDer<'static>);

fn leaf(issuer: &Issuer<'static, KeyPair>) -> Result<Identity, rcgen::Error> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((certificate.der().clone(), key))
}
