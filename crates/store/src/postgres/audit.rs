//! The audit trail.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beacon_domain::{AuditEntry, AuditTrail, Page, StoreError};
use tokio_postgres::types::Type;

use super::{
    PostgresStore,
    codec::At,
    error::Fault,
    transaction::{Kind, Line, Tx, Work},
};
use crate::rules::page;

#[async_trait]
impl AuditTrail for PostgresStore {
    async fn note(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.core.connections.run(&Note(&entry)).await
    }

    async fn audit(&self, cursor: Option<String>, n: u32) -> Result<Page<AuditEntry>, StoreError> {
        let before = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
        self.core.connections.run(&Entries { before, n }).await
    }
}

struct Note<'a>(&'a AuditEntry);

#[async_trait]
impl Work for Note<'_> {
    type Output = ();
    const NAME: &'static str = "audit_note";
    const KIND: Kind = Kind::Queue;
    const REPLAYABLE: bool = false;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<(), Fault> {
        const NOTE: &str = "-- audit::note
            INSERT INTO beacon.audit (at, who, action, subject, detail, request_id) VALUES ($1, $2, $3, $4, $5, $6)";
        let AuditEntry { at, who, action, subject, detail, request_id } = self.0;
        let at = At::from(*at);
        let values = [
            (&at as _, Type::TIMESTAMPTZ),
            (who as _, Type::TEXT),
            (action as _, Type::TEXT),
            (subject as _, Type::TEXT),
            (detail as _, Type::TEXT),
            (request_id as _, Type::TEXT),
        ];
        tx.execute(NOTE, &values).await.map(drop)
    }
}

struct Entries {
    before: i64,
    n: u32,
}

#[async_trait]
impl Work for Entries {
    type Output = Page<AuditEntry>;
    const NAME: &'static str = "audit";
    const KIND: Kind = Kind::Read;
    const REPLAYABLE: bool = true;

    async fn run(&self, tx: &Tx, _: &BTreeSet<i64>) -> Result<Page<AuditEntry>, Fault> {
        const AUDIT: &str = "-- audit::entries
            SELECT at, who, action, subject, detail, request_id, no FROM beacon.audit WHERE no < $1
            ORDER BY no DESC LIMIT $2";
        let one_more = i64::from(self.n) + 1;
        let lines = tx.rows(AUDIT, &[(&self.before, Type::INT8), (&one_more, Type::INT8)]).await?;
        let entry = |line: &Line| {
            let entry = AuditEntry {
                at: line.get::<At>(0)?.time(),
                who: line.get(1)?,
                action: line.get(2)?,
                subject: line.get(3)?,
                detail: line.get(4)?,
                request_id: line.get(5)?,
            };
            Ok((entry, line.get(6)?))
        };
        Ok(page(lines.iter().map(entry).collect::<Result<_, Fault>>()?, self.n))
    }
}
