//! Organisations with their keys, their limits, tokens that are void before their time.

use std::collections::BTreeMap;

use crate::access::key::{ApiKey, KEYS_MAX, Keyring, Secret};
use crate::model::audit::AuditEvent;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, KeyId, RoomId, RoomKey, RoomName, TenantId};
use crate::model::record::{KeyRecord, RevocationRecord, Stored, TenantRecord, Write};
use crate::model::time::Moment;
use crate::node::request::{Order, Refusal, Reply, TenantChange, TenantView};
use crate::room::desk::Bye;
use crate::room::notice::LeaveReason;

use super::{Caller, Control, ControlOutput, Waiting, audit};

/// Most organisations.
pub const TENANTS_MAX: usize = 1_000;
/// Most people at a time whose tokens are void, of one organisation.
pub const REVOCATIONS_MAX: usize = 10_000;
/// How long a person's tokens stay void, in seconds: 90 days, the longest that anything is kept.
pub const VOID_S: u64 = 90 * 24 * 3600;
/// Most letters of an organisation's name, which stands in the address of its page.
pub const CODE_MAX: usize = 40;
/// Days for which records are kept unless the organisation says otherwise.
pub const RETENTION_DAYS: u8 = 30;
/// Most days for which anything is kept.
pub const RETENTION_MAX_DAYS: u8 = 90;

/// Organisations, keys, void tokens.
#[derive(Debug, Default)]
pub(super) struct Directory {
    tenants: BTreeMap<TenantId, TenantRecord>,
    keys: BTreeMap<KeyId, (TenantId, Secret)>,
    revoked: BTreeMap<RoomId, BTreeMap<Identity, u64>>,
}

/// A new organisation as it is unless it says otherwise.
#[must_use]
pub fn new_tenant(id: TenantId, now: Moment) -> TenantRecord {
    TenantRecord {
        id,
        rooms_max: 1_000,
        participants_max: 2_000,
        bits_per_s: 0,
        retention_days: RETENTION_DAYS,
        created_at: now.wall.as_secs(),
    }
}

impl Directory {
    fn keyring(&self) -> Keyring {
        let mut ring = Keyring::new();
        for (id, (tenant, secret)) in &self.keys {
            // What is read here was checked when it was made, and its number is bounded alike.
            if let Ok(key) = ApiKey::new(id.as_str().to_owned(), secret.expose().to_owned()) {
                let _ = ring.insert(tenant.clone(), key);
            }
        }
        ring
    }

    fn view(&self, record: &TenantRecord) -> TenantView {
        let keys = self.keys.iter().filter(|(_, (tenant, secret))| *tenant == record.id && !secret.expose().is_empty());
        TenantView { record: record.clone(), keys: keys.map(|(id, _)| id.clone()).collect() }
    }

    /// What an organisation may use; absent in tests without organisations.
    pub fn tenant(&self, id: &TenantId) -> Option<&TenantRecord> {
        self.tenants.get(id)
    }

    /// An organisation as its own callers see it.
    pub fn view_of(&self, id: &TenantId) -> Option<TenantView> {
        self.tenants.get(id).map(|record| self.view(record))
    }

    fn is_void(&self, room: &RoomId, identity: &Identity, now: Moment) -> bool {
        self.revoked.get(room).and_then(|people| people.get(identity)).is_some_and(|until| now.wall.as_secs() < *until)
    }
}

