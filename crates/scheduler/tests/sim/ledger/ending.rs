//! The end of a run: every job ended and closed, every receipt valid, and the sums and the tree over them.

use std::collections::BTreeSet;

use beacon_domain::{ExecutionRecord, JobSummary, Progress, ReceiptLeaf, StateCounts};
use beacon_spec::{MerkleRoot, Receipt, Sha256Digest};

use super::Ledger;

/// All that the store tells about an ended job.
pub(crate) struct Final {
    pub(crate) summary: JobSummary,
    pub(crate) records: Vec<ExecutionRecord>,
    pub(crate) leaves: Vec<ReceiptLeaf>,
    pub(crate) progress: Progress,
}

impl Ledger {
    /// Judges an ended job.
    pub(crate) fn ended_well(&mut self, job: &Final) {
        let mut hashes = Vec::new();
        for record in &job.records {
            hashes.extend(self.record_holds(job, record));
        }
        let place = self.place(job.summary.id);
        let leaves: Vec<_> = job.leaves.iter().map(|leaf| leaf.hash).collect();
        self.must(leaves == hashes, "L8: the leaves are the receipts", || format!("job {place}"));
        let unique: BTreeSet<_> = hashes.iter().map(|hash| *hash.as_bytes()).collect();
        self.must(unique.len() == hashes.len(), "L8: receipts are unique", || format!("job {place}"));
        self.close_holds(job, &hashes);
        self.sums_agree(job);
        self.outcomes = sum([self.outcomes, job.summary.counts].into_iter());
    }

    fn record_holds(&mut self, job: &Final, record: &ExecutionRecord) -> Option<Sha256Digest> {
        let (name, state) = (self.name(record.id), record.cell.state.as_str());
        let counted = record.attempts.iter().filter(|attempt| !attempt.late);
        let numbers: Vec<_> = counted.map(|attempt| attempt.number).collect();
        let rising = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        self.must(rising, "L2: attempts are numbered once each", || format!("{name}: {numbers:?}"));
        let answered = (state == "completed") == record.answer.is_some();
        self.must(answered, "exactly what completed has an answer", || name.clone());
        let taken = self.cell(record.id).map_or(0, |cell| cell.results);
        let receipts = u32::from(record.receipt.is_some());
        self.must(taken == receipts, "L8: one receipt per terminal record", || format!("{name}: {taken}"));
        let receipt = record.receipt.as_ref()?;
        self.must(says_so(receipt, job, record), "L8: a receipt says what is recorded", || name.clone());
        self.must(receipt.verify().is_ok(), "L8: a receipt's signature holds", || name);
        Some(receipt.hash())
    }

    fn close_holds(&mut self, job: &Final, hashes: &[Sha256Digest]) {
        let place = self.place(job.summary.id);
        let Some(close) = &job.summary.close else {
            return self.must(false, "L8: an ended job is closed", || format!("job {place}"));
        };
        let mut root = MerkleRoot::new();
        hashes.iter().for_each(|hash| root.push(*hash));
        let (body, counts) = (&close.body, &job.summary.counts);
        self.must(body.merkle_root == root.root(), "L8: the root is over all receipts", || {
            format!("job {place}")
        });
        let said = [body.completed, body.failed, body.cancelled, body.timed_out, body.unsupported];
        let are = [counts.completed, counts.failed, counts.cancelled, counts.timed_out, counts.unsupported];
        let whole = body.expected == said.iter().sum::<u32>() && body.receipts as usize == hashes.len();
        self.must(said == are && whole, "L8: the close's counts add up", || format!("job {place}: {body:?}"));
        self.must(body.state == job.summary.state.as_str(), "L8: the close says how it ended", || {
            format!("job {place}: {}", body.state)
        });
        self.must(close.verify().is_ok(), "L8: the close's signature holds", || format!("job {place}"));
    }

    fn sums_agree(&mut self, job: &Final) {
        let place = self.place(job.summary.id);
        let batches = job.progress.batches.iter().map(|batch| batch.counts);
        let endpoints = job.progress.endpoints.iter().map(|endpoint| endpoint.counts);
        let unserved = StateCounts { unsupported: job.summary.counts.unsupported, ..StateCounts::default() };
        let of_endpoints = sum(endpoints.chain([unserved]));
        self.must(sum(batches) == job.summary.counts, "counts by question add up", || format!("job {place}"));
        self.must(of_endpoints == job.summary.counts, "counts by endpoint add up", || format!("job {place}"));
    }
}

fn says_so(receipt: &Receipt, job: &Final, record: &ExecutionRecord) -> bool {
    let (body, cell) = (&receipt.body, &record.cell);
    let output = record.answer.as_ref().map(|answer| Sha256Digest::of(answer.text.as_bytes()));
    let attempted = record.attempts.iter().any(|one| one.number == body.attempt && !one.late);
    body.job == job.summary.id.to_string()
        && body.spec_digest == job.summary.spec_digest
        && (body.execution, &body.question, &body.model) == (cell.n, &cell.question, &cell.model)
        && (body.region, body.run) == (cell.region, cell.run)
        && body.outcome == cell.state.as_str()
        && body.output_hash == output
        && attempted
}

/// Sums over counts.
pub(crate) fn sum(counts: impl Iterator<Item = StateCounts>) -> StateCounts {
    counts.fold(StateCounts::default(), |mut sum, counts| {
        for state in beacon_domain::ExecutionState::ALL {
            *sum.of_mut(state) += counts.of(state);
        }
        sum
    })
}
