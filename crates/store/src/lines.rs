//! Which webhook deliveries are taken, the same in every store: keys take turns, one at a time goes from a key to a receiver,
//! and neither a key nor a receiver has more than its share in the air.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use beacon_domain::DueAsk;
use beacon_spec::Timestamp;

/// Receivers of one key that are looked at, the longest due first. What stands behind so many of its own can wait.
pub(crate) const LOOKED_AT: usize = 64;

/// How late what was due then is now.
pub(crate) fn late(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(due)).unwrap_or_default()
}

/// A delivery that is due.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// Which one.
    pub(crate) at: T,
    /// The key whose job it is of; empty if the job is gone.
    pub(crate) key: String,
    pub(crate) receiver: String,
}

/// What waits, in one line for each key.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    /// What a key sends to a receiver, or has in its line for it.
    seen: HashSet<(String, String)>,
    lines: BTreeMap<String, Line<T>>,
    /// What is in the air, by receiver.
    to: HashMap<String, u32>,
    of_key: u32,
    to_receiver: u32,
}

#[derive(Debug)]
struct Line<T> {
    in_the_air: u32,
    /// With the place among all that is due.
    waiting: VecDeque<(usize, T, String)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { in_the_air: 0, waiting: VecDeque::new() }
    }
}

impl<T> Lines<T> {
    /// Nothing waits yet.
    pub(crate) fn new(ask: &DueAsk) -> Self {
        let mut lines = Self {
            seen: HashSet::new(),
            lines: BTreeMap::new(),
            to: HashMap::new(),
            of_key: ask.of_key,
            to_receiver: ask.to_receiver,
        };
        for sending in &ask.sending {
            let key = sending.key.as_ref().map_or("", |key| key.as_str()).to_owned();
            lines.lines.entry(key.clone()).or_default().in_the_air += 1;
            *lines.to.entry(sending.receiver.clone()).or_default() += 1;
            lines.seen.insert((key, sending.receiver.clone()));
        }
        lines
    }

    /// All that is due, the longest due first. Of what a key has for one receiver the first one counts.
    pub(crate) fn fill<E>(&mut self, due: impl IntoIterator<Item = Result<Waiting<T>, E>>) -> Result<(), E> {
        for (place, waiting) in due.into_iter().enumerate() {
            let Waiting { at, key, receiver } = waiting?;
            let line = self.lines.entry(key.clone()).or_default();
            if line.in_the_air >= self.of_key || line.waiting.len() >= LOOKED_AT {
                continue;
            }
            if self.seen.insert((key, receiver.clone())) {
                line.waiting.push_back((place, at, receiver));
            }
        }
        Ok(())
    }

    /// At most so many: always of the key that has least in the air, and of several the one that is due longest.
    pub(crate) fn take(mut self, n: u32) -> Vec<T> {
        let mut taken = Vec::new();
        while taken.len() < n as usize {
            let room = |receiver: &String| self.to.get(receiver).is_none_or(|sent| *sent < self.to_receiver);
            let mut next: Option<(u32, usize, &mut Line<T>)> = None;
            for line in self.lines.values_mut().filter(|line| line.in_the_air < self.of_key) {
                // Within one round receivers only get busier.
                while line.waiting.front().is_some_and(|(.., receiver)| !room(receiver)) {
                    line.waiting.pop_front();
                }
                let Some((place, ..)) = line.waiting.front() else { continue };
                let rank = (line.in_the_air, *place);
                if next.as_ref().is_none_or(|(least, first, _)| rank < (*least, *first)) {
                    next = Some((rank.0, rank.1, line));
                }
            }
            let Some((_, at, receiver)) = next.and_then(|(.., line)| {
                line.in_the_air += 1;
                line.waiting.pop_front()
            }) else {
                break;
            };
            *self.to.entry(receiver).or_default() += 1;
            taken.push(at);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use beacon_domain::Sending;
    use beacon_spec::KeyId;

    use super::*;

    /// Takes `n`; each is named by its key and its receiver.
    fn check(sending: &[&str], due: &[&str], n: u32, taken: &[&str]) {
        let halves = |text: &str| {
            let (key, receiver) = text.split_once(' ').unwrap();
            (key.to_owned(), receiver.to_owned())
        };
        let sending = sending.iter().map(|text| {
            let (key, receiver) = halves(text);
            Sending { key: Some(KeyId::new(key).unwrap()), receiver }
        });
        let (lease, now) = (Duration::ZERO, Timestamp::UNIX_EPOCH);
        let ask = DueAsk { n, sending: sending.collect(), of_key: 3, to_receiver: 2, lease, now };
        let mut lines = Lines::new(&ask);
        let due = due.iter().map(|text| {
            let (key, receiver) = halves(text);
            Ok::<_, Infallible>(Waiting { at: *text, key, receiver })
        });
        lines.fill(due).unwrap();

        assert_eq!(lines.take(n), taken);
    }

    #[test]
    fn keys_take_turns_and_each_begins_with_what_is_due_longest() {
        check(
            &[],
            &["a 1", "a 2", "a 3", "b 4", "c 5", "b 6"],
            9,
            &["a 1", "b 4", "c 5", "a 2", "b 6", "a 3"],
        );
        check(&[], &["a 1", "a 2", "a 3", "b 4"], 2, &["a 1", "b 4"]);
    }

    #[test]
    fn what_a_key_has_in_the_air_is_part_of_its_share() {
        check(&["a 7", "a 8"], &["a 1", "a 2", "b 3"], 9, &["b 3", "a 1"]);
        check(&["a 7", "a 8", "a 9"], &["a 1"], 9, &[]);
    }

    #[test]
    fn one_at_a_time_goes_from_a_key_to_a_receiver() {
        check(&["a 1"], &["a 1", "b 1", "a 2", "a 2"], 9, &["b 1", "a 2"]);
    }

    #[test]
    fn a_receiver_that_has_its_share_holds_up_nobody_else() {
        check(&["a 1", "b 1"], &["c 1", "c 2"], 9, &["c 2"]);
        check(&[], &["a 1", "b 1", "c 1", "c 2"], 9, &["a 1", "b 1", "c 2"]);
    }

    #[test]
    fn a_key_with_many_receivers_takes_little_memory() {
        let (lease, now) = (Duration::ZERO, Timestamp::UNIX_EPOCH);
        let ask = DueAsk { n: 9, sending: Vec::new(), of_key: 3, to_receiver: 2, lease, now };
        let mut lines = Lines::new(&ask);
        let due = |at: u32, key: &str| {
            Ok::<_, Infallible>(Waiting { at, key: key.to_owned(), receiver: at.to_string() })
        };

        lines.fill((0..10_000).map(|n| due(n, "a")).chain([due(10_000, "b")])).unwrap();

        assert_eq!(lines.seen.len(), LOOKED_AT + 1);
        assert_eq!(lines.take(9), [0, 10_000, 1, 2]);
    }
}
