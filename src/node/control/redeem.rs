//! Whoever comes by an invitation: let in, bound to it, known again.

use std::net::IpAddr;
use std::time::Duration;

use crate::access::role::{ATTRIBUTE, Role};
use crate::access::tan::resume_secret;
use crate::access::throttle::Try;
use crate::model::audit::{AuditEntry, AuditEvent};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, TenantId};
use crate::model::record::Write;
use crate::model::secret::Secret;
use crate::model::time::Moment;
use crate::node::invitation::{InvitationRefusal as No, InvitationReply, Redeem, Redeemed};
use crate::node::request::{Refusal, Reply};

use super::invitation_book::Place;
use super::invitations::{RANDOM_LEN, Then, audit, millis};
use super::{Caller, Control};

/// Seconds for which a guest's token is good; a device that resumes gets another one.
pub const TOKEN_LIFE_S: u64 = 12 * 3_600;

impl Control {
    pub(super) fn redeem(&mut self, caller: Caller, by: Redeem, address: Option<IpAddr>, now: Moment) -> Result<Option<Reply>, Refusal> {
        match by {
            Redeem::Resume(secret) => self.come_again(&secret, now).map(Some),
            Redeem::Link(room, id) => {
                let place = (room, id);
                let known = self.invitations.get(&place).is_some();
                // The token was signed by this tenant's key, so there was such an invitation.
                if known { self.come_in(caller, &place, now).map(|()| None) } else { Err(No::Over.into()) }
            }
            Redeem::Tan(tenant, admit) => {
                let open = self.invitations.counts(&tenant).open_tans;
                let attempt = Try { tenant: &tenant, open, address };
                self.invitations.throttle.check(attempt, now.instant).map_err(too_many)?;
                let hash = self.config.invitation_key.admit(&tenant, &admit);
                if let Some(place) = self.invitations.by_hash(&hash).cloned() {
                    return self.come_in(caller, &place, now).map(|()| None);
                }
                let was_there = self.invitations.was_there(&hash, now);
                // Who comes late has guessed nothing.
                let open = if was_there { 0 } else { open };
                self.invitations.throttle.guessed(Try { open, ..attempt }, now.instant);
                let refusal = if was_there { No::Over } else { No::Unknown };
                self.refuse(caller, &tenant, None, refusal, now)
            }
        }
    }

    /// Refuses a TAN, once that is written down. Of organisations that nobody has heard of nothing is written.
    fn refuse(
        &mut self,
        caller: Caller,
        tenant: &TenantId,
        room: Option<&RoomId>,
        refusal: No,
        now: Moment,
    ) -> Result<Option<Reply>, Refusal> {
        if self.invitations.counts(tenant).all == 0 {
            return Err(refusal.into());
        }
        let audit = AuditEntry {
            at_ms: millis(now),
            tenant: Some(tenant.clone()),
            actor: None,
            event: AuditEvent::TanRefused,
            room: room.map(|room| room.name.clone()),
            subject: None,
        };
        self.write(vec![Write::Audit(audit)], Then::Refused(caller, refusal.into()));
        Ok(None)
    }

    pub(super) fn count_try(&mut self, result: &'static str) {
        *self.stats.invitation_tries.entry(result).or_default() += 1;
    }

    /// Lets a device in that comes by an invitation first.
    fn come_in(&mut self, caller: Caller, place: &Place, now: Moment) -> Result<(), Refusal> {
        self.invitations.throttle.check_room(&place.0, now.instant).map_err(too_many)?;
        let kept = self.invitations.get(place).ok_or(No::Unknown)?;
        let refusal = match &kept.record {
            _ if !kept.made => return Err(Refusal::Busy),
            record if record.device.is_some() => No::Used,
            _ if !kept.is_open(now) => No::Over,
            record if now.unix_seconds() < record.not_before => No::Early(record.not_before),
            _ if kept.writing => return Err(Refusal::Busy),
            _ => return self.bind(caller, place, now),
        };
        self.invitations.throttle.refused_in(&place.0, now.instant);
        self.refuse(caller, &place.0.tenant, Some(&place.0), refusal, now).map(|_| ())
    }

