//! Link invitations: a signed token in the fragment of a link, which browsers send to no server.

use super::auth::AuthError;
use super::error::Problem;
use super::ice::{self, Reached};
use super::paths::segment;
use super::state::AppState;
use super::wire::{Admission, AdmissionState, Invitation, InvitationKind, NewInvitation};
use super::{desk, p2p};
use crate::access::jwt::{Claims, mint};
use crate::access::role::Role;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomId, TenantId};
use crate::node::request::RoomMode;
use crate::room::notice::RoomView;

/// Seconds that a link lives unless its maker says otherwise: a day.
pub const LIFE_S: u64 = 24 * 3600;
/// Farthest end of a link from now in seconds: 90 days.
pub const AHEAD_MAX_S: u64 = 90 * 24 * 3600;
/// The attribute that makes a token an invitation's.
pub const INVITATION: &str = "konsil.invitation";
/// The attribute that tells the page before it asks that the room is of mode p2p, which needs no key in the link.
pub const MODE: &str = "konsil.mode";
/// Letters of an identity's random part: 71 bits.
const IDENTITY_LEN: usize = 12;

/// Checked terms of an invitation.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    role: Role,
    not_before: Option<u64>,
    not_after: u64,
}

/// Checks what is wanted; `now` is in seconds since 1970.
///
/// # Errors
/// What this version cannot do, and times out of range.
pub fn terms(wanted: &NewInvitation, now: u64) -> Result<Terms, Problem> {
    if wanted.kind == InvitationKind::Tan {
        return Err(Problem::not_available("invitations of kind tan are not available in this version; use kind link"));
    }
    if wanted.single_use {
        return Err(Problem::not_available("single_use links are not available in this version; bound the link by not_after"));
    }
    let begin = wanted.not_before.unwrap_or(now).max(now);
    let not_after = wanted.not_after.unwrap_or_else(|| begin.saturating_add(LIFE_S));
    if not_after <= begin {
        return Err(Problem::invalid("not_after must lie in the future and after not_before"));
    }
    if not_after > now.saturating_add(AHEAD_MAX_S) {
        return Err(Problem::invalid("not_after, or a day after not_before, must lie within 90 days from now"));
    }
    Ok(Terms { role: wanted.role.into(), not_before: wanted.not_before, not_after })
}

/// Signs the link. Its host is one of the server's own origins, whatever the caller called it.
///
/// # Errors
/// If the server has no key of this tenant to sign with.
pub fn link(state: &AppState, tenant: &TenantId, room: &RoomView, host: Option<&str>, terms: &Terms) -> Result<Invitation, Problem> {
    let signer = state.signer(tenant).ok_or_else(Problem::internal)?;
    let id = format!("{}-{}", terms.role, state.random_text(IDENTITY_LEN));
    let identity = Identity::new(&id).map_err(|_| Problem::internal())?;
    let mut claims = Claims::join(&room.name, identity, String::new(), terms.role, terms.not_after);
    claims.not_before = terms.not_before;
    claims.attributes.insert(INVITATION.to_owned(), "1".to_owned());
    if room.mode == RoomMode::P2p {
        claims.attributes.insert(MODE.to_owned(), "p2p".to_owned());
    }
    let link = format!("{}/r/{}#t={}", state.origin(host), segment(room.name.as_str()), mint(signer, &claims));
    Ok(Invitation { id, link, expires_at: terms.not_after })
}

/// Somebody whose invitation or token was good.
pub struct Admitted {
    /// What the token allows.
    pub grants: Grants,
    /// The token to join with.
    pub token: String,
}

/// Exchanges an invitation's token for one with an identity of its own, as long and as strong as the invitation.
///
/// # Errors
/// The token is refused, or is not an invitation's: other tokens stand for the one person they name.
pub fn admit(state: &AppState, token: &str) -> Result<Admitted, Problem> {
    let invited = state.keyring().verify(token, state.wall().as_secs()).map_err(AuthError::from)?;
    let role = Role::of(&invited).filter(|_| invited.attributes.contains_key(INVITATION));
    let (Some(role), Some(room)) = (role, &invited.room) else {
        return Err(Problem::invalid("invitation must be the token of an invitation link"));
    };
    let signer = state.signer(&invited.tenant).ok_or_else(Problem::internal)?;
    let identity = Identity::new(&format!("{role}-{}", state.random_text(IDENTITY_LEN))).map_err(|_| Problem::internal())?;
    let mut claims = Claims::join(room, identity, String::new(), role, invited.expires_at);
    claims.attributes.extend(invited.attributes.get_key_value(MODE).map(|(name, mode)| (name.clone(), mode.clone())));
    let token = mint(signer, &claims);
    let grants = state.keyring().verify(&token, state.wall().as_secs()).map_err(AuthError::from)?;
    Ok(Admitted { grants, token })
}

