//! Event streams: one watcher per job feeds all its streams, however many there are.

mod stream;
mod watch;

pub(crate) use stream::EventStream;
pub(crate) use watch::Watchers;
