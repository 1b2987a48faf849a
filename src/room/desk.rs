//! What happens at a room's desk: people come to it, wait, are admitted, have words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::ids::{DeskId, Identity, InvitationId, SessionId};
use crate::model::record::RoomMode;
use crate::model::role::Role;
use crate::model::secret::Secret;
use crate::model::time::Moment;

use super::bucket::Bucket;
use super::lobby::{DESK_WINDOW, Door, MISMATCHES_MAX, Person};
use super::notice::LeaveReason;
use super::participant::Participant;
use super::rules::{Effect, JoinError, Room};

/// Longest body of a message in bytes.
pub const BODY_MAX: usize = 4096;

/// What one person says to another; the server does not look into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(pub Arc<str>);

// A derived Debug would carry it into logs.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(..)")
    }
}

/// What an invitation says of the guest who came by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Its id.
    pub id: InvitationId,
    /// The secret half of its TAN, sealed by a practice's browser, or
    pub sealed: Option<Secret>,
    /// in clear, if the server made the TAN.
    pub secret: Option<Secret>,
}

/// Somebody who opens a desk.
#[derive(Clone, Debug)]
pub struct Coming {
    /// The connection.
    pub desk: DeskId,
    /// Who.
    pub identity: Identity,
    /// As what.
    pub role: Role,
    /// Whether they may moderate.
    pub moderates: bool,
    /// When the token ends, in seconds since 1970.
    pub expires_at: u64,
    /// By which invitation, if it is known.
    pub invited: Option<Invited>,
}

/// What people say at the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskSaid {
    /// Words for one person.
    Message {
        /// Whom they are for.
        to: Identity,
        /// The words.
        body: Body,
    },
    /// Somebody who waits may come in.
    Admit(Identity),
    /// Somebody who waits may not come in.
    Refuse(Identity),
    /// Somebody in the room has to wait again.
    PutBack(Identity),
    /// Somebody must go.
    Remove(Identity),
    /// All tracks of somebody are muted.
    Mute(Identity),
    /// The key exchange with a guest failed.
    Mismatch(Identity),
    /// The room is locked, or open again.
    Lock(bool),
    /// The room is over.
    End,
    /// Whoever says it goes.
    Leave,
}

/// What people at the desk are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskNotice {
    /// How they stand themselves.
    Standing(Standing),
    /// Who else is there, the person itself included.
    People(Arc<[PersonView]>),
    /// What somebody says to them.
    Message {
        /// Who.
        from: Identity,
        /// The words.
        body: Body,
    },
    /// They shall mute themselves: in a p2p room nobody else can.
    Mute,
    /// What they said was not taken.
    Refused(DeskFault),
    /// It is over.
    Bye(Bye),
}

/// How somebody stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether they have to wait.
    pub waiting: bool,
    /// Who they are.
    pub identity: Identity,
    /// As what they came.
    pub role: Role,
    /// How media travels in the room.
    pub mode: RoomMode,
    /// Whether nobody else can come.
    pub locked: bool,
}

/// Somebody at the desk as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonView {
    /// Who.
    pub identity: Identity,
    /// As what.
    pub role: Role,
    /// Whether they have to wait.
    pub waiting: bool,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// By which invitation; for hosts, with reception, only.
    pub invited: Option<Invited>,
}

/// Why words were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskFault {
    /// Only hosts, or reception, may say so.
    NotModerator,
    /// Nobody of that name is at the desk, or may be spoken to.
    NoSuchPerson,
    /// That person does not wait.
    NotWaiting,
    /// Hosts never wait, nor does reception; nor does anybody where there is no waiting room.
    CannotWait,
    /// As many are in the room as may be.
    Full,
    /// Too many words in too short a time.
    TooMany,
    /// It could not be written down, so it did not happen.
    NotStored,
}

/// Why a desk closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bye {
    /// A moderator did not let them in.
    Refused,
    /// A moderator removed them.
    Removed,
    /// The room is over.
    Ended,
    /// They opened another one.
    Replaced,
    /// Their token is void.
    Revoked,
    /// The server stops, or the room begins anew.
    Shutdown,
    /// Their token ended while they waited.
    Expired,
    /// They said so.
    Left,
}

