//! How much may be claimed, and what bounds it (S1, O3, S11): counted from live leases, while the rows that decide are
//! held. So a limit holds over all processes, and nothing has to be given back after a crash.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use beacon_domain::{AccountId, Bound, Claim, Room, StoreError, WorkerId};
use beacon_spec::Timestamp;
use tokio_postgres::types::Type;

use super::{
    codec::{At, big, maybe_text, maybe_time, text},
    endpoint::{self, HeldEndpoint, Kept},
    error::Fault,
    ready::Waiting,
    store::{Core, locked},
    transaction::Tx,
};
use crate::rules::{SharedRoom, day, tightest};

/// The row of `accounts` that stands for the limit over everything.
const EVERYTHING: &str = "";

/// What endpoints files may say differently of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    Limit,
    Linger,
}

/// What counts against the limits of an endpoint.
#[derive(Debug, Default)]
struct Running {
    account: Option<String>,
    live: u32,
    abandoned: u32,
    /// Leases that this claim gave for calls that run already.
    reattached: u32,
}

impl Running {
    const fn all(&self) -> u32 {
        self.live + self.abandoned
    }
}

/// Everything that bounds a claim.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) endpoints: BTreeMap<i32, HeldEndpoint>,
    pub(crate) shared: SharedRoom,
    /// What runs at these endpoints and at all that share an account with them.
    running: HashMap<i32, Running>,
    /// When the first of the abandoned calls has ended.
    pub(crate) next_end: Option<Timestamp>,
    /// Whose leases are asked for.
    worker: WorkerId,
    longest_call: Duration,
    now: Timestamp,
    news: BTreeMap<i32, Kept>,
    gave: BTreeSet<i32>,
}

impl Rooms {
    /// Locks what decides (accounts, then endpoints, in the order of their keys), then counts, and finds what waits. All
    /// is sent at once; the server takes one statement after the other, and each sees what was committed before it.
    pub(crate) async fn hold(
        core: &Core,
        tx: &Tx,
        claim: &Claim,
        places: &[i32],
    ) -> Result<(Self, Waiting), Fault> {
        lock_accounts(core, tx, claim).await?;
        let accounts: Vec<&str> =
            claim.rooms.iter().filter_map(|room| room.account.as_ref()).map(AccountId::as_str).collect();
        let (endpoints, running, shared, waiting) = futures::try_join!(
            endpoint::lock(tx, places),
            running(core, tx, places, &accounts, claim.now),
            shared_room(tx, claim),
            Waiting::look(tx, &core.lows, places, claim.now)
        )?;
        if !places.iter().all(|place| endpoints.contains_key(place)) {
            // The tables were made anew under us: what we remember is of the old ones.
            core.forget();
            let message = "the endpoints' rows are not there any more, they are made again".to_owned();
            return Err(StoreError::Unavailable { message, source: None }.into());
        }
        let (running, next_end) = running;
        let rooms = Self {
            endpoints,
            shared,
            running,
            next_end,
            worker: claim.worker.clone(),
            longest_call: claim.longest_call,
            now: claim.now,
            news: BTreeMap::new(),
            gave: BTreeSet::new(),
        };
        rooms.tell_of_other_files(core, claim, places);
        Ok((rooms, waiting))
    }

    /// Room on one endpoint, and what is the tightest bound.
    pub(crate) fn free(&self, claim: &Claim, room: &Room, endpoint: i32) -> (Bound, u32) {
        let change = self.endpoints.get(&endpoint).map(|held| &held.change);
        if change.is_some_and(|change| change.drain) {
            return (Bound::Drain, 0);
        }
        let own = self.limit(room, endpoint);
        let running = self.running.get(&endpoint);
        let wanted = room.free.saturating_sub(running.map_or(0, |running| running.reattached));
        let limit = claim.accounts.iter().find(|limit| Some(&limit.account) == room.account.as_ref());
        let account = limit.map_or(u32::MAX, |limit| {
            let of_account = self.running.iter().filter(|(no, running)| {
                **no == endpoint || running.account.as_deref() == Some(limit.account.as_str())
            });
            limit.limit.saturating_sub(of_account.map(|(_, running)| running.all()).sum())
        });
        tightest(self.shared, own.saturating_sub(running.map_or(0, Running::all)), account, wanted)
    }

    /// The limit that holds for an endpoint.
    fn limit(&self, room: &Room, endpoint: i32) -> u32 {
        let held = self.endpoints.get(&endpoint);
        held.map_or(room.limit, |held| held.limit(room, &self.worker, self.now))
    }

