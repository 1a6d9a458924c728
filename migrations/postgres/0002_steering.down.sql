DROP TABLE beacon.deliveries, beacon.audit, beacon.trusted_keys, beacon.tokens, beacon.quotas, beacon.idempotency, beacon.workers;
DROP FUNCTION beacon.audit_is_append_only();
DROP INDEX beacon.endpoints_changed;
ALTER TABLE beacon.endpoints DROP COLUMN other_limit, DROP COLUMN drain, DROP COLUMN reset_at;
DROP INDEX beacon.jobs_of_key, beacon.jobs_open_of_key;
ALTER TABLE beacon.jobs DROP CONSTRAINT jobs_paused_by_somebody, DROP COLUMN paused_at, DROP COLUMN paused_by;
