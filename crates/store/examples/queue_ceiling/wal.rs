//! What the WAL of an execution consists of, by the server's own reading of it (`pg_walinspect`).

use beacon_testkit::Cluster;

use crate::{
    cluster::{empty, plain, store_with},
    noop::drain,
};

const EXECUTIONS: u32 = 100_000;
/// Kinds of record shown; the rest is small.
const SHOWN: usize = 14;

/// With the schema's fill factor of the hot table, and with others.
pub(crate) async fn report(cluster: &Cluster) {
    for fillfactor in [None, Some(60), Some(45), Some(33)] {
        with(cluster, fillfactor).await;
    }
}

async fn with(cluster: &Cluster, fillfactor: Option<u32>) {
    const STATS: &str =
        "SELECT \"resource_manager/record_type\", record_size::float8, fpi_size::float8, count::float8
        FROM pg_get_wal_stats($1::text::pg_lsn, pg_current_wal_flush_lsn(), true) ORDER BY combined_size DESC";
    let options = empty(cluster).await;
    let client = plain(&options).await;
    if let Some(fillfactor) = fillfactor {
        let alter = format!("ALTER TABLE beacon.executions SET (fillfactor = {fillfactor})");
        client.batch_execute(&alter).await.unwrap();
    }
    let _store = store_with(&options, EXECUTIONS, 1).await;
    client.batch_execute("CREATE EXTENSION pg_walinspect").await.unwrap();
    let began: String =
        client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await.unwrap().get(0);
    let n = f64::from(drain(&options, 4, 1, u32::MAX).await.executions);
    let lines = client.query(STATS, &[&began]).await.unwrap();
    let sum = |column| lines.iter().map(|line| line.get::<_, f64>(column)).sum::<f64>() / n;
    println!(
        "{:<28} {:>10}  {:.0} B of records and {:.0} B of pages per execution",
        "wal 4w 1e",
        "",
        sum(1),
        sum(2)
    );
    for line in lines.iter().take(SHOWN) {
        let [records, pages, count] = [1, 2, 3].map(|column| line.get::<_, f64>(column) / n);
        println!(
            "  {:<26} {count:>10.2}  {records:.0} B of records, {pages:.0} B of pages",
            line.get::<_, String>(0)
        );
    }
}
