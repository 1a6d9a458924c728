//! What can go wrong between a client and a server, and what to do about it.

use std::{io, time::Duration};

use beacon_domain::JobId;
use http::StatusCode;
use serde::Deserialize;

use crate::{Token, options::ServerUrl};

/// Longer texts of a server are no messages.
const LONGEST_MESSAGE: usize = 2000;
const LONGEST_NAME: usize = 100;

/// A request without the answer that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A person must change what the client was given.
    #[error("{0}")]
    Options(String),
    /// The server understood and refuses, or has failed.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// There is no connection. Nothing was asked.
    #[error("{server} cannot be reached: {message}")]
    Away {
        /// Which server.
        server: ServerUrl,
        /// Why, and what to do.
        message: String,
    },
    /// The connection stands, and nothing comes.
    #[error(
        "{server} did not answer within {} s; look at its /ready, and at what stands before it, then ask again",
        limit.as_secs()
    )]
    Slow {
        /// Which server.
        server: ServerUrl,
        /// The time that it had.
        limit: Duration,
    },
    /// The answer, or a part of it, was lost. What was asked may have been done.
    #[error("the connection to {server} broke before the whole answer was there; ask again")]
    Broken {
        /// Which server.
        server: ServerUrl,
    },
    /// Whoever answers does not speak as Beacon's API does.
    #[error(
        "{server} does not answer as Beacon's API: {problem}; check the URL, and what stands before the server"
    )]
    Stranger {
        /// Which server.
        server: ServerUrl,
        /// What is strange.
        problem: String,
    },
    /// What came cannot be written where it should go.
    #[error("cannot write what {server} sends: {source}")]
    Writer {
        /// Which server.
        server: ServerUrl,
        /// What the writer said.
        source: io::Error,
    },
}

/// The envelope of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code}, HTTP {}, request {request_id}{})", status.as_u16(), wait(*retry_after))]
pub struct Refusal {
    /// The status of HTTP.
    pub status: StatusCode,
    /// Stable; programs decide by it.
    pub code: String,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// Under this id the server's log has the request.
    pub request_id: String,
    /// The job that stands in the way, if the server names one.
    pub job: Option<JobId>,
    /// When it makes sense to ask again, if the server says so.
    pub retry_after: Option<Duration>,
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", ask again in {} s", wait.as_secs()))
}

#[derive(Deserialize)]
struct Envelope {
    error: Detail,
}

#[derive(Deserialize)]
struct Detail {
    code: String,
    message: String,
    request_id: String,
    #[serde(default)]
    job_id: Option<JobId>,
}

impl ClientError {
    /// Whether the same request may succeed later: the server is away, busy or broken.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Slow { .. } | Self::Broken { .. } => true,
            Self::Refused(refusal) => {
                let status = refusal.status;
                status.is_server_error() || [408, 429].contains(&status.as_u16())
            }
            Self::Options(_) | Self::Stranger { .. } | Self::Writer { .. } => false,
        }
    }

    /// The pause that the server asks for, if the same request may succeed after it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().filter(|_| self.may_pass())?.retry_after
    }

    /// The envelope, if the server refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl Refusal {
    /// What the server says, as far as it speaks in the envelope.
    pub(crate) fn parse(status: StatusCode, body: &[u8], token: Option<&Token>) -> Option<Self> {
        let Envelope { error } = serde_json::from_slice(body).ok()?;
        let told = |text: &str, longest: usize| {
            let text = token.map_or_else(|| text.to_owned(), |token| token.taken_out(text));
            text.chars().take(longest).collect::<String>()
        };
        Some(Self {
            status,
            code: told(&error.code, LONGEST_NAME),
            message: told(&error.message, LONGEST_MESSAGE),
            request_id: told(&error.request_id, LONGEST_NAME),
            job: error.job_id,
            retry_after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Refusal;
    use crate::Token;

    #[test]
    fn a_refusal_is_the_envelope_without_the_token() {
        let token = Token::new("hush-hush-0123456").unwrap();
        let body =
            br#"{"error":{"code":"wrong_token","message":"hush-hush-0123456 is wrong","request_id":"r1"}}"#;

        let refusal = Refusal::parse(StatusCode::FORBIDDEN, body, Some(&token)).unwrap();

        assert_eq!(refusal.to_string(), "… is wrong (wrong_token, HTTP 403, request r1)");
        assert!(Refusal::parse(StatusCode::FORBIDDEN, b"<html>", None).is_none());
    }
}
