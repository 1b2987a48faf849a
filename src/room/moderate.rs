//! What moderators change: a participant, what it receives, the room, words to those in it.

use std::collections::BTreeMap;

use crate::model::ids::{SessionId, Sid};
use crate::model::time::Moment;

use super::media::{DataMessage, MediaCommand};
use super::notice::{Notice, Outcome, ParticipantState, ParticipantView, Permission};
use super::participant::Participant;
use super::rules::{Effect, Room};

/// Longest metadata in bytes.
pub const METADATA_MAX: usize = 64 * 1024;
/// Longest display name in bytes.
pub const DISPLAY_NAME_MAX: usize = 256;
/// Most attributes of a participant.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most messages of moderators that are known again when they are said twice.
pub const NONCES_MAX: usize = 128;
/// Attributes with names that begin so come from the token alone: others act on them.
const OWN_ATTRIBUTES: &str = "konsil.";

/// How a participant is described; what is empty stays as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// New metadata.
    pub metadata: String,
    /// New display name.
    pub name: String,
    /// Changed attributes; an empty value deletes.
    pub attributes: BTreeMap<String, String>,
}

// A derived Debug would carry names into logs.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profile(..)")
    }
}

/// Why a description is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It changes an attribute that comes from the token alone.
    Reserved,
    /// The name has more than [`DISPLAY_NAME_MAX`] bytes.
    Name,
    /// The metadata have more than [`METADATA_MAX`] bytes.
    Metadata,
    /// There would be more than [`ATTRIBUTES_MAX`] attributes, or they would have more than [`METADATA_MAX`] bytes.
    Attributes,
}

impl Unfit {
    /// What to do about it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reserved => "attributes that begin with konsil. come from the token alone: leave them out",
            Self::Name => "name must have at most 256 bytes",
            Self::Metadata => "metadata must have at most 65536 bytes",
            Self::Attributes => "a participant has at most 64 attributes, which have at most 65536 bytes together",
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        if self == Self::Reserved { Outcome::NotAllowed } else { Outcome::LimitExceeded }
    }
}

impl Participant {
    /// Takes a description over, whole or not at all. Returns whether anything is different now.
    pub(super) fn describe(&mut self, new: Profile) -> Result<bool, Unfit> {
        if new.attributes.keys().any(|name| name.starts_with(OWN_ATTRIBUTES)) {
            return Err(Unfit::Reserved);
        }
        if new.name.len() > DISPLAY_NAME_MAX {
            return Err(Unfit::Name);
        }
        if new.metadata.len() > METADATA_MAX {
            return Err(Unfit::Metadata);
        }
        let mut merged = self.attributes.clone();
        merged.extend(new.attributes);
        merged.retain(|_, value| !value.is_empty());
        let bytes: usize = merged.iter().map(|(name, value)| name.len() + value.len()).sum();
        if merged.len() > ATTRIBUTES_MAX || bytes > METADATA_MAX {
            return Err(Unfit::Attributes);
        }
        let mut changed = merged != self.attributes;
        self.attributes = merged;
        for (field, text) in [(&mut self.metadata, new.metadata), (&mut self.name, new.name)] {
            if !text.is_empty() && *field != text {
                *field = text;
                changed = true;
            }
        }
        Ok(changed)
    }
}

impl Room {
    /// Describes a participant anew, and lets it do other things if `permission` says so. All who see it are told, and
    /// its client gets a token that says the same.
    ///
    /// # Errors
    /// If the description cannot be taken; then nothing has changed.
    pub fn update_participant(
        &mut self,
        session: SessionId,
        profile: Profile,
        permission: Option<&Permission>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), Unfit> {
        let Some(participant) = self.participants.get_mut(&session) else { return Ok(()) };
        let described = participant.describe(profile)?;
        let permitted = permission.is_some_and(|wanted| self.permit(session, wanted, now, out));
        if (described || permitted) && !self.is_p2p() {
            self.refresh_token(session, now, out);
            self.changed(session, out);
        }
        Ok(())
    }

    /// Puts new rights into force: first at the worker, then in what stands already.
    fn permit(&mut self, session: SessionId, wanted: &Permission, now: Moment, out: &mut Vec<Effect>) -> bool {
        let Some(participant) = self.participants.get_mut(&session) else { return false };
        let before = participant.permission.clone();
        participant.permit(wanted);
        if participant.permission == before {
            return false;
        }
        out.push(Effect::Media(MediaCommand::SetRights { session, rights: participant.rights() }));
        let lost: Vec<Sid> = participant
            .tracks
            .iter()
            .filter(|(_, track)| !participant.may_publish(track.view.source))
            .map(|(sid, _)| sid.clone())
            .collect();
        lost.iter().for_each(|track| self.unpublish(session, track, out));
        self.revoke_data_tracks(session, out);
        self.reconcile_subscriber(session, out);
        self.reconcile_data_of(session, out);
        if wanted.hidden && !before.hidden {
            self.vanish(session, now, out);
        }
        if wanted.hidden != before.hidden {
            self.tell_room(out);
        }
        true
    }

    /// A participant is shown no more: to the others it has left.
    fn vanish(&mut self, session: SessionId, now: Moment, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        participant.version += 1;
        let view =
            ParticipantView { state: ParticipantState::Disconnected, tracks: Vec::new(), data_tracks: Vec::new(), ..participant.view() };
        self.speaking.remove(&session);
        self.tell_others(session, |_| Notice::Participants(vec![view.clone()]), out);
        self.departed.push(view, now.instant);
    }

    /// Receives tracks or stops, as if the client had asked for it.
    pub fn update_subscriptions(&mut self, session: SessionId, tracks: &[Sid], subscribe: bool, out: &mut Vec<Effect>) {
        self.subscription(session, tracks, subscribe, out);
    }

    /// Says something to those in the room who receive. What was said under the same nonce of late is not said again.
    pub fn send_data(&mut self, message: DataMessage, out: &mut Vec<Effect>) {
        if let Some(nonce) = message.nonce {
            if self.nonces.contains(&nonce) {
                return;
            }
            if self.nonces.len() >= NONCES_MAX {
                self.nonces.pop_front();
            }
            self.nonces.push_back(nonce);
        }
        out.push(Effect::Media(MediaCommand::SendData { room: self.key, message }));
    }

    /// Gives the room other metadata and tells everybody.
    ///
    /// # Errors
    /// If they are too long; then nothing has changed.
    pub fn set_metadata(&mut self, metadata: String, out: &mut Vec<Effect>) -> Result<(), Unfit> {
        if metadata.len() > METADATA_MAX {
            return Err(Unfit::Metadata);
        }
        self.settings.metadata = metadata;
        if !self.is_p2p() {
            self.tell_room(out);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "moderate_tests.rs"]
mod tests;
