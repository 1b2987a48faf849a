//! TANs: what a letter carries in place of a link, checked, halved, hashed.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::chance::Chance;
use crate::model::ids::TenantId;
use crate::model::secret::Secret;

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters that admit; the server knows a TAN by them.
pub const ADMIT: usize = 6;
/// Characters by which the two browsers recognise each other.
pub const SECRET: usize = 5;
/// All characters, the check character with them.
pub const WHOLE: usize = ADMIT + SECRET + 1;
/// Most UTF-16 units that are read of what somebody typed: more than anybody types, counted as browsers count.
pub const TYPED_MAX: usize = 64;
/// Bytes of a resume secret: 128 bits.
const RESUME: usize = 16;
/// x⁵ + x² + 1, by which the check character is a remainder.
const POLYNOMIAL: u8 = 0b10_0101;

/// What is wrong with what somebody typed. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TanFault {
    /// A character that is in no TAN, or far too many.
    #[error("a TAN has digits and letters without U")]
    Characters,
    /// Neither 12 characters, nor the 6 that admit.
    #[error("a TAN has {WHOLE} characters")]
    Length,
    /// The check character belongs to another TAN: a typing error.
    #[error("the TAN has a typing error")]
    Check,
}

/// The half of a TAN that admits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Admit([u8; ADMIT]);

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admit(..)")
    }
}

impl Admit {
    /// Reads a whole TAN, or its first six characters alone, as somebody typed it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(typed: &str) -> Result<Self, TanFault> {
        let text = normalise(typed)?;
        let (admit, rest) = text.split_first_chunk::<ADMIT>().ok_or(TanFault::Length)?;
        match rest.len() {
            0 => Ok(Self(*admit)),
            _ if text.len() != WHOLE => Err(TanFault::Length),
            _ if check(&text[..WHOLE - 1]) != text[WHOLE - 1] => Err(TanFault::Check),
            _ => Ok(Self(*admit)),
        }
    }

    /// Reads the six characters alone, as a browser sends them that made the TAN.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read_half(text: &str) -> Result<Self, TanFault> {
        let text = normalise(text)?;
        text.as_slice().try_into().map(Self).map_err(|_| TanFault::Length)
    }
}

/// A whole TAN that the server makes, for callers without a browser.
#[derive(Clone, PartialEq, Eq)]
pub struct Tan([u8; WHOLE]);

impl fmt::Debug for Tan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tan(..)")
    }
}

impl Tan {
    /// A random one: 30 bits admit, 25 are the secret.
    #[must_use]
    pub fn make(chance: &mut Chance) -> Self {
        let mut text = [0; WHOLE];
        let random = chance.bytes::<{ ADMIT + SECRET }>();
        // 256 is a multiple of 32, so every character is as likely as any other.
        text.iter_mut().zip(random).for_each(|(character, byte)| *character = ALPHABET[usize::from(byte % 32)]);
        text[WHOLE - 1] = check(&text[..WHOLE - 1]);
        Self(text)
    }

    /// The half that admits.
    #[must_use]
    pub fn admit(&self) -> Admit {
        let mut admit = [0; ADMIT];
        admit.copy_from_slice(&self.0[..ADMIT]);
        Admit(admit)
    }

    /// The secret half.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(text(&self.0[ADMIT..ADMIT + SECRET]))
    }

    /// As it stands in a letter: `XXXX-XXXX-XXXX`.
    #[must_use]
    pub fn letter(&self) -> Secret {
        Secret::new(self.0.chunks(4).map(text).collect::<Vec<_>>().join("-"))
    }
}

fn text(characters: &[u8]) -> String {
    characters.iter().copied().map(char::from).collect()
}

/// Capitals of the alphabet alone. Small letters count as capitals, separators do not count, look-alikes are read as digits.
///
/// # Errors
/// [`TanFault::Characters`] if something else is among them, or if there are more than [`TYPED_MAX`] UTF-16 units.
pub fn normalise(typed: &str) -> Result<Vec<u8>, TanFault> {
    if typed.encode_utf16().take(TYPED_MAX + 1).count() > TYPED_MAX {
        return Err(TanFault::Characters);
    }
    typed.chars().filter(|character| !separates(*character)).map(character).collect()
}

fn separates(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' ' | '-' | '.' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{2010}'..='\u{2015}' | '\u{202f}'
    )
}

fn character(character: char) -> Result<u8, TanFault> {
    let capital = u8::try_from(character).map_err(|_| TanFault::Characters)?.to_ascii_uppercase();
    match capital {
        b'I' | b'L' => Ok(b'1'),
        b'O' => Ok(b'0'),
        known if ALPHABET.contains(&known) => Ok(known),
        _ => Err(TanFault::Characters),
    }
}

/// The check character: the code word's remainder over GF(32). Each place counts by another power of two, so that neither one
/// wrong character nor two neighbours that changed places go unnoticed.
fn check(characters: &[u8]) -> u8 {
    let place = |character: &u8| ALPHABET.iter().position(|known| known == character).unwrap_or(0);
    // A place in the alphabet has five bits.
    #[expect(clippy::cast_possible_truncation)]
    let sum = characters.iter().fold(0, |sum, character| double(sum ^ place(character) as u8));
    ALPHABET[usize::from(sum)]
}

fn double(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled < 32 { doubled } else { doubled ^ POLYNOMIAL }
}

/// What hashes TANs with resume secrets: whoever reads the store without it cannot try the 2³⁰ TANs there are.
#[derive(Clone)]
pub struct InvitationKey(hmac::Key);

impl fmt::Debug for InvitationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationKey(..)")
    }
}

impl InvitationKey {
    /// A key that follows from one of the server's secrets.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"konsil invitation key v1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// What is stored of the half that admits: the same half of two tenants has two hashes.
    #[must_use]
    pub fn admit(&self, tenant: &TenantId, admit: &Admit) -> [u8; 32] {
        self.hash(&[b"admit", tenant.as_str().as_bytes(), &admit.0])
    }

    /// What is stored of a resume secret.
    #[must_use]
    pub fn resume(&self, secret: &str) -> [u8; 32] {
        self.hash(&[b"resume", secret.as_bytes()])
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            // Lengths keep ("a", "bc") apart from ("ab", "c").
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }
}

/// A fresh resume secret: 128 bits, if `chance` is unpredictable.
#[must_use]
pub fn resume_secret(chance: &mut Chance) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(chance.bytes::<RESUME>()))
}

#[cfg(test)]
#[path = "tan_tests.rs"]
mod tests;
