//! A guest's own keys: with them a test seals RTCP that str0m would not send.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{AeadAes256Gcm, CryptoError, CryptoProvider};

/// Labels of the key derivation (RFC 3711 §4.3.2).
const LABEL_KEY: u8 = 3;
const LABEL_SALT: u8 = 5;
/// The first index of forged packets, far above those that str0m has used.
const FIRST_INDEX: u32 = 1 << 24;
/// Bytes that stay clear: the first packet's header and sender (RFC 3711 §3.4).
const CLEAR: usize = 8;

type Stolen = Arc<Mutex<Option<Vec<u8>>>>;

std::thread_local! {
    /// The keys of the `Rtc` that this thread built last.
    static LAST: Mutex<Stolen> = Mutex::default();
}

/// What seals a guest's RTCP.
#[derive(Debug, Default)]
pub struct Keys {
    stolen: Stolen,
    sent: u32,
}

/// The provider for a client whose keys are to be known.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider: &Thief, ..str0m::crypto::from_feature_flags() })
}

/// The keys of the client that was built last in this thread, by [`provider`].
pub fn last() -> Keys {
    let stolen = LAST.with(|last| Arc::clone(&last.lock().unwrap_or_else(PoisonError::into_inner)));
    Keys { stolen, sent: 0 }
}

impl Keys {
    /// Seals RTCP of 8 bytes or more, whatever it says (RFC 7714 §9).
    pub fn seal(&mut self, rtcp: &[u8]) -> Vec<u8> {
        let provider = str0m::crypto::from_feature_flags().srtp_provider;
        let stolen = self.stolen.lock().unwrap();
        let material = stolen.as_deref().expect("a handshake that is over");
        let (mut key, mut salt) = ([0; AeadAes256Gcm::KEY_LEN], [0; AeadAes256Gcm::SALT_LEN]);
        // The worker is passive: a guest has the left keys.
        let master = &material[..AeadAes256Gcm::KEY_LEN];
        let master_salt = &material[2 * AeadAes256Gcm::KEY_LEN..][..AeadAes256Gcm::SALT_LEN];
        for (label, out) in [(LABEL_KEY, &mut key[..]), (LABEL_SALT, &mut salt[..])] {
            for (round, part) in (0_u16..).zip(out.chunks_mut(16)) {
                let mut input = [0; 16];
                input[..master_salt.len()].copy_from_slice(master_salt);
                input[7] ^= label;
                input[14..].copy_from_slice(&round.to_be_bytes());
                let mut block = [0; 32];
                provider.srtp_aes_256_ecb_round(master, &input, &mut block);
                part.copy_from_slice(&block[..part.len()]);
            }
        }
        let index = FIRST_INDEX + self.sent;
        self.sent += 1;
        let (head, body) = rtcp.split_at(CLEAR);
        let encrypted = (1_u32 << 31 | index).to_be_bytes();
        let ssrc = u32::from_be_bytes(head[4..].try_into().unwrap());
        let mut sealed = vec![0; rtcp.len() + AeadAes256Gcm::TAG_LEN];
        sealed[..CLEAR].copy_from_slice(head);
        let (iv, aad) = (AeadAes256Gcm::rtcp_iv(salt, ssrc, index), [head, &encrypted].concat());
        let mut cipher = provider.aead_aes_256_gcm().create_cipher(key, true);
        cipher.encrypt(&iv, &aad, body, &mut sealed[CLEAR..]).unwrap();
        sealed.extend(encrypted);
        sealed
    }
}

/// DTLS as it is, but for a look at the keys.
#[derive(Debug)]
struct Thief;

impl DtlsProvider for Thief {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = str0m::crypto::from_feature_flags().dtls_provider.new_dtls(cert, now, version, mtu)?;
        let stolen = Stolen::default();
        LAST.with(|last| *last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&stolen));
        Ok(Box::new(Watched { inner, stolen }))
    }
}

#[derive(Debug)]
struct Watched {
    inner: Box<dyn DtlsInstance>,
    stolen: Stolen,
}

impl DtlsInstance for Watched {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.inner.poll_output(buf) {
            DtlsOutput::KeyingMaterial(material, profile) => {
                assert_eq!(profile, SrtpProfile::AEAD_AES_256_GCM);
                *self.stolen.lock().unwrap() = Some(material.to_vec());
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(&material), profile)
            }
            other => other,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
