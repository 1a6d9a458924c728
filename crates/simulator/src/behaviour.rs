//! What an endpoint does with one call, good days and bad ones.

use serde::{Deserialize, Serialize};

/// Random failures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failures {
    /// The share of calls that fail, from 0 to 1; 1 is every call.
    pub rate: f64,
    /// How they fail.
    pub kind: Behaviour,
}

/// What an endpoint does with one call. "After the work" means that the container was busy as for an answer.
///
/// The texts that start with `modal-http:` are those of Modal's edge; its documentation names only some of them, and
/// projects that use it report the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behaviour {
    /// It answers.
    #[serde(rename = "ok")]
    Answer,
    /// 401, as without a proxy token; no work.
    #[serde(rename = "401")]
    Unauthorized,
    /// 404, as from a stopped app; no work.
    #[serde(rename = "404")]
    Stopped,
    /// 429 with `Retry-After`; no work.
    #[serde(rename = "429")]
    Throttle,
    /// 429 because the workspace's spending limit is reached; no work.
    #[serde(rename = "spend_limit")]
    SpendLimit,
    /// 503, as without a container; no work.
    #[serde(rename = "503")]
    Unavailable,
    /// 500 after the work.
    #[serde(rename = "500")]
    ServerError,
    /// 500 after the work: the function's own time limit passed.
    #[serde(rename = "timed_out")]
    TimedOut,
    /// 500 after the work: the container was killed.
    #[serde(rename = "killed")]
    Killed,
    /// 502 in place of the answer, once; the result URL has the answer afterwards.
    #[serde(rename = "502")]
    GatewayFailed,
    /// 200 with `success: false` after the work.
    #[serde(rename = "error_in_200")]
    ErrorIn200,
    /// 200 with an HTML page after the work.
    #[serde(rename = "html")]
    Html,
    /// An answer with empty text.
    #[serde(rename = "empty")]
    Empty,
    /// An answer that names another region.
    #[serde(rename = "wrong_region")]
    WrongRegion,
    /// An answer that names another model.
    #[serde(rename = "wrong_model")]
    WrongModel,
    /// The connection is reset in place of the answer, once; the result URL has the answer afterwards.
    /// Over HTTP/2 it is the stream that is reset.
    #[serde(rename = "reset")]
    Reset,
    /// The connection ends before the number of bytes that the head promised, once; the result URL has the answer
    /// afterwards.
    #[serde(rename = "truncated")]
    Truncated,
    /// The work is done, but the answer never comes and the connection stays open.
    #[serde(rename = "hang")]
    Hang,
    /// The answer's head comes, then one blank a second without end.
    #[serde(rename = "slow")]
    Slow,
    /// The answer's head comes, then blanks as fast as they are read, without end.
    #[serde(rename = "endless")]
    Endless,
    /// 303 at once, before the window ends; then the answer.
    #[serde(rename = "pending")]
    Pending,
    /// 303 at once; later the result URL does not know the call.
    #[serde(rename = "expired")]
    Expired,
    /// 303 at once, and again from the result URL, without end.
    #[serde(rename = "redirect_loop")]
    RedirectLoop,
    /// 303 to another host in place of the answer.
    #[serde(rename = "redirect_elsewhere")]
    RedirectElsewhere,
}

impl Behaviour {
    /// Whether the endpoint turns the call away before any work.
    #[must_use]
    pub const fn refuses(self) -> bool {
        matches!(
            self,
            Self::Unauthorized | Self::Stopped | Self::Throttle | Self::SpendLimit | Self::Unavailable
        )
    }

    /// Whether the first answer is a 303, at once.
    pub(crate) const fn defers(self) -> bool {
        matches!(self, Self::Pending | Self::Expired | Self::RedirectLoop)
    }

    /// Whether it befalls only the first who asks for the result: the way broke, the result is there.
    pub(crate) const fn strikes_once(self) -> bool {
        matches!(self, Self::GatewayFailed | Self::Reset | Self::Truncated)
    }

    /// The status and text that stand in the place of an answer, if it is no more than that.
    pub(crate) const fn status(self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Unauthorized => (401, "modal-http: missing credentials for proxy authorization"),
            Self::Stopped => (404, "modal-http: app for invoked web endpoint is stopped"),
            Self::Throttle => (429, "simulated endpoint is full"),
            Self::SpendLimit => (429, "modal-http: workspace billing cycle spend limit reached"),
            Self::Unavailable => (503, "modal-http: no container of the simulated endpoint is ready"),
            Self::ServerError => (500, "simulated failure"),
            Self::TimedOut => (500, "modal-http: internal error: function execution timed out"),
            Self::Killed => (500, "modal-http: internal error: function was terminated by signal"),
            Self::GatewayFailed => (502, "simulated gateway failure"),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_says_so_with_a_status() {
        let refusing = ["401", "404", "429", "spend_limit", "503"];
        for name in refusing {
            let behaviour: Behaviour = serde_json::from_value(name.into()).unwrap();
            assert!(behaviour.refuses() && behaviour.status().is_some(), "{name}");
        }
        assert!(!Behaviour::ServerError.refuses() && !Behaviour::Answer.refuses());
    }
}
