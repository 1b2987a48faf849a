//! What a client says when it opens the signalling connection.

use livekit_protocol as lk;
use serde::Deserialize;

use super::decode::{self, ADD_TRACKS_MAX, SignalError};
use super::join_request::{JoinRequestError, decode_join_request};
use crate::model::grants::Grants;
use crate::model::ids::Sid;
use crate::node::request::{Connect, Refusal};
use crate::room::command::Layout;

/// The query of `/rtc` and `/rtc/v1`; what else clients send says what they are, not what they want.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    /// The token, if not in the header.
    pub access_token: Option<String>,
    join_request: String,
    reconnect: String,
    sid: String,
    auto_subscribe: Option<String>,
    protocol: i32,
}

/// Why a client cannot be let in before anybody was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// `/rtc/v1` needs it.
    #[error("join_request is required")]
    Missing,
    /// It cannot be opened.
    #[error(transparent)]
    JoinRequest(#[from] JoinRequestError),
    /// Something in it cannot be taken.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The token does not allow something in it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn truth(text: &str) -> bool {
    text == "1" || text == "true"
}

impl Params {
    /// The connection that the query asks for. `wrapped` is whether a join request must be there.
    ///
    /// # Errors
    /// If the join request is missing, cannot be read or wants what the token does not allow.
    pub fn connect(self, grants: Grants, wrapped: bool) -> Result<Connect, ParamsError> {
        if self.join_request.is_empty() {
            return if wrapped { Err(ParamsError::Missing) } else { Ok(self.dual(grants)) };
        }
        single(decode_join_request(&self.join_request)?, grants)
    }

    fn dual(self, grants: Grants) -> Connect {
        Connect {
            grants,
            layout: Layout::Dual,
            auto_subscribe: self.auto_subscribe.is_none_or(|text| truth(&text)),
            protocol: self.protocol,
            resume: truth(&self.reconnect).then(|| Sid::from_client(&self.sid)),
            sync: None,
            add_tracks: Vec::new(),
            offer: None,
        }
    }
}

fn single(request: lk::JoinRequest, mut grants: Grants) -> Result<Connect, ParamsError> {
    describe(&mut grants, &request)?;
    if request.add_track_requests.len() > ADD_TRACKS_MAX {
        return Err(SignalError::TooLong("the list of tracks").into());
    }
    if request.participant_sid.len() > decode::TEXT_MAX {
        return Err(SignalError::TooLong("participant_sid").into());
    }
    Ok(Connect {
        grants,
        layout: Layout::Single,
        auto_subscribe: request.connection_settings.is_none_or(|settings| settings.auto_subscribe),
        protocol: request.client_info.map_or(0, |info| info.protocol),
        resume: request.reconnect.then(|| Sid::from_client(&request.participant_sid)),
        sync: request.sync_state.as_ref().map(decode::sync_state).transpose()?,
        add_tracks: request.add_track_requests.into_iter().map(decode::add_track).collect::<Result<_, _>>()?,
        offer: request.publisher_offer.map(decode::description).transpose()?,
    })
}

/// Takes over what the client says of itself, which only some tokens allow.
fn describe(grants: &mut Grants, request: &lk::JoinRequest) -> Result<(), ParamsError> {
    if request.metadata.is_empty() && request.participant_attributes.is_empty() {
        return Ok(());
    }
    if !grants.can_update_own_metadata {
        return Err(Refusal::NotAllowed("canUpdateOwnMetadata").into());
    }
    if request.metadata.len() > decode::METADATA_MAX {
        return Err(SignalError::TooLong("the metadata").into());
    }
    if !request.metadata.is_empty() {
        grants.metadata.clone_from(&request.metadata);
    }
    // An empty value would delete what the token says.
    let own = decode::attributes(request.participant_attributes.clone())?.into_iter().filter(|(_, value)| !value.is_empty());
    grants.attributes.extend(own);
    Ok(())
}
