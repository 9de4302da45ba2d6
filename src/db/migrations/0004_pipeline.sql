-- Pipeline: the step cache, runs and their steps, what a step was last made of, the benchmark's anchor.

-- What a step gave, by the digest of everything it depends on. Outputs are blobs named in `output`.
CREATE TABLE step_cache (
    key TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    step TEXT NOT NULL,
    output TEXT NOT NULL,
    parts TEXT NOT NULL,
    run_id TEXT,
    created_us BIGINT NOT NULL,
    duration_us BIGINT NOT NULL
);
CREATE INDEX step_cache_project ON step_cache (project, step, created_us);

-- The parts of a step's key when it last was up to date: what --explain compares with.
CREATE TABLE step_last (
    project TEXT NOT NULL,
    step TEXT NOT NULL,
    key TEXT NOT NULL,
    parts TEXT NOT NULL,
    run_id TEXT,
    at_us BIGINT NOT NULL,
    PRIMARY KEY (project, step)
);

CREATE TABLE pipeline_runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    project TEXT NOT NULL,
    revision TEXT NOT NULL,
    state TEXT NOT NULL,
    instance TEXT NOT NULL,
    keys_digest TEXT,
    asked TEXT NOT NULL,
    result TEXT,
    error TEXT,
    started_us BIGINT NOT NULL,
    ended_us BIGINT
);
CREATE INDEX pipeline_runs_project ON pipeline_runs (project, started_us);
CREATE INDEX pipeline_runs_state ON pipeline_runs (state);

CREATE TABLE pipeline_steps (
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    key TEXT,
    child_run TEXT,
    reason TEXT,
    error TEXT,
    log TEXT,
    started_us BIGINT NOT NULL,
    ended_us BIGINT,
    PRIMARY KEY (run_id, step)
);

-- Days before this are in the fixed benchmark; moved on only when `refresh` has passed.
CREATE TABLE benchmark_anchors (
    project TEXT NOT NULL,
    definition TEXT NOT NULL,
    until_us BIGINT NOT NULL,
    PRIMARY KEY (project, definition)
);

-- SHA-256 of files that steps read and write, by what stat says about them.
CREATE TABLE file_digests (
    path TEXT NOT NULL PRIMARY KEY,
    stamp TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BIGINT NOT NULL
);
