//! Invitations as they travel: a signed token in the fragment of a link, which browsers send to no server, or a TAN.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::auth::AuthError;
use super::error::Problem;
use super::ice::{self, Reached};
use super::paths::segment;
use super::state::AppState;
use super::wire::{Admission, AdmissionState, Invitation, InvitationKind, NewInvitation};
use super::{desk, p2p};
use crate::access::jwt::{Claims, VideoGrant, mint};
use crate::access::role::{ATTRIBUTE, Role};
use crate::access::tan::Admit;
use crate::model::grants::Grants;
use crate::model::ids::{Identity, InvitationId, RoomId, RoomName, SubjectRef, TenantId};
use crate::model::secret::Secret;
use crate::node::invitation::{InvitationBy, InvitationMade, InvitationSpec, Redeem, Redeemed, SEALED_MAX};
use crate::node::request::{RULES, RoomMode};
use crate::room::DoorRules;
use crate::room::notice::RoomView;

/// Seconds that a link lives unless its maker says otherwise: a day.
pub const LIFE_S: u64 = 24 * 3600;
/// Farthest end of a link from now in seconds: 90 days.
pub const AHEAD_MAX_S: u64 = 90 * 24 * 3600;
/// The attribute that makes a token an invitation's.
pub const INVITATION: &str = "konsil.invitation";
/// The attribute that tells the page before it asks that the room is of mode p2p, which needs no key in the link.
pub const MODE: &str = "konsil.mode";
/// What that attribute says if everybody who has the link may come; else it is the id of an invitation for one device.
const FOR_MANY: &str = "1";
/// Letters of an identity's random part: 71 bits.
const IDENTITY_LEN: usize = 12;

/// An invitation whose form is checked.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A link that the server does not keep.
    ForMany(Terms),
    /// A link or TAN for one device, which it keeps.
    ForOne(InvitationSpec),
}

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
/// Fields that do not go together, and values out of range.
pub fn wanted(wanted: &NewInvitation, now: u64) -> Result<Wanted, Problem> {
    let terms = terms(wanted, now)?;
    let subject = wanted.subject.as_deref().map(SubjectRef::new).transpose();
    let subject = subject.map_err(|error| Problem::invalid(format!("subject {error}")))?;
    let by = match wanted.kind {
        InvitationKind::Tan if wanted.single_use => {
            return Err(Problem::invalid("single_use is for links: a TAN always is for one device"));
        }
        InvitationKind::Tan => InvitationBy::Tan {
            admit: wanted.admit.as_deref().map(Admit::read_half).transpose()?,
            sealed: wanted.sealed.as_deref().map(sealed).transpose()?,
            pending: wanted.pending,
        },
        InvitationKind::Link if wanted.admit.is_some() || wanted.sealed.is_some() || wanted.pending => {
            return Err(Problem::invalid("admit, sealed and pending are for TANs"));
        }
        InvitationKind::Link if wanted.single_use => InvitationBy::Link,
        InvitationKind::Link if subject.is_some() => {
            return Err(Problem::invalid("a link for many stands for no person: subject needs single_use, or kind tan"));
        }
        InvitationKind::Link => return Ok(Wanted::ForMany(terms)),
    };
    let Terms { role, not_before, not_after } = terms;
    Ok(Wanted::ForOne(InvitationSpec { role, by, not_before: not_before.unwrap_or(now), not_after, subject }))
}

fn sealed(text: &str) -> Result<Secret, Problem> {
    let good = text.len() <= SEALED_MAX && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| !bytes.is_empty());
    if good { Ok(Secret::new(text.to_owned())) } else { Err(Problem::invalid("sealed must be base64url of at most 256 bytes")) }
}

fn terms(wanted: &NewInvitation, now: u64) -> Result<Terms, Problem> {
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
    claims.attributes.insert(INVITATION.to_owned(), FOR_MANY.to_owned());
    tell_mode(&mut claims, room.mode);
    if room.door != DoorRules::default() {
        claims.attributes.insert(RULES.to_owned(), "1".to_owned());
    }
    let link = address(state, host, &room.name, &mint(&signer, &claims));
    Ok(Invitation { id, link: Some(link), tan: None, expires_at: terms.not_after, server_knew: None })
}