impl Control {
    /// Takes what was stored before this start, and the key that the operator gave, which speaks for `first`.
    pub fn restore(&mut self, stored: Stored, first: &TenantId, key: &ApiKey, now: Moment) {
        let directory = &mut self.directory;
        directory.tenants = stored.tenants.into_iter().map(|record| (record.id.clone(), record)).collect();
        directory.keys = stored.keys.into_iter().map(|record| (record.id, (record.tenant, record.secret))).collect();
        for record in stored.revocations {
            directory.revoked.entry(record.room).or_default().insert(record.identity, record.until);
        }
        for record in stored.rooms {
            self.open(&record, String::new(), true, now);
        }
        self.restore_invitations(stored.invitations, now);
        if !self.directory.tenants.contains_key(first) {
            let record = new_tenant(first.clone(), now);
            self.directory.tenants.insert(first.clone(), record.clone());
            let entry = audit::alone(AuditEvent::TenantAdded, Some(first.clone()), None, now);
            self.persist(vec![Write::PutTenant(record), entry], Waiting::Forget);
        }
        // A key that was revoked is kept without its secret, so that the operator's file does not bring it back.
        if let Ok(id) = KeyId::new(&key.key) {
            self.directory.keys.entry(id).or_insert_with(|| (first.clone(), key.secret.clone()));
        }
        self.note(audit::alone(AuditEvent::Started, None, None, now));
        self.tell_keys();
    }

