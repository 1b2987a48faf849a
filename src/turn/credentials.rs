//! Credentials of the relay: a user name that says for whom until when, a password that follows from it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::model::chance::Chance;
use crate::model::ids::{RoomId, WorkerIndex};

/// Longest time that credentials are good for, in seconds. Calls last longer: only Allocate looks at it.
pub const LIFETIME_S: u64 = 3_600;
/// Most secrets at a time: the one that signs and the one before it.
pub const SECRETS_MAX: usize = 2;
/// Shortest secret in bytes, as long as what HMAC-SHA1 gives (RFC 2104 §3).
pub const SECRET_MIN: usize = 20;

/// In place of the worker's letter, where whoever made the credentials did not know the worker.
const ANY_WORKER: u8 = b'-';
/// Bytes of room and person behind the letter.
const OPAQUE: usize = 16;
/// As many letters as [`OPAQUE`] bytes take in base64.
const OPAQUE_TEXT: usize = 22;

/// What makes passwords from user names, the one in use first.
#[derive(Clone)]
pub struct RelaySecrets(Vec<Vec<u8>>);

impl fmt::Debug for RelaySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecrets(..)")
    }
}

impl RelaySecrets {
    /// The configured secrets, or one that follows from the API key's, so that the command line needs no other.
    #[must_use]
    pub fn new(configured: &[String], api_secret: &str) -> Self {
        let derived = || {
            let key = hmac::Key::new(hmac::HMAC_SHA256, api_secret.as_bytes());
            vec![hmac::sign(&key, b"konsil turn secret v1").as_ref().to_vec()]
        };
        let given: Vec<Vec<u8>> = configured.iter().take(SECRETS_MAX).map(|text| text.clone().into_bytes()).collect();
        Self(if given.is_empty() { derived() } else { given })
    }

    /// User name and password for `user`, good until `expires_at` in seconds since 1970.
    #[must_use]
    pub fn mint(&self, user: RelayUser, expires_at: u64) -> (String, String) {
        let name = format!("{expires_at}:{user}");
        let password = self.passwords(&name).next().unwrap_or_default();
        (name, password)
    }

    /// The passwords that a user name may have, one for each secret: base64 of its HMAC-SHA1.
    pub(super) fn passwords<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
            STANDARD.encode(hmac::sign(&key, name.as_bytes()))
        })
    }

    /// Everybody in this room has this number. It tells nobody the room's name.
    #[must_use]
    pub fn group(&self, room: &RoomId) -> u64 {
        self.number(&[b"group", room.tenant.as_str().as_bytes(), room.name.as_str().as_bytes()])
    }

    /// A number for somebody whose session is not known, such as on the command line.
    #[must_use]
    pub fn person(&self, room: &RoomId, identity: &str) -> u64 {
        self.number(&[b"person", room.tenant.as_str().as_bytes(), room.name.as_str().as_bytes(), identity.as_bytes()])
    }

    fn number(&self, parts: &[&[u8]]) -> u64 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.first().map_or(&[], Vec::as_slice));
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            // Lengths keep ("a", "bc") apart from ("ab", "c").
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// Who may relay: the opaque part of a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayUser {
    /// The worker that has the room.
    pub worker: Option<WorkerIndex>,
    /// The room: only its members reach each other.
    pub group: u64,
    /// One participant's session.
    pub person: u64,
}

impl RelayUser {
    /// A user for a new session.
    #[must_use]
    pub fn fresh(worker: Option<WorkerIndex>, group: u64, chance: &mut Chance) -> Self {
        Self { worker, group, person: chance.next_u64() }
    }

    /// The worker among `workers` that serves the user. Where the credentials name none, the room decides.
    #[must_use]
    pub fn serving(self, workers: usize) -> WorkerIndex {
        #[allow(clippy::cast_possible_truncation)] // below the number of workers, which is at most 32
        let by_room = WorkerIndex((self.group % workers.max(1) as u64) as u8);
        self.worker.filter(|worker| usize::from(worker.0) < workers).unwrap_or(by_room)
    }

