//! Data tracks: who publishes which, who receives it under which number.

use crate::model::chance::Chance;
use crate::model::ids::{SessionId, Sid};
use crate::model::media::Encryption;

use super::command::PublishData;
use super::media::MediaCommand;
use super::notice::{DataHandle, DataTrackView, Notice, Outcome};
use super::participant::Participant;
use super::rules::{Effect, Room};
use super::subscribe::TRACKS_IN_MESSAGE_MAX;

/// Most data tracks that one participant may publish.
pub const DATA_TRACKS_MAX: usize = 16;
/// Longest name of a data track in bytes; none has no name.
pub const NAME_MAX: usize = 256;
/// Longest description of a data track's frames in bytes.
pub const TYPING_MAX: usize = 1024;

impl Room {
    /// Checks a data track against token, room and what its publisher has already.
    ///
    /// # Errors
    /// The outcome that the client is told.
    fn check_data(&self, session: SessionId, wanted: &PublishData) -> Result<u16, Outcome> {
        let participant = self.participants.get(&session).ok_or(Outcome::NotFound)?;
        if !participant.may_publish_data_tracks() {
            return Err(Outcome::NotAllowed);
        }
        if self.settings.require_encryption && wanted.encryption == Encryption::None {
            return Err(Outcome::EncryptionRequired);
        }
        let handle = u16::try_from(wanted.handle).ok().filter(|handle| *handle > 0).ok_or(Outcome::InvalidHandle)?;
        if wanted.name.is_empty() || wanted.name.len() > NAME_MAX {
            return Err(Outcome::InvalidName);
        }
        if wanted.typing.len() > TYPING_MAX {
            return Err(Outcome::Invalid);
        }
        if participant.data_tracks.contains_key(&handle) {
            return Err(Outcome::DuplicateHandle);
        }
        if participant.data_tracks.values().any(|track| track.name == wanted.name) {
            return Err(Outcome::DuplicateName);
        }
        if participant.data_tracks.len() >= DATA_TRACKS_MAX { Err(Outcome::LimitExceeded) } else { Ok(handle) }
    }

    /// Publishes a data track, or says why not.
    pub(super) fn publish_data(&mut self, session: SessionId, wanted: PublishData, chance: &mut Chance, out: &mut Vec<Effect>) {
        let handle = match self.check_data(session, &wanted) {
            Ok(handle) => handle,
            Err(outcome) => return self.tell(session, Notice::DataTrackRefused { handle: wanted.handle, publish: true, outcome }, out),
        };
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let PublishData { name, encryption, typing, .. } = wanted;
        let track = DataTrackView { sid: Sid::data_track(chance), handle, name, encryption, typing };
        participant.data_tracks.insert(handle, track.clone());
        out.push(Effect::Media(MediaCommand::AddDataTrack { session, track: track.sid.clone(), handle }));
        self.tell(session, Notice::DataTrackPublished(track), out);
        self.changed(session, out);
    }

    /// The publisher takes a data track down.
    pub(super) fn unpublish_data(&mut self, session: SessionId, handle: u32, out: &mut Vec<Effect>) {
        let known = u16::try_from(handle).ok().filter(|handle| self.remove_data_track(session, *handle, out));
        if known.is_none() {
            self.tell(session, Notice::DataTrackRefused { handle, publish: false, outcome: Outcome::NotFound }, out);
        }
    }

    /// Takes all data tracks of a participant down if it may have none any more.
    pub(super) fn revoke_data_tracks(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get(&session).filter(|participant| !participant.may_publish_data_tracks()) else {
            return;
        };
        for handle in participant.data_tracks.keys().copied().collect::<Vec<_>>() {
            self.remove_data_track(session, handle, out);
        }
    }

    fn remove_data_track(&mut self, session: SessionId, handle: u16, out: &mut Vec<Effect>) -> bool {
        let Some(track) = self.participants.get_mut(&session).and_then(|one| one.data_tracks.remove(&handle)) else { return false };
        out.push(Effect::Media(MediaCommand::RemoveDataTrack { session, track: track.sid.clone() }));
        self.forget_data_track(&track.sid);
        self.tell(session, Notice::DataTrackUnpublished(track), out);
        self.changed(session, out);
        true
    }

    pub(super) fn forget_data_track(&mut self, track: &Sid) {
        for participant in self.participants.values_mut() {
            participant.data_asked.remove(track);
            participant.data_handles.remove(track);
        }
    }