    /// Says once that other workers know another limit or linger time of an endpoint than this one, whichever holds.
    fn tell_of_other_files(&self, core: &Core, claim: &Claim, places: &[i32]) {
        let mut told = locked(&core.other_files);
        for (room, place) in claim.rooms.iter().zip(places) {
            let Some(held) = self.endpoints.get(place) else { continue };
            let limit = held.other_limit(room, &self.worker, self.now);
            if let Some(theirs) = news(&mut told, (*place, Setting::Limit), limit) {
                tracing::warn!(
                    endpoint = %room.endpoint, ours = room.limit, theirs,
                    "another worker has the limit {theirs} for {}, this one {}; the smaller one holds while such a worker is \
                     there; give all workers the same endpoints file",
                    room.endpoint, room.limit
                );
            }
            let linger = held.other_linger(micros(room.linger), self.now);
            if let Some(theirs) = news(&mut told, (*place, Setting::Linger), linger) {
                let [ours, theirs] = [micros(room.linger), theirs]
                    .map(|micros| Duration::from_micros(micros.unsigned_abs()).as_secs_f64());
                tracing::warn!(
                    endpoint = %room.endpoint, ours, theirs,
                    "another worker has linger_s = {theirs} for {}, this one {ours}; the longer one holds while such a worker \
                     is there; give all workers the same endpoints file",
                    room.endpoint
                );
            }
        }
    }

    /// Whether any of these endpoints may still work on a call that nobody waits for.
    pub(crate) fn any_abandoned(&self, places: &[i32]) -> bool {
        places.iter().any(|place| self.running.get(place).is_some_and(|running| running.abandoned > 0))
    }

    /// Gives a lease for a call that runs already, and takes no other slot. `false` if it may not be given.
    pub(crate) fn reattach(&mut self, room: &Room, endpoint: i32) -> bool {
        let drains = self.endpoints.get(&endpoint).is_some_and(|held| held.change.drain);
        let own = self.limit(room, endpoint);
        let Some(running) = self.running.get_mut(&endpoint) else { return false };
        let wanted = running.reattached < room.free && self.shared.worker > 0;
        if drains || !wanted || !self.shared.spendable || running.live >= own || running.abandoned == 0 {
            return false;
        }
        running.live += 1;
        running.abandoned -= 1;
        running.reattached += 1;
        self.shared.reattach();
        self.gave.insert(endpoint);
        true
    }

    /// So many leases were given; notes what is to be stored of the endpoint.
    pub(crate) fn give(
        &mut self,
        room: &Room,
        endpoint: i32,
        given: u32,
        bound: Option<Bound>,
    ) -> Result<(), Fault> {
        self.shared.take(given);
        if given > 0 {
            self.gave.insert(endpoint);
        }
        let account = room.account.as_ref().map(|account| account.as_str().to_owned());
        let running = self.running.entry(endpoint).or_default();
        running.account.clone_from(&account);
        running.live += given;
        let Some(held) = self.endpoints.get(&endpoint) else { return Ok(()) };
        // Nobody's turn has changed if nothing was given.
        let lane = if given == 0 { held.kept.lane.clone() } else { Some(text(&held.lane)?) };
        let (limit, limit_from, limit_at) = held.kept_limit(room, &self.worker, self.now);
        let (linger, linger_at) = held.linger(micros(room.linger), self.now);
        let kept = Kept {
            gate: Some(text(&room.gate)?),
            account,
            bound: maybe_text(bound.as_ref())?,
            lane,
            limit,
            limit_from,
            limit_at,
            linger,
            linger_at,
            longest_call: micros(self.longest_call),
        };
        let is_old = kept.says_the_same(&held.kept) && !held.is_due(self.now);
        if given == 0 && is_old && !self.gave.contains(&endpoint) {
            self.news.remove(&endpoint);
        } else {
            self.news.insert(endpoint, kept);
        }
        Ok(())
    }

    /// The number of this claim at an endpoint.
    pub(crate) fn claimed(&self, endpoint: i32) -> i64 {
        self.endpoints.get(&endpoint).map_or(0, |held| held.claims + 1)
    }

    /// Stores what is news.
    pub(crate) async fn write(&self, tx: &Tx) -> Result<(), Fault> {
        let claims = |no: &i32| self.claimed(*no) - i64::from(!self.gave.contains(no));
        let claims: Vec<i64> = self.news.keys().map(claims).collect();
        endpoint::write(tx, &self.news, &claims).await
    }
}

