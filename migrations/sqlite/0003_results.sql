-- A result is too wide for a row of a table WITHOUT ROWID: what does not fit into a quarter of a page goes to a page of
-- its own. And the attempt that ends an execution stands with its result, as in PostgreSQL; `attempts` has the others.
CREATE TABLE results_beside_rowid (
    job INTEGER NOT NULL,
    n INTEGER NOT NULL,
    token INTEGER,
    receipt_hash BLOB,
    answer TEXT,
    error TEXT,
    receipt TEXT,
    attempt TEXT,
    PRIMARY KEY (job, n),
    CHECK ((token IS NULL) = (attempt IS NULL))
);
INSERT INTO results_beside_rowid (job, n, receipt_hash, answer, error, receipt)
SELECT job, n, receipt_hash, answer, error, receipt FROM results;
DROP TABLE results;
ALTER TABLE results_beside_rowid RENAME TO results;

CREATE VIEW every_attempt (job, n, number, token, late, record) AS
SELECT job, n, number, token, late, record FROM attempts
UNION ALL
SELECT job, n, attempt ->> 'number', token, 0, attempt FROM results WHERE attempt IS NOT NULL;
