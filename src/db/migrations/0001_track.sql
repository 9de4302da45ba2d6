-- Tracking: experiments, runs and what a run recorded. Times are microseconds UTC.

CREATE TABLE experiments (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT,
    is_deleted BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE TABLE experiment_tags (
    experiment_id BIGINT NOT NULL REFERENCES experiments(id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment_id, key)
) WITHOUT ROWID;

-- A run's number is what its rows elsewhere carry: short keys make short indexes. Its id is what people and clients see.
CREATE TABLE runs (
    no BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment_id BIGINT NOT NULL REFERENCES experiments(id),
    parent_id TEXT,
    name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT,
    deleted_us BIGINT
);
CREATE INDEX runs_by_experiment ON runs (experiment_id, start_us);
CREATE INDEX runs_by_start ON runs (start_us);
CREATE INDEX runs_by_parent ON runs (parent_id);
CREATE INDEX runs_by_name ON runs (name);

CREATE TABLE params (
    run_no BIGINT NOT NULL REFERENCES runs(no),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)
) WITHOUT ROWID;

CREATE TABLE tags (
    run_no BIGINT NOT NULL REFERENCES runs(no),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, key)
) WITHOUT ROWID;

-- kind: 0 a number, 1 NaN (value 0), 2 +Infinity and 3 -Infinity (value the greatest finite number, so that they sort).
-- The key is the identity of a point, so that a repeated one changes nothing; its order is the history's. No foreign key: run_log has the run's row in hand.
CREATE TABLE metrics (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    kind BIGINT NOT NULL,
    PRIMARY KEY (run_no, key, at_us, step, value, kind)
) WITHOUT ROWID;

CREATE TABLE latest_metrics (
    run_no BIGINT NOT NULL,
    key TEXT NOT NULL,
    at_us BIGINT NOT NULL,
    step BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    kind BIGINT NOT NULL,
    PRIMARY KEY (run_no, key)
) WITHOUT ROWID;

CREATE TABLE datasets (
    id BIGINT PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments(id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema_text TEXT,
    profile TEXT,
    UNIQUE (experiment_id, name, digest)
);
CREATE INDEX datasets_by_digest ON datasets (digest);

CREATE TABLE inputs (
    run_no BIGINT NOT NULL REFERENCES runs(no),
    dataset_id BIGINT NOT NULL REFERENCES datasets(id),
    ordinal BIGINT NOT NULL,
    PRIMARY KEY (run_no, dataset_id)
) WITHOUT ROWID;
CREATE INDEX inputs_by_dataset ON inputs (dataset_id);

CREATE TABLE input_tags (
    run_no BIGINT NOT NULL,
    dataset_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run_no, dataset_id, key),
    FOREIGN KEY (run_no, dataset_id) REFERENCES inputs(run_no, dataset_id)
) WITHOUT ROWID;
