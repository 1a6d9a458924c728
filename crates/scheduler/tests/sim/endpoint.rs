//! A simulated endpoint on virtual time. It remembers what it works on, goes on when nobody waits, and has bad days.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use beacon_domain::{Answer, AttemptId, CallError, ErrorCode, ResumeToken, Stage, Usage};
use beacon_testkit::faults::{Fault, Faults};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    scenario::EndpointPlan,
    watched::{SharedLedger, open},
};

/// One endpoint, shared by all workers.
pub(crate) struct Endpoint {
    pub(crate) plan: EndpointPlan,
    pub(crate) faults: Faults,
    pub(crate) ledger: SharedLedger,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Remote calls that a result URL leads to.
    published: BTreeMap<String, Remote>,
    calls: u64,
    /// Cancelled when it goes down.
    up: CancellationToken,
}

/// Work that goes on whoever waits.
#[derive(Clone)]
pub(crate) struct Remote {
    number: u64,
    attempt: AttemptId,
    began: Instant,
    ends: Instant,
    reply: Reply,
    up: CancellationToken,
}

/// What becomes of a call that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Answer,
    Failed,
    WrongModel,
    Lost,
    Hang,
}

/// What the endpoint says to a POST.
pub(crate) enum Posted {
    /// It works on it, and answers on this connection.
    Held(Remote),
    /// It works on it, and the answer is at a result URL once this much time has passed.
    ByUrl(Remote, Duration, ResumeToken),
    /// It does no work.
    Refused(CallError),
}

impl Endpoint {
    pub(crate) fn new(plan: EndpointPlan, faults: Faults, ledger: SharedLedger) -> Self {
        Self { plan, faults, ledger, state: Mutex::default() }
    }

    /// Takes the call or turns it away.
    pub(crate) fn post(&self, attempt: AttemptId) -> Posted {
        let dice = &self.faults.dice;
        let bad = self.faults.strikes(Fault::BadReply, self.plan.bad);
        if bad && dice.chance(0.5) {
            return Posted::Refused(self.refusal());
        }
        let reply = match bad {
            true => *dice.pick(&[Reply::Failed, Reply::WrongModel, Reply::Lost, Reply::Hang]),
            false => Reply::Answer,
        };
        let work = dice.up_to(self.plan.slowest);
        let by_url = dice.chance(self.plan.by_url);
        let mut state = self.state();
        state.calls += 1;
        let began = Instant::now();
        let up = state.up.clone();
        let remote = Remote { number: state.calls, attempt, began, ends: began + work, reply, up };
        open(&self.ledger).works(&self.plan.info, remote.ends);
        if !by_url {
            return Posted::Held(remote);
        }
        let token = format!("{}/{}", self.plan.info.id, remote.number);
        state.published.insert(token.clone(), remote.clone());
        Posted::ByUrl(remote, dice.up_to(Duration::from_millis(400)), ResumeToken(token))
    }

    /// What is behind a result URL, if the endpoint still knows.
    pub(crate) fn find(&self, token: &ResumeToken) -> Result<Remote, CallError> {
        let expired = || error(ErrorCode::ResultExpired, Stage::ResultUrl);
        self.state().published.get(&token.0).cloned().ok_or_else(expired)
    }

    /// Waits for the work.
    pub(crate) async fn wait(&self, remote: &Remote, resumed: bool) -> Result<Answer, CallError> {
        tokio::select! {
            biased;
            () = remote.up.cancelled() => return Err(error(ErrorCode::ConnectionLost, Stage::Request)),
            () = sleep_until(remote.ends) => {}
        }
        match remote.reply {
            Reply::Answer => Ok(self.answer(remote)),
            // The connection breaks once; the result URL has the answer afterwards.
            Reply::Lost if resumed => Ok(self.answer(remote)),
            Reply::Lost => Err(error(ErrorCode::ConnectionLost, Stage::Request)),
            Reply::Failed => Err(error(ErrorCode::EndpointFailed, Stage::Request)),
            Reply::WrongModel => Err(error(ErrorCode::ModelMismatch, Stage::Check)),
            Reply::Hang => std::future::pending().await,
        }
    }

    /// It goes down and up again: connections break, and what it worked on is forgotten.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.published.clear();
        open(&self.ledger).works_on_nothing(&self.plan.info.id);
        std::mem::take(&mut state.up).cancel();
    }

    fn answer(&self, remote: &Remote) -> Answer {
        let text = format!("answer {} of {}", remote.number, self.plan.info.id);
        open(&self.ledger).calls.answer(text.clone(), remote.attempt);
        let provider_time = Some(remote.ends - remote.began);
        Answer { usage: Usage { provider_time, ..Usage::default() }, ..Answer::of_text(text) }
    }

    fn refusal(&self) -> CallError {
        let dice = &self.faults.dice;
        let code = dice.pick(&[
            ErrorCode::Throttled,
            ErrorCode::Throttled,
            ErrorCode::Overloaded,
            ErrorCode::ConnectRefused,
            ErrorCode::EndpointStopped,
            ErrorCode::RejectedInput,
        ]);
        let retry_after = (*code == ErrorCode::Throttled).then(|| dice.up_to(Duration::from_secs(2)));
        CallError { retry_after, surely_not_started: true, ..error(*code, Stage::Request) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error as the client of an endpoint reports it.
pub(crate) fn error(code: ErrorCode, stage: Stage) -> CallError {
    CallError::new(code, stage, "simulated")
}