fn address(state: &AppState, host: Option<&str>, room: &RoomName, token: &str) -> String {
    format!("{}/r/{}#t={token}", state.origin(host), segment(room.as_str()))
}

fn tell_mode(claims: &mut Claims, mode: RoomMode) {
    if mode == RoomMode::P2p {
        claims.attributes.insert(MODE.to_owned(), "p2p".to_owned());
    }
}

/// What the maker of an invitation for one device is told.
///
/// # Errors
/// If the server has no key of this tenant to sign a link with.
pub fn for_one(
    state: &AppState,
    (tenant, room): (&TenantId, &RoomName),
    host: Option<&str>,
    spec: &InvitationSpec,
    made: InvitationMade,
) -> Result<Invitation, Problem> {
    let id = made.id.as_str().to_owned();
    let link = match spec.by {
        InvitationBy::Tan { .. } => None,
        InvitationBy::Link => {
            let signer = state.signer(tenant).ok_or_else(Problem::internal)?;
            // It allows nothing by itself, or it could be used past its exchange, which counts.
            let video = VideoGrant { room: Some(room.as_str().to_owned()), ..VideoGrant::nothing() };
            let attributes = [(INVITATION.to_owned(), id.clone()), (ATTRIBUTE.to_owned(), spec.role.as_str().to_owned())].into();
            let not_before = Some(spec.not_before);
            let mut claims = Claims { video, attributes, not_before, expires_at: spec.not_after, ..Claims::default() };
            tell_mode(&mut claims, made.mode);
            Some(address(state, host, room, &mint(&signer, &claims)))
        }
    };
    let server_knew = link.is_none().then_some(made.tan.is_some());
    Ok(Invitation { id, link, tan: made.tan.map(|tan| tan.expose().to_owned()), expires_at: made.expires_at, server_knew })
}

/// Somebody whose invitation or token was good.
pub struct Admitted {
    /// What the token allows.
    pub grants: Grants,
    /// The token to join with.
    pub token: String,
    /// What the device shows when it comes again.
    pub resume: Option<Secret>,
}

/// What an invitation's token asks for.
pub enum Invited {
    /// Everybody who has it is somebody else.
    Many(Admitted),
    /// One device may use it.
    One(Redeem),
}

/// Looks at an invitation's token. One for many is exchanged for one with an identity of its own, as long and as strong.
///
/// # Errors
/// The token is refused, or is not an invitation's: other tokens stand for the one person they name.
pub fn admit(state: &AppState, token: &str) -> Result<Invited, Problem> {
    let invited = state.keyring().verify(token, state.wall().as_secs()).map_err(AuthError::from)?;
    let stated = invited.attributes.get(INVITATION).cloned();
    let (Some(role), Some(room), Some(stated)) = (Role::of(&invited), &invited.room, stated) else {
        return Err(Problem::invalid("invitation must be the token of an invitation link"));
    };
    if stated != FOR_MANY {
        let id = InvitationId::new(&stated).map_err(|_| Problem::invalid("invitation must be the token of an invitation link"))?;
        return Ok(Invited::One(Redeem::Link(RoomId { tenant: invited.tenant, name: room.clone() }, id)));
    }
    let identity = Identity::new(&format!("{role}-{}", state.random_text(IDENTITY_LEN))).map_err(|_| Problem::internal())?;
    let kept = [MODE, RULES].iter().filter_map(|name| invited.attributes.get_key_value(*name));
    let kept = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    sign(state, &invited.tenant, room, (role, identity), invited.expires_at, kept).map(Invited::Many)
}

/// The token of somebody whom the control core let in by an invitation for one device.
///
/// # Errors
/// If the server has no key of this tenant to sign with.
pub fn redeemed(state: &AppState, redeemed: Redeemed) -> Result<Admitted, Problem> {
    let Redeemed { room: RoomId { tenant, name }, role, identity, mode, resume, expires_at } = redeemed;
    // Such a room is stored: when it is over, nobody makes it anew by joining.
    let rules = (RULES.to_owned(), "1".to_owned());
    let told = (mode == RoomMode::P2p).then(|| (MODE.to_owned(), "p2p".to_owned())).into_iter().chain([rules]).collect();
    let admitted = sign(state, &tenant, &name, (role, identity), expires_at, told)?;
    Ok(Admitted { resume, ..admitted })
}

