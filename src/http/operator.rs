//! The operator's orders, by a socket of the state folder that only its owner may open.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path as FilePath, PathBuf};

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::error::Problem;
use crate::io::control::ControlHandle;
use crate::model::ids::{KeyId, TenantId};
use crate::node::request::{Order, Reply, Request, TenantChange, TenantView};

/// The socket's name in the state folder.
pub const SOCKET: &str = "operator.sock";

/// A tenant as operators see it.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Its name.
    pub id: String,
    /// Most rooms at a time.
    pub rooms_max: u32,
    /// Most participants at a time.
    pub participants_max: u32,
    /// Days for which records are kept.
    pub retention_days: u8,
    /// Its API keys that are good.
    pub keys: Vec<String>,
}

/// What a tenant is to be like; what is absent stays, or is the default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// Most rooms at a time.
    pub rooms_max: Option<u32>,
    /// Most participants at a time.
    pub participants_max: Option<u32>,
    /// Days for which records are kept, 1 to 90.
    pub retention_days: Option<u8>,
}

/// A new API key. Its secret is told this once.
#[derive(Deserialize, Serialize)]
pub struct Key {
    /// What tokens name it by (`iss`).
    pub key: String,
    /// What signs them.
    pub secret: String,
}

impl From<&TenantView> for Tenant {
    fn from(TenantView { record, keys }: &TenantView) -> Self {
        Self {
            id: record.id.as_str().to_owned(),
            rooms_max: record.rooms_max,
            participants_max: record.participants_max,
            retention_days: record.retention_days,
            keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
        }
    }
}

impl From<Wanted> for TenantChange {
    fn from(wanted: Wanted) -> Self {
        let Wanted { rooms_max, participants_max, retention_days } = wanted;
        Self { rooms_max, participants_max, retention_days, ..Self::default() }
    }
}

/// Opens the socket, in place of one that a crash left, for the folder's owner alone.
///
/// # Errors
/// What the system refuses; a path of more than about 100 bytes cannot be a socket's.
pub fn bind(dir: &FilePath) -> io::Result<(UnixListener, Socket)> {
    let path = dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    let socket = Socket(path);
    // The folder is its owner's alone already; a wide umask changes nothing.
    std::fs::set_permissions(&socket.0, std::fs::Permissions::from_mode(0o600))?;
    Ok((listener, socket))
}

/// The socket's file, which goes with the server.
#[derive(Debug)]
pub struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // Nothing is lost if it stays: the next start replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What the socket serves.
pub fn router(control: ControlHandle) -> Router {
    Router::new()
        .route("/tenants", get(list))
        .route("/tenants/{tenant}", post(add).merge(patch(change)).merge(delete(remove)))
        .route("/tenants/{tenant}/keys", post(add_key))
        .route("/keys/{key}", delete(revoke_key))
        .fallback(async || Problem::no_path())
        .with_state(control)
}

async fn order(control: &ControlHandle, order: Order) -> Result<Reply, Problem> {
    Ok(control.request(Request::Operate(order)).await?)
}

async fn list(State(control): State<ControlHandle>) -> Result<Json<Vec<Tenant>>, Problem> {
    tenants(&control, Order::Tenants).await
}

async fn tenants(control: &ControlHandle, what: Order) -> Result<Json<Vec<Tenant>>, Problem> {
    let Reply::Tenants(views) = order(control, what).await? else { return Err(Problem::internal()) };
    Ok(Json(views.iter().map(Into::into).collect()))
}

fn tenant(text: &str) -> Result<TenantId, Problem> {
    TenantId::new(text).map_err(|rule| Problem::invalid(format!("the tenant's name {rule}")))
}

fn body(wanted: Result<Json<Wanted>, JsonRejection>) -> Result<TenantChange, Problem> {
    wanted.map(|Json(wanted)| wanted.into()).map_err(|_| Problem::invalid("the limits cannot be read"))
}

async fn add(
    State(control): State<ControlHandle>,
    Path(name): Path<String>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Vec<Tenant>>, Problem> {
    tenants(&control, Order::AddTenant(tenant(&name)?, body(wanted)?)).await
}

async fn change(
    State(control): State<ControlHandle>,
    Path(name): Path<String>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Json<Vec<Tenant>>, Problem> {
    tenants(&control, Order::ChangeTenant(tenant(&name)?, body(wanted)?)).await
}

async fn remove(State(control): State<ControlHandle>, Path(name): Path<String>) -> Result<(), Problem> {
    order(&control, Order::RemoveTenant(tenant(&name)?)).await.map(|_| ())
}

async fn add_key(State(control): State<ControlHandle>, Path(name): Path<String>) -> Result<Json<Key>, Problem> {
    let Reply::Key(record) = order(&control, Order::AddKey(tenant(&name)?)).await? else { return Err(Problem::internal()) };
    Ok(Json(Key { key: record.id.as_str().to_owned(), secret: record.secret.expose().to_owned() }))
}

async fn revoke_key(State(control): State<ControlHandle>, Path(key): Path<String>) -> Result<(), Problem> {
    let key = KeyId::new(&key).map_err(|rule| Problem::invalid(format!("the key {rule}")))?;
    order(&control, Order::RevokeKey(key)).await.map(|_| ())
}
