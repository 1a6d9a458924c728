//! Scripts: what a scripted endpoint does with one request after the other, the faults of real ones included.

use std::collections::VecDeque;

use bytes::Bytes;

use super::tap::Tap;

/// Steps in order, one per request, whatever the path. A request beyond the last step gets status 500.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    always: Option<Step>,
}

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Step {
    /// An answer.
    Reply(Reply),
    /// No answer, ever; the connection stays open.
    Hang,
    /// The connection is closed before the answer's head.
    Close,
    /// The connection is reset (RST) before the answer's head.
    Reset,
    /// These bytes in place of an answer, then the connection is closed.
    Raw(Bytes),
    /// A good status line, then header lines without end.
    EndlessHead,
    /// HTTP/2 only: RST_STREAM with this code (RFC 9113 section 7).
    ResetStream(u32),
    /// HTTP/2 only: GOAWAY with this code, then the connection is closed.
    GoAway(u32),
}

/// An answer, whole or broken.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) framing: Framing,
    pub(crate) end: End,
    pub(crate) held: Option<Tap>,
    pub(crate) drip: Option<Tap>,
    pub(crate) interim: bool,
}

/// How the body's end is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length` as it is.
    Exact,
    /// `Content-Length` that may lie.
    Claims(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// How the body ends in fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Whole; the connection stays open.
    KeepAlive,
    /// Whole; then the connection is closed without having said so.
    CloseAfter,
    /// After so many bytes the connection is closed.
    CutAfter(usize),
    /// After so many bytes the connection is reset.
    ResetAfter(usize),
    /// The body is repeated without end.
    Endless,
}

impl Script {
    /// No steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next request gets this.
    #[must_use]
    pub fn then(mut self, step: impl Into<Step>) -> Self {
        self.steps.push_back(step.into());
        self
    }

    /// All further requests get this.
    #[must_use]
    pub fn then_always(mut self, step: impl Into<Step>) -> Self {
        self.always = Some(step.into());
        self
    }

    /// Fills in the endpoint's own address.
    pub(crate) fn at(mut self, origin: &str) -> Self {
        for step in self.steps.iter_mut().chain(&mut self.always) {
            let Step::Reply(reply) = step else { continue };
            for (_, value) in &mut reply.headers {
                *value = value.replace("{origin}", origin);
            }
        }
        self
    }

    pub(crate) fn next(&mut self) -> Step {
        let step = self.steps.pop_front().or_else(|| self.always.clone());
        step.unwrap_or_else(|| reply(500).text("the script has no further step").into())
    }
}

impl From<Reply> for Step {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// An answer with this status and an empty body.
#[must_use]
pub fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Bytes::new(),
        framing: Framing::Exact,
        end: End::KeepAlive,
        held: None,
        drip: None,
        interim: false,
    }
}

impl Reply {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a `Location`; `{origin}` in it stands for the endpoint's own scheme, host and port.
    #[must_use]
    pub fn location(self, value: &str) -> Self {
        self.header("location", value)
    }

    /// These bytes, without a content type.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self
    }

    /// This text as JSON, whether it is or not.
    #[must_use]
    pub fn json(self, text: impl ToString) -> Self {
        self.header("content-type", "application/json").body(text.to_string())
    }

    /// Plain text.
    #[must_use]
    pub fn text(self, text: impl ToString) -> Self {
        self.header("content-type", "text/plain").body(text.to_string())
    }

    /// HTML.
    #[must_use]
    pub fn html(self, text: impl ToString) -> Self {
        self.header("content-type", "text/html; charset=utf-8").body(text.to_string())
    }

    /// Claims this length, whatever the body's.
    #[must_use]
    pub fn claims_length(mut self, length: u64) -> Self {
        self.framing = Framing::Claims(length);
        self
    }

    /// Sends the body chunked.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Closes the connection after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.end = End::CutAfter(bytes);
        self
    }

    /// Resets the connection (RST) after so many bytes of the body.
    #[must_use]
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.end = End::ResetAfter(bytes);
        self
    }

    /// Repeats the body without end, chunked.
    #[must_use]
    pub fn endless(mut self) -> Self {
        self.framing = Framing::Chunked;
        self.end = End::Endless;
        self
    }

    /// Closes the connection afterwards without having said so: a keep-alive that timed out.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.end = End::CloseAfter;
        self
    }

    /// Sends nothing until the tap lets one unit through.
    #[must_use]
    pub fn held_by(mut self, tap: &Tap) -> Self {
        self.held = Some(tap.clone());
        self
    }

    /// Sends the head, then one byte of the body for each unit that the tap lets through.
    #[must_use]
    pub fn dripping_from(mut self, tap: &Tap) -> Self {
        self.drip = Some(tap.clone());
        self
    }

    /// Sends `100 Continue` first.
    #[must_use]
    pub fn after_continue(mut self) -> Self {
        self.interim = true;
        self
    }
}
