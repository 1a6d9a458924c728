//! Writing a job out before it is removed: its signed bytes, and what `beacon results --format jsonl` and `beacon receipts`
//! print. `beacon verify ID.receipts.jsonl --job ID.signed.json` checks it without a database.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Context as _;
use beacon_domain::{JobSummary, JobView};
use beacon_store::PostgresStore;

const PAGE: u32 = 500;

/// Writes the job's files, whole and on disk, or fails.
pub(crate) async fn export(store: &PostgresStore, job: &JobSummary, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let [signed, results, receipts] = ["signed.json", "results.jsonl", "receipts.jsonl"]
        .map(|what| folder.join(format!("{}.{what}", job.id)));
    let written = async {
        write_signed(store, job, &signed).await?;
        write(store, job, &results, &receipts).await
    };
    written.await.with_context(|| {
        format!("cannot export job {} to {}; nothing of it was removed", job.id, folder.display())
    })
}

/// The bytes as they arrived; receipts name their digest.
async fn write_signed(store: &PostgresStore, job: &JobSummary, path: &Path) -> anyhow::Result<()> {
    let bytes = store.signed_spec(job.id).await?.context("the database has no signed bytes of it")?;
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    Ok(file.sync_all()?)
}

async fn write(
    store: &PostgresStore,
    job: &JobSummary,
    results: &Path,
    receipts: &Path,
) -> anyhow::Result<()> {
    let mut files = [BufWriter::new(File::create(results)?), BufWriter::new(File::create(receipts)?)];
    let mut after = None;
    loop {
        let records = store.records(job.id, after, PAGE).await?;
        let Some(last) = records.last() else { break };
        after = Some(last.id.n);
        for record in &records {
            writeln!(files[0], "{}", serde_json::to_string(record)?)?;
            if let Some(receipt) = &record.receipt {
                writeln!(files[1], "{}", serde_json::to_string(receipt)?)?;
            }
        }
    }
    if let Some(close) = &job.close {
        writeln!(files[1], "{}", serde_json::to_string(close)?)?;
    }
    for file in files {
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    }
    Ok(())
}
