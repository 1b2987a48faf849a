//! Descriptions of browsers pass, those of attackers come out without an address.

use super::*;
use crate::room::command::DescriptionKind;
use crate::turn::peers::is_virtual;

const RELAYED: &str = "candidate:842163049 1 udp 41885439 192.0.0.8 50000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag ZpWV";

fn shown(sdp: &str) -> String {
    description(sdp, is_virtual).unwrap()
}

#[test]
fn a_description_of_chromium_keeps_its_meaning() {
    let lines = [
        "v=0",
        "o=- 2046037483876442865 2 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:ZpWV",
        "a=ice-pwd:NJ3IoC2OtSbiruRpdlAUbIkX",
        "a=ice-options:trickle",
        "a=fingerprint:sha-256 C8:52:92:A4:BA:29:82:13:40:4E:F0:0E:79:9A:86:C5:15:47:E9:9B:6E:71:48:D8:AB:02:B2:61:D2:3B:C0:FD",
        "a=setup:actpass",
        "a=mid:0",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=sendrecv",
        "a=msid:a1b2 c3d4-e5f6",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=ssrc:1234 cname:Xk9+Ab/c",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "b=AS:30",
        "a=sctp-port:5000",
        "a=end-of-candidates",
    ];
    let sdp = format!("{}\r\n", lines.join("\r\n"));
    assert_eq!(shown(&sdp), sdp);
    assert_eq!(shown(&sdp.replace("\r\n", "\n")), sdp);
}

#[test]
fn addresses_of_lines_are_nobodys() {
    let sdp = "o=mozilla-99 7 8 IN IP6 2001:db8::7\r\ns=host 203.0.113.9\r\nc=IN IP4 203.0.113.9\r\nt=3 4\r\n\
        m=video 54321 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP6 2001:db8::7\r\na=rtcp:54322 IN IP4 203.0.113.9\r\n";
    let hidden = "o=- 7 8 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n";
    assert_eq!(shown(sdp), hidden);
}

#[test]
fn only_relayed_candidates_pass_and_name_nobody_behind() {
    let told = |text: &str| candidate(text, is_virtual);
    let behind = RELAYED.replace("raddr 0.0.0.0 rport 0", "raddr 198.51.100.4 rport 61000") + " network-id 1 network-cost 10";
    assert_eq!(told(&behind).as_deref(), Some(RELAYED));
    assert_eq!(told(RELAYED).as_deref(), Some(RELAYED));
    let v6 = told("candidate:1 1 UDP 5 100::8 50001 typ relay raddr 2001:db8::7 rport 5").unwrap();
    assert_eq!(v6, "candidate:1 1 udp 5 100::8 50001 typ relay raddr :: rport 0");
    for wrong in [
        "",
        "candidate:",
        "candidate:1 1 udp 5 192.168.1.5 5000 typ host",
        "candidate:1 1 udp 5 0a1b2c3d.local 5000 typ host generation 0",
        "candidate:1 1 udp 5 203.0.113.9 5000 typ srflx raddr 192.168.1.5 rport 5000",
        "candidate:1 1 udp 5 203.0.113.9 5000 typ prflx raddr 192.168.1.5 rport 5000",
        // Nobody's relay: the partner's checks would show its address there.
        "candidate:1 1 udp 5 203.0.113.9 5000 typ relay raddr 0.0.0.0 rport 0",
        "candidate:1 1 udp 5 evil.example 5000 typ relay raddr 0.0.0.0 rport 0",
        "candidate:1 1 tcp 5 192.0.0.8 5000 typ relay raddr 0.0.0.0 rport 0 tcptype passive",
        "candidate:1 1 udp 5 192.0.0.8 5000 typ host",
        "candidate:1 1 udp 5 192.0.0.8  5000 typ relay",
        "candidate:1\t1 udp 5 192.0.0.8 5000 typ relay",
        "candidate:1 1 udp 5 192.0.0.8 99999 typ relay",
        "candidate:1@203.0.113.9 1 udp 5 192.0.0.8 5000 typ relay",
        "Candidate:1 1 udp 5 192.0.0.8 5000 typ relay",
        " candidate:1 1 udp 5 203.0.113.9 5000 typ host",
    ] {
        assert_eq!(told(wrong), None, "{wrong}");
    }
    let twice = format!("{RELAYED} ufrag evil generation 203.0.113.9 x-ip 203.0.113.9");
    assert_eq!(told(&twice).as_deref(), Some(RELAYED));
}

