//! The containers of one endpoint: who works in one, who waits for one, and which are still warm.

use std::{collections::VecDeque, time::Duration};

use beacon_domain::Monotonic;
use tokio::sync::oneshot;

/// Places to work, given in order of arrival.
#[derive(Debug)]
pub(crate) struct Places {
    free: u32,
    waiting: VecDeque<oneshot::Sender<()>>,
    /// Since when each container without work is idle; one that never ran is not in it.
    idle: Vec<Monotonic>,
}

/// When a call may work.
pub(crate) enum Turn {
    /// It has a place.
    Now,
    /// It has one when this comes.
    Later(oneshot::Receiver<()>),
}

impl Places {
    /// All free, all cold.
    pub(crate) const fn new(capacity: u32) -> Self {
        Self { free: capacity, waiting: VecDeque::new(), idle: Vec::new() }
    }

    /// Takes a place, or the end of the queue.
    pub(crate) fn line_up(&mut self) -> Turn {
        if self.free > 0 {
            self.free -= 1;
            return Turn::Now;
        }
        let (sender, turn) = oneshot::channel();
        self.waiting.push_back(sender);
        Turn::Later(turn)
    }

    /// Begins to work in the container that was used last; true if none is warm. Those idle for longer are gone.
    pub(crate) fn starts_cold(&mut self, now: Monotonic, idle_after: Duration) -> bool {
        self.idle.retain(|since| now.since(*since) <= idle_after);
        self.idle.pop().is_none()
    }

    /// Ends work: the container is warm and idle, and the place goes to whoever waits longest.
    pub(crate) fn leave(&mut self, now: Monotonic) {
        self.idle.push(now);
        while let Some(next) = self.waiting.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        self.free += 1;
    }
}

impl Turn {
    /// Waits for it.
    pub(crate) async fn come(self) {
        if let Self::Later(turn) = self {
            turn.await.expect("a call's endpoint lives as long as the call");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_in_order_of_arrival_and_skips_who_left() {
        let mut places = Places::new(1);
        let now = Monotonic::default();
        assert!(matches!(places.line_up(), Turn::Now));
        let (gone, second) = (places.line_up(), places.line_up());
        drop(gone);

        places.leave(now);

        second.come().await;
        assert!(matches!(places.line_up(), Turn::Later(_)), "the place went to the second");
    }

    #[test]
    fn a_container_stays_warm_up_to_its_idle_time_and_no_longer() {
        let idle_after = Duration::from_secs(60);
        let at = |s| Monotonic(Duration::from_secs(s));
        let mut places = Places::new(2);
        assert!(places.starts_cold(at(0), idle_after));
        places.leave(at(10));

        assert!(!places.starts_cold(at(70), idle_after), "reused after exactly 60 s");
        places.leave(at(80));
        assert!(places.starts_cold(at(141), idle_after), "gone after 61 s");
    }
}
