//! The few things in SDP text (RFC 8866) that Konsil sees to itself; str0m does the rest.

use str0m::IceCreds;

use crate::model::ids::Sid;
use crate::model::media::{Codec, MediaKind};
use crate::sfu::descriptor;

/// Longest SDP that is taken, in bytes.
pub const SDP_MAX: usize = 64 * 1024;
/// Most media sections that one SDP may have.
pub const SECTIONS_MAX: usize = 50;

/// Why an SDP is refused, without a word of it.
pub type SdpFault = &'static str;

/// Which way a section carries media, as its author sees it (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both ways.
    SendRecv,
    /// From the author.
    SendOnly,
    /// To the author.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Way {
    /// Whether the author may send.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the author may receive.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// One media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its `a=mid` (RFC 5888).
    pub mid: String,
    /// Audio, video, or `None` for data.
    pub kind: Option<MediaKind>,
    /// Which way; a rejected section (port 0 outside a bundle) is inactive.
    pub way: Way,
    /// The track id of its `a=msid` (RFC 8830), empty without one.
    pub track: String,
    /// Whether it takes the dependency descriptor.
    pub described: bool,
}

/// Reads the sections of an offer or answer after the checks that str0m does not make.
///
/// # Errors
/// The SDP is too long, has too many sections, repeats a `mid`, or wants the server to be the DTLS client:
/// a forged record could kill that handshake, so Konsil is always passive (RFC 8842 §5).
pub fn read(sdp: &str) -> Result<Vec<Section>, SdpFault> {
    if sdp.len() > SDP_MAX {
        return Err("it is longer than 64 KiB");
    }
    let mut parts = sections_of(sdp);
    let head = parts.next().unwrap_or_default();
    if has_line(head, "a=setup:passive") {
        return Err("it says setup:passive; the client must be able to be active");
    }
    let mut sections: Vec<Section> = Vec::new();
    for part in parts {
        if sections.len() == SECTIONS_MAX {
            return Err("it has more than 50 media sections");
        }
        if has_line(part, "a=setup:passive") {
            return Err("it says setup:passive; the client must be able to be active");
        }
        let section = section(part);
        if section.mid.is_empty() || section.mid.len() > 16 {
            return Err("a media section has no mid of 1 to 16 characters");
        }
        if sections.iter().any(|other| other.mid == section.mid) {
            return Err("two media sections have the same mid");
        }
        sections.push(section);
    }
    if sections.is_empty() {
        return Err("it has no media section");
    }
    Ok(sections)
}

/// Splits into the session part and one part a section, each section starting with `m=`.
pub(super) fn sections_of(sdp: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = vec![0];
    starts.extend(sdp.match_indices("\nm=").map(|(at, _)| at + 1));
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([sdp.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &sdp[start..end])
}

fn has_line(part: &str, line: &str) -> bool {
    part.lines().any(|candidate| candidate.trim_end() == line)
}

fn section(part: &str) -> Section {
    let value = |prefix: &str| part.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default().trim_end();
    let kind = match part.split(' ').next() {
        Some("m=audio") => Some(MediaKind::Audio),
        Some("m=video") => Some(MediaKind::Video),
        _ => None,
    };
    let rejected = part.split(' ').nth(1) == Some("0") && !has_line(part, "a=bundle-only");
    let way = if rejected || has_line(part, "a=inactive") {
        Way::Inactive
    } else if has_line(part, "a=sendonly") {
        Way::SendOnly
    } else if has_line(part, "a=recvonly") {
        Way::RecvOnly
    } else {
        Way::SendRecv
    };
    let track = value("a=msid:").split(' ').nth(1).unwrap_or_default().to_owned();
    Section { mid: value("a=mid:").to_owned(), kind, way, track, described: part.contains(descriptor::URI) }
}

/// What a sending section of ours carries: the stream id and the track id of its `a=msid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The publisher.
    pub publisher: Sid,
    /// The track.
    pub track: Sid,
}

/// What a description of ours says of ICE.
#[derive(Clone, Copy)]
pub struct Ice<'a> {
    /// The credentials.
    pub creds: &'a IceCreds,
    /// How often ICE was restarted until then.
    pub generation: u8,
}

