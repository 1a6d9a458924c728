//! One HTTP/2 connection of a scripted endpoint. It can send whole answers, hang, and end streams or itself.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    log::Log,
    request::SeenRequest,
    script::{Reply, Step},
};

/// As wide as those of real servers: narrow ones split many small bodies into more frames than `h2` tolerates.
const WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// Serves streams until either side closes.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    log: &Arc<Log>,
) -> io::Result<()> {
    let mut builder = server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let mut connection = builder.handshake(stream).await.map_err(io::Error::other)?;
    let (go_away, mut asked_to_go) = mpsc::channel(1);
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted.map_err(io::Error::other)?;
                streams.spawn(act(request, respond, number, Arc::clone(log), go_away.clone()));
            }
            Some(code) = asked_to_go.recv() => connection.abrupt_shutdown(Reason::from(code)),
        }
    }
}

async fn act(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    number: usize,
    log: Arc<Log>,
    go_away: mpsc::Sender<u32>,
) -> Result<(), h2::Error> {
    let request = read(request, number).await?;
    match log.step_for(request) {
        Step::Reply(reply) => answer(&mut respond, reply).await,
        Step::ResetStream(code) => {
            respond.send_reset(Reason::from(code));
            Ok(())
        }
        Step::GoAway(code) => {
            // If the connection has ended already there is nothing left to say.
            let _ = go_away.send(code).await;
            std::future::pending().await
        }
        Step::Hang | Step::Close | Step::Reset | Step::Raw(_) | Step::EndlessHead => {
            std::future::pending().await
        }
    }
}

async fn read(request: Request<RecvStream>, number: usize) -> Result<SeenRequest, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(SeenRequest {
        connection: number,
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: head.headers.iter().map(header).collect(),
        body: body.freeze(),
    })
}

async fn answer(respond: &mut SendResponse<Bytes>, reply: Reply) -> Result<(), h2::Error> {
    if let Some(tap) = &reply.held {
        tap.take().await;
    }
    let mut head = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        head = head.header(name, value);
    }
    let head = head.body(()).expect("a scripted head is well formed");
    let mut stream = respond.send_response(head, false)?;
    stream.send_data(reply.body, true)
}
