//! An access token, as it comes or signed with the right secret.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use konsil::access::jwt::{ApiKey, Keyring, LEEWAY_S, TokenError};
use konsil::model::ids::{NAME_MAX, TenantId};

/// The key of the tokens in the corpus.
const KEY: &str = "APIfuzz";
/// Its secret.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// When it is, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

/// The input is a whole token, or the claims of one that is then signed.
pub fn run(input: &[u8]) {
    let mut keyring = Keyring::new();
    let key = ApiKey::new(KEY.to_owned(), SECRET.to_owned()).expect("a key");
    keyring.insert(TenantId::new("default").expect("a name"), key).expect("room for one key");
    if let Ok(text) = std::str::from_utf8(input) {
        verify(&keyring, text);
    }
    let signed = sign(input);
    assert_ne!(verify(&keyring, &signed), Some(TokenError::Signature));
}

/// What is wrong with a token. What is not wrong is within the rules.
fn verify(keyring: &Keyring, token: &str) -> Option<TokenError> {
    match keyring.verify(token, NOW) {
        Ok(grants) => {
            assert!(grants.expires_at.saturating_add(LEEWAY_S) > NOW);
            assert!(!grants.room_join || grants.identity.is_some());
            assert!(grants.name.len() <= NAME_MAX);
            None
        }
        Err(fault) => Some(fault),
    }
}

fn sign(claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}
