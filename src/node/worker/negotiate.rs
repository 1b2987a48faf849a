//! Offers with their answers: which media section carries which track.

use str0m::IceCreds;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, Mid};

use crate::model::ids::{SessionId, Sid};
use crate::model::media::{Codec, MediaKind};
use crate::node::fragment::{self, Credentials};
use crate::node::peer::{OutSection, Peer, PeerIndex, Pending, TrackIndex, Want, codec_of, str0m_kind};
use crate::node::route::ice_credentials;
use crate::node::sdp::{self, Announced, SECTIONS_MAX, SdpFault, Section, dress, prefer};
use crate::room::command::Leg;
use crate::room::media::{MediaEvent, TrackSpec};

use super::Worker;
use super::data::{DATA_TRACK, LOSSY, RELIABLE};
use super::rooms::MediaTrack;

/// Most media sections of an offer of ours; one more carries data.
const OFFERED_MAX: usize = SECTIONS_MAX - 1;

impl Worker {
    /// A client offers: bind its tracks, give it what waits, answer.
    pub(super) fn offer(&mut self, session: SessionId, text: &str, id: u32) {
        let Some(index) = self.leg_of(session, Leg::Publisher) else { return };
        let accepted = self.accept(index, text).and_then(|(answer, offered)| {
            let whole = self.forwards_all(session, index, &offered);
            if whole { Ok((answer, offered)) } else { Err("it would send by a codec that this server does not forward") }
        });
        match accepted {
            Ok((answer, offered)) => {
                self.remember_offer(index, offered);
                self.keep_offer(session, index, text);
                self.bind_tracks(session, true);
                self.assign_sections(index);
                self.send_answer(index, &answer, id);
                self.settle(index);
                self.renegotiate(index);
                self.mark(index);
            }
            Err(why) => self.refuse(session, why),
        }
    }

    /// Whether all that a WHIP client would send can be forwarded: there is no half success (RFC 9725 §4.4.3). Who signals
    /// may offer other codecs later.
    fn forwards_all(&self, session: SessionId, index: PeerIndex, offered: &[Section]) -> bool {
        let once = self.sessions.get(&session).is_some_and(|session| !session.signalled && session.rights.publish);
        let sent = |section: &&Section| once && section.way.sends() && section.kind.is_some();
        let codec = |section: &Section| self.peer(index).and_then(|peer| peer.preferred_codec(section.mid())).is_some();
        offered.iter().filter(sent).all(codec)
    }

    /// Keeps an offer that will never be made anew: ICE may restart by it.
    fn keep_offer(&mut self, session: SessionId, index: PeerIndex, text: &str) {
        let once = self.sessions.get(&session).is_some_and(|session| !session.signalled);
        if let Some(peer) = self.peer_mut(index).filter(|_| once) {
            peer.offer_kept = Some(text.to_owned());
        }
    }

    /// A client of WHIP or WHEP restarts ICE (RFC 9725 §4.3.3). str0m restarts by descriptions alone, so it gets the
    /// client's offer again as it would be now. Nothing else changes: the client hears of nothing but ICE.
    pub(super) fn restart(&mut self, session: SessionId, fresh: &Credentials) {
        let fragment = self.leg_of(session, Leg::Publisher).and_then(|index| {
            let offer = fragment::restarted(self.peer(index)?.offer_kept.as_deref()?, fresh);
            let (answer, _) = self.accept(index, &offer).ok()?;
            self.mark(index);
            let peer = self.peer_mut(index)?;
            peer.offer_kept = Some(offer);
            Some(fragment::of(&dress(&answer, peer.ice(), |_| None)))
        });
        self.event(MediaEvent::Restarted { session, fragment });
    }

    /// Checks an offer and gives it to str0m. Returns str0m's answer.
    fn accept(&mut self, index: PeerIndex, text: &str) -> Result<(String, Vec<Section>), SdpFault> {
        let sections = sdp::read(text)?;
        let offer = SdpOffer::from_sdp_string(text).map_err(|_| "it is not SDP that this server understands")?;
        if self.peer(index).is_some_and(|peer| peer.ready) {
            self.flush(index);
        }
        let fresh = ice_credentials(self.config.index, &mut self.chance);
        let peer = self.peer_mut(index).ok_or("the session is over")?;
        let answer = peer.rtc.sdp_api().accept_offer(offer).map_err(|_| "its parts contradict each other or what was agreed before")?;
        let restarted = peer.rtc.direct_api().local_ice_credentials() != peer.creds;
        if restarted {
            // A client that restarts ICE may have lost what it was asked for with its connection.
            peer.asked = [0; 2];
            self.use_credentials(index, fresh);
        }
        Ok((answer.to_sdp_string(), sections))
    }

