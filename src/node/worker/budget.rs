//! What each subscriber's network carries: estimates, layers, pauses, what to look for.

use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};

use crate::model::ids::{SessionId, Sid};
use crate::model::media::{MediaKind, Quality, TrackSource};
use crate::node::peer::{OutSection, Peer, PeerIndex, RoomIndex};
use crate::room::media::MediaEvent;
use crate::sfu::budget::{Demand, HEADROOM_PERCENT, Rank};
use crate::sfu::layers::Level;

use super::Worker;
use super::rooms::{MediaRoom, MediaTrack};

/// What a client without bandwidth estimation is taken to have, in bit/s.
const UNLIMITED: u64 = 1 << 40;
/// What sound takes that was not measured yet, in bit/s: Opus with headers.
const AUDIO_BITRATE: u64 = 50_000;
/// The most that is looked for, in bit/s.
const DESIRED_MAX: u64 = 50_000_000;
/// This much more than what is wanted is looked for, in percent: what is raised must leave headroom.
const DESIRED_PERCENT: u64 = 125;
/// A client that gets media reports more often than this.
const UNHEARD: Duration = Duration::from_millis(700);
/// What str0m tells is a mean of its last three seconds. Where it was made to begin anew, those before count too.
const MEMORY: Duration = Duration::from_secs(3);
/// An estimate that has not changed for so long is no guess any more.
const GUESS: Duration = Duration::from_secs(1);
/// How soon more is looked for again while something is paused or smaller than wished; in vain ever less often.
const TRY_EVERY: Duration = Duration::from_millis(800);
/// How seldom at last.
const TRY_SELDOM: Duration = Duration::from_secs(12);
/// How long each time as much is sent as the next step would take: an estimate grows by no more than what it sees.
const TRY_LASTS: Duration = Duration::from_secs(3);
/// By so much a wish must grow to count as one, in bit/s.
const A_LITTLE: u64 = 1_000;
/// Packets that wait for so long in the queue show that less gets through than was estimated.
const CONGESTED: Duration = Duration::from_millis(300);
/// Nobody watches a layer, or less than before, for so long: then its publisher is told. More is told at once.
pub(super) const UNWATCHED: Duration = Duration::from_secs(5);

/// What a publisher was told of who watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The best layer that somebody has a use for, as the publisher knows it.
    told: Option<Quality>,
    /// Since when less would be enough.
    less: Option<Instant>,
}

impl Default for Watch {
    /// Who publishes sends everything until told otherwise.
    fn default() -> Self {
        Self { told: Some(Quality::High), less: None }
    }
}

impl Watch {
    /// Notes what is watched now. Returns whether the publisher must hear of it.
    fn note(&mut self, best: Option<Quality>, now: Instant) -> bool {
        if best >= self.told {
            self.less = None;
            return std::mem::replace(&mut self.told, best) != best;
        }
        let since = *self.less.get_or_insert(now);
        if now.saturating_duration_since(since) < UNWATCHED {
            return false;
        }
        *self = Self { told: best, less: None };
        true
    }
}

/// How more is looked for than what the estimate allows.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Search {
    /// When it begins again.
    again: Instant,
    /// Until when padding is sent.
    until: Instant,
    /// The next pause.
    pause: Duration,
    /// What the estimate was when it began, in bit/s.
    estimate: u64,
}

/// A subscriber's tracks and what they take.
struct Wants {
    demands: Vec<Demand>,
    /// The places of their sections.
    places: Vec<usize>,
    /// What its sound takes in bit/s.
    audio: u64,
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

    /// str0m has a new estimate of what a client's network carries. To be acted on when str0m is drained.
    pub(super) fn estimated(&mut self, index: PeerIndex, kind: &BweKind) {
        let now = self.now;
        let Some(peer) = self.peer_mut(index) else { return };
        match kind {
            BweKind::Twcc { estimate, can_probe: true } => {
                let remembers = peer.anew.is_some_and(|anew| now.saturating_duration_since(anew) < MEMORY);
                let least = peer.estimate.filter(|_| remembers).unwrap_or(0);
                peer.estimate = Some(estimate.as_u64().max(least));
            }
            BweKind::Twcc { can_probe: false, .. } => peer.estimate = None,
            // RFC 8888's forerunner, from clients that send no feedback per packet.
            BweKind::Remb { estimate, .. } if !peer.feedback => peer.estimate = Some(estimate.as_u64()),
            _ => return,
        }
        peer.feedback |= matches!(kind, BweKind::Twcc { .. });
        peer.estimates = peer.estimates.saturating_add(1);
        peer.guessed.get_or_insert(now);
        if peer.estimates == 2 {
            peer.budget.ask();
        }
        peer.estimated = true;
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
        if is_guess(peer, now) {
            wants.demands.iter_mut().for_each(begin_small);
        }
        let Some(peer) = self.peer_mut(index) else { return };
        let usable = peer.estimate.unwrap_or(UNLIMITED);
        let congested = !wants.demands.is_empty() && is_congested(peer, now);
        let levels = peer.budget.decide(usable.saturating_sub(wants.audio), congested, &wants.demands, now);
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
        let looks = peer.estimate.is_some_and(|estimate| !congested || estimate < wants.audio);
        let next = next_step(&wants, &levels).filter(|_| looks);
        if look_for(peer, &wants, next, now) {
            self.mark(index);
        }
        if !states.is_empty() {
            self.event(MediaEvent::Streams { session, states });
        }
    }