#[test]
fn nothing_slips_by_in_a_form_that_only_browsers_read() {
    let host = "candidate:1 1 udp 5 203.0.113.9 5000 typ host";
    for hostile in [
        format!("a={host}\r\n"),
        format!("a=mid:0\ra={host}\r\n"),
        format!("a=mid:0\na={host}\n"),
        format!("a=mid:0\0a={host}\r\n"),
        format!("a=mid:0\u{2028}a={host}\r\n"),
        format!("a=mid:0\u{b}a={host}\r\n"),
        format!(" a={host}\r\n"),
        format!("a= {host}\r\n"),
        format!("A={host}\r\n"),
        format!("a={}\r\n", host.to_uppercase()),
        "a=remote-candidates:1 203.0.113.9 5000\r\n".to_owned(),
        "a=alt:1 203.0.113.9\r\n".to_owned(),
        "a=source-filter: incl IN IP4 * 203.0.113.9\r\n".to_owned(),
        "a=ssrc:1 cname:erika@203.0.113.9\r\n".to_owned(),
        "a=ssrc:1 cname:203.0.113.9\r\n".to_owned(),
        "a=ssrc:1 cname:erika@2001:db8::9\r\n".to_owned(),
        "a=msid:203.0.113.9 x\r\n".to_owned(),
        "a=tool:203.0.113.9\r\n".to_owned(),
        "i=203.0.113.9\r\nu=http://203.0.113.9\r\ne=erika@203.0.113.9\r\np=+49 203.0.113.9\r\nk=clear:203.0.113.9\r\n".to_owned(),
        "c=IN IP4 203.0.113.9/127/3\r\n".to_owned(),
        "o=203.0.113.9 203.0.113.9 203.0.113.9 203.0.113.9 203.0.113.9 203.0.113.9\r\n".to_owned(),
        "m=audio 203.0.113.9 RTP/SAVPF 203.0.113.9\r\n".to_owned(),
        "b=X-203.0.113.9:1\r\nb=AS:203.0.113.9\r\n".to_owned(),
    ] {
        let shown = shown(&hostile);
        assert!(!shown.contains("203.0.113.9") && !shown.contains("db8"), "{hostile:?} became {shown:?}");
        assert!(!shown.to_lowercase().contains("typ host"), "{hostile:?} became {shown:?}");
    }
}

#[test]
fn hiding_twice_changes_nothing_more() {
    let sdp = format!("v=1\no=x y z\nm=audio 1 A 1\na={RELAYED} x y\na=mid:x\nb=AS:5\n");
    let once = shown(&sdp);
    assert_eq!(shown(&once), once);
    assert!(once.contains(RELAYED));
}

#[test]
fn length_is_bounded_before_and_after() {
    assert!(description(&"a".repeat(SDP_MAX + 1), is_virtual).is_err());
    assert!(description(&"c=\n".repeat(20_000), is_virtual).is_err(), "short lines that grow");
    assert_eq!(description("", is_virtual).as_deref(), Ok(""));
}

#[test]
fn signals_lose_candidates_and_keep_their_ends() {
    let trickle = |candidate: &str| {
        let candidate = candidate.to_owned();
        let message = PartnerMessage::Candidate { candidate, mid: Some("0".into()), line: Some(0), ufrag: None };
        Signal::ToPartner { to: None, message }
    };
    let told = |signal: Signal| super::signal(signal, &[IpAddr::V4(crate::turn::peers::VIRTUAL_V4)]);
    assert_eq!(told(trickle("candidate:1 1 udp 5 10.0.0.1 5000 typ host")), Ok(None));
    assert_eq!(told(trickle("")), Ok(Some(trickle(""))));
    assert_eq!(told(trickle(RELAYED)), Ok(Some(trickle(RELAYED))));
    let offer = |sdp: &str| {
        let message = PartnerMessage::Description { kind: DescriptionKind::Offer, sdp: sdp.to_owned() };
        Signal::ToPartner { to: None, message }
    };
    assert_eq!(told(offer("c=IN IP4 10.0.0.1\r\n")), Ok(Some(offer("c=IN IP4 0.0.0.0\r\n"))));
    assert!(told(offer(&"a".repeat(SDP_MAX + 1))).is_err());
    assert_eq!(told(Signal::Leave), Ok(Some(Signal::Leave)));
}
