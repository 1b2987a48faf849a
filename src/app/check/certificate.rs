//! What a certificate is worth: who vouches for it, until when, whether it is the server's own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::dial;
use super::report::{Outcome, printable};
use crate::io::tls::{fingerprint, hex};

/// Fewer days than this are too few to renew at leisure.
pub const DAYS_MIN: i64 = 14;
const DAY_S: i64 = 86_400;
/// Most names of a certificate that are shown.
const NAMES_MAX: usize = 5;

/// SHA-256 over a certificate.
pub type Fingerprint = [u8; 32];

/// Reads 64 hexadecimal digits, with colons or without.
///
/// # Errors
/// If it is anything else.
pub fn parse_fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    const RULE: &str = "must be the SHA-256 fingerprint of a certificate: 64 hexadecimal digits";
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(RULE);
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| RULE)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| RULE)?;
    }
    Ok(bytes)
}

/// Who vouches for a certificate, as this machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A root of this machine, for this name.
    Vouched,
    /// A root of this machine, but for other names.
    OtherName,
    /// Nobody but itself.
    SelfSigned,
    /// Somebody whom this machine does not know.
    Unknown,
}

/// Whether the certificate is the one that the server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Known from the operator's fingerprint or the state folder.
    Proven,
    /// The server says so over this very connection.
    Said,
    /// It is another one: somebody in between opens TLS.
    Foreign,
    /// Nobody could tell.
    Untold,
}

/// A certificate as it was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Of the leaf.
    pub fingerprint: Fingerprint,
    /// Who signed it.
    pub issuer: String,
    /// For whom it is.
    pub names: Vec<String>,
    /// Days until its end, negative after it.
    pub days: i64,
    /// Who vouches for it.
    pub trust: Trust,
}

impl Shown {
    /// Looks at a chain, leaf first. `None` if there is no certificate in it, or none that can be read.
    #[must_use]
    pub fn of(chain: &[CertificateDer<'_>], host: &str, roots: Arc<RootCertStore>, now: Duration) -> Option<Self> {
        let (leaf, rest) = chain.split_first()?;
        let parsed = x509_cert::Certificate::from_der(leaf).ok()?;
        let body = parsed.tbs_certificate();
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let left = seconds(body.validity().not_after.to_unix_duration()).saturating_sub(seconds(now));
        let alternatives = body.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        let mut trust = trust(leaf, rest, host, roots, now);
        if trust == Trust::Unknown && body.issuer() == body.subject() {
            trust = Trust::SelfSigned;
        }
        Some(Self {
            fingerprint: fingerprint(leaf),
            issuer: printable(&body.issuer().to_string()),
            names: alternatives.iter().filter_map(name).take(NAMES_MAX).collect(),
            days: left.div_euclid(DAY_S),
            trust,
        })
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(printable(name.as_str())),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// The roots that this machine trusts. What cannot be read is not trusted.
#[must_use]
pub fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

fn trust(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], host: &str, roots: Arc<RootCertStore>, now: Duration) -> Trust {
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots, dial::provider()).build() else { return Trust::Unknown };
    let Ok(name) = ServerName::try_from(host) else { return Trust::Unknown };
    match verifier.verify_server_cert(leaf, rest, &name, &[], UnixTime::since_unix_epoch(now)) {
        Ok(_) => Trust::Vouched,
        // The chain is looked at first: it is good.
        Err(Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
            Trust::OtherName
        }
        Err(_) => Trust::Unknown,
    }
}

/// What is known about a certificate, to be judged. `local` is whether the check runs on the server itself.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The certificate.
    pub shown: &'a Shown,
    /// Whether it is the server's.
    pub ours: Ours,
    /// On the server, the name is whatever leads to it.
    pub local: bool,
    /// `host:port` as clients have it.
    pub authority: &'a str,
}

