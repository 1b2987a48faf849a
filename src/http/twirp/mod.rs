//! LiveKit's `RoomService` over Twirp: JSON or protobuf, as the caller's content type says.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use livekit_protocol as lk;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::auth::{self, AuthError};
use super::extract::{is_media_type, read};
use super::livekit::views;
use super::state::AppState;
use super::{cors, error::Problem};
use crate::model::grants::Grants;
use crate::model::ids::{Identity, RoomName, Sid};
use crate::node::request::{Refusal, Reply, Request, RoomOrigin, RoomSpec};

mod moderate;

/// Largest body of a request in bytes: the longest metadata as JSON that escapes every other byte.
pub const BODY_MAX: usize = 128 * 1024;

/// The routes of Twirp.
pub fn routes() -> Router<AppState> {
    Router::new().route("/twirp/{*method}", any(serve)).layer(from_fn(cors::any_origin))
}

/// A refusal as Twirp writes it: a code, which fixes the status, and a text.
#[derive(Debug, Serialize)]
struct Failure {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    msg: String,
}

impl Failure {
    fn new(status: u16, code: &'static str, msg: impl Into<String>) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), code, msg: msg.into() }
    }

    fn invalid(msg: impl Into<String>) -> Self {
        Self::new(400, "invalid_argument", msg)
    }

