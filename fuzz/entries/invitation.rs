//! JSON bodies by which somebody is invited, or comes.

use konsil::access::tan::{ADMIT, Admit};
use konsil::http::invite::{AHEAD_MAX_S, Wanted, wanted};
use konsil::http::wire::{Join, NewInvitation};
use konsil::node::invitation::{InvitationBy, SEALED_MAX};

/// When it is, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

pub fn run(input: &[u8]) {
    if let Ok(body) = serde_json::from_slice::<NewInvitation>(input)
        && let Ok(Wanted::ForOne(spec)) = wanted(&body, NOW)
    {
        assert!(spec.not_after > NOW && spec.not_after > spec.not_before && spec.not_after <= NOW + AHEAD_MAX_S);
        if let InvitationBy::Tan { sealed: Some(sealed), .. } = spec.by {
            assert!(sealed.expose().len() <= SEALED_MAX);
        }
    }
    if let Ok(body) = serde_json::from_slice::<Join>(input) {
        let admitted = body.tan.as_deref().is_some_and(|tan| Admit::read(tan).is_ok());
        assert!(!admitted || body.tan.is_some_and(|tan| tan.len() >= ADMIT));
    }
}
