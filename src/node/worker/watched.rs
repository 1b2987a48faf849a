//! Which layers of a track somebody has a use for, as its publisher is told.

use std::time::{Duration, Instant};

use crate::model::ids::{SessionId, Sid};
use crate::model::media::{MediaKind, Quality};
use crate::node::peer::RoomIndex;
use crate::room::media::MediaEvent;

use super::Worker;
use super::rooms::{MediaRoom, MediaTrack};

/// Nobody watches a layer, or less than before, for so long: then its publisher is told. More is told at once.
const UNWATCHED: Duration = Duration::from_secs(5);

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

impl Worker {
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