/// Takes a token that stands for one person as it is.
///
/// # Errors
/// The token is refused, names nobody or no room, or is an invitation's, which many may have.
pub fn recognise(state: &AppState, token: String) -> Result<Admitted, Problem> {
    let grants = state.keyring().verify(&token, state.wall().as_secs()).map_err(AuthError::from)?;
    if grants.attributes.contains_key(INVITATION) {
        return Err(Problem::invalid("this is the token of an invitation link: send it as invitation"));
    }
    Ok(Admitted { grants, token })
}

/// The way into a room for somebody who may join it.
///
/// # Errors
/// The token names nobody, or no room.
pub fn admission(
    state: &AppState,
    admitted: Admitted,
    (mode, standing): (RoomMode, AdmissionState),
    reached: Option<&Reached>,
) -> Result<Admission, Problem> {
    let Admitted { grants: Grants { tenant, room, identity, .. }, token } = admitted;
    let (Some(name), Some(identity)) = (room, identity) else { return Err(Problem::internal()) };
    let ice_servers = ice::for_guest(state, &RoomId { tenant, name }, identity.as_str(), reached);
    let origin = state.origin(None).replacen("http", "ws", 1);
    let desk = format!("{origin}{}", desk::PATH);
    let url = match mode {
        RoomMode::Sfu => origin,
        RoomMode::P2p => format!("{origin}{}", p2p::PATH),
    };
    Ok(Admission { state: standing, token, mode: mode.into(), url, ice_servers, desk })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{self, NOW};
    use crate::http::wire::InvitedRole;

    fn wanted(not_before: Option<u64>, not_after: Option<u64>) -> NewInvitation {
        NewInvitation { kind: InvitationKind::Link, role: InvitedRole::Guest, single_use: false, not_before, not_after }
    }

    #[test]
    fn ends_are_a_day_off_or_as_told() {
        let end = |not_before, not_after| terms(&wanted(not_before, not_after), NOW).unwrap().not_after;
        assert_eq!(end(None, None), NOW + LIFE_S);
        assert_eq!(end(Some(NOW + 50), None), NOW + 50 + LIFE_S);
        assert_eq!(end(Some(NOW - 50), None), NOW + LIFE_S);
        assert_eq!(end(None, Some(NOW + AHEAD_MAX_S)), NOW + AHEAD_MAX_S);
    }

    #[test]
    fn ends_out_of_range_are_refused() {
        for (not_before, not_after) in [
            (None, Some(NOW)),
            (Some(NOW + 9), Some(NOW + 9)),
            (None, Some(NOW + AHEAD_MAX_S + 1)),
            (Some(NOW + AHEAD_MAX_S), None),
            (Some(u64::MAX), None),
        ] {
            assert_eq!(terms(&wanted(not_before, not_after), NOW).unwrap_err().status(), 422);
        }
    }

    #[test]
    fn later_kinds_are_not_available_yet() {
        let tan = NewInvitation { kind: InvitationKind::Tan, ..wanted(None, None) };
        let single = NewInvitation { single_use: true, ..wanted(None, None) };
        assert_eq!(terms(&tan, NOW).unwrap_err().status(), 501);
        assert_eq!(terms(&single, NOW).unwrap_err().status(), 501);
    }

    #[test]
    fn links_carry_a_token_for_one_new_identity() {
        let (state, _calls) = testing::state();
        let clinic = TenantId::new("clinic").unwrap();
        let room = testing::room("Raum 1/ä");
        let make = || {
            let terms = Terms { role: Role::Guest, not_before: Some(NOW), not_after: NOW + 60 };
            link(&state, &clinic, &room, Some("evil.example"), &terms).unwrap()
        };
        let invitation = make();
        let (address, token) = invitation.link.split_once("#t=").unwrap();
        assert_eq!(address, "https://konsil.example/r/Raum%201%2F%C3%A4");
        let grants = state.keyring().verify(token, NOW).unwrap();
        assert_eq!(grants.identity.unwrap().as_str(), invitation.id);
        assert_eq!((grants.tenant, grants.room, grants.expires_at), (clinic.clone(), Some(room.name.clone()), NOW + 60));
        assert!(grants.room_join && !grants.room_admin);
        assert_ne!(make().id, invitation.id);
    }

    #[test]
    fn foreign_tenants_have_no_signer_here() {
        let (state, _calls) = testing::state();
        let terms = Terms { role: Role::Host, not_before: None, not_after: NOW + 60 };
        let other = TenantId::new("other").unwrap();
        assert!(link(&state, &other, &testing::room("r"), None, &terms).is_err());
    }
}
