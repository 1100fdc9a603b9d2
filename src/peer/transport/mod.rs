//! The way to a peer: one request out, one answer in, within a time.
//!
//! Owns: deadlines, caps, and the difference between "surely nothing was sent" and "may have been sent".
//! Never: follows a redirect, keeps a cookie, sends anything twice, judges an answer.
//! Fails: with a [`TransportFault`]; after the head of an answer only the body can fail, which leaves a cut answer.
//! Two ways are real: [`http::Http`], shared by all tenants, and the virtual-time simulation behind [`Exchange`].
//! Proved by: `tests/servicenow.rs` against servers that stall, lie, flood and hang up.

pub mod addresses;
mod faults;
pub mod files;
pub mod http;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use self::http::{Http, HttpOptionsError};
use super::message::{Answer, FaultKind, Request, TransportFault};
use crate::domain::secret::Secret;

/// A reply on its way.
pub type Replying = Pin<Box<dyn Future<Output = Result<Answer, TransportFault>> + Send>>;

/// The seam for the simulation: a peer without sockets. Deadlines are kept above it, on tokio's clock.
pub trait Exchange: Send + Sync {
    /// Answers one request.
    fn exchange(&self, request: Request) -> Replying;
}

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// From the first name look-up to the last byte of the body.
    pub time: Duration,
    /// Bytes of the body that are read.
    pub body_bytes_max: usize,
}

/// A way to a peer; cheap to clone.
#[derive(Clone)]
pub enum Transport {
    /// Over real sockets.
    Http(Arc<Http>),
    /// Through a simulated peer.
    Simulated(Arc<dyn Exchange>),
}

impl Transport {
    /// The same way with a client certificate, chain and key as PEM. A simulated peer has no TLS to show it in.
    pub fn with_identity(&self, identity: &Secret) -> Result<Self, HttpOptionsError> {
        match self {
            Self::Http(http) => Ok(Self::Http(Arc::new(http.with_identity(identity)?))),
            Self::Simulated(_) => Ok(self.clone()),
        }
    }

    /// Sends one request, once.
    pub async fn send(&self, request: Request, allowance: Allowance) -> Result<Answer, TransportFault> {
        match self {
            Self::Http(http) => http.send(request, allowance).await,
            Self::Simulated(peer) => match timeout(allowance.time, peer.exchange(request)).await {
                Ok(Ok(mut answer)) => {
                    answer.cut |= answer.body.len() > allowance.body_bytes_max;
                    answer.body.truncate(allowance.body_bytes_max);
                    Ok(answer)
                }
                Ok(Err(fault)) => Err(fault),
                Err(_) => Err(TransportFault::new(FaultKind::Timeout { sent: true }, "no answer within the time")),
            },
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(_) => f.write_str("Transport::Http"),
            Self::Simulated(_) => f.write_str("Transport::Simulated"),
        }
    }
}