/// The lowest type preference (RFC 8445 §5.1.2.1) of our candidates, above those that clients give their relayed ones.
const PREFERENCE_MIN: u32 = 10;
/// The highest one, below those that clients give any other candidate of theirs.
const PREFERENCE_MAX: u32 = 79;

impl Ice<'_> {
    /// The type preference of a candidate: it decides which pair a client takes, for its own is always further from the
    /// middle (RFC 8445 §6.1.2.3). UDP comes first, and any candidate of a restart (of the first 34) before all of the time before: libwebrtc
    /// keeps to the old pair as long as that has the highest priority, for seconds after it died.
    fn preference(self, udp: bool) -> u32 {
        (PREFERENCE_MIN + 2 * u32::from(self.generation) + u32::from(udp)).min(PREFERENCE_MAX - 1 + u32::from(udp))
    }

    /// Writes the preference into a candidate (RFC 8839 §5.1), whose ufrag would be that of str0m's own credentials.
    fn candidate(self, line: &str) -> Option<String> {
        let mut fields: Vec<&str> = line.split(" ufrag ").next()?.split(' ').collect();
        let rest: u32 = fields.get(3)?.parse().ok()?;
        let priority = (self.preference(fields[2].eq_ignore_ascii_case("udp")) << 24 | rest & 0x00ff_ffff).to_string();
        fields[3] = &priority;
        Some(fields.join(" "))
    }
}

/// Writes into a description of str0m's what str0m cannot: the tracks that sections carry (`a=msid`, RFC 8830),
/// `inactive` for those that carry none, ICE credentials and priorities of our own.
///
/// `carried` is asked with each section's `mid`.
#[must_use]
pub fn dress(sdp: &str, ice: Ice<'_>, carried: impl Fn(&str) -> Option<Carried>) -> String {
    let mut dressed = String::with_capacity(sdp.len() + 256);
    for (index, part) in sections_of(sdp).enumerate() {
        let mid = part.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or_default().trim_end();
        let sends = index > 0 && (has_line(part, "a=sendonly") || has_line(part, "a=sendrecv"));
        let carried = if sends { carried(mid) } else { None };
        for line in part.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            dress_line(line, ice, sends, carried.as_ref(), &mut dressed);
        }
    }
    dressed
}

fn dress_line(line: &str, ice: Ice<'_>, sends: bool, carried: Option<&Carried>, out: &mut String) {
    let mut put = |parts: &[&str]| {
        parts.iter().for_each(|part| out.push_str(part));
        out.push_str("\r\n");
    };
    let stream = |carried: &Carried| format!("{}|{} {}", carried.publisher, carried.track, carried.track);
    if line.starts_with("a=ice-ufrag:") {
        return put(&["a=ice-ufrag:", &ice.creds.ufrag]);
    }
    if line.starts_with("a=ice-pwd:") {
        return put(&["a=ice-pwd:", &ice.creds.pass]);
    }
    if line.starts_with("a=candidate:") {
        return ice.candidate(line).iter().for_each(|line| put(&[line]));
    }
    if line.starts_with("a=msid-semantic") {
        return put(&["a=msid-semantic: WMS *"]);
    }
    match (sends, carried) {
        (true, Some(carried)) if line.starts_with("a=msid:") => put(&["a=msid:", &stream(carried)]),
        (true, Some(carried)) if line.starts_with("a=ssrc:") => match line.split_once(" msid:") {
            Some((start, _)) => put(&[start, " msid:", &stream(carried)]),
            None => put(&[line]),
        },
        (true, None) if line.starts_with("a=msid:") || line.starts_with("a=ssrc") => {}
        (true, None) if line == "a=sendonly" => put(&["a=inactive"]),
        (true, None) if line == "a=sendrecv" => put(&["a=recvonly"]),
        _ => put(&[line]),
    }
}

/// What a client announced to send by a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The codec.
    pub codec: Codec,
    /// Whether Opus may come wrapped in RED (RFC 2198).
    pub red: bool,
}

