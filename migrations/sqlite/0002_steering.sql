-- Steering, accounts and webhooks, as in PostgreSQL.

ALTER TABLE jobs ADD COLUMN paused_at INTEGER;
ALTER TABLE jobs ADD COLUMN paused_by TEXT;
CREATE INDEX jobs_of_key ON jobs (key, accepted_at);
CREATE INDEX jobs_open_of_key ON jobs (key) WHERE ended_at IS NULL;

-- Set by operators.
ALTER TABLE endpoints ADD COLUMN other_limit INTEGER CHECK (other_limit >= 0);
ALTER TABLE endpoints ADD COLUMN drain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE endpoints ADD COLUMN reset_at INTEGER;
CREATE INDEX endpoints_changed ON endpoints (id) WHERE other_limit IS NOT NULL OR drain OR reset_at IS NOT NULL;

-- Workers that were seen lately; the others are removed.
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    version TEXT NOT NULL,
    endpoints TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Answers by the key that a client gave to its request. A new turn begins when somebody takes over.
CREATE TABLE idempotency (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    turn INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    status INTEGER,
    body BLOB,
    PRIMARY KEY (owner, key),
    CHECK ((status IS NULL) = (body IS NULL))
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (begun_at);

-- NULL is no limit.
CREATE TABLE quotas (
    key TEXT PRIMARY KEY,
    open_executions INTEGER,
    jobs_per_day INTEGER,
    spend_per_day INTEGER,
    set_at INTEGER NOT NULL
) WITHOUT ROWID;

-- API tokens, by the SHA-256 of their secrets.
CREATE TABLE tokens (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
);

-- Keys that were added or revoked at run time; revoked is for good.
CREATE TABLE trusted_keys (
    kid TEXT PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE,
    policy TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    revoked_at INTEGER,
    revoked_by TEXT
) WITHOUT ROWID;

-- Append-only, and the database sees to it.
CREATE TABLE audit (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT,
    request_id TEXT
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

-- Webhook deliveries: a queue, and the log of it. A claimed one is due again when its lease ends.
CREATE TABLE deliveries (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    job BLOB NOT NULL,
    event TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER NOT NULL,
    last_status INTEGER,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
);
CREATE INDEX deliveries_due ON deliveries (next_at, no) WHERE state = 'pending';
CREATE INDEX deliveries_of_job ON deliveries (job, no);
