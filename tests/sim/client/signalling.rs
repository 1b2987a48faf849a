//! What a client says or hears by its signalling connection, or by requests for WHIP or WHEP.

use std::time::Instant;

use fastrand::Rng;
use konsil::model::ids::Sid;
use konsil::node::request::{Connect, Connected, Refusal, Reply, Request};
use konsil::room::command::{Layout, Leg, Signal, SyncState};
use konsil::room::notice::{Joined, LeaveAction, Notice, ParticipantState, ParticipantView};
use konsil::turn::credentials::RelayUser;
use str0m::change::SdpAnswer;

use crate::source::Stage;

use super::plan::room_name;
use super::tunnel::Tunnel;
use super::{Client, Say, State};

/// The relay, at the server's first address.
const RELAY: &str = "10.0.0.1:3478";

impl Client {
    /// Asks to be let in.
    pub(super) fn begin(&mut self, now: Instant) {
        match self.plan.layout {
            Layout::Single | Layout::Dual => {
                let offer = if self.plan.offer_at_once && self.plan.layout == Layout::Single { self.make_offer() } else { None };
                self.say.push(Say::Connect(Box::new(Connect {
                    grants: self.plan.grants.clone(),
                    layout: self.plan.layout,
                    auto_subscribe: self.plan.auto_subscribe,
                    protocol: 16,
                    resume: None,
                    sync: None,
                    add_tracks: Vec::new(),
                    offer,
                })));
            }
            Layout::Whip | Layout::Whep => self.request_media(now),
            // Their media never meets the node.
            Layout::P2p => {}
        }
    }

    fn request_media(&mut self, now: Instant) {
        let (grants, room) = (self.plan.grants.clone(), room_name(self.plan.room));
        if self.plan.layout == Layout::Whip {
            self.publish(konsil::model::media::MediaKind::Audio, false, now);
            let simulcast = self.dice.bool();
            self.publish(konsil::model::media::MediaKind::Video, simulcast, now);
        }
        self.missing = if self.plan.layout == Layout::Whep { [1, 1] } else { [0, 0] };
        let Some((sdp, _)) = self.make_offer() else { return };
        let request = match self.plan.only.clone() {
            Some(identity) => Request::Whep { grants, room, identity, track: None, sdp },
            None => Request::Whip { grants, room, sdp },
        };
        self.say.push(Say::Request(Box::new(request)));
    }

    pub fn on_connected(&mut self, result: &Result<Connected, Refusal>, now: Instant) {
        match result {
            Ok(connected) if connected.resumed => {
                self.state = State::In;
                self.changed = now;
                self.come_back(now);
            }
            Ok(connected) => {
                self.state = State::In;
                self.go_through_relay(connected.relay, now);
            }
            Err(_) => self.say.push(Say::StartOver),
        }
    }

    /// Some people's networks let nothing out but the relay. Credentials of the command line do not know the worker.
    fn go_through_relay(&mut self, user: RelayUser, now: Instant) {
        if !self.plan.relayed() {
            return;
        }
        let worker = user.worker.filter(|_| self.id.0.is_multiple_of(2));
        let seed = self.id.0 as u64;
        for (leg, pc) in self.pcs() {
            let dice = Rng::with_seed(seed << 1 | u64::from(leg == Leg::Subscriber));
            pc.tunnel = Some(Tunnel::new(RelayUser { worker, ..user }, RELAY.parse().expect("an address"), now, dice));
        }
    }

    pub fn on_notice(&mut self, notice: Notice, now: Instant) {
        match notice {
            Notice::Joined(joined) => self.on_joined(*joined, now),
            Notice::Answer(answer) => self.on_answer(&answer, now),
            Notice::Offer(offer) => self.on_offer(&offer, now),
            Notice::MediaSections { audios, videos } => {
                self.missing[0] += audios;
                self.missing[1] += videos;
                self.again = true;
                self.negotiate_if_free(now);
            }
            Notice::Participants(views) => views.into_iter().for_each(|view| self.on_participant(view)),
            Notice::TrackPublished { cid, track } => {
                if let Some(source) = self.sources.iter_mut().find(|source| source.cid == cid) {
                    source.sid = Some(track.sid);
                    // A mute that was said before the connection was lost may not have been heard.
                    source.muted = track.muted;
                }
                if self.plan.confirm_first {
                    self.negotiate(now);
                }
            }
            Notice::TrackUnpublished { track } => {
                if let Some(source) = self.sources.iter_mut().find(|source| source.sid.as_ref() == Some(&track)) {
                    source.stage = Stage::Ended;
                }
            }
            Notice::Mute { track, muted } => {
                if let Some(source) = self.sources.iter_mut().find(|source| source.sid.as_ref() == Some(&track)) {
                    source.muted = muted;
                }
            }
            Notice::Watched { track, best, .. } => {
                if let Some(source) = self.sources.iter_mut().find(|source| source.sid.as_ref() == Some(&track)) {
                    source.watched(best);
                }
            }
            Notice::Streams(streams) => {
                for stream in streams {
                    if stream.paused {
                        self.paused.insert(stream.track)
                    } else {
                        self.paused.remove(&stream.track)
                    };
                }
            }
            Notice::Leave { action: LeaveAction::Resume, .. } => self.drop_connection(now),
            Notice::Leave { action: LeaveAction::Reconnect, .. } => self.say.push(Say::StartOver),
            Notice::Leave { action: LeaveAction::Disconnect, .. } => self.end(),
            Notice::Reconnected
            | Notice::TrackSubscribed { .. }
            | Notice::Speakers(_)
            | Notice::Quality(_)
            | Notice::Room(_)
            | Notice::Token(_)
            | Notice::DataTrackPublished(_)
            | Notice::DataTrackUnpublished(_)
            | Notice::DataTrackRefused { .. }
            | Notice::DataHandles(_)
            | Notice::SubscriptionPermission { .. }
            | Notice::Response { .. }
            | Notice::Partner(_)
            | Notice::FromPartner(_)
            | Notice::Desk(_) => {}
        }
    }

