//! The rules of rooms of two people whose browsers carry the media between them.

use crate::model::ids::{SessionId, Sid};
use crate::model::record::RoomMode;
use crate::model::time::Moment;

use super::command::{Layout, PartnerMessage, Signal};
use super::notice::{LeaveReason, Notice, Outcome, PartnerView};
use super::rules::{Effect, Room};

/// Everybody in a p2p room. A third person needs another room, because a mode never changes.
pub const PEOPLE: u32 = 2;

impl Room {
    /// Whether media goes from browser to browser.
    #[must_use]
    pub fn is_p2p(&self) -> bool {
        self.settings.mode == RoomMode::P2p
    }

    /// Whether clients with this layout belong into a room of this mode.
    #[must_use]
    pub fn takes(&self, layout: Layout) -> bool {
        self.is_p2p() == (layout == Layout::P2p)
    }

    /// Whether only relayed candidates may be passed on.
    #[must_use]
    pub fn hides_addresses(&self) -> bool {
        self.is_p2p() && self.settings.hide_addresses
    }

    fn partner_of(&self, session: SessionId) -> Option<SessionId> {
        self.participants.keys().copied().find(|other| *other != session)
    }

    /// Tells everybody how things stand.
    pub(super) fn tell_partners(&self, out: &mut Vec<Effect>) {
        self.participants.keys().for_each(|session| self.tell_partner(*session, out));
    }

    fn tell_partner(&self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get(&session) else { return };
        let partner = self.partner_of(session);
        let view = PartnerView {
            own: participant.sid.clone(),
            partner: partner.and_then(|partner| self.sid_of(partner)).cloned(),
            // Who came later gives way: fixed for as long as both stay, and never the same for both.
            polite: partner.is_some_and(|partner| partner < session),
            hide_addresses: self.settings.hide_addresses,
        };
        self.tell(session, Notice::Partner(view), out);
    }

    /// Takes one message of a client of a p2p room.
    pub(super) fn p2p_signal(&mut self, session: SessionId, signal: Signal, now: Moment, out: &mut Vec<Effect>) {
        match signal {
            Signal::ToPartner { to, message } => self.pass_on(session, to.as_ref(), message, out),
            // Who asks is about to restart ICE. The other one will gather anew too: with the old credentials it might meet
            // the quota that its old allocations fill.
            Signal::AskPartner => self.tell_partners(out),
            Signal::Leave => self.remove(session, LeaveReason::ClientInitiated, now, out),
            // The way in for clients of the other mode is closed; all else is about the SFU.
            _ => self.tell(session, Notice::Response { request_id: 0, outcome: Outcome::Invalid }, out),
        }
    }

    fn pass_on(&self, session: SessionId, to: Option<&Sid>, message: PartnerMessage, out: &mut Vec<Effect>) {
        let partner = self.partner_of(session).filter(|_| self.participants.contains_key(&session));
        let meant = partner.filter(|partner| to.is_none() || self.sid_of(*partner) == to);
        match meant {
            Some(partner) => self.tell(partner, Notice::FromPartner(message), out),
            None => self.tell(session, Notice::Response { request_id: 0, outcome: Outcome::NotFound }, out),
        }
    }
}