    fn publisher_of_data(&self, track: &Sid) -> Option<&Participant> {
        self.participants.values().find(|participant| participant.data_tracks.values().any(|known| known.sid == *track))
    }

    /// A client asks for data tracks or does without them.
    pub(super) fn data_subscription(&mut self, session: SessionId, updates: &[(Sid, bool)], out: &mut Vec<Effect>) {
        for (track, subscribe) in updates.iter().take(TRACKS_IN_MESSAGE_MAX) {
            // Only tracks that exist are remembered, so that the set is bounded by the room.
            let Some(publisher) = self.publisher_of_data(track).map(|publisher| publisher.session) else { continue };
            let Some(participant) = self.participants.get_mut(&session).filter(|_| publisher != session) else { continue };
            if !subscribe {
                participant.data_asked.remove(track);
            } else if !participant.data_asked.insert(track.clone()) {
                // Whoever asks again may have missed the answer.
                self.tell_handles(session, |known| known == track, out);
            }
            self.reconcile_data(session, track, out);
        }
    }

    /// Brings what a subscriber receives of one data track in line with grants, rules and its wish.
    fn reconcile_data(&mut self, session: SessionId, track: &Sid, out: &mut Vec<Effect>) {
        let Some(receiver) = self.participants.get(&session) else { return };
        let Some(publisher) = self.publisher_of_data(track) else { return };
        let should = receiver.data_asked.contains(track) && receiver.permission.subscribe && publisher.allows(receiver, track);
        if should == receiver.data_handles.contains_key(track) {
            return;
        }
        let Some(receiver) = self.participants.get_mut(&session) else { return };
        if !should {
            receiver.data_handles.remove(track);
            return out.push(Effect::Media(MediaCommand::UnsubscribeData { session, track: track.clone() }));
        }
        let handle = receiver.free_handle();
        receiver.data_handles.insert(track.clone(), handle);
        self.tell_handles(session, |known| known == track, out);
        out.push(Effect::Media(MediaCommand::SubscribeData { session, track: track.clone(), handle }));
    }

    /// All that one participant has asked for, after its rights changed.
    pub(super) fn reconcile_data_of(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(receiver) = self.participants.get(&session) else { return };
        for track in receiver.data_asked.iter().cloned().collect::<Vec<_>>() {
            self.reconcile_data(session, &track, out);
        }
    }

    /// All who have asked for a publisher's data tracks, after its rules changed.
    pub(super) fn reconcile_data_from(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(publisher) = self.participants.get(&session) else { return };
        let tracks: Vec<Sid> = publisher.data_tracks.values().map(|track| track.sid.clone()).collect();
        for receiver in self.participants.keys().copied().collect::<Vec<_>>() {
            tracks.iter().for_each(|track| self.reconcile_data(receiver, track, out));
        }
    }

    /// Tells a client under which numbers it receives data tracks.
    pub(super) fn tell_handles(&self, session: SessionId, which: impl Fn(&Sid) -> bool, out: &mut Vec<Effect>) {
        let Some(receiver) = self.participants.get(&session) else { return };
        let known = receiver.data_handles.iter().filter(|(track, _)| which(track));
        let handle = |(track, handle): (&Sid, &u16)| {
            let publisher = self.publisher_of_data(track)?;
            Some(DataHandle {
                handle: *handle,
                publisher: publisher.identity.clone(),
                publisher_sid: publisher.sid.clone(),
                track: track.clone(),
            })
        };
        let handles: Vec<_> = known.filter_map(handle).collect();
        if !handles.is_empty() {
            self.tell(session, Notice::DataHandles(handles), out);
        }
    }
}

impl Participant {
    /// A data track names its publisher to all, so whoever is not shown has none.
    fn may_publish_data_tracks(&self) -> bool {
        self.permission.publish_data && !self.permission.hidden && self.has_signalling()
    }

    /// A number that no data track comes to it under: a room has fewer tracks than there are numbers.
    fn free_handle(&mut self) -> u16 {
        loop {
            self.last_handle = self.last_handle.checked_add(1).unwrap_or(1);
            if !self.data_handles.values().any(|known| *known == self.last_handle) {
                return self.last_handle;
            }
        }
    }
}

#[cfg(test)]
#[path = "data_tracks_tests.rs"]
mod tests;
