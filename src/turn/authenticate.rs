//! The long-term credential mechanism (RFC 8489 §9.2.4).

use stun_types::attribute::{
    AttributeStaticType as _, ErrorCode, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithmValue,
    PasswordAlgorithms, Realm, Username,
};
use stun_types::message::{IntegrityAlgorithm, LongTermKeyCredentials, Message};

use crate::model::network::subscriber;
use crate::model::time::Moment;

use super::Turn;
use super::allocation::{Flow, Login};
use super::credentials::RelayUser;
use super::reply::Reply;

/// What the server can do, the better one first.
const ALGORITHMS: [PasswordAlgorithmValue; 2] = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];

/// Why a request is not let in.
enum Denied {
    /// With this error code, and a fresh nonce where the code calls for one.
    Code(u16),
    /// Wrong credentials: that counts.
    Wrong(Option<RelayUser>),
}

impl Turn {
    /// Checks a request's credentials, or answers why they are not good. Nothing is remembered before a valid nonce
    /// has come back but how often the address was answered.
    pub(super) fn authenticate(&mut self, flow: Flow, request: &Message<'_>, allocating: bool, now: Moment) -> Option<Login> {
        match self.known(flow, request) {
            Some((login, nonce)) if self.nonces.accepts(&nonce, flow.remote, now.instant) && check_algorithms(request).is_ok() => {
                return Some(login);
            }
            // An answer that nobody else's haste may use up.
            Some((_, nonce)) if !self.nonces.accepts(&nonce, flow.remote, now.instant) => {
                self.send_challenge(flow, request, ErrorCode::STALE_NONCE, now);
                return None;
            }
            _ => {}
        }
        let address = subscriber(flow.remote.ip());
        if self.failing_sources.is_spent(&address, now.instant) {
            self.drop("failed too often");
            return None;
        }
        match self.login(flow, request, allocating, now) {
            Ok(login) => return Some(login),
            Err(Denied::Code(code)) => self.challenge(flow, request, code, now),
            Err(Denied::Wrong(user)) => {
                self.drop("wrong credentials");
                self.failing_sources.take(address, now.instant);
                let may = user.is_none_or(|user| self.failing_users.take((user.group, user.person), now.instant));
                if may {
                    self.challenge(flow, request, ErrorCode::UNAUTHORIZED, now);
                }
            }
        }
        None
    }

    /// Whoever has an allocation on this way and proves it, with the nonce it shows. Failures of others at the same
    /// address, or in the same name, must not end a call.
    fn known(&self, flow: Flow, request: &Message<'_>) -> Option<(Login, String)> {
        let login = &self.get(self.on(&flow)?)?.login;
        let name = request.attribute::<Username>().ok()?;
        let nonce = request.attribute::<Nonce>().ok()?;
        let same = name.username() == login.name && request.has_attribute(Realm::TYPE);
        (same && request.validate_integrity_with_key(&login.key).is_ok()).then(|| (login.clone(), nonce.nonce().to_owned()))
    }

    fn challenge(&mut self, flow: Flow, request: &Message<'_>, code: u16, now: Moment) {
        if self.may_answer(flow, now.instant) {
            self.send_challenge(flow, request, code, now);
        }
    }

    fn send_challenge(&mut self, flow: Flow, request: &Message<'_>, code: u16, now: Moment) {
        let mut reply = Reply::terse_error(request, code);
        if code != ErrorCode::BAD_REQUEST {
            let nonce = self.nonces.make(flow.remote, now.instant);
            let (Ok(nonce), Ok(realm)) = (Nonce::new(&nonce), Realm::new(&self.config.realm)) else { return };
            reply = reply.with(&nonce).with(&realm).with(&PasswordAlgorithms::new(&ALGORITHMS));
        }
        let bytes = reply.finish(None);
        self.send(flow, bytes);
    }

    fn login(&mut self, flow: Flow, request: &Message<'_>, allocating: bool, now: Moment) -> Result<Login, Denied> {
        if !request.has_attribute(MessageIntegrity::TYPE) && !request.has_attribute(MessageIntegritySha256::TYPE) {
            return Err(Denied::Code(ErrorCode::UNAUTHORIZED));
        }
        let bad = || Denied::Code(ErrorCode::BAD_REQUEST);
        let name = request.attribute::<Username>().map_err(|_| bad())?;
        request.attribute::<Realm>().map_err(|_| bad())?;
        let nonce = request.attribute::<Nonce>().map_err(|_| bad())?;
        check_algorithms(request)?;
        if !self.nonces.accepts(nonce.nonce(), flow.remote, now.instant) {
            return Err(Denied::Code(ErrorCode::STALE_NONCE));
        }
        let Some((expires_at, user)) = RelayUser::parse(name.username().as_bytes()) else { return Err(Denied::Wrong(None)) };
        if self.failing_users.is_spent(&(user.group, user.person), now.instant) || self.is_revoked(user, expires_at) {
            return Err(Denied::Wrong(Some(user)));
        }
        // Only who begins must have fresh credentials: calls outlive them.
        if allocating && expires_at <= now.unix_seconds() {
            return Err(Denied::Wrong(Some(user)));
        }
        self.prove(request, name.username(), user).ok_or(Denied::Wrong(Some(user)))
    }

    /// Tries each secret. The comparison takes the same time wherever the first wrong byte is.
    fn prove(&self, request: &Message<'_>, name: &str, user: RelayUser) -> Option<Login> {
        let newer = request.has_attribute(MessageIntegritySha256::TYPE);
        let algorithm = if newer { IntegrityAlgorithm::Sha256 } else { IntegrityAlgorithm::Sha1 };
        let mut keys = self
            .config
            .secrets
            .passwords(name)
            .map(|password| LongTermKeyCredentials::new(name.to_owned(), password, self.config.realm.clone()).make_key(algorithm));
        let key = keys.find(|key| request.validate_integrity_with_key(key).is_ok())?;
        drop(keys);
        Some(Login { name: name.to_owned(), user, key, algorithm })
    }
}

/// Bytes of a seal with SHA-256, which TURN does not let anybody cut short (RFC 8489 §14.6).
const SEAL: usize = 32;

/// Whoever chooses an algorithm must show that it saw the server's own list (RFC 8489 §9.2.4).
fn check_algorithms(request: &Message<'_>) -> Result<(), Denied> {
    let cut = request.raw_attribute(MessageIntegritySha256::TYPE).is_some_and(|seal| seal.value.len() != SEAL);
    let silent = !request.has_attribute(PasswordAlgorithms::TYPE) && !request.has_attribute(PasswordAlgorithm::TYPE);
    let list = request.attribute::<PasswordAlgorithms>().ok();
    let chosen = request.attribute::<PasswordAlgorithm>().ok();
    match (list, chosen) {
        _ if cut => Err(Denied::Code(ErrorCode::BAD_REQUEST)),
        (None, None) if silent => Ok(()),
        (Some(list), Some(chosen)) if list.algorithms() == ALGORITHMS && ALGORITHMS.contains(&chosen.algorithm()) => Ok(()),
        _ => Err(Denied::Code(ErrorCode::BAD_REQUEST)),
    }
}