    /// Puts credentials of ours in the place of str0m's, whose randomness one participant could predict for the next.
    fn use_credentials(&mut self, index: PeerIndex, creds: IceCreds) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.rtc.direct_api().set_local_ice_credentials(creds.clone());
        let old = std::mem::replace(&mut peer.creds, creds.clone());
        peer.generation = peer.generation.saturating_add(1);
        peer.paths.restart();
        self.by_ufrag.remove(old.ufrag.as_bytes());
        self.by_ufrag.insert(creds.ufrag.into_bytes(), index);
    }

    /// Notes the sections that the client receives by, and which of its own send which track.
    fn remember_offer(&mut self, index: PeerIndex, offered: Vec<Section>) {
        let Self { peers, chance, .. } = self;
        let Some(peer) = peers.get_mut(index.0 as usize).and_then(Option::as_deref_mut) else { return };
        peer.nudged = false;
        for section in offered.iter().filter(|section| section.way.receives()) {
            let Some(kind) = section.kind else { continue };
            let mid = Mid::from(section.mid.as_str());
            if !peer.sections.iter().any(|known| known.mid == mid) {
                peer.sections.push(OutSection::new(mid, kind, chance));
                let asked = &mut peer.asked[kind as usize];
                *asked = asked.saturating_sub(1);
            }
        }
        for section in &mut peer.sections {
            let known = offered.iter().find(|known| *known.mid == *section.mid);
            section.routes.clear();
            section.offered = known.is_some_and(|known| known.way.receives());
            section.described = known.is_some_and(|known| known.described);
        }
        peer.offered = offered;
    }

    /// Binds announced tracks to the sections that send them, and unbinds those whose section is gone. A `fresh` offer
    /// has a section for every track that the client announced before it, so that what is left over belongs together.
    pub(super) fn bind_tracks(&mut self, session: SessionId, fresh: bool) {
        let Some(owner) = self.sessions.get(&session) else { return };
        let (room, index) = (owner.room, owner.publisher);
        let Some(offered) = self.peer(index).map(|peer| peer.offered.clone()) else { return };
        let preferred = |worker: &Self, mid: Mid| worker.peer(index).and_then(|peer| peer.preferred_codec(mid));
        let codecs: Vec<_> = offered.iter().map(|section| preferred(self, section.mid())).collect();
        let Some(entry) = self.rooms.get_mut(room.0 as usize).and_then(Option::as_mut) else { return };
        let mut events = Vec::new();
        let mut own: Vec<&mut MediaTrack> = entry.tracks.iter_mut().flatten().filter(|track| track.session == session).collect();
        let places = places(&own, &offered, fresh);
        for (track, now) in own.iter_mut().zip(places) {
            if now == track.mid {
                continue;
            }
            let sid = track.spec.sid.clone();
            match now {
                Some(mid) => {
                    let preferred = offered.iter().zip(&codecs).find(|(section, _)| *section.mid == *mid).and_then(|(_, codec)| *codec);
                    let codec = track.codec.or(track.spec.codec).or(preferred);
                    events.push(MediaEvent::Bound { session, track: sid, mid: mid.to_string(), codec });
                }
                None => events.push(MediaEvent::Unbound { session, track: sid }),
            }
            track.mid = now;
        }
        if let Some(peer) = self.peer_mut(index).filter(|_| !events.is_empty()) {
            peer.streams.clear();
        }
        events.into_iter().for_each(|event| self.event(event));
    }

    /// Gives waiting tracks to free sections.
    fn assign_sections(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        let room = peer.room;
        let mut placed: Vec<(TrackIndex, usize)> = Vec::new();
        peer.wants.retain(|want| {
            let Some(place) = peer.sections.iter().position(|section| section.offered && section.fits(want)) else { return true };
            peer.sections[place].carry(want);
            placed.push((want.track, place));
            false
        });
        let Some(room) = self.room_mut(room) else { return };
        for (track, place) in placed {
            if let Some(track) = room.track_mut(track) {
                track.receivers.push((index, place));
            }
        }
    }

    /// Gives a track back to the section that carried it last, if the client was not told yet that it does not. A WHEP
    /// client is never told.
    pub(super) fn give_back(&mut self, index: PeerIndex, want: &Want) -> bool {
        let Some(peer) = self.peer_mut(index) else { return false };
        let told = !matches!(peer.pending, Pending::Out(_));
        let named = |section: &OutSection| section.carried.is_none() && section.named.as_ref() == Some(&want.carried.track);
        let Some(place) = peer.sections.iter().position(named) else { return false };
        peer.sections[place].carry(want);
        peer.sections[place].settled = told;
        let (session, room) = (peer.session, peer.room);
        if let Some(track) = self.room_mut(room).and_then(|room| room.track_mut(want.track)) {
            track.receivers.push((index, place));
        }
        if told {
            self.event(MediaEvent::Subscribed { session, track: want.carried.track.clone() });
        }
        true
    }

    fn send_answer(&mut self, index: PeerIndex, answer: &str, id: u32) {
        let Some(peer) = self.peer_mut(index) else { return };
        peer.name_sections();
        let Some(peer) = self.peer(index) else { return };
        let tracks = self.room(peer.room).map(|room| room.tracks.as_slice()).unwrap_or_default();
        let announced = |mid: &str| {
            let track = tracks.iter().flatten().find(|track| track.peer == index && track.mid.is_some_and(|known| *known == *mid))?;
            Some(Announced { codec: track.spec.codec?, red: track.spec.red })
        };
        let sdp = prefer(&dress(answer, peer.ice(), |mid| peer.carried(mid)), announced);
        let event = MediaEvent::Answer { session: peer.session, sdp, id, mids: peer.mids() };
        self.event(event);
    }

    /// The client knows now what its sections carry: media may flow.
    fn settle(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        let session = peer.session;
        let mut begun: Vec<Sid> = Vec::new();
        for section in &mut peer.sections {
            // What was freed since the description went out is still named there.
            section.quiet = section.named.is_none() && section.carried.is_none();
            if let Some((_, carried)) = section.carried.as_ref().filter(|_| !section.settled) {
                begun.push(carried.track.clone());
            }
            section.settled = section.carried.is_some();
        }
        for track in begun {
            self.event(MediaEvent::Subscribed { session, track });
        }
        self.allot_anew(index);
        if let Some(room) = self.peer(index).map(|peer| peer.room) {
            self.look_who_watches(room);
        }
    }

    /// Sees that a client's sections follow what it should receive: by an offer of ours, or by asking for one.
    pub(super) fn renegotiate(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        match peer.leg {
            Leg::Subscriber => self.sync_subscriber(index),
            Leg::Publisher => self.ask_for_sections(index),
        }
    }

    fn ask_for_sections(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index).filter(|peer| !peer.offered.is_empty()) else { return };
        let mut missing = [0_u32; 2];
        let mut exhausted = false;
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let asked = peer.asked[kind as usize] as usize;
            let need = peer.sections_needed(kind).saturating_sub(asked);
            let room = SECTIONS_MAX.saturating_sub(peer.offered.len() + peer.asked.iter().sum::<u32>() as usize);
            exhausted |= need > room;
            missing[kind as usize] = u32::try_from(need.min(room)).unwrap_or(0);
            peer.asked[kind as usize] += missing[kind as usize];
        }
        if exhausted {
            let event = MediaEvent::Exhausted { session: peer.session };
            return self.event(event);
        }
        let Some(peer) = self.peer_mut(index) else { return };
        let stale = peer.sections.iter().any(|section| section.carried.is_none() && !section.quiet);
        let ripe = peer.wants.iter().any(|want| peer.sections.iter().any(|section| section.offered && section.fits(want)));
        if missing != [0; 2] || ((stale || ripe) && peer.asked == [0; 2] && !peer.nudged) {
            peer.nudged = true;
            let event = MediaEvent::MediaSections { session: peer.session, audios: missing[0], videos: missing[1] };
            self.event(event);
        }
    }

    /// Makes an offer for the subscriber leg of a dual layout if anything changed and none is out.
    pub(super) fn sync_subscriber(&mut self, index: PeerIndex) {
        if self.peer(index).is_some_and(|peer| peer.ready) {
            self.flush(index);
        }
        let Self { peers, chance, config, .. } = self;
        let Some(peer) = peers.get_mut(index.0 as usize).and_then(Option::as_deref_mut) else { return };
        if matches!(peer.pending, Pending::Out(_)) {
            peer.dirty = true;
            return;
        }
        peer.dirty = false;
        let restart = std::mem::take(&mut peer.restart);
        let placed = plan_offer(peer, restart, chance);
        let room = peer.room;
        if restart {
            let fresh = ice_credentials(config.index, chance);
            peer.next_creds = Some(fresh.clone());
            self.by_ufrag.insert(fresh.ufrag.into_bytes(), index);
        }
        if let Some(room) = self.room_mut(room) {
            for (track, place) in placed {
                if let Some(track) = room.track_mut(track) {
                    track.receivers.push((index, place));
                }
            }
        }
        self.send_offer(index);
        self.mark(index);
        let exhausted = self.peer(index).filter(|peer| !peer.wants.is_empty() && !peer.has_free_wants()).map(|peer| peer.session);
        if let Some(session) = exhausted {
            self.event(MediaEvent::Exhausted { session });
        }
    }

    fn send_offer(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        let Some(text) = peer.offer_text.take() else { return };
        peer.name_sections();
        let sdp = dress(&text, peer.ice(), |mid| peer.carried(mid));
        peer.offered_last = Some((sdp, peer.mids()));
        self.say_offer(index);
    }

    /// Sends the newest offer under a number of its own.
    fn say_offer(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        let Some((sdp, mids)) = peer.offered_last.clone() else { return };
        peer.offer_id += 1;
        let event = MediaEvent::Offer { session: peer.session, sdp, id: peer.offer_id, mids };
        self.event(event);
    }

    /// A client answers our offer.
    pub(super) fn answer(&mut self, session: SessionId, text: &str, id: u32) {
        let Some(index) = self.leg_of(session, Leg::Subscriber) else { return };
        match self.take_answer(index, text, id) {
            Ok(true) => {
                self.settle(index);
                let again = self.peer(index).is_some_and(|peer| peer.dirty || peer.restart || peer.has_free_wants());
                if again {
                    self.sync_subscriber(index);
                }
                self.mark(index);
            }
            // An answer to an offer of before a resume: the newest one is still out.
            Ok(false) => {}
            Err(why) => self.refuse(session, why),
        }
    }

    fn take_answer(&mut self, index: PeerIndex, text: &str, id: u32) -> Result<bool, SdpFault> {
        let sections = sdp::read(text)?;
        let answer = SdpAnswer::from_sdp_string(text).map_err(|_| "it is not SDP that this server understands")?;
        if self.peer(index).is_some_and(|peer| peer.ready) {
            self.flush(index);
        }
        let peer = self.peer_mut(index).ok_or("the session is over")?;
        // Clients of before the numbering send 0.
        if id != 0 && id != peer.offer_id {
            return Ok(false);
        }
        let Pending::Out(pending) = std::mem::replace(&mut peer.pending, Pending::None) else { return Ok(false) };
        peer.offered_last = None;
        peer.rtc.sdp_api().accept_answer(*pending, answer).map_err(|_| "it does not answer the offer")?;
        for section in &mut peer.sections {
            section.described = sections.iter().any(|known| known.described && *known.mid == *section.mid);
        }
        if let Some(fresh) = peer.next_creds.take() {
            self.use_credentials(index, fresh);
        }
        Ok(true)
    }

    /// After a resume the last answer may be lost: the client may still believe that sections which it freed carry
    /// their tracks. The subscriber leg restarts ICE. An offer of ours that is out may be lost, or its answer, and the
    /// client may have taken it: so it is said once more as it was, and the restart follows its answer.
    pub(super) fn resumed(&mut self, session: SessionId) {
        let Some(index) = self.leg_of(session, Leg::Subscriber) else { return };
        self.tell_streams(index);
        let Some(peer) = self.peer_mut(index) else { return };
        if peer.leg == Leg::Publisher {
            for section in &mut peer.sections {
                section.quiet &= !section.named_before;
            }
            return;
        }
        peer.restart = true;
        if matches!(peer.pending, Pending::Out(_)) {
            self.say_offer(index);
        } else {
            self.sync_subscriber(index);
        }
    }
}

