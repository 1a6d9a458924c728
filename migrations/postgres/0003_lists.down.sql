DROP INDEX beacon.jobs_by_state;
DROP INDEX beacon.jobs_by_key;