/// The verdict on a certificate, in plain words.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> (Outcome, String) {
    let Evidence { shown, ours, local, authority } = evidence;
    let Shown { issuer, names, days, trust, fingerprint } = shown;
    if *ours == Ours::Foreign {
        let refused = if *trust == Trust::Vouched { "" } else { " This machine does not trust it, so browsers will not connect." };
        let told = format!(
            "TLS inspection: the certificate here is not the server's own; it was issued by \"{issuer}\". Somebody in between opens \
             the encryption: a firewall, a virus scanner, or your own reverse proxy.{refused} Ask the firewall people to exempt \
             {authority} from TLS inspection."
        );
        return (Outcome::Impaired, told);
    }
    if *days < 0 {
        let told = format!("The certificate expired {} days ago, or a clock is wrong: renew it, then send SIGHUP to konsil.", -days);
        return (Outcome::Impaired, told);
    }
    if *days < DAYS_MIN {
        return (Outcome::Impaired, format!("The certificate ends in {days} days: renew it, then send SIGHUP to konsil."));
    }
    let sha = hex(fingerprint);
    match (trust, ours) {
        (Trust::Vouched, _) => (Outcome::Fine, format!("Issued by \"{issuer}\", good for {days} days.")),
        (Trust::OtherName, _) if *local => {
            (Outcome::Fine, format!("Issued by \"{issuer}\" for {}, good for {days} days. Clients must use that name.", names.join(", ")))
        }
        (Trust::OtherName, _) => {
            let told = format!("The certificate is for {}, not for the name in {authority}: use that name.", names.join(", "));
            (Outcome::Impaired, told)
        }
        (Trust::SelfSigned | Trust::Unknown, Ours::Proven) => {
            let told = format!(
                "The server's own, good for {days} days, but this machine trusts it only because it was compared: browsers warn once, \
                 apps refuse. For everyday use set http.cert to one that clients trust. SHA-256 {sha}"
            );
            (Outcome::Fine, told)
        }
        (Trust::SelfSigned, _) => {
            let told = format!(
                "Self-signed: browsers warn, apps refuse, TURN over TLS fails in browsers. Set http.cert to a certificate that clients trust, or compare \
                 this SHA-256 with what konsil check says on the server, and give it here as --fingerprint: {sha}"
            );
            (Outcome::Impaired, told)
        }
        _ => {
            let told = format!(
                "Issued by \"{issuer}\", whom this machine does not trust. If that is your own authority, install its root here; if you \
                 do not know it, somebody may open TLS in between: compare this SHA-256 with what konsil check says on the server: {sha}"
            );
            (Outcome::Impaired, told)
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::io::tls::Pem;

    const NOW: Duration = Duration::from_secs(1_750_000_000);

    fn shown(roots: bool, host: &str) -> Shown {
        let pem = Pem::self_signed(&[], NOW).unwrap();
        let der = CertificateDer::from_pem_slice(&pem.cert).unwrap();
        let mut store = RootCertStore::empty();
        if roots {
            store.add(der.clone()).unwrap();
        }
        Shown::of(&[der], host, Arc::new(store), NOW).unwrap()
    }

    fn told(shown: &Shown, ours: Ours, local: bool) -> (Outcome, String) {
        judge(&Evidence { shown, ours, local, authority: "a.example:443" })
    }

    #[test]
    fn certificates_are_read() {
        let own = shown(false, "localhost");
        assert_eq!((own.trust, own.days), (Trust::SelfSigned, 396));
        assert_eq!(own.names, ["localhost", "127.0.0.1", "::1"]);
        assert!(own.issuer.contains("Konsil self-signed"), "{}", own.issuer);
        assert_eq!(parse_fingerprint(&hex(&own.fingerprint)), Ok(own.fingerprint));
        assert_eq!(shown(true, "localhost").trust, Trust::Vouched);
        assert_eq!(shown(true, "a.example").trust, Trust::OtherName);
        assert!(Shown::of(&[CertificateDer::from(vec![1, 2])], "a", Arc::new(RootCertStore::empty()), NOW).is_none());
    }

    #[test]
    fn inspection_is_named_even_where_its_root_is_trusted() {
        for trusted in [true, false] {
            let (outcome, words) = told(&shown(trusted, "localhost"), Ours::Foreign, false);
            assert_eq!(outcome, Outcome::Impaired);
            assert!(words.starts_with("TLS inspection") && words.contains("exempt a.example:443"), "{words}");
            assert_eq!(words.contains("does not trust"), !trusted);
        }
    }

    #[test]
    fn a_certificate_about_to_end_is_told() {
        let mut own = shown(true, "localhost");
        assert_eq!(told(&own, Ours::Said, false).0, Outcome::Fine);
        own.days = 13;
        assert!(told(&own, Ours::Said, false).1.contains("ends in 13 days"));
        own.days = -2;
        assert!(told(&own, Ours::Said, false).1.contains("expired 2 days ago"));
    }

    #[test]
    fn self_signed_ones_are_fine_where_they_are_known() {
        let own = shown(false, "localhost");
        assert_eq!(told(&own, Ours::Proven, true).0, Outcome::Fine);
        for ours in [Ours::Said, Ours::Untold] {
            let (outcome, words) = told(&own, ours, false);
            assert!(outcome == Outcome::Impaired && words.contains(&hex(&own.fingerprint)), "{words}");
        }
    }

    #[test]
    fn the_name_matters_to_clients_only() {
        let own = shown(true, "a.example");
        assert_eq!(told(&own, Ours::Said, true).0, Outcome::Fine);
        assert_eq!(told(&own, Ours::Said, false).0, Outcome::Impaired);
    }

    #[test]
    fn other_fingerprints_are_refused() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(66)] {
            assert!(parse_fingerprint(text).is_err(), "{text}");
        }
        assert_eq!(parse_fingerprint(&["AB"; 32].join(":")), Ok([0xab; 32]));
    }
}
