//! What seems dead or stuck.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{ExecutionId, ExpiredLease, Stuck, StuckAsk, WorkerId};
use tokio_postgres::types::Type;

use super::{
    codec::{At, job_id, number},
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
    view::Unclosed,
};

/// See [`beacon_domain::EndpointControl::stuck`].
pub(crate) struct StuckAt(pub(crate) StuckAsk);

#[async_trait]
impl Work for StuckAt {
    type Output = Stuck;
    const NAME: &'static str = "stuck";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, alone: &BTreeSet<i64>) -> Result<Stuck, Fault> {
        // Live leases are no more than the calls in flight, and have an index of their own.
        const EXPIRED: &str = "-- stuck::expired
            SELECT id, n, worker, lease_until FROM beacon.executions JOIN beacon.jobs ON no = job
            WHERE worker IS NOT NULL AND lease_until < $1 ORDER BY lease_until, job, n LIMIT $2";
        const IDLE: &str = "-- stuck::idle
            SELECT id FROM beacon.jobs WHERE ended_at IS NULL AND paused_at IS NULL AND accepted_at < $1
                AND NOT EXISTS (SELECT FROM beacon.batches WHERE job = no AND running > 0)
                AND coalesce((SELECT max(started_at) FROM beacon.executions WHERE job = no), '-infinity') < $1
            ORDER BY deadline, no LIMIT $2";
        let StuckAsk { idle_since, n, now } = self.0;
        let (now, since, most) = (At::from(now), At::from(idle_since), i64::from(n));
        let lines = tx.rows(EXPIRED, &[(&now, Type::TIMESTAMPTZ), (&most, Type::INT8)]).await?;
        let expired = lines.iter().map(lease).collect::<Result<_, _>>()?;
        let lines = tx.rows(IDLE, &[(&since, Type::TIMESTAMPTZ), (&most, Type::INT8)]).await?;
        let idle = lines.iter().map(|line| job_id(line, 0)).collect::<Result<_, _>>()?;
        Ok(Stuck { expired, idle, unclosed: Unclosed(n).run(tx, alone).await? })
    }
}

fn lease(line: &Line) -> Result<ExpiredLease, Fault> {
    Ok(ExpiredLease {
        execution: ExecutionId { job: job_id(line, 0)?, n: number(line, 1)? },
        worker: line.get::<Option<String>>(2)?.map(WorkerId::new),
        expired_at: line.get::<At>(3)?.time(),
    })
}
