//! One call at an endpoint, from what was asked to what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use beacon_spec::{ModelId, Region, Timestamp};
use tokio::sync::watch;

use crate::behaviour::Behaviour;

/// The content of a call, as far as an endpoint looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) prompt: Arc<str>,
    pub(crate) temperature: f64,
    pub(crate) max_tokens: u32,
}

/// What an endpoint says to a call.
pub(crate) enum Admission {
    /// It is held and will run.
    Taken(Work),
    /// 429: no work, come back later.
    Throttled(Duration),
    /// No work, in the way that this behaviour has.
    Refused(Behaviour),
}

/// A call being worked on; it goes on when nobody waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) behaviour: Behaviour,
    pub(crate) result: watch::Receiver<Option<Arc<Finished>>>,
}

/// How a wait for a call ended.
pub(crate) enum Waited {
    Finished(Arc<Finished>),
    /// The time was over first.
    Pending,
    /// The simulator was shut down.
    Gone,
}

/// A call whose work is done.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) behaviour: Behaviour,
    /// Whether a behaviour that strikes once has struck.
    pub(crate) struck: AtomicBool,
    pub(crate) ask: Ask,
    /// As told, which a behaviour may falsify.
    pub(crate) model: ModelId,
    /// As told, which a behaviour may falsify.
    pub(crate) region: Region,
    pub(crate) text: String,
    pub(crate) tokens: u64,
    pub(crate) busy: Duration,
    pub(crate) started_at: Timestamp,
    pub(crate) completed_at: Timestamp,
}

impl Work {
    /// A call that runs until its result is sent.
    pub(crate) fn new(number: u64, behaviour: Behaviour) -> (watch::Sender<Option<Arc<Finished>>>, Self) {
        let (end, result) = watch::channel(None);
        (end, Self { number, behaviour, result })
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.result.borrow().is_some()
    }
}

impl Finished {
    /// What befalls whoever asks for the result now.
    pub(crate) fn behave(&self) -> Behaviour {
        let over = self.behaviour.strikes_once() && self.struck.swap(true, Ordering::Relaxed);
        if over { Behaviour::Answer } else { self.behaviour }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! A finished call for the tests of this crate.

    use super::*;

    pub(crate) fn finished(number: u64) -> Finished {
        Finished {
            number,
            behaviour: Behaviour::Answer,
            struck: AtomicBool::new(false),
            ask: Ask { prompt: "a prompt".into(), temperature: 0.5, max_tokens: 10 },
            model: ModelId::new("m").unwrap(),
            region: Region::AsiaPacific,
            text: "[simulated] text".to_owned(),
            tokens: 2,
            busy: Duration::from_millis(1500),
            started_at: Timestamp::UNIX_EPOCH,
            completed_at: Timestamp::UNIX_EPOCH + Duration::from_millis(1500),
        }
    }

    #[test]
    fn a_broken_way_breaks_once_and_a_failed_function_stays_failed() {
        let behave = |behaviour| {
            let done = Finished { behaviour, ..finished(1) };
            [done.behave(), done.behave()]
        };

        assert_eq!(behave(Behaviour::Reset), [Behaviour::Reset, Behaviour::Answer]);
        assert_eq!(behave(Behaviour::ServerError), [Behaviour::ServerError, Behaviour::ServerError]);
    }
}
