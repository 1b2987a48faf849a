//! Dividing what each subscriber's network carries among its tracks.

use std::time::{Duration, Instant};

use crate::model::ids::Sid;
use crate::model::media::{MediaKind, TrackSource};
use crate::node::peer::{OutSection, Peer, PeerIndex};
use crate::room::media::MediaEvent;
use crate::sfu::budget::{Demand, HEADROOM_PERCENT, Rank};
use crate::sfu::layers::Level;

use super::Worker;
use super::rooms::{MediaRoom, MediaTrack};

/// What a client without bandwidth estimation is taken to have, in bit/s.
const UNLIMITED: u64 = 1 << 40;
/// What sound takes that was not measured yet, in bit/s: Opus with headers.
const AUDIO_BITRATE: u64 = 50_000;
/// A client that gets media reports more often than this.
const UNHEARD: Duration = Duration::from_millis(700);
/// Packets that wait for so long in the queue show that less gets through than was estimated.
const CONGESTED: Duration = Duration::from_millis(300);

/// A subscriber's tracks and what they take.
struct Wants {
    demands: Vec<Demand>,
    /// The places of their sections.
    places: Vec<usize>,
    /// What its sound takes in bit/s.
    audio: u64,
}

impl Wants {
    /// What everything that is wished for takes, in bit/s.
    fn best(&self) -> u64 {
        let best = self.demands.iter().filter_map(|demand| demand.rungs.last()).map(|rung| rung.bitrate);
        self.audio + best.sum::<u64>()
    }

    /// What the pictures take that are sent so, in bit/s.
    fn taken_by(&self, levels: &[Option<Level>]) -> u64 {
        let rung = |(demand, level): (&Demand, &Option<Level>)| {
            demand.rungs.iter().find(|rung| Some(rung.level) == *level).map(|rung| rung.bitrate)
        };
        self.demands.iter().zip(levels).filter_map(rung).sum()
    }
}

impl Worker {
    /// Looks at what every subscriber gets, and at what is watched of every track.
    pub(super) fn look_at_budgets(&mut self) {
        let subscribers: Vec<PeerIndex> = self.sessions.values().map(|session| session.subscriber).collect();
        for index in subscribers {
            self.guard(index, |worker| worker.allot(index));
        }
        for room in self.by_key.values().copied().collect::<Vec<_>>() {
            self.guard_room(room, |worker| worker.look_who_watches(room));
        }
    }

    /// Divides what a subscriber's network carries among its tracks.
    pub(super) fn allot(&mut self, index: PeerIndex) {
        let now = self.now;
        let Some(peer) = self.peers.get(index.0 as usize).and_then(Option::as_deref) else { return };
        if is_cut_off(peer, now) {
            return;
        }
        let Some(room) = self.room(peer.room) else { return };
        let mut wants = wants(peer, room, now);
        let Some(peer) = self.peer_mut(index) else { return };
        if !wants.demands.is_empty() {
            peer.bandwidth.begin_pictures(now);
        }
        if peer.bandwidth.is_guess(now) {
            wants.demands.iter_mut().for_each(begin_small);
        }
        let usable = peer.bandwidth.estimate(now).unwrap_or(UNLIMITED);
        let congested = !wants.demands.is_empty() && is_congested(peer, now);
        let levels = peer.bandwidth.budget.decide(usable.saturating_sub(wants.audio), congested, &wants.demands, now);
        peer.bandwidth.sends(wants.taken_by(&levels));
        let session = peer.session;
        let mut states: Vec<(Sid, bool)> = Vec::new();
        for (&place, level) in wants.places.iter().zip(&levels) {
            let section = &mut peer.sections[place];
            if section.limit(*level)
                && let Some((_, carried)) = &section.carried
            {
                states.push((carried.track.clone(), level.is_none()));
            }
        }
        let looks = peer.bandwidth.estimate(now).is_some_and(|estimate| !congested || estimate < wants.audio);
        let next = next_step(&wants, &levels).filter(|_| looks);
        if peer.bandwidth.look_for(&mut peer.rtc, wants.audio, wants.best(), next, now) {
            self.mark(index);
        }
        if !states.is_empty() {
            self.event(MediaEvent::Streams { session, states });
        }
    }

