//! Certificates: the self-signed pair, PEM files, what the TLS listener presents.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::bsi;
use crate::config::Crypto;

const DAY: Duration = Duration::from_hours(24);
/// How long a self-signed certificate lives: browsers refuse 398 days and more.
const LIFE: Duration = Duration::from_hours(397 * 24);
/// A self-signed certificate is replaced when it has less than this left.
pub const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The texts are no PEM chain with its key.
    #[error("{0}")]
    Pem(&'static str),
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the private key and the certificate do not fit: {0}")]
    Pair(rustls::Error),
    /// A self-signed certificate could not be made.
    #[error("a self-signed certificate cannot be made: {0}")]
    Make(rcgen::Error),
    /// The profile "bsi" does not take a key of the chain.
    #[error("certificate {0} of the chain has a key that crypto = \"bsi\" does not take; P-256, P-384 or RSA from 3000 bits on is right")]
    Outside(usize),
}

/// A chain with its key, as PEM texts.
#[derive(Clone)]
pub struct Pem {
    /// The chain, leaf first.
    pub cert: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl Pem {
    /// A self-signed pair (P-256, not a CA) for localhost, the loopback addresses and `advertised`.
    ///
    /// `now` is the time since 1970.
    ///
    /// # Errors
    /// If the system's randomness fails.
    pub fn self_signed(advertised: &[IpAddr], now: Duration) -> Result<Self, TlsError> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(TlsError::Make)?;
        params.subject_alt_names.extend(addresses(advertised).into_iter().map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, "Konsil self-signed");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        // A day back, for clients whose clock is late.
        params.not_before = epoch + now.saturating_sub(DAY);
        params.not_after = epoch + (now.saturating_sub(DAY) + LIFE);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(TlsError::Make)?;
        let cert = params.self_signed(&key).map_err(TlsError::Make)?;
        Ok(Self { cert: cert.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
    }

    /// Whether this self-signed pair is good for `advertised` for [`RENEW_BEFORE`] from `now` on.
    #[must_use]
    pub fn serves(&self, advertised: &[IpAddr], now: Duration) -> bool {
        let Ok(pair) = self.certified() else { return false };
        let Some(leaf) = pair.cert.first() else { return false };
        let mut roots = RootCertStore::empty();
        if roots.add(leaf.clone()).is_err() {
            return false;
        }
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() else { return false };
        let mut names: Vec<ServerName<'_>> =
            addresses(advertised).into_iter().map(|address| ServerName::IpAddress(address.into())).collect();
        names.extend(ServerName::try_from("localhost"));
        let then = UnixTime::since_unix_epoch(now + RENEW_BEFORE);
        names.iter().all(|name| verifier.verify_server_cert(leaf, &[], name, &[], then).is_ok())
    }

    /// Whether the profile takes the keys of the whole chain.
    ///
    /// # Errors
    /// Which certificate it does not take, or that there is none.
    pub fn fits(&self, crypto: Crypto) -> Result<(), TlsError> {
        let outside = if crypto == Crypto::Bsi { bsi::outside(&self.chain()?) } else { None };
        outside.map_or(Ok(()), |at| Err(TlsError::Outside(at)))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::Pem("the certificate file has no PEM certificate"))
    }

    fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain = self.chain()?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::Pem("the key file has no PEM private key"))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Pair)
    }
}

fn addresses(advertised: &[IpAddr]) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
    for address in advertised {
        if !all.contains(address) {
            all.push(*address);
        }
    }
    all
}

/// SHA-256 over a certificate in its DER form.
#[must_use]
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, der).as_ref());
    bytes
}

/// A fingerprint as people compare it: hexadecimal digits.
#[must_use]
pub fn hex(fingerprint: &[u8; 32]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    fingerprint.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The certificate that new connections see; it can be exchanged while the server runs.
#[derive(Debug)]
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Checks that chain and key fit each other.
    ///
    /// # Errors
    /// If they do not, or if they are no PEM.
    pub fn new(pem: &Pem) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(pem.certified()?)))))
    }

    /// Presents `pem` from the next handshake on; a pair that does not fit changes nothing.
    ///
    /// # Errors
    /// As [`Certificate::new`].
    pub fn replace(&self, pem: &Pem) -> Result<(), TlsError> {
        let fresh = Arc::new(pem.certified()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// SHA-256 over what is presented now.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let pair = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        // A pair has a leaf, or `new` had refused it.
        fingerprint(pair.cert.first().map_or(&[][..], |leaf| leaf))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// TLS 1.3 and 1.2 with `certificate` and what the profile takes, offering HTTP/2, HTTP/1.1 and TURN.
///
/// # Errors
/// If the provider supports none of these versions, which does not happen with aws-lc-rs.
pub fn server_config(certificate: Arc<Certificate>, crypto: Crypto) -> Result<Arc<ServerConfig>, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(bsi::provider(crypto)).with_safe_default_protocol_versions().map_err(TlsError::Pair)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    bsi::harden(&mut config, crypto);
    // TURN has a name of its own there (RFC 7443 §4).
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), b"stun.turn".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_750_000_000);

    #[test]
    fn fresh_pairs_serve_their_addresses() {
        let advertised = ["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let pem = Pem::self_signed(&advertised, NOW).unwrap();
        assert!(pem.serves(&advertised, NOW) && pem.serves(&[], NOW));
        assert!(!pem.serves(&["203.0.113.8".parse().unwrap()], NOW));
    }

    #[test]
    fn pairs_are_renewed_thirty_days_before_their_end() {
        let pem = Pem::self_signed(&[], NOW).unwrap();
        // 397 days without the one before now and the last 30.
        let kept = Duration::from_hours(366 * 24);
        assert!(pem.serves(&[], NOW + kept.saturating_sub(Duration::from_mins(1))));
        assert!(!pem.serves(&[], NOW + kept + Duration::from_mins(1)));
    }

    #[test]
    fn pairs_must_fit() {
        let one = Pem::self_signed(&[], NOW).unwrap();
        let other = Pem::self_signed(&[], NOW).unwrap();
        let mixed = Pem { cert: one.cert.clone(), key: other.key.clone() };
        assert!(!mixed.serves(&[], NOW));
        assert!(matches!(Certificate::new(&mixed), Err(TlsError::Pair(_))));
        assert!(matches!(Certificate::new(&Pem { cert: Vec::new(), key: one.key.clone() }), Err(TlsError::Pem(_))));
        assert!(matches!(Certificate::new(&Pem { cert: one.cert.clone(), key: b"x".to_vec() }), Err(TlsError::Pem(_))));
        let shown = Certificate::new(&one).unwrap();
        assert!(shown.replace(&mixed).is_err() && shown.replace(&other).is_ok());
    }
}