    fn internal() -> Self {
        Self::new(500, "internal", "the server made a mistake; the request may have taken effect")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self)).into_response()
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self::new(401, "unauthenticated", error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        use Refusal as R;
        let (status, code) = match &refusal {
            R::NotAllowed(_) => (403, "permission_denied"),
            R::Waiting | R::TurnedAway => (403, "permission_denied"),
            R::RoomNotFound | R::ParticipantNotFound | R::TrackNotFound | R::ResourceNotFound => (404, "not_found"),
            R::RoomExists => (409, "already_exists"),
            R::RoomFull | R::LimitReached(_) => (429, "resource_exhausted"),
            R::Invalid(_) | R::BadSdp(_) => (400, "invalid_argument"),
            R::EncryptionRequired
            | R::NoSession
            | R::WrongMode(_)
            | R::NotCurrent
            | R::TooManyCandidates
            | R::Locked
            | R::TooEarly
            | R::Invitation(_) => (412, "failed_precondition"),
            R::NotStored | R::ShuttingDown | R::Busy => (503, "unavailable"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

/// How the caller writes.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Protobuf,
}

/// One call, its token checked and its body read.
struct Call {
    state: AppState,
    grants: Grants,
    form: Form,
    body: Vec<u8>,
}

async fn serve(State(state): State<AppState>, Path(method): Path<String>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    match open(state, &method, &parts, body).await {
        Ok(call) => dispatch(&method, call).await.unwrap_or_else(Failure::into_response),
        Err(failure) => failure.into_response(),
    }
}

async fn open(state: AppState, method: &str, parts: &Parts, body: Body) -> Result<Call, Failure> {
    let bad_route = |msg: &str| Failure::new(404, "bad_route", msg);
    if parts.method != Method::POST {
        return Err(bad_route("Twirp is called by POST"));
    }
    if !method.starts_with("livekit.RoomService/") {
        return Err(bad_route("this server has only livekit.RoomService"));
    }
    let form = if is_media_type(&parts.headers, "application/json") {
        Form::Json
    } else if is_media_type(&parts.headers, "application/protobuf") {
        Form::Protobuf
    } else {
        return Err(bad_route("the content type must be application/json or application/protobuf"));
    };
    let grants = auth::grants(&state, &parts.headers, None)?;
    let body = read(&parts.headers, body, BODY_MAX).await.map_err(|problem: Problem| Failure::invalid(problem.detail()))?;
    Ok(Call { state, grants, form, body: body.to_vec() })
}

async fn dispatch(method: &str, call: Call) -> Result<Response, Failure> {
    match method.trim_start_matches("livekit.RoomService/") {
        "CreateRoom" => create_room(call).await,
        "ListRooms" => list_rooms(call).await,
        "DeleteRoom" => delete_room(call).await,
        "ListParticipants" => list_participants(call).await,
        "GetParticipant" => get_participant(call).await,
        "RemoveParticipant" => remove_participant(call).await,
        "MutePublishedTrack" => mute_published_track(call).await,
        "UpdateParticipant" => moderate::update_participant(call).await,
        "UpdateSubscriptions" => moderate::update_subscriptions(call).await,
        "SendData" => moderate::send_data(call).await,
        "UpdateRoomMetadata" => moderate::update_room_metadata(call).await,
        "ForwardParticipant" | "MoveParticipant" | "PerformRpc" => {
            Err(Failure::new(501, "unimplemented", "this method is not available in this version"))
        }
        _ => Err(Failure::new(404, "bad_route", "livekit.RoomService has no such method")),
    }
}

impl Call {
    fn argument<T: Message + Default + DeserializeOwned>(&self) -> Result<T, Failure> {
        let malformed = |what| Failure::new(400, "malformed", what);
        match self.form {
            Form::Json => serde_json::from_slice(&self.body).map_err(|_| malformed("the body is not the request's JSON")),
            Form::Protobuf => T::decode(self.body.as_slice()).map_err(|_| malformed("the body is not the request's protobuf")),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        Ok(self.state.control().request(request).await?)
    }

    fn answer<T: Message + Serialize>(&self, value: &T) -> Result<Response, Failure> {
        let (media_type, body) = match self.form {
            Form::Json => ("application/json", serde_json::to_vec(value).map_err(|_| Failure::internal())?),
            Form::Protobuf => ("application/protobuf", value.encode_to_vec()),
        };
        Ok(([(CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response())
    }
}

fn room_name(text: &str) -> Result<RoomName, Failure> {
    RoomName::new(text).map_err(|error| Failure::invalid(format!("room {error}")))
}

fn identity(text: &str) -> Result<Identity, Failure> {
    Identity::new(text).map_err(|error| Failure::invalid(format!("identity {error}")))
}

/// 0 means "not said" in proto3.
fn said(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

async fn create_room(call: Call) -> Result<Response, Failure> {
    let wanted: lk::CreateRoomRequest = call.argument()?;
    let spec = RoomSpec {
        name: if wanted.name.is_empty() { None } else { Some(room_name(&wanted.name)?) },
        mode: None,
        hide_addresses: None,
        require_encryption: None,
        max_participants: said(wanted.max_participants),
        empty_timeout_s: said(wanted.empty_timeout),
        door: crate::room::DoorRules::default(),
        metadata: wanted.metadata,
        origin: RoomOrigin::LiveKit,
    };
    match call.ask(Request::CreateRoom { grants: call.grants.clone(), spec }).await? {
        Reply::Room(view) => call.answer(&views::room(&view)),
        _ => Err(Failure::internal()),
    }
}

async fn list_rooms(call: Call) -> Result<Response, Failure> {
    let wanted: lk::ListRoomsRequest = call.argument()?;
    let names = wanted.names.iter().map(|name| room_name(name)).collect::<Result<_, _>>()?;
    match call.ask(Request::ListRooms { grants: call.grants.clone(), names }).await? {
        Reply::Rooms(rooms) => call.answer(&lk::ListRoomsResponse { rooms: rooms.iter().map(views::room).collect() }),
        _ => Err(Failure::internal()),
    }
}

async fn delete_room(call: Call) -> Result<Response, Failure> {
    let wanted: lk::DeleteRoomRequest = call.argument()?;
    call.ask(Request::DeleteRoom { grants: call.grants.clone(), room: room_name(&wanted.room)? }).await?;
    call.answer(&lk::DeleteRoomResponse::default())
}

async fn list_participants(call: Call) -> Result<Response, Failure> {
    let wanted: lk::ListParticipantsRequest = call.argument()?;
    let request = Request::Participants { grants: call.grants.clone(), room: room_name(&wanted.room)? };
    let views = match call.state.control().request(request).await {
        Ok(Reply::Participants(views)) => views,
        // LiveKit makes rooms at the first join, so applications ask about rooms that are not there yet.
        Err(Refusal::RoomNotFound) => Vec::new(),
        Ok(_) => return Err(Failure::internal()),
        Err(refusal) => return Err(refusal.into()),
    };
    call.answer(&lk::ListParticipantsResponse { participants: views.iter().map(views::participant).collect() })
}

async fn get_participant(call: Call) -> Result<Response, Failure> {
    let wanted: lk::RoomParticipantIdentity = call.argument()?;
    let (room, identity) = (room_name(&wanted.room)?, identity(&wanted.identity)?);
    match call.ask(Request::Participant { grants: call.grants.clone(), room, identity }).await? {
        Reply::Participants(found) => call.answer(&views::participant(found.first().ok_or_else(Failure::internal)?)),
        _ => Err(Failure::internal()),
    }
}

async fn remove_participant(call: Call) -> Result<Response, Failure> {
    let wanted: lk::RoomParticipantIdentity = call.argument()?;
    let (room, identity) = (room_name(&wanted.room)?, identity(&wanted.identity)?);
    call.ask(Request::RemoveParticipant { grants: call.grants.clone(), room, identity }).await?;
    call.answer(&lk::RemoveParticipantResponse::default())
}

async fn mute_published_track(call: Call) -> Result<Response, Failure> {
    let wanted: lk::MuteRoomTrackRequest = call.argument()?;
    // As LiveKit does by default: nobody's microphone is opened from afar.
    if !wanted.muted {
        return Err(Failure::new(412, "failed_precondition", "remote unmute not enabled"));
    }
    let request = Request::Mute {
        grants: call.grants.clone(),
        room: room_name(&wanted.room)?,
        identity: identity(&wanted.identity)?,
        track: Some(Sid::from_client(&wanted.track_sid)),
        muted: true,
    };
    match call.ask(request).await? {
        Reply::Tracks(tracks) => call.answer(&lk::MuteRoomTrackResponse { track: tracks.first().map(views::track) }),
        _ => Err(Failure::internal()),
    }
}

#[cfg(test)]
#[path = "twirp_tests.rs"]
mod tests;