    /// Tells a client of each picture whether it is paused: it may have missed what it was told last.
    pub(super) fn tell_streams(&mut self, index: PeerIndex) {
        let Some(peer) = self.peer_mut(index) else { return };
        let session = peer.session;
        let pictures = peer.sections.iter().filter(|section| section.kind == MediaKind::Video);
        let states: Vec<_> = pictures.filter_map(|section| Some((section.carried.as_ref()?.1.track.clone(), section.paused))).collect();
        if !states.is_empty() {
            self.event(MediaEvent::Streams { session, states });
        }
    }

    /// A client changed what it wants to see: it is not made to wait for it.
    pub(super) fn allot_anew(&mut self, index: PeerIndex) {
        if let Some(peer) = self.peer_mut(index) {
            peer.bandwidth.ask();
            self.allot(index);
        }
    }
}

fn wants(peer: &Peer, room: &MediaRoom, now: Instant) -> Wants {
    let mut wants = Wants { demands: Vec::new(), places: Vec::new(), audio: 0 };
    for (place, section) in peer.sections.iter().enumerate() {
        let Some((at, _)) = section.carried.as_ref().filter(|_| section.settled && !section.settings.disabled) else { continue };
        let Some(track) = room.track(*at).filter(|track| !track.spec.muted && !track.unsealed) else { continue };
        match track.spec.kind {
            MediaKind::Audio => wants.audio += track.layers.measured().unwrap_or(AUDIO_BITRATE),
            MediaKind::Video => {
                wants.demands.push(Demand {
                    rank: rank(track, section, room),
                    rungs: track.layers.rungs(&section.settings, now),
                    now: section.selector.sent(),
                });
                wants.places.push(place);
            }
        }
    }
    wants
}

/// Whether nothing comes from a client that answers to what it gets: its way is dead, which says nothing of the next one.
fn is_cut_off(peer: &Peer, now: Instant) -> bool {
    let within = |at: Instant, patience| now.saturating_duration_since(at) <= patience;
    peer.wrote.is_some_and(|wrote| within(wrote, CONGESTED)) && !within(peer.received, UNHEARD)
}

/// Everybody begins with the smallest picture: it comes soonest, and a narrow network is not flooded.
fn begin_small(demand: &mut Demand) {
    if let Some(least) = demand.rungs.first().map(|rung| rung.level.quality) {
        demand.rungs.retain(|rung| rung.level.quality == least);
    }
}

fn rank(track: &MediaTrack, section: &OutSection, room: &MediaRoom) -> Rank {
    match section.settings.priority {
        _ if track.spec.source == TrackSource::ScreenShare => Rank::Screen,
        _ if room.foremost == Some(track.session) => Rank::Foremost(0),
        0 => Rank::Other,
        order => Rank::Foremost(order),
    }
}

/// Whether packets for a client wait longer than they should.
fn is_congested(peer: &mut Peer, now: Instant) -> bool {
    let mut api = peer.rtc.direct_api();
    peer.sections.iter().filter(|section| section.kind == MediaKind::Video && section.carried.is_some()).any(|section| {
        let since = api.stream_tx_by_mid(section.mid, None).and_then(|stream| stream.queue_info()?.first_unsent());
        since.is_some_and(|since| now.saturating_duration_since(since) > CONGESTED)
    })
}

/// What would be sent with the cheapest improvement, in bit/s; nothing if nothing is missing.
fn next_step(wants: &Wants, levels: &[Option<Level>]) -> Option<u64> {
    let mut spent = wants.audio;
    let mut cheapest = None;
    for (demand, level) in wants.demands.iter().zip(levels) {
        let at = demand.rungs.iter().position(|rung| Some(rung.level) == *level);
        let now = at.map_or(0, |at| demand.rungs[at].bitrate);
        let more = demand.rungs.get(at.map_or(0, |at| at + 1)).map(|rung| rung.bitrate.saturating_sub(now));
        spent += now;
        cheapest = [cheapest, more].into_iter().flatten().min();
    }
    cheapest.map(|more| (spent + more) * HEADROOM_PERCENT / 100)
}
