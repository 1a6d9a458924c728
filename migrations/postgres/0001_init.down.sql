DROP VIEW beacon.executions_by_old_names;
DROP VIEW beacon.every_attempt;
DROP TABLE beacon.spend, beacon.signature_points, beacon.nonces, beacon.attempts, beacon.results, beacon.executions,
    beacon.accounts, beacon.endpoints, beacon.batches, beacon.questions, beacon.specs, beacon.jobs;
