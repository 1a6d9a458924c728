-- "Beac": tells a Beacon database from every other SQLite file.
PRAGMA application_id = 0x42656163;

-- Jobs, question batches, executions and what came of them. Times are integer microseconds since 1970 UTC.
-- Text that repeats (questions, models, regions' endpoints) stands once per job; the hot row is `executions`.

CREATE TABLE jobs (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    retry_of BLOB,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'completed_with_failures', 'failed', 'cancelled', 'timed_out')),
    reason TEXT CHECK (reason IN ('cancel', 'budget', 'deadline')),
    ended_by TEXT,
    verdict INTEGER,
    batching INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    min_success_rate REAL NOT NULL,
    min_regions INTEGER NOT NULL,
    provider_timeout INTEGER,
    deadline INTEGER NOT NULL,
    lower_bound INTEGER,
    cost INTEGER NOT NULL DEFAULT 0,
    cost_cap INTEGER,
    accepted_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    digest BLOB NOT NULL,
    canonical_digest BLOB NOT NULL,
    sampling TEXT NOT NULL,
    models TEXT NOT NULL,
    -- How many rows it has in batches.
    batch_count INTEGER NOT NULL,
    close TEXT,
    spec BLOB NOT NULL,
    CHECK ((ended_at IS NULL) = (state IN ('queued', 'running')))
);
CREATE INDEX jobs_open_by_deadline ON jobs (deadline) WHERE ended_at IS NULL;
CREATE INDEX jobs_unclosed ON jobs (no) WHERE ended_at IS NOT NULL AND close IS NULL;
CREATE INDEX jobs_by_name ON jobs (name, no);

CREATE TABLE batches (
    job INTEGER NOT NULL,
    b INTEGER NOT NULL,
    question TEXT NOT NULL,
    first INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('blocked', 'open', 'done')),
    blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked >= 0),
    queued INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),
    running INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    timed_out INTEGER NOT NULL DEFAULT 0,
    unsupported INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (job, b)
) WITHOUT ROWID;

CREATE INDEX batches_undone ON batches (job, b) WHERE state <> 'done';

CREATE TABLE endpoints (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account TEXT,
    gate TEXT,
    bound TEXT,
    max_in_flight INTEGER
);

CREATE TABLE executions (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    model INTEGER NOT NULL,
    region INTEGER NOT NULL,
    run INTEGER NOT NULL,
    endpoint INTEGER,
    state TEXT NOT NULL CHECK (state IN ('blocked', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out', 'unsupported')),
    -- 0 until a retry or a give-back sets it, so that the fresh ones stand together in the index of the queue.
    not_before INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    throttles INTEGER NOT NULL DEFAULT 0,
    expiries INTEGER NOT NULL DEFAULT 0,
    token INTEGER NOT NULL DEFAULT 0,
    queued_at INTEGER,
    -- The first dispatch; the execution's own clock starts here.
    started_at INTEGER,
    -- Until when a call may run, also of an execution that was ended meanwhile. 0 when its process is known to be gone.
    lease_until INTEGER,
    worker TEXT,
    resume TEXT,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;
CREATE INDEX executions_queued ON executions (endpoint, job, not_before, n) WHERE state = 'queued';
CREATE INDEX executions_backing_off ON executions (endpoint, not_before) WHERE state = 'queued' AND not_before > 0;
-- Small: there are never more rows in it than calls in flight.
CREATE INDEX executions_leased ON executions (endpoint, lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE results (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    answer TEXT,
    error TEXT,
    receipt TEXT,
    receipt_hash BLOB,
    PRIMARY KEY (job, n)
) WITHOUT ROWID;

CREATE TABLE attempts (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    number INTEGER NOT NULL,
    token INTEGER NOT NULL,
    late INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job, n, number, token)
) WITHOUT ROWID;

-- By the key's own bytes: a ring may give a key another id, and it is still the same key (P6).
CREATE TABLE nonces (
    public_key BLOB NOT NULL,
    nonce TEXT NOT NULL,
    job BLOB NOT NULL,
    PRIMARY KEY (public_key, nonce)
) WITHOUT ROWID;

CREATE TABLE signature_points (
    public_key BLOB NOT NULL,
    r BLOB NOT NULL,
    canonical_digest BLOB NOT NULL,
    PRIMARY KEY (public_key, r)
) WITHOUT ROWID;

-- What was spent, by days since 1970 UTC.
CREATE TABLE spend (
    day INTEGER PRIMARY KEY,
    micros INTEGER NOT NULL
);