    /// Reads a user name `expiry:opaque`, with its end in seconds since 1970. `None` for any other text.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<(u64, Self)> {
        let name = std::str::from_utf8(name).ok()?;
        let (expires_at, opaque) = name.split_once(':')?;
        let (letter, text) = opaque.as_bytes().split_first()?;
        let worker = if *letter == ANY_WORKER { None } else { Some(WorkerIndex::from_letter(*letter)?) };
        if text.len() != OPAQUE_TEXT {
            return None;
        }
        let bytes: [u8; OPAQUE] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let number = u128::from_be_bytes(bytes);
        #[allow(clippy::cast_possible_truncation)] // the two halves
        let (group, person) = ((number >> 64) as u64, number as u64);
        Some((expires_at.parse().ok()?, Self { worker, group, person }))
    }
}

impl fmt::Display for RelayUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = self.worker.map_or(ANY_WORKER, WorkerIndex::letter);
        let number = u128::from(self.group) << 64 | u128::from(self.person);
        write!(f, "{}{}", char::from(letter), URL_SAFE_NO_PAD.encode(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{RoomName, TenantId};

    fn room(tenant: &str, name: &str) -> RoomId {
        RoomId { tenant: TenantId::new(tenant).unwrap(), name: RoomName::new(name).unwrap() }
    }

    #[test]
    fn user_names_are_read_as_written() {
        for worker in [None, Some(WorkerIndex(0)), Some(WorkerIndex(31))] {
            let user = RelayUser { worker, group: u64::MAX - 5, person: 7 };
            let (name, _) = RelaySecrets::new(&[], "secret").mint(user, 1_750_000_000);
            assert_eq!(RelayUser::parse(name.as_bytes()), Some((1_750_000_000, user)));
            for end in 0..name.len() {
                assert_eq!(RelayUser::parse(&name.as_bytes()[..end]), None);
            }
        }
        for wrong in ["", ":", "1:", "x:-AAAAAAAAAAAAAAAAAAAAAA", "1:!AAAAAAAAAAAAAAAAAAAAAA", "1:-AAAAAAAAAAAAAAAAAAAAA!"] {
            assert_eq!(RelayUser::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(RelayUser::parse(&[b'1', b':', 0xff]), None);
    }

    #[test]
    fn passwords_are_those_of_the_rest_scheme() {
        let secrets = RelaySecrets::new(&["north".to_owned(), "south".to_owned()], "unused");
        // From `printf %s 1433895918:user | openssl dgst -sha1 -hmac north -binary | base64`.
        let passwords: Vec<String> = secrets.passwords("1433895918:user").collect();
        assert_eq!(passwords.len(), 2);
        assert_eq!(passwords[0], "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
    }

    #[test]
    fn rooms_and_people_differ() {
        let secrets = RelaySecrets::new(&[], "secret");
        let numbers = [
            secrets.group(&room("a", "bc")),
            secrets.group(&room("ab", "c")),
            secrets.person(&room("a", "bc"), "x"),
            secrets.person(&room("a", "b"), "cx"),
            RelaySecrets::new(&[], "other").group(&room("a", "bc")),
        ];
        let different: std::collections::BTreeSet<u64> = numbers.into_iter().collect();
        assert_eq!(different.len(), numbers.len());
        assert_eq!(secrets.group(&room("a", "bc")), numbers[0]);
    }

    #[test]
    fn every_user_has_a_worker() {
        let user = |worker, group| RelayUser { worker, group, person: 0 };
        assert_eq!(user(Some(WorkerIndex(1)), 0).serving(2), WorkerIndex(1));
        assert_eq!(user(Some(WorkerIndex(9)), 3).serving(2), WorkerIndex(1));
        assert_eq!(user(None, 4).serving(2), WorkerIndex(0));
        assert_eq!(user(None, 4).serving(0), WorkerIndex(0));
    }
}
