//! Publishing: announcements, media sections, mutes.

use crate::model::chance::Chance;
use crate::model::ids::{SessionId, Sid};
use crate::model::media::{Codec, Encryption, MediaKind};

use super::command::AddTrack;
use super::media::{MediaCommand, TrackSpec};
use super::notice::{Notice, Outcome, TrackView};
use super::participant::Track;
use super::rules::{Effect, Room};

/// Most tracks that one participant may publish or announce.
pub const TRACKS_MAX: usize = 16;
/// Most simulcast layers that one track may announce.
pub const LAYERS_MAX: usize = 3;
/// Longest track name, stream name or client id in bytes.
pub const TEXT_MAX: usize = 256;

impl Room {
    /// Checks an announced track against token and room.
    ///
    /// # Errors
    /// The outcome that the client is told.
    fn check_track(&self, session: SessionId, add: &AddTrack) -> Result<(), Outcome> {
        let participant = self.participants.get(&session).ok_or(Outcome::NotFound)?;
        if !participant.may_publish(add.source) {
            return Err(Outcome::NotAllowed);
        }
        if self.settings.require_encryption && add.encryption == Encryption::None {
            return Err(Outcome::EncryptionRequired);
        }
        let announced = participant.tracks.values().filter(|track| track.live || track.view.cid != add.cid).count();
        if announced >= TRACKS_MAX {
            return Err(Outcome::LimitExceeded);
        }
        let short = [&add.name, &add.stream, &add.cid].into_iter().all(|text| text.len() <= TEXT_MAX);
        if !short
            || add.cid.is_empty()
            || add.layers.len() > LAYERS_MAX
            || add.codecs.len() > TRACKS_MAX
            || add.audio_features.len() > TRACKS_MAX
        {
            return Err(Outcome::Invalid);
        }
        Ok(())
    }

    /// Announces a track, or says why not.
    ///
    /// # Errors
    /// The outcome that the client is told.
    pub fn add_track(&mut self, session: SessionId, add: AddTrack, chance: &mut Chance, out: &mut Vec<Effect>) -> Result<(), Outcome> {
        self.check_track(session, &add)?;
        let Some(participant) = self.participants.get_mut(&session) else { return Err(Outcome::NotFound) };
        let same = participant.tracks.values().find(|track| track.view.cid == add.cid).map(|track| (track.live, track.view.clone()));
        if let Some((live, view)) = same {
            if live {
                // A client that repeats itself after a resume keeps the track it has.
                self.tell(session, Notice::TrackPublished { cid: add.cid, track: view }, out);
                return Ok(());
            }
            participant.tracks.remove(&view.sid);
            out.push(Effect::Media(MediaCommand::RemoveTrack { session, track: view.sid }));
        }
        let mut cids: Vec<String> = vec![add.cid.clone()];
        cids.extend(add.codecs.iter().map(|(_, cid)| cid.clone()).filter(|cid| !cid.is_empty() && *cid != add.cid));
        let view = track_view(add, Sid::track(chance));
        let spec = TrackSpec {
            sid: view.sid.clone(),
            cids,
            kind: view.kind,
            source: view.source,
            codec: view.codec,
            // Browsers seal the whole RED payload, which nobody could unwrap then for a receiver without RED.
            red: !view.disable_red && view.encryption == Encryption::None,
            layers: view.layers.clone(),
            encrypted: view.encryption != Encryption::None,
            muted: view.muted,
        };
        participant.tracks.insert(view.sid.clone(), Track { view: view.clone(), live: false, heard: false });
        self.tell(session, Notice::TrackPublished { cid: view.cid.clone(), track: view }, out);
        out.push(Effect::Media(MediaCommand::AddTrack { session, track: spec }));
        Ok(())
    }

    pub(super) fn track_live(&mut self, session: SessionId, sid: &Sid, mid: String, codec: Option<Codec>, out: &mut Vec<Effect>) {
        let Some(track) = self.participants.get_mut(&session).and_then(|participant| participant.tracks.get_mut(sid)) else { return };
        let before = (track.live, track.view.mid.clone(), track.view.codec);
        track.live = true;
        track.view.mid = mid;
        track.view.codec = codec.or(track.view.codec);
        if before == (true, track.view.mid.clone(), track.view.codec) {
            return;
        }
        self.changed(session, out);
        self.reconcile_track(session, sid, out);
    }

    pub(super) fn track_heard(&mut self, sid: &Sid, out: &mut Vec<Effect>) {
        let publisher = self.participants.values_mut().find_map(|participant| {
            let track = participant.tracks.get_mut(sid).filter(|track| !track.heard)?;
            track.heard = true;
            Some(participant.session)
        });
        if let Some(publisher) = publisher {
            self.tell(publisher, Notice::TrackSubscribed { track: sid.clone() }, out);
        }
    }

    /// The publisher mutes or unmutes its own track.
    pub(super) fn mute_own(&mut self, session: SessionId, sid: &Sid, muted: bool, out: &mut Vec<Effect>) {
        if self.set_muted(session, sid, muted, out) {
            self.changed(session, out);
        }
    }

    /// Somebody with the right mutes or unmutes a participant's track, all of them if `sid` is `None`.
    /// Returns the tracks it concerned.
    pub fn mute(&mut self, session: SessionId, sid: Option<&Sid>, muted: bool, out: &mut Vec<Effect>) -> Vec<TrackView> {
        let concerned: Vec<Sid> =
            self.tracks_of(session).into_iter().map(|track| track.sid).filter(|track| sid.is_none_or(|only| only == track)).collect();
        let mut changed = false;
        for track in &concerned {
            if self.set_muted(session, track, muted, out) {
                self.tell(session, Notice::Mute { track: track.clone(), muted }, out);
                changed = true;
            }
        }
        if changed {
            self.changed(session, out);
        }
        self.tracks_of(session).into_iter().filter(|track| concerned.contains(&track.sid)).collect()
    }

    fn set_muted(&mut self, session: SessionId, sid: &Sid, muted: bool, out: &mut Vec<Effect>) -> bool {
        let Some(track) = self.participants.get_mut(&session).and_then(|participant| participant.tracks.get_mut(sid)) else { return false };
        if track.view.muted == muted {
            return false;
        }
        track.view.muted = muted;
        out.push(Effect::Media(MediaCommand::SetMuted { session, track: sid.clone(), muted }));
        track.live
    }
}

fn track_view(add: AddTrack, sid: Sid) -> TrackView {
    TrackView {
        sid,
        kind: add.kind,
        name: add.name,
        muted: add.muted,
        width: add.width,
        height: add.height,
        source: add.source,
        layers: add.layers,
        // Older clients name no codec for sound, of which there is only one.
        codec: add.codecs.first().and_then(|(codec, _)| *codec).or((add.kind == MediaKind::Audio).then_some(Codec::Opus)),
        mid: String::new(),
        cid: add.cid,
        encryption: add.encryption,
        stream: add.stream,
        disable_red: add.disable_red,
        disable_dtx: add.disable_dtx,
        stereo: add.stereo,
        audio_features: add.audio_features,
    }
}