/// Puts the payload types of announced codecs first in an answer's sections. The client sends what stands first there
/// (JSEP, RFC 8829 §5.11), and LiveKit clients leave it to the server to put their announced codec there.
///
/// Of the sections that the client sends by, only those for AV1 keep the dependency descriptor: Chromium would send it
/// with every packet of VP8 and VP9 too, where nobody reads it.
///
/// `announced` is asked with each section's `mid`.
#[must_use]
pub fn prefer(sdp: &str, announced: impl Fn(&str) -> Option<Announced>) -> String {
    let mut out = String::with_capacity(sdp.len());
    for part in sections_of(sdp) {
        let mid = part.lines().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or_default().trim_end();
        let wanted = announced(mid);
        let described = wanted.is_some_and(|wanted| wanted.codec == Codec::Av1) || !part.contains("\na=recvonly");
        let moved = wanted.and_then(|wanted| reorder(part, wanted));
        let rest = match moved.as_ref().zip(part.split_once('\n')) {
            Some((first, (_, rest))) => {
                [first, "\r\n"].iter().for_each(|text| out.push_str(text));
                rest
            }
            None => part,
        };
        rest.split_inclusive('\n').filter(|line| described || !line.contains(descriptor::URI)).for_each(|line| out.push_str(line));
    }
    out
}

