//! How often each fault happened.

use std::{fmt, ops::AddAssign};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process died at an await.
    CrashAtAwait,
    /// A process died at a random moment.
    CrashAtRandom,
    /// A process was asked to stop.
    Shutdown,
    /// A process stood still.
    Pause,
    /// A call took longer.
    Delay,
    /// A call was made twice at once.
    Duplicate,
    /// A call was made again a while later.
    LateDuplicate,
    /// It was done, but the caller got an error.
    LostAcknowledgement,
    /// The store began to fail for everybody.
    Outage,
    /// The store began to fail for one process.
    Partition,
    /// A call failed in an outage before it was done.
    FailedBefore,
    /// A call failed in an outage after it was done.
    FailedAfter,
    /// A clock was set forward.
    ClockJump,
    /// A process started with a clock that is off or runs at another speed.
    SkewedClock,
    /// A hint did not arrive.
    LostHint,
    /// An endpoint did anything but answer.
    BadReply,
    /// An endpoint went down and up again.
    EndpointRestart,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::CrashAtAwait,
        Self::CrashAtRandom,
        Self::Shutdown,
        Self::Pause,
        Self::Delay,
        Self::Duplicate,
        Self::LateDuplicate,
        Self::LostAcknowledgement,
        Self::Outage,
        Self::Partition,
        Self::FailedBefore,
        Self::FailedAfter,
        Self::ClockJump,
        Self::SkewedClock,
        Self::LostHint,
        Self::BadReply,
        Self::EndpointRestart,
    ];
}

/// Counts by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u64; Fault::ALL.len()]);

impl Tally {
    /// One more.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in Fault::ALL.into_iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{fault:?} {}", self.of(fault))?;
        }
        Ok(())
    }
}