async fn lock_accounts(core: &Core, tx: &Tx, claim: &Claim) -> Result<(), Fault> {
    const LOCK: &str = "-- room::lock_accounts
        SELECT id FROM beacon.accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    const ADD: &str = "-- room::add_accounts
        INSERT INTO beacon.accounts (id) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING";
    let limited =
        |room: &&Room| claim.accounts.iter().any(|limit| Some(&limit.account) == room.account.as_ref());
    let accounts = claim.rooms.iter().filter(limited).filter_map(|room| room.account.as_ref());
    let mut wanted: BTreeSet<&str> = accounts.map(AccountId::as_str).collect();
    if claim.global_limit.is_some() {
        wanted.insert(EVERYTHING);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let known = {
        let known = locked(&core.accounts);
        wanted.iter().all(|account| known.contains(*account))
    };
    if !known {
        tx.execute(ADD, &[(&wanted, Type::TEXT_ARRAY)]).await?;
    }
    let held = tx.rows(LOCK, &[(&wanted, Type::TEXT_ARRAY)]).await?;
    if held.len() == wanted.len() {
        return Ok(());
    }
    // Somebody removed one, or it was added by a transaction that did not commit: it is added the next time.
    locked(&core.accounts).clear();
    Err(Fault::Raced)
}

/// Counts abandoned calls, and live leases, from the lowest that was live when they were counted before: what lies below has ended for good, but
/// stays in the index until a vacuum.
async fn running(
    core: &Core,
    tx: &Tx,
    places: &[i32],
    accounts: &[&str],
    now: Timestamp,
) -> Result<(HashMap<i32, Running>, Option<Timestamp>), Fault> {
    const RUNNING: &str = "-- room::running
        SELECT asked.no, account, live.n, live.low, abandoned.n, abandoned.until
        FROM (SELECT wanted.no, (SELECT account FROM beacon.endpoints
                WHERE no BETWEEN wanted.no AND wanted.no ORDER BY no DESC LIMIT 1) FROM unnest($1::int4[]) AS wanted (no)
            UNION SELECT no, account FROM beacon.endpoints WHERE account = ANY($2)) AS asked
        LEFT JOIN unnest($3::int4[], $4::int8[]) AS known (no, low) ON known.no = asked.no
        CROSS JOIN LATERAL (SELECT count(*) AS n, min(claimed) AS low FROM beacon.executions
            WHERE worker IS NOT NULL AND endpoint = asked.no AND claimed >= coalesce(known.low, 0)) AS live
        CROSS JOIN LATERAL (SELECT count(*) AS n, min(until) AS until FROM beacon.abandoned
            WHERE endpoint = asked.no AND until > $5) AS abandoned";
    let (known, lows): (Vec<i32>, Vec<i64>) = locked(&core.live).iter().map(|(no, low)| (*no, *low)).unzip();
    let now = At::from(now);
    let values = [
        (&places as _, Type::INT4_ARRAY),
        (&accounts as _, Type::TEXT_ARRAY),
        (&known as _, Type::INT4_ARRAY),
        (&lows as _, Type::INT8_ARRAY),
        (&now as _, Type::TIMESTAMPTZ),
    ];
    let (mut running, mut next_end) = (HashMap::new(), None);
    for line in &tx.rows(RUNNING, &values).await? {
        let no = line.get(0)?;
        if let Some(low) = line.get::<Option<i64>>(3)? {
            locked(&core.live).insert(no, low);
        }
        next_end = next_end.into_iter().chain(maybe_time(line, 5)?).min();
        let (live, abandoned) = (big(line, 2)?, big(line, 4)?);
        running.insert(no, Running { account: line.get(1)?, live, abandoned, reattached: 0 });
    }
    Ok((running, next_end))
}

async fn shared_room(tx: &Tx, claim: &Claim) -> Result<SharedRoom, Fault> {
    const ALL: &str = "-- room::all_running
        SELECT (SELECT count(*) FROM beacon.executions WHERE worker IS NOT NULL)
            + (SELECT count(*) FROM beacon.abandoned WHERE until > $1)";
    const SPENT: &str = "-- room::spent
        SELECT micros FROM beacon.spend WHERE day BETWEEN $1 AND $1 ORDER BY day DESC LIMIT 1";
    let mut shared = SharedRoom { worker: claim.at_most, global: u32::MAX, spendable: true };
    if let Some(limit) = claim.global_limit {
        let now = (&At::from(claim.now) as _, Type::TIMESTAMPTZ);
        shared.global = limit.saturating_sub(big(&tx.one(ALL, &[now]).await?, 0)?);
    }
    if let Some(budget) = claim.day_budget {
        let spent = tx.maybe(SPENT, &[(&day(claim.now), Type::INT8)]).await?;
        let spent: i64 = spent.map(|line| line.get(0)).transpose()?.unwrap_or(0);
        shared.spendable = u64::try_from(spent).unwrap_or(0) < budget.cap_micros;
    }
    Ok(shared)
}

/// What others have, unless it was told.
fn news<T>(told: &mut BTreeSet<(i32, Setting)>, what: (i32, Setting), theirs: Option<T>) -> Option<T> {
    if theirs.is_none() {
        told.remove(&what);
    }
    theirs.filter(|_| told.insert(what))
}

/// For a column; thousands of years are enough.
fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
