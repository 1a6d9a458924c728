ALTER TABLE beacon.endpoints
    DROP COLUMN linger,
    DROP COLUMN longest_call,
    DROP COLUMN limit_from,
    DROP COLUMN limit_at,
    DROP COLUMN linger_at;
DROP TABLE beacon.abandoned;