impl Room {
    /// Where somebody gets by now: into the room, or the waiting room.
    ///
    /// # Errors
    /// [`JoinError`] says why nowhere.
    pub fn door(&self, identity: &Identity, moderates: bool, now: Moment) -> Result<Door, JoinError> {
        self.lobby.door(identity, moderates, self.session_of(identity).is_some(), now)
    }

    /// Somebody opens a desk; the same identity replaces its older one. Returns whether they begin to wait.
    ///
    /// # Errors
    /// [`JoinError`] says why not; then nothing has changed.
    pub fn desk_open(&mut self, coming: Coming, now: Moment, out: &mut Vec<Effect>) -> Result<bool, JoinError> {
        let Coming { desk, identity, role, moderates, expires_at, invited } = coming;
        let waiting = self.door(&identity, moderates, now)? == Door::Lobby;
        if self.lobby.is_full(&identity, moderates, waiting, self.settings.max_participants as usize) {
            return Err(JoinError::Full);
        }
        let before = self.lobby.people.remove(&identity);
        if let Some(old) = before.as_ref().and_then(|person| person.desk) {
            say_bye(old, Bye::Replaced, out);
            // Its keys went with the old one, so the others see it go, then come.
            self.tell_people(out);
        }
        let since = before.as_ref().filter(|person| person.waiting && waiting).map_or(now.unix_seconds(), |person| person.since);
        let (says, hears) =
            before.as_ref().map_or_else(|| (Bucket::new(now.instant), Bucket::new(now.instant)), |old| (old.says, old.hears));
        let token_ends = now.instant.checked_add(Duration::from_secs(expires_at).saturating_sub(now.wall));
        let person = Person { role, moderates, waiting, since, desk: Some(desk), lost_until: None, token_ends, invited, says, hears };
        self.lobby.people.insert(identity.clone(), person);
        self.note_emptiness(now);
        self.tell_standing(&identity, out);
        self.tell_people(out);
        Ok(waiting && before.is_none_or(|person| !person.waiting))
    }

    /// A desk's connection is gone; it may be opened anew.
    pub fn desk_lost(&mut self, desk: DeskId, now: Moment, out: &mut Vec<Effect>) {
        let Some(identity) = self.lobby.at(desk).cloned() else { return };
        if let Some(person) = self.lobby.people.get_mut(&identity) {
            person.desk = None;
            person.lost_until = Some(now.instant + DESK_WINDOW);
        }
        self.tell_people(out);
    }

    /// Takes what somebody says to another.
    pub fn desk_say(&mut self, from: &Identity, to: &Identity, body: Body, now: Moment, out: &mut Vec<Effect>) {
        let Some(speaker) = self.lobby.people.get_mut(from) else { return };
        let (waiting, moderates) = (speaker.waiting, speaker.moderates);
        let fault = if speaker.says.take(now.instant) {
            match self.lobby.people.get_mut(to) {
                Some(hearer) if allowed((waiting, moderates), (hearer.waiting, hearer.moderates)) => match hearer.desk {
                    // Many strangers together must not take a host's desk away.
                    Some(_) if waiting && !hearer.hears.take(now.instant) => DeskFault::TooMany,
                    Some(desk) => return out.push(Effect::Desk(desk, DeskNotice::Message { from: from.clone(), body })),
                    None => DeskFault::NoSuchPerson,
                },
                _ => DeskFault::NoSuchPerson,
            }
        } else {
            DeskFault::TooMany
        };
        self.tell_desk(from, DeskNotice::Refused(fault), out);
    }

    /// Whether somebody who waits can be admitted.
    ///
    /// # Errors
    /// Why not.
    pub fn can_admit(&self, identity: &Identity) -> Result<(), DeskFault> {
        if self.lobby.is_turned_away(identity) {
            return Ok(());
        }
        let person = self.lobby.people.get(identity).ok_or(DeskFault::NoSuchPerson)?;
        if !person.waiting {
            return Err(DeskFault::NotWaiting);
        }
        if self.lobby.is_full(identity, false, false, self.settings.max_participants as usize) {
            return Err(DeskFault::Full);
        }
        Ok(())
    }