    /// The keys whose tokens are good.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.directory.keyring()
    }

    fn tell_keys(&mut self) {
        self.out.push_back(ControlOutput::Keys(self.keyring()));
    }

    /// Whether what a token allows holds still: its person may have been shut out, its key revoked a moment ago.
    pub(super) fn entitled(&self, grants: &Grants, now: Moment) -> Result<(), Refusal> {
        let key = KeyId::new(&grants.issuer).ok().and_then(|id| self.directory.keys.get(&id));
        if key.is_some_and(|(_, secret)| secret.expose().is_empty()) {
            return Err(Refusal::Revoked);
        }
        let (Some(room), Some(identity)) = (&grants.room, &grants.identity) else { return Ok(()) };
        let id = RoomId { tenant: grants.tenant.clone(), name: room.clone() };
        if self.directory.is_void(&id, identity, now) { Err(Refusal::Revoked) } else { Ok(()) }
    }

    /// Whether the organisation may have one more participant.
    pub(super) fn has_place(&self, tenant: &TenantId) -> Result<(), Refusal> {
        let Some(record) = self.directory.tenant(tenant) else { return Ok(()) };
        let own = |key: &&RoomKey| self.rooms.get(key).is_some_and(|entry| entry.record.id.tenant == *tenant);
        let people = self.sessions.values().filter(own).count();
        if people >= record.participants_max as usize { Err(Refusal::TenantLimit("participants")) } else { Ok(()) }
    }

    /// Whether the organisation may have one more room.
    pub(super) fn may_have_room(&self, tenant: &TenantId) -> Result<(), Refusal> {
        let Some(record) = self.directory.tenant(tenant) else { return Ok(()) };
        let own = |id: &&RoomId| id.tenant == *tenant;
        let rooms = self.by_id.keys().filter(own).count() + self.creating.iter().filter(own).count();
        if rooms >= record.rooms_max as usize { Err(Refusal::TenantLimit("rooms")) } else { Ok(()) }
    }

    /// An order of the operator.
    pub(super) fn operate(&mut self, caller: Caller, order: Order, now: Moment) -> Result<Option<Reply>, Refusal> {
        match order {
            Order::Tenants => {
                let directory = &self.directory;
                return Ok(Some(Reply::Tenants(directory.tenants.values().map(|record| directory.view(record)).collect())));
            }
            Order::AddTenant(id, change) => self.add_tenant(caller, id, &change, now),
            Order::ChangeTenant(id, change) => self.change_tenant(caller, &id, &change, now),
            Order::RemoveTenant(id) => self.remove_tenant(caller, id, now),
            Order::AddKey(tenant) => self.add_key(caller, tenant, now),
            Order::RevokeKey(id) => self.revoke_key(caller, id, now),
        }?;
        Ok(None)
    }

    fn add_tenant(&mut self, caller: Caller, id: TenantId, change: &TenantChange, now: Moment) -> Result<(), Refusal> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if id.as_str().len() > CODE_MAX || !id.as_str().bytes().all(letter) {
            return Err(Refusal::Invalid(
                "a tenant's name has 1 to 40 letters of a-z, 0-9 and -, because it stands in the address of its page",
            ));
        }
        if self.directory.tenants.contains_key(&id) {
            return Err(Refusal::TenantExists);
        }
        if self.directory.tenants.len() >= TENANTS_MAX {
            return Err(Refusal::LimitReached("tenants"));
        }
        let record = changed(new_tenant(id.clone(), now), change)?;
        let entry = audit::alone(AuditEvent::TenantAdded, Some(id), None, now);
        self.persist(vec![Write::PutTenant(record.clone()), entry], Waiting::Tenant(caller, record));
        Ok(())
    }

    pub(super) fn change_tenant(&mut self, caller: Caller, id: &TenantId, change: &TenantChange, now: Moment) -> Result<(), Refusal> {
        let record = self.directory.tenants.get(id).cloned().ok_or(Refusal::TenantNotFound)?;
        let record = changed(record, change)?;
        let entry = audit::alone(AuditEvent::TenantChanged, Some(id.clone()), None, now);
        self.persist(vec![Write::PutTenant(record.clone()), entry], Waiting::Tenant(caller, record));
        Ok(())
    }

    fn remove_tenant(&mut self, caller: Caller, id: TenantId, now: Moment) -> Result<(), Refusal> {
        if !self.directory.tenants.contains_key(&id) {
            return Err(Refusal::TenantNotFound);
        }
        if id.as_str() == crate::access::key::FIRST_TENANT {
            return Err(Refusal::Invalid("the first tenant stays: the server's own key speaks for it"));
        }
        let entry = audit::alone(AuditEvent::TenantRemoved, Some(id.clone()), None, now);
        self.persist(vec![Write::DeleteTenant(id.clone()), entry], Waiting::NoTenant(caller, id));
        Ok(())
    }

    fn add_key(&mut self, caller: Caller, tenant: TenantId, now: Moment) -> Result<(), Refusal> {
        if !self.directory.tenants.contains_key(&tenant) {
            return Err(Refusal::TenantNotFound);
        }
        if self.directory.keys.len() >= KEYS_MAX {
            return Err(Refusal::LimitReached("API keys"));
        }
        let made = ApiKey::make(&mut self.chance);
        let id = KeyId::new(&made.key).map_err(|_| Refusal::Invalid("the key has no name"))?;
        let record = KeyRecord { tenant: tenant.clone(), id, secret: made.secret, created_at: now.wall.as_secs() };
        let entry = audit::alone(AuditEvent::KeyAdded, Some(tenant), None, now);
        self.persist(vec![Write::PutKey(record.clone()), entry], Waiting::Key(caller, record));
        Ok(())
    }

    fn revoke_key(&mut self, caller: Caller, id: KeyId, now: Moment) -> Result<(), Refusal> {
        let known = self.directory.keys.get(&id).filter(|(_, secret)| !secret.expose().is_empty());
        let (tenant, _) = known.cloned().ok_or(Refusal::KeyNotFound)?;
        let void = KeyRecord { tenant: tenant.clone(), id, secret: Secret::new(String::new()), created_at: now.wall.as_secs() };
        let entry = audit::alone(AuditEvent::KeyRevoked, Some(tenant), None, now);
        self.persist(vec![Write::PutKey(void.clone()), entry], Waiting::NoKey(caller, void));
        Ok(())
    }

    /// Shuts a person out of a room: the session ends, all tokens for it are void.
    pub(super) fn revoke(
        &mut self,
        caller: Caller,
        grants: &Grants,
        room: &RoomName,
        identity: Identity,
        now: Moment,
    ) -> Result<(), Refusal> {
        if !grants.may_moderate(room) {
            return Err(Refusal::NotAllowed("roomAdmin for this room"));
        }
        let id = RoomId { tenant: grants.tenant.clone(), name: room.clone() };
        self.forget_old_revocations(now);
        let of_tenant = self.directory.revoked.iter().filter(|(id, _)| id.tenant == grants.tenant);
        if of_tenant.map(|(_, people)| people.len()).sum::<usize>() >= REVOCATIONS_MAX {
            return Err(Refusal::TenantLimit("revocations"));
        }
        let record = RevocationRecord { room: id, identity, until: now.wall.as_secs().saturating_add(VOID_S) };
        let entry = audit::by(AuditEvent::GrantRevoked, grants, Some(room), now);
        self.persist(vec![Write::PutRevocation(record.clone()), entry], Waiting::Revocation(caller, record));
        Ok(())
    }

    fn forget_old_revocations(&mut self, now: Moment) {
        self.directory.revoked.retain(|_, people| {
            people.retain(|_, until| now.wall.as_secs() < *until);
            !people.is_empty()
        });
    }

    /// What a durable change of the directory brings about.
    pub(super) fn directory_written(&mut self, waiting: Waiting, now: Moment) -> Option<(Caller, Reply)> {
        match waiting {
            Waiting::Tenant(caller, record) => {
                let view = self.directory.view(&record);
                self.directory.tenants.insert(record.id.clone(), record);
                Some((caller, Reply::Tenants(vec![view])))
            }
            Waiting::NoTenant(caller, id) => {
                self.directory.tenants.remove(&id);
                self.directory.keys.retain(|_, (tenant, _)| *tenant != id);
                self.tell_keys();
                let gone: Vec<_> = self.rooms.iter().filter(|(_, entry)| entry.record.id.tenant == id).map(|(key, _)| *key).collect();
                gone.into_iter().for_each(|key| self.close_room(key, LeaveReason::RoomDeleted));
                Some((caller, Reply::Done))
            }
            Waiting::Key(caller, record) => {
                self.directory.keys.insert(record.id.clone(), (record.tenant.clone(), record.secret.clone()));
                self.tell_keys();
                Some((caller, Reply::Key(record)))
            }
            Waiting::NoKey(caller, void) => {
                let issuer = void.id.as_str().to_owned();
                self.directory.keys.insert(void.id, (void.tenant, void.secret));
                self.tell_keys();
                let of_sessions = self.sessions.iter().filter_map(|(session, key)| {
                    let room = &self.rooms.get(key)?.room;
                    let own = room.issuer_of(*session) == Some(issuer.as_str());
                    Some((*key, room.identity_of(*session).filter(|_| own)?.clone()))
                });
                let all: Vec<_> = of_sessions.chain(self.desks_by(&issuer)).collect();
                all.into_iter().for_each(|(key, identity)| self.shut_out(key, &identity, now));
                Some((caller, Reply::Done))
            }
            Waiting::Revocation(caller, record) => {
                self.make_void(record, now);
                Some((caller, Reply::Done))
            }
            _ => None,
        }
    }

    /// Tokens are void from now on, and whoever is there by one leaves.
    pub(super) fn make_void(&mut self, record: RevocationRecord, now: Moment) {
        let RevocationRecord { room, identity, until } = record;
        let key = self.by_id.get(&room).copied();
        self.forget_old_revocations(now);
        self.directory.revoked.entry(room).or_default().insert(identity.clone(), until);
        if let Some(key) = key {
            self.shut_out(key, &identity, now);
        }
    }

    fn shut_out(&mut self, key: RoomKey, identity: &Identity, now: Moment) {
        self.with_room(key, |room, _, out| room.send_away(identity, Bye::Revoked, now, out));
    }
}

fn changed(mut record: TenantRecord, change: &TenantChange) -> Result<TenantRecord, Refusal> {
    record.rooms_max = change.rooms_max.unwrap_or(record.rooms_max);
    record.participants_max = change.participants_max.unwrap_or(record.participants_max);
    record.bits_per_s = change.bits_per_s.unwrap_or(record.bits_per_s);
    record.retention_days = change.retention_days.unwrap_or(record.retention_days);
    if !(1..=RETENTION_MAX_DAYS).contains(&record.retention_days) {
        return Err(Refusal::Invalid("retention_days must be between 1 and 90"));
    }
    Ok(record)
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
