//! TLS of the profile "bsi": its suites, its groups, the keys that certificates may have.

use std::sync::Arc;

use ::aws_lc_rs::rsa::PublicEncryptingKey;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, SupportedCipherSuite};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};

use crate::config::Crypto;

/// TLS 1.3 and 1.2, AES-GCM alone, and in 1.2 with ECDHE alone.
const SUITES: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];
const GROUPS: [&dyn SupportedKxGroup; 2] = [kx_group::SECP256R1, kx_group::SECP384R1];
/// Shortest modulus of an RSA key in bits.
const RSA_MIN: usize = 3000;
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What TLS takes its cryptography from.
#[must_use]
pub fn provider(crypto: Crypto) -> Arc<CryptoProvider> {
    let library = default_provider();
    Arc::new(match crypto {
        Crypto::Default => library,
        Crypto::Bsi => CryptoProvider { cipher_suites: SUITES.to_vec(), kx_groups: GROUPS.to_vec(), ..library },
    })
}

/// Switches that the profile wants beside its algorithms.
pub(super) fn harden(config: &mut ServerConfig, crypto: Crypto) {
    // Only TLS 1.2 asks for it (RFC 7627).
    config.require_ems |= crypto == Crypto::Bsi;
}

/// The place in a chain, from 1, of the first certificate whose key the profile does not take: neither P-256 nor P-384,
/// nor RSA from 3,000 bits on.
#[must_use]
pub fn outside(chain: &[CertificateDer<'_>]) -> Option<usize> {
    chain.iter().position(|certificate| !takes(certificate)).map(|at| at + 1)
}

fn takes(certificate: &CertificateDer<'_>) -> bool {
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate) else { return false };
    let key = parsed.tbs_certificate().subject_public_key_info();
    match key.algorithm.oid {
        EC => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
            curve.is_some_and(|curve| [P256, P384].contains(&curve))
        }
        RSA => key.to_der().is_ok_and(|der| PublicEncryptingKey::from_der(&der).is_ok_and(|key| key.key_size_bits() >= RSA_MIN)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
    use rustls::NamedGroup;

    use super::*;

    fn chain(algorithm: &'static SignatureAlgorithm) -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        vec![CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().der().clone()]
    }

    #[test]
    fn the_profile_has_gcm_with_two_groups() {
        let provider = provider(Crypto::Bsi);
        assert!(provider.cipher_suites.iter().all(|suite| format!("{:?}", suite.suite()).contains("_GCM_")));
        let groups: Vec<NamedGroup> = provider.kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups, [NamedGroup::secp256r1, NamedGroup::secp384r1]);
    }

    #[test]
    fn only_keys_of_the_profile_are_taken() {
        let [p256, p384] = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384].map(chain);
        let [p521, ed25519] = [&rcgen::PKCS_ECDSA_P521_SHA512, &rcgen::PKCS_ED25519].map(chain);
        assert_eq!([&p256, &p384, &p521, &ed25519].map(|chain| outside(chain)), [None, None, Some(1), Some(1)]);
        assert_eq!(outside(&[p256, ed25519].concat()), Some(2));
        assert_eq!(outside(&[CertificateDer::from(vec![1, 2, 3])]), Some(1));
    }
}