fn sign(
    state: &AppState,
    tenant: &TenantId,
    room: &RoomName,
    (role, identity): (Role, Identity),
    expires_at: u64,
    told: Vec<(String, String)>,
) -> Result<Admitted, Problem> {
    let signer = state.signer(tenant).ok_or_else(Problem::internal)?;
    let mut claims = Claims::join(room, identity, String::new(), role, expires_at);
    claims.attributes.extend(told);
    let token = mint(&signer, &claims);
    let grants = state.keyring().verify(&token, state.wall().as_secs()).map_err(AuthError::from)?;
    Ok(Admitted { grants, token, resume: None })
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
    Ok(Admitted { grants, token, resume: None })
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
    let Admitted { grants: Grants { tenant, room, identity, .. }, token, resume } = admitted;
    let (Some(name), Some(identity)) = (room, identity) else { return Err(Problem::internal()) };
    let (room, organisation) = (name.as_str().to_owned(), tenant.as_str().to_owned());
    let ice_servers = ice::for_guest(state, &RoomId { tenant, name }, identity.as_str(), reached);
    let origin = state.origin(None).replacen("http", "ws", 1);
    let desk = format!("{origin}{}", desk::PATH);
    let url = match mode {
        RoomMode::Sfu => origin,
        RoomMode::P2p => format!("{origin}{}", p2p::PATH),
    };
    let resume = resume.map(|resume| resume.expose().to_owned());
    Ok(Admission { state: standing, token, mode: mode.into(), room, tenant: organisation, url, ice_servers, desk, resume })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{self, NOW};
    use crate::http::wire::InvitedRole;

    fn link_for(not_before: Option<u64>, not_after: Option<u64>) -> NewInvitation {
        NewInvitation {
            kind: InvitationKind::Link,
            role: InvitedRole::Guest,
            single_use: false,
            admit: None,
            sealed: None,
            pending: false,
            not_before,
            not_after,
            subject: None,
        }
    }

    #[test]
    fn ends_are_a_day_off_or_as_told() {
        let end = |not_before, not_after| terms(&link_for(not_before, not_after), NOW).unwrap().not_after;
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
            assert_eq!(terms(&link_for(not_before, not_after), NOW).unwrap_err().status(), 422);
        }
    }

    #[test]
    fn fields_must_go_together() {
        let link = || link_for(None, None);
        let tan = || NewInvitation { kind: InvitationKind::Tan, ..link() };
        let text = |text: &str| Some(text.to_owned());
        for good in [
            NewInvitation { single_use: true, subject: text("p-1"), ..link() },
            NewInvitation { admit: text("7kq-2m9"), sealed: text("AAAA"), pending: true, subject: text("p-1"), ..tan() },
            NewInvitation { admit: text("7KQ2M9"), sealed: text(&"A".repeat(SEALED_MAX)), ..tan() },
        ] {
            assert!(matches!(wanted(&good, NOW), Ok(Wanted::ForOne(_))));
        }
        for bad in [
            NewInvitation { subject: text("p-1"), ..link() },
            NewInvitation { admit: text("7KQ2M9"), single_use: true, ..link() },
            NewInvitation { pending: true, single_use: true, ..link() },
            NewInvitation { single_use: true, ..tan() },
            NewInvitation { admit: text("7KQ2-M9XC-4TBN"), ..tan() },
            NewInvitation { admit: text("7KQ2MU"), ..tan() },
            NewInvitation { admit: text("7KQ2M9"), sealed: text(&"A".repeat(SEALED_MAX + 4)), ..tan() },
            NewInvitation { admit: text("7KQ2M9"), sealed: text("not base64!"), ..tan() },
            NewInvitation { admit: text("7KQ2M9"), sealed: text(""), ..tan() },
            NewInvitation { subject: text(""), ..tan() },
        ] {
            assert_eq!(wanted(&bad, NOW).unwrap_err().status(), 422,);
        }
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
        let link = invitation.link.unwrap();
        let (address, token) = link.split_once("#t=").unwrap();
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
