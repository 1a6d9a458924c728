-- Jobs, question batches, executions and what came of them, in a schema of their own: names are always qualified, so no
-- session state (search_path) decides what a statement means, and other tables of the database cannot collide with ours.
-- No foreign keys: on a hot parent they cost a shared row lock per child. Every key starts with the job.
-- State names are compared bytewise ("C"). Times are exact to the microsecond.

CREATE TABLE beacon.jobs (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cost bigint NOT NULL DEFAULT 0,
    cost_cap bigint,
    deadline timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    -- Microseconds.
    provider_timeout bigint,
    lower_bound bigint,
    min_success_rate float8 NOT NULL,
    generation int NOT NULL,
    weight int NOT NULL CHECK (weight > 0),
    min_regions int NOT NULL,
    batch_count int NOT NULL,
    batching text COLLATE "C" NOT NULL CHECK (batching IN ('question', 'endpoint')),
    state text COLLATE "C" NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completed_with_failures', 'failed', 'cancelled', 'timed_out')),
    reason text COLLATE "C" CHECK (reason IN ('cancel', 'budget', 'deadline')),
    verdict text COLLATE "C" CHECK (verdict IN ('met', 'not_met')),
    id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
    retry_of bytea,
    digest bytea NOT NULL,
    canonical_digest bytea NOT NULL,
    name text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    ended_by text,
    sampling text NOT NULL,
    models text NOT NULL,
    close text,
    CONSTRAINT jobs_times_in_order CHECK (started_at >= accepted_at AND ended_at >= coalesce(started_at, accepted_at))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_open_by_deadline ON beacon.jobs (deadline) WHERE ended_at IS NULL;
CREATE INDEX jobs_unclosed ON beacon.jobs (no) WHERE ended_at IS NOT NULL AND close IS NULL;
CREATE INDEX jobs_ended ON beacon.jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX jobs_by_name ON beacon.jobs (name, no);

-- The exact signed bytes, apart from the row that changes.
CREATE TABLE beacon.specs (
    job bigint PRIMARY KEY,
    spec bytea NOT NULL
);

CREATE TABLE beacon.questions (
    job bigint NOT NULL,
    b int NOT NULL,
    question text NOT NULL,
    PRIMARY KEY (job, b)
);

-- Narrow: it changes with every group of claims and of recordings.
CREATE TABLE beacon.batches (
    job bigint NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    b int NOT NULL,
    first int NOT NULL,
    blocked int NOT NULL CHECK (blocked >= 0),
    queued int NOT NULL CHECK (queued >= 0),
    running int NOT NULL DEFAULT 0 CHECK (running >= 0),
    completed int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    cancelled int NOT NULL DEFAULT 0,
    timed_out int NOT NULL DEFAULT 0,
    unsupported int NOT NULL DEFAULT 0,
    state text COLLATE "C" NOT NULL CHECK (state IN ('blocked', 'open', 'done')),
    PRIMARY KEY (job, b)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX batches_undone ON beacon.batches (job, b) WHERE state <> 'done';

-- One row per endpoint; whoever claims for an endpoint holds its row. `lane` says whose turn it is.
CREATE TABLE beacon.endpoints (
    no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    max_in_flight int,
    -- How many claims have given something for it.
    claims bigint NOT NULL DEFAULT 0,
    id text COLLATE "C" NOT NULL UNIQUE,
    account text COLLATE "C",
    gate text,
    bound text,
    lane text
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX endpoints_by_account ON beacon.endpoints (account) WHERE account IS NOT NULL;

-- Whoever claims under the limit of an account holds its row; '' is the limit over everything.
CREATE TABLE beacon.accounts (
    id text COLLATE "C" PRIMARY KEY
) WITH (fillfactor = 30);

-- The hot rows: at least two updates each, on the page where they are. What hardly changes comes first: the log of an
-- update leaves out what a row's versions have in common at their beginning.
CREATE TABLE beacon.executions (
    job bigint NOT NULL,
    queued_at timestamptz,
    -- 1970 until it leaves the queue for the first time, so that what never ran stands together in the index of the queue;
    -- a microsecond later if an expired lease returned it; a real time after a retry or a give-back.
    not_before timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    n int NOT NULL,
    batch int NOT NULL,
    endpoint int,
    run int NOT NULL,
    failures int NOT NULL DEFAULT 0,
    throttles int NOT NULL DEFAULT 0,
    model smallint NOT NULL,
    region smallint NOT NULL,
    expiries smallint NOT NULL DEFAULT 0,
    token bigint NOT NULL DEFAULT 0,
    -- Which claim of its endpoint gave the lease. It grows, so what was once the lowest of the live ones is a bound for good.
    claimed bigint NOT NULL DEFAULT 0,
    -- The first dispatch; the execution's own clock starts here.
    started_at timestamptz,
    -- Until when a call may run, also of an execution that was ended meanwhile; then `worker` stays as well.
    lease_until timestamptz,
    attempts int NOT NULL DEFAULT 0,
    state text COLLATE "C" NOT NULL CHECK (state IN ('blocked', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out', 'unsupported')),
    worker text,
    resume text,
    PRIMARY KEY (job, n)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX executions_queued ON beacon.executions (endpoint, job, not_before, n) WHERE state = 'queued';
CREATE INDEX executions_backing_off ON beacon.executions (endpoint, not_before)
    WHERE state = 'queued' AND not_before > '1970-01-01 00:00:00.000001+00';
-- Small: there are never more live rows in it than calls in flight. Without `lease_until`, so that a renewal is a HOT update.
CREATE INDEX executions_leased ON beacon.executions (endpoint, claimed) WHERE worker IS NOT NULL;

-- Append-only; the key refuses a second result. The attempt that ended the execution stands here as well: most executions
-- have no other, and a row and a key more would cost as much as a short answer. `token` is that attempt's.
CREATE TABLE beacon.results (
    job bigint NOT NULL,
    token bigint,
    n int NOT NULL,
    receipt_hash bytea,
    answer text,
    error text,
    receipt text,
    attempt text,
    PRIMARY KEY (job, n),
    CONSTRAINT results_attempt_has_token CHECK ((token IS NULL) = (attempt IS NULL))
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- Append-only: attempts that ended nothing, and those that came too late.
CREATE TABLE beacon.attempts (
    job bigint NOT NULL,
    token bigint NOT NULL,
    n int NOT NULL,
    number int NOT NULL,
    late boolean NOT NULL,
    record text NOT NULL,
    PRIMARY KEY (job, n, number, token)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

CREATE VIEW beacon.every_attempt AS
SELECT job, n, number, token, late, record FROM beacon.attempts
UNION ALL
SELECT job, n, (attempt::json ->> 'number')::int, token, false, attempt FROM beacon.results WHERE attempt IS NOT NULL;

-- By the key's own bytes: a ring may give a key another id, and it is still the same key.
CREATE TABLE beacon.nonces (
    public_key bytea NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    job bytea NOT NULL,
    PRIMARY KEY (public_key, nonce)
);

CREATE TABLE beacon.signature_points (
    public_key bytea NOT NULL,
    r bytea NOT NULL,
    canonical_digest bytea NOT NULL,
    PRIMARY KEY (public_key, r)
);

-- What was spent, by days since 1970 UTC.
CREATE TABLE beacon.spend (
    day bigint PRIMARY KEY,
    micros bigint NOT NULL
) WITH (fillfactor = 10);

-- For readers that know the names of older systems of this kind.
CREATE VIEW beacon.executions_by_old_names AS
SELECT encode(jobs.id, 'hex') AS job_id, jobs.name AS jobspec_id, executions.n,
    questions.question::json ->> 'id' AS question_id, jobs.models::json ->> executions.model::int AS model_id,
    (ARRAY['us-east', 'eu-west', 'asia-pacific'])[executions.region + 1] AS region, executions.run,
    endpoints.id AS provider_id, executions.state AS status, executions.started_at, greatest(executions.attempts - 1, 0) AS retry_count,
    results.answer::json AS output_data, results.error::json AS error_data, results.receipt::json AS receipt_data
FROM beacon.executions
JOIN beacon.jobs ON jobs.no = executions.job
JOIN beacon.questions ON questions.job = executions.job AND questions.b = executions.batch
LEFT JOIN beacon.endpoints ON endpoints.no = executions.endpoint
LEFT JOIN beacon.results ON results.job = executions.job AND results.n = executions.n;
