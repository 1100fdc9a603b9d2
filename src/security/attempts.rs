//! Who failed to prove itself too often, by address.
//!
//! Owns: counting failures, forgiving them with time, and a bound on how many addresses are remembered. Never: decides what
//! happens to a caller, writes anything to the store: a flood of wrong keys costs no disk.
//! Fails: it cannot. When more addresses fail than there is room for, the new ones share one count.
//! Proved by: the tests below.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::limits::{FAILING_ADDRESSES_MAX, FAILURE_FORGIVEN_AFTER, FAILURES_MAX};

/// The failures of every address that matters still.
#[derive(Debug, Default)]
pub struct Attempts {
    of: HashMap<IpAddr, Failures>,
    others: Failures,
}

/// How an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may try.
    Free,
    /// It failed too often and may come back after this long.
    HeldOff(Duration),
}

/// Failures as the moment at which all of them are forgiven: one number, which needs no upkeep.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    forgiven_at: Timestamp,
}

impl Attempts {
    /// How this address stands now.
    pub fn standing(&self, address: IpAddr, now: Timestamp) -> Standing {
        let known = self.of.get(&block(address));
        // An address that has no place of its own stands as the others do.
        let shared = if self.of.len() < FAILING_ADDRESSES_MAX { None } else { Some(&self.others) };
        known.or(shared).map_or(Standing::Free, |failures| failures.standing(now))
    }

    /// Counts one failure; says whether it was the one that used the address's patience up.
    pub fn failed(&mut self, address: IpAddr, now: Timestamp) -> bool {
        let address = block(address);
        if !self.of.contains_key(&address) && self.of.len() >= FAILING_ADDRESSES_MAX {
            self.of.retain(|_, failures| failures.forgiven_at > now);
        }
        let has_room = self.of.len() < FAILING_ADDRESSES_MAX;
        let failures = match self.of.get_mut(&address) {
            Some(known) => known,
            None if has_room => self.of.entry(address).or_default(),
            None => &mut self.others,
        };
        failures.add(now)
    }
}

impl Failures {
    fn standing(self, now: Timestamp) -> Standing {
        let outstanding = self.forgiven_at.since(now);
        // Free again as soon as there is room for one failure more.
        let patience = FAILURE_FORGIVEN_AFTER * (FAILURES_MAX - 1);
        match outstanding.checked_sub(patience) {
            Some(wait) if !wait.is_zero() => Standing::HeldOff(wait),
            Some(_) | None => Standing::Free,
        }
    }

    fn add(&mut self, now: Timestamp) -> bool {
        let was_free = self.standing(now) == Standing::Free;
        if was_free {
            self.forgiven_at = self.forgiven_at.max(now).plus(FAILURE_FORGIVEN_AFTER);
        }
        was_free && self.standing(now) != Standing::Free
    }
}

/// Whoever has one address of IPv6 has the other 2^64 of its network, too.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_327_200_000);

    fn address(last: u8) -> IpAddr {
        [203, 0, 113, last].into()
    }

    fn fail(attempts: &mut Attempts, address: IpAddr, times: u32) -> u32 {
        (0..times).map(|_| u32::from(attempts.failed(address, NOW))).sum()
    }

    #[test]
    fn an_address_is_held_off_after_its_last_failure_and_told_so_once() {
        let mut attempts = Attempts::default();
        assert_eq!(fail(&mut attempts, address(1), FAILURES_MAX - 1), 0);
        assert_eq!(attempts.standing(address(1), NOW), Standing::Free);
        assert_eq!(fail(&mut attempts, address(1), 100), 1, "told once");
        assert_eq!(attempts.standing(address(1), NOW), Standing::HeldOff(FAILURE_FORGIVEN_AFTER));
        assert_eq!(attempts.standing(address(2), NOW), Standing::Free, "its neighbour is not concerned");
    }

    #[test]
    fn time_forgives_one_failure_after_the_other() {
        let mut attempts = Attempts::default();
        fail(&mut attempts, address(1), 1_000);
        let later = NOW.plus(FAILURE_FORGIVEN_AFTER);
        assert_eq!(attempts.standing(address(1), later), Standing::Free);
        assert!(attempts.failed(address(1), later), "one more, and it waits again");
        let much_later = NOW.plus(FAILURE_FORGIVEN_AFTER * (FAILURES_MAX + 1));
        let again = (0..FAILURES_MAX).filter(|_| attempts.failed(address(1), much_later)).count();
        assert_eq!(again, 1, "all of its patience is back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_a_mapped_address_is_the_one_it_maps() {
        let mut attempts = Attempts::default();
        fail(&mut attempts, "2001:db8::1".parse().unwrap(), FAILURES_MAX);
        assert_ne!(attempts.standing("2001:db8::ffff:2".parse().unwrap(), NOW), Standing::Free);
        assert_eq!(attempts.standing("2001:db8:0:1::1".parse().unwrap(), NOW), Standing::Free);
        fail(&mut attempts, "::ffff:203.0.113.7".parse().unwrap(), FAILURES_MAX);
        assert_ne!(attempts.standing(address(7), NOW), Standing::Free);
    }

    #[test]
    fn a_flood_of_addresses_stays_within_its_room_and_shares_one_count() {
        let mut attempts = Attempts::default();
        let of = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0x0b00_0000 + number));
        let most = u32::try_from(FAILING_ADDRESSES_MAX).unwrap();
        for number in 0..most + 1_000 {
            attempts.failed(of(number), NOW);
        }
        assert_eq!(attempts.of.len(), FAILING_ADDRESSES_MAX);
        assert_ne!(attempts.standing(of(most + 5_000), NOW), Standing::Free, "strangers share what is left");
        let later = NOW.plus(FAILURE_FORGIVEN_AFTER * (FAILURES_MAX + 1));
        attempts.failed(of(most), later);
        assert_eq!(attempts.of.len(), 1, "what is forgiven makes room");
    }
}
