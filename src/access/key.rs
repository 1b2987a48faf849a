//! API keys, each of which speaks for one tenant.

use std::collections::BTreeMap;

use crate::model::chance::Chance;
use crate::model::ids::TenantId;
pub use crate::model::secret::Secret;

/// Shortest secret in bytes: HS256 needs a key as long as its hash (RFC 7518 §3.2).
pub const SECRET_MIN: usize = 32;
/// Longest secret in bytes.
pub const SECRET_MAX: usize = 512;
/// Longest API key id in bytes.
pub const KEY_MAX: usize = 128;
/// Most API keys in one keyring.
pub const KEYS_MAX: usize = 1024;
/// Tenant of the key that the server makes at its first start.
pub const FIRST_TENANT: &str = "default";

/// Why a pair of texts cannot be an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The id is empty, too long or has other than visible ASCII letters.
    #[error("the key must have 1 to {KEY_MAX} visible ASCII characters")]
    Key,
    /// The secret is too short or too long.
    #[error("the secret must have {SECRET_MIN} to {SECRET_MAX} bytes")]
    Secret,
    /// The keyring has this id already.
    #[error("the key is there already")]
    Twice,
    /// The keyring holds [`KEYS_MAX`] keys.
    #[error("at most {KEYS_MAX} keys are possible")]
    Full,
}

/// What signs tokens: a public id (`iss`) with its secret.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The id that tokens carry as issuer.
    pub key: String,
    /// What signs them.
    pub secret: Secret,
}

impl ApiKey {
    /// A pair of checked texts.
    ///
    /// # Errors
    /// Says which text breaks which rule.
    pub fn new(key: String, secret: String) -> Result<Self, KeyError> {
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Key);
        }
        if !(SECRET_MIN..=SECRET_MAX).contains(&secret.len()) {
            return Err(KeyError::Secret);
        }
        Ok(Self { key, secret: Secret::new(secret) })
    }

    /// A fresh key; its secret has 261 bits if `chance` is unpredictable.
    #[must_use]
    pub fn make(chance: &mut Chance) -> Self {
        Self { key: format!("API{}", chance.text(12)), secret: Secret::new(chance.text(44)) }
    }
}

/// All keys whose tokens are accepted.
#[derive(Clone, Debug, Default)]
pub struct Keyring(BTreeMap<String, (TenantId, Secret)>);

impl Keyring {
    /// A keyring that accepts no token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts tokens of `key` as those of `tenant`.
    ///
    /// # Errors
    /// If the id is taken or [`KEYS_MAX`] keys are there.
    pub fn insert(&mut self, tenant: TenantId, key: ApiKey) -> Result<(), KeyError> {
        if self.0.contains_key(&key.key) {
            return Err(KeyError::Twice);
        }
        if self.0.len() >= KEYS_MAX {
            return Err(KeyError::Full);
        }
        self.0.insert(key.key, (tenant, key.secret));
        Ok(())
    }

    pub(super) fn find(&self, key: &str) -> Option<&(TenantId, Secret)> {
        self.0.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_secrets() {
        let key = ApiKey::make(&mut Chance::new([3; 32]));
        let mut ring = Keyring::new();
        ring.insert(TenantId::new(FIRST_TENANT).unwrap(), key.clone()).unwrap();
        assert!(!format!("{key:?}").contains(key.secret.expose()));
        assert!(!format!("{ring:?}").contains(key.secret.expose()));
    }

    #[test]
    fn made_keys_pass_the_check_of_read_ones() {
        let key = ApiKey::make(&mut Chance::new([3; 32]));
        assert!(ApiKey::new(key.key, key.secret.expose().to_owned()).is_ok());
    }

    #[test]
    fn bad_pairs_are_refused() {
        let long = |len: usize| "s".repeat(len);
        for key in ["", "a b", "ä", &"k".repeat(KEY_MAX + 1)] {
            assert_eq!(ApiKey::new(key.to_owned(), long(40)).err(), Some(KeyError::Key));
        }
        for len in [0, SECRET_MIN - 1, SECRET_MAX + 1] {
            assert_eq!(ApiKey::new("k".to_owned(), long(len)).err(), Some(KeyError::Secret));
        }
    }

    #[test]
    fn keyring_is_bounded_with_unique_ids() {
        let tenant = TenantId::new("t").unwrap();
        let key = |number: usize| ApiKey::new(format!("k{number}"), "s".repeat(SECRET_MIN)).unwrap();
        let mut ring = Keyring::new();
        for number in 0..KEYS_MAX {
            ring.insert(tenant.clone(), key(number)).unwrap();
        }
        assert_eq!(ring.insert(tenant.clone(), key(0)), Err(KeyError::Twice));
        assert_eq!(ring.insert(tenant, key(KEYS_MAX)), Err(KeyError::Full));
    }
}
