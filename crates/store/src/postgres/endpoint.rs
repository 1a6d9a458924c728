//! The rows of endpoints: whoever claims for an endpoint holds its row, and keeps there what all need to know of it.

use std::{collections::BTreeMap, time::Duration};

use beacon_domain::{EndpointOverride, Room, WorkerId};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    codec::{At, int, maybe_json},
    error::Fault,
    operate::change,
    transaction::{Line, Tx},
};
use crate::fair::Lane;

/// So long after a worker last claimed under it, a smaller limit than others have holds for all.
const LIMIT_HOLDS: Duration = Duration::from_secs(60);
/// Who claims under the limit that holds says so again after so long.
const LIMIT_AGAIN: Duration = Duration::from_secs(20);

/// An endpoint whose row is held.
#[derive(Debug)]
pub(crate) struct HeldEndpoint {
    pub(crate) lane: Lane<i64>,
    /// How many claims gave something before this one.
    pub(crate) claims: i64,
    /// What an operator changed.
    pub(crate) change: EndpointOverride,
    /// What is stored.
    pub(crate) kept: Kept,
}

/// What claims keep of an endpoint, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) gate: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) bound: Option<String>,
    pub(crate) lane: Option<String>,
    pub(crate) limit: Option<i32>,
    /// Who claimed under that limit last, and when.
    pub(crate) limit_from: Option<String>,
    pub(crate) limit_at: Option<At>,
    /// How long it may go on with an abandoned call, and the longest that one may take, in microseconds.
    pub(crate) linger: i64,
    /// When a worker last claimed with at least that.
    pub(crate) linger_at: Option<At>,
    pub(crate) longest_call: i64,
}

impl HeldEndpoint {
    /// The limit that holds: the operator's, or the smallest of those under which workers claim (S1).
    pub(crate) fn limit(&self, room: &Room, worker: &WorkerId, now: Timestamp) -> u32 {
        let own = self.change.limit(room.limit, room.most);
        self.smaller(room, worker, now).map_or(own, |smaller| smaller.min(own))
    }

    /// Another worker's limit, if it is smaller and holds.
    fn smaller(&self, room: &Room, worker: &WorkerId, now: Timestamp) -> Option<u32> {
        self.other_limit(room, worker, now).filter(|theirs| *theirs < room.limit)
    }

    /// Another worker's limit, if it is not this one's, and that worker was there lately.
    pub(crate) fn other_limit(&self, room: &Room, worker: &WorkerId, now: Timestamp) -> Option<u32> {
        let theirs =
            self.kept.limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0)?;
        let is_mine = self.kept.limit_from.as_deref() == Some(worker.as_str());
        let holds = age(self.kept.limit_at, now).is_some_and(|age| age < LIMIT_HOLDS);
        (self.change.limit.is_none() && !is_mine && holds && theirs != room.limit).then_some(theirs)
    }

    /// Under which limit a claim is made, and who said so when, as it is to be stored.
    pub(crate) fn kept_limit(
        &self,
        room: &Room,
        worker: &WorkerId,
        now: Timestamp,
    ) -> (Option<i32>, Option<String>, Option<At>) {
        if self.change.drain {
            return (Some(0), None, None);
        }
        let limit = Some(int(self.limit(room, worker, now)));
        if self.smaller(room, worker, now).is_some() {
            return (limit, self.kept.limit_from.clone(), self.kept.limit_at);
        }
        (limit, Some(worker.as_str().to_owned()), Some(At::from(now)))
    }

    /// Whether it is time to say again under which limit this worker claims, and what it knows of abandoned calls.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let is_old = |at| age(at, now).is_none_or(|age| age >= LIMIT_AGAIN);
        is_old(self.kept.limit_at) || is_old(self.kept.linger_at)
    }

    /// How long abandoned calls count, in microseconds, and who said so when: where workers differ, the longest holds for as
    /// long as a smaller limit does.
    pub(crate) fn linger(&self, own: i64, now: Timestamp) -> (i64, Option<At>) {
        match self.other_linger(own, now) {
            Some(longer) if longer > own => (longer, self.kept.linger_at),
            _ => (own, Some(At::from(now))),
        }
    }

    /// For how long abandoned calls count by what a worker said lately, if that differs.
    pub(crate) fn other_linger(&self, own: i64, now: Timestamp) -> Option<i64> {
        let holds = age(self.kept.linger_at, now).is_some_and(|age| age < LIMIT_HOLDS);
        (holds && self.kept.linger != own).then_some(self.kept.linger)
    }
}

impl Kept {
    /// Whether it says what the other one does, whoever said it when.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        (&self.gate, &self.account, &self.bound, &self.lane)
            == (&other.gate, &other.account, &other.bound, &other.lane)
            && (self.limit, self.linger, self.longest_call) == (other.limit, other.linger, other.longest_call)
    }
}

