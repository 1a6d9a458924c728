//! How much may be claimed for an endpoint, and what bounds it (S1, O3, S11).

use std::time::Duration;

use beacon_domain::{AccountId, Bound, Claim, Room};
use rusqlite::{OptionalExtension, params};

use super::{
    codec::{maybe_text, micros, text},
    writer::{Fault, Writer},
};
use crate::rules::{SharedRoom, day, tightest};

impl Writer {
    /// What all endpoints of a claim share.
    pub(crate) fn shared_room(&self, claim: &Claim) -> Result<SharedRoom, Fault> {
        const ALL: &str = "-- room::all_running
            SELECT (SELECT count(*) FROM executions WHERE lease_until IS NOT NULL)
                + (SELECT count(*) FROM abandoned WHERE until > ?1)";
        let global = match claim.global_limit {
            None => u32::MAX,
            Some(limit) => {
                let running: u32 =
                    self.connection.prepare_cached(ALL)?.query_row([micros(claim.now)], |row| row.get(0))?;
                limit.saturating_sub(running)
            }
        };
        Ok(SharedRoom { worker: claim.at_most, global, spendable: self.spendable(claim)? })
    }

    fn spendable(&self, claim: &Claim) -> Result<bool, Fault> {
        const SPENT: &str = "-- room::spent
            SELECT micros FROM spend WHERE day = ?1";
        let Some(budget) = claim.day_budget else { return Ok(true) };
        let mut query = self.connection.prepare_cached(SPENT)?;
        let spent: Option<i64> = query.query_row([day(claim.now)], |row| row.get(0)).optional()?;
        Ok((spent.unwrap_or(0) as u64) < budget.cap_micros)
    }

    /// Room on one endpoint: its own limit minus its live leases, counted, within everything else that bounds it.
    pub(crate) fn free(
        &self,
        claim: &Claim,
        room: &Room,
        (endpoint, own): (i64, u32),
        shared: SharedRoom,
    ) -> Result<(Bound, u32), Fault> {
        const ABANDONED: &str = "-- room::endpoint_abandoned
            SELECT count(*) FROM abandoned WHERE until > ?2 AND endpoint = ?1";
        const ACCOUNT: &str = "-- room::account_running
            SELECT (SELECT count(*) FROM endpoints JOIN executions ON executions.endpoint = endpoints.no
                WHERE executions.lease_until IS NOT NULL AND (endpoints.account = ?1 OR endpoints.no = ?2))
            + (SELECT count(*) FROM endpoints JOIN abandoned ON abandoned.endpoint = endpoints.no
                WHERE abandoned.until > ?3 AND (endpoints.account = ?1 OR endpoints.no = ?2))";
        let now = micros(claim.now);
        let mut query = self.connection.prepare_cached(ABANDONED)?;
        let abandoned: u32 = query.query_row([endpoint, now], |row| row.get(0))?;
        let running = self.live(endpoint)? + abandoned;
        let mut account = u32::MAX;
        let limit = claim.accounts.iter().find(|limit| Some(&limit.account) == room.account.as_ref());
        if let Some(limit) = limit {
            let mut query = self.connection.prepare_cached(ACCOUNT)?;
            let running: u32 =
                query.query_row(params![limit.account.as_str(), endpoint, now], |row| row.get(0))?;
            account = limit.limit.saturating_sub(running);
        }
        Ok(tightest(shared, own.saturating_sub(running), account, room.free))
    }

    /// Live leases of an endpoint.
    pub(crate) fn live(&self, endpoint: i64) -> Result<u32, Fault> {
        const LIVE: &str = "-- room::endpoint_running
            SELECT count(*) FROM executions WHERE lease_until IS NOT NULL AND endpoint = ?1";
        Ok(self.connection.prepare_cached(LIVE)?.query_row([endpoint], |row| row.get(0))?)
    }

    /// Stores what the worker sees of an endpoint and what bounds it, if it is news.
    pub(crate) fn keep_room(
        &mut self,
        no: i64,
        room: &Room,
        longest_call: Duration,
        bound: Option<Bound>,
    ) -> Result<(), Fault> {
        const KEEP: &str = "-- room::keep
            UPDATE endpoints SET gate = ?2, max_in_flight = ?3, account = ?4, bound = ?5, linger = ?6, longest_call = ?7
            WHERE no = ?1";
        let kept = self.endpoints.get(&room.endpoint).and_then(|(_, kept)| kept.as_ref());
        let known = kept.is_some_and(|(kept, kept_bound)| {
            (kept.gate, kept.limit, &kept.account, kept.linger, *kept_bound)
                == (room.gate, room.limit, &room.account, room.linger, bound)
        });
        if known {
            return Ok(());
        }
        let account = room.account.as_ref().map(AccountId::as_str);
        let span = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let (bound_text, linger) = (maybe_text(bound.as_ref())?, span(room.linger));
        let values =
            params![no, text(&room.gate)?, room.limit, account, bound_text, linger, span(longest_call)];
        self.connection.prepare_cached(KEEP)?.execute(values)?;
        self.endpoints.insert(room.endpoint.clone(), (no, Some((room.clone(), bound))));
        Ok(())
    }
}
