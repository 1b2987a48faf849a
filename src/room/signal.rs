//! Messages of joined clients.

use crate::model::chance::Chance;
use crate::model::ids::SessionId;
use crate::model::time::Moment;

use super::command::{Leg, Scenario, Signal};
use super::media::MediaCommand;
use super::moderate::Profile;
use super::notice::{LeaveAction, LeaveReason, Notice, Outcome};
use super::rules::{Effect, Room};

impl Room {
    /// Takes one message of a client.
    pub fn signal(&mut self, session: SessionId, signal: Signal, now: Moment, chance: &mut Chance, out: &mut Vec<Effect>) {
        if self.is_p2p() {
            return self.p2p_signal(session, signal, now, out);
        }
        match signal {
            Signal::Offer { sdp, id } => out.push(Effect::Media(MediaCommand::Offer { session, sdp, id })),
            Signal::Answer { sdp, id } => out.push(Effect::Media(MediaCommand::Answer { session, sdp, id })),
            Signal::Trickle { leg, candidate } => self.trickle(session, leg, candidate, out),
            Signal::AddTrack(add) => {
                if let Err(outcome) = self.add_track(session, add, chance, out) {
                    self.tell(session, Notice::Response { request_id: 0, outcome }, out);
                }
            }
            Signal::Mute { track, muted } => self.mute_own(session, &track, muted, out),
            Signal::Subscription { tracks, subscribe } => self.subscription(session, &tracks, subscribe, out),
            Signal::Settings { tracks, settings } => self.settings(session, tracks, settings, out),
            Signal::SubscriptionPermission(rules) => self.subscription_rules(session, rules, out),
            Signal::SyncState(state) => self.sync_state(session, &state, out),
            Signal::UpdateMetadata { request_id, metadata, name, attributes } => {
                let outcome = self.update_metadata(session, Profile { metadata, name, attributes }, now, out);
                self.tell(session, Notice::Response { request_id, outcome }, out);
            }
            Signal::PublishData(wanted) => self.publish_data(session, wanted, chance, out),
            Signal::UnpublishData { handle } => self.unpublish_data(session, handle, out),
            Signal::DataSubscription(updates) => self.data_subscription(session, &updates, out),
            Signal::Leave => self.remove(session, LeaveReason::ClientInitiated, now, out),
            Signal::Simulate(scenario) => self.simulate(session, scenario, now, out),
            // There is no partner among many.
            Signal::ToPartner { .. } | Signal::AskPartner => {}
        }
    }

    fn trickle(&self, session: SessionId, leg: Leg, candidate: String, out: &mut Vec<Effect>) {
        if !candidate.is_empty() && self.participants.contains_key(&session) {
            out.push(Effect::Media(MediaCommand::Trickle { session, leg, candidate }));
        }
    }

    fn update_metadata(&mut self, session: SessionId, profile: Profile, now: Moment, out: &mut Vec<Effect>) -> Outcome {
        let Some(participant) = self.participants.get_mut(&session) else { return Outcome::NotFound };
        if !participant.permission.update_metadata {
            return Outcome::NotAllowed;
        }
        if let Err(unfit) = participant.describe(profile) {
            return unfit.outcome();
        }
        self.refresh_token(session, now, out);
        self.changed(session, out);
        Outcome::Ok
    }

    fn simulate(&mut self, session: SessionId, scenario: Scenario, now: Moment, out: &mut Vec<Effect>) {
        match scenario {
            Scenario::SignalReconnect => out.push(Effect::HangUp(session)),
            Scenario::Resume => {
                self.tell(session, Notice::Leave { reason: LeaveReason::StateMismatch, action: LeaveAction::Resume }, out);
            }
            Scenario::FullReconnect => self.remove_with(session, LeaveReason::StateMismatch, LeaveAction::Reconnect, now, out),
            Scenario::ServerLeave => self.remove_with(session, LeaveReason::ServerShutdown, LeaveAction::Disconnect, now, out),
            Scenario::Other => {}
        }
    }
}
