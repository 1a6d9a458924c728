//! Event streams: one watcher per job feeds all its streams, however many there are.

mod stream;
mod watch;

use std::sync::Arc;

use beacon_domain::Portions;

pub(crate) use stream::EventStream;
pub(crate) use watch::Watchers;

/// Event streams at once: fewer than there may be connections, so that streams alone never take all of these.
const STREAMS: u32 = 3072;

/// The streams of one address, if they are bounded: one connection can carry many, and one proxy those of many addresses.
pub(crate) fn portions(of_one: u32) -> Option<Arc<Portions>> {
    (of_one > 0).then(|| Portions::new(of_one, STREAMS))
}
