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
            let addresses: Addrs = Box::new(all_or_none(name.as_str(), found, &filter)?.into_iter());
            Ok(addresses)
        })
    }
}

/// What was found for a name, if every address of it may be dialled.
fn all_or_none(name: &str, found: Vec<SocketAddr>, filter: &AddressFilter) -> Result<Vec<SocketAddr>, Forbidden> {
    let why_not = |address: &SocketAddr| {
        filter(address.ip()).map_err(|why| Forbidden(format!("{name} is {}: {why}", address.ip())))
    };
    found.iter().try_for_each(why_not)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn outside_only() -> AddressFilter {
        Arc::new(|address| if address.is_loopback() { Err("loopback".to_owned()) } else { Ok(()) })
    }

    #[test]
    fn one_forbidden_address_forbids_the_whole_answer_wherever_it_stands() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        let check = |texts: &[&str]| all_or_none("rebound.example", addresses(texts), &outside_only());
        assert_eq!(check(&["192.0.2.1", "2001:db8::1"]).unwrap(), addresses(&["192.0.2.1", "2001:db8::1"]));
        for mixed in [&["192.0.2.1", "127.0.0.1"][..], &["127.0.0.1", "192.0.2.1"], &["2001:db8::1", "::1"], &["::1"]] {
            let refused = check(mixed).unwrap_err().to_string();
            assert!(refused.starts_with("rebound.example is ") && refused.ends_with(": loopback"), "{refused}");
        }
    }

    #[tokio::test]
    async fn exactly_the_addresses_that_were_asked_about_are_handed_on_and_each_dial_asks_anew() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let filter: AddressFilter = Arc::new(move |address| {
            noted.lock().unwrap().push(address);
            Ok(())
        });
        let resolver = Guarded(filter);
        for _ in 0..2 {
            let handed: Vec<IpAddr> =
                resolver.resolve("localhost".parse().unwrap()).await.unwrap().map(|address| address.ip()).collect();
            assert!(!handed.is_empty());
            assert_eq!(
                std::mem::take(&mut *asked.lock().unwrap()),
                handed,
                "nothing is remembered from the time before"
            );
        }
        let refused = Guarded(outside_only()).resolve("localhost".parse().unwrap()).await;
        assert!(refused.is_err_and(|error| error.downcast_ref::<Forbidden>().is_some()));
    }

    #[test]
    fn a_literal_address_is_asked_about_in_every_spelling() {
        let filter = outside_only();
        for forbidden in ["127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(check_literal(forbidden, &filter).is_err(), "{forbidden}");
        }
        for allowed in ["192.0.2.1", "[2001:db8::1]", "localhost", "contoso.service-now.com"] {
            assert!(check_literal(allowed, &filter).is_ok(), "{allowed}");
        }
    }
}