/// Puts waiting tracks and freed sections into an offer. Returns where the tracks were put.
fn plan_offer(peer: &mut Peer, restart: bool, chance: &mut crate::model::chance::Chance) -> Vec<(TrackIndex, usize)> {
    let first = peer.offer_id == 0;
    let mut api = peer.rtc.sdp_api();
    if first {
        for label in [LOSSY, DATA_TRACK] {
            api.add_channel_with_config(ChannelConfig {
                label: label.into(),
                ordered: false,
                reliability: Reliability::MaxRetransmits { retransmits: 0 },
                ..ChannelConfig::default()
            });
        }
        api.add_channel(RELIABLE.into());
    }
    if restart {
        let _ = api.ice_restart(true);
    }
    for section in peer.sections.iter().filter(|section| section.carried.is_none() && !section.quiet) {
        api.set_direction(section.mid, Direction::Inactive);
    }
    let mut placed = Vec::new();
    for want in std::mem::take(&mut peer.wants) {
        let place = if let Some(place) = peer.sections.iter().position(|section| section.fits(&want)) {
            api.set_direction(peer.sections[place].mid, Direction::SendOnly);
            place
        } else if peer.sections.len() < OFFERED_MAX {
            let mid = api.add_media(str0m_kind(want.kind), Direction::SendOnly, None, None, None);
            peer.sections.push(OutSection::new(mid, want.kind, chance));
            peer.sections.len() - 1
        } else {
            peer.wants.push(want);
            continue;
        };
        peer.sections[place].carry(&want);
        placed.push((want.track, place));
    }
    if let Some((offer, pending)) = api.apply() {
        peer.offer_text = Some(offer.to_sdp_string());
        peer.pending = Pending::Out(Box::new(pending));
    }
    placed
}