    fn bind(&mut self, caller: Caller, place: &Place, now: Moment) -> Result<(), Refusal> {
        let kept = self.invitations.get(place).ok_or(No::Unknown)?;
        let role: Role = kept.record.role.parse().map_err(|_| No::Over)?;
        let mut record = kept.record.clone();
        let identity = Identity::new(&format!("{role}-{}", self.chance.text(RANDOM_LEN))).map_err(|_| Refusal::Busy)?;
        let resume = resume_secret(&mut self.chance);
        let redeemed = self.welcome(place, role, identity.clone(), Some(resume.clone()), now)?;
        record.device = Some(self.config.invitation_key.resume(resume.expose()));
        record.identity = Some(identity);
        // Who comes has confirmed it.
        record.confirm_by = None;
        let audit = audit(AuditEvent::InvitationUsed, &record, None, now);
        self.begin(place, now);
        self.write(vec![Write::PutInvitation(record), audit], Then::Used(caller, place.clone(), Box::new(redeemed)));
        Ok(())
    }

    /// The device that used an invitation comes again.
    fn come_again(&mut self, secret: &Secret, now: Moment) -> Result<Reply, Refusal> {
        let device = self.config.invitation_key.resume(secret.expose());
        let kept = self.invitations.by_device(&device).and_then(|place| self.invitations.get(place));
        let record = kept.filter(|kept| kept.over.is_none()).map(|kept| &kept.record).ok_or(No::Over)?;
        let (Ok(role), Some(identity)) = (record.role.parse(), record.identity.clone()) else { return Err(No::Over.into()) };
        let place = (record.room.clone(), record.id.clone());
        let redeemed = self.welcome(&place, role, identity, None, now)?;
        Ok(Reply::Invitation(InvitationReply::Redeemed(redeemed)))
    }

    /// What somebody is told who comes in, if the room takes it now: an invitation is not spent at a closed door.
    fn welcome(&mut self, place: &Place, role: Role, identity: Identity, resume: Option<Secret>, now: Moment) -> Result<Redeemed, Refusal> {
        let room = place.0.clone();
        let entry = self.by_id.get(&room).and_then(|key| self.rooms.get(key)).ok_or(Refusal::RoomNotFound)?;
        let (mode, end) = (entry.record.mode, entry.record.not_after.unwrap_or(u64::MAX));
        let expires_at = now.unix_seconds().saturating_add(TOKEN_LIFE_S).min(end);
        let waiting = matches!(self.validate(&grants(role, &room, identity.clone(), expires_at), None, now)?, Reply::Waiting(_));
        Ok(Redeemed { room, role, identity, mode, waiting, resume, expires_at })
    }

    /// The device is bound, or could not be.
    pub(super) fn used(&mut self, place: &Place, redeemed: Redeemed, done: bool, now: Moment) -> Result<Reply, Refusal> {
        if self.invitations.get(place).is_none() {
            return Err(No::Over.into());
        }
        let device = redeemed.resume.as_ref().map(|resume| self.config.invitation_key.resume(resume.expose()));
        self.settle(place, now, |kept| {
            if done {
                kept.record.device = device;
                kept.record.identity = Some(redeemed.identity.clone());
                kept.record.confirm_by = None;
            }
        });
        if done { Ok(Reply::Invitation(InvitationReply::Redeemed(redeemed))) } else { Err(Refusal::NotStored) }
    }
}

/// What somebody may do who came by an invitation.
pub(super) fn grants(role: Role, room: &RoomId, identity: Identity, expires_at: u64) -> Grants {
    let video = role.grant(&room.name);
    let granted = |grant: Option<bool>| grant == Some(true);
    Grants {
        tenant: room.tenant.clone(),
        issuer: String::new(),
        identity: Some(identity),
        name: String::new(),
        room: Some(room.name.clone()),
        room_join: granted(video.room_join),
        room_admin: granted(video.room_admin),
        room_create: false,
        room_list: false,
        can_publish: granted(video.can_publish),
        can_subscribe: granted(video.can_subscribe),
        can_publish_data: granted(video.can_publish_data),
        can_publish_sources: Vec::new(),
        can_update_own_metadata: false,
        hidden: false,
        metadata: String::new(),
        attributes: [(ATTRIBUTE.to_owned(), role.as_str().to_owned())].into(),
        expires_at,
    }
}

/// A name for metrics.
pub(super) fn label(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Invitation(No::Unknown) => "unknown",
        Refusal::Invitation(No::Used) => "used",
        Refusal::Invitation(No::Over) => "over",
        Refusal::Invitation(No::Early(_)) => "early",
        Refusal::Invitation(No::TooManyTries(_)) => "too_many_tries",
        _ => "refused",
    }
}

fn too_many(wait: Duration) -> Refusal {
    // Whole seconds, none of them too few.
    No::TooManyTries(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).into()
}
