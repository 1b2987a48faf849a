//! The operator's orders to a server that runs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::configure::Misconfigured;
use crate::http::operator::{Key, SOCKET, Tenant, Wanted};

/// How long the server may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// All tenants.
///
/// # Errors
/// No server runs on the state folder, or what it refuses.
pub fn tenants(state: &Path) -> anyhow::Result<Vec<Tenant>> {
    asked(state, Method::GET, "/tenants", None::<()>)
}

/// Makes a tenant.
///
/// # Errors
/// As [`tenants`].
pub fn add_tenant(state: &Path, name: &str, wanted: Wanted) -> anyhow::Result<Vec<Tenant>> {
    asked(state, Method::POST, &format!("/tenants/{}", checked(name)?), Some(wanted))
}

/// Changes a tenant's limits.
///
/// # Errors
/// As [`tenants`].
pub fn change_tenant(state: &Path, name: &str, wanted: Wanted) -> anyhow::Result<Vec<Tenant>> {
    asked(state, Method::PATCH, &format!("/tenants/{}", checked(name)?), Some(wanted))
}

/// Ends a tenant with all its calls.
///
/// # Errors
/// As [`tenants`].
pub fn remove_tenant(state: &Path, name: &str) -> anyhow::Result<()> {
    run(state, Method::DELETE, &format!("/tenants/{}", checked(name)?), None::<()>).map(|_| ())
}

/// Makes an API key of a tenant.
///
/// # Errors
/// As [`tenants`].
pub fn add_key(state: &Path, tenant: &str) -> anyhow::Result<Key> {
    asked(state, Method::POST, &format!("/tenants/{}/keys", checked(tenant)?), None::<()>)
}

/// Makes a key void, and ends what it let in.
///
/// # Errors
/// As [`tenants`].
pub fn revoke_key(state: &Path, key: &str) -> anyhow::Result<()> {
    run(state, Method::DELETE, &format!("/keys/{}", checked(key)?), None::<()>).map(|_| ())
}

/// A name as it may stand in an address: no tenant and no key that we make has other letters.
fn checked(name: &str) -> Result<&str, Misconfigured> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(name) } else { Err(Misconfigured("names of tenants and keys have letters, digits and - alone".into())) }
}

fn asked<T: DeserializeOwned>(state: &Path, method: Method, path: &str, body: Option<impl Serialize>) -> anyhow::Result<T> {
    serde_json::from_slice(&run(state, method, path, body)?).context("the server's answer cannot be read: is it of this version?")
}

fn run(state: &Path, method: Method, path: &str, body: Option<impl Serialize>) -> anyhow::Result<Bytes> {
    let body = body.map(|body| serde_json::to_vec(&body)).transpose()?.unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header(HOST, "localhost").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { timeout(ANSWER, send(state, request)).await.map_err(|_| anyhow!("the server does not answer"))? })
}

async fn send(state: &Path, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
    let socket = state.join(SOCKET);
    let stream = UnixStream::connect(&socket).await.map_err(|fault| {
        let dir = state.display();
        Misconfigured(format!("no server answers at {} ({fault}): start one with konsil serve --state {dir}", socket.display()))
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("the server refused").to_owned();
    // What the operator asked for cannot be: usage, unless it is the server's own trouble.
    Err(if status.is_client_error() { Misconfigured(detail).into() } else { anyhow!(detail) })
}
