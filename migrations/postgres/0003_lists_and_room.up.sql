-- Lists of jobs by key and by state, newest first, in pages. Without them the planner looks for a rare state, or for a key that
-- has been quiet for long, through all jobs. One row per job: both are built in moments, within the transaction.

CREATE INDEX jobs_by_key ON beacon.jobs (key, no);
CREATE INDEX jobs_by_state ON beacon.jobs (state, no);

-- Room on its page for both versions that follow a waiting execution's row: a row that has to move to another page is locked
-- first, which is logged too, and its versions share nothing in the log. Rows that are there stay where they are.
ALTER TABLE beacon.executions SET (fillfactor = 33);