/// The section of each of a client's tracks.
fn places(tracks: &[&mut MediaTrack], offered: &[Section], fresh: bool) -> Vec<Option<Mid>> {
    let named = |track: &&mut MediaTrack| offered.iter().find(|section| section.carries(&track.spec)).map(Section::mid);
    let mut places: Vec<Option<Mid>> = tracks.iter().map(named).collect();
    // Some clients rename the media track of a section they go on sending by: the section decides then, unless it
    // carries another announced track now.
    for at in 0..tracks.len() {
        let goes_on = |mid: &Mid| offered.iter().any(|section| section.way.sends() && section.mid() == *mid);
        let before = tracks[at].mid.filter(|mid| goes_on(mid) && !places.contains(&Some(*mid)));
        places[at] = places[at].or(before);
    }
    // Firefox writes an `a=msid` of its own making, which names no announced track.
    for at in 0..if fresh { tracks.len() } else { 0 } {
        let fits = |section: &&Section| {
            section.way.sends() && section.kind == Some(tracks[at].spec.kind) && !places.contains(&Some(section.mid()))
        };
        places[at] = places[at].or_else(|| offered.iter().find(fits).map(Section::mid));
    }
    places
}

impl Section {
    fn mid(&self) -> Mid {
        Mid::from(self.mid.as_str())
    }

