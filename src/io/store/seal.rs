//! Sealing of single blobs: each under a key of its own, bound to its place.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};

use super::fault::StoreError;

/// Length of keys, salts' doubles, digests, in bytes.
pub(super) const KEY_LEN: usize = 32;
const VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
/// Version, salt, nonce.
const HEAD_LEN: usize = 1 + SALT_LEN + NONCE_LEN;

/// A digest, or a keyed one.
pub(super) type Digest = [u8; KEY_LEN];

/// A symmetric key; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key([u8; KEY_LEN]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A new random key.
    pub(super) fn fresh() -> Result<Self, StoreError> {
        let mut bytes = [0; KEY_LEN];
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Another key for one purpose, which does not tell this one.
    pub(super) fn derive(&self, purpose: &[u8]) -> Self {
        Self(self.mac(&[b"konsil derived key", purpose]))
    }

    /// HMAC-SHA-256 over the parts, each with its length before it, so that no two lists of parts read alike.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; KEY_LEN];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    /// Seals `plain` (AES-256-GCM) for the place that `bound` names.
    ///
    /// Every blob has a key of its own, derived from this one by 128 random bits, beside a random nonce: a pair of key
    /// and nonce comes twice only if 224 random bits do, also after a copy was put back.
    pub(super) fn seal(&self, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = vec![VERSION; HEAD_LEN];
        fill(&mut sealed[1..])?;
        let (key, nonce) = self.opener(&sealed).ok_or(StoreError::Sealing)?;
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(bound), &mut body).map_err(|_| StoreError::Sealing)?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// What was sealed for this place; `None` if anything about it was changed.
    pub(super) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.first() != Some(&VERSION) {
            return None;
        }
        let (key, nonce) = self.opener(sealed)?;
        let mut body = sealed.get(HEAD_LEN..)?.to_vec();
        let len = key.open_in_place(nonce, Aad::from(bound), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }

    /// Keyed digest of `plain` under a key that is gone once `sealed` is: whoever guesses the text cannot confirm the guess then.
    pub(super) fn commit(&self, sealed: &[u8], plain: &[u8]) -> Digest {
        let head = sealed.get(..HEAD_LEN).unwrap_or_default();
        Self(self.mac(&[b"konsil commitment", head])).mac(&[plain])
    }

    fn opener(&self, sealed: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        let salt = sealed.get(1..=SALT_LEN)?;
        let nonce: [u8; NONCE_LEN] = sealed.get(1 + SALT_LEN..HEAD_LEN)?.try_into().ok()?;
        let key = UnboundKey::new(&AES_256_GCM, &self.mac(&[b"konsil sealed blob", salt])).ok()?;
        Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce)))
    }
}

/// SHA-256 over the parts, each with its length before it.
pub(super) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; KEY_LEN];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(StoreError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_open_in_their_place_only_and_whole_only() {
        let key = Key::fresh().unwrap();
        let sealed = key.seal(b"here", b"text").unwrap();
        assert_eq!(key.open(b"here", &sealed).unwrap(), b"text");
        assert!(key.open(b"there", &sealed).is_none() && Key::fresh().unwrap().open(b"here", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(b"here", &changed).is_none(), "byte {at}");
            assert!(key.open(b"here", &sealed[..at]).is_none(), "length {at}");
        }
        assert_ne!(key.seal(b"here", b"text").unwrap(), sealed);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = Key::new([1; KEY_LEN]);
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        assert_ne!(sha256(&[b"ab", b"c"]), sha256(&[b"a", b"bc"]));
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