/// The `m=` line with what is wanted first, unless it lists nothing of it.
fn reorder(part: &str, wanted: Announced) -> Option<String> {
    let name_of = |payload: &str| {
        let mut maps = part.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '));
        maps.find(|(listed, _)| *listed == payload).and_then(|(_, name)| name.split('/').next())
    };
    let rank = |payload: &&str| match name_of(payload) {
        Some("red") => usize::from(wanted.codec != Codec::Opus || !wanted.red) * 2,
        Some(name) if Codec::from_mime(name) == Some(wanted.codec) => 1,
        _ => 2,
    };
    let mut fields: Vec<&str> = part.lines().next()?.trim_end().split(' ').collect();
    let (_, payloads) = fields.split_at_mut_checked(3)?;
    if payloads.iter().all(|payload| rank(payload) == 2) {
        return None;
    }
    payloads.sort_by_key(rank);
    Some(fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::chance::Chance;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\n\
        a=msid:s cam-1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    #[test]
    fn sections_are_read() {
        let sections = read(OFFER).unwrap();
        assert_eq!(sections.len(), 3);
        assert_eq!((sections[0].way, sections[0].track.as_str(), sections[0].kind), (Way::SendOnly, "cam-1", Some(MediaKind::Audio)));
        assert_eq!((sections[1].way, sections[1].mid.as_str()), (Way::RecvOnly, "1"));
        assert_eq!(sections[2].kind, None);
    }

    #[test]
    fn bad_sdp_is_refused() {
        assert!(read("").is_err());
        assert!(read("v=0\r\n").is_err());
        assert!(read(&format!("{OFFER}{}", "a=x\r\n".repeat(20_000))).unwrap_err().contains("64 KiB"));
        assert!(read(&OFFER.replace("a=mid:1", "a=mid:0")).is_err());
        assert!(read(&OFFER.replace("a=mid:1\r\n", "")).is_err());
        assert!(read(&OFFER.replace("a=sendonly", "a=sendonly\r\na=setup:passive")).unwrap_err().contains("passive"));
        let many: Vec<String> = (0..51).map(|n| format!("m=audio 9 X 0\r\na=mid:{n}\r\n")).collect();
        assert!(read(&format!("v=0\r\n{}", many.concat())).unwrap_err().contains("50"));
    }

    #[test]
    fn only_av1_keeps_its_descriptor() {
        let answer =
            format!("v=0\r\nm=video 9 X 45\r\na=mid:a\r\na=recvonly\r\na=extmap:12 {}\r\na=rtpmap:45 AV1/90000\r\n", descriptor::URI);
        let preferring = |codec| prefer(&answer, |_| codec).contains(descriptor::URI);
        assert!(preferring(Some(Announced { codec: Codec::Av1, red: false })));
        assert!(!preferring(Some(Announced { codec: Codec::Vp8, red: false })) && !preferring(None));
        assert_eq!(prefer(&answer, |_| None).lines().count(), 5);
        let sending = answer.replace("recvonly", "sendonly");
        assert_eq!(prefer(&sending, |_| None), sending);
    }

    #[test]
    fn announced_codecs_stand_first() {
        let answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 108\r\na=mid:a\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
            a=rtpmap:102 H264/90000\r\na=rtpmap:103 rtx/90000\r\na=rtpmap:108 H264/90000\r\nm=video 0 UDP/TLS/RTP/SAVPF\r\na=mid:b\r\n";
        let preferring = |codec| prefer(answer, |mid| (mid == "a").then_some(Announced { codec, red: true }));
        assert_eq!(preferring(Codec::H264), answer.replace("96 97 102 103 108", "102 108 96 97 103"));
        assert_eq!(preferring(Codec::Av1), answer);
        assert_eq!(prefer(answer, |_| None), answer);
        assert_eq!(prefer(answer, |mid| (mid == "b").then_some(Announced { codec: Codec::Vp8, red: false })), answer);
        assert_eq!(prefer("", |_| Some(Announced { codec: Codec::Vp8, red: false })), "");
    }

    #[test]
    fn red_stands_first_only_where_announced() {
        let answer =
            |payloads| format!("v=0\r\nm=audio 9 X {payloads}\r\na=mid:a\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\n");
        let preferring = |payloads, red| prefer(&answer(payloads), |_| Some(Announced { codec: Codec::Opus, red }));
        assert_eq!(preferring("63 111", false), answer("111 63"));
        assert_eq!(preferring("9 111 63", true), answer("63 111 9"));
    }

    #[test]
    fn candidates_of_a_restart_come_first_and_udp_among_them() {
        let creds = IceCreds { ufrag: "own".into(), pass: "secret".into() };
        let priority = |transport: &str, generation| {
            let sdp = format!("v=0\r\na=candidate:1 1 {transport} 2130706431 192.0.2.1 3478 typ host ufrag theirs\r\n");
            let dressed = dress(&sdp, Ice { creds: &creds, generation }, |_| None);
            let fields: Vec<&str> = dressed.lines().nth(1).unwrap().split(' ').collect();
            assert_eq!(fields[4..], ["192.0.2.1", "3478", "typ", "host"]);
            fields[3].parse::<u32>().unwrap()
        };
        // Between a client's relayed candidates and its own for TCP, as libwebrtc and Firefox rank them.
        let (relayed, own) = (6 << 24, 80 << 24);
        let mut before = relayed;
        for generation in 0..=34 {
            let [tcp, udp] = ["tcp", "udp"].map(|transport| priority(transport, generation));
            assert!(before < tcp && tcp < udp && udp < own, "{generation}");
            before = udp;
        }
        let [tcp, udp] = ["tcp", "udp"].map(|transport| priority(transport, u8::MAX));
        assert!(tcp < udp && udp < own);
    }

    #[test]
    fn dressing_names_tracks_and_hides_free_sections() {
        let creds = IceCreds { ufrag: "own".into(), pass: "secret".into() };
        let mut chance = Chance::new([0; 32]);
        let carried = Carried { publisher: Sid::participant(&mut chance), track: Sid::track(&mut chance) };
        let answer = "v=0\r\na=ice-ufrag:theirs\r\nm=audio 9 X 0\r\na=mid:a\r\na=sendonly\r\na=msid:x y\r\na=ssrc:1 msid:x y\r\n\
            m=video 9 X 0\r\na=mid:b\r\na=sendonly\r\na=msid:x y\r\na=ssrc:2 cname:z\r\na=candidate:1 1 udp 1 1.2.3.4 5 typ host ufrag theirs\r\n";
        let dressed = dress(answer, Ice { creds: &creds, generation: 0 }, |mid| (mid == "a").then(|| carried.clone()));
        assert!(dressed.contains("a=ice-ufrag:own\r\n") && !dressed.contains("theirs"));
        assert!(dressed.contains(&format!("a=msid:{}|{} {}\r\n", carried.publisher, carried.track, carried.track)));
        let free = dressed.split("m=video").nth(1).unwrap();
        assert!(free.contains("a=inactive") && !free.contains("msid") && !free.contains("ssrc"));
    }
}