    /// Whether the client sends this track by this section: its `a=msid` names it, or, without names, its `mid`.
    fn carries(&self, spec: &TrackSpec) -> bool {
        let named = spec.cids.iter().any(|cid| *cid == self.track || cid.strip_prefix("mid:") == Some(&self.mid));
        self.way.sends() && self.kind == Some(spec.kind) && named
    }
}

impl Peer {
    /// Notes what the description that goes out says of each section.
    fn name_sections(&mut self) {
        for section in &mut self.sections {
            section.named_before = section.named.is_some();
            section.named = section.carried.as_ref().map(|(_, carried)| carried.track.clone());
        }
    }

    /// What a section carries, for the SDP.
    fn carried(&self, mid: &str) -> Option<sdp::Carried> {
        let section = self.sections.iter().find(|section| *section.mid == *mid)?;
        section.carried.as_ref().map(|(_, carried)| carried.clone())
    }

    /// Sections and the tracks they carry, for the client.
    fn mids(&self) -> Vec<(String, Sid)> {
        let carrying =
            self.sections.iter().filter_map(|section| Some((section.mid.to_string(), section.carried.as_ref()?.1.track.clone())));
        carrying.collect()
    }

    /// The codec that the client prefers in a section: the first that it lists there and Konsil forwards.
    fn preferred_codec(&self, mid: Mid) -> Option<Codec> {
        let listed = self.rtc.media(mid)?.remote_pts();
        let params = self.rtc.codec_config().params();
        listed.iter().find_map(|pt| codec_of(params.iter().find(|params| params.pt() == *pt)?))
    }

    /// Sections that waiting tracks of one kind need beyond those that are free or will be.
    fn sections_needed(&self, kind: MediaKind) -> usize {
        let free = self.sections.iter().filter(|section| section.offered && section.kind == kind && section.carried.is_none());
        let (used, fresh): (Vec<_>, Vec<_>) = free.partition(|section| section.used);
        let (reusing, picky): (Vec<_>, Vec<_>) = self.wants.iter().filter(|want| want.kind == kind).partition(|want| want.reuses());
        let left = fresh.len().saturating_sub(picky.len());
        picky.len().saturating_sub(fresh.len()) + reusing.len().saturating_sub(left + used.len())
    }

    fn has_free_wants(&self) -> bool {
        self.wants.iter().any(|want| self.sections.len() < OFFERED_MAX || self.sections.iter().any(|section| section.fits(want)))
    }
}
