//! Fresh tokens: a client can come back although the token that it joined with has ended.

use std::time::{Duration, Instant};

use crate::model::ids::SessionId;
use crate::model::time::Moment;

use super::command::Layout;
use super::notice::Notice;
use super::participant::Participant;
use super::rules::{Effect, Room};

/// How long a fresh token is good, unless the first one is good for longer; LiveKit's are as well.
pub const TOKEN_LIFE: Duration = Duration::from_mins(10);
/// How long before the end of its token a client gets the next one.
pub const TOKEN_LEAD: Duration = Duration::from_mins(5);

impl Room {
    /// A participant has joined with its own token.
    pub(super) fn await_token(&mut self, session: SessionId, now: Moment) {
        let Some(participant) = self.participants.get_mut(&session).filter(|participant| takes_tokens(participant)) else { return };
        participant.token_due = due(participant.expires_at(), now);
    }

    /// Sends a client a token that says what its participant may do and is called now.
    pub(super) fn refresh_token(&mut self, session: SessionId, now: Moment, out: &mut Vec<Effect>) {
        let Some(participant) = self.participants.get_mut(&session).filter(|participant| takes_tokens(participant)) else { return };
        let token = participant.token(now.unix_seconds().saturating_add(TOKEN_LIFE.as_secs()));
        participant.token_due = due(token.expires_at, now);
        self.tell(session, Notice::Token(Box::new(token)), out);
    }

    /// When the first client needs a fresh token. Those that cannot be told get theirs when they resume.
    pub(super) fn next_token(&self) -> Option<Instant> {
        self.participants.values().filter(|participant| participant.detached_since.is_none()).filter_map(|one| one.token_due).min()
    }

    pub(super) fn refresh_tokens(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let needs = |one: &&Participant| one.detached_since.is_none() && one.token_due.is_some_and(|due| due <= now.instant);
        let sessions: Vec<SessionId> = self.participants.values().filter(needs).map(|participant| participant.session).collect();
        sessions.into_iter().for_each(|session| self.refresh_token(session, now, out));
    }
}

/// Whether its client speaks a protocol that has fresh tokens.
fn takes_tokens(participant: &Participant) -> bool {
    matches!(participant.layout, Layout::Single | Layout::Dual)
}

/// When the successor of a token is due; never if that is beyond what the clock can tell.
fn due(expires_at: u64, now: Moment) -> Option<Instant> {
    let left = Duration::from_secs(expires_at).saturating_sub(now.wall).saturating_sub(TOKEN_LEAD);
    now.instant.checked_add(left)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
