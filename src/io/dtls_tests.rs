//! Handshakes of the profile with clients that offer less, on virtual time.

use std::time::Duration;

use super::*;

/// What came of a handshake.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// The profile of the keys that the server gave out.
    keys: Option<SrtpProfile>,
    /// The server refused a datagram.
    refused: bool,
    /// The server sent a fatal alert.
    alert: bool,
}

fn client(now: Instant, config: dimpl::ConfigBuilder) -> Dtls {
    let cert = dimpl::certificate::generate_self_signed_certificate().unwrap();
    let mut client = Dtls::new_12(Arc::new(config.build().unwrap()), cert, now);
    client.set_active(true);
    client.handle_timeout(now).unwrap();
    client
}

/// Lets a client shake hands with a server of the profile; `altered` is what becomes of its first words.
fn shake(crypto: Crypto, config: dimpl::ConfigBuilder, altered: impl Fn(&mut [u8])) -> Outcome {
    let now = Instant::now();
    let dtls = provider(crypto).dtls_provider;
    let mut server = dtls.new_dtls(&dtls.generate_certificate().unwrap(), now, DtlsVersion::Dtls12, Some(1200)).unwrap();
    server.set_active(false);
    server.handle_timeout(now).unwrap();
    let mut client = client(now, config);
    let mut told = Outcome::default();
    let mut buffer = [0; PACKET_MAX];
    for _ in 0..10 {
        let mut heard = Vec::new();
        loop {
            match client.poll_output(&mut buffer) {
                DtlsOutput::Packet(packet) => heard.push(packet.to_vec()),
                DtlsOutput::Timeout(_) => break,
                _ => {}
            }
        }
        for packet in &mut heard {
            altered(packet);
            told.refused |= server.handle_packet(packet).is_err();
        }
        let mut said = Vec::new();
        loop {
            match server.poll_output(&mut buffer) {
                DtlsOutput::Packet(packet) => said.push(packet.to_vec()),
                DtlsOutput::KeyingMaterial(_, profile) => told.keys = Some(profile),
                DtlsOutput::Timeout(_) => break,
                _ => {}
            }
        }
        for packet in said {
            told.alert |= packet == ALERT;
            let _ = client.handle_packet(&packet);
        }
    }
    if told.alert {
        assert!(server.handle_timeout(now + Duration::from_secs(1)).is_err() && server.send_application_data(b"x").is_err());
    }
    told
}

fn plain() -> dimpl::ConfigBuilder {
    Config::builder()
}

/// Makes the offer of SRTP profiles one of AES-CM alone.
fn only_aes_cm(packet: &mut [u8]) {
    let offer = [0, 14, 0, 9, 0, 6];
    if packet.first() == Some(&22)
        && let Some(at) = packet.windows(offer.len()).position(|part| part == offer)
    {
        packet[at + offer.len()..][..6].copy_from_slice(&[0, 1, 0, 1, 0, 1]);
    }
}

#[test]
fn gcm_over_p256_and_p384_is_taken() {
    let taken = Outcome { keys: Some(SrtpProfile::AEAD_AES_256_GCM), ..Outcome::default() };
    assert_eq!(shake(Crypto::Bsi, plain(), |_| {}), taken);
    for group in GROUPS {
        assert_eq!(shake(Crypto::Bsi, plain().kx_groups(&[group]), |_| {}), taken, "{group:?}");
    }
    for suite in SUITES {
        assert_eq!(shake(Crypto::Bsi, plain().dtls12_cipher_suites(&[suite]), |_| {}), taken, "{suite:?}");
    }
}

#[test]
fn other_suites_and_groups_are_refused() {
    let refused = Outcome { refused: true, ..Outcome::default() };
    let suite = || plain().dtls12_cipher_suites(&[Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256]);
    let group = || plain().kx_groups(&[NamedGroup::X25519]);
    assert_eq!(
        [suite(), group()].map(|offer| shake(Crypto::Bsi, offer, |_| {})),
        [refused, Outcome { refused: true, ..Outcome::default() }]
    );
    for offer in [suite(), group()] {
        assert!(shake(Crypto::Default, offer, |_| {}).keys.is_some(), "the profile is what refuses");
    }
}

#[test]
fn srtp_without_gcm_is_refused_before_a_word_of_the_handshake() {
    let told = shake(Crypto::Bsi, plain(), only_aes_cm);
    assert_eq!(told, Outcome { keys: None, refused: true, alert: true });
    // Others take the offer; that it was altered comes to light at the end alone.
    assert!(!shake(Crypto::Default, plain(), only_aes_cm).alert);
}

#[test]
fn other_versions_are_not_made() {
    let dtls = provider(Crypto::Bsi).dtls_provider;
    let cert = dtls.generate_certificate().unwrap();
    assert!(dtls.new_dtls(&cert, Instant::now(), DtlsVersion::Dtls13, None).is_err());
}

#[test]
fn choices_are_read_and_nonsense_is_not() {
    let hello = |extensions: &[u8]| {
        let mut packet = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        packet.resize(13 + 12 + 34, 0);
        packet.extend([1, 7, 0xc0, 0x2b, 0, 0, u8::try_from(extensions.len()).unwrap()]);
        packet.extend(extensions);
        packet
    };
    // Preceding it is the extended master secret.
    let with = |profile: u8| hello(&[0, 23, 0, 0, 0, 14, 0, 5, 0, 2, 0, profile, 0]);
    assert_eq!(chosen(&with(1)), Some(Choice::Srtp(SrtpProfile::AES128_CM_SHA1_80)));
    assert_eq!([7, 8, 2].map(|profile| chosen(&with(profile)) == Some(Choice::Nothing)), [false, false, true]);
    assert_eq!([chosen(&hello(&[])), chosen(&hello(&[0, 14, 0, 5])), chosen(&hello(&[0, 23, 9, 9]))], [Some(Choice::Nothing); 3]);
    assert_eq!([chosen(&[]), chosen(&ALERT), chosen(&with(1)[..13])], [None; 3]);
    for length in 14..with(1).len() {
        assert!(chosen(&with(1)[..length]).is_some());
    }
}
