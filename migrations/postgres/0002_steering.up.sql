-- Steering, accounts and webhooks. Programs of version 1 ignore all of it: while they run beside newer ones, they claim of
-- paused jobs, know no other limits than their files', and hold no quotas.

ALTER TABLE beacon.jobs
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_by text,
    ADD CONSTRAINT jobs_paused_by_somebody CHECK ((paused_at IS NULL) = (paused_by IS NULL)) NOT VALID;
-- For quotas. One row per job: both are built in moments, within the transaction.
CREATE INDEX jobs_of_key ON beacon.jobs (key, accepted_at);
CREATE INDEX jobs_open_of_key ON beacon.jobs (key) WHERE ended_at IS NULL;

-- Set by operators, under the row's lock that claims hold too.
ALTER TABLE beacon.endpoints
    ADD COLUMN other_limit int CHECK (other_limit >= 0),
    ADD COLUMN drain boolean NOT NULL DEFAULT false,
    ADD COLUMN reset_at timestamptz;
-- Workers ask for what is changed once a second. Claims change none of its columns, so their updates stay HOT.
CREATE INDEX endpoints_changed ON beacon.endpoints (id) WHERE other_limit IS NOT NULL OR drain OR reset_at IS NOT NULL;

-- Workers that were seen lately; the others are removed. Never many rows, so `seen_at` has no index and each update is HOT.
CREATE TABLE beacon.workers (
    id text COLLATE "C" PRIMARY KEY,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    label text NOT NULL,
    version text NOT NULL,
    endpoints text NOT NULL
) WITH (fillfactor = 50);

-- Answers by the key that a client gave to its request. A new turn begins when somebody takes over.
CREATE TABLE beacon.idempotency (
    begun_at timestamptz NOT NULL,
    turn int NOT NULL,
    status int,
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request bytea NOT NULL,
    body bytea,
    PRIMARY KEY (owner, key),
    CONSTRAINT idempotency_answer_is_whole CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_by_age ON beacon.idempotency (begun_at);

-- NULL is no limit.
CREATE TABLE beacon.quotas (
    spend_per_day bigint CHECK (spend_per_day >= 0),
    set_at timestamptz NOT NULL,
    open_executions int CHECK (open_executions >= 0),
    jobs_per_day int CHECK (jobs_per_day >= 0),
    key text COLLATE "C" PRIMARY KEY
);

-- API tokens, by the SHA-256 of their secrets.
CREATE TABLE beacon.tokens (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    id text COLLATE "C" NOT NULL UNIQUE,
    scope text COLLATE "C" NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    name text NOT NULL
);

-- Keys that were added or revoked at run time; revoked is for good.
CREATE TABLE beacon.trusted_keys (
    added_at timestamptz NOT NULL,
    revoked_at timestamptz,
    kid text COLLATE "C" PRIMARY KEY,
    public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
    policy text NOT NULL,
    added_by text NOT NULL,
    revoked_by text,
    CONSTRAINT trusted_keys_revoked_by_somebody CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

-- Append-only, and the database sees to it.
CREATE TABLE beacon.audit (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    who text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text,
    request_id text
);
CREATE FUNCTION beacon.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON beacon.audit
    FOR EACH STATEMENT EXECUTE FUNCTION beacon.audit_is_append_only();

-- Webhook deliveries: a queue, and the log of it. A claimed one is due again when its lease ends.
CREATE TABLE beacon.deliveries (
    no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    attempts int NOT NULL DEFAULT 0,
    last_status int,
    state text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    id text COLLATE "C" NOT NULL UNIQUE,
    job bytea NOT NULL CHECK (length(job) = 16),
    event text NOT NULL,
    url text NOT NULL,
    body text NOT NULL,
    last_error text
) WITH (fillfactor = 70);
CREATE INDEX deliveries_due ON beacon.deliveries (next_at, no) WHERE state = 'pending';
CREATE INDEX deliveries_of_job ON beacon.deliveries (job, no);