    /// Lets somebody in who waits, or takes it back that somebody was turned away.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub fn admit(&mut self, identity: &Identity, now: Moment, out: &mut Vec<Effect>) -> Result<(), DeskFault> {
        self.can_admit(identity)?;
        self.lobby.remember_admitted(identity);
        if let Some(person) = self.lobby.people.get_mut(identity) {
            person.waiting = false;
            person.since = now.unix_seconds();
        }
        self.tell_standing(identity, out);
        self.tell_people(out);
        Ok(())
    }

    /// Somebody was admitted before this start, as the invitation tells.
    pub fn remember_admitted(&mut self, identity: &Identity) {
        if !self.lobby.is_turned_away(identity) {
            self.lobby.remember_admitted(identity);
        }
    }

    /// Does not let somebody in who waits.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub fn refuse(&mut self, identity: &Identity, now: Moment, out: &mut Vec<Effect>) -> Result<(), DeskFault> {
        let person = self.lobby.people.get(identity).ok_or(DeskFault::NoSuchPerson)?;
        if !person.waiting {
            return Err(DeskFault::NotWaiting);
        }
        self.lobby.turn_away(identity);
        self.send_away(identity, Bye::Refused, now, out);
        Ok(())
    }

    /// Lets somebody wait again who was in the room: the session ends at once, the desk stays.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub fn put_back(&mut self, identity: &Identity, now: Moment, out: &mut Vec<Effect>) -> Result<(), DeskFault> {
        let session = self.session_of(identity);
        if !self.is_there(identity) {
            return Err(DeskFault::NoSuchPerson);
        }
        let at_desk = self.lobby.people.get(identity).is_some_and(|person| person.moderates);
        let moderates = at_desk || self.session_moderates(session);
        if moderates || !self.lobby.rules().lobby {
            return Err(DeskFault::CannotWait);
        }
        self.lobby.forget_admitted(identity);
        if let Some(person) = self.lobby.people.get_mut(identity).filter(|person| !person.waiting) {
            person.waiting = true;
            person.since = now.unix_seconds();
        }
        if let Some(session) = session {
            self.remove(session, LeaveReason::Removed, now, out);
        }
        self.tell_standing(identity, out);
        self.tell_people(out);
        Ok(())
    }

    /// Removes somebody from room or waiting room; they cannot come back unless they are admitted anew.
    ///
    /// # Errors
    /// They are not there.
    pub fn turn_away(&mut self, identity: &Identity, bye: Bye, now: Moment, out: &mut Vec<Effect>) -> Result<(), DeskFault> {
        if !self.is_there(identity) {
            return Err(DeskFault::NoSuchPerson);
        }
        self.lobby.turn_away(identity);
        self.send_away(identity, bye, now, out);
        Ok(())
    }

    /// Whether somebody is at the desk, or in the call.
    #[must_use]
    pub fn is_there(&self, identity: &Identity) -> bool {
        self.lobby.people.contains_key(identity) || self.session_of(identity).is_some()
    }

    /// Ends somebody's stay: session and desk. If they may come at all, they wait again where there is a waiting room.
    pub fn send_away(&mut self, identity: &Identity, bye: Bye, now: Moment, out: &mut Vec<Effect>) {
        self.lobby.forget_admitted(identity);
        if let Some(session) = self.session_of(identity) {
            let reason = if bye == Bye::Left { LeaveReason::ClientInitiated } else { LeaveReason::Removed };
            self.remove(session, reason, now, out);
        }
        if let Some(person) = self.lobby.people.remove(identity) {
            if let Some(desk) = person.desk {
                say_bye(desk, bye, out);
            }
            self.note_emptiness(now);
            self.tell_people(out);
        }
    }

    /// The key exchange with a guest failed; the third time ends the guest's stay. Returns how often it did.
    ///
    /// # Errors
    /// Nobody of that name is there, or it is no guest.
    pub fn mismatched(&mut self, identity: &Identity, now: Moment, out: &mut Vec<Effect>) -> Result<u8, DeskFault> {
        if self.lobby.people.get(identity).is_none_or(|person| person.moderates) {
            return Err(DeskFault::NoSuchPerson);
        }
        let count = self.lobby.mismatched(identity);
        if count >= MISMATCHES_MAX {
            self.turn_away(identity, Bye::Refused, now, out)?;
        }
        Ok(count)
    }

    /// Locks the room, or opens it again. Returns whether that changed anything.
    pub fn lock(&mut self, locked: bool, out: &mut Vec<Effect>) -> bool {
        if self.lobby.locked == locked {
            return false;
        }
        self.lobby.locked = locked;
        self.lobby.people.keys().for_each(|identity| self.tell_standing(identity, out));
        true
    }

    /// Mutes all tracks of somebody in a call.
    ///
    /// # Errors
    /// They are not in the call.
    pub fn mute_all(&mut self, identity: &Identity, out: &mut Vec<Effect>) -> Result<(), DeskFault> {
        let session = self.session_of(identity).ok_or(DeskFault::NoSuchPerson)?;
        if self.is_p2p() {
            self.tell_desk(identity, DeskNotice::Mute, out);
        } else {
            self.mute(session, None, true, out);
        }
        Ok(())
    }

    /// Those who wait with an open desk, by identity.
    #[must_use]
    pub fn waiting(&self) -> Vec<PersonView> {
        self.seen(|person| person.waiting, true)
    }

    fn session_moderates(&self, session: Option<SessionId>) -> bool {
        session.and_then(|session| self.participants.get(&session)).is_some_and(Participant::moderates)
    }

    /// Whether anybody has a desk here.
    pub(super) fn has_desks(&self) -> bool {
        !self.lobby.people.is_empty()
    }

    pub(super) fn desk_timeout(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let (lost, expired) = self.lobby.handle_timeout(now);
        for identity in &lost {
            // Whoever was in the room is so still, if only by the session.
            self.lobby.people.remove(identity);
        }
        if !lost.is_empty() {
            self.note_emptiness(now);
        }
        expired.iter().for_each(|identity| self.send_away(identity, Bye::Expired, now, out));
    }

    pub(super) fn close_desks(&mut self, reason: LeaveReason, out: &mut Vec<Effect>) {
        let bye = match reason {
            LeaveReason::ServerShutdown | LeaveReason::MediaFailure => Bye::Shutdown,
            _ => Bye::Ended,
        };
        for desk in std::mem::take(&mut self.lobby.people).into_values().filter_map(|person| person.desk) {
            say_bye(desk, bye, out);
        }
    }

    fn seen(&self, who: impl Fn(&Person) -> bool, with_invitations: bool) -> Vec<PersonView> {
        let open = self.lobby.people.iter().filter(|(_, person)| person.desk.is_some() && who(person));
        let view = |(identity, person): (&Identity, &Person)| PersonView {
            identity: identity.clone(),
            role: person.role,
            waiting: person.waiting,
            since: person.since,
            invited: person.invited.clone().filter(|_| with_invitations),
        };
        open.map(view).collect()
    }

    /// Tells everybody who is there. Those who wait see whom they may speak to, and nobody else.
    fn tell_people(&self, out: &mut Vec<Effect>) {
        let to_moderators: Arc<[PersonView]> = self.seen(|_| true, true).into();
        let to_others: Arc<[PersonView]> = self.seen(|person| !person.waiting, false).into();
        let to_waiting: Arc<[PersonView]> = self.seen(|person| person.moderates, false).into();
        for person in self.lobby.people.values() {
            let Some(desk) = person.desk else { continue };
            let people = match (person.moderates, person.waiting) {
                (true, _) => &to_moderators,
                (false, true) => &to_waiting,
                (false, false) => &to_others,
            };
            out.push(Effect::Desk(desk, DeskNotice::People(Arc::clone(people))));
        }
    }

    fn tell_standing(&self, identity: &Identity, out: &mut Vec<Effect>) {
        let Some(person) = self.lobby.people.get(identity) else { return };
        let standing = Standing {
            waiting: person.waiting,
            identity: identity.clone(),
            role: person.role,
            mode: self.settings.mode,
            locked: self.lobby.locked,
        };
        self.tell_desk(identity, DeskNotice::Standing(standing), out);
    }

    /// Tells one person something, if the desk is open.
    pub fn tell_desk(&self, identity: &Identity, notice: DeskNotice, out: &mut Vec<Effect>) {
        if let Some(desk) = self.lobby.people.get(identity).and_then(|person| person.desk) {
            out.push(Effect::Desk(desk, notice));
        }
    }
}

/// Whether one may speak to the other, each given as (waits, moderates).
fn allowed(speaker: (bool, bool), hearer: (bool, bool)) -> bool {
    match (speaker, hearer) {
        ((false, _), (false, _)) => true,
        ((true, _), (_, moderates)) | ((_, moderates), (true, _)) => moderates,
    }
}

fn say_bye(desk: DeskId, bye: Bye, out: &mut Vec<Effect>) {
    out.push(Effect::Desk(desk, DeskNotice::Bye(bye)));
    out.push(Effect::EndDesk(desk));
}
