//! Which addresses may be dialled: names are resolved here, each address is asked about, and exactly those are dialled.
//!
//! The check and the dial use the same resolution, so a name that changes its mind in between gains nothing. One
//! forbidden address in an answer forbids the whole answer: a name that points both outside and inside is an attack
//! or a mistake, and both want a person.

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Says of one address whether it may be dialled, and if not, why.
pub type AddressFilter = Arc<dyn Fn(IpAddr) -> Result<(), String> + Send + Sync>;

/// An address was refused; found again in the chain of causes.
#[derive(Debug)]
pub(super) struct Forbidden(String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Forbidden {}

/// Checks a literal address, which never reaches a resolver.
pub(super) fn check_literal(host: &str, filter: &AddressFilter) -> Result<(), Forbidden> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => filter(address).map_err(|why| Forbidden(format!("{address}: {why}"))),
        Err(_) => Ok(()),
    }
}

/// The system's resolver with the filter behind it.
pub(super) struct Guarded(pub(super) AddressFilter);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let why_not = |address: &SocketAddr| {
                let refused = |why| Forbidden(format!("{} is {}: {why}", name.as_str(), address.ip()));
                filter(address.ip()).map_err(refused)
            };
            found.iter().try_for_each(why_not)?;
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_address_is_asked_about_in_every_spelling() {
        let filter: AddressFilter =
            Arc::new(|address| if address.is_loopback() { Err("loopback".to_owned()) } else { Ok(()) });
        for forbidden in ["127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(check_literal(forbidden, &filter).is_err(), "{forbidden}");
        }
        for allowed in ["192.0.2.1", "[2001:db8::1]", "localhost", "contoso.service-now.com"] {
            assert!(check_literal(allowed, &filter).is_ok(), "{allowed}");
        }
    }
}
