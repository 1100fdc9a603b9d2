//! Client certificates: a chain and its key, checked when they are read, and when they end.
//!
//! Owns: what makes a certificate and a key a pair, and the two dates in a certificate. Never: reads a clock, trusts or
//! distrusts anybody; that is TLS. Shows a key. Fails: with what is wrong, so that a finding can say it.
//! Proved by: the tests here; a handshake with it in `tests/servicenow/credentials.rs`.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::assertion::{BadKey, private_key};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::limits::CERTIFICATES_MAX;

/// A certificate by which we prove to a server who we are, and its key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pem: Secret,
    validity: Validity,
}

/// From when and until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub begins: Timestamp,
    /// Its last moment.
    pub ends: Timestamp,
}

/// Why a certificate and a key are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// There is no certificate in the text.
    #[error("there is no certificate in it: it must be PEM that begins with `-----BEGIN CERTIFICATE-----`")]
    NotCertificate,
    /// The text, or what is in it, is cut or garbled.
    #[error("the certificate is cut or garbled")]
    Garbled,
    /// More than anybody's chain has.
    #[error("there are more than {CERTIFICATES_MAX} certificates in it")]
    TooMany,
    /// The key itself is of no use.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// They are not a pair.
    #[error("the key does not belong to the certificate, or the certificate is not the first one of its chain")]
    Mismatch,
}

impl ClientCertificate {
    /// Reads a chain, our own certificate first, and its key; both PEM.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, BadCertificate> {
        let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .take(CERTIFICATES_MAX + 1)
            .collect::<Result<_, _>>()
            .map_err(|_| BadCertificate::Garbled)?;
        if certificates.len() > CERTIFICATES_MAX {
            return Err(BadCertificate::TooMany);
        }
        let own = certificates.first().ok_or(BadCertificate::NotCertificate)?;
        let validity = validity(own).ok_or(BadCertificate::Garbled)?;
        let parsed = private_key(key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(certificates, parsed, &provider).map_err(|error| {
            if error == TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) {
                BadCertificate::Mismatch
            } else if matches!(error, TlsError::InvalidCertificate(_)) {
                BadCertificate::Garbled
            } else {
                BadCertificate::Key(BadKey::Unsupported)
            }
        })?;
        Ok(Self { pem: Secret::new(format!("{chain}\n{key}")), validity })
    }

    /// Chain and key, as PEM.
    pub const fn pem(&self) -> &Secret {
        &self.pem
    }

    /// From when and until when it is good.
    pub const fn validity(&self) -> Validity {
        self.validity
    }
}

/// The two dates of a certificate (RFC 5280, 4.1): the fifth part of what is signed, the version being optional.
fn validity(certificate: &[u8]) -> Option<Validity> {
    const CONTEXT_0: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut signed, _) = element(certificate)?;
    if signed.first() == Some(&CONTEXT_0) {
        signed = element(signed)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        signed = element(signed)?.2;
    }
    let (_, dates, _) = element(signed)?;
    let (kind, begins, rest) = element(dates)?;
    let begins = moment(kind, begins)?;
    let (kind, ends, _) = element(rest)?;
    Some(Validity { begins, ends: moment(kind, ends)? })
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // At most four bytes of length; nothing that we read has four gigabytes.
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` before 2050, `YYYYMMDDHHMMSSZ` from then on.
fn moment(kind: u8, text: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = str::from_utf8(text).ok()?;
    let text = match kind {
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    let stamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_millis(stamp.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(from: i32, until: i32) -> (String, KeyPair) {
        let mut params = CertificateParams::new(vec!["snowgate".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 2), date_time_ymd(until, 11, 22));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key)
    }

    #[test]
    fn a_pair_is_taken_and_its_dates_are_known() {
        for (from, until) in [(1999, 2026), (2026, 2049), (2049, 2050), (2050, 2120)] {
            let (certificate, key) = made(from, until);
            let taken = ClientCertificate::from_pem(&certificate, &key.serialize_pem()).unwrap();
            let Validity { begins, ends } = taken.validity();
            assert_eq!(begins.to_string(), format!("{from}-01-02T00:00:00.000Z"));
            assert_eq!(ends.to_string(), format!("{until}-11-22T00:00:00.000Z"));
            assert!(!format!("{taken:?}").contains("BEGIN"));
        }
    }

    #[test]
    fn what_is_no_pair_says_why() {
        let (certificate, key) = made(2020, 2030);
        let (other, _) = made(2020, 2030);
        let key = key.serialize_pem();
        let cut = certificate.split("-----END").next().unwrap().to_owned();
        for (chain, key, expected) in [
            (String::new(), key.as_str(), BadCertificate::NotCertificate),
            (key.clone(), &key, BadCertificate::NotCertificate),
            (cut, &key, BadCertificate::Garbled),
            (
                "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n".to_owned(),
                &key,
                BadCertificate::Garbled,
            ),
            (certificate.clone(), "", BadCertificate::Key(BadKey::NotPrivate)),
            (other.clone(), &key, BadCertificate::Mismatch),
            (format!("{other}{certificate}"), &key, BadCertificate::Mismatch),
            (certificate.repeat(CERTIFICATES_MAX + 1), &key, BadCertificate::TooMany),
        ] {
            assert_eq!(ClientCertificate::from_pem(&chain, key).unwrap_err(), expected, "{chain}");
        }
        assert!(
            ClientCertificate::from_pem(&format!("{certificate}{other}"), &key).is_ok(),
            "a chain has more than one"
        );
    }
}
