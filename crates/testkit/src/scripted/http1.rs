//! One HTTP/1.1 connection of a scripted endpoint. It writes by hand, because it must be able to write wrong things.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{
    log::Log,
    request::SeenRequest,
    script::{End, Framing, Reply, Step},
    tap::Tap,
};

/// A stream whose socket can be reset.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What becomes of the connection after a step.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// Serves requests until either side closes.
pub(crate) async fn serve(mut stream: impl Stream, number: usize, log: &Log) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(request) = read(&mut stream, &mut buffer, number).await? {
        if act(&mut stream, log.step_for(request)).await? == Next::Close {
            break;
        }
    }
    stream.shutdown().await
}

async fn read(
    stream: &mut impl Stream,
    buffer: &mut BytesMut,
    number: usize,
) -> io::Result<Option<SeenRequest>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = buffer.split_to(end + 4);
    let head = String::from_utf8_lossy(&head[..end]);
    let Some(mut request) = SeenRequest::parse(number, &head) else { return Ok(None) };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer.split_to(length).freeze();
    Ok(Some(request))
}

async fn act(stream: &mut impl Stream, step: Step) -> io::Result<Next> {
    match step {
        Step::Reply(reply) => return answer(stream, reply).await,
        Step::Hang => gone(stream).await,
        Step::Reset => reset(stream)?,
        Step::Raw(bytes) => stream.write_all(&bytes).await?,
        Step::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(b"x-filler: 0123456789012345678901234567890123456789\r\n").await?;
            }
        }
        Step::Close | Step::ResetStream(_) | Step::GoAway(_) => {}
    }
    Ok(Next::Close)
}

async fn answer(stream: &mut impl Stream, reply: Reply) -> io::Result<Next> {
    if let Some(tap) = &reply.held
        && !opened(stream, tap).await
    {
        return Ok(Next::Close);
    }
    if reply.interim {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    stream.write_all(head(&reply).as_bytes()).await?;
    body(stream, &reply).await
}

fn head(reply: &Reply) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match reply.framing {
        Framing::Exact => format!("content-length: {}\r\n\r\n", reply.body.len()),
        Framing::Claims(length) => format!("content-length: {length}\r\n\r\n"),
        Framing::Chunked => "transfer-encoding: chunked\r\n\r\n".to_owned(),
    };
    head
}

async fn body(stream: &mut impl Stream, reply: &Reply) -> io::Result<Next> {
    let sent = match reply.end {
        End::CutAfter(bytes) | End::ResetAfter(bytes) => reply.body.slice(..bytes.min(reply.body.len())),
        End::KeepAlive | End::CloseAfter | End::Endless => reply.body.clone(),
    };
    if let Some(tap) = &reply.drip {
        for byte in sent.chunks(1) {
            if !opened(stream, tap).await {
                return Ok(Next::Close);
            }
            write(stream, reply.framing, byte).await?;
        }
    } else {
        write(stream, reply.framing, &sent).await?;
    }
    match reply.end {
        End::CutAfter(_) => return Ok(Next::Close),
        End::ResetAfter(_) => {
            // What was sent must arrive, or a reset would throw it away with the head.
            stream.flush().await?;
            reset(stream)?;
            return Ok(Next::Close);
        }
        End::Endless => loop {
            write(stream, reply.framing, &sent).await?;
        },
        End::KeepAlive | End::CloseAfter => {}
    }
    if reply.framing == Framing::Chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(if reply.end == End::CloseAfter { Next::Close } else { Next::Request })
}

async fn write(stream: &mut impl Stream, framing: Framing, bytes: &[u8]) -> io::Result<()> {
    if framing != Framing::Chunked {
        return stream.write_all(bytes).await;
    }
    if bytes.is_empty() {
        return Ok(());
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    stream.write_all(&Bytes::from(chunk)).await
}

/// Whether the tap let a unit through before the client went away.
async fn opened(stream: &mut impl Stream, tap: &Tap) -> bool {
    tokio::select! {
        biased;
        () = tap.take() => true,
        () = gone(stream) => false,
    }
}

/// Returns when the client has closed its side.
async fn gone(stream: &mut impl Stream) {
    let mut scrap = [0; 1024];
    while stream.read(&mut scrap).await.is_ok_and(|n| n > 0) {}
}

/// Makes the coming close a reset.
fn reset(stream: &impl Stream) -> io::Result<()> {
    SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))
}
