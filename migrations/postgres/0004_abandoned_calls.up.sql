-- Calls that nobody waits for any more and that may still run at their endpoint: after a cancel, a time limit, a lost
-- connection, or the end of a worker. They count against every limit until then. Small: a row for each such call.
CREATE TABLE beacon.abandoned (
    job bigint NOT NULL,
    token bigint NOT NULL,
    until timestamptz NOT NULL,
    n int NOT NULL,
    endpoint int NOT NULL,
    -- Claims count those of their endpoints.
    PRIMARY KEY (endpoint, job, n, token)
) WITH (autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Microseconds: how long the endpoint may go on with such a call, and the longest that one may take, which is how long a
-- call counts that can be found again. And which worker last claimed under the smallest limit, and when.
ALTER TABLE beacon.endpoints
    ADD COLUMN linger bigint NOT NULL DEFAULT 0,
    ADD COLUMN longest_call bigint NOT NULL DEFAULT 0,
    ADD COLUMN limit_from text COLLATE "C",
    ADD COLUMN limit_at timestamptz,
    ADD COLUMN linger_at timestamptz;
