//! How often somebody may try to log in. From one address: so often, whoever they say they are. As one person: less often, and
//! counted apart for the browsers that this person has logged in with before; so whoever guesses at somebody's password
//! uses up strangers' attempts and never theirs.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Origin, Secret};
use crate::{error::Refusal, rate::Rate};

/// Attempts from one address in a minute, and in a row: an office behind one address logs in after an outage.
const OF_ADDRESS: (u32, u32) = (30, 240);
/// Attempts as one person in a minute, and in a row, from one browser they used before, and from all others together. At one a minute,
/// somebody who guesses has some half a million tries a year.
const AS_PERSON: (u32, u32) = (1, 20);
/// Failed attempts of which there is a line on the record in a minute, and in a row; the others are counted in the next line.
const RECORDED: (u32, u32) = (30, 60);

/// The buckets.
pub(super) struct Attempts {
    addresses: Rate<Option<IpAddr>>,
    /// From browsers that a person has used before. Nobody else has a key here, so however many names are tried elsewhere,
    /// this stays theirs.
    known: Rate<String>,
    strangers: Rate<String>,
    recorded: Rate<()>,
    left_out: AtomicU64,
    key: [u8; 32],
}

impl Attempts {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self {
            addresses: Rate::new(OF_ADDRESS.0, OF_ADDRESS.1),
            known: Rate::new(AS_PERSON.0, AS_PERSON.1),
            strangers: Rate::new(AS_PERSON.0, AS_PERSON.1),
            recorded: Rate::new(RECORDED.0, RECORDED.1),
            left_out: AtomicU64::new(0),
            key,
        }
    }

    /// Counts an attempt from somewhere.
    pub(super) fn from(&self, origin: &Origin) -> Result<(), Duration> {
        self.addresses.check(&origin.address.map(network))
    }

    /// Counts an attempt as somebody, whether or not there is such an account.
    pub(super) fn of(&self, name: &str, origin: &Origin) -> Result<(), Duration> {
        match origin.device.as_deref().filter(|device| self.knows(name, device)) {
            // What seals it is over the name, so it is one person's.
            Some(device) => self.known.check(&device.to_owned()),
            None => self.strangers.check(&name.to_owned()),
        }
    }

    /// Whether a failed attempt is to have a line of its own, and how many before it had none.
    pub(super) fn to_record(&self) -> Option<u64> {
        if self.recorded.check(&()).is_ok() {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// What a browser is given to be known again as one that this person uses: what it has, if that is sound.
    pub(super) fn device(&self, name: &str, before: Option<&str>) -> Result<String, Refusal> {
        if let Some(before) = before.filter(|before| self.knows(name, before)) {
            return Ok(before.to_owned());
        }
        let nonce = Secret::new()?;
        Ok(format!("{}.{}", nonce.reveal(), self.seal(name, nonce.reveal())))
    }

    fn knows(&self, name: &str, device: &str) -> bool {
        device
            .split_once('.')
            .is_some_and(|(nonce, seal)| self.seal(name, nonce).as_bytes().ct_eq(seal.as_bytes()).into())
    }

    fn seal(&self, name: &str, nonce: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            // HMAC takes keys of every length; were it not so, no browser would be known.
            return String::new();
        };
        mac.update(b"device\0");
        mac.update(name.as_bytes());
        mac.update(b"\0");
        mac.update(nonce.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

/// Whoever has an IPv6 address has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(address: &str, device: Option<&str>) -> Origin {
        Origin { address: Some(address.parse().unwrap()), device: device.map(str::to_owned), ..Origin::default() }
    }

    #[test]
    fn whoever_guesses_keeps_nobody_out_who_was_here_before() {
        let attempts = Attempts::new([1; 32]);
        let device = attempts.device("grace", None).unwrap();
        let guesses = (0..100).filter(|n| attempts.of("grace", &at(&format!("192.0.2.{n}"), None)).is_ok()).count();
        assert_eq!(guesses, 20, "whatever addresses they come from");
        assert!(attempts.of("grace", &at("192.0.2.1", Some(&device))).is_ok(), "her own browser");
        assert!(attempts.of("ada", &at("192.0.2.1", None)).is_ok(), "another person");
        let others = attempts.device("ada", None).unwrap();
        for forged in [others.as_str(), "", ".", "a.b", &format!("{device}x")] {
            assert!(attempts.of("grace", &at("192.0.2.1", Some(forged))).is_err(), "{forged}");
        }
        let elsewhere = Attempts::new([2; 32]).device("grace", None).unwrap();
        assert!(attempts.of("grace", &at("192.0.2.1", Some(&elsewhere))).is_err(), "of another host");
    }

    #[test]
    fn a_browser_stays_the_same_and_has_no_attempts_without_end() {
        let attempts = Attempts::new([1; 32]);
        let device = attempts.device("grace", None).unwrap();
        assert_eq!(attempts.device("grace", Some(&device)).unwrap(), device);
        assert_ne!(attempts.device("ada", Some(&device)).unwrap(), device);
        let tried = (0..100).filter(|_| attempts.of("grace", &at("::1", Some(&device))).is_ok()).count();
        assert_eq!(tried, 20);
    }

    #[test]
    fn one_address_has_its_own_attempts_and_a_network_is_one() {
        let attempts = Attempts::new([1; 32]);
        let tried = |n: u32| (0..n).filter(|i| attempts.from(&at(&format!("2001:db8::{i:x}"), None)).is_ok()).count();
        assert_eq!(tried(400), 240);
        assert!(attempts.from(&at("2001:db8:0:1::1", None)).is_ok());
        assert!(attempts.from(&at("192.0.2.1", None)).is_ok());
    }

    #[test]
    fn what_is_not_recorded_is_counted() {
        let attempts = Attempts::new([1; 32]);
        let lines: Vec<_> = (0..100).filter_map(|_| attempts.to_record()).collect();
        assert_eq!((lines.len(), lines.iter().sum::<u64>()), (60, 0));
        assert_eq!(attempts.left_out.load(Ordering::Relaxed), 40);
    }
}
