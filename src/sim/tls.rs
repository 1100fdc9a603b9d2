//! A throw-away certificate authority, so that clients which insist on https can be tried unchanged.
//!
//! Owns: making a CA and a certificate for this machine, in memory, and asking callers for theirs. Never: keeps a key; only the CA's certificate is written,
//! to the file the caller names. Fails: if that file cannot be written. Proved by: `tests/sim_clients.rs`.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

/// A configuration with a fresh certificate for `localhost` and `127.0.0.1`; writes the CA's certificate (PEM) to `ca_file`.
/// Asks callers for a certificate of `client_authority` (PEM), if there is one; they need not have any.
pub(super) fn throw_away(ca_file: &Path, client_authority: Option<&str>) -> io::Result<ServerConfig> {
    let (ca, issuer) = authority().map_err(io::Error::other)?;
    let (chain, key) = leaf(&issuer).map_err(io::Error::other)?;
    std::fs::write(ca_file, ca)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let callers = match client_authority {
        Some(pem) => callers_of(pem, &provider)?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(callers).with_single_cert(vec![chain], key))
        .map_err(io::Error::other)
}

fn callers_of(pem: &str, provider: &Arc<CryptoProvider>) -> io::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    verifier.allow_unauthenticated().build().map_err(io::Error::other)
}

/// SHA-256 of the certificate that a connection showed, in hexadecimal.
pub(super) struct ShownCertificate(pub(super) String);

/// Keeps the certificate of a new connection where its requests find it.
pub(super) fn remember_certificate(connection: &dyn Any, kept: &mut Extensions) {
    let Some(tls) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let Some([own, ..]) = tls.get_ref().1.peer_certificates() else { return };
    let sha256 = Sha256::digest(own).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    kept.insert(ShownCertificate(sha256));
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

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn leaf(issuer: &Issuer<'static, KeyPair>) -> Result<Identity, rcgen::Error> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok((certificate.der().clone(), key))
}
