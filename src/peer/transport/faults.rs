//! From the HTTP client's errors to our faults, by type where there is one and by the chain of causes otherwise.
//!
//! What is not recognised counts as "may have been sent": a wrong guess costs a look-up, never a second ticket.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::super::message::{FaultKind, TransportFault};
use super::addresses::Forbidden;
use crate::domain::time::Timestamp;

/// What is known beside the error itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// Whether the first byte of the request can have been written.
    pub(super) sent: bool,
    /// Whether the way leads through an egress proxy: then it is the proxy that cannot be reached.
    pub(super) proxied: bool,
}

/// What went wrong.
pub(super) fn of_error(error: reqwest::Error, known: Circumstances) -> TransportFault {
    // The address is known to whoever reads this, and its query is nobody's business.
    let error = error.without_url();
    let causes = Causes::of(&error);
    let kind = if causes.any::<Forbidden>() {
        FaultKind::ForbiddenAddress
    } else if error.is_dns() {
        if known.proxied { FaultKind::Proxy } else { FaultKind::Dns }
    } else if error.is_connect() {
        of_connecting(&causes, error.is_timeout(), known.proxied)
    } else if error.is_builder() {
        FaultKind::Unbuildable
    } else {
        of_talking(&causes, error.is_timeout(), known.sent)
    };
    let words = causes.ended_certificate().unwrap_or(causes.words);
    TransportFault::new(kind, words)
}

/// Before the first byte of the request: name, connection, TLS.
fn of_connecting(causes: &Causes<'_>, timed_out: bool, proxied: bool) -> FaultKind {
    match causes.find::<rustls::Error>() {
        Some(rustls::Error::AlertReceived(alert)) if wants_our_certificate(*alert) => FaultKind::ClientCertificate,
        Some(rustls::Error::AlertReceived(alert)) if !has_nothing_in_common(*alert) => FaultKind::TlsBroken,
        // A peer without a protocol version or cipher in common will not have one next minute either.
        Some(
            rustls::Error::InvalidCertificate(_) | rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_),
        ) => FaultKind::Certificate,
        Some(_) => FaultKind::TlsBroken,
        None if proxied => FaultKind::Proxy,
        None if timed_out => FaultKind::Connect,
        None if causes.broken() => FaultKind::TlsBroken,
        None => FaultKind::Connect,
    }
}

/// After the connection stood.
fn of_talking(causes: &Causes<'_>, timed_out: bool, sent: bool) -> FaultKind {
    if let Some(rustls::Error::AlertReceived(alert)) = causes.find::<rustls::Error>()
        && wants_our_certificate(*alert)
    {
        // TLS 1.3 sends this one late, with the request already written but never read.
        return FaultKind::ClientCertificate;
    }
    if timed_out {
        return FaultKind::Timeout { sent };
    }
    // The words are the parser's own. Both kinds mean the same to a delivery, so a change of words changes a label.
    let unreadable =
        ["invalid HTTP", "invalid content-length", "head is too large"].into_iter().any(|text| causes.say(text));
    if unreadable { FaultKind::Protocol } else { FaultKind::Reset { sent } }
}

fn has_nothing_in_common(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    [Alert::HandshakeFailure, Alert::ProtocolVersion, Alert::InsufficientSecurity, Alert::UnrecognisedName]
        .contains(&alert)
}

fn wants_our_certificate(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    [
        Alert::CertificateRequired,
        Alert::BadCertificate,
        Alert::UnknownCA,
        Alert::CertificateUnknown,
        Alert::CertificateExpired,
        Alert::CertificateRevoked,
        Alert::UnsupportedCertificate,
        // Somebody with the name of its authority signed ours.
        Alert::DecryptError,
        Alert::AccessDenied,
    ]
    .contains(&alert)
}

/// An error and everything that caused it.
struct Causes<'a> {
    chain: Vec<&'a (dyn StdError + 'static)>,
    words: String,
}

impl<'a> Causes<'a> {
    fn of(error: &'a (dyn StdError + 'static)) -> Self {
        let mut chain = Vec::new();
        let mut next = Some(error);
        while let Some(cause) = next {
            chain.push(cause);
            // An I/O error hides what it wraps from the chain, and layers of TLS wrap twice.
            let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| cause.source());
        }
        let mut texts: Vec<String> = chain.iter().map(ToString::to_string).collect();
        // Some layers repeat the words of the one below.
        texts.dedup();
        Self { chain, words: texts.join(": ") }
    }

    /// The first cause of a type.
    fn find<E: StdError + 'static>(&self) -> Option<&'a E> {
        self.chain.iter().find_map(|cause| cause.downcast_ref())
    }

    /// When the peer's certificate ended, if that is the cause: the library tells it in seconds since 1970.
    fn ended_certificate(&self) -> Option<String> {
        let Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = self.find()
        else {
            return None;
        };
        let ended = Timestamp::EPOCH.plus(Duration::from_secs(not_after.as_secs()));
        Some(format!("the certificate ended at {ended}"))
    }

    fn any<E: StdError + 'static>(&self) -> bool {
        self.find::<E>().is_some()
    }

    fn say(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Whether a connection that had been made broke again.
    fn broken(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let ends = |error: &io::Error| {
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        };
        self.chain.iter().filter_map(|cause| cause.downcast_ref()).any(ends)
    }
}
