//! `RoomService`'s orders of moderators: participants, subscriptions, metadata, words.

use axum::response::Response;
use livekit_protocol as lk;

use super::{Call, Failure, identity, room_name};
use crate::http::livekit::{decode, views};
use crate::model::ids::Sid;
use crate::model::media::TrackSource;
use crate::node::request::{Reply, Request};
use crate::room::media::DataMessage;
use crate::room::moderate::Profile;
use crate::room::notice::Permission;

pub(super) async fn update_participant(call: Call) -> Result<Response, Failure> {
    let wanted: lk::UpdateParticipantRequest = call.argument()?;
    let request = Request::UpdateParticipant {
        grants: call.grants.clone(),
        room: room_name(&wanted.room)?,
        identity: identity(&wanted.identity)?,
        permission: wanted.permission.as_ref().map(permission).transpose()?,
        profile: Profile { metadata: wanted.metadata, name: wanted.name, attributes: wanted.attributes.into_iter().collect() },
    };
    match call.ask(request).await? {
        Reply::Participants(found) => call.answer(&views::participant(found.first().ok_or_else(Failure::internal)?)),
        _ => Err(Failure::internal()),
    }
}

fn permission(wanted: &lk::ParticipantPermission) -> Result<Permission, Failure> {
    let mut sources = Vec::new();
    for number in &wanted.can_publish_sources {
        let source = lk::TrackSource::try_from(*number).map_or(TrackSource::Unknown, decode::track_source);
        if source == TrackSource::Unknown {
            return Err(Failure::invalid("can_publish_sources has an unknown source"));
        }
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(Permission {
        subscribe: wanted.can_subscribe,
        publish: wanted.can_publish,
        publish_data: wanted.can_publish_data,
        sources,
        hidden: wanted.hidden,
        update_metadata: wanted.can_update_metadata,
    })
}

pub(super) async fn update_subscriptions(call: Call) -> Result<Response, Failure> {
    let wanted: lk::UpdateSubscriptionsRequest = call.argument()?;
    let tracks = wanted.track_sids.iter().chain(wanted.participant_tracks.iter().flat_map(|of| &of.track_sids));
    let request = Request::UpdateSubscriptions {
        grants: call.grants.clone(),
        room: room_name(&wanted.room)?,
        identity: identity(&wanted.identity)?,
        tracks: tracks.map(|sid| Sid::from_client(sid)).collect(),
        subscribe: wanted.subscribe,
    };
    call.ask(request).await?;
    call.answer(&lk::UpdateSubscriptionsResponse::default())
}

pub(super) async fn send_data(call: Call) -> Result<Response, Failure> {
    let wanted: lk::SendDataRequest = call.argument()?;
    let kind = lk::data_packet::Kind::try_from(wanted.kind).map_err(|_| Failure::invalid("kind must be RELIABLE or LOSSY"))?;
    let nonce = match wanted.nonce.as_slice() {
        [] => None,
        bytes => Some(bytes.try_into().map_err(|_| Failure::invalid("nonce must have 16 bytes, or be absent"))?),
    };
    #[expect(deprecated)] // older applications name participants so
    let sids = wanted.destination_sids;
    let message = DataMessage {
        payload: wanted.data,
        reliable: kind == lk::data_packet::Kind::Reliable,
        topic: wanted.topic,
        nonce,
        identities: wanted.destination_identities.iter().map(|name| identity(name)).collect::<Result<_, _>>()?,
        sids: sids.iter().map(|sid| Sid::from_client(sid)).collect(),
    };
    call.ask(Request::SendData { grants: call.grants.clone(), room: room_name(&wanted.room)?, message }).await?;
    call.answer(&lk::SendDataResponse::default())
}

pub(super) async fn update_room_metadata(call: Call) -> Result<Response, Failure> {
    let wanted: lk::UpdateRoomMetadataRequest = call.argument()?;
    let request = Request::UpdateRoom { grants: call.grants.clone(), room: room_name(&wanted.room)?, metadata: wanted.metadata };
    match call.ask(request).await? {
        Reply::Room(view) => call.answer(&views::room(&view)),
        _ => Err(Failure::internal()),
    }
}
