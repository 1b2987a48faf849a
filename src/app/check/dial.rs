//! Connections to the server under check.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::Fault;

/// How long name resolution may take.
pub const RESOLVE: Duration = Duration::from_secs(5);
/// How long one address may take to accept a connection.
pub const CONNECT: Duration = Duration::from_secs(4);
/// How long a TLS handshake or one answer may take.
pub const ANSWER: Duration = Duration::from_secs(5);
/// Most addresses that are tried.
pub const ADDRESSES_MAX: usize = 4;

/// The addresses behind a name.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let found = timeout(RESOLVE, tokio::net::lookup_host((host, port))).await.map_err(|_| Fault::Silence)??;
    let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(Fault::Unreachable) } else { Ok(found) }
}

/// The first address that takes a connection, and the connection; else why the last one did not.
pub async fn connect(addresses: &[SocketAddr]) -> Result<(SocketAddr, TcpStream), Fault> {
    let mut fault = Fault::Unreachable;
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok((*address, stream));
            }
            Ok(Err(refused)) => fault = refused.into(),
            Err(_) => fault = Fault::Silence,
        }
    }
    Err(fault)
}

/// TLS over a connection, whoever's certificate comes: it is judged afterwards.
pub async fn cover(stream: TcpStream, host: &str, protocols: &[&[u8]]) -> Result<TlsStream<TcpStream>, Fault> {
    let system = |fault: rustls::Error| Fault::System(fault.to_string());
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(system)?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(JudgedLater(provider()))).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::System("the name cannot stand in a certificate".to_owned()))?;
    let shaken = timeout(ANSWER, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    Ok(shaken.map_err(|_| Fault::Silence)??)
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Takes any certificate, but checks that whoever shows it has its key.
#[derive(Debug)]
struct JudgedLater(Arc<CryptoProvider>);

impl ServerCertVerifier for JudgedLater {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
