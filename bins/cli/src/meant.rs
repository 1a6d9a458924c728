//! Which job a person means by a text: one rule for jobs of a database and of a server.

use anyhow::bail;
use beacon_domain::{JobId, JobSummary};

/// A beginning of an id that is shorter names nothing.
const SHORTEST: usize = 4;
/// The digits of a whole id.
const WHOLE: usize = 32;

/// What a text names, before any job is looked at.
pub(crate) enum Meant<'a> {
    /// A whole id, and never a name, so that no signer can take it for a job of theirs.
    Id(JobId),
    /// The beginning of an id, or a name: every job must be looked at.
    BeginningOrName(Candidates<'a>),
    /// A name: only the jobs of this name need to be looked at.
    Name(Candidates<'a>),
}

/// The jobs that a text may mean, newest first.
pub(crate) struct Candidates<'a> {
    text: &'a str,
    named: Vec<JobSummary>,
    begun: Vec<JobSummary>,
}

impl<'a> Meant<'a> {
    /// What this text names.
    pub(crate) fn by(text: &'a str) -> Self {
        if let Ok(id) = text.parse() {
            return Self::Id(id);
        }
        let candidates = Candidates { text, named: Vec::new(), begun: Vec::new() };
        if candidates.may_begin() { Self::BeginningOrName(candidates) } else { Self::Name(candidates) }
    }
}

impl Candidates<'_> {
    fn may_begin(&self) -> bool {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (SHORTEST..WHOLE).contains(&self.text.len()) && self.text.bytes().all(digit)
    }

    /// Keeps what the text may mean of a page of jobs.
    pub(crate) fn look_at(&mut self, jobs: Vec<JobSummary>) {
        for job in jobs {
            if self.may_begin() && job.id.to_string().starts_with(self.text) {
                self.begun.push(job.clone());
            }
            if job.name.as_str() == self.text {
                self.named.push(job);
            }
        }
    }

    /// The job that is meant: the latest of this name, or the one whose id begins so; nothing if there is none.
    ///
    /// # Errors
    /// It may be several: a job's name begins the id of another, or several keys have the name, or several ids begin so.
    pub(crate) fn one(mut self) -> anyhow::Result<Option<JobSummary>> {
        let text = self.text;
        let Some(named) = self.named.first() else {
            anyhow::ensure!(self.begun.len() < 2, "{text:?} begins several job ids; give more digits");
            return Ok(self.begun.pop());
        };
        if let Some(begun) = self.begun.iter().find(|begun| begun.id != named.id) {
            bail!(
                "{text:?} is the name of job {} and begins the id of job {}; give the whole id",
                named.id,
                begun.id
            );
        }
        if self.named.iter().any(|job| job.key != named.key) {
            bail!("several keys have a job {text:?}; name it by its own id, see `beacon jobs`");
        }
        Ok(Some(self.named.swap_remove(0)))
    }
}

#[cfg(test)]
mod tests {
    use beacon_domain::{Batching, JobSummary, StateCounts};
    use serde_json::json;

    use super::Meant;

    const X: &str = "21ae635a3ed500000000000000000001";
    const Y: &str = "77777777777700000000000000000002";
    const Z: &str = "21ae635a3ed500000000000000000003";

    fn job(id: &str, name: &str, key: &str) -> JobSummary {
        let zero = "0".repeat(64);
        serde_json::from_value(json!({
            "id": id, "name": name, "key": key, "generation": 0, "retry_of": null, "state": "running",
            "reason": null, "verdict": null, "paused": null, "batching": Batching::default(), "spec_digest": zero,
            "counts": StateCounts::default(),
            "accepted_at": "2026-01-01T00:00:00Z", "started_at": null, "ended_at": null,
            "deadline": "2026-01-02T00:00:00Z", "lower_bound_s": null, "cost_micros": 0,
            "cost_cap_micros": null, "close": null,
        }))
        .unwrap()
    }

    /// The id that is meant, or a part of the error; nothing if there is no such job.
    fn check(text: &str, jobs: &[(&str, &str, &str)], expected: Result<Option<&str>, &str>) {
        let found = match Meant::by(text) {
            Meant::Id(id) => Ok(Some(id.to_string())),
            Meant::BeginningOrName(mut candidates) | Meant::Name(mut candidates) => {
                candidates.look_at(jobs.iter().map(|(id, name, key)| job(id, name, key)).collect());
                candidates.one().map(|job| job.map(|job| job.id.to_string()))
            }
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{text}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_job_is_meant_by_its_name_or_the_beginning_of_its_id() {
        let jobs = [(Y, "mine", "k"), (X, "mine", "k"), (Z, "other", "k")];

        check("mine", &jobs, Ok(Some(Y)));
        check("7777", &jobs, Ok(Some(Y)));
        check("777", &jobs, Ok(None));
        check("21ae", &jobs, Err("begins several job ids"));
        check(&X[..31], &jobs, Err("begins several job ids"));
        check(&Z[..31], &jobs[2..], Ok(Some(Z)));
        check("nothing", &jobs, Ok(None));
        check("mine", &[(X, "mine", "k"), (Y, "mine", "l")], Err("several keys have a job"));
        check("777", &[(X, "777", "k"), (Y, "mine", "k")], Ok(Some(X)));
    }

    #[test]
    fn a_name_that_begins_the_id_of_another_job_is_not_taken_for_either() {
        let both = format!("is the name of job {Y} and begins the id of job {X}; give the whole id");

        check("21ae635a3ed5", &[(Y, "21ae635a3ed5", "k"), (X, "mine", "k")], Err(&both));
        check("21ae635a3ed5", &[(X, "mine", "k"), (Y, "21ae635a3ed5", "l")], Err(&both));
        check("21ae635a3ed5", &[(X, "21ae635a3ed5", "k")], Ok(Some(X)));
        check("21ae635a3ed5", &[(Y, "21ae635a3ed5", "k")], Ok(Some(Y)));
    }

    #[test]
    fn a_whole_id_is_never_a_name() {
        check(X, &[(Y, X, "k")], Ok(Some(X)));
        check(&X.to_uppercase(), &[(Y, &X.to_uppercase(), "k")], Ok(Some(X)));
    }
}