    /// A client changed what it wants to see: it is not made to wait for it.
    pub(super) fn allot_anew(&mut self, index: PeerIndex) {
        if let Some(peer) = self.peer_mut(index) {
            peer.budget.ask();
            peer.search = None;
            self.allot(index);
        }
    }

    /// Tells publishers which layers of their tracks somebody has a use for.
    pub(super) fn look_who_watches(&mut self, room: RoomIndex) {
        let now = self.now;
        let Some(entry) = self.room(room) else { return };
        let watched: Vec<(usize, Option<Quality>)> = entry.videos().map(|(at, track)| (at, self.watched(track))).collect();
        let mut news: Vec<(SessionId, Sid, Option<Quality>, usize)> = Vec::new();
        let Some(entry) = self.room_mut(room) else { return };
        for (at, best) in watched {
            let Some(track) = entry.tracks[at].as_mut() else { continue };
            if track.watch.note(best, now) {
                news.push((track.session, track.spec.sid.clone(), best, at));
            }
        }
        for (session, track, best, at) in news {
            let codec = self.room(room).and_then(|room| room.tracks[at].as_ref()?.codec);
            self.event(MediaEvent::Watched { session, track, best, codec });
        }
    }

    /// The best layer of a track that somebody has a use for.
    fn watched(&self, track: &MediaTrack) -> Option<Quality> {
        let sections = track.receivers.iter().filter_map(|(peer, place)| self.peer(*peer)?.sections.get(*place));
        sections.filter(|section| !section.settings.disabled).map(|section| track.layers.wish(&section.settings)).max()
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

/// Whether nothing is known yet of what a client's network carries.
fn is_guess(peer: &Peer, now: Instant) -> bool {
    let waited = peer.guessed.is_some_and(|guessed| now.saturating_duration_since(guessed) >= GUESS);
    peer.estimate.is_some() && peer.estimates < 2 && !waited
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

/// Tells str0m how much the client's tracks could use, so that it looks for that much. Returns whether it was told.
fn look_for(peer: &mut Peer, wants: &Wants, next: Option<u64>, now: Instant) -> bool {
    let best = wants.demands.iter().filter_map(|demand| demand.rungs.last()).map(|rung| rung.bitrate);
    let desired = ((wants.audio + best.sum::<u64>()) * DESIRED_PERCENT / 100).min(DESIRED_MAX);
    let Some(next) = next else {
        peer.search = None;
        return tell(peer, 0, desired, false);
    };
    let estimate = peer.estimate.unwrap_or(0);
    let news = peer.search.is_some_and(|search| estimate > search.estimate * 3 / 2 || estimate < search.estimate / 2);
    let search = peer.search.filter(|_| !news).unwrap_or(Search { again: now, until: now, pause: TRY_EVERY, estimate: 0 });
    if now < search.again {
        let minimum = if now < search.until { next } else { 0 };
        return tell(peer, minimum, desired, false);
    }
    // Where hardly anything is sent, str0m keeps to what it last thought of losses and does not probe at all. And hardly more than
    // the sound that flows all the time cannot be right while nothing waits.
    if estimate == search.estimate || estimate < wants.audio * 5 / 4 {
        peer.rtc.bwe().reset(Bitrate::bps(estimate.max(wants.audio)));
    }
    let pause = (search.pause * 2).min(TRY_SELDOM);
    peer.search = Some(Search { again: now + search.pause, until: now + TRY_LASTS, pause, estimate });
    tell(peer, next, desired, true)
}

/// Says what is to be sent at least, with padding where there is not enough, and what to look for. With `more` str0m probes
/// at once, which it does for each wish for more than before; by itself it may wait for a quarter of a minute.
fn tell(peer: &mut Peer, minimum: u64, desired: u64, more: bool) -> bool {
    let about = |one: u64, other: u64| one.abs_diff(other) * 10 <= other;
    // Rates that are measured are never quite the same, and each change costs a look at the pacer.
    if !more && about(desired, peer.told.1) && (about(minimum, peer.told.0)) {
        return false;
    }
    let desired = if more { desired.max(peer.told.1) + A_LITTLE } else { desired };
    peer.told = (minimum, desired);
    peer.rtc.bwe().set_bitrate(Bitrate::bps(minimum), Bitrate::bps(desired));
    true
}

impl MediaRoom {
    /// Pictures with their places.
    fn videos(&self) -> impl Iterator<Item = (usize, &MediaTrack)> {
        let placed = self.tracks.iter().enumerate().filter_map(|(at, track)| Some((at, track.as_ref()?)));
        placed.filter(|(_, track)| track.spec.kind == MediaKind::Video && track.mid.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_told_at_once_and_less_when_it_lasts() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!watch.note(Some(Quality::High), at(0)), "what everybody does from the start");
        assert!(!watch.note(Some(Quality::Low), at(1_000)));
        assert!(!watch.note(Some(Quality::High), at(3_000)), "it did not last");
        assert!(!watch.note(None, at(4_000)));
        assert!(!watch.note(Some(Quality::Low), at(8_999)));
        assert!(watch.note(Some(Quality::Low), at(9_000)), "what is watched by then");
        assert!(watch.note(Some(Quality::Medium), at(9_001)));
        assert!(!watch.note(Some(Quality::Medium), at(9_002)), "once");
    }
}