/// How long ago that was.
fn age(at: Option<At>, now: Timestamp) -> Option<Duration> {
    Some(Duration::try_from(now.duration_since(at?.time())).unwrap_or_default())
}

/// Locks the rows of these endpoints in their order.
pub(crate) async fn lock(tx: &Tx, places: &[i32]) -> Result<BTreeMap<i32, HeldEndpoint>, Fault> {
    const LOCK: &str = "-- endpoint::lock
        SELECT held.* FROM (SELECT no FROM unnest($1::int4[]) AS no ORDER BY no) AS wanted
        CROSS JOIN LATERAL (SELECT no, max_in_flight, gate, account, bound, lane, claims, other_limit, drain, reset_at, limit_from,
                limit_at, linger, longest_call, linger_at
            FROM beacon.endpoints WHERE no BETWEEN wanted.no AND wanted.no ORDER BY no DESC LIMIT 1 FOR NO KEY UPDATE) AS held";
    let lines = tx.rows(LOCK, &[(&places, Type::INT4_ARRAY)]).await?;
    lines.iter().map(|line| Ok((line.get(0)?, held(line)?))).collect()
}

fn held(line: &Line) -> Result<HeldEndpoint, Fault> {
    let kept = Kept {
        gate: line.get(2)?,
        account: line.get(3)?,
        bound: line.get(4)?,
        lane: line.get(5)?,
        limit: line.get(1)?,
        limit_from: line.get(10)?,
        limit_at: line.get(11)?,
        linger: line.get(12)?,
        longest_call: line.get(13)?,
        linger_at: line.get(14)?,
    };
    let lane = maybe_json(line, 5)?.unwrap_or_default();
    Ok(HeldEndpoint { lane, claims: line.get(6)?, change: change(line, 7)?, kept })
}

/// Stores what is news, with the number of the claims that have given something, one for each.
pub(crate) async fn write(tx: &Tx, news: &BTreeMap<i32, Kept>, claims: &[i64]) -> Result<(), Fault> {
    const WRITE: &str = "-- endpoint::write
        UPDATE beacon.endpoints SET max_in_flight = new.max_in_flight, gate = new.gate, account = new.account,
            bound = new.bound, lane = new.lane, claims = new.claims, limit_from = new.limit_from, limit_at = new.limit_at,
            linger = new.linger, longest_call = new.longest_call, linger_at = new.linger_at
        FROM (SELECT wanted.*, (SELECT ctid FROM beacon.endpoints
                WHERE endpoints.no BETWEEN wanted.no AND wanted.no ORDER BY endpoints.no DESC LIMIT 1) AS place
            FROM unnest($1::int4[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[], $8::text[],
                $9::timestamptz[], $10::int8[], $11::int8[], $12::timestamptz[])
                AS wanted (no, max_in_flight, gate, account, bound, lane, claims, limit_from, limit_at, linger, longest_call,
                    linger_at)) AS new
        WHERE endpoints.ctid = new.place";
    if news.is_empty() {
        return Ok(());
    }
    let places: Vec<i32> = news.keys().copied().collect();
    let text = |of: fn(&Kept) -> &Option<String>| -> Vec<Option<&str>> {
        news.values().map(|kept| of(kept).as_deref()).collect()
    };
    let number = |of: fn(&Kept) -> i64| -> Vec<i64> { news.values().map(of).collect() };
    let limits: Vec<Option<i32>> = news.values().map(|kept| kept.limit).collect();
    let lingers: Vec<Option<At>> = news.values().map(|kept| kept.linger_at).collect();
    let times: Vec<Option<At>> = news.values().map(|kept| kept.limit_at).collect();
    let values = [
        (&places as _, Type::INT4_ARRAY),
        (&limits as _, Type::INT4_ARRAY),
        (&text(|kept| &kept.gate) as _, Type::TEXT_ARRAY),
        (&text(|kept| &kept.account) as _, Type::TEXT_ARRAY),
        (&text(|kept| &kept.bound) as _, Type::TEXT_ARRAY),
        (&text(|kept| &kept.lane) as _, Type::TEXT_ARRAY),
        (&claims as _, Type::INT8_ARRAY),
        (&text(|kept| &kept.limit_from) as _, Type::TEXT_ARRAY),
        (&times as _, Type::TIMESTAMPTZ_ARRAY),
        (&number(|kept| kept.linger) as _, Type::INT8_ARRAY),
        (&number(|kept| kept.longest_call) as _, Type::INT8_ARRAY),
        (&lingers as _, Type::TIMESTAMPTZ_ARRAY),
    ];
    tx.execute(WRITE, &values).await.map(drop)
}
