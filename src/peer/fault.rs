//! What a fault of the way means for the request, whoever the peer is.
//!
//! Fails: it cannot. Proved by: the table in `servicenow::classify`, one line per line of the facts.

use super::message::{FaultKind, TransportFault};
use super::words;
use crate::delivery::outcome::{Class, Outcome};

/// What a fault of the way means. `sent` decides: with nothing written, nothing can have been done.
pub fn of_fault(fault: &TransportFault) -> Outcome {
    let (class, code, instance_fault) = match fault.kind {
        FaultKind::Dns => (Class::NotProcessed, "dns_failed", true),
        FaultKind::ForbiddenAddress => (Class::Misconfigured, "address_forbidden", false),
        FaultKind::Connect => (Class::NotProcessed, "connect_failed", true),
        FaultKind::Certificate => (Class::Misconfigured, "tls_certificate", false),
        FaultKind::ClientCertificate => (Class::Misconfigured, "tls_client_certificate", false),
        FaultKind::TlsBroken => (Class::NotProcessed, "tls_broken", true),
        // Our own way out: no tenant's breaker may open for it.
        FaultKind::Proxy => (Class::NotProcessed, "egress_proxy_failed", false),
        FaultKind::Timeout { sent: false } => (Class::NotProcessed, "timeout_before_sending", true),
        FaultKind::Timeout { sent: true } => (Class::Unclear, "timeout", true),
        FaultKind::Reset { sent: false } => (Class::NotProcessed, "connection_lost_before_sending", true),
        FaultKind::Reset { sent: true } => (Class::Unclear, "connection_lost", true),
        FaultKind::Protocol => (Class::Unclear, "not_http", true),
        FaultKind::TooLarge => (Class::Refused, "file_too_large", false),
        FaultKind::Cut => (Class::Unclear, "answer_cut", true),
        // Our own disk.
        FaultKind::File => (Class::NotProcessed, "file_unusable", false),
        FaultKind::Unbuildable => (Class::Defect, "request_unbuildable", false),
    };
    Outcome { instance_fault, ..Outcome::new(class, code).with_detail(words::clean(&fault.detail)) }
}

/// The same for a request that may be sent again without looking: a read, a request for a token, or one whose receiver
/// recognises repeats. Nothing about it is ever unclear.
pub fn of_repeatable(fault: &TransportFault) -> Outcome {
    repeatable(of_fault(fault))
}

/// What an outcome means if the request may be sent again without looking.
pub fn repeatable(outcome: Outcome) -> Outcome {
    let class = if outcome.class == Class::Unclear { Class::NotProcessed } else { outcome.class };
    Outcome { class, ..outcome }
}
