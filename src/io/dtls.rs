//! DTLS of the profile "bsi": it agrees to less than the library's own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use dimpl::crypto::{Dtls12CipherSuite, NamedGroup};
use dimpl::{Config, Dtls, DtlsCertificate, SecurityError};
use str0m::crypto::dtls::{DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile};
use str0m::crypto::{CryptoError, CryptoProvider};

use crate::config::Crypto;

/// Suites of DTLS 1.2, the one version that str0m speaks with browsers.
const SUITES: [Dtls12CipherSuite; 2] = [Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384, Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256];
/// Groups, the preferred one first.
const GROUPS: [NamedGroup; 2] = [NamedGroup::Secp256r1, NamedGroup::Secp384r1];
/// Longest flight of one poll in bytes, above every MTU.
const PACKET_MAX: usize = 2048;
/// Most datagrams of the flight that begins with the server's choice.
const FLIGHT_MAX: usize = 16;
/// A fatal alert before there are keys: handshake failure (RFC 5246 §7.2, RFC 6347 §4.1). Its number in the sequence is one that
/// no handshake reaches.
const ALERT: [u8; 15] = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 2, 2, 40];

/// What str0m takes its cryptography from.
#[must_use]
pub fn provider(crypto: Crypto) -> CryptoProvider {
    let library = str0m::crypto::from_feature_flags();
    match crypto {
        Crypto::Default => library,
        Crypto::Bsi => CryptoProvider { dtls_provider: &Strict, ..library },
    }
}

/// DTLS 1.2 with ECDHE over P-256 or P-384, AES-GCM, and AES-GCM for SRTP.
#[derive(Debug)]
struct Strict;

impl DtlsProvider for Strict {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        // P-256 with SHA-256.
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        if version != DtlsVersion::Dtls12 {
            return Err(CryptoError::Other("the profile has DTLS 1.2 alone".to_owned()));
        }
        // Connectivity checks have proved the client's address, so that no cookie need do it.
        let mut builder = Config::builder().use_server_cookie(false).dtls12_cipher_suites(&SUITES).kx_groups(&GROUPS);
        if let Some(mtu) = mtu {
            builder = builder.mtu(mtu);
        }
        let config = builder.build().map_err(|fault| CryptoError::Other(fault.to_string()))?;
        let cert = DtlsCertificate { certificate: cert.certificate.clone(), private_key: cert.private_key.clone() };
        let inner = Dtls::new_12(Arc::new(config), cert, now);
        Ok(Box::new(Guarded { inner, stage: Stage::Open, flight: VecDeque::new(), now }))
    }
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is chosen yet.
    Open,
    /// What was chosen may be.
    Fits,
    /// What was chosen may not be: nothing is said or heard any more.
    Refused,
}

/// A DTLS connection that ends where SRTP would be AES-CM with HMAC-SHA1, which the library has no switch for.
struct Guarded {
    inner: Dtls,
    stage: Stage,
    /// What waits to be sent: the flight that the choice was found in, or the alert.
    flight: VecDeque<Vec<u8>>,
    now: Instant,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(..)")
    }
}

impl Guarded {
    /// Looks at what the library is about to answer, before any of it leaves.
    fn judge(&mut self) -> Result<(), DtlsImplError> {
        let mut buffer = [0; PACKET_MAX];
        while self.flight.len() < FLIGHT_MAX {
            let DtlsOutput::Packet(packet) = self.inner.poll_output(&mut buffer) else { break };
            self.flight.push_back(packet.to_vec());
            match chosen(packet) {
                Some(Choice::Srtp(SrtpProfile::AES128_CM_SHA1_80)) => return Err(self.refuse()),
                Some(_) => {
                    self.stage = Stage::Fits;
                    break;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn refuse(&mut self) -> DtlsImplError {
        self.stage = Stage::Refused;
        self.flight = VecDeque::from([ALERT.to_vec()]);
        outside()
    }
}

/// There is no error of the library's own for it.
fn outside() -> DtlsImplError {
    DtlsImplError::SecurityError(SecurityError::NoMutuallyAcceptableCipherSuite)
}

impl DtlsInstance for Guarded {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        if self.stage == Stage::Refused {
            return Err(outside());
        }
        self.inner.handle_packet(packet)?;
        // A server's choice is its own; as a client it would hear of it, and `poll_output` sees what came of it.
        if self.stage == Stage::Open && !self.inner.is_active() { self.judge() } else { Ok(()) }
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        if let Some(packet) = self.flight.pop_front() {
            let Some(room) = buf.get_mut(..packet.len()) else {
                let needed = packet.len();
                self.flight.push_front(packet);
                return DtlsOutput::BufferTooSmall { needed };
            };
            room.copy_from_slice(&packet);
            return DtlsOutput::Packet(room);
        }
        if self.stage == Stage::Refused {
            // At once: `handle_timeout` ends the connection.
            return DtlsOutput::Timeout(self.now);
        }
        match self.inner.poll_output(buf) {
            DtlsOutput::KeyingMaterial(_, SrtpProfile::AES128_CM_SHA1_80) => {
                self.refuse();
                DtlsOutput::Timeout(self.now)
            }
            other => other,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        if self.stage == Stage::Refused { Err(outside()) } else { self.inner.handle_timeout(now) }
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if self.stage == Stage::Refused { Err(outside()) } else { self.inner.send_application_data(data) }
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

/// What a `ServerHello` says of SRTP (RFC 5764 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// It chooses this profile.
    Srtp(SrtpProfile),
    /// It chooses none, or one that nobody knows.
    Nothing,
}

/// What a datagram's `ServerHello` chooses; `None` if there is none in front.
fn chosen(datagram: &[u8]) -> Option<Choice> {
    // The headers of record and handshake (RFC 6347 §4.1, §4.2.2), then version and random.
    let [22, _, _, 0, 0, ..] = datagram else { return None };
    let hello = datagram.get(13..).filter(|hello| hello.first() == Some(&2))?;
    Some(profile_of(hello.get(12 + 34..).unwrap_or_default()).map_or(Choice::Nothing, Choice::Srtp))
}

/// Looks for `use_srtp` behind a `ServerHello`'s random.
fn profile_of(rest: &[u8]) -> Option<SrtpProfile> {
    let session = usize::from(*rest.first()?);
    // The suite, the compression, the length of all extensions.
    let mut extensions = rest.get(1 + session + 2 + 1 + 2..)?;
    while let [a, b, c, d, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*c, *d]));
        if [*a, *b] == [0, 14] {
            return match rest.get(2..4)? {
                [0, 1] => Some(SrtpProfile::AES128_CM_SHA1_80),
                [0, 7] => Some(SrtpProfile::AEAD_AES_128_GCM),
                [0, 8] => Some(SrtpProfile::AEAD_AES_256_GCM),
                _ => None,
            };
        }
        extensions = rest.get(length..)?;
    }
    None
}

#[cfg(test)]
#[path = "dtls_tests.rs"]
mod tests;
