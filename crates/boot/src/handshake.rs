//! The beginning of a secured connection: a TLS handshake, or words for a client that speaks plain HTTP.

use std::{io, pin::Pin};

use beacon_domain::Clock;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tracing::info;

use crate::{ServerTls, server::limited};

/// What is read of a plain request before it is hung up on, so that the answer reaches its sender.
const SWALLOWED: u64 = 64 * 1024;

/// A client's connection with TLS over it.
pub(crate) type Secured = TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>;

/// Agrees on TLS. Whoever calls it limits its time.
pub(crate) async fn secured(stream: TcpStream, tls: &ServerTls, clock: &dyn Clock) -> io::Result<Secured> {
    // A method of HTTP begins with a capital letter, a handshake with the byte 22 (RFC 8446 section 5.1).
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    if read == 1 && first[0].is_ascii_uppercase() {
        refuse(stream, clock).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks plain HTTP"));
    }
    tls.acceptor().accept(limited(stream)).await
}

/// Tells a client that it needs TLS, in the API's envelope (A2).
async fn refuse(mut stream: TcpStream, clock: &dyn Clock) -> io::Result<()> {
    // Of a plain request nothing is read, so its id is the moment and the client's port.
    let port = stream.peer_addr()?.port();
    let request_id = format!("{:x}-{port}", clock.now().as_microsecond());
    info!(request_id, "a client spoke plain HTTP to the port of TLS");
    let message = "this port speaks TLS only; use https://";
    let error = json!({ "error": { "code": "tls_required", "message": message, "request_id": request_id } });
    let body = error.to_string();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         x-request-id: {request_id}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(SWALLOWED), &mut tokio::io::sink()).await.map(drop)
}
