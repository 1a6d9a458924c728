ALTER TABLE beacon.executions SET (fillfactor = 60);
DROP INDEX beacon.jobs_by_state;
DROP INDEX beacon.jobs_by_key;
