//! RTP that no key of the client's has sealed leaves no trace in the client's streams.

use str0m::media::{Mid, Rid};
use str0m::rtp::Ssrc;

use crate::node::peer::{Peer, PeerIndex};

use super::Worker;

/// A receiving stream as it stood.
struct Stood {
    ssrc: Ssrc,
    rtx: Option<Ssrc>,
    mid: Mid,
    rid: Option<Rid>,
}

/// What stood before a packet of an unknown stream.
pub(super) struct Before {
    ssrc: Ssrc,
    opened: u64,
    streams: Vec<Stood>,
}

/// The stream of an RTP packet (RFC 3550 §5.1), `None` for RTCP (RFC 5761 §4) or anything else.
fn ssrc_of(bytes: &[u8]) -> Option<Ssrc> {
    let [128..192, kind, ..] = bytes else { return None };
    if (64..96).contains(&(kind & 0x7f)) {
        return None;
    }
    let ssrc: [u8; 4] = bytes.get(8..12)?.try_into().ok()?;
    Some(u32::from_be_bytes(ssrc).into())
}

impl Worker {
    /// Notes how a client's streams stand before a packet of a stream that it has not sent by before.
    ///
    /// str0m binds such a stream to the section that the packet names before it knows whether the packet is the
    /// client's, and with that takes the section from the stream that had it: one forged packet would silence a track.
    pub(super) fn before_packet(&mut self, index: PeerIndex, bytes: &[u8]) -> Option<Before> {
        let ssrc = ssrc_of(bytes)?;
        let peer = self.peer_mut(index)?;
        if peer.streams.iter().any(|stream| stream.ssrc == ssrc) {
            return None;
        }
        let Peer { rtc, streams, opened, .. } = peer.as_mut();
        let mut api = rtc.direct_api();
        if api.stream_rx(&ssrc).is_some() {
            return None;
        }
        let mut stood = Vec::with_capacity(streams.len());
        for stream in streams {
            let Some(known) = api.stream_rx(&stream.ssrc) else { continue };
            if known.rtx() == Some(ssrc) {
                return None;
            }
            stood.push(Stood { ssrc: stream.ssrc, rtx: known.rtx(), mid: known.mid(), rid: known.rid() });
        }
        Some(Before { ssrc, opened: *opened, streams: stood })
    }

    /// Puts the streams back unless the packet was the client's.
    pub(super) fn after_packet(&mut self, index: PeerIndex, before: &Before) {
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.opened != before.opened {
            return;
        }
        let mut forged = peer.rtc.direct_api().remove_stream_rx(before.ssrc);
        for stood in &before.streams {
            let rtx = peer.rtc.direct_api().stream_rx(&stood.ssrc).map(|stream| stream.rtx());
            // Where no retransmission was heard yet, the next one that the client sends says where it belongs.
            if rtx.is_some_and(|rtx| rtx == stood.rtx || stood.rtx.is_none()) {
                continue;
            }
            forged = true;
            let Some(audio) = peer.rtc.media(stood.mid).map(|media| media.kind().is_audio()) else { continue };
            let mut api = peer.rtc.direct_api();
            api.expect_stream_rx(stood.ssrc, stood.rtx, stood.mid, stood.rid).suppress_nack(audio);
        }
        if forged {
            self.mark(index);
            self.drop_datagram("forged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rtp_names_a_stream() {
        let mut packet = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(ssrc_of(&packet), Some(258.into()));
        for end in 0..packet.len() {
            assert_eq!(ssrc_of(&packet[..end]), None);
        }
        packet[1] = 200;
        assert_eq!(ssrc_of(&packet), None);
        packet[..2].copy_from_slice(&[22, 111]);
        assert_eq!(ssrc_of(&packet), None);
    }
}
