//! How much may be claimed, and what bounds it (S1, O3, S11): counted from live leases, while the rows that decide are
//! held. So a limit holds over all processes, and nothing has to be given back after a crash.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use beacon_domain::{AccountId, Bound, Claim, EndpointOverride, Room, StoreError};
use tokio_postgres::types::Type;

use super::{
    codec::maybe_text,
    error::Fault,
    ready::Waiting,
    store::{Core, locked},
    transaction::Tx,
};
use crate::{
    fair::Lane,
    rules::{SharedRoom, day, tightest},
};

/// The row of `accounts` that stands for the limit over everything.
const EVERYTHING: &str = "";

/// An endpoint whose row is held.
#[derive(Debug)]
pub(crate) struct HeldEndpoint {
    pub(crate) lane: Lane<i64>,
    /// How many claims gave something before this one.
    claims: i64,
    /// Gate, limit, account, bound and lane as they are stored.
    stored: [Option<String>; 4],
    limit: Option<i32>,
    /// What an operator changed.
    change: EndpointOverride,
}

/// Everything that bounds a claim.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) endpoints: BTreeMap<i32, HeldEndpoint>,
    pub(crate) shared: SharedRoom,
    /// Live leases of these endpoints and of all that share an account with them, with that account.
    running: HashMap<i32, (Option<String>, u32)>,
    writes: BTreeMap<i32, ([Option<String>; 4], i32)>,
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
            lock_endpoints(tx, places),
            running(core, tx, places, &accounts),
            shared_room(tx, claim),
            Waiting::look(tx, &core.lows, places, claim.now)
        )?;
        if !places.iter().all(|place| endpoints.contains_key(place)) {
            // The tables were made anew under us: what we remember is of the old ones.
            core.forget();
            let message = "the endpoints' rows are not there any more, they are made again".to_owned();
            return Err(StoreError::Unavailable { message, source: None }.into());
        }
        Ok((Self { endpoints, shared, running, writes: BTreeMap::new(), gave: BTreeSet::new() }, waiting))
    }

    /// Room on one endpoint, and what is the tightest bound.
    pub(crate) fn free(&self, claim: &Claim, room: &Room, endpoint: i32) -> (Bound, u32) {
        let change = self.endpoints.get(&endpoint).map(|held| &held.change);
        if change.is_some_and(|change| change.drain) {
            return (Bound::Drain, 0);
        }
        let own = change.map_or(room.limit, |change| change.limit(room.limit, room.most));
        let running = self.running.get(&endpoint).map_or(0, |(_, running)| *running);
        let limit = claim.accounts.iter().find(|limit| Some(&limit.account) == room.account.as_ref());
        let account = limit.map_or(u32::MAX, |limit| {
            let of_account = self.running.iter().filter(|(no, (account, _))| {
                **no == endpoint || account.as_deref() == Some(limit.account.as_str())
            });
            limit.limit.saturating_sub(of_account.map(|(_, (_, running))| *running).sum())
        });
        tightest(self.shared, own.saturating_sub(running), account, room.free)
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
        *running = (account.clone(), running.1 + given);
        let Some(held) = self.endpoints.get(&endpoint) else { return Ok(()) };
        // Nobody's turn has changed if nothing was given.
        let lane = if given == 0 { held.stored[3].clone() } else { Some(super::codec::text(&held.lane)?) };
        let new = [Some(super::codec::text(&room.gate)?), account, maybe_text(bound.as_ref())?, lane];
        let limit = if held.change.drain { 0 } else { held.change.limit(room.limit, room.most) };
        let limit = super::codec::int(limit);
        let is_changed = held.change.drain || held.change.limit.is_some();
        if let Some(before) = held.limit.filter(|before| *before != limit && !is_changed) {
            tracing::warn!(
                endpoint = %room.endpoint, before, now = limit,
                "this process has another limit for {} than the one before it; give all workers the same endpoints file",
                room.endpoint
            );
        }
        if given == 0 && held.stored == new && held.limit == Some(limit) && !self.gave.contains(&endpoint) {
            self.writes.remove(&endpoint);
        } else {
            self.writes.insert(endpoint, (new, limit));
        }
        Ok(())
    }

    /// The number of this claim at an endpoint.
    pub(crate) fn claimed(&self, endpoint: i32) -> i64 {
        self.endpoints.get(&endpoint).map_or(0, |held| held.claims + 1)
    }

    /// Stores what is news.
    pub(crate) async fn write(&self, tx: &Tx) -> Result<(), Fault> {
        const WRITE: &str = "-- room::write
            UPDATE beacon.endpoints SET max_in_flight = new.max_in_flight, gate = new.gate, account = new.account,
                bound = new.bound, lane = new.lane, claims = new.claims
            FROM (SELECT wanted.*, (SELECT ctid FROM beacon.endpoints
                    WHERE endpoints.no BETWEEN wanted.no AND wanted.no ORDER BY endpoints.no DESC LIMIT 1) AS place
                FROM unnest($1::int4[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[])
                    AS wanted (no, max_in_flight, gate, account, bound, lane, claims)) AS new
            WHERE endpoints.ctid = new.place";
        if self.writes.is_empty() {
            return Ok(());
        }
        let places: Vec<i32> = self.writes.keys().copied().collect();
        let count = |no: &i32| self.claimed(*no) - i64::from(!self.gave.contains(no));
        let claims: Vec<i64> = places.iter().map(count).collect();
        let limits: Vec<i32> = self.writes.values().map(|(_, limit)| *limit).collect();
        let column = |at: usize| self.writes.values().map(|(new, _)| new[at].as_deref()).collect::<Vec<_>>();
        let [gates, accounts, bounds, lanes] = [column(0), column(1), column(2), column(3)];
        let values = [
            (&places as _, Type::INT4_ARRAY),
            (&limits as _, Type::INT4_ARRAY),
            (&gates as _, Type::TEXT_ARRAY),
            (&accounts as _, Type::TEXT_ARRAY),
            (&bounds as _, Type::TEXT_ARRAY),
            (&lanes as _, Type::TEXT_ARRAY),
            (&claims as _, Type::INT8_ARRAY),
        ];
        tx.execute(WRITE, &values).await.map(drop)
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

async fn lock_endpoints(tx: &Tx, places: &[i32]) -> Result<BTreeMap<i32, HeldEndpoint>, Fault> {
    const LOCK: &str = "-- room::lock_endpoints
        SELECT held.* FROM (SELECT no FROM unnest($1::int4[]) AS no ORDER BY no) AS wanted
        CROSS JOIN LATERAL (SELECT no, max_in_flight, gate, account, bound, lane, claims, other_limit, drain, reset_at
            FROM beacon.endpoints WHERE no BETWEEN wanted.no AND wanted.no ORDER BY no DESC LIMIT 1 FOR NO KEY UPDATE) AS held";
    let lines = tx.rows(LOCK, &[(&places, Type::INT4_ARRAY)]).await?;
    let held = |line: &super::transaction::Line| {
        let lane: Option<String> = line.get(5)?;
        let stored = [line.get(2)?, line.get(3)?, line.get(4)?, lane];
        let lane = super::codec::maybe_json(line, 5)?.unwrap_or_default();
        let change = super::operate::change(line, 7)?;
        Ok((line.get(0)?, HeldEndpoint { lane, claims: line.get(6)?, stored, limit: line.get(1)?, change }))
    };
    lines.iter().map(held).collect()
}

/// Counts live leases, from the lowest that was live when they were counted before: what lies below has ended for good, but
/// stays in the index until a vacuum.
async fn running(
    core: &Core,
    tx: &Tx,
    places: &[i32],
    accounts: &[&str],
) -> Result<HashMap<i32, (Option<String>, u32)>, Fault> {
    const RUNNING: &str = "-- room::running
        SELECT asked.no, account, live.n, live.low
        FROM (SELECT wanted.no, (SELECT account FROM beacon.endpoints
                WHERE no BETWEEN wanted.no AND wanted.no ORDER BY no DESC LIMIT 1) FROM unnest($1::int4[]) AS wanted (no)
            UNION SELECT no, account FROM beacon.endpoints WHERE account = ANY($2)) AS asked
        LEFT JOIN unnest($3::int4[], $4::int8[]) AS known (no, low) ON known.no = asked.no
        CROSS JOIN LATERAL (SELECT count(*) AS n, min(claimed) AS low FROM beacon.executions
            WHERE worker IS NOT NULL AND endpoint = asked.no AND claimed >= coalesce(known.low, 0)) AS live";
    let (known, lows): (Vec<i32>, Vec<i64>) = locked(&core.live).iter().map(|(no, low)| (*no, *low)).unzip();
    let values = [
        (&places as _, Type::INT4_ARRAY),
        (&accounts as _, Type::TEXT_ARRAY),
        (&known as _, Type::INT4_ARRAY),
        (&lows as _, Type::INT8_ARRAY),
    ];
    let mut running = HashMap::new();
    for line in &tx.rows(RUNNING, &values).await? {
        let no = line.get(0)?;
        if let Some(low) = line.get::<Option<i64>>(3)? {
            locked(&core.live).insert(no, low);
        }
        running.insert(no, (line.get(1)?, super::codec::big(line, 2)?));
    }
    Ok(running)
}

async fn shared_room(tx: &Tx, claim: &Claim) -> Result<SharedRoom, Fault> {
    const ALL: &str = "-- room::all_running
        SELECT count(*) FROM beacon.executions WHERE worker IS NOT NULL";
    const SPENT: &str = "-- room::spent
        SELECT micros FROM beacon.spend WHERE day BETWEEN $1 AND $1 ORDER BY day DESC LIMIT 1";
    let mut shared = SharedRoom { worker: claim.at_most, global: u32::MAX, spendable: true };
    if let Some(limit) = claim.global_limit {
        shared.global = limit.saturating_sub(super::codec::big(&tx.one(ALL, &[]).await?, 0)?);
    }
    if let Some(budget) = claim.day_budget {
        let spent = tx.maybe(SPENT, &[(&day(claim.now), Type::INT8)]).await?;
        let spent: i64 = spent.map(|line| line.get(0)).transpose()?.unwrap_or(0);
        shared.spendable = u64::try_from(spent).unwrap_or(0) < budget.cap_micros;
    }
    Ok(shared)
}