    fn on_joined(&mut self, joined: Joined, now: Instant) {
        self.sid = Some(joined.participant.sid);
        self.others = joined.others.into_iter().map(|view| (view.sid.clone(), view)).collect();
        self.announce_unheard();
        // A single PeerConnection is always offered, a publisher of two only when there is something to send.
        if self.plan.layout == Layout::Single || !self.sources.is_empty() || self.dice.bool() {
            self.negotiate(now);
        }
    }

    /// Announces the tracks whose announcement was never confirmed.
    fn announce_unheard(&mut self) {
        let unheard = self.sources.iter().filter(|source| source.sid.is_none() && source.stage != Stage::Ended);
        self.say.extend(unheard.map(|source| Say::Signal(Signal::AddTrack(source.announcement()))));
    }

    fn on_participant(&mut self, view: ParticipantView) {
        if self.sid.as_ref() == Some(&view.sid) {
            return;
        }
        // As livekit-client does it: there is one participant of an identity, and a farewell ends it whatever its id.
        self.others.retain(|_, other| other.identity != view.identity);
        if view.state != ParticipantState::Disconnected {
            self.others.insert(view.sid.clone(), view);
        }
    }

    /// The signalling connection is gone, by whoever's doing. The client resumes if it has a session to resume.
    pub fn drop_connection(&mut self, now: Instant) {
        if !matches!(self.state, State::In | State::Joining | State::Resuming) || !self.plan.signals() {
            return;
        }
        self.say.extend(self.conn.take().map(Say::HangUp));
        self.state = State::Away(self.later(now, 100..2_500));
    }

    /// What is due while away.
    pub fn work(&mut self, now: Instant) {
        if let State::Away(until) = self.state
            && until <= now
        {
            if self.sid.is_none() {
                return self.say.push(Say::StartOver);
            }
            self.state = State::Resuming;
            self.say.push(Say::Connect(Box::new(Connect {
                grants: self.plan.grants.clone(),
                layout: self.plan.layout,
                auto_subscribe: self.plan.auto_subscribe,
                protocol: 16,
                resume: self.sid.clone(),
                sync: Some(self.sync_state()),
                add_tracks: Vec::new(),
                offer: None,
            })));
        }
    }

    /// What livekit-client says that it has: the tracks against the default, and those that it does not show.
    fn sync_state(&self) -> SyncState {
        let subscribe = !self.plan.auto_subscribe;
        let tracks: Vec<Sid> = self.asked.iter().filter(|(_, asked)| **asked == subscribe).map(|(sid, _)| sid.clone()).collect();
        let published = self.sources.iter().filter_map(|source| source.sid.clone()).collect();
        SyncState { tracks, subscribe, disabled: self.disabled.iter().cloned().collect(), published }
    }

    /// The server took the client back: offers again what was not answered, and restarts ICE.
    fn come_back(&mut self, now: Instant) {
        self.announce_unheard();
        let live = self.sources.iter().filter(|source| source.stage == Stage::Live);
        let mutes: Vec<_> = live.filter_map(|source| Some(Signal::Mute { track: source.sid.clone()?, muted: source.muted })).collect();
        self.say.extend(mutes.into_iter().map(Say::Signal));
        self.restart = self.publisher.as_ref().is_some_and(|pc| pc.offers > 0);
        if !self.repeat_offer() {
            self.negotiate(now);
        }
    }

    pub fn on_reply(&mut self, result: Result<Reply, Refusal>, now: Instant) {
        let Ok(Reply::Media { resource, sdp, .. }) = result else { return self.say.push(Say::StartOver) };
        self.state = State::In;
        self.resource = Some(resource.clone());
        self.sid = Some(resource);
        for line in sdp.lines().filter_map(|line| line.strip_prefix("a=msid:")) {
            if let Some((_, track)) = line.split_once(' ').filter(|(stream, _)| stream.contains('|')) {
                self.promised.insert(Sid::from_client(track));
            }
        }
        let carried = sections_with_tracks(&sdp);
        let Some(pc) = self.publisher.as_mut() else { return };
        pc.mids = carried;
        pc.told_at = now;
        pc.began.get_or_insert(now);
        let Some(offer) = pc.offer.take() else { return };
        match SdpAnswer::from_sdp_string(&sdp)
            .map_err(|e| e.to_string())
            .and_then(|answer| pc.rtc.sdp_api().accept_answer(offer.pending, answer).map_err(|e| e.to_string()))
        {
            Ok(()) => self.sources_live(now),
            Err(error) => self.complaint = Some(format!("cannot take the answer: {error}")),
        }
        self.settle_pcs(now);
    }
}

/// The sections of a description with the tracks that their `a=msid` names.
fn sections_with_tracks(sdp: &str) -> std::collections::BTreeMap<String, Sid> {
    let mut sections = std::collections::BTreeMap::new();
    for part in sdp.split("\nm=").skip(1) {
        let value = |prefix: &str| part.lines().find_map(|line| line.trim_end().strip_prefix(prefix).map(str::to_owned));
        let track = value("a=msid:")
            .and_then(|msid| msid.split_once('|').and_then(|(_, rest)| rest.split_once(' ').map(|(_, track)| Sid::from_client(track))));
        if let (Some(mid), Some(track)) = (value("a=mid:"), track) {
            sections.insert(mid, track);
        }
    }
    sections
}
