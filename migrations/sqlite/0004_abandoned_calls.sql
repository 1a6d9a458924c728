-- Calls that nobody waits for any more and that may still run at their endpoint: after a cancel, a time limit, a lost
-- connection, or the end of a process. They count against every limit until then. Times are in microseconds.
CREATE TABLE abandoned (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    token INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (endpoint, job, n, token)
) WITHOUT ROWID;

-- How long the endpoint may go on with such a call, and the longest that one may take, which is how long a call counts
-- that can be found again.
ALTER TABLE endpoints ADD COLUMN linger INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN longest_call INTEGER NOT NULL DEFAULT 0;
