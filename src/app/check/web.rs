//! HTTPS requests as a client of the server makes them.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::dial::ANSWER;
use super::fault::Fault;

/// Largest answer that is read, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// An answer to a request.
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// At most [`BODY_MAX`] bytes.
    pub body: Vec<u8>,
}

/// One GET over a connection of its own.
pub async fn get(stream: TlsStream<TcpStream>, authority: &str, path: &str) -> Result<Answer, Fault> {
    request(stream, hyper::Request::get(path).header(HOST, authority), Bytes::new()).await
}

/// One POST of JSON over a connection of its own.
pub async fn post(stream: TlsStream<TcpStream>, authority: &str, path: &str, body: &serde_json::Value) -> Result<Answer, Fault> {
    let wanted = hyper::Request::post(path).header(HOST, authority).header(CONTENT_TYPE, "application/json");
    request(stream, wanted, body.to_string().into()).await
}

async fn request(stream: TlsStream<TcpStream>, wanted: hyper::http::request::Builder, body: Bytes) -> Result<Answer, Fault> {
    let asked = async {
        let system = |fault: hyper::Error| Fault::System(fault.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(system)?;
        let driver = tokio::spawn(connection);
        let request = wanted.body(Full::new(body)).map_err(|fault| Fault::System(fault.to_string()))?;
        let answer = sender.send_request(request).await.map_err(system)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), BODY_MAX).collect().await.map_err(|fault| Fault::System(fault.to_string()))?;
        driver.abort();
        Ok(Answer { status, body: body.to_bytes().to_vec() })
    };
    timeout(ANSWER, asked).await.unwrap_or(Err(Fault::Silence))
}
